"""How bright frames are: measured on small gray pictures, or told by the camera.

Used by read to order a bracket, to leave out empty frames and to choose the reference. It knows
no file. Lumas are (h, w) float32, 0..1, still in the frame's own encoding (taken as sRGB's curve).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.frames import Exposure
from mefuse.overview import halved, overview_of

Luma = NDArray[np.float32]

# 4/255 of full scale is what noise reaches in a frame that saw no light; mirrored at the top.
_BLACK, _WHITE = 4.5 / 255, 1 - 2.5 / 255
_EMPTY_SHARE = 0.999  # chosen by eye: what is left is hot pixels, not a picture
_WELL_EXPOSED = (0.05, 0.95)
# Ranges in which a pixel of both neighbours may be compared, the trusted one first; below 0.008
# (2/255) quantisation rules, above 0.985 clipping does.
_COMPARED = ((0.06, 0.94), (0.02, 0.97), (0.008, 0.985))
_FEWEST_COMPARED = 64
_WIDEST_STEP_EV = 8.0  # between neighbours that share nothing: a bound, not a measurement
_SAME_EV = 0.15  # exposures closer than this are one exposure (cameras round to thirds of a stop)
_CLEARLY_DIFFERENT_EV = 0.5


def luma_small(pixels: NDArray[Any], longest_px: int = 256) -> Luma:
    """Gives a small gray picture of (H, W, 3) uint8 or uint16 RGB pixels.

    Returns:
        (h, w) float32, 0..1, longest side at most `longest_px`, area-averaged, Rec. 709 weights.
    """
    pixels = overview_of(pixels)
    height, width = pixels.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    while min(pixels.shape[0] // size[1], pixels.shape[1] // size[0]) >= 4:
        pixels = halved(pixels)  # several times quicker than by other factors
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    full = 65535.0 if pixels.dtype == np.uint16 else 255.0
    weights = np.array([0.2126, 0.7152, 0.0722], np.float32) / np.float32(full)
    luma: Luma = small.astype(np.float32) @ weights
    return luma


def emptiness(luma: Luma) -> Literal["black", "white"] | None:
    """Tells whether a frame is all black or all white, None where it shows something."""
    if np.mean(luma <= _BLACK) >= _EMPTY_SHARE:
        return "black"
    if np.mean(luma >= _WHITE) >= _EMPTY_SHARE:
        return "white"
    return None


def well_exposed_share(luma: Luma) -> float:
    """Gives the share of pixels, 0..1, that are neither in deep shadow nor near clipping."""
    low, high = _WELL_EXPOSED
    return float(np.mean((luma >= low) & (luma <= high)))


def camera_stops(exposures: Sequence[Exposure]) -> list[float] | None:
    """Gives each frame's exposure in stops as the camera recorded it, None where one is missing.

    Only the fields that every frame has are compared: a lens that reports its aperture in one
    frame and none in the next would otherwise look like a step of exposure.
    """
    aperture = all(e.f_number for e in exposures)
    iso = all(e.iso for e in exposures)
    stops = [
        replace(e, f_number=e.f_number if aperture else None, iso=e.iso if iso else None).stops
        for e in exposures
    ]
    known = [s for s in stops if s is not None]
    return known if len(known) == len(stops) else None


def contradicts(stops: Sequence[float], evs: Sequence[float]) -> bool:
    """Tells whether recorded stops are all the same though the pictures clearly are not."""
    return max(stops) - min(stops) < _SAME_EV and max(evs) - min(evs) > _CLEARLY_DIFFERENT_EV


def estimate_evs(lumas: Sequence[Luma]) -> list[float]:
    """Estimates exposures from the pixels, in stops relative to the darkest frame.

    Frames are sorted by their mean and each is compared with the next: the median of the ratio
    of linear values over the pixels that are well exposed in both. A median does not mind what
    moved, small pictures do not mind a shaking hand. The steps are summed along the chain.

    Args:
        lumas: small gray pictures, all of one size.

    Returns:
        One figure per frame, in the order given; it does not depend on that order.
    """

    def key(i: int) -> tuple[float, bytes]:  # the bytes only settle ties, whatever the order
        return float(np.mean(lumas[i], dtype=np.float64)), lumas[i].tobytes()

    order = sorted(range(len(lumas)), key=key)
    evs = [0.0] * len(lumas)
    for darker, brighter in itertools.pairwise(order):
        evs[brighter] = evs[darker] + _step_ev(lumas[darker], lumas[brighter])
    return evs


def _step_ev(dark: Luma, bright: Luma) -> float:
    """The stops from one frame to the next brighter one."""
    fewest = min(_FEWEST_COMPARED, max(1, dark.size // 50))
    for low, high in _COMPARED:
        both = (dark >= low) & (dark <= high) & (bright >= low) & (bright <= high)
        if np.count_nonzero(both) >= fewest:
            ratio = np.log2(_linear(bright[both]) / _linear(dark[both]))
            return max(0.0, float(np.median(ratio)))
    # Nothing is well exposed in both: the ratio of the means bounds the step from below.
    floor = 1e-5
    means = [max(floor, float(np.mean(_linear(luma)))) for luma in (dark, bright)]
    return min(_WIDEST_STEP_EV, max(0.0, math.log2(means[1] / means[0])))


def _linear(encoded: Luma) -> Luma:
    """Linear light of sRGB-encoded values, IEC 61966-2-1."""
    low = encoded / np.float32(12.92)
    high = ((encoded + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.where(encoded <= np.float32(0.04045), low, high).astype(np.float32)
