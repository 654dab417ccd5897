"""EXIF of frames that mefuse makes: what exposed them, as a TIFF structure or as TIFF tags."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_Value = tuple[int, int, bytes]  # TIFF type, count, bytes
_MAKER, _EXIF_POINTER = "mefuse", 0x8769


@dataclass(frozen=True, slots=True)
class ExposedBy:
    """Camera and exposure of one frame."""

    model: str
    exposure_time_s: Fraction
    f_number: Fraction
    iso: int


def exif_block(by: ExposedBy, *, size: tuple[int, int]) -> bytes:
    """EXIF as a little-endian TIFF structure: maker, model, exposure and (height, width)."""
    first = _camera(by)
    exposure = {
        **_exposure(by),
        0x9000: (7, 4, b"0232"),  # ExifVersion
        0xA001: _short(1),  # ColorSpace: sRGB
        0xA002: _long(size[1]),
        0xA003: _long(size[0]),
    }
    header = b"II" + struct.pack("<HI", 42, 8)
    pointer_bytes = 8 + len(_directory({**first, _EXIF_POINTER: _long(0)}, start=8))
    main = _directory({**first, _EXIF_POINTER: _long(pointer_bytes)}, start=8)
    return header + main + _directory(exposure, start=pointer_bytes)


def tiff_tags(by: ExposedBy) -> list[tuple[Any, ...]]:
    """The same for a TIFF file's first directory, as tifffile's `extratags` (TIFF/EP)."""
    time, f_number = by.exposure_time_s, by.f_number
    return [
        (0x010F, 2, 0, _MAKER, True),
        (0x0110, 2, 0, by.model, True),
        (0x0112, 3, 1, 1, True),  # Orientation: upright
        (0x829A, 5, 1, (time.numerator, time.denominator), True),
        (0x829D, 5, 1, (f_number.numerator, f_number.denominator), True),
        (0x8827, 3, 1, by.iso, True),
    ]


def _camera(by: ExposedBy) -> dict[int, _Value]:
    return {
        0x010F: _text(_MAKER),  # Make
        0x0110: _text(by.model),  # Model
        0x0112: _short(1),  # Orientation: upright
        0x0131: _text("mefuse sample"),  # Software
    }


def _exposure(by: ExposedBy) -> dict[int, _Value]:
    return {
        0x829A: _rational(by.exposure_time_s),
        0x829D: _rational(by.f_number),
        0x8827: _short(by.iso),
    }


def _text(value: str) -> _Value:
    return 2, len(value) + 1, value.encode("ascii") + b"\0"


def _short(value: int) -> _Value:
    return 3, 1, struct.pack("<H", value)


def _long(value: int) -> _Value:
    return 4, 1, struct.pack("<I", value)


def _rational(value: Fraction) -> _Value:
    return 5, 1, struct.pack("<II", value.numerator, value.denominator)


def _directory(tags: dict[int, _Value], *, start: int) -> bytes:
    """A TIFF directory at `start`, followed by the values that do not fit into its entries."""
    entries, values = b"", b""
    place = start + 2 + 12 * len(tags) + 4
    for tag, (kind, count, value) in sorted(tags.items()):
        entries += struct.pack("<HHI", tag, kind, count)
        if len(value) <= 4:
            entries += value.ljust(4, b"\0")
        else:
            entries += struct.pack("<I", place + len(values))
            values += value + b"\0" * (len(value) % 2)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0) + values
