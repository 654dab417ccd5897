"""A frame seen as a whole, reduced, whether it lies in memory or in a file. A leaf.

Whoever needs the whole picture at once (its brightness, its motion, what moved, the network's first
look) looks at the overview: the frame itself up to 8192 px, a reduction of larger ones. So a frame
that is read region by region is gone through once, and gives the same as one held in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

WHOLE_UP_TO_PX = 8192  # longest side of frames that are looked at as they are
OVERVIEW_PX = 4096  # of the overviews of larger ones
_BAND_BYTES = 16 * 2**20

Matrix = NDArray[np.float64]


def factor_of(size: tuple[int, ...]) -> int:
    """How many px of a frame, (H, W, ...), are one of its overview: a power of two.

    No more than the shorter side has, however long the other one is.
    """
    longest = max(size[:2])
    if longest <= WHOLE_UP_TO_PX:
        return 1
    wanted = int(np.ceil(np.log2(longest / OVERVIEW_PX)))
    return 1 << min(wanted, min(size[:2]).bit_length() - 1)


def overview_of(pixels: Any) -> NDArray[Any]:
    """The overview of a frame (H, W, 3): means over factor x factor pixels, whole ones only.

    Args:
        pixels: an array, or what is read by regions and keeps its `overview`.
    """
    kept = getattr(pixels, "overview", None)
    return reduce_whole(pixels) if kept is None else np.asarray(kept)


def reduce_whole(pixels: Any) -> NDArray[Any]:
    """Makes the overview, from bands of rows; an array that is one already is given back."""
    factor = factor_of(pixels.shape)
    if factor == 1:
        return np.asarray(pixels)
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    small = np.empty((height, width, *pixels.shape[2:]), pixels.dtype)
    row_bytes = pixels.shape[1] * 3 * pixels.dtype.itemsize * factor
    rows = max(_BAND_BYTES // row_bytes, 1)
    for top in range(0, height, rows):
        part = small[top : top + rows]
        band = pixels[top * factor : (top + len(part)) * factor, : width * factor]
        part[...] = cv2.resize(band, (width, len(part)), interpolation=cv2.INTER_AREA)
    return small


def half_of(pixels: Any) -> NDArray[Any]:
    """The overview at half size: means over 2 x 2 pixels, whole ones only. No side is below 1."""
    return halved(overview_of(pixels))


def halves_of(frames: Sequence[Any]) -> list[NDArray[Any]]:
    """`half_of` each frame, on as many threads as OpenCV has."""
    with ThreadPoolExecutor(max(cv2.getNumThreads(), 1), thread_name_prefix="halve") as pool:
        return list(pool.map(half_of, frames))


def halved(seen: NDArray[Any]) -> NDArray[Any]:
    """Means over 2 x 2 pixels of (H, W, 3), whole ones only; a side of 1 stays."""
    height, width = (max(side // 2, 1) for side in seen.shape[:2])
    inside = seen[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(inside, (width, height), interpolation=cv2.INTER_AREA))


def to_frame(factor: int) -> Matrix:
    """(3, 3), takes a pixel of an overview to the frame's, centres at integers."""
    middle = (factor - 1) / 2
    return np.array([[factor, 0, middle], [0, factor, middle], [0, 0, 1]], np.float64)
