"""Brightness of frames: estimates, emptiness, what the camera said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from helpers import exposed, textured_light
from mefuse import exposure
from mefuse.frames import Exposure


def lumas_of(evs: list[float]) -> list[exposure.Luma]:
    light = textured_light(240, 320, seed=3)
    return [exposure.luma_small(exposed(light, ev)) for ev in evs]


@pytest.mark.parametrize("evs", [[-4, -2, 0], [-1, 1, 3], [-2, 0, 2, 4, 6], [0, 0.33]])
def test_estimates_the_steps_of_a_bracket(evs: list[float]) -> None:
    estimated = exposure.estimate_evs(lumas_of(evs))
    assert np.allclose(estimated, np.array(evs) - evs[0], atol=0.15)


def test_estimates_do_not_depend_on_the_order() -> None:
    lumas = lumas_of([-3, -1, 1, 3])
    expected = exposure.estimate_evs(lumas)
    for order in itertools.permutations(range(4)):
        shuffled = exposure.estimate_evs([lumas[i] for i in order])
        assert shuffled == [expected[i] for i in order]


def test_estimates_stand_noise_and_a_moving_thing() -> None:
    rng = np.random.default_rng(1)
    lumas = lumas_of([-2, 0, 2])
    noisy = [np.clip(x + rng.normal(0, 0.01, x.shape), 0, 1).astype(np.float32) for x in lumas]
    noisy[1][40:120, 40:120] = 0.9
    assert np.allclose(exposure.estimate_evs(noisy), [0, 2, 4], atol=0.25)


def test_frames_that_share_nothing_get_a_bounded_step() -> None:
    dark = np.full((40, 40), 0.001, np.float32)
    bright = np.full((40, 40), 0.999, np.float32)
    first, second = exposure.estimate_evs([dark, bright])
    assert first == 0.0
    assert 4.0 < second <= 8.0


def test_equal_frames_are_zero_stops_apart() -> None:
    (luma,) = lumas_of([0])
    assert exposure.estimate_evs([luma, luma.copy(), luma.copy()]) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_luma_small_is_a_gray_mean_of_any_depth(dtype: type) -> None:
    pixels = np.zeros((600, 900, 3), dtype)
    pixels[...] = (np.iinfo(dtype).max, 0, 0)
    luma = exposure.luma_small(pixels)
    assert luma.shape == (171, 256)
    assert luma.dtype == np.float32
    assert np.allclose(luma, 0.2126, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 700)])
def test_luma_small_of_thin_pictures(shape: tuple[int, int]) -> None:
    luma = exposure.luma_small(np.full((*shape, 3), 255, np.uint8))
    assert min(luma.shape) >= 1
    assert max(luma.shape) <= 256
    assert np.allclose(luma, 1.0)


def test_a_noisy_black_frame_is_empty() -> None:
    noise = np.random.default_rng(0).integers(0, 5, (200, 300, 3), dtype=np.uint8)
    noise[7, 9] = 255  # a hot pixel
    assert exposure.emptiness(exposure.luma_small(noise)) == "black"


def test_a_white_frame_is_empty() -> None:
    luma = exposure.luma_small(np.full((200, 300, 3), 254, np.uint8))
    assert exposure.emptiness(luma) == "white"


def test_a_dark_frame_with_a_lamp_is_not_empty() -> None:
    pixels = np.ones((200, 300, 3), np.uint8)
    pixels[20:40, 20:40] = 90
    assert exposure.emptiness(exposure.luma_small(pixels)) is None


def test_half_black_half_white_is_not_empty() -> None:
    luma = np.zeros((20, 20), np.float32)
    luma[10:] = 1
    assert exposure.emptiness(luma) is None


def test_well_exposed_share() -> None:
    luma = np.array([[0.0, 0.04, 0.5, 0.94, 0.96]], np.float32)
    assert exposure.well_exposed_share(luma) == pytest.approx(0.4)


def test_camera_stops_compare_only_what_every_frame_has() -> None:
    told = [Exposure(1 / 100, None, 100), Exposure(1 / 25, 8.0, 100)]
    stops = exposure.camera_stops(told)
    assert stops is not None
    assert stops[1] - stops[0] == pytest.approx(2.0)


def test_camera_stops_use_aperture_and_iso() -> None:
    stops = exposure.camera_stops([Exposure(1 / 50, 8, 100), Exposure(1 / 50, 4, 400)])
    assert stops is not None
    assert stops[1] - stops[0] == pytest.approx(4.0)


def test_camera_stops_need_every_time() -> None:
    assert exposure.camera_stops([Exposure(1 / 50), Exposure()]) is None


def test_equal_stops_contradict_different_pictures() -> None:
    assert exposure.contradicts([1.0, 1.05], [0.0, 2.0])
    assert not exposure.contradicts([1.0, 1.05], [0.0, 0.2])
    assert not exposure.contradicts([0.0, 2.0], [0.0, 2.0])
