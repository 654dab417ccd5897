"""EXIF of the fused picture: corrected in place, maker notes whole, positions gone when asked."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import exif_block, exposure_exif
from mefuse import exif, exif_copy
from mefuse.exif import TiffReader
from mefuse.frames import Exposure

TRUE = exif_copy.Corrections(
    70000, 500, "mefuse 1.2.3", is_srgb=True, thumbnail=b"\xff\xd8new\xff\xd9"
)
UNKNOWN = Exposure()
NOTE = bytes(range(1, 201))
PLACE = {1: ("ASCII", b"N\0"), 2: ("RATIONAL", [(52, 1), (31, 1), (12, 1)])}


def camera_block(order: str = "<", **more: Any) -> bytes:
    return exif_block(
        {
            0x010F: ("ASCII", b"Some Maker\0"),
            0x0112: ("SHORT", 6),
            0x0131: ("ASCII", b"firmware\0"),
        },
        shooting={
            0xA002: ("SHORT", 640),
            0xA003: ("LONG", 480),
            0x829A: ("RATIONAL", (1, 60)),
            0x927C: ("UNDEFINED", NOTE),
        },
        order=order,
        **more,
    )


def reader(block: bytes) -> TiffReader:
    return TiffReader(io.BytesIO(block))


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_is_no_longer_true_is_corrected_and_the_rest_kept(order: str) -> None:
    block = camera_block(order, thumbnail=b"\xff\xd8old thumbnail\xff\xd9", gps=PLACE)
    out = exif_copy.finished(block, TRUE, exposure=UNKNOWN)
    tiff = reader(out)
    assert exif.read_orientation(out) == 1
    assert exif.read_exposure(io.BytesIO(out)) == exif.read_exposure(io.BytesIO(block))
    assert tiff.value(tiff.main[0x0131]) == b"mefuse 1.2.3\0"
    assert tiff.value(tiff.main[0x010F]) == b"Some Maker\0"
    shooting = tiff.subdirectory(0x8769)
    assert tiff.numbers(shooting[0xA002]) == [70000.0]
    assert tiff.numbers(shooting[0xA003]) == [500.0]
    assert tiff.numbers(shooting[0xA001]) == [1.0]
    assert tiff.numbers(tiff.subdirectory(0x8825)[2]) == [52.0, 31.0, 12.0]
    assert tiff.value(tiff.subdirectory(0x8825)[0]) == b"\2\3\0\0"  # Exif asks for it
    second = tiff.following()
    at, size = (int(tiff.numbers(second[tag])[0]) for tag in (0x0201, 0x0202))
    assert out[at : at + size] == TRUE.thumbnail
    assert b"old thumbnail" not in out
    assert list(tiff.main) == sorted(tiff.main)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_maker_note_neither_changes_nor_moves(order: str) -> None:
    block = camera_block(order, thumbnail=b"\xff\xd8old\xff\xd9")
    out = exif_copy.finished(block, TRUE, exposure=UNKNOWN)
    tiff = reader(out)
    note = tiff.subdirectory(0x8769)[0x927C]
    assert tiff.value(note) == NOTE
    assert tiff.value_offset(note) == block.find(NOTE)


def test_stripped_positions_are_gone_not_only_unlinked() -> None:
    block = camera_block(gps=PLACE)
    secret = b"\x34\0\0\0\x01\0\0\0\x1f\0\0\0"  # 52 degrees, 31 minutes
    assert secret in block
    stripped = exif_copy.Corrections(8, 8, "mefuse", is_srgb=True, strip_gps=True)
    out = exif_copy.finished(block, stripped, exposure=UNKNOWN)
    assert secret not in out
    assert 0x8825 not in reader(out).main
    assert secret in exif_copy.finished(block, TRUE, exposure=UNKNOWN)


def test_pixels_that_became_srgb_are_not_called_adobe_rgb() -> None:
    interop = exif_block({1: ("ASCII", b"R03\0")})[8:]
    shooting = {0xA005: ("LONG", 0), 0xA001: ("SHORT", 65535)}
    block = bytearray(exif_block({0x010F: ("ASCII", b"Maker\0")}, shooting=shooting))
    pointer = reader(bytes(block)).subdirectory(0x8769)[0xA005]
    block[pointer.slot + 8 : pointer.slot + 12] = len(block).to_bytes(4, "little")
    block += interop
    assert exif.says_adobe_rgb(bytes(block))
    assert not exif.says_adobe_rgb(exif_copy.finished(bytes(block), TRUE, exposure=UNKNOWN))
    kept = exif_copy.Corrections(8, 8, "mefuse", is_srgb=False)
    assert exif.says_adobe_rgb(exif_copy.finished(bytes(block), kept, exposure=UNKNOWN))


@pytest.mark.parametrize("block", [None, b"rubbish", b"II*\0\x08\0\0\0"])
def test_without_a_usable_block_a_new_one_tells_the_exposure(block: bytes | None) -> None:
    exposure = Exposure(1 / 250, 5.6, 400.0)
    out = exif_copy.finished(block, TRUE, exposure=exposure)
    assert exif.read_exposure(io.BytesIO(out)) == exposure
    assert b"mefuse 1.2.3\0" in out


def test_without_thumbnail_is_shorter_and_says_the_same() -> None:
    out = exif_copy.finished(camera_block(thumbnail=b"\xff\xd8old\xff\xd9"), TRUE, exposure=UNKNOWN)
    cut = exif_copy.without_thumbnail(out)
    assert len(cut) < len(out)
    assert reader(cut).following() == {}
    assert reader(cut).main.keys() == reader(out).main.keys()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_mutated_blocks_never_raise_and_stay_readable(data: st.DataObject) -> None:
    block = bytearray(camera_block(gps=PLACE, thumbnail=b"\xff\xd8thumb\xff\xd9"))
    places = st.integers(0, len(block) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        block[at] = value
    cut = bytes(block[: data.draw(st.integers(0, len(block)))])
    for strip in (True, False):
        true = exif_copy.Corrections(9, 5, "mefuse", False, b"\xff\xd8\xff\xd9", strip)
        out = exif_copy.finished(cut, true, exposure=exposure_of(exposure_exif((1, 8))))
        tiff = reader(out)
        assert tiff.value(tiff.main[0x0131]) == b"mefuse\0"
        assert exif.read_orientation(out) == 1
        exif_copy.without_thumbnail(out)


def exposure_of(block: bytes) -> Exposure:
    return exif.read_exposure(io.BytesIO(block))
