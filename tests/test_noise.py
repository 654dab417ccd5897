"""Noise profiles: near the truth of a known sensor, blind to detail, quiet where nothing is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import exposed, textured_light, write_cfa_dng
from mefuse import read
from mefuse.discover import find_sources
from mefuse.gamut import LUMA
from mefuse.host.features import glimpse
from mefuse.noise import NODES, noise_profile

LIGHT = textured_light(512, 768, stops=8.0)
NODES_TESTED = (2, 4, 6, 9, 12)


def luma(pixels: NDArray[Any]) -> NDArray[np.float64]:
    return pixels @ np.array(LUMA) / np.iinfo(pixels.dtype).max


def true_sigma(noisy: NDArray[Any], clean: NDArray[Any]) -> NDArray[np.float64]:
    """(NODES,) standard deviation of what was really added to the luma; nan where not seen."""
    added, level = luma(noisy) - luma(clean), luma(clean)
    table = np.full(NODES, np.nan)
    for node in NODES_TESTED:
        here = np.abs(level * (NODES - 1) - node) < 0.5
        if here.sum() > 200:
            table[node] = added[here].std()
    return table


def measured(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """The profile of a frame, from what blending keeps of it."""
    padded = cv2.copyMakeBorder(
        pixels, 0, -pixels.shape[0] % 8, 0, -pixels.shape[1] % 8, cv2.BORDER_REPLICATE
    )
    seen = glimpse([np.asarray(padded)])
    return noise_profile(seen.luma[0], seen.energies[0, 0], rounding=1 / np.iinfo(pixels.dtype).max)


def photographed(read_noise: float, shot_noise: float, *, depth: int) -> NDArray[Any]:
    rng = np.random.default_rng(4)
    spread = np.sqrt(read_noise**2 + shot_noise**2 * LIGHT)
    noisy = LIGHT + spread * rng.standard_normal(LIGHT.shape)
    return exposed(noisy.astype(np.float32), 0, depth=depth)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("gain", [1, 3, 8])
def test_shot_and_read_noise_within_a_fifth(gain: float, depth: int) -> None:
    noisy = photographed(0.0008 * gain, 0.004 * gain, depth=depth)
    truth = true_sigma(noisy, exposed(LIGHT, 0, depth=depth))
    seen = np.isfinite(truth)
    assert seen.sum() >= 4
    assert measured(noisy)[seen] == pytest.approx(truth[seen], rel=0.2)


def test_raw_noise_is_measured_as_demosaicing_left_it(tmp_path: Path) -> None:
    light = 0.9 * LIGHT
    write_cfa_dng(tmp_path / "clean.dng", light, exposure_time=(1, 1), white=16383)
    told: dict[str, Any] = {"noise": (0.002, 0.01), "white": 16383}
    write_cfa_dng(tmp_path / "noisy.dng", light, exposure_time=(1, 1), **told)
    noisy, clean = (
        read.read_frame(*find_sources([tmp_path / f"{name}.dng"])).pixels
        for name in ("noisy", "clean")
    )
    truth = true_sigma(noisy, clean)
    seen = np.isfinite(truth)
    # Demosaicing makes noise coarser: less of it is in the finest band than of white noise.
    found = measured(noisy)[seen] / truth[seen]
    assert (found > 0.6).all() and (found < 1.2).all()


def test_a_darker_frame_of_the_same_camera_has_the_same_noise_at_the_same_luma() -> None:
    profiles = []
    for ev in (0.0, -2.0):
        light = LIGHT * np.float32(2**ev)
        rng = np.random.default_rng(int(ev) + 9)
        noise = np.sqrt(0.002**2 + 0.008**2 * light) * rng.standard_normal(light.shape)
        profiles.append(measured(exposed((light + noise).astype(np.float32), 0))[2:7])
    assert profiles[0] == pytest.approx(profiles[1], rel=0.25)


def test_detail_is_not_taken_for_noise() -> None:
    rng = np.random.default_rng(2)
    texture = rng.random((512, 512, 1)).astype(np.float32)  # two thirds of the picture
    light = LIGHT.copy()
    light[:, :512] *= 0.5 + cv2.GaussianBlur(texture, (0, 0), 0.8)[..., None]
    noise = 0.004 * np.sqrt(0.05 + light) * rng.standard_normal(light.shape)
    clean, noisy = (exposed(x.astype(np.float32), 0) for x in (light, light + noise))
    truth = true_sigma(noisy, clean)
    seen = np.isfinite(truth)
    assert (measured(noisy)[seen] < 1.6 * truth[seen]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_an_even_frame_has_no_noise(dtype: type, share: float) -> None:
    even = np.full((256, 256, 3), share * np.iinfo(dtype).max, dtype)
    assert (measured(even) * 255 < 0.01).all()


@pytest.mark.parametrize("shape", [(1, 1), (15, 400), (400, 15), (16, 16), (17, 33), (64, 200)])
def test_any_size_will_do(shape: tuple[int, int]) -> None:
    profile = measured(np.random.default_rng(1).integers(90, 110, (*shape, 3), np.uint8))
    assert profile.shape == (NODES,)
    assert np.isfinite(profile).all() and (profile >= 0).all()


def test_few_pixels_stand_for_many() -> None:
    rng = np.random.default_rng(3)
    large = (128 + 4 * rng.standard_normal((3000, 2000, 1))).astype(np.uint8)
    sigma = measured(np.repeat(large, 3, axis=2))[NODES // 2]
    assert sigma * 255 == pytest.approx(4, rel=0.05)
