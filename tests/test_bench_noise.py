"""The noise measurement itself, and that fusing with the shipped weights lifts no noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import exposed, textured_light
from mefuse.bench.noise import noise_ratios, shadow_ratios
from mefuse.fuse import fuse_pixels
from mefuse.settings import FuseSettings

LIGHT = textured_light(192, 256, stops=8.0)


def photographed(seed: int, ev: int) -> NDArray[Any]:
    """A frame at ISO 3200."""
    rng = np.random.default_rng([seed, ev + 9])
    light = LIGHT * np.float32(2.0**ev)
    spread = np.sqrt(0.003**2 + 0.025**2 * light)
    return exposed((light + spread * rng.standard_normal(light.shape)).astype(np.float32), 0)


FRAMES = [[photographed(seed, ev) for ev in (-3, 0, 2)] for seed in (0, 1)]


@pytest.mark.parametrize("share", [0.5, 1.0, 2.0])
def test_noise_is_measured_beside_the_brightest_frame(share: float) -> None:
    one, other = (frames[0].astype(float) for frames in FRAMES)
    middle = (one + other) / 2
    fused = [
        np.clip(middle + share * (x - middle), 0, 255).round().astype(np.uint8)
        for x in (one, other)
    ]
    alone = [[frames[0]] for frames in FRAMES]
    assert np.median(noise_ratios(alone, fused)[0]) == pytest.approx(share, rel=0.1)


def test_no_frame_adds_noise_to_the_best_one() -> None:
    settings = FuseSettings(align=False, crop=False, depth=16)
    luma, *colours = noise_ratios(FRAMES, [fuse_pixels(f, settings=settings) for f in FRAMES])
    assert np.median(luma) < 0.95
    assert np.quantile(luma, 0.95) < 1.1
    assert all(np.median(colour) < 1.1 for colour in colours)


def test_grain_of_shadows_is_measured_beside_the_brightest_frame() -> None:
    dark = exposed(np.full((256, 256, 3), 0.02, np.float32), 0).astype(float)
    rng = np.random.default_rng(0)
    frames = [np.uint8(np.rint(dark + rng.normal(0, sigma, dark.shape))) for sigma in (2, 4)]
    fused = np.uint8(np.rint(dark + rng.normal(0, 4, dark.shape)))
    ratios = shadow_ratios(frames, fused)
    assert ratios is not None
    assert ratios["best_exposed"] == pytest.approx(2.0, rel=0.15)
    assert shadow_ratios([np.full_like(fused, 200)], np.full_like(fused, 200)) is None
