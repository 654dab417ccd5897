"""EXIF out of TIFF structures: what is said of the photograph, and the maker note where it was."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import exif_block
from mefuse import exif
from mefuse.exif_extract import extracted
from mefuse.frames import Exposure

NOTE = b"note" * 9


@pytest.mark.parametrize("order", ["<", ">"])
def test_extracted_keeps_what_is_said_of_the_photograph(order: str) -> None:
    block = exif_block(
        {
            0x010F: ("ASCII", b"A Maker\0"),
            0x0111: ("LONG", 4096),  # where the strips are: true of the file only
            0x0112: ("SHORT", 8),
            0x829A: ("RATIONAL", (1, 15)),
        },
        shooting={0x829D: ("RATIONAL", (28, 10)), 0x927C: ("UNDEFINED", NOTE)},
        gps={1: ("ASCII", b"N\0"), 2: ("RATIONAL", [(52, 1), (31, 1), (12, 1)])},
        order=order,
    )
    out = extracted(io.BytesIO(b"head" + block), 4)
    assert out is not None
    assert exif.read_exposure(io.BytesIO(out)) == Exposure(1 / 15, 2.8, None)
    assert exif.read_orientation(out) == 8
    tiff = exif.TiffReader(io.BytesIO(out))
    assert tiff.value(tiff.main[0x010F]) == b"A Maker\0"
    assert 0x0111 not in tiff.main
    assert tiff.numbers(tiff.subdirectory(0x8825)[2]) == [52.0, 31.0, 12.0]
    note = tiff.subdirectory(0x8769)[0x927C]
    assert (tiff.value(note), tiff.value_offset(note)) == (NOTE, block.find(NOTE))


def test_a_maker_note_far_into_the_file_is_left_behind() -> None:
    block = exif_block({0x010F: ("ASCII", b"x" * 40_000)}, shooting={0x927C: ("UNDEFINED", NOTE)})
    out = extracted(io.BytesIO(block))
    assert out is not None
    assert NOTE not in out


def test_a_file_of_several_structures_is_one_block() -> None:
    parts = [
        exif_block({0x0110: ("ASCII", b"Camera\0")}),
        exif_block({0x829A: ("RATIONAL", (1, 15))}),
        exif_block({1: ("ASCII", b"N\0")}),
    ]
    file = io.BytesIO(b"".join(parts))
    places = len(parts[0]), len(parts[0]) + len(parts[1])
    out = extracted(file, 0, shooting_base=places[0], gps_base=places[1])
    assert out is not None
    tiff = exif.TiffReader(io.BytesIO(out))
    assert tiff.value(tiff.main[0x0110]) == b"Camera\0"
    assert exif.read_exposure(io.BytesIO(out)).exposure_time_s == 1 / 15
    assert tiff.value(tiff.subdirectory(0x8825)[1]) == b"N\0"


def test_extracted_of_nothing_is_nothing() -> None:
    assert extracted(io.BytesIO(exif_block({0x0100: ("LONG", 5)}))) is None
    assert extracted(io.BytesIO(b"no tiff at all")) is None


@settings(deadline=None)
@given(st.data())
def test_mutated_blocks_never_raise(data: st.DataObject) -> None:
    block = bytearray(
        exif_block(
            {0x010F: ("ASCII", b"Some Maker\0"), 0x0112: ("SHORT", 6)},
            shooting={0x829A: ("RATIONAL", (1, 60)), 0x927C: ("UNDEFINED", NOTE)},
            gps={1: ("ASCII", b"N\0")},
        )
    )
    places = st.integers(0, len(block) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        block[at] = value
    cut = bytes(block[: data.draw(st.integers(0, len(block)))])
    copied = extracted(io.BytesIO(cut))
    if copied is not None:
        shown, told = (exif.read_exposure(io.BytesIO(part)) for part in (copied, cut))
        assert shown == told


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_noise_behind_a_header_never_raises(noise: bytes) -> None:
    for magic in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0"):
        extracted(io.BytesIO(magic + noise))


def test_a_maker_note_made_to_be_moved_is_kept_wherever_it_lies() -> None:
    note = b"Nikon\0\2\x11\0\0II*\0\x08\0\0\0" + bytes(40)
    block = exif_block({0x010F: ("ASCII", b"x" * 40_000)}, shooting={0x927C: ("UNDEFINED", note)})
    out = extracted(io.BytesIO(block))
    assert out is not None
    tiff = exif.TiffReader(io.BytesIO(out))
    assert tiff.value(tiff.subdirectory(0x8769)[0x927C]) == note
