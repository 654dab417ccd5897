"""PSNR of a fused picture against the true one, whole or within a mask. OpenCV sums the squares."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

LARGEST_DB = 100.0  # what equal pictures get, so that means and JSON stay numbers


def measure_psnr(
    fused: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    *,
    mask: NDArray[np.bool_] | None = None,
) -> float | None:
    """PSNR over all channels, in dB of 255, at most 100; None where the mask is empty.

    Args:
        fused: (H, W, 3) RGB.
        truth: (H, W, 3) RGB.
        mask: (H, W), the pixels that count; None: all.
    """
    inside = None if mask is None else mask.astype(np.uint8)
    count = fused.size if mask is None else 3 * int(mask.sum())
    if count == 0:
        return None
    squares = cv2.norm(fused, truth, cv2.NORM_L2SQR, inside)
    if squares == 0:
        return LARGEST_DB
    return min(10 * math.log10(255.0**2 * count / squares), LARGEST_DB)
