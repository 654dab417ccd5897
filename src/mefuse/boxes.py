"""The boxes of HEIF, AVIF, JPEG XL and Canon's CR3 (ISO base media): where metadata lies. A leaf.

Boxes are nested, each with its size; the walk moves forward and stays within its parent, so damage
gives nothing found and never an endless loop. It decodes no pixel.

Source: ISO/IEC 14496-12 (boxes), 23008-12 (HEIF: items and properties), 18181-2 (JPEG XL).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

_MOST_BOXES = 4096
_LARGEST_META_BYTES = 16 << 20  # of the box that describes a HEIF's items


@dataclass(frozen=True, slots=True)
class Box:
    """A box's name and where its content stands."""

    name: bytes
    at: int
    size: int


@dataclass(slots=True)
class Described:
    """What a HEIF or AVIF says: blocks as (offset, size) in the file, colours, and its turn."""

    exif: tuple[int, int] | None = None  # with a 4-byte offset to the TIFF header in front
    xmp: tuple[int, int] | None = None
    icc: bytes | None = None
    coded: tuple[int, int] | None = None  # primaries and transfer of ITU-T H.273
    quarter_turns: int = 0  # counter-clockwise, to make the pixels upright
    bits: int | None = None  # per channel
    _kinds: dict[int, bytes] = field(default_factory=dict)


def boxes(file: BinaryIO, start: int = 0, stop: int | None = None) -> Iterator[Box]:
    """Yields the boxes from `start` to `stop`, the file's end where that is None."""
    if stop is None:
        stop = file.seek(0, 2)
    for _ in range(_MOST_BOXES):
        file.seek(start)
        head = file.read(16)
        if start + 8 > stop or len(head) < 8:
            return
        size, name = struct.unpack_from(">I4s", head)
        header = 8
        if size == 1 and len(head) == 16:
            size, header = int.from_bytes(head[8:], "big"), 16
        end = stop if size == 0 else start + size
        if (size and size < header) or end > stop:
            return
        yield Box(name, start + header, end - start - header)
        start = end


def content(file: BinaryIO, box: Box, limit: int = _LARGEST_META_BYTES) -> bytes:
    """A box's content; empty where it is more than `limit`."""
    file.seek(box.at)
    return file.read(box.size) if box.size <= limit else b""


def describe(file: BinaryIO) -> Described:
    """Gives what a HEIF or AVIF file says of its picture."""
    found = Described()
    meta = next((box for box in boxes(file) if box.name == b"meta"), None)
    if meta is None:
        return found
    inside = {box.name: box for box in boxes(file, meta.at + 4, meta.at + meta.size)}
    try:
        if b"iinf" in inside:
            _read_kinds(file, inside[b"iinf"], found)
        if b"iloc" in inside:
            _read_places(content(file, inside[b"iloc"]), found)
        if b"iprp" in inside:
            _read_properties(file, inside[b"iprp"], found)
    except (struct.error, IndexError, ValueError):
        return found  # cut off: what was found until there
    return found


def largest_size(file: BinaryIO) -> tuple[int, int] | None:
    """(height, width) of the largest picture that a HEIF or AVIF describes; None without one.

    A grid's parts and a thumbnail are described beside the whole, which is the largest.
    """
    sizes = []
    for entry in _properties(file):
        data = content(file, entry, 12) if entry.name == b"ispe" else b""
        if len(data) == 12:
            width, height = struct.unpack(">II", data[4:])
            sizes.append((height, width))
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _properties(file: BinaryIO) -> Iterator[Box]:
    """The properties of all pictures: meta, iprp, ipco."""
    start, stop = 0, file.seek(0, 2)
    for name, skip in ((b"meta", 4), (b"iprp", 0), (b"ipco", 0)):
        found = next((box for box in boxes(file, start, stop) if box.name == name), None)
        if found is None:
            return
        start, stop = found.at + skip, found.at + found.size
    yield from boxes(file, start, stop)


def _read_kinds(file: BinaryIO, box: Box, found: Described) -> None:
    """Notes which items are EXIF and which XMP."""
    file.seek(box.at)
    skip = 6 if file.read(1) == b"\0" else 8
    for entry in boxes(file, box.at + skip, box.at + box.size):
        data = content(file, entry)
        if entry.name != b"infe" or len(data) < 12 or data[0] not in (2, 3):
            continue
        wide = data[0] == 3
        number = int.from_bytes(data[4:8] if wide else data[4:6], "big")
        kind = data[10:14] if wide else data[8:12]
        if kind == b"mime" and b"application/rdf+xml" in data:
            kind = b"xmp "
        found._kinds[number] = kind


def _read_places(data: bytes, found: Described) -> None:
    """Notes where EXIF and XMP lie: the single extent of their items, counted from the file."""
    version = data[0]
    sizes = data[4:6]
    offset_bytes, length_bytes, base_bytes = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_bytes = sizes[1] & 15 if version else 0
    wide = 4 if version == 2 else 2
    at = 6

    def take(count: int) -> int:
        nonlocal at
        if at + count > len(data):
            raise ValueError("cut off")
        at += count
        return int.from_bytes(data[at - count : at], "big")

    for _ in range(take(wide)):
        number = take(wide)
        method = take(2) & 15 if version else 0
        take(2)  # the file that it lies in: 0 is this one
        base, extents = take(base_bytes), take(2)
        for extent in range(extents):
            take(index_bytes)
            place = base + take(offset_bytes), take(length_bytes)
            if extents == 1 and extent == 0 and method == 0:
                _note_place(found, found._kinds.get(number), place)


def _note_place(found: Described, kind: bytes | None, place: tuple[int, int]) -> None:
    if kind == b"Exif":
        found.exif = found.exif or place
    elif kind == b"xmp ":
        found.xmp = found.xmp or place


def _read_properties(file: BinaryIO, box: Box, found: Described) -> None:
    """Notes colours and turn; the first of each, which is the primary picture's."""
    properties = next(
        (b for b in boxes(file, box.at, box.at + box.size) if b.name == b"ipco"), None
    )
    if properties is None:
        return
    turned = False
    for entry in boxes(file, properties.at, properties.at + properties.size):
        if entry.name == b"colr":
            data = content(file, entry)
            if data[:4] in (b"prof", b"rICC"):
                found.icc = found.icc or data[4:]
            elif data[:4] == b"nclx" and found.coded is None:
                found.coded = struct.unpack_from(">HH", data, 4)
        elif entry.name == b"pixi" and found.bits is None:
            found.bits = content(file, entry)[5]
        elif entry.name == b"irot" and not turned:
            turned = True
            found.quarter_turns = content(file, entry)[0] & 3
