"""IPL by the compiled kernels: what `host.ipl` computes of cells; each block in two passes.

Arrays are float32, rows first as in `host.layers`. The interpreter's lock is free while they
compute. Letters as in `host.ipl`.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from mefuse.native import library
from mefuse.native.library import check

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A block of the network less its attention, for one region, in the order of network.c."""

    x: Float32  # (N, h, C, w), changed in place
    share: Float32  # (N, h, 1, w)
    context: Float32  # (N, h/2, C, w/2)
    kernels: Float32  # (C, 3, 3)
    kernel_bias: Float32  # (C,)
    mix: Float32  # (N, C, C)
    own: Float32  # (2C, C)
    others: Float32  # (2C, C)
    meet_bias: Float32  # (2C, 1)
    settle: Float32  # (C, 2C)
    settle_bias: Float32  # (C, 1)
    cubes: Float32  # (N, S, 2C, w): gates and shifts
    rows: Float32  # (h,) where each row lies among the S
    curve: Float32  # (3,) of `layers.gelu`


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """What makes maps of a region's cells, in the order of network.c."""

    x: Float32  # (N, h, C, w)
    share: Float32  # (N, h, 1, w)
    prior: Float32  # (N, 2h, 2w)
    frame: Float32  # (4 logits, C)
    frame_bias: Float32  # (4 logits, 1)
    shared: Float32  # (4 bands, C)
    shared_bias: Float32  # (4 bands, 1)
    limits: Float32  # (logits,) of what is added to the prior
    scale: Float32  # (logits,) of the prior
    most: Float32  # (1,) of gains


class _Block(ctypes.Structure):
    """A block for C: sizes, then where the arrays lie."""

    _fields_ = (
        *((size, ctypes.c_int) for size in ("frames", "height", "channels", "width", "side")),
        *((field.name, ctypes.c_void_p) for field in fields(Block)),
    )


class _Heads(ctypes.Structure):
    """The same of heads, with the arrays that they fill."""

    _fields_ = (
        *((size, ctypes.c_int) for size in ("frames", "height", "channels", "width")),
        *((size, ctypes.c_int) for size in ("logits", "bands")),
        *((field.name, ctypes.c_void_p) for field in fields(Heads)),
        *((made, ctypes.c_void_p) for made in ("log_weights", "gains")),
    )


def _whole(arrays: Block | Heads) -> list[Float32]:
    """All arrays of it, each in one piece."""
    every = (getattr(arrays, field.name) for field in fields(arrays))
    return [np.ascontiguousarray(array, np.float32) for array in every]


def are_here() -> bool:
    """Whether there are kernels for this machine."""
    return library.load() is not None


def attend(
    x: Float32, query: Float32, places: Float32, key: Float32, value: Float32, *, out: Float32
) -> None:
    """What the cache tells every 2 x 2 cells of a frame.

    Args:
        x: (h, C, w), h and w even.
        query: (K, C), makes queries of features.
        places: (h/2, K, w/2), what is added to them.
        key: (T, K), scaled.
        value: (C, T).
        out: (h/2, C, w/2), takes it.
    """
    kernels = library.load()
    assert kernels is not None
    height, channels, width = x.shape
    assert height % 2 == width % 2 == 0
    assert out.shape == (height // 2, channels, width // 2) and out.flags.c_contiguous
    arrays = [np.ascontiguousarray(a, np.float32) for a in (x, query, places, key, value)]
    failed = kernels.mefuse_attend(
        height, channels, width, *key.shape[::-1],
        *(array.ctypes.data for array in arrays), out.ctypes.data,
    )  # fmt: skip
    check(failed)


def integrate(block: Block) -> None:
    """All of a block but its attention; changes its `x`."""
    kernels = library.load()
    assert kernels is not None
    frames, height, channels, width = block.x.shape
    assert height % 2 == width % 2 == 0
    arrays = _whole(block)
    assert arrays[0] is block.x, "x is changed in place"
    sizes = frames, height, channels, width, block.cubes.shape[1]
    told = _Block(*sizes, *(array.ctypes.data for array in arrays))
    check(kernels.mefuse_integrate(ctypes.byref(told)))


def reduce(features: Float32, matrix: Float32, bias: Float32, curve: Float32) -> Float32:
    """Features of frames (N, F, 2h, 2w) as their cells (N, h, C, w).

    Args:
        features: float32.
        matrix: (C, 4F): of each feature a cell's upper two values, then its lower two.
        bias: (C, 1).
        curve: (3,) of `layers.gelu`.
    """
    kernels = library.load()
    assert kernels is not None
    frames, ins, height, width = features.shape
    cells = np.empty((frames, height // 2, len(matrix), width // 2), np.float32)
    shared = [np.ascontiguousarray(array, np.float32) for array in (matrix, bias, curve)]
    for frame, made in zip(features, cells, strict=True):
        seen = np.ascontiguousarray(frame, np.float32)
        failed = kernels.mefuse_reduce(
            ins, len(matrix), height // 2, width // 2,
            *(array.ctypes.data for array in (seen, *shared, made)),
        )  # fmt: skip
        check(failed)
    return cells


def decide(heads: Heads) -> tuple[Float32, Float32]:
    """The maps of a region: log weights (N, logits, 2h, 2w) and gains (bands, 2h, 2w)."""
    kernels = library.load()
    assert kernels is not None
    frames, height, channels, width = heads.x.shape
    logits, bands = len(heads.frame) // 4, len(heads.shared) // 4
    made = (
        np.empty((frames, logits, 2 * height, 2 * width), np.float32),
        np.empty((bands, 2 * height, 2 * width), np.float32),
    )
    arrays = [*_whole(heads), *made]
    sizes = frames, height, channels, width, logits, bands
    told = _Heads(*sizes, *(array.ctypes.data for array in arrays))
    check(kernels.mefuse_decide(ctypes.byref(told)))
    return made
