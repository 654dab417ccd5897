"""Luma and colour as planes, fitted to the gamut and joined to pixels. A leaf.

Colour is held as R, G and B minus luma; what does not fit between black and white around its luma
is made paler there, never cut off channel by channel, so that luma and hue stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

LUMA = (0.299, 0.587, 0.114)  # BT.601, as JPEG and OpenCV have it


def to_pixels(
    luma: Plane, red_blue: tuple[Plane, Plane], *, full: float, depth: int, saturation: float = 0.0
) -> NDArray[Any]:
    """RGB of luma and of red and blue minus luma.

    Args:
        luma: (H, W), black is 0 and white is `full`.
        red_blue: (H, W) each, in the same unit; overwritten.
        full: white.
        depth: 8 or 16 bits of the result.
        saturation: -1 gray, 0 as it is, 1 twice as colourful; what is near the gamut's border
            changes less, so that nothing that was inside leaves it.

    Returns:
        (H, W, 3) uint8 or uint16, RGB. OpenCV rounds and clips as it converts.
    """
    largest, kind = (255.0, cv2.CV_8U) if depth == 8 else (65535.0, cv2.CV_16U)
    red, blue = red_blue
    green = _plane(cv2.addWeighted(red, -LUMA[0] / LUMA[1], blue, -LUMA[2] / LUMA[1], 0.0))
    offsets = (red, green, blue)
    share = _share(luma, offsets, full, saturation)
    if share is not None:
        for offset in offsets:
            np.multiply(offset, share, out=offset)
    scale = largest / full
    channels = [cv2.addWeighted(luma, scale, o, scale, 0.0, dtype=kind) for o in offsets]
    return np.asarray(cv2.merge(channels))


def _plane(values: Any) -> Plane:
    """The float32 that OpenCV gives for float32, as its annotations do not say."""
    return np.asarray(values, dtype=np.float32)


def _share(luma: Plane, offsets: Sequence[Plane], full: float, saturation: float) -> Plane | None:
    """How much of the offsets of R, G, B to take; None: all of it, everywhere."""
    red, green, blue = offsets
    above = _plane(cv2.max(cv2.max(red, green), blue))
    below = _plane(cv2.min(cv2.min(red, green), blue))
    if (
        saturation == 0
        and cv2.minMaxLoc(cv2.add(luma, above))[1] <= full
        and cv2.minMaxLoc(cv2.add(luma, below))[0] >= 0
    ):
        return None
    inside = np.clip(luma, 0, full)
    tiny = np.float32(1e-6 * full)
    np.divide(np.float32(full) - inside, np.maximum(above, tiny, out=above), out=above)
    np.divide(inside, -np.minimum(below, -tiny, out=below), out=below)
    room = _plane(cv2.min(above, below))  # what fits, in parts of what is there
    if saturation <= 0:
        return _plane(np.minimum(room, np.float32(1 + saturation)))
    used = 1 / np.maximum(room, np.float32(1))
    return _plane(np.minimum(room, 1 + np.float32(saturation) * (1 - used)))
