"""Metadata put into encoded files: read back whole, whatever its size; what is lost is told."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import encoded, exif_block, exposure_exif
from mefuse import containers, xmp
from mefuse.decode import decode
from mefuse.exif import read_exposure
from mefuse.frames import Metadata
from mefuse.wholeness import is_whole
from mefuse.write import png
from mefuse.write.embed import Embedded, in_jpeg, in_jxl

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
JPEG = encoded(PIXELS, ".jpg")
JXL = imagecodecs.jpegxl_encode(PIXELS, usecontainer=True)
EXIF = exposure_exif((1, 125))
XMP = xmp.finished(None, xmp.Corrections(24, 16, "mefuse", "fused"))
PROFILE = bytes(range(256)) * 700  # 179,200 bytes: three JPEG segments


def as_png(_: bytes, metadata: Metadata) -> Embedded:
    return png.encode_png(PIXELS, metadata, compression="fast")


def joined(embedded: Embedded) -> bytes:
    return b"".join(bytes(piece) for piece in embedded.pieces)


def metadata_of(data: bytes) -> Metadata:
    return containers.read_metadata(io.BytesIO(data))


@pytest.mark.parametrize("put_in", [in_jpeg, as_png])
@pytest.mark.parametrize("icc", [None, b"p", PROFILE])
@pytest.mark.parametrize("exif", [None, EXIF])
@pytest.mark.parametrize("packet", [None, XMP])
def test_what_is_put_in_is_read_back(
    put_in: object, icc: bytes | None, exif: bytes | None, packet: bytes | None
) -> None:
    plain = JPEG if put_in is in_jpeg else joined(as_png(b"", Metadata()))
    embedded = (in_jpeg if put_in is in_jpeg else as_png)(plain, Metadata(exif, icc, packet))
    data = joined(embedded)
    assert metadata_of(data) == Metadata(exif, icc, packet)
    assert embedded.lost == ()
    assert is_whole(data)
    assert np.array_equal(decode(data, "a").pixels, decode(plain, "a").pixels)
    assert (data == plain) == (icc is None and exif is None and packet is None)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 400_000), jpeg=st.booleans())
def test_profiles_of_any_size_survive(size: int, jpeg: bool) -> None:
    profile = np.random.default_rng(size).bytes(size)
    metadata = Metadata(icc=profile)
    assert metadata_of(joined((in_jpeg if jpeg else as_png)(JPEG, metadata))).icc == profile


@pytest.mark.parametrize("size", [1000, 64_000, 70_000, 300_000])
def test_xmp_of_any_size_survives_in_jpeg(size: int) -> None:
    packet = xmp.finished(None, xmp.Corrections(24, 16, "mefuse", "x" * size))
    found = metadata_of(joined(in_jpeg(JPEG, Metadata(xmp=packet)))).xmp
    assert found is not None
    assert b"x" * size in found


def test_exif_too_large_for_a_segment_loses_its_thumbnail_first() -> None:
    block = exif_block(
        {0x010F: ("ASCII", b"Maker\0")}, thumbnail=b"\xff\xd8" + bytes(70_000) + b"\xff\xd9"
    )
    embedded = in_jpeg(JPEG, Metadata(exif=block))
    found = metadata_of(joined(embedded)).exif
    assert embedded.lost == ()
    assert found is not None
    assert b"Maker\0" in found


def test_what_a_jpeg_cannot_hold_is_told() -> None:
    block = exif_block({0x010E: ("ASCII", b"x" * 70_000)})
    embedded = in_jpeg(JPEG, Metadata(exif=block, icc=bytes(20_000_000)))
    assert metadata_of(joined(embedded)) == Metadata()
    assert embedded.lost == (
        "EXIF larger than a JPEG can hold",
        "a colour profile larger than a JPEG can hold",
    )


def test_jpeg_xl_gets_boxes_and_stays_readable() -> None:
    data = joined(in_jxl(JXL, Metadata(exif=EXIF, xmp=XMP)))
    assert metadata_of(data) == Metadata(exif=EXIF, xmp=XMP)
    assert np.array_equal(decode(data, "a").pixels, decode(bytes(JXL), "a").pixels)


def test_maker_notes_go_before_all_of_exif_does() -> None:
    block = exif_block(
        {0x010F: ("ASCII", b"Maker\0")},
        shooting={0x829A: ("RATIONAL", (1, 125)), 0x927C: ("UNDEFINED", bytes(66_000))},
    )
    embedded = in_jpeg(JPEG, Metadata(exif=block))
    found = metadata_of(joined(embedded)).exif
    assert embedded.lost == ("maker notes, larger than a JPEG can hold",)
    assert found is not None
    assert b"Maker\0" in found
    assert read_exposure(io.BytesIO(found)).exposure_time_s == 1 / 125
