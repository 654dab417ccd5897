"""Samples reach training as often as told, mixed, and the same for the same seed."""

from __future__ import annotations

from itertools import count, islice
from typing import Any, cast

import numpy as np
import torch

from mefuse.synth.pictures import Picture
from mefuse.train.data import Sample, draw_sample
from mefuse.train.feed import _repeated, feed
from mefuse.train.recipe import Recipe

RECIPE = Recipe(brackets=1, size_px=128)


def _picture(rng: np.random.Generator) -> Picture:
    return Picture("noise", torch.from_numpy(rng.integers(0, 255, (3, 300, 300), np.uint8)))


def test_a_process_of_its_own_draws_what_the_seed_says(rng: np.random.Generator) -> None:
    pictures = [_picture(rng)]
    fed = list(islice(feed(pictures, RECIPE, seed=(1, 0), workers=1), 2))
    draws = np.random.default_rng((1, 0, 0))
    for sample in fed:
        drawn = draw_sample(draws, pictures, brackets=1, size_px=128)
        assert torch.equal(sample.detail, drawn.detail)
        assert sample.region == drawn.region


def test_workers_draw_by_turns_and_none_means_here(rng: np.random.Generator) -> None:
    pictures = [_picture(rng)]
    first, second = islice(feed(pictures, RECIPE, seed=(1, 0), workers=2), 2)
    assert not torch.equal(first.small, second.small)
    (here,) = islice(feed(pictures, RECIPE, seed=(1, 0), workers=0), 1)
    drawn = draw_sample(np.random.default_rng((1, 0)), pictures, brackets=1, size_px=128)
    assert torch.equal(here.detail, drawn.detail)


def test_each_sample_is_used_as_often_as_told() -> None:
    numbers = cast(Any, iter(count()))
    given = list(islice(_repeated(numbers, 2, np.random.default_rng(1)), 400))
    uses = np.bincount(cast(list[int], given), minlength=100)
    assert uses.max() == 2
    assert (uses[:100] == 2).mean() > 0.8  # the rest still waits for its second use
    assert given[:20] != sorted(given[:20])


def test_one_use_keeps_the_order() -> None:
    stream = cast(Any, iter(cast(list[Sample], [3, 1, 2])))
    assert list(_repeated(stream, 1, np.random.default_rng(1))) == [3, 1, 2]


def test_a_recipe_that_counts_colour_beyond_opencvs_measures_it(rng: np.random.Generator) -> None:
    pictures = [_picture(rng)]
    recipe = Recipe(brackets=2, size_px=128, sizes={"160": 0.5}, colour_excess=0.5)
    drawn = list(islice(feed(pictures, recipe, seed=(4, 0), workers=0), 6))
    for sample in drawn:
        large = sample.detail.shape[-1] == 160
        assert len(sample.detail) == (1 if large else 2)
        assert sample.mertens is not None
        assert sample.mertens.shape == (len(sample.detail),)
    assert {s.detail.shape[-1] for s in drawn} == {128, 160}
    (plain,) = islice(feed(pictures, RECIPE, seed=(4, 0), workers=0), 1)
    assert plain.mertens is None
