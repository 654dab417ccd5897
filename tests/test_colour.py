"""Colour conversion: as LittleCMS has it, at 16 bits, honest about what pixels mean."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import exif_block, exposed, textured_light
from mefuse import colour, profiles
from mefuse.frames import Bracket, Exposure, Frame, Metadata, Source

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (70, 50, 3), dtype=np.uint16)
SHALLOW = (DEEP >> 8).astype(np.uint8)
P3, ADOBE = profiles.standard("p3"), profiles.standard("adobe-rgb")
LINEAR = profiles.standard("srgb", linear=True)


def by_littlecms(pixels: NDArray[np.uint16], source: bytes, target: bytes) -> NDArray[np.float64]:
    floats = imagecodecs.cms_transform(
        (pixels / 65535).astype(np.float32),
        source,
        target,
        colorspace="rgb",
        outcolorspace="rgb",
        intent=1,
    )
    return np.clip(floats, 0, 1).astype(np.float64) * 65535


def gray_profile(gamma: float) -> bytes:
    """A gray profile of one curve."""
    curve = struct.pack(">4sIIHxx", b"curv", 0, 1, round(gamma * 256))
    name = struct.pack(">4sII", b"desc", 0, 5) + b"Gray\0" + bytes(79)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"desc": name + bytes(-len(name) % 4), b"wtpt": white, b"kTRC": curve}
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += struct.pack(">4sII", tag, at + len(body), len(content))
        body += content
    header = bytearray(profiles.standard("srgb")[:128])
    header[8:12], header[16:20] = b"\x02\x20\0\0", b"GRAY"
    whole = bytes(header) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


@pytest.mark.parametrize("source", profiles.STANDARD)
@pytest.mark.parametrize("target", profiles.STANDARD)
def test_16_bits_are_as_littlecms_has_them(
    source: profiles.ProfileName, target: profiles.ProfileName
) -> None:
    one, other = profiles.standard(source), profiles.standard(target)
    result = colour.converted(DEEP, source=one, target=other)
    assert result.dtype == np.uint16
    assert np.abs(result - by_littlecms(DEEP, one, other)).max() < 1.5


def test_8_bits_are_within_a_code_everywhere() -> None:
    result = colour.converted(SHALLOW, source=P3, target=ADOBE)
    exact = by_littlecms(SHALLOW.astype(np.uint16) * 257, P3, ADOBE) / 257
    assert result.dtype == np.uint8
    assert np.abs(result - exact).max() < 1.01


def test_the_same_colours_are_the_same_array() -> None:
    assert colour.converted(DEEP, source=None, target=profiles.standard("srgb")) is DEEP
    assert colour.same_colours(imagecodecs.cms_profile("srgb"), None)
    assert not colour.same_colours(P3, None)


def test_a_profile_of_tables_goes_through_littlecms_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "is_matrix", lambda _profile: False)
    result = colour.converted(DEEP, source=P3, target=ADOBE)
    assert np.abs(result - by_littlecms(DEEP, P3, ADOBE)).max() < 1.5


def test_linear_light_is_linear_and_unbounded() -> None:
    gray = np.full((2, 2, 3), 0x8000, np.uint16)
    assert np.allclose(colour.linear_light(gray, source=None, space="srgb"), 0.2140, atol=2e-4)
    green = np.array([[[0, 65535, 0]]], np.uint16)
    light = colour.linear_light(green, source=P3, space="srgb")
    assert light.dtype == np.float16
    assert light[0, 0, 0] < -0.2
    assert light[0, 0, 1] > 1.02


def test_without_a_profile_it_is_srgb_unless_the_camera_says_adobe_rgb() -> None:
    assert colour.interpreted(SHALLOW, Metadata(), "a").icc is None
    block = bytearray(exif_block({0x010F: ("ASCII", b"M\0")}, shooting={0xA005: ("LONG", 0)}))
    at = block.find(struct.pack("<HH", 0xA005, 4))
    struct.pack_into("<I", block, at + 8, len(block))
    block += exif_block({1: ("ASCII", b"R03\0")})[8:]
    told = colour.interpreted(SHALLOW, Metadata(exif=bytes(block)), "a")
    assert told.icc == ADOBE


@pytest.mark.parametrize(
    ("icc", "said"),
    [
        (b"", "is broken"),
        (b"x" * 300, "is broken"),
        (P3[:200] + b"x" * (len(P3) - 200), "is broken"),
        (P3[:16] + b"CMYK" + P3[20:], "is for CMYK"),
        (gray_profile(2.2), "is for GRAY"),
    ],
)
def test_what_cannot_be_used_is_said_and_srgb_taken(icc: bytes, said: str) -> None:
    told = colour.interpreted(SHALLOW, Metadata(icc=icc), "a.jpg")
    assert told.icc is None
    assert told.pixels is SHALLOW
    (warning,) = told.warnings
    assert warning.startswith("a.jpg: colour profile")
    assert said in warning
    assert "sRGB taken" in warning


@pytest.mark.parametrize("pixels", [SHALLOW, DEEP], ids=["8 bits", "16 bits"])
def test_gray_becomes_srgb_of_the_same_lightness(pixels: NDArray[np.uint8]) -> None:
    full = np.iinfo(pixels.dtype).max
    gray = np.ascontiguousarray(pixels[..., :1].repeat(3, axis=2))
    told = colour.interpreted(gray, Metadata(icc=gray_profile(1.8)), "a.jpg")
    light = (gray / full) ** (round(1.8 * 256) / 256)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(told.pixels / full - encoded).max() < (1.2 / 255 if full == 255 else 3e-4)
    assert told.warnings == ("a.jpg: gray profile Gray, converted to sRGB",)


def test_linear_pixels_are_fused_with_a_curve_and_remember_their_profile() -> None:
    told = colour.interpreted(DEEP, Metadata(icc=LINEAR), "a.tif")
    assert told.stored_icc == LINEAR
    assert colour.same_colours(told.icc, None)
    assert told.pixels.dtype == np.uint16
    back = colour.converted(told.pixels, source=told.icc, target=told.stored_icc)
    assert np.abs(back.astype(int) - DEEP).max() < 8
    assert colour.interpreted(SHALLOW, Metadata(icc=LINEAR), "a").pixels.dtype == np.uint16


def test_prophotos_curve_gives_way_to_srgbs_and_adobe_rgbs_stays() -> None:
    wide = profiles.standard("prophoto")
    told = colour.interpreted(DEEP, Metadata(icc=wide), "a.tif")
    assert told.stored_icc == wide
    assert told.icc == profiles.with_curve(wide, "srgb")
    back = colour.converted(told.pixels, source=told.icc, target=wide)
    assert np.abs(back.astype(int) - DEEP).max() < 32
    for name in ("srgb", "p3", "adobe-rgb"):
        kept = colour.interpreted(SHALLOW, Metadata(icc=profiles.standard(name)), "a.jpg")
        assert kept.pixels is SHALLOW
        assert kept.stored_icc is None


def test_a_mixed_bracket_becomes_the_references() -> None:
    light = textured_light(32, 40)
    frames = []
    for ev, icc in ((-1, P3), (0, None), (1, profiles.standard("srgb"))):
        pixels = colour.converted(exposed(light, ev, depth=16), source=None, target=icc)
        source = Source(Path(f"{ev}.tif"), Exposure())
        frames.append(Frame(source, pixels, Metadata(icc=icc)))
    mixed = Bracket(tuple(frames), 1, (-1.0, 0.0, 1.0), "pixels")
    told = colour.in_one_space(mixed)
    assert told.warnings == ("-1.tif: converted from Display P3 to the reference's sRGB",)
    for frame, ev in zip(told.frames, (-1, 0, 1), strict=True):
        expected = exposed(light, ev, depth=16).astype(int)
        assert np.abs(frame.pixels.astype(int) - expected).max() <= 8
    assert told.frames[0].metadata.icc is None
    alike = replace(mixed, frames=tuple(replace(f, metadata=Metadata(icc=P3)) for f in frames))
    assert colour.in_one_space(alike).warnings == ()
