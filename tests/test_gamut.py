"""Colour is fitted to the gamut: luma and hue stay, nothing inside it leaves it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mefuse.gamut import LUMA, to_pixels

FULL = 65535.0


def _taken_apart(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Luma, and red and blue minus luma, of uint16 pixels."""
    rgb = pixels.astype(np.float32)
    luma = (rgb @ np.array(LUMA)).astype(np.float32)
    return luma, rgb[..., 0] - luma, rgb[..., 2] - luma


def _joined(pixels: np.ndarray, *, saturation: float = 0.0, gain: float = 1.0) -> np.ndarray:
    luma, red, blue = _taken_apart(pixels)
    return to_pixels(
        luma, (red * gain, blue * gain), full=FULL, depth=16, saturation=saturation
    ).astype(np.float64)


@pytest.fixture
def colours(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 65536, (64, 80, 3), dtype=np.uint16)


def test_taken_apart_and_joined_is_the_same(colours: np.ndarray) -> None:
    assert np.abs(_joined(colours) - colours).max() <= 1


def test_eight_bits_are_the_same_rounded(colours: np.ndarray) -> None:
    luma, red, blue = _taken_apart(colours)
    shallow = to_pixels(luma, (red, blue), full=FULL, depth=8)
    assert shallow.dtype == np.uint8
    assert np.abs(shallow * 257.0 - colours).max() <= 129.5


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 4), st.floats(0, 1))
def test_luma_and_hue_stay_when_colour_does_not_fit(gain: float, saturation: float) -> None:
    colours = np.random.default_rng(1).integers(0, 65536, (32, 32, 3), dtype=np.uint16)
    joined = _joined(colours, gain=gain, saturation=saturation)
    luma, red, blue = _taken_apart(colours)
    now, now_red, now_blue = _taken_apart(joined)
    assert np.abs(now - luma).max() <= 2
    assert np.abs(red * now_blue - blue * now_red).max() <= 4 * FULL  # one direction: cross product
    assert (red * now_red >= -FULL).all()


@pytest.mark.parametrize("saturation", [0.3, 1.0])
def test_more_saturation_never_takes_colour_away_nor_cuts_it_off(
    colours: np.ndarray, saturation: float
) -> None:
    spread = np.ptp(colours.astype(np.float64), axis=2)
    more = _joined(colours, saturation=saturation)
    assert (np.ptp(more, axis=2) >= spread - 3).all()
    inside = (colours.min(-1) > 2000) & (colours.max(-1) < FULL - 2000)
    assert ((more[inside] > 0) & (more[inside] < FULL)).all()


def test_saturation_doubles_pale_colours_and_grays_all_at_minus_one() -> None:
    pale = np.full((8, 8, 3), (33000, 32000, 32500), np.uint16)
    doubled = _joined(pale, saturation=1.0)
    assert np.ptp(doubled[0, 0]) == pytest.approx(2000, rel=0.05)
    gray = _joined(pale, saturation=-1.0)
    assert np.ptp(gray, axis=2).max() == 0
    wanted = cv2.cvtColor(pale, cv2.COLOR_RGB2GRAY)
    assert np.abs(gray[..., 0] - wanted).max() <= 1
