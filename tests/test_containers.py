"""The structure of picture files: metadata blocks found and put in, wholeness told."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import encoded, exposure_exif, jpeg_with, jpeg_with_exif, png_with
from mefuse import containers
from mefuse.frames import Metadata

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
JPEG, PNG, WEBP = (encoded(PIXELS, extension) for extension in (".jpg", ".png", ".webp"))
EXIF = exposure_exif((1, 125))
PROFILE = bytes(range(256)) * 700  # 179,200 bytes: three JPEG segments


def metadata_of(data: bytes) -> Metadata:
    return containers.read_metadata(io.BytesIO(data))


def joined(pieces: list[bytes | memoryview]) -> bytes:
    return b"".join(bytes(piece) for piece in pieces)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (JPEG, "jpeg"),
        (PNG, "png"),
        (WEBP, "webp"),
        (b"BM12", "bmp"),
        (b"II*\0", "tiff"),
        (b"", "other"),
    ],
)
def test_kind_by_content(data: bytes, kind: str) -> None:
    assert containers.kind_of(data[: containers.HEADER_BYTES]) == kind


@pytest.mark.parametrize("plain", [JPEG, PNG])
@pytest.mark.parametrize("icc", [None, b"p", PROFILE])
@pytest.mark.parametrize("exif", [None, EXIF])
def test_metadata_put_in_is_read_back_whole(
    plain: bytes, icc: bytes | None, exif: bytes | None
) -> None:
    data = joined(containers.with_metadata(plain, Metadata(exif=exif, icc=icc)))
    assert metadata_of(data) == Metadata(exif=exif, icc=icc)
    assert containers.is_whole(data)
    assert (data == plain) == (icc is None and exif is None)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 400_000), jpeg=st.booleans())
def test_profiles_of_any_size_survive(size: int, jpeg: bool) -> None:
    profile = np.random.default_rng(size).bytes(size)
    pieces = containers.with_metadata(JPEG if jpeg else PNG, Metadata(icc=profile))
    assert metadata_of(joined(pieces)).icc == profile


def test_icc_chunks_out_of_order_are_put_in_order() -> None:
    chunks = [(0xE2, b"ICC_PROFILE\0" + bytes((n, 3)) + bytes([64 + n]) * 5) for n in (2, 3, 1)]
    assert metadata_of(jpeg_with(JPEG, *chunks)).icc == b"AAAAABBBBBCCCCC"


def test_icc_with_a_chunk_missing_is_no_profile() -> None:
    chunks = [(0xE2, b"ICC_PROFILE\0" + bytes((n, 3)) + b"x") for n in (1, 3)]
    assert metadata_of(jpeg_with(JPEG, *chunks)).icc is None


def test_xmp_of_jpeg_and_png() -> None:
    xmp = b"<x:xmpmeta/>"
    assert metadata_of(jpeg_with(JPEG, (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp))).xmp == xmp
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    assert metadata_of(png_with(PNG, b"iTXt", text)).xmp == xmp


def test_a_profile_that_unpacks_without_end_is_dropped() -> None:
    bomb = b"icc\0\0" + zlib.compress(bytes(64 << 20), 9)
    assert metadata_of(png_with(PNG, b"iCCP", bomb)).icc is None


def test_exif_of_webp_with_and_without_jpegs_header() -> None:
    for block in (EXIF, b"Exif\0\0" + EXIF):
        chunk = b"EXIF" + struct.pack("<I", len(block)) + block + bytes(len(block) % 2)
        assert metadata_of(WEBP + chunk).exif == EXIF


@pytest.mark.parametrize("data", [JPEG, PNG, WEBP, encoded(PIXELS, ".jpg", 2, 1)])  # 2: progressive
def test_every_cut_is_seen(data: bytes) -> None:
    assert containers.is_whole(data)
    assert containers.is_whole(data + b"\0" * 100 + JPEG)  # padding, the next picture of an MPO
    cuts = [cut for cut in range(40, len(data), 7) if containers.is_whole(data[:cut])]
    assert cuts == []


def test_a_thumbnail_does_not_make_a_cut_jpeg_whole() -> None:
    data = jpeg_with_exif(JPEG, EXIF + JPEG)
    assert containers.is_whole(data)
    assert not containers.is_whole(data[:-10])


@settings(max_examples=200, deadline=None)
@given(data=st.sampled_from([JPEG, PNG, WEBP]), draw=st.data())
def test_mutated_files_never_raise(data: bytes, draw: st.DataObject) -> None:
    block = bytearray(data)
    places = st.integers(0, min(len(block), 200) - 1)
    for at, value in draw.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        block[at] = value
    mutated = bytes(block[: draw.draw(st.integers(0, len(block)))])
    containers.is_whole(mutated)
    containers.read_metadata(io.BytesIO(mutated))
    start = containers.find_exif(io.BytesIO(mutated))
    assert start is None or 0 <= start <= 1 << 40
