"""What is compared of two exposures by the compiled kernels: `views`, `response`, `ghost_search`.

None where they cannot be used. The interpreter's lock is free while they compute.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mefuse.native import library
from mefuse.native.library import check

Bytes = NDArray[np.uint8]


def contrast(codes: Bytes, *, window_px: int, floor: float, gain: float, flat: int) -> Bytes | None:
    """`views._local_contrast` of codes (h, w)."""
    kernels = library.load()
    if kernels is None:
        return None
    codes, out = np.ascontiguousarray(codes), np.empty(codes.shape, np.uint8)
    rules = np.array([floor, gain, flat], np.float32)
    failed = kernels.mefuse_contrast(
        codes.ctypes.data, *codes.shape, window_px, rules.ctypes.data, out.ctypes.data
    )
    check(failed)
    return out


def excess(
    first: Bytes, second: Bytes, low: Bytes, high: Bytes, *, reach_px: int, scale: int
) -> Bytes | None:
    """`ghost_search._excess` less its blur.

    Args:
        first: (h, w, 3).
        second: (h, w, 3).
        low: (3, 256), what the second shows at least where the first has a level.
        high: (3, 256), at most.
        reach_px: how far around a pixel the first is looked at.
        scale: what codes are multiplied by.
    """
    kernels = library.load()
    if kernels is None:
        return None
    first, second, low, high = map(np.ascontiguousarray, (first, second, low, high))
    out = np.empty(first.shape[:2], np.uint8)
    failed = kernels.mefuse_excess(
        first.ctypes.data, second.ctypes.data, *out.shape, reach_px,
        low.ctypes.data, high.ctypes.data, scale, out.ctypes.data,
    )  # fmt: skip
    check(failed)
    return out


def comparagrams(
    first: Bytes, second: Bytes, *, step_px: int, textured_step_px: int, flat: int
) -> NDArray[np.float32] | None:
    """`response._comparagrams` of frames (h, w, 3): (3, 256, 256)."""
    kernels = library.load()
    if kernels is None:
        return None
    first, second = map(np.ascontiguousarray, (first, second))
    counts = np.zeros((3, 256, 256), np.int32)
    failed = kernels.mefuse_comparagrams(
        first.ctypes.data, second.ctypes.data, *first.shape[:2],
        step_px, textured_step_px, flat, counts.ctypes.data,
    )  # fmt: skip
    check(failed)
    return counts.astype(np.float32)


def ridges(scores: NDArray[np.float32]) -> NDArray[np.intp] | None:
    """`response._highest_paths` of scores (3, 256, 256): (3, 256)."""
    kernels = library.load()
    if kernels is None:
        return None
    scores, paths = np.ascontiguousarray(scores), np.empty((3, 256), np.int32)
    check(kernels.mefuse_ridges(scores.ctypes.data, paths.ctypes.data))
    return paths.astype(np.intp)
