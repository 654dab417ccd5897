"""Glimpse and fine bands of a region by the compiled kernels: `host.features`, `host.blend`.

None where they cannot be used. The interpreter's lock is free while they compute.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefuse import grid
from mefuse.gamut import LUMA
from mefuse.grid import CHROMA, FINE, GRID, Glimpse, Maps
from mefuse.native import library
from mefuse.native.library import Grid, Pixels, check, with_whole_rows

Float32 = NDArray[np.float32]

# In the order of `Rules` in blend.c.
RULES = np.array(
    [
        *LUMA, grid.ENERGY_FLOOR, grid.CHROMA_FLOOR,
        grid.CLIP_START, grid.CLIP_END, grid.CLIP_SHARE,
        grid.FOLLOW_UP, grid.FOLLOW_DOWN, *grid.FOLLOW_LIMITS, grid.FOLLOW_FLOOR,
        grid.ROOM_FLOOR,
    ],
    np.float32,
)  # fmt: skip


def glimpse(frames: Sequence[Pixels]) -> Glimpse[Float32] | None:
    """`host.features.glimpse`."""
    kernels = library.load()
    if kernels is None:
        return None
    height, width = frames[0].shape[:2]
    size, count = (height // GRID, width // GRID), len(frames)
    seen = Glimpse(
        np.empty((count, 3, *size), np.float32),
        np.empty((count, *size), np.float32),
        np.empty((count, FINE, *size), np.float32),
    )
    for n, each in enumerate(frames):
        frame = with_whole_rows(each)
        failed = kernels.mefuse_glimpse(
            height, width, frame.ctypes.data, frame.strides[0], frame.itemsize, RULES.ctypes.data,
            seen.colour[n].ctypes.data, seen.luma[n].ctypes.data, seen.energies[n].ctypes.data,
        )  # fmt: skip
        check(failed)
    return seen


def blend_fine(
    frames: Sequence[Pixels], coarse: Float32, maps: Maps[Float32], *, depth: int
) -> Pixels | None:
    """`host.blend.blend_fine`."""
    kernels = library.load()
    if kernels is None:
        return None
    count, (height, width) = len(frames), frames[0].shape[:2]
    rows = [with_whole_rows(frame) for frame in frames]
    coarse, logits, gains = (with_whole_rows(x) for x in (coarse, maps.logits, maps.gains))
    fused = np.empty((height, width, 3), np.uint8 if depth == 8 else np.uint16)
    failed = kernels.mefuse_blend(
        count, height, width,
        (ctypes.c_void_p * count)(*(frame.ctypes.data for frame in rows)),
        (ctypes.c_ssize_t * count)(*(frame.strides[0] for frame in rows)),
        rows[0].itemsize, coarse.ctypes.data, coarse.strides[0] // 4,
        ctypes.byref(Grid.of(logits)), ctypes.byref(Grid.of(logits[:, CHROMA:])),
        ctypes.byref(Grid.of(gains[np.newaxis])), RULES.ctypes.data,
        fused.ctypes.data, fused.strides[0], depth,
    )  # fmt: skip
    check(failed)
    return fused
