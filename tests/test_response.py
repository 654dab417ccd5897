"""Level maps follow the camera's response, whatever moved."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import exposed, textured_light
from mefuse.response import map_levels


def _true_levels(stops: float) -> NDArray[np.float64]:
    """What each level becomes, so many stops brighter: (256,)."""
    levels = np.arange(256) / 255
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    gray = np.repeat(light.astype(np.float32)[None, :, None], 3, 2)
    return exposed(gray, stops)[0, :, 0].astype(np.float64)


@pytest.mark.parametrize("stops", [-3.0, 0.0, 2.0])
def test_the_map_is_the_response(stops: float) -> None:
    light = textured_light(300, 400, seed=3)
    first, second = exposed(light, 1.0), exposed(light, 1.0 + stops)
    found = map_levels(first, second)
    true = _true_levels(stops)
    seen = np.bincount(first[..., 1].ravel(), minlength=256) > 30
    seen &= np.arange(256) < 250  # a clipped level may be anything
    assert np.abs(found.centre[1] - true)[seen].max() < 4
    assert (found.low[1] <= true + 1)[seen].all()
    assert (found.high[1] >= true - 1)[seen].all()
    for part in (found.centre, found.low, found.high):
        assert (np.diff(part, axis=1) >= 0).all()


def test_what_moved_does_not_change_themap_levels(rng: np.random.Generator) -> None:
    light = textured_light(300, 400, seed=4)
    first, second = exposed(light, 0.0), exposed(light, 2.0)
    still = map_levels(first, second)
    moved = second.copy()
    moved[60:180, 50:250] = rng.integers(0, 256, 3, dtype=np.uint8)
    found = map_levels(first, moved)
    seen = np.bincount(first[..., 1].ravel(), minlength=256) > 30
    assert np.abs(found.centre[1] - still.centre[1])[seen].max() < 8


def test_a_clipped_level_says_nothing() -> None:
    light = textured_light(300, 400, seed=5)
    found = map_levels(exposed(light, 3.0), exposed(light, -1.0))
    assert found.open[1, 255] > 0.9
    assert found.open[1, 60:200].max() < 0.1
    assert found.low[1, 255] < found.high[1, 250]
    assert found.high[1, 255] > 150


def test_nothing_in_common_gives_a_map_that_never_falls(rng: np.random.Generator) -> None:
    first, second = (rng.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(2))
    found = map_levels(first, second)
    assert np.isfinite(found.centre).all()
    assert (np.diff(found.centre, axis=1) >= 0).all()
