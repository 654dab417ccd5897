"""The structure of picture files: kinds told, metadata blocks found."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import encoded, exif_block, exposure_exif, jpeg_with, png_with
from mefuse import containers, exif, profiles, xmp
from mefuse.frames import Metadata

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
JPEG, PNG, WEBP = (encoded(PIXELS, extension) for extension in (".jpg", ".png", ".webp"))
EXIF = exposure_exif((1, 125))


def metadata_of(data: bytes) -> Metadata:
    return containers.read_metadata(io.BytesIO(data))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (JPEG, "jpeg"),
        (PNG, "png"),
        (WEBP, "webp"),
        (b"BM12", "bmp"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "avif"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "cr3"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
        (b"\xff\x0a\x7a", "jxl"),
        (b"\x76\x2f\x31\x01", "exr"),
        (b"II*\0", "tiff"),
        (b"", "other"),
    ],
)
def test_kind_by_content(data: bytes, kind: str) -> None:
    assert containers.kind_of(data[: containers.HEADER_BYTES]) == kind


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


@settings(deadline=None)
@given(data=st.sampled_from([JPEG, PNG, WEBP]), draw=st.data())
def test_mutated_files_never_raise(data: bytes, draw: st.DataObject) -> None:
    block = bytearray(data)
    places = st.integers(0, min(len(block), 200) - 1)
    for at, value in draw.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        block[at] = value
    mutated = bytes(block[: draw.draw(st.integers(0, len(block)))])
    containers.read_metadata(io.BytesIO(mutated))
    start = containers.find_exif(io.BytesIO(mutated))
    assert start is None or 0 <= start <= 1 << 40


def test_code_points_of_a_png_name_its_colours() -> None:
    for coded, expected in (((12, 13), "p3"), ((1, 13), None), ((9, 16), None)):
        data = png_with(PNG, b"cICP", bytes((*coded, 0, 1)))
        icc = None if expected is None else profiles.standard("p3")
        assert metadata_of(data).icc == icc


def test_extended_xmp_is_joined_in_the_order_of_its_parts() -> None:
    whole = xmp.finished(None, xmp.Corrections(3, 2, "mefuse", "x" * 100))
    guid = b"0" * 32
    header = b"http://ns.adobe.com/xmp/extension/\0" + guid + len(whole).to_bytes(4, "big")
    first, second = (
        (0xE1, header + at.to_bytes(4, "big") + part)
        for at, part in ((0, whole[:300]), (300, whole[300:]))
    )
    main = b"http://ns.adobe.com/xap/1.0/\0" + xmp.with_extension(guid.decode())
    found = metadata_of(jpeg_with(JPEG, (0xE1, main), second, first)).xmp
    assert found is not None
    assert b"x" * 100 in found


def test_metadata_of_canon_cr3_comes_from_its_three_structures() -> None:
    main = exif_block({0x0110: ("ASCII", b"Camera\0")})
    shot = exif_block({0x829A: ("RATIONAL", (1, 125))})
    place = exif_block({1: ("ASCII", b"N\0"), 2: ("RATIONAL", [(5, 1), (6, 1), (7, 1)])})
    data = b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(40)
    for name, block in ((b"CMT1", main), (b"CMT2", shot), (b"CMT4", place)):
        data += struct.pack(">I", len(block) + 8) + name + block
    block = metadata_of(data).exif
    assert block is not None
    assert b"Camera\0" in block
    assert exif.read_exposure(io.BytesIO(block)).exposure_time_s == 1 / 125
    tiff = exif.TiffReader(io.BytesIO(block))
    assert tiff.numbers(tiff.subdirectory(0x8825)[2]) == [5.0, 6.0, 7.0]


def test_the_maker_note_of_canon_cr3_moves_with_its_values() -> None:
    """CMT3 is a TIFF structure; in EXIF its directory counts offsets from the block's start."""
    note = exif_block({0x0006: ("ASCII", b"A long image type\0"), 0x0008: ("LONG", 7)})
    parts = {
        b"CMT1": exif_block({0x0110: ("ASCII", b"Camera\0")}),
        b"CMT2": exif_block({0x829A: ("RATIONAL", (1, 125))}),
        b"CMT3": note,
    }
    data = b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(40)
    for name, block in parts.items():
        data += struct.pack(">I", len(block) + 8) + name + block
    block = metadata_of(data).exif
    assert block is not None
    tiff = exif.TiffReader(io.BytesIO(block))
    entry = tiff.subdirectory(0x8769)[0x927C]
    assert entry.count == len(note) - 8
    inside = tiff.directory_from(tiff.value_offset(entry))
    assert tiff.value(inside[0x0006]) == b"A long image type\0"
    assert tiff.numbers(inside[0x0008]) == [7.0]
