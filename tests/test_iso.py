"""ISO-aware weights: a noisy frame's noise is no detail, and only where ISOs differ."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.grid import FINE
from mefuse.host.features import glimpse
from mefuse.iso import noisier_frames, without_noise
from mefuse.stream import load_network_fuser

Pixels = NDArray[Any]
SIZE = (192, 256)


@pytest.mark.parametrize(
    ("isos", "noisier"),
    [
        ((100, 100, 100), ()),
        ((100, 125, 160), ()),
        ((3200, 100, 100), (0,)),
        ((100, 200, 400), (1, 2)),
        ((3200, None, 100), ()),
        ((), ()),
    ],
)
def test_only_a_higher_iso_counts(isos: tuple[float | None, ...], noisier: tuple[int, ...]) -> None:
    assert noisier_frames(isos) == noisier


def taken(light: Pixels, ev: float, sigma: float, seed: int) -> Pixels:
    """A frame with noise of that standard deviation in linear light."""
    grain = np.random.default_rng(seed).normal(0, sigma, light.shape)
    seen = np.clip(light * 2.0**ev + grain, 0, 1) ** (1 / 2.2)
    return np.asarray(np.rint(seen * 255), np.uint8)


def scene() -> Pixels:
    """Flat and textured places, dark and light."""
    rng = np.random.default_rng(3)
    coarse = rng.uniform(-5, 0, (6, 8, 1)).repeat(3, 2).astype(np.float32)
    stops = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    stops[:, SIZE[1] // 2 :] += rng.normal(0, 0.3, (SIZE[0], SIZE[1] // 2, 1)).astype(np.float32)
    return np.exp2(np.minimum(stops, 0))


def fused(frames: list[Pixels], isos: tuple[float, ...]) -> Any:
    bracket = Aligned.of(frames, reference=1, ghost="off", isos=isos)
    return load_network_fuser("ipl", device="cpu").fuse(
        bracket, depth=16, slice_size=None, on_slice=None, keep_weight_maps=True
    )


def flat_noise(one: Pixels, other: Pixels) -> float:
    """Noise of two takes of one scene, in codes of 8 bits, where it is flat and dark."""
    half = np.s_[:, : SIZE[1] // 2]
    dark = (scene()[half] < 0.1).all(2)
    difference = (one[half].astype(float) - other[half]).mean(2) / 257
    return float(difference[dark].std() / np.sqrt(2))


def test_a_noisy_dark_frame_weighs_less_and_its_noise_is_not_lifted() -> None:
    light = scene()
    twice = [
        [
            taken(light, -2, 0.004, seed),
            taken(light, 0, 0.0005, seed + 50),
            taken(light, 2, 0.0005, seed + 90),
        ]
        for seed in (1, 2)
    ]
    alike = [fused(frames, (100, 100, 100)) for frames in twice]
    aware = [fused(frames, (3200, 100, 100)) for frames in twice]
    before, after = (flat_noise(*(run.pixels for run in runs)) for runs in (alike, aware))
    best = flat_noise(*(frames[2].astype(np.uint16) * 257 for frames in twice))
    dark = scene()[::8, ::8].max(2) < 0.1
    shares = [run.weight_maps[0][dark].mean() for run in (alike[0], aware[0])]
    assert shares[1] < 0.95 * shares[0]
    assert after < 0.6 * before
    assert after < max(1.2 * best, 0.6)


def test_detail_is_left_to_the_frame_that_alone_has_it() -> None:
    seen = glimpse([taken(scene(), 0, 0.01, 1)])
    luma, energies = seen.luma[0], seen.energies[0]
    gains = np.ones((FINE, *luma.shape), np.float32)
    fine, chroma = without_noise(luma, energies, gains, rounding=1 / 255)
    columns = luma.shape[1] // 2
    assert fine.max() <= 0
    assert chroma.max() <= 0
    assert np.median(fine[0][:, :columns]) < -2.0
    assert np.median(fine[0][:, columns:]) > -1.2
