"""ICC profiles: the standard ones against LittleCMS, and what others say of themselves."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mefuse import profiles


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("name", profiles.STANDARD)
def test_littlecms_takes_the_standard_profiles_and_white_is_white(
    name: profiles.ProfileName, linear: bool
) -> None:
    profile = profiles.standard(name, linear=linear)
    imagecodecs.cms_profile_validate(profile)
    assert profiles.is_sound(profile)
    assert profiles.is_matrix(profile)
    assert profiles.colour_space(profile) == "RGB"
    white = transformed(np.ones((1, 1, 3), np.float32), profile, profiles.standard("srgb"))
    assert np.allclose(white, 1, atol=3e-5)


def test_srgb_is_littlecms_own() -> None:
    colours = np.random.default_rng(0).random((1, 500, 3), dtype=np.float32)
    own = imagecodecs.cms_profile("srgb")
    assert np.allclose(transformed(colours, profiles.standard("srgb"), own), colours, atol=1e-6)


def test_display_p3s_green_is_outside_of_srgb_where_it_should_be() -> None:
    green = np.array([[[0, 1, 0]]], np.float32)
    linear = transformed(
        green, profiles.standard("p3", linear=True), profiles.standard("srgb", linear=True)
    )
    # From the primaries of both, SMPTE EG 432-1 and IEC 61966-2-1; the same white, no adaptation.
    assert np.allclose(linear[0, 0], [-0.2249, 1.0421, -0.0786], atol=2e-4)


def transformed(colours: np.ndarray, source: bytes, target: bytes) -> np.ndarray:
    return imagecodecs.cms_transform(
        colours, source, target, colorspace="rgb", outcolorspace="rgb", intent=1
    )


def test_descriptions_of_both_versions() -> None:
    assert profiles.description(profiles.standard("p3")) == "Display P3"
    text = b"desc\0\0\0\0" + (10).to_bytes(4, "big") + b"Old space\0" + bytes(70)
    old = b"\0" * 128 + (1).to_bytes(4, "big") + b"desc" + (144).to_bytes(4, "big")
    old += len(text).to_bytes(4, "big") + text
    assert profiles.description(old) == "Old space"
    assert profiles.description(b"\0" * 132) == "an unnamed profile"


def test_another_curve_keeps_the_primaries() -> None:
    adobe = profiles.standard("adobe-rgb")
    linear = profiles.with_curve(adobe, "linear")
    other = profiles.standard("adobe-rgb", linear=True)
    colours = np.random.default_rng(0).random((1, 50, 3), dtype=np.float32)
    assert np.allclose(transformed(colours, linear, other), colours, atol=1e-5)


@settings(deadline=None)
@given(st.data())
def test_damaged_profiles_never_raise(data: st.DataObject) -> None:
    block = bytearray(profiles.standard("srgb"))
    places = st.integers(0, len(block) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        block[at] = value
    cut = bytes(block[: data.draw(st.integers(0, len(block)))])
    profiles.is_sound(cut)
    profiles.is_matrix(cut)
    profiles.description(cut)
    profiles.colour_space(cut)
