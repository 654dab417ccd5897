"""Q^AB/F against a direct per-pixel computation, and what it has to prefer."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mefuse.metrics.q_abf import measure_q_abf

Plane = NDArray[np.uint8]


def _edge(plane: NDArray[np.float64], row: int, column: int) -> tuple[float, float]:
    """Sobel strength and direction at one pixel."""
    a = plane[row - 1 : row + 2, column - 1 : column + 2]
    x = a[0, 2] + 2 * a[1, 2] + a[2, 2] - a[0, 0] - 2 * a[1, 0] - a[2, 0]
    y = a[2, 0] + 2 * a[2, 1] + a[2, 2] - a[0, 0] - 2 * a[0, 1] - a[0, 2]
    return math.hypot(x, y), math.atan(y / x) if x else math.pi / 2 if y else 0.0


def _slowly(frames: list[Plane], fused: Plane) -> float:
    kept = weight = 0.0
    planes = [plane.astype(np.float64) for plane in (*frames, fused)]
    for row in range(1, fused.shape[0] - 1):
        for column in range(1, fused.shape[1] - 1):
            strength_f, direction_f = _edge(planes[-1], row, column)
            for plane in planes[:-1]:
                strength, direction = _edge(plane, row, column)
                large = max(strength, strength_f)
                ratio = min(strength, strength_f) / large if large else 1.0
                turned = abs(direction - direction_f)
                turned = min(turned, math.pi - turned)
                agreement = 1 - turned / (math.pi / 2)
                one = 0.9994 / (1 + math.exp(-15 * (ratio - 0.5)))
                two = 0.9879 / (1 + math.exp(-22 * (agreement - 0.8)))
                kept += strength * one * two
                weight += strength
    return kept / weight


@pytest.fixture
def frames(rng: np.random.Generator) -> list[Plane]:
    scene = cv2.GaussianBlur(rng.uniform(0, 1, (30, 40)), (0, 0), 1.5)
    scene = (scene - scene.min()) / np.ptp(scene)
    return [np.round(255 * np.clip(scene * gain, 0, 1)).astype(np.uint8) for gain in (0.5, 1, 2)]


def test_it_equals_the_pixelwise_computation(frames: list[Plane]) -> None:
    average = np.mean(frames, axis=0).astype(np.uint8)
    found = measure_q_abf(frames, [average, frames[0]])
    expected = [_slowly(frames, average), _slowly(frames, frames[0])]
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_frame_keeps_all_its_own_edges_and_a_flat_picture_none(frames: list[Plane]) -> None:
    flat = np.full_like(frames[0], 128)
    whole, none = measure_q_abf(frames[1:2] * 2, [frames[1], flat])
    assert whole == pytest.approx(0.9994 / (1 + math.exp(-7.5)) * 0.9879 / (1 + math.exp(-4.4)))
    assert none < 0.001
    assert measure_q_abf([flat, flat], [frames[1]]) == [1.0]


def test_exchanging_bright_and_dark_keeps_the_edges(frames: list[Plane]) -> None:
    same, negative = measure_q_abf(frames[1:2], [frames[1], 255 - frames[1]])
    assert negative == pytest.approx(same, abs=1e-6)
