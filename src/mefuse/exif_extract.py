"""EXIF out of what is one large TIFF structure: TIFF files and the raw formats built on it. A leaf.

Their tags are laid out anew: those that say something of the photograph, and not of the file.

Source: Exif 2.32 (CIPA DC-008), TIFF 6.0, TIFF/EP, DNG 1.7.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from mefuse.exif import (
    EXIF_IFD,
    GPS_IFD,
    INTEROP_IFD,
    MAKER_NOTE,
    ORIENTATION,
    SOFTWARE,
    TYPE_BYTES,
    Entry,
    TiffReader,
)
from mefuse.exif_layout import DATA_STARTS, Value, Values, laid_out

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
_LARGEST_COPIED_BYTES = 64 << 10  # of one value
_FARTHEST_NOTE = 32 << 10  # offset of a maker note: what lies before it becomes empty space
# Maker notes that count their offsets from their own start, or hold a TIFF header of their own:
# Nikon, Fujifilm, Apple, Olympus and OM, Pentax, Leica's and Sigma's later ones.
_MOVABLE = (b"Nikon\0\2", b"FUJIFILM", b"Apple iOS\0", b"OLYMPUS\0", b"OM SYSTEM\0", b"PENTAX \0")
_HEADER_BYTES = 8  # of a TIFF structure, in front of its first directory
_MOST_ENTRIES = 512  # of a maker note


def extracted(
    file: BinaryIO,
    base: int = 0,
    *,
    shooting_base: int | None = None,
    gps_base: int | None = None,
    note: bytes | None = None,
) -> bytes | None:
    """Gives an EXIF block of what a TIFF or TIFF-based raw file says of its photograph.

    Such a file is one large TIFF structure, so its tags are laid out anew: the descriptive ones,
    the Exif, the interoperability and the GPS directory, and the maker note: at its own offset,
    where that is not far into the file, or anywhere, where its maker made it to be moved. None
    where there is nothing to tell.

    Args:
        file: the file.
        base: where its TIFF structure starts.
        shooting_base: where the Exif directory has a structure of its own (Canon CR3).
        gps_base: the same of the GPS directory.
        note: a maker note that is a TIFF structure of its own (Canon CR3), instead of the Exif
            directory's; empty: none.
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
    pointer, entry = shooting.pop(INTEROP_IFD, None), shooting.pop(MAKER_NOTE, None)
    interop = exif_tiff.directory_at(pointer) if pointer else {}
    block = laid_out(
        _copied(tiff, main),
        _copied(tiff, early) | _copied(exif_tiff, shooting),
        interop=_copied(exif_tiff, interop),
        gps=_copied(gps_tiff, gps),
        note=_note(exif_tiff, entry) if note is None else _unwrapped(note, tiff.order),
        order=tiff.order,
    )
    return block if len(block) > DATA_STARTS + 6 else None


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
    at = tiff.value_offset(entry)
    if DATA_STARTS <= at <= _FARTHEST_NOTE:
        return at, content
    return (DATA_STARTS, content) if content.startswith(_MOVABLE) else None


def _unwrapped(note: bytes, order: str) -> tuple[int, bytes] | None:
    """A maker note that was a TIFF structure, as a directory in the block, and its offset there.

    Canon's, whose directories say by offsets from that structure's start where values lie.
    """
    mark = b"II" if order == "<" else b"MM"
    if note[:2] != mark or len(note) < _HEADER_BYTES + 2:
        return None
    if struct.unpack_from(f"{order}I", note, 4)[0] != _HEADER_BYTES:
        return None
    moved = bytearray(note)
    count = struct.unpack_from(f"{order}H", note, _HEADER_BYTES)[0]
    for slot in range(_HEADER_BYTES + 2, _HEADER_BYTES + 2 + 12 * min(count, _MOST_ENTRIES), 12):
        if slot + 12 > len(note):
            return None
        _, kind, number, at = struct.unpack_from(f"{order}HHII", note, slot)
        size = TYPE_BYTES.get(kind, 0) * number
        if size > 4 and at + size <= len(note):
            struct.pack_into(f"{order}I", moved, slot + 8, at + DATA_STARTS - _HEADER_BYTES)
    return DATA_STARTS, bytes(moved[_HEADER_BYTES:])
