"""EXIF for the fused picture: the reference's, corrected where it is no longer true. A leaf.

A block is changed in place and only added to at its end: nothing in it moves, so maker notes, whose
offsets count from the block's start, stay whole.

Source: Exif 2.32 (CIPA DC-008), TIFF 6.0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from mefuse.exif import (
    EXIF_IFD,
    GPS_IFD,
    ICC_PROFILE,
    INTEROP_IFD,
    IPTC,
    MAKER_NOTE,
    ORIENTATION,
    PHOTOSHOP,
    SOFTWARE,
    XMP,
    Entry,
    TiffReader,
    opened,
)
from mefuse.exif_layout import (
    UNDEFINED,
    Value,
    Values,
    append_directory,
    ascii_value,
    directory,
    laid_out,
    long_value,
    rational_value,
    short_value,
)
from mefuse.frames import Exposure

_COLOUR_SPACE, _SRGB, _UNCALIBRATED = 0xA001, 1, 0xFFFF
_THUMBNAIL_AT, _THUMBNAIL_BYTES = 0x0201, 0x0202
_GPS_VERSION, _BYTE = 0x0000, 1
_MAIN_SIZE = (0x0100, 0x0101)  # width, height
# Where a picture's own strips, tiles and copies lie: of a file, not of a photograph. And XMP, ICC
# and IPTC, which have their own way.
STRUCTURE = frozenset(
    (
        *(0xFE, 0xFF, 0x102, 0x103, 0x106, 0x10A, 0x111, 0x115, 0x116, 0x117, 0x11C, 0x13D, 0x142),
        *(0x143, 0x144, 0x145, 0x14A, 0x152, 0x153, 0x15B, 0x212),
        *(_THUMBNAIL_AT, _THUMBNAIL_BYTES, XMP, ICC_PROFILE, IPTC, PHOTOSHOP),
    )
)
_LARGEST_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Corrections:
    """What is true of the fused picture and was not of the reference's file."""

    width: int
    height: int
    software: str
    is_srgb: bool
    thumbnail: bytes | None = None  # a JPEG, in the place of the reference's, if it had one
    strip_gps: bool = False


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
    pointer = tiff.subdirectory(EXIF_IFD).get(INTEROP_IFD)
    if pointer is not None and not tiff.directory_at(pointer):  # it would point into what we add
        shooting.pop(INTEROP_IFD, None)
    if true.strip_gps or not tiff.subdirectory(GPS_IFD):
        _erase_gps(out, tiff)
        main.pop(GPS_IFD, None)
    elif GPS_IFD in main and _GPS_VERSION not in tiff.subdirectory(GPS_IFD):
        main[GPS_IFD] = long_value(_with_gps_version(out, tiff), order)
    if ORIENTATION in main:
        main[ORIENTATION] = short_value(1, order)
    for name, value in zip(_MAIN_SIZE, (true.width, true.height), strict=True):
        if name in main:
            main[name] = long_value(value, order)
    main = _REQUIRED_IN_MAIN[order] | main | {SOFTWARE: ascii_value(true.software)}
    shooting = _REQUIRED_IN_EXIF | shooting | _seen_as(true, order)
    following = tiff.following()
    old = _erase_thumbnail(out, tiff, following)
    second = kept(out, tiff, following) if old and true.thumbnail else {}
    main[EXIF_IFD] = long_value(append_directory(out, shooting, order=order), order)
    start = append_directory(out, main, order=order)
    struct.pack_into(f"{order}I", out, 4, start)
    if old and true.thumbnail:
        link = start + 2 + 12 * len(main)
        _append_thumbnail(out, link, second, true.thumbnail, order=order)
    return bytes(out)


def _seen_as(true: Corrections, order: str) -> Values:
    """Colour space and size in the Exif directory."""
    return {
        _COLOUR_SPACE: short_value(_SRGB if true.is_srgb else _UNCALIBRATED, order),
        0xA002: long_value(true.width, order),
        0xA003: long_value(true.height, order),
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
        at, size = tiff.value_offset(entry), len(tiff.value(entry))
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
        at = tiff.value_offset(index)
        out[at : at + 3] = b"R98"


def _erase_gps(out: bytearray, tiff: TiffReader) -> None:
    """Overwrites the GPS directory and its values: unlinked bytes could still be read."""
    for entry in tiff.subdirectory(GPS_IFD).values():
        _erase(out, tiff.value_offset(entry), len(tiff.value(entry)))
        _erase(out, entry.slot, 12)


def _with_gps_version(out: bytearray, tiff: TiffReader) -> int:
    """A new GPS directory in the old one's place, with the version that Exif asks for."""
    old = tiff.subdirectory(GPS_IFD)
    tags = kept(out, tiff, old) | {_GPS_VERSION: Value(_BYTE, 4, b"\2\3\0\0")}
    for entry in old.values():
        _erase(out, entry.slot, 12)
    return append_directory(out, tags, order=tiff.order)


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
        start = tiff.value_offset(note)
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
        tags[ORIENTATION] = short_value(1, order)
    tags |= {
        0x0103: short_value(6, order),  # JPEG
        _THUMBNAIL_AT: long_value(0, order),
        _THUMBNAIL_BYTES: long_value(len(thumbnail), order),
    }
    start = len(out) + len(out) % 2
    tags[_THUMBNAIL_AT] = long_value(start + len(directory(tags, start=start, order=order)), order)
    struct.pack_into(f"{order}I", out, link, append_directory(out, tags, order=order))
    out += thumbnail


def _started(true: Corrections, exposure: Exposure) -> bytes:
    """A new block: what Exif asks of every file, and the exposure where it is known."""
    main = _REQUIRED_IN_MAIN["<"] | {SOFTWARE: ascii_value(true.software)}
    shooting = _REQUIRED_IN_EXIF | _seen_as(true, "<")
    if exposure.exposure_time_s is not None:
        shooting[0x829A] = rational_value(exposure.exposure_time_s, "<")
    if exposure.f_number is not None:
        shooting[0x829D] = rational_value(exposure.f_number, "<")
    if exposure.iso is not None and exposure.iso <= 0xFFFF:
        shooting[0x8827] = short_value(round(exposure.iso), "<")
    return laid_out(main, shooting, order="<")


# What Exif 2.32 (4.6.4) asks of every JPEG: resolution, and of the Exif directory its version, the
# components Y Cb Cr and FlashPix's version.
_RESOLUTION: dict[str, Values] = {
    order: {
        0x011A: rational_value(72, order),
        0x011B: rational_value(72, order),
        0x0128: short_value(2, order),  # per inch
    }
    for order in "<>"
}
_REQUIRED_IN_MAIN = {order: _RESOLUTION[order] | {0x0213: short_value(1, order)} for order in "<>"}
_REQUIRED_IN_EXIF: Values = {
    0x9000: Value(UNDEFINED, 4, b"0232"),
    0x9101: Value(UNDEFINED, 4, b"\1\2\3\0"),
    0xA000: Value(UNDEFINED, 4, b"0100"),
}
