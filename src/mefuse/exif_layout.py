"""TIFF directories as bytes, as EXIF blocks and TIFF files need them. A leaf.

A value is given by its bytes, or by where they lie already, so that what must not move (a maker
note) can be pointed to.

Source: TIFF 6.0; BigTIFF; Exif 2.32 (CIPA DC-008).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

from mefuse.exif import EXIF_IFD, GPS_IFD, INTEROP_IFD, LONG, MAKER_NOTE, SHORT

ASCII, RATIONAL, UNDEFINED = 2, 5, 7
DATA_STARTS = 16  # behind the longer of TIFF's two headers


@dataclass(frozen=True, slots=True)
class Value:
    """A tag's value: its bytes, or where they lie in the file already."""

    kind: int
    count: int
    content: bytes = b""
    at: int | None = None


Values = dict[int, Value]


def append_directory(out: bytearray, tags: Values, *, order: str) -> int:
    """Puts a directory and its new values at the end of `out`; gives its offset."""
    out += bytes(len(out) % 2)
    start = len(out)
    out += directory(tags, start=start, order=order)
    return start


def directory(tags: Values, *, start: int, order: str, big: bool = False) -> bytes:
    """A TIFF directory at offset `start`, without a next one, its new values right behind it.

    Args:
        tags: the values of each.
        start: where in the file it will stand; even.
        order: "<" or ">".
        big: as BigTIFF has it.
    """
    counter, word, inline_bytes, entry_bytes = ("Q", "Q", 8, 20) if big else ("H", "I", 4, 12)
    table = bytearray(struct.pack(f"{order}{counter}", len(tags)))
    values_at = start + len(table) + entry_bytes * len(tags) + inline_bytes
    values = bytearray()
    for tag, value in sorted(tags.items()):
        inline = value.content.ljust(inline_bytes, b"\0")
        if value.at is not None:
            inline = struct.pack(f"{order}{word}", value.at)
        elif len(value.content) > inline_bytes:
            inline = struct.pack(f"{order}{word}", values_at + len(values))
            values += value.content + bytes(len(value.content) % 2)
        table += struct.pack(f"{order}HH{word}", tag, value.kind, value.count) + inline
    return bytes(table + bytes(inline_bytes) + values)


def short_value(value: int, order: str) -> Value:
    """A SHORT."""
    return Value(SHORT, 1, struct.pack(f"{order}H", value))


def long_value(value: int, order: str) -> Value:
    """A LONG."""
    return Value(LONG, 1, struct.pack(f"{order}I", value))


def ascii_value(text: str) -> Value:
    """An ASCII text; other characters become question marks."""
    content = text.encode("ascii", "replace") + b"\0"
    return Value(ASCII, len(content), content)


def rational_value(value: float, order: str) -> Value:
    """A RATIONAL near a positive number."""
    exact = Fraction(value).limit_denominator(1_000_000)
    content = struct.pack(f"{order}II", exact.numerator, exact.denominator)
    return Value(RATIONAL, 1, content)


def laid_out(
    main: Values,
    shooting: Values,
    *,
    order: str,
    interop: Values | None = None,
    gps: Values | None = None,
    note: tuple[int, bytes] | None = None,
) -> bytes:
    """A TIFF structure: the maker note, its Exif, interoperability, GPS and main directories."""
    out = bytearray(struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 0))
    out += bytes(DATA_STARTS - len(out))
    main, shooting = dict(main), dict(shooting)
    if note is not None:
        at, content = note
        out += bytes(at - len(out)) + content
        shooting[MAKER_NOTE] = Value(UNDEFINED, len(content), at=at)
    if interop:
        shooting[INTEROP_IFD] = long_value(append_directory(out, interop, order=order), order)
    for pointer, tags in ((EXIF_IFD, shooting), (GPS_IFD, gps)):
        if tags:
            main[pointer] = long_value(append_directory(out, tags, order=order), order)
    struct.pack_into(f"{order}I", out, 4, append_directory(out, main, order=order))
    return bytes(out)
