"""Frames (H, W, 3) uint8 or uint16 taken apart: luma, its fine bands, colour at half size.

What the glimpse and the blend both start from. Values keep the unit of the frames, 0..255 or
0..65535, which saves scaling every pixel of each.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.grid import FINE
from mefuse.host.planes import Plane, as_plane, energy_of, enlarge, halve, reduce


def full_scale(frame: NDArray[Any]) -> float:
    """The largest value that a frame can hold."""
    return float(np.iinfo(frame.dtype).max)


def luma_of(frame: NDArray[Any]) -> Plane:
    """Luma (H, W) of RGB (H, W, 3), not rounded; OpenCV's coefficients are `gamut.LUMA`."""
    return as_plane(cv2.cvtColor(frame.astype(np.float32), cv2.COLOR_RGB2GRAY))


def fine_bands(luma: Plane) -> tuple[list[Plane], list[Plane], Plane]:
    """Fine bands of a luma plane, their energies, and what is left at 1/8."""
    fine: list[Plane] = []
    energies: list[Plane] = []
    for _ in range(FINE):
        smaller = halve(luma)
        band = as_plane(cv2.subtract(luma, enlarge(smaller, 2)))
        energies.append(energy_of(band))
        fine.append(band)
        luma = smaller
    return fine, energies, luma


def half_colour(frame: NDArray[Any]) -> NDArray[np.float32]:
    """Colour (H, W, 3) at half size, not rounded: hue is trusted by small differences."""
    return reduce(frame.astype(np.float32), 2)
