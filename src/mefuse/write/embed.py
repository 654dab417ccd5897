"""Puts EXIF, XMP and ICC into JPEG and JPEG XL files that an encoder has made, and into PNG chunks.

It adds segments, chunks or boxes and decodes nothing. What a format cannot hold is told, not lost
in silence.

Source: ITU-T T.81 annex B, PNG (3rd edition), ICC.1 annex B, Adobe's XMP specification part 3,
ISO/IEC 18181-2.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass

from mefuse import boxes, exif_copy, exif_extract, xmp
from mefuse.containers import (
    EXIF_HEADER,
    ICC_HEADER,
    PHOTOSHOP_HEADER,
    PNG_XMP,
    XMP_EXTENSION_HEADER,
    XMP_HEADER,
)
from mefuse.frames import Metadata

Pieces = list[bytes | memoryview]

_APP1, _APP2, _APP13 = 0xE1, 0xE2, 0xED
_SEGMENT_PAYLOAD = 65_533
_ICC_CHUNK = _SEGMENT_PAYLOAD - len(ICC_HEADER) - 2
_XMP_CHUNK = _SEGMENT_PAYLOAD - len(XMP_EXTENSION_HEADER) - 40
_PHOTOSHOP_CHUNK = _SEGMENT_PAYLOAD - len(PHOTOSHOP_HEADER)
_MOST_ICC_CHUNKS = 255  # a chunk's number is one byte


@dataclass(frozen=True, slots=True)
class Embedded:
    """A file in pieces, which spare a copy of the whole, and what it could not hold."""

    pieces: Pieces
    lost: tuple[str, ...] = ()


def in_jpeg(encoded: bytes, metadata: Metadata) -> Embedded:
    """A JPEG with metadata in APP1, 2 and 13, behind SOI and, as JFIF wants to be first, APP0."""
    block = b""
    lost: list[str] = []
    if metadata.exif is not None:
        fitting, left_out = _fitting_exif(metadata.exif)
        lost += left_out
        if fitting:
            block += _segment(_APP1, EXIF_HEADER + fitting)
    if metadata.xmp is not None:
        block += _jpeg_xmp(metadata.xmp)
    icc = metadata.icc or b""
    count = -(-len(icc) // _ICC_CHUNK)
    if count > _MOST_ICC_CHUNKS:
        lost.append("a colour profile larger than a JPEG can hold")
        count = 0
    for n in range(count):
        part = icc[n * _ICC_CHUNK : (n + 1) * _ICC_CHUNK]
        block += _segment(_APP2, ICC_HEADER + bytes((n + 1, count)) + part)
    told = metadata.iptc or b""
    for start in range(0, len(told), _PHOTOSHOP_CHUNK):
        block += _segment(_APP13, PHOTOSHOP_HEADER + told[start : start + _PHOTOSHOP_CHUNK])
    has_jfif = encoded[2:4] == b"\xff\xe0"
    at = 4 + int.from_bytes(encoded[4:6], "big") if has_jfif else 2
    return Embedded(_put_in(encoded, at, block), tuple(lost))


def _fitting_exif(block: bytes) -> tuple[bytes, list[str]]:
    """EXIF that a segment can hold, without thumbnail and maker note if need be; what is lost."""
    largest = _SEGMENT_PAYLOAD - len(EXIF_HEADER)
    if len(block) > largest:
        block = exif_copy.without_thumbnail(block)
    if len(block) <= largest:
        return block, []
    short = exif_extract.extracted(io.BytesIO(block), note=b"") or b""
    if 0 < len(short) <= largest:
        return short, ["maker notes, larger than a JPEG can hold"]
    return b"", ["EXIF larger than a JPEG can hold"]


def _jpeg_xmp(packet: bytes) -> bytes:
    """One segment, or a short packet that names an extended one in as many as it takes."""
    if len(packet) <= _SEGMENT_PAYLOAD - len(XMP_HEADER):
        return _segment(_APP1, XMP_HEADER + packet)
    guid = hashlib.md5(packet, usedforsecurity=False).hexdigest().upper()
    block = _segment(_APP1, XMP_HEADER + xmp.with_extension(guid))
    for at in range(0, len(packet), _XMP_CHUNK):
        place = guid.encode() + struct.pack(">II", len(packet), at)
        part = packet[at : at + _XMP_CHUNK]
        block += _segment(_APP1, XMP_EXTENSION_HEADER + place + part)
    return block


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def png_metadata(metadata: Metadata) -> bytes:
    """The chunks of metadata, which belong right behind IHDR."""
    block = b""
    if metadata.icc is not None:
        block += png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc))
    if metadata.exif is not None:
        block += png_chunk(b"eXIf", metadata.exif)
    if metadata.xmp is not None:
        block += png_chunk(b"iTXt", PNG_XMP + bytes(4) + metadata.xmp)
    return block


def png_chunk(name: bytes, payload: bytes) -> bytes:
    """One chunk."""
    return b"".join(chunk_around(name, memoryview(payload)))


def chunk_around(name: bytes, payload: memoryview) -> Pieces:
    """One chunk in pieces, its payload not copied."""
    check = zlib.crc32(payload, zlib.crc32(name))
    return [struct.pack(">I", len(payload)) + name, payload, struct.pack(">I", check)]


def in_jxl(encoded: bytes, metadata: Metadata) -> Embedded:
    """A JPEG XL in boxes with two more, right behind those that say what the file is."""
    block = b""
    if metadata.exif is not None:
        block += _box(b"Exif", bytes(4) + metadata.exif)
    if metadata.xmp is not None:
        block += _box(b"xml ", metadata.xmp)
    at = 0
    for box in boxes.boxes(io.BytesIO(encoded)):
        if box.name not in (b"JXL ", b"ftyp", b"jxll"):
            break
        at = box.at + box.size
    return Embedded(_put_in(encoded, at, block))


def _box(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", len(payload) + 8, name) + payload


def _put_in(encoded: bytes, at: int, block: bytes) -> Pieces:
    view = memoryview(encoded)
    return [view[:at], block, view[at:]] if block else [encoded]
