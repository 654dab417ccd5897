"""Overviews of frames of any shape."""

from __future__ import annotations

import numpy as np

from mefuse.overview import factor_of, overview_of


def test_a_frame_of_common_size_is_its_own_overview() -> None:
    frame = np.zeros((600, 8192, 3), np.uint8)
    assert overview_of(frame) is frame


def test_a_larger_one_is_reduced_by_means(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 255, (40, 10_000, 3), np.uint8)
    seen = overview_of(frame)
    assert seen.shape == (10, 2500, 3)
    means = frame.reshape(10, 4, 2500, 4, 3).mean((1, 3))
    assert np.abs(seen - means).max() <= 0.5


def test_a_strip_keeps_its_rows() -> None:
    line = np.zeros((1, 60_000, 3), np.uint8)
    assert factor_of(line.shape) == 1
    assert overview_of(line) is line
    assert overview_of(np.zeros((5, 40_000, 3), np.uint8)).shape == (1, 10_000, 3)
