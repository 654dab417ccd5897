"""The structure of picture files: where their metadata lies, whether they are whole. A leaf.

JPEG segments, PNG chunks, WebP (RIFF) chunks, and the raw formats that wrap EXIF in something
else than TIFF. It walks headers and never decodes a pixel; every walk moves forward, so it ends.
It also puts EXIF and ICC into JPEG and PNG files that an encoder has made.

Source: ITU-T T.81 annex B, PNG (3rd edition), WebP container specification, ICC.1 annex B.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Literal

from mefuse import exif
from mefuse.frames import Metadata

Kind = Literal["jpeg", "png", "webp", "tiff", "bmp", "cr3", "raf", "other"]

HEADER_BYTES = 32
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (_PNG_SIGNATURE, "png"),
    (b"BM", "bmp"),
    (b"FUJIFILM", "raf"),
    (b"II", "tiff"),
    (b"MM", "tiff"),
)
_EXIF_HEADER = b"Exif\0\0"
_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
_ICC_HEADER = b"ICC_PROFILE\0"
_PNG_XMP = b"XML:com.adobe.xmp\0"
_LARGEST_BLOCK_BYTES = 16 << 20  # of one metadata block; more is damage
_MOST_CHUNKS = 1 << 16  # of a PNG: with chunks of 8 KiB that is 512 MiB
_SEGMENT_PAYLOAD = 65_533
_ICC_CHUNK = _SEGMENT_PAYLOAD - len(_ICC_HEADER) - 2

_SOI, _EOI, _SOS, _APP1, _APP2 = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length: TEM, RST0..7, SOI
_FRAME_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0..15; the others are tables
# Scan data ends at a marker that is neither a stuffed zero, a restart nor a fill byte.
_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


def kind_of(head: bytes) -> Kind:
    """Names the container by its first `HEADER_BYTES` bytes, whatever its extension says."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:11] == b"ftypcrx":
        return "cr3"
    return next((kind for start, kind in _SIGNATURES if head.startswith(start)), "other")


def find_exif(file: BinaryIO) -> int | None:
    """Gives the offset of the EXIF block's TIFF header in a picture file, None where there is none.

    Only headers are read, so that a folder of thousands of frames is quick.
    """
    file.seek(0)
    head = file.read(HEADER_BYTES)
    kind = kind_of(head)
    if kind == "jpeg":
        return _find_jpeg_exif(file, 0)
    if kind == "raf":  # Fuji: the big-endian offset of the embedded JPEG stands at byte 84
        file.seek(84)
        return _find_jpeg_exif(file, int.from_bytes(file.read(4), "big"))
    if kind == "cr3":
        return _find_cr3_exif(file)
    if kind in ("png", "webp"):
        chunks, wanted = (png_chunks, b"eXIf") if kind == "png" else (_webp_chunks, b"EXIF")
        return next((at for name, at, _ in chunks(file) if name == wanted), None)
    return 0 if kind == "tiff" else None


def _find_jpeg_exif(file: BinaryIO, start: int) -> int | None:
    for marker, at, size in jpeg_segments(file, start):
        if marker == _APP1 and size > len(_EXIF_HEADER):
            file.seek(at)
            if file.read(len(_EXIF_HEADER)) == _EXIF_HEADER:
                return at + len(_EXIF_HEADER)
    return None


def _find_cr3_exif(file: BinaryIO) -> int | None:
    """Canon CR3: box CMT2 holds the Exif directory as a TIFF structure, near the file's start."""
    return find_cr3_block(file, b"CMT2")


def find_cr3_block(file: BinaryIO, name: bytes) -> int | None:
    """Gives the offset of the TIFF structure in a box of a Canon CR3, None where it is missing.

    CMT1 holds what is IFD0 in other files, CMT2 the Exif directory, CMT3 the maker note.
    """
    file.seek(0)
    at = file.read(64 << 10).find(name)
    return at + 4 if at >= 0 else None


def find_jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Gives (height, width) of a JPEG as stored, from the header of its frame; None without one."""
    for marker, at, size in jpeg_segments(file):
        if marker in _FRAME_MARKERS and size >= 5:
            file.seek(at + 1)
            height, width = struct.unpack(">HH", file.read(4).ljust(4, b"\0"))
            return height, width
    return None


def read_metadata(file: BinaryIO) -> Metadata:
    """Gives the EXIF, ICC and XMP blocks of a picture file; None for what is absent or damaged."""
    file.seek(0)
    kind = kind_of(file.read(HEADER_BYTES))
    if kind == "jpeg":
        return _jpeg_metadata(file)
    if kind == "png":
        return _png_metadata(file)
    if kind == "webp":
        return _webp_metadata(file)
    if kind == "tiff":
        return _tiff_metadata(file)
    at = find_exif(file)
    return Metadata(exif=exif.extracted(file, at)) if at is not None else Metadata()


def jpeg_segments(file: BinaryIO, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yields (marker, payload offset, payload size) of a JPEG up to and with its first scan."""
    at = start
    while True:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return
        if head[1] == 0xFF:  # a fill byte
            at += 1
        elif head[1] in _STANDALONE:
            at += 2
        else:
            size = int.from_bytes(head[2:], "big") - 2
            if size < 0 or head[1] == _EOI:
                return
            yield head[1], at + 4, size
            if head[1] == _SOS:
                return
            at += 4 + size


def _jpeg_metadata(file: BinaryIO) -> Metadata:
    blocks: dict[str, bytes] = {}
    icc: dict[int, bytes] = {}
    icc_count = 0
    for marker, at, size in jpeg_segments(file):
        if marker not in (_APP1, _APP2):
            continue
        file.seek(at)
        payload = file.read(size)
        if marker == _APP2 and payload.startswith(_ICC_HEADER) and size > len(_ICC_HEADER) + 2:
            number, icc_count = payload[len(_ICC_HEADER) : len(_ICC_HEADER) + 2]
            icc[number] = payload[len(_ICC_HEADER) + 2 :]
        for name, header in (("exif", _EXIF_HEADER), ("xmp", _XMP_HEADER)):
            if marker == _APP1 and payload.startswith(header):
                blocks.setdefault(name, payload[len(header) :])
    whole = bool(icc) and sorted(icc) == list(range(1, icc_count + 1))
    profile = b"".join(icc[n] for n in sorted(icc)) if whole else None
    return Metadata(exif=blocks.get("exif"), icc=profile, xmp=blocks.get("xmp"))


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yields (name, data offset, data size) of a PNG's chunks, IEND included."""
    at = len(_PNG_SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        size, name = struct.unpack(">I4s", head)
        yield name, at + 8, size
        if name == b"IEND":
            return
        at += 12 + size


def _png_metadata(file: BinaryIO) -> Metadata:
    blocks: dict[bytes, bytes] = {}
    for name, at, size in png_chunks(file):
        if name in (b"eXIf", b"iCCP", b"iTXt") and size <= _LARGEST_BLOCK_BYTES:
            file.seek(at)
            payload = file.read(size)
            if name != b"iTXt" or payload.startswith(_PNG_XMP):
                blocks.setdefault(name, payload)
    icc = blocks.get(b"iCCP", b"").partition(b"\0")[2][1:]
    # Behind the keyword: two bytes of compression, then two empty or short texts, each ended by 0.
    xmp = blocks.get(b"iTXt", b"")[len(_PNG_XMP) + 2 :].split(b"\0", 2)[2:]
    return Metadata(
        exif=blocks.get(b"eXIf"),
        icc=_inflated(icc) if icc else None,
        xmp=xmp[0] if xmp and not blocks[b"iTXt"][len(_PNG_XMP)] else None,
    )


def _inflated(data: bytes) -> bytes | None:
    """A zlib stream unpacked, None where it is damaged or too large."""
    unpacker = zlib.decompressobj()
    try:
        out = unpacker.decompress(data, _LARGEST_BLOCK_BYTES)
    except zlib.error:
        return None
    return out if unpacker.eof else None


def _webp_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = struct.unpack("<4sI", head)
        yield name, at + 8, size
        at += 8 + size + size % 2


def _webp_metadata(file: BinaryIO) -> Metadata:
    blocks: dict[bytes, bytes] = {}
    for name, at, size in _webp_chunks(file):
        if name in (b"EXIF", b"ICCP", b"XMP ") and size <= _LARGEST_BLOCK_BYTES:
            file.seek(at)
            blocks.setdefault(name, file.read(size))
    block = blocks.get(b"EXIF", b"").removeprefix(_EXIF_HEADER)  # some writers keep JPEG's header
    return Metadata(exif=block or None, icc=blocks.get(b"ICCP"), xmp=blocks.get(b"XMP "))


def _tiff_metadata(file: BinaryIO) -> Metadata:
    try:
        tiff = exif.TiffReader(file)
    except ValueError:
        return Metadata()
    icc, xmp = (
        tiff.value(entry) if (entry := tiff.main.get(tag)) else b""
        for tag in (exif.ICC_PROFILE, exif.XMP)
    )
    return Metadata(exif=exif.extracted(file), icc=icc or None, xmp=xmp or None)


def is_whole(data: bytes) -> bool:
    """Tells whether a file's structure reaches its end; True where that cannot be told cheaply.

    Decoders accept files that were cut short and fill the rest with gray. Bytes after the end
    (further pictures of an MPO, a maker's padding) do not matter.
    """
    kind = kind_of(data[:HEADER_BYTES])
    if kind == "jpeg":
        return _is_whole_jpeg(data)
    if kind == "png":
        return _is_whole_png(data)
    if kind == "webp":
        return int.from_bytes(data[4:8], "little") + 8 <= len(data)
    return True


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether every scan ends at a marker and the last at EOI: what a cut-off file never does."""
    file = io.BytesIO(data)
    at = 0
    while True:
        scan = next(((at, size) for m, at, size in jpeg_segments(file, at) if m == _SOS), None)
        end = _SCAN_END.search(data, sum(scan)) if scan else None
        if end is None:
            return False
        if data[end.end() - 1] == _EOI:
            return True
        at = end.start()


def _is_whole_png(data: bytes) -> bool:
    return any(
        name == b"IEND" and at + 4 <= len(data) for name, at, _ in png_chunks(io.BytesIO(data))
    )


def with_metadata(encoded: bytes, metadata: Metadata) -> list[bytes | memoryview]:
    """Gives an encoded JPEG or PNG with EXIF and ICC put in, as pieces to write one by one.

    The pieces spare a copy of the whole file. Other kinds of file come back unchanged.
    """
    kind = kind_of(encoded[:HEADER_BYTES])
    if kind == "jpeg":
        at, block = _after_jfif(encoded), _jpeg_block(metadata)
    elif kind == "png":
        at, block = len(_PNG_SIGNATURE) + 25, _png_block(metadata)  # right behind IHDR
    else:
        return [encoded]
    view = memoryview(encoded)
    return [view[:at], block, view[at:]] if block else [encoded]


def _after_jfif(encoded: bytes) -> int:
    """Where metadata may start: behind SOI and, as JFIF wants it first, behind APP0."""
    has_jfif = encoded[2:4] == b"\xff\xe0"
    return 4 + int.from_bytes(encoded[4:6], "big") if has_jfif else 2


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _jpeg_block(metadata: Metadata) -> bytes:
    block = b""
    if metadata.exif and len(metadata.exif) <= _SEGMENT_PAYLOAD - len(_EXIF_HEADER):
        block += _segment(_APP1, _EXIF_HEADER + metadata.exif)
    icc = metadata.icc or b""
    count = -(-len(icc) // _ICC_CHUNK)
    if count <= 255:  # the chunk's number is one byte
        for n in range(count):
            part = icc[n * _ICC_CHUNK : (n + 1) * _ICC_CHUNK]
            block += _segment(_APP2, _ICC_HEADER + bytes((n + 1, count)) + part)
    return block


def _chunk(name: bytes, payload: bytes) -> bytes:
    check = zlib.crc32(payload, zlib.crc32(name))
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", check)


def _png_block(metadata: Metadata) -> bytes:
    block = b""
    if metadata.icc:
        block += _chunk(b"iCCP", b"icc\0\0" + zlib.compress(metadata.icc))
    if metadata.exif:
        block += _chunk(b"eXIf", metadata.exif)
    return block
