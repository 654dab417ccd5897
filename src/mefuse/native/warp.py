"""Regions of frames as the reference sees them, by the compiled kernel: `warp.warp_region`.

None where it cannot be used. The interpreter's lock is free while it computes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mefuse.native import library
from mefuse.native.library import Pixels, check, with_whole_rows
from mefuse.slices import Rect

Matrix = NDArray[np.float64]


def warp(part: Pixels, matrix: Matrix, rect: Rect, *, top: int, left: int) -> Pixels | None:
    """`warp.warp_region` of a part of a frame that holds all that the region needs.

    Args:
        part: (h, w, 3) uint8 or uint16; where the region reaches beyond it, the frame ends there.
        matrix: (3, 3), takes a pixel of the reference to the frame's.
        rect: where, in the reference.
        top: where the part starts in the frame.
        left: likewise.
    """
    kernels = library.load()
    if kernels is None or part.shape[2:] != (3,) or part.dtype not in (np.uint8, np.uint16):
        return None
    part, matrix = with_whole_rows(part), np.ascontiguousarray(matrix, np.float64)
    warped = np.empty((rect.height, rect.width, 3), part.dtype)
    failed = kernels.mefuse_warp(
        part.ctypes.data, part.strides[0], *part.shape[:2], left, top, part.itemsize,
        matrix.ctypes.data, rect.top, rect.left, rect.height, rect.width,
        warped.ctypes.data, warped.strides[0],
    )  # fmt: skip
    check(failed)
    return warped
