"""Things that can move: soft covers, limbs that swing, blur that keeps the place and the amount."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mefuse.synth import cutouts
from mefuse.synth.cones import MARGIN
from mefuse.synth.pictures import Picture

HEIGHT = 120


@pytest.fixture(params=["noise", "photographs"])
def photos(request: pytest.FixtureRequest) -> list[Picture]:
    if request.param == "noise":
        return []
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 90, 130), np.uint8))
    return [Picture("photograph", pixels)]


def _all_kinds(seed: int, photos: list[Picture]) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return {
        "walker": cutouts.walker(rng, photos, HEIGHT, phases=[0.4], turned=-0.7)[0],
        "car": cutouts.car(rng, photos, HEIGHT),
        "twig": cutouts.twig(rng, photos, HEIGHT, swings=[0.1], leaves=9)[0],
        "piece": cutouts.piece(rng, photos, HEIGHT),
    }


def test_covers_are_soft_and_colours_premultiplied(photos: list[Picture]) -> None:
    for name, pixels in _all_kinds(3, photos).items():
        colour, cover = pixels[:3], pixels[3]
        assert pixels.shape[:2] == (4, round(HEIGHT * (1 + 2 * MARGIN))), name
        assert torch.isfinite(pixels).all() and colour.min() >= 0, name
        assert cover.min() == 0 and cover.max() == pytest.approx(1, abs=1e-5), name
        assert not colour[:, cover == 0].any(), name
        soft = ((cover > 0.02) & (cover < 0.98)).sum()
        assert 0 < soft < (cover > 0.5).sum(), name
        assert 0.005 < colour[:, cover > 0.9].mean() < 0.8, name


def test_things_are_as_high_as_said() -> None:
    cover = _all_kinds(1, [])["walker"][3]
    rows = (cover > 0.5).any(1).nonzero().flatten()
    assert (rows[-1] - rows[0]).item() == pytest.approx(HEIGHT, rel=0.06)


def test_the_same_seed_draws_the_same(photos: list[Picture]) -> None:
    first, second, other = (_all_kinds(seed, photos) for seed in (1, 1, 2))
    for name, pixels in first.items():
        assert torch.equal(pixels, second[name])
        assert not torch.equal(pixels, other[name])


def test_limbs_and_leaves_swing() -> None:
    rng = np.random.default_rng(1)
    here, there = cutouts.walker(rng, [], HEIGHT, phases=[0.0, 1.5], turned=1.0)
    head, legs = slice(0, HEIGHT // 6), slice(HEIGHT // 2, HEIGHT)
    moved = (here[3] - there[3]).abs()
    assert moved[legs].mean() > 3 * moved[head].mean()
    left, right = cutouts.twig(rng, [], HEIGHT, swings=[0.0, 0.3], leaves=9)
    moved = (left[3] - right[3]).abs()
    assert moved[HEIGHT // 2 :].mean() > 2 * moved[: HEIGHT // 4].mean() > 0


@pytest.mark.parametrize(("down", "right"), [(0.0, 0.4), (0.0, 24.0), (-9.0, 13.0), (2.0, -70.0)])
def test_blur_keeps_the_place_and_the_amount(down: float, right: float) -> None:
    pixels = torch.zeros(4, 30, 40)
    pixels[:, 14:17, 18:23] = 1
    blurred = cutouts.blurred(pixels, down, right)
    assert blurred.sum() == pytest.approx(pixels.sum().item(), rel=1e-4)
    found = blurred[3].nonzero().float()
    middle = found.mean(0) - torch.tensor(blurred.shape[1:]).float() / 2
    was = pixels[3].nonzero().float().mean(0) - torch.tensor([15.0, 20.0])
    assert torch.allclose(middle, was, atol=1.01)
    spread = (found.amax(0) - found.amin(0)).tolist()
    assert spread == pytest.approx([2 + abs(down), 4 + abs(right)], abs=2.5)
