"""Overviews of frames of any shape."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import exposed, textured_light
from mefuse import aligned, views
from mefuse.aligned import Aligned
from mefuse.overview import factor_of, half_of, halves_of, overview_of


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


@pytest.mark.parametrize("size", [(400, 600), (401, 603)])
def test_halves_that_were_made_already_change_nothing(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aligned, "REDUCED_PX", 512)
    light = textured_light(*size, seed=4)
    frames = [exposed(light, stops) for stops in (-1.0, 0.0, 1.5)]
    frames[2][40:200, 60:260] = 90  # something moved
    transforms = [np.eye(3), np.eye(3), np.eye(3)]
    transforms[0][:2, 2] = 1.5, -2.25
    found = []
    for halves in ([], halves_of(frames)):
        one = Aligned.of(frames, reference=1, ghost="auto", transforms=transforms, halves=halves)
        found.append((one.ghost_shares, one.small(96), one.small(96)))
        assert not one.halves  # they have served
    assert found[0][0] == found[1][0] and found[0][0][2] > 0
    for first, second in zip(found[0][1:], found[1][1:], strict=True):
        assert all(map(np.array_equal, first, second))


def test_a_view_is_the_same_from_a_half_that_was_made_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(views, "FINE_PX", 400 * 600 // 4)
    for size in ((400, 600), (401, 601)):
        pixels = exposed(textured_light(*size, seed=2), 0.0)
        made = [views.view_of(pixels, half).fine_gray for half in (None, half_of(pixels))]
        assert np.array_equal(made[0].codes, made[1].codes)
        assert np.array_equal(made[0].to_full, made[1].to_full)
