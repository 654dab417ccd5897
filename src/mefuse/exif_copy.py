"""EXIF for the fused picture: the reference's, corrected where it is no longer true. A leaf.

A block of a JPEG, PNG or WebP is changed in place and only added to at its end: nothing in it
moves, so maker notes, whose offsets count from the block's start, stay whole. What a TIFF or a raw
file says is laid out anew, with the maker note at the offset that it had.

Source: Exif 2.32 (CIPA DC-008), TIFF 6.0, TIFF/EP.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from mefuse.exif import (
    EXIF_IFD,
    GPS_IFD,
    ICC_PROFILE,
    INTEROP_IFD,
    LONG,
    MAKER_NOTE,
    ORIENTATION,
    SHORT,
    XMP,
    Entry,
    TiffReader,
    opened,
)
from mefuse.frames import Exposure

ASCII, _RATIONAL, _UNDEFINED = 2, 5, 7
SOFTWARE = 0x0131
_COLOUR_SPACE, _SRGB, _UNCALIBRATED = 0xA001, 1, 0xFFFF
_THUMBNAIL_AT, _THUMBNAIL_BYTES = 0x0201, 0x0202
_MAIN_SIZE = (0x0100, 0x0101)  # width, height
# Where a picture's own strips, tiles and copies lie: of a file, not of a photograph. And XMP and
# ICC, which have their own way.
STRUCTURE = frozenset(
    (
        *(0xFE, 0xFF, 0x102, 0x103, 0x106, 0x10A, 0x111, 0x115, 0x116, 0x117, 0x11C, 0x13D, 0x142),
        *(0x143, 0x144, 0x145, 0x14A, 0x152, 0x153, 0x15B, 0x212),
        *(_THUMBNAIL_AT, _THUMBNAIL_BYTES, XMP, ICC_PROFILE),
    )
)
# What a TIFF says of the photograph rather than of its own strips: description, maker, model,
# orientation, resolution, software, date, artist, host, rating, copyright, history, Windows' texts.
_DESCRIPTIVE = (
    *(0x10D, 0x10E, 0x10F, 0x110, ORIENTATION, 0x11A, 0x11B, 0x11D, 0x128, SOFTWARE, 0x132, 0x13B),
    *(0x13C, 0x4746, 0x4749, 0x8298, 0x9213, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, 0xC62F),
)
# TIFF/EP and DNG may keep in IFD0 what belongs to the Exif IFD: exposure, dates, lens and the like.
_SHOOTING_IN_MAIN = (
    *(0x829A, 0x829D, 0x8822, 0x8827, 0x8831, 0x8832, 0x8833, 0x9003, 0x9004, 0x9201, 0x9202),
    *(0x9203, 0x9204, 0x9205, 0x9207, 0x9209, 0x920A, 0xA431, 0xA432, 0xA433, 0xA434, 0xA435),
)
_LARGEST_COPIED_BYTES = 64 << 10  # of one value in `extracted`
_LARGEST_BLOCK_BYTES = 16 << 20
_FARTHEST_NOTE = 32 << 10  # offset of a maker note: what lies before it becomes empty space
_DATA_STARTS = 16  # behind the longer of TIFF's two headers


@dataclass(frozen=True, slots=True)
class Corrections:
    """What is true of the fused picture and was not of the reference's file."""

    width: int
    height: int
    software: str
    is_srgb: bool
    thumbnail: bytes | None = None  # a JPEG, in the place of the reference's, if it had one
    strip_gps: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A tag's value: its bytes, or where they lie in the file already."""

    kind: int
    count: int
    content: bytes = b""
    at: int | None = None


Values = dict[int, Value]


def finished(block: bytes | None, true: Corrections, *, exposure: Exposure) -> bytes:
    """Gives EXIF for a fused picture.

    Upright, its size and colour space corrected, the thumbnail replaced, made by `true.software`.

    Args:
        block: of the reference; where it is missing or damaged, a new one tells of the exposure.
        true: what to correct.
        exposure: of the reference.
    """
    tiff = opened(block) if block else None
    if block is None or tiff is None or not tiff.main or len(block) > _LARGEST_BLOCK_BYTES:
        return _started(true, exposure)
    out, order = bytearray(block), tiff.order
    _correct_index(out, tiff, is_srgb=true.is_srgb)
    main, shooting = (kept(out, tiff, tags) for tags in (tiff.main, tiff.subdirectory(EXIF_IFD)))
    if true.strip_gps:
        _erase_gps(out, tiff)
        main.pop(GPS_IFD, None)
    if ORIENTATION in main:
        main[ORIENTATION] = _short(1, order)
    for name, value in zip(_MAIN_SIZE, (true.width, true.height), strict=True):
        if name in main:
            main[name] = _long(value, order)
    main = _REQUIRED_IN_MAIN[order] | main | {SOFTWARE: _ascii(true.software)}
    shooting = _REQUIRED_IN_EXIF | shooting | _seen_as(true, order)
    following = tiff.following()
    old = _erase_thumbnail(out, tiff, following)
    second = kept(out, tiff, following) if old and true.thumbnail else {}
    main[EXIF_IFD] = _long(_append_directory(out, shooting, order=order), order)
    start = _append_directory(out, main, order=order)
    struct.pack_into(f"{order}I", out, 4, start)
    if old and true.thumbnail:
        link = start + 2 + 12 * len(main)
        _append_thumbnail(out, link, second, true.thumbnail, order=order)
    return bytes(out)


def _seen_as(true: Corrections, order: str) -> Values:
    """Colour space and size in the Exif directory."""
    return {
        _COLOUR_SPACE: _short(_SRGB if true.is_srgb else _UNCALIBRATED, order),
        0xA002: _long(true.width, order),
        0xA003: _long(true.height, order),
    }


def without_thumbnail(block: bytes) -> bytes:
    """The block without its second directory, cut where that one's picture was its end."""
    tiff = opened(block)
    if tiff is None or not tiff.next_slot:
        return block
    out = bytearray(block)
    _erase_thumbnail(out, tiff, tiff.following())
    if tiff.next_slot + 4 <= len(out):
        struct.pack_into("<I", out, tiff.next_slot, 0)
    return bytes(out)


def kept(
    block: bytes | bytearray, tiff: TiffReader, tags: dict[int, Entry], *, inline_bytes: int = 4
) -> Values:
    """The tags of a directory that say something of the photograph, their values where they are.

    Args:
        block: the bytes as they stand now; the reader's may be older.
        tiff: a reader of the block.
        tags: the directory.
        inline_bytes: the longest value that stands in a directory's entry itself.
    """
    values: Values = {}
    for tag, entry in tags.items():
        at, size = tiff.place(entry), len(tiff.value(entry))
        if tag in STRUCTURE or not size or at + size > len(block):
            continue
        if size <= inline_bytes:
            values[tag] = Value(entry.kind, entry.count, bytes(block[at : at + size]))
        else:
            values[tag] = Value(entry.kind, entry.count, at=at)
    return values


def _correct_index(out: bytearray, tiff: TiffReader, *, is_srgb: bool) -> None:
    """The index that would call sRGB pixels Adobe RGB."""
    pointer = tiff.subdirectory(EXIF_IFD).get(INTEROP_IFD)
    index = tiff.directory_at(pointer).get(1) if pointer else None
    if index is not None and is_srgb and tiff.value(index)[:3] == b"R03":
        at = tiff.place(index)
        out[at : at + 3] = b"R98"


def _erase_gps(out: bytearray, tiff: TiffReader) -> None:
    """Overwrites the GPS directory and its values: unlinked bytes could still be read."""
    for entry in tiff.subdirectory(GPS_IFD).values():
        _erase(out, tiff.place(entry), len(tiff.value(entry)))
        _erase(out, entry.slot, 12)


def _erase(out: bytearray, at: int, size: int) -> None:
    """Zeros; never behind the block's end."""
    stop = min(at + size, len(out))
    if at < stop:
        out[at:stop] = bytes(stop - at)


def _erase_thumbnail(out: bytearray, tiff: TiffReader, following: dict[int, Entry]) -> bool:
    """Overwrites the thumbnail, and cuts it off where it is the block's end; whether it was there.

    Unless the maker note reaches into it: that is then left as it is.
    """
    at, size = (
        int(next(iter(tiff.numbers(following.get(tag))), 0))
        for tag in (_THUMBNAIL_AT, _THUMBNAIL_BYTES)
    )
    if not 0 < at < at + size <= len(out):
        return False
    note = tiff.subdirectory(EXIF_IFD).get(MAKER_NOTE)
    if note is not None:
        start = tiff.place(note)
        if start < at + size and at < start + note.count:
            return True
    _erase(out, at, size)
    if at + size >= len(out) - 1 and at > max(e.slot + 12 for e in tiff.main.values()):
        del out[at:]
    return True


def _append_thumbnail(
    out: bytearray, link: int, tags: Values, thumbnail: bytes, *, order: str
) -> None:
    """The second directory with a thumbnail; `link` is the place that points to it."""
    tags = _RESOLUTION[order] | {t: v for t, v in tags.items() if t not in _MAIN_SIZE}
    if ORIENTATION in tags:
        tags[ORIENTATION] = _short(1, order)
    tags |= {
        0x0103: _short(6, order),  # JPEG
        _THUMBNAIL_AT: _long(0, order),
        _THUMBNAIL_BYTES: _long(len(thumbnail), order),
    }
    start = len(out) + len(out) % 2
    tags[_THUMBNAIL_AT] = _long(start + len(directory(tags, start=start, order=order)), order)
    struct.pack_into(f"{order}I", out, link, _append_directory(out, tags, order=order))
    out += thumbnail


def _append_directory(out: bytearray, tags: Values, *, order: str) -> int:
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


def _short(value: int, order: str) -> Value:
    return Value(SHORT, 1, struct.pack(f"{order}H", value))


def _long(value: int, order: str) -> Value:
    return Value(LONG, 1, struct.pack(f"{order}I", value))


def _ascii(text: str) -> Value:
    content = text.encode("ascii", "replace") + b"\0"
    return Value(ASCII, len(content), content)


def _rational(value: float, order: str) -> Value:
    exact = Fraction(value).limit_denominator(1_000_000)
    content = struct.pack(f"{order}II", exact.numerator, exact.denominator)
    return Value(_RATIONAL, 1, content)


def _started(true: Corrections, exposure: Exposure) -> bytes:
    """A new block: what Exif asks of every file, and the exposure where it is known."""
    main = _REQUIRED_IN_MAIN["<"] | {SOFTWARE: _ascii(true.software)}
    shooting = _REQUIRED_IN_EXIF | _seen_as(true, "<")
    if exposure.exposure_time_s is not None:
        shooting[0x829A] = _rational(exposure.exposure_time_s, "<")
    if exposure.f_number is not None:
        shooting[0x829D] = _rational(exposure.f_number, "<")
    if exposure.iso is not None and exposure.iso <= 0xFFFF:
        shooting[0x8827] = _short(round(exposure.iso), "<")
    return _laid_out(main, shooting, order="<")


# What Exif 2.32 (4.6.4) asks of every JPEG: resolution, and of the Exif directory its version, the
# components Y Cb Cr and FlashPix's version.
_RESOLUTION: dict[str, Values] = {
    order: {
        0x011A: _rational(72, order),
        0x011B: _rational(72, order),
        0x0128: _short(2, order),  # per inch
    }
    for order in "<>"
}
_REQUIRED_IN_MAIN = {order: _RESOLUTION[order] | {0x0213: _short(1, order)} for order in "<>"}
_REQUIRED_IN_EXIF: Values = {
    0x9000: Value(_UNDEFINED, 4, b"0232"),
    0x9101: Value(_UNDEFINED, 4, b"\1\2\3\0"),
    0xA000: Value(_UNDEFINED, 4, b"0100"),
}


def extracted(
    file: BinaryIO, base: int = 0, *, shooting_base: int | None = None, gps_base: int | None = None
) -> bytes | None:
    """Gives an EXIF block of what a TIFF or TIFF-based raw file says of its photograph.

    Such a file is one large TIFF structure, so its tags are laid out anew: the descriptive ones,
    the Exif, the interoperability and the GPS directory, and the maker note at its own offset,
    where that is not far into the file. None where there is nothing to tell.

    Args:
        file: the file.
        base: where its TIFF structure starts.
        shooting_base: where the Exif directory has a structure of its own (Canon CR3).
        gps_base: the same of the GPS directory.
    """
    try:
        tiff = TiffReader(file, base)
        exif_tiff = tiff if shooting_base is None else TiffReader(file, shooting_base)
        gps_tiff = tiff if gps_base is None else TiffReader(file, gps_base)
    except ValueError:
        return None
    shooting = tiff.subdirectory(EXIF_IFD) if exif_tiff is tiff else exif_tiff.main
    gps = tiff.subdirectory(GPS_IFD) if gps_tiff is tiff else gps_tiff.main
    if len({reader.order for reader in (tiff, exif_tiff, gps_tiff)}) > 1:
        return None  # values are copied as they are
    main = {tag: entry for tag in _DESCRIPTIVE if (entry := tiff.main.get(tag))}
    early = {tag: entry for tag in _SHOOTING_IN_MAIN if (entry := tiff.main.get(tag))}
    pointer, note = shooting.pop(INTEROP_IFD, None), shooting.pop(MAKER_NOTE, None)
    interop = exif_tiff.directory_at(pointer) if pointer else {}
    block = _laid_out(
        _copied(tiff, main),
        _copied(tiff, early) | _copied(exif_tiff, shooting),
        interop=_copied(exif_tiff, interop),
        gps=_copied(gps_tiff, gps),
        note=_note(exif_tiff, note),
        order=tiff.order,
    )
    return block if len(block) > _DATA_STARTS + 6 else None


def _copied(tiff: TiffReader, tags: dict[int, Entry]) -> Values:
    """The values of `tags`; those that are damaged, large or not classic TIFF are left out."""
    values: Values = {}
    for tag, entry in tags.items():
        content = tiff.value(entry, limit=_LARGEST_COPIED_BYTES)
        if content and entry.kind < 13:
            values[tag] = Value(entry.kind, entry.count, content)
    return values


def _note(tiff: TiffReader, entry: Entry | None) -> tuple[int, bytes] | None:
    """A maker note and its offset; None where it lies too far in the file to keep that."""
    content = tiff.value(entry, limit=_LARGEST_COPIED_BYTES) if entry is not None else b""
    if entry is None or not content:
        return None
    at = tiff.place(entry)
    return (at, content) if _DATA_STARTS <= at <= _FARTHEST_NOTE else None


def _laid_out(
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
    out += bytes(_DATA_STARTS - len(out))
    main, shooting = dict(main), dict(shooting)
    if note is not None:
        at, content = note
        out += bytes(at - len(out)) + content
        shooting[MAKER_NOTE] = Value(_UNDEFINED, len(content), at=at)
    if interop:
        shooting[INTEROP_IFD] = _long(_append_directory(out, interop, order=order), order)
    for pointer, tags in ((EXIF_IFD, shooting), (GPS_IFD, gps)):
        if tags:
            main[pointer] = _long(_append_directory(out, tags, order=order), order)
    struct.pack_into(f"{order}I", out, 4, _append_directory(out, main, order=order))
    return bytes(out)
