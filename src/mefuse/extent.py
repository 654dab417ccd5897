"""How large a picture file says it is, from its header. A leaf.

So a file that would unpack to more than anybody asked for is refused before a decoder sees it, and
a written file is checked before it gets its name. No pixel is decoded.

Source: ITU-T T.81, PNG (3rd edition), WebP container specification and RFC 9649, TIFF 6.0, ISO/IEC
23008-12 (ispe), ISO/IEC 18181-1, GIF89a, Netpbm, ISO/IEC 15444-1 (ihdr, SIZ), Radiance, Sun raster.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import BinaryIO

from mefuse import boxes, containers, exif, jxl_header
from mefuse.errors import ReadError

Size = tuple[int, int]
_WIDTH, _HEIGHT = 0x0100, 0x0101
_HEAD_BYTES = 4096  # Netpbm and Radiance have text before their size
_NETPBM = re.compile(rb"P[1-6](?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})\s")
_FLOAT_MAP = re.compile(rb"P[fF]\s+(\d{1,9})\s+(\d{1,9})\s")
_PAM = re.compile(rb"P7\s.*?WIDTH\s+(\d{1,9})\s+HEIGHT\s+(\d{1,9})\s", re.DOTALL)
_RADIANCE = re.compile(rb"#\?R.*?\n\n[-+]Y (\d{1,9}) [-+]X (\d{1,9})\n", re.DOTALL)
_SUN_RASTER, _J2K_CODE = b"\x59\xa6\x6a\x95", b"\xff\x4f\xff\x51"


def size_of(file: BinaryIO) -> Size | None:
    """(height, width) that a header claims for its picture as stored; None where it tells none.

    Of a file of several pictures the first, or the largest where the header does not say which is
    the first.
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    kind = containers.kind_of(head[: containers.HEADER_BYTES])
    readers: dict[str, Callable[[BinaryIO], Size | None]] = {
        "jpeg": containers.find_jpeg_size,
        "tiff": _tiff_size,
        "heif": boxes.largest_size,
        "avif": boxes.largest_size,
        "jxl": _jxl_size,
    }
    if kind in readers:
        return readers[kind](file)
    by_head: dict[str, Callable[[bytes], Size | None]] = {
        "png": _png_size,
        "webp": _webp_size,
        "bmp": _bmp_size,
    }
    try:
        return by_head.get(kind, _rarer_size)(head)
    except (struct.error, ValueError, IndexError):  # cut off, or a box is missing
        return None


def check_megapixels(size: Size, name: str, limit: float) -> None:
    """Refuses a picture of (height, width) `size` that has more megapixels than the limit.

    Raises:
        ReadError: it has.
    """
    megapixels = size[0] * size[1] / 1e6
    if megapixels > limit:
        raise ReadError(
            f"{name}: claims {size[1]}x{size[0]} pixels ({megapixels:,.0f} megapixels), more than "
            f"the limit of {limit:g}; if that is right, raise it with --max-megapixels"
        )


def _png_size(head: bytes) -> Size | None:
    width, height = struct.unpack_from(">II", head, 16)
    return (height, width) if head[12:16] == b"IHDR" else None


def _webp_size(head: bytes) -> Size | None:
    """Of the canvas, of a lossless or of a lossy picture."""
    if len(head) < 30:
        return None
    chunk = head[12:16]
    if chunk == b"VP8X":
        return _little(head[27:30]) + 1, _little(head[24:27]) + 1
    if chunk == b"VP8L":
        bits = _little(head[21:25])
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if chunk == b"VP8 ":
        return _little(head[28:30]) & 0x3FFF, _little(head[26:28]) & 0x3FFF
    return None


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _bmp_size(head: bytes) -> Size | None:
    if struct.unpack_from("<I", head, 14)[0] == 12:  # OS/2
        width, height = struct.unpack_from("<HH", head, 18)
    else:
        width, height = struct.unpack_from("<ii", head, 18)
    return abs(height), abs(width)  # a negative height counts from the top


def _tiff_size(file: BinaryIO) -> Size | None:
    try:
        tiff = exif.TiffReader(file)
    except ValueError:
        return None
    height, width = (tiff.numbers(tiff.main.get(tag))[:1] for tag in (_HEIGHT, _WIDTH))
    return (int(height[0]), int(width[0])) if height and width else None


def _jxl_size(file: BinaryIO) -> Size | None:
    file.seek(0)
    return jxl_header.size(containers.jxl_codestream(file.read()))


def _rarer_size(head: bytes) -> Size | None:
    """Of the kinds that OpenCV reads besides."""
    for pattern, is_height_first in (
        (_NETPBM, False),
        (_FLOAT_MAP, False),
        (_PAM, False),
        (_RADIANCE, True),
    ):
        if (found := pattern.match(head)) is not None:
            first, second = int(found[1]), int(found[2])
            return (first, second) if is_height_first else (second, first)
    if head[:6] in (b"GIF87a", b"GIF89a"):
        width, height = struct.unpack_from("<HH", head, 6)
        return height, width
    if head.startswith(_SUN_RASTER):
        width, height = struct.unpack_from(">II", head, 4)
        return height, width
    if head[4:8] == b"jP  ":
        height, width = struct.unpack_from(">II", head, head.index(b"ihdr") + 4)
        return height, width
    if head.startswith(_J2K_CODE):
        right, bottom, left, top = struct.unpack_from(">IIII", head, 8)
        return max(bottom - top, 0), max(right - left, 0)
    return None
