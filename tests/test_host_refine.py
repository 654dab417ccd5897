"""The host's refinement against the definition in `refine.py`."""

import numpy as np
import pytest
import torch

import mefuse.host.refine as of_host
import mefuse.refine as defined


def bracket(rng, count, size):
    """Luma (count, h, w) of frames that agree in part and clip."""
    base = rng.uniform(0, 1, size).astype(np.float32)
    stops = np.linspace(-2, 2, count, dtype=np.float32)[:, None, None]
    noise = rng.normal(0, 0.02, (count, *size)).astype(np.float32)
    return np.clip(base * 2**stops + noise, 0, 1)


def both(luma):
    blended = luma.mean(0)
    tint = np.array([0.7, 1, 1.2], np.float32)[:, None, None]
    colour = np.clip(luma[:, None] * tint, 0, 1)
    tensors = (torch.from_numpy(grid)[None] for grid in (blended, luma, colour))
    wanted = defined.refine(*tensors)
    return of_host.refine(blended, luma, colour), wanted[0].numpy(), blended


@pytest.mark.parametrize("size", [(24, 40), (17, 45), (8, 8), (9, 64), (75, 33)])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_it_is_the_one_defined(rng, count, size):
    ours, wanted, blended = both(bracket(rng, count, size))
    assert ours.dtype == np.float32
    assert np.allclose(ours, wanted, atol=1e-4)
    assert np.abs(ours - blended).max() > 0.01  # it does something


def test_large_grids_go_by_half_in_both(rng, monkeypatch):
    for module in (of_host, defined):
        monkeypatch.setattr(module, "REFINE_MOST_CELLS", 500)
    ours, wanted, _ = both(bracket(rng, 3, (41, 37)))
    assert np.allclose(ours, wanted, atol=1e-4)


def test_short_sides_are_left_alone(rng):
    luma = bracket(rng, 2, (7, 30))
    blended = luma.mean(0)
    assert of_host.refine(blended, luma, np.repeat(luma[:, None], 3, 1)) is blended


@pytest.mark.parametrize("value", [0, 1])
def test_black_and_white_frames_are_no_danger(value):
    luma = np.full((2, 16, 16), value, np.float32)
    refined = of_host.refine(luma.mean(0), luma, np.repeat(luma[:, None], 3, 1))
    assert np.isfinite(refined).all()
