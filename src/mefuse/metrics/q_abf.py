"""Q^AB/F: how much of the frames' edges, strength and direction, a fused picture keeps. Gray.

Made for two pictures; for N frames the same weighted mean runs over all of them. Knows no file.

Source: Xydeas, Petrovic, "Objective image fusion performance measure", Electronics Letters 36(4),
2000, doi:10.1049/el:20000267. Directions differ by at most a right angle here: an edge and the same
edge with bright and dark exchanged have one direction.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.metrics.strips import strips_of

Map = NDArray[np.float32]

# Of the two sigmoids, for strength and direction, as the paper gives them.
STRENGTH = (0.9994, -15.0, 0.5)
DIRECTION = (0.9879, -22.0, 0.8)
_SOBEL_PX = 3


def measure_q_abf(
    frames: Sequence[NDArray[np.uint8]], fused: Sequence[NDArray[np.uint8]]
) -> list[float]:
    """Q^AB/F of several fused pictures of one bracket.

    Args:
        frames: (H, W) gray each.
        fused: (H, W) gray each.

    Returns:
        One score per fused picture, 0..1; strong edges count more. 1 for frames without any edge.
    """
    kept, weight = np.zeros(len(fused)), 0.0
    height, width = frames[0].shape
    planes = len(frames) + len(fused)
    for rows in strips_of(height, width, planes=planes, window_px=_SOBEL_PX):
        shown = [_edges(picture[rows]) for picture in fused]
        for frame in frames:
            strength, direction = _edges(frame[rows])
            weight += float(strength.sum(dtype=np.float64))
            for index, edges in enumerate(shown):
                part = strength * _preserved((strength, direction), edges)
                kept[index] += part.sum(dtype=np.float64)
    return [float(share) for share in (kept / weight if weight else np.ones(len(fused)))]


def _edges(plane: NDArray[np.uint8]) -> tuple[Map, Map]:
    """Strength and direction (0..pi) of the edges, whole Sobel windows only."""
    x = np.asarray(cv2.Sobel(plane, cv2.CV_32F, 1, 0), np.float32)[1:-1, 1:-1]
    y = np.asarray(cv2.Sobel(plane, cv2.CV_32F, 0, 1), np.float32)[1:-1, 1:-1]
    direction = np.arctan2(y, x)
    direction[direction < 0] += np.float32(np.pi)
    return np.hypot(x, y), direction


def _preserved(frame: tuple[Map, Map], fused: tuple[Map, Map]) -> Map:
    """How well each edge of a frame is kept, 0..1."""
    smaller, larger = np.minimum(frame[0], fused[0]), np.maximum(frame[0], fused[0])
    strength = np.divide(smaller, larger, out=np.ones_like(larger), where=larger > 0)
    turned = np.abs(frame[1] - fused[1])
    direction = 1 - np.minimum(turned, np.float32(np.pi) - turned) / np.float32(np.pi / 2)
    return _sigmoid(strength, STRENGTH) * _sigmoid(direction, DIRECTION)


def _sigmoid(values: Map, shape: tuple[float, float, float]) -> Map:
    top, slope, middle = (np.float32(number) for number in shape)
    return np.asarray(top / (1 + np.exp(slope * (values - middle))), np.float32)
