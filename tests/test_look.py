"""Looks: curves that rise and undo each other, colour that follows, no bands, the series' key."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mefuse.depth import to_depth
from mefuse.look import (
    SERIES_LIMIT_EV,
    Rendering,
    apply_look,
    choose_rendering,
    in_series,
    measure_key,
    tone_curve,
)
from mefuse.settings import LookSettings

CODES = np.linspace(0, 1, 65536)


def _linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _ramp(low: int, high: int, width: int = 2048) -> np.ndarray:
    """A gray ramp (64, width, 3) uint16."""
    row = np.linspace(low, high, width).astype(np.uint16)
    return np.repeat(np.repeat(row[np.newaxis, :, np.newaxis], 64, axis=0), 3, axis=2)


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    coarse = rng.integers(2000, 60000, (30, 40, 3))
    return np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1).astype(np.uint16)


@settings(max_examples=40, deadline=None)
@given(st.floats(-3.5, 3.5), st.floats(-1, 1))
def test_the_curve_always_rises_and_keeps_black_and_white(ev: float, contrast: float) -> None:
    rendering = Rendering(exposure_ev=ev / 2, contrast=contrast, series_ev=ev / 2)
    curve = tone_curve(rendering, CODES)
    assert (np.diff(curve) > 0).all()  # so nothing is cut off at either end
    assert curve[[0, -1]] == pytest.approx([0, 1], abs=1e-9)


@pytest.mark.parametrize(("ev", "low", "high"), [(1, 0.8, 1.0), (-1, -1.05, -0.8), (2, 1.5, 2)])
def test_exposure_moves_middle_gray_by_about_its_stops(ev: float, low: float, high: float) -> None:
    gray = np.array([0.4614])  # 18 % of linear light
    stops = np.log2(_linear(tone_curve(Rendering(exposure_ev=ev), gray)) / _linear(gray))
    assert low < stops[0] < high
    dark = np.array([0.01])
    stops = np.log2(_linear(tone_curve(Rendering(exposure_ev=ev), dark)) / _linear(dark))
    assert stops[0] == pytest.approx(ev, abs=0.02)


def test_exposures_add_up_and_undo_each_other() -> None:
    once = tone_curve(Rendering(exposure_ev=0.7), CODES)
    assert np.abs(tone_curve(Rendering(exposure_ev=-0.7), once) - CODES).max() < 1e-3
    twice = tone_curve(Rendering(exposure_ev=0.5), once)
    assert np.abs(twice - tone_curve(Rendering(exposure_ev=1.2), CODES)).max() < 1e-3


def test_contrast_steepens_the_middle_and_leaves_middle_gray() -> None:
    for contrast, slope in ((1.0, 1.45), (-1.0, 0.65)):
        curve = tone_curve(Rendering(contrast=contrast), np.array([0.49, 0.5, 0.51]))
        assert curve[1] == pytest.approx(0.5)
        assert (curve[2] - curve[0]) / 0.02 == pytest.approx(slope, abs=0.01)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_neutral_look_is_the_same_array(picture: np.ndarray, depth: int) -> None:
    pixels = to_depth(picture, depth)
    before = pixels.copy()
    assert apply_look(pixels, Rendering(), depth=depth) is pixels
    assert np.array_equal(pixels, before)


def test_luma_follows_the_curve_and_colour_its_ratio(picture: np.ndarray) -> None:
    rendering = Rendering(exposure_ev=0.5)
    rendered = apply_look(picture.copy(), rendering, depth=16).astype(np.float64)
    weights = np.array([0.299, 0.587, 0.114])
    luma, now = picture @ weights / 65535, rendered @ weights / 65535
    wanted = tone_curve(rendering, luma)
    assert np.abs(now - wanted).max() < 2e-4
    inside = (rendered > 0).all(-1) & (rendered < 65535).all(-1)
    ratio = (wanted / luma)[..., np.newaxis]
    assert np.abs(rendered - picture * ratio)[inside].max() < 40  # in codes: every channel alike


def test_gray_stays_gray() -> None:
    rendered = apply_look(_ramp(0, 65535), Rendering(1.0, 0.5, 1.0), depth=16)
    assert np.ptp(rendered.astype(np.int64), axis=2).max() <= 1


def test_no_bands_at_16_bits() -> None:
    rendered = apply_look(_ramp(20000, 22000), Rendering(2.0, 1.0), depth=16)
    steps = np.diff(rendered[0, :, 1].astype(np.int64))
    assert (steps >= 0).all()
    assert steps.max() <= 3  # a rise of one code by a slope of at most 2.4, rounded


def test_8_bits_are_dithered_once_at_the_end() -> None:
    ramp, rendering = _ramp(20000, 22000), Rendering(1.0, 0.3)
    deep = apply_look(ramp.copy(), rendering, depth=16)
    shallow = apply_look(ramp.copy(), rendering, depth=8)
    assert np.array_equal(shallow, to_depth(deep, 8))
    mean = shallow[..., 0].astype(np.float64).mean(0).reshape(-1, 16).mean(1)
    wanted = deep[0, :, 0].astype(np.float64).reshape(-1, 16).mean(1) / 257
    assert np.abs(mean - wanted).max() < 0.15  # rounding would be half a code off


def test_strips_give_what_the_whole_gives(
    picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering = Rendering(-0.5, 0.2, 0.3)
    whole = apply_look(picture.copy(), rendering, depth=8)
    monkeypatch.setattr("mefuse.look._STRIP_PIXELS", 7 * picture.shape[1])
    assert np.array_equal(apply_look(picture.copy(), rendering, depth=8), whole)


def test_presets_and_controls_join() -> None:
    assert choose_rendering(LookSettings()).is_neutral
    vivid = choose_rendering(LookSettings("vivid"))
    assert vivid.contrast > 0
    assert vivid.saturation > 0
    assert choose_rendering(LookSettings("vivid", saturation=-1)).saturation == -1
    assert choose_rendering(LookSettings("vivid", contrast=1)).contrast == 1
    assert choose_rendering(LookSettings(exposure_ev=0.5, contrast=-0.2)) == Rendering(0.5, -0.2)


def test_a_series_moves_each_picture_to_its_key_within_bounds() -> None:
    series = LookSettings(series_key_ev=0.8, exposure_ev=0.1)
    assert choose_rendering(series, key_ev=0.3).series_ev == pytest.approx(0.5)
    assert choose_rendering(series, key_ev=0.8) == Rendering(0.1)
    assert choose_rendering(series, key_ev=9.0).series_ev == -SERIES_LIMIT_EV
    assert choose_rendering(series) == Rendering(0.1)  # nothing is known of the picture


def test_colour_hardly_follows_what_luma_gains_for_a_series(picture: np.ndarray) -> None:
    own = apply_look(picture.copy(), Rendering(exposure_ev=1.0), depth=16)
    shared = apply_look(picture.copy(), Rendering(series_ev=1.0), depth=16)
    weights = np.array([0.299, 0.587, 0.114])
    assert np.abs(own @ weights - shared @ weights).max() < 4
    luma = picture @ weights
    middle = (luma > 10000) & (luma < 30000)  # where all of the colour has room
    spreads = [np.ptp(p.astype(float), axis=2)[middle].mean() for p in (picture, shared, own)]
    assert spreads[0] < spreads[1] < 1.15 * spreads[0]
    assert spreads[2] > 1.15 * spreads[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_key_is_the_exposure_that_was_added(picture: np.ndarray, dtype: type) -> None:
    dark = (picture // 3).astype(np.uint16)
    lighter = apply_look(dark.copy(), Rendering(exposure_ev=1.0), depth=16)
    depth = 8 * np.dtype(dtype).itemsize
    key = measure_key(to_depth(lighter, depth), to_depth(dark, 16 if dtype == np.uint8 else 8))
    assert key == pytest.approx(1.0, abs=0.15)  # the curve bends a little at these tones
    assert measure_key(dark, dark) == pytest.approx(0, abs=1e-6)


def test_clipped_parts_do_not_decide_the_key(picture: np.ndarray) -> None:
    dark = (picture // 3).astype(np.uint16)
    fused = apply_look(dark.copy(), Rendering(exposure_ev=1.0), depth=16)
    key = measure_key(fused, dark)
    dark[:, :200], fused[:, :200] = 65535, 20000  # a window, clipped in the reference
    assert measure_key(fused, dark) == pytest.approx(key, abs=0.1)


def test_a_reference_that_tells_nothing_still_gives_a_key() -> None:
    black, gray = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 99, np.uint8)
    assert np.isfinite(measure_key(gray, black))


def test_a_tint_moves_red_and_blue_by_its_stops_and_keeps_black_and_white() -> None:
    gray = np.full((64, 64, 3), 20000, np.uint16)
    gray[:, :16], gray[:, 48:] = 0, 65535
    tinted = apply_look(gray.copy(), Rendering(tint_ev=(0.3, -0.3)), depth=16)
    assert tinted[0, 0].tolist() == [0, 0, 0]
    assert tinted[0, 63].tolist() == [65535, 65535, 65535]
    red, green, blue = np.log2(_linear(tinted[0, 32] / 65535) / _linear(np.array(20000 / 65535)))
    assert red - green == pytest.approx(0.3, abs=0.05)
    assert blue - green == pytest.approx(-0.3, abs=0.05)


def test_a_few_points_come_to_their_series_as_the_whole_picture_does(picture: np.ndarray) -> None:
    picture = picture // 4 + 16000  # pale: nothing reaches the border of the gamut
    rendering = Rendering(series_ev=0.6, tint_ev=(0.2, -0.1))
    rendered = apply_look(picture.copy(), rendering, depth=16)[::8, ::8].reshape(-1, 3) / 65535
    points = picture[::8, ::8].reshape(-1, 3) / 65535
    moved = in_series(points, series_ev=0.6, tint_ev=(0.2, -0.1))
    assert np.abs(moved - rendered).max() < 0.001


def test_the_tint_of_a_series_is_taken_from_the_settings() -> None:
    assert choose_rendering(LookSettings(series_tint_ev=(0.1, -0.2))).tint_ev == (0.1, -0.2)
    assert choose_rendering(LookSettings()).tint_ev == (0.0, 0.0)
