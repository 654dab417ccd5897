"""Planes (h, w) float32 and what pyramids do with them: halve, enlarge, reduce.

Knows no frame, no weight and no network.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]  # (h, w)
Planes = NDArray[np.float32]  # (..., h, w)

_BINOMIAL = np.array([0.25, 0.5, 0.25], dtype=np.float32)


def as_plane(values: NDArray[Any]) -> Plane:
    """The float32 that OpenCV gives for float32, as its annotations do not say."""
    return np.asarray(values, dtype=np.float32)


def halve(plane: Plane) -> Plane:
    """Half size with the taps 1 3 3 1: a binomial blur, then the mean of 2 x 2."""
    blurred = cv2.sepFilter2D(plane, -1, _BINOMIAL, _BINOMIAL, borderType=cv2.BORDER_REPLICATE)
    return reduce(as_plane(blurred), 2)


def reduce(plane: NDArray[Any], factor: int) -> Plane:
    """Mean over factor x factor, of one channel or of (h, w, 3)."""
    size = (plane.shape[1] // factor, plane.shape[0] // factor)
    return as_plane(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


def enlarge(plane: Plane, factor: int) -> Plane:
    """Bilinear, on pixel areas."""
    if factor == 1:
        return plane
    size = (plane.shape[1] * factor, plane.shape[0] * factor)
    return as_plane(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR))


def energy_of(band: Plane) -> Plane:
    """Local energy of a band at half its resolution: mean square over a tent of about 8 px."""
    squares = reduce(as_plane(cv2.multiply(band, band)), 2)
    return as_plane(cv2.blur(squares, (3, 3), borderType=cv2.BORDER_REPLICATE))
