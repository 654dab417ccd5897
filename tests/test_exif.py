"""EXIF bytes: exposure, orientation, colour, and damage of every kind."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import exif_block, exposure_exif
from mefuse import exif
from mefuse.frames import Exposure


def exposure_of(block: bytes, base: int = 0) -> Exposure:
    return exif.read_exposure(io.BytesIO(block), base)


@pytest.mark.parametrize("order", ["<", ">"])
def test_reads_time_aperture_and_iso_in_both_byte_orders(order: str) -> None:
    block = exif_block(
        shooting={
            0x829A: ("RATIONAL", (1, 250)),
            0x829D: ("RATIONAL", (56, 10)),
            0x8827: ("SHORT", 400),
        },
        order=order,
    )
    assert exposure_of(block) == Exposure(1 / 250, 5.6, 400.0)


def test_reads_a_block_inside_a_file() -> None:
    assert exposure_of(b"x" * 37 + exposure_exif((1, 60)), 37) == Exposure(1 / 60, 8.0, 100.0)


def test_apex_values_stand_in_for_missing_ones() -> None:
    shooting = {0x9201: ("SRATIONAL", (-3, 1)), 0x9202: ("RATIONAL", (4, 1))}
    assert exposure_of(exif_block(shooting=shooting)) == Exposure(8.0, 4.0, None)


def test_plain_tags_win_over_apex() -> None:
    shooting = {0x829A: ("RATIONAL", (1, 30)), 0x9201: ("SRATIONAL", (10, 1))}
    assert exposure_of(exif_block(shooting=shooting)).exposure_time_s == 1 / 30


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (0x829A, ("RATIONAL", (1, 0))),
        (0x829A, ("RATIONAL", (0, 1))),
        (0x829A, ("RATIONAL", (4294967295, 1))),
        (0x829A, ("ASCII", b"1/60\0")),
        (0x829D, ("RATIONAL", (0, 10))),
        (0x9201, ("SRATIONAL", (1, 0))),
        (0x9201, ("SRATIONAL", (-2147483648, 1))),
        (0x8827, ("SHORT", 0)),
    ],
)
def test_unusable_values_are_absent(tag: int, value: tuple[str, object]) -> None:
    assert exposure_of(exif_block(shooting={tag: value})) == Exposure()


def test_iso_beyond_16_bits_is_found_in_its_own_tag() -> None:
    shooting = {0x8827: ("SHORT", 65535), 0x8832: ("LONG", 102400)}
    assert exposure_of(exif_block(shooting=shooting)).iso == 102400.0


def test_exposure_in_the_main_directory_counts() -> None:
    assert exposure_of(exif_block({0x829A: ("RATIONAL", (1, 8))})).exposure_time_s == 1 / 8


def test_directory_that_points_to_itself_ends() -> None:
    block = bytearray(exif_block({0x8769: ("LONG", 8), 0x829A: ("RATIONAL", (1, 8))}))
    struct.pack_into("<I", block, 8 + 2 + 24, 8)  # the next directory is the first again
    assert exposure_of(bytes(block)).exposure_time_s == 1 / 8


def test_huge_counts_are_bounded() -> None:
    block = bytearray(exif_block(shooting={0x829A: ("RATIONAL", (1, 8))}))
    entry = block.find(struct.pack("<HH", 0x829A, 5))
    struct.pack_into("<I", block, entry + 4, 0xFFFFFFFF)
    assert exposure_of(bytes(block)) == Exposure()


@settings(deadline=None)
@given(st.data())
def test_mutated_blocks_never_raise(data: st.DataObject) -> None:
    block = bytearray(
        exif_block(
            {0x010F: ("ASCII", b"Some Maker\0"), 0x0112: ("SHORT", 6)},
            shooting={0x829A: ("RATIONAL", (1, 60)), 0x927C: ("UNDEFINED", b"note" * 9)},
            gps={1: ("ASCII", b"N\0")},
            thumbnail=b"\xff\xd8thumb\xff\xd9",
        )
    )
    places = st.integers(0, len(block) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        block[at] = value
    cut = bytes(block[: data.draw(st.integers(0, len(block)))])
    exposure_of(cut)
    assert exif.read_orientation(cut) in range(1, 9)
    exif.says_adobe_rgb(cut)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_noise_behind_a_header_never_raises(noise: bytes) -> None:
    for magic in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0"):
        exposure_of(magic + noise)
