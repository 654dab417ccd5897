"""Noise profiles: near the truth of a known sensor, blind to detail, quiet where nothing is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from helpers import exposed, textured_light, write_cfa_dng
from mefuse import blend, read
from mefuse.discover import find_sources
from mefuse.noise import BANDS, NODES, NoiseProfile, noise_profile

LIGHT = textured_light(512, 768, stops=8.0)
NODES_TESTED = (2, 4, 6, 9, 12)


def luma(pixels: NDArray[Any]) -> NDArray[np.float64]:
    return pixels @ np.array(blend.LUMA) / np.iinfo(pixels.dtype).max


def halved(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Taps 1 3 3 1, by hand."""
    for _ in range(2):
        wide = np.pad(plane, ((1, 1), (0, 0)), "edge")
        plane = (wide[:-3:2] + 3 * wide[1:-2:2] + 3 * wide[2:-1:2] + wide[3::2]).T / 8
    return plane


def true_bands(noisy: NDArray[Any], clean: NDArray[Any]) -> NDArray[np.float64]:
    """(BANDS, NODES) what really was added to the bands that blending takes."""
    added, level = luma(noisy) - luma(clean), luma(clean)
    table = np.full((BANDS, NODES), np.nan)
    for band in range(BANDS):
        smaller = halved(added)
        detail = added - cv2.resize(smaller, added.shape[::-1], interpolation=cv2.INTER_LINEAR)
        for node in NODES_TESTED:
            here = np.abs(level * (NODES - 1) - node) < 0.5
            if here.sum() > 200:
                table[band, node] = detail[here].std()
        added, level = smaller, halved(level)
    return table


def photographed(read_noise: float, shot_noise: float, *, depth: int) -> NDArray[Any]:
    rng = np.random.default_rng(4)
    spread = np.sqrt(read_noise**2 + shot_noise**2 * LIGHT)
    noisy = LIGHT + spread * rng.standard_normal(LIGHT.shape)
    return exposed(noisy.astype(np.float32), 0, depth=depth)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("gain", [1, 3, 8])
def test_shot_and_read_noise_within_a_fifth(gain: float, depth: int) -> None:
    noisy = photographed(0.0008 * gain, 0.004 * gain, depth=depth)
    truth = true_bands(noisy, exposed(LIGHT, 0, depth=depth))
    found = noise_profile(noisy)
    seen = np.isfinite(truth)
    assert seen[0].sum() >= 4
    assert found.bands[0][seen[0]] == pytest.approx(truth[0][seen[0]], rel=0.2)
    # The coarser a band, the more of a soft scene is in it.
    assert (found.bands[seen] > 0.7 * truth[seen]).all()
    assert (found.bands[1][seen[1]] < 1.6 * truth[1][seen[1]]).all()


def test_raw_noise_is_measured_as_demosaicing_left_it(tmp_path: Path) -> None:
    light = 0.9 * LIGHT
    write_cfa_dng(tmp_path / "clean.dng", light, exposure_time=(1, 1), white=16383)
    told: dict[str, Any] = {"noise": (0.002, 0.01), "white": 16383}
    write_cfa_dng(tmp_path / "noisy.dng", light, exposure_time=(1, 1), **told)
    noisy, clean = (
        read.read_frame(*find_sources([tmp_path / f"{name}.dng"])).pixels
        for name in ("noisy", "clean")
    )
    truth = true_bands(noisy, clean)
    seen = np.isfinite(truth[0])
    found = noise_profile(noisy).bands[0][seen]
    assert found == pytest.approx(truth[0][seen], rel=0.25)


def test_a_darker_frame_of_the_same_camera_has_the_same_noise_at_the_same_luma() -> None:
    profiles = []
    for ev in (0.0, -2.0):
        light = LIGHT * np.float32(2**ev)
        rng = np.random.default_rng(int(ev) + 9)
        noise = np.sqrt(0.002**2 + 0.008**2 * light) * rng.standard_normal(light.shape)
        profiles.append(noise_profile(exposed((light + noise).astype(np.float32), 0)))
    one, other = (profile.sigma[2:7] for profile in profiles)
    assert one == pytest.approx(other, rel=0.25)


def test_detail_is_not_taken_for_noise() -> None:
    rng = np.random.default_rng(2)
    texture = rng.random((512, 512, 1)).astype(np.float32)  # two thirds of the picture
    light = LIGHT.copy()
    light[:, :512] *= 0.5 + cv2.GaussianBlur(texture, (0, 0), 0.8)[..., None]
    noise = 0.004 * np.sqrt(0.05 + light) * rng.standard_normal(light.shape)
    clean, noisy = (exposed(x.astype(np.float32), 0) for x in (light, light + noise))
    found, truth = noise_profile(noisy), true_bands(noisy, clean)
    seen = np.isfinite(truth[0])
    assert (found.bands[0][seen] < 1.6 * truth[0][seen]).all()


def test_bands_are_those_of_blending() -> None:
    rng = np.random.default_rng(6)
    noise = np.clip(128 + 12 * rng.standard_normal((256, 256, 3)), 0, 255).astype(np.uint8)
    rgb = torch.from_numpy(noise.astype(np.float32) / 255).movedim(-1, 0)[None, None]
    fine = blend.decompose(rgb).fine
    found = noise_profile(noise).bands[:, NODES // 2]
    assert found == pytest.approx([float(band.std()) for band in fine], rel=0.06)


def test_sigma_is_that_of_white_noise() -> None:
    rng = np.random.default_rng(0)
    gray = 32768 + 300 * rng.standard_normal((512, 512, 1))
    profile = noise_profile(np.repeat(gray, 3, axis=2).astype(np.uint16))
    assert profile.sigma[NODES // 2] * 65535 == pytest.approx(300, rel=0.05)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_an_even_frame_has_no_noise(dtype: type, share: float) -> None:
    even = np.full((256, 256, 3), share * np.iinfo(dtype).max, dtype)
    assert (noise_profile(even).bands * 255 < 0.01).all()


@pytest.mark.parametrize("shape", [(1, 1), (15, 400), (400, 15), (16, 16), (17, 33), (64, 200)])
def test_any_size_will_do(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(90, 110, (*shape, 3), np.uint8)
    profile = noise_profile(pixels)
    assert isinstance(profile, NoiseProfile)
    assert profile.luma.shape == (NODES,) and profile.bands.shape == (BANDS, NODES)
    assert np.isfinite(profile.bands).all() and (profile.bands >= 0).all()


def test_few_pixels_stand_for_many() -> None:
    rng = np.random.default_rng(3)
    large = (128 + 4 * rng.standard_normal((3000, 2000, 1))).astype(np.uint8)
    sigma = noise_profile(np.repeat(large, 3, axis=2)).sigma
    assert sigma[NODES // 2] * 255 == pytest.approx(4, rel=0.05)
