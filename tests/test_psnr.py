"""PSNR: the definition, in a mask too."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mefuse.metrics.psnr import LARGEST_DB, measure_psnr


def test_it_is_the_definition_whole_and_masked(rng: np.random.Generator) -> None:
    one, other = (rng.integers(0, 256, (33, 47, 3)).astype(np.uint8) for _ in range(2))
    mask = rng.random((33, 47)) < 0.3
    squares = (one.astype(float) - other) ** 2
    whole = 10 * math.log10(255**2 / squares.mean())
    masked = 10 * math.log10(255**2 / squares[mask].mean())
    assert measure_psnr(one, other) == pytest.approx(whole, abs=1e-9)
    assert measure_psnr(one, other, mask=mask) == pytest.approx(masked, abs=1e-9)


def test_equal_pictures_and_empty_masks() -> None:
    one = np.full((5, 6, 3), 7, np.uint8)
    other = one.copy()
    other[2, 3] = 200
    moved = np.zeros((5, 6), bool)
    assert measure_psnr(one, other, mask=moved) is None
    moved[0, 0] = True
    assert measure_psnr(one, other, mask=moved) == LARGEST_DB
    assert measure_psnr(one, one) == LARGEST_DB
