"""TIFF with everything a photograph has: 8 or 16 bits, EXIF, XMP, ICC, and layers as pages.

The file begins with the EXIF block itself, byte for byte: its header is the file's, its Exif and
GPS directories are the file's, and what maker notes point to stays at the offset they expect. Only
the main directory is written anew, behind the pixels. Pixels go out strip by strip (large pictures:
tile by tile), compressed side by side, so no second copy of the picture is made.

Source: TIFF 6.0; TIFF technical note 3 and Adobe's Photoshop TIFF notes (deflate); BigTIFF; ICC.1
annex B.4; XMP specification part 3.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from mefuse import iptc
from mefuse.bands import Bands, in_rows
from mefuse.exif import (
    EXIF_IFD,
    GPS_IFD,
    ICC_PROFILE,
    INTEROP_IFD,
    IPTC,
    LONG,
    PHOTOSHOP,
    SHORT,
    XMP,
    Entry,
    TiffReader,
    opened,
)
from mefuse.exif_copy import kept
from mefuse.exif_layout import ASCII, Value, Values, directory
from mefuse.frames import Metadata
from mefuse.settings import Compression

_BYTE, _UNDEFINED, _LONG8 = 1, 7, 16
_PLAIN, _DEFLATE, _ZSTD, _RGB, _HORIZONTAL = 1, 8, 50000, 2, 2
_STRIP_BYTES = 1 << 20  # 256 KiB to 4 MiB compress equally well and fast
_TILE_PX = 512
_TILED_FROM_PX = 64_000_000  # where a viewer wants parts; small files stay plain strips
# Codec and its level. Of a photograph of 8 bits libdeflate leaves 40 % at level 1, in 25 ms a
# megapixel, and 37 % at 6, in 80 ms; zstd at 3 leaves 37 % in 30 ms, but fewer programs read it.
_CODECS: dict[Compression, tuple[int, int]] = {
    "none": (_PLAIN, 0),
    "fast": (_DEFLATE, 1),
    "small": (_DEFLATE, 6),
    "zstd": (_ZSTD, 3),
}
_CLASSIC_BYTES = (1 << 32) - (1 << 26)  # of a file with 32-bit offsets, some room left
_HEADER_BYTES = {False: 8, True: 16}
_PAGE_OF_SEVERAL = 2  # NewSubfileType


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page: (H, W, 3) uint8 or uint16 pixels, and a name for a file of several."""

    pixels: NDArray[Any] | Bands
    name: str = ""


def write_tiff(
    file: BinaryIO, pages: Sequence[Page], metadata: Metadata, *, compression: Compression
) -> None:
    """Writes pages to a seekable file, from its start.

    Args:
        file: open for reading and writing, empty.
        pages: the picture first; all in the profile of `metadata`.
        metadata: of the first page.
        compression: of the pixels.
    """
    codec = _CODECS[compression]
    writer = _Writer(file, metadata, codec, large=sum(page.pixels.nbytes for page in pages))
    for number, page in enumerate(pages):
        writer.add(page, number=number, count=len(pages))


class _Writer:
    """A TIFF file in the making: adds pages, and links each to the one before."""

    def __init__(
        self, file: BinaryIO, metadata: Metadata, codec: tuple[int, int], *, large: int
    ) -> None:
        """Starts the file with the EXIF block, or with a plain header."""
        block = metadata.exif or b""
        self._tiff = opened(block) if block else None
        self._block = block if self._tiff else b""
        self._file, self._metadata = file, metadata
        self._codec, self._level = codec
        self._order = self._tiff.order if self._tiff else "<"
        self._endian: Literal["<", ">"] = "<" if self._order == "<" else ">"
        self._big = large + len(block) > _CLASSIC_BYTES
        self._word, self._offset_kind = ("Q", _LONG8) if self._big else ("I", LONG)
        mark = b"II" if self._order == "<" else b"MM"
        if self._big:
            header = struct.pack(f"{self._order}2sHHHQ", mark, 43, 8, 0, 0)
        else:
            header = struct.pack(f"{self._order}2sHI", mark, 42, 0)
        file.write(header + self._block[len(header) :])
        self._link = len(header) - struct.calcsize(self._word)

    def add(self, page: Page, *, number: int, count: int) -> None:
        """Writes the pixels of one page, then its directory."""
        tags = self._described() if number == 0 else {}
        if count > 1:
            tags |= {
                0x00FE: self._long(_PAGE_OF_SEVERAL),
                0x011D: _ascii(page.name),
                0x0129: self._shorts(number, count),
            }
        tags |= self._layout(page.pixels)
        if self._metadata.icc is not None:
            tags[ICC_PROFILE] = _bytes(_UNDEFINED, self._metadata.icc)
        if self._metadata.xmp is not None and number == 0:
            tags[XMP] = _bytes(_BYTE, self._metadata.xmp)
        if self._metadata.iptc is not None and number == 0:
            tags |= _photoshop(self._metadata.iptc)
        start = self._put_directory(tags)
        entries = (8 + 20 * len(tags)) if self._big else (2 + 12 * len(tags))
        end = self._file.tell()
        self._file.seek(self._link)
        self._file.write(struct.pack(f"{self._order}{self._word}", start))
        self._link = start + entries
        self._file.seek(end)

    def _described(self) -> Values:
        """What the EXIF block says in its main directory; its pointers are still right."""
        if self._tiff is None:
            return {}
        inline = 8 if self._big else 4
        tags = kept(self._block, self._tiff, self._tiff.main, inline_bytes=inline)
        tags = {tag: value for tag, value in tags.items() if tag not in _ABOUT_YCBCR}
        if self._big:
            for pointer in (EXIF_IFD, GPS_IFD):
                if pointer in tags:
                    tags[pointer] = self._widened(self._tiff, self._tiff.subdirectory(pointer))
        return tags

    def _widened(self, tiff: TiffReader, entries: dict[int, Entry]) -> Value:
        """A directory of the block, written anew as BigTIFF has it; the pointer to it."""
        tags = kept(self._block, tiff, entries, inline_bytes=8)
        pointer = entries.get(INTEROP_IFD)
        if pointer is not None and INTEROP_IFD in tags:
            tags[INTEROP_IFD] = self._widened(tiff, tiff.directory_at(pointer))
        return self._offset(self._put_directory(tags))

    def _layout(self, pixels: NDArray[Any] | Bands) -> Values:
        """Writes the pixels; the tags that say how they lie."""
        height, width, channels = pixels.shape
        tiled = height * width >= _TILED_FROM_PX
        rows = (
            _TILE_PX
            if tiled
            else max(1, _STRIP_BYTES // (width * channels * pixels.dtype.itemsize))
        )
        chunks = _tiles(pixels) if tiled else in_rows(pixels, rows)
        places = self._put_chunks(chunks)
        offsets = self._offsets([at for at, _ in places])
        sizes = self._longs(*(size for _, size in places))
        tags = {
            0x0100: self._long(width),
            0x0101: self._long(height),
            0x0102: self._shorts(*[pixels.dtype.itemsize * 8] * channels),
            0x0103: self._shorts(self._codec),
            0x0106: self._shorts(_RGB),
            0x0115: self._shorts(channels),
            0x011C: self._shorts(1),
        }
        if self._codec != _PLAIN:
            tags[0x013D] = self._shorts(_HORIZONTAL)
        if tiled:
            side = self._shorts(_TILE_PX)
            return tags | {0x0142: side, 0x0143: side, 0x0144: offsets, 0x0145: sizes}
        return tags | {0x0111: offsets, 0x0116: self._long(rows), 0x0117: sizes}

    def _put_chunks(self, chunks: Iterator[NDArray[Any]]) -> list[tuple[int, int]]:
        """Compresses chunks side by side and writes them in order; their offsets and sizes."""
        places = []
        for packed in _in_order(self._packed, chunks):
            places.append((self._file.tell(), len(packed)))
            self._file.write(packed)
        return places

    def _packed(self, chunk: NDArray[Any]) -> bytes:
        """One chunk in the file's byte order: compressed, as differences along the row."""
        order = chunk.dtype.newbyteorder(self._endian)
        if self._codec == _PLAIN:
            return chunk.astype(order, copy=False).tobytes()
        import imagecodecs

        differences = np.empty_like(chunk)
        differences[:, 0] = chunk[:, 0]
        np.subtract(chunk[:, 1:], chunk[:, :-1], out=differences[:, 1:])
        ordered = differences.astype(order, copy=False)
        encode = imagecodecs.zstd_encode if self._codec == _ZSTD else imagecodecs.deflate_encode
        return bytes(encode(ordered.tobytes(), self._level))

    def _put_directory(self, tags: Values) -> int:
        """Writes a directory at the file's end; its offset."""
        if self._file.tell() % 2:
            self._file.write(b"\0")
        start = self._file.tell()
        self._file.write(directory(tags, start=start, order=self._order, big=self._big))
        return start

    def _numbers(self, kind: int, code: str, values: Sequence[int]) -> Value:
        return Value(kind, len(values), struct.pack(f"{self._order}{len(values)}{code}", *values))

    def _shorts(self, *values: int) -> Value:
        return self._numbers(SHORT, "H", values)

    def _longs(self, *values: int) -> Value:
        return self._numbers(LONG, "I", values)

    def _long(self, value: int) -> Value:
        return self._longs(value)

    def _offsets(self, values: Sequence[int]) -> Value:
        return self._numbers(self._offset_kind, self._word, values)

    def _offset(self, value: int) -> Value:
        return self._offsets([value])


_ABOUT_YCBCR = frozenset((0x0211, 0x0214))  # coefficients and range of a JPEG; these pixels are RGB


def _tiles(pixels: NDArray[Any] | Bands) -> Iterator[NDArray[Any]]:
    """Squares, those at the right and lower border filled up with the border."""
    for rows in in_rows(pixels, _TILE_PX):
        for left in range(0, rows.shape[1], _TILE_PX):
            tile = rows[:, left : left + _TILE_PX]
            below, right = _TILE_PX - tile.shape[0], _TILE_PX - tile.shape[1]
            yield np.pad(tile, ((0, below), (0, right), (0, 0)), "edge") if below or right else tile


def _in_order(
    work: Callable[[NDArray[Any]], bytes], chunks: Iterator[NDArray[Any]]
) -> Iterator[bytes]:
    """`work` on every chunk, on all processors, only a few chunks ahead of who asks."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers, thread_name_prefix="tiff") as pool:
        waiting: deque[Future[bytes]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _photoshop(block: bytes) -> Values:
    """The IPTC record in its own tag, and what else Photoshop says beside it."""
    found = dict(iptc.resources(iptc.padded(block)))
    record = found.pop(iptc.RECORD, None)
    tags: Values = {}
    if record is not None:  # bytes, called LONG as Photoshop does: some programs read nothing else
        tags[IPTC] = Value(LONG, len(record) // 4, record)
    if found:
        rest = b"".join(iptc.resource(number, content) for number, content in found.items())
        tags[PHOTOSHOP] = _bytes(_BYTE, rest)
    return tags


def _ascii(text: str) -> Value:
    return _bytes(ASCII, text.encode("ascii", "replace") + b"\0")


def _bytes(kind: int, content: bytes) -> Value:
    return Value(kind, len(content), content)
