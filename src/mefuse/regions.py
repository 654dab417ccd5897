"""A TIFF's pixels region by region: tiles or strips are decoded when somebody asks for them.

What it gives looks like an array (shape, dtype, slicing by rows and columns) but is never held
whole: the file is read again where needed, and the last decoded parts are kept within a budget.
`numpy.asarray` gives the whole. Comes below read; knows no bracket.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mefuse.errors import ReadError
from mefuse.memory import return_freed
from mefuse.overview import reduce_whole

if TYPE_CHECKING:
    import tifffile

FROM_PX = 64_000_000  # smaller pictures are held in memory
CACHE_BYTES = 160 * 2**20  # decoded parts kept per frame: three rows of tiles of 512 px of 1 GP
_PLAIN_BYTES = 2 * 2**20  # rows of plain bytes that are read at once
_LARGEST_PART_BYTES = 64 * 2**20  # a part that is larger is no region
# None, LZW, JPEG, deflate by both its numbers, PackBits and zstd.
_CODECS = (1, 5, 7, 8, 32946, 32773, 50000)
_PLAIN, _JPEG = 1, 7
_MIN_IS_BLACK, _RGB, _YCBCR = 1, 2, 6

Pixels = NDArray[Any]


def serves(page: tifffile.TiffPage) -> bool:
    """Whether a page can be read by regions, and is large enough to be."""
    size = page.imagelength * page.imagewidth
    height, width = _part_size(page)
    part = height * width * page.samplesperpixel * page.bitspersample // 8
    coded = int(page.photometric) == _YCBCR and int(page.compression) == _JPEG
    return (
        size >= FROM_PX
        and int(page.compression) in _CODECS
        and (coded or int(page.photometric) in (_MIN_IS_BLACK, _RGB))
        and int(page.planarconfig) == 1
        and part <= _LARGEST_PART_BYTES
    )


def _part_size(page: tifffile.TiffPage) -> tuple[int, int]:
    """(height, width) of a tile or strip; strips of plain bytes may be taken row by row."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    rows = min(page.rowsperstrip, page.imagelength)
    if _is_plain(page):
        row_bytes = page.imagewidth * page.samplesperpixel * page.bitspersample // 8
        rows = max(_PLAIN_BYTES // row_bytes, 1)
    return rows, page.imagewidth


def _is_plain(page: tifffile.TiffPage) -> bool:
    """Whether the rows lie one behind the other, as bytes of pixels."""
    return int(page.compression) == _PLAIN and not page.is_tiled and bool(page.is_contiguous)


class TiffRegions:
    """The pixels of one TIFF page, (H, W, 3) uint8 or uint16, RGB, as stored.

    Args:
        path: the file; it must stay as it is.
        page: its page, for which `serves` says yes.
    """

    ndim = 3

    def __init__(self, path: Path, page: tifffile.TiffPage) -> None:
        self._path, self._page = path, page
        self.shape = (page.imagelength, page.imagewidth, 3)
        self.dtype = np.dtype(np.uint8 if page.bitspersample == 8 else np.uint16)
        self._height, self._width = _part_size(page)
        self._across = -(-page.imagewidth // self._width)
        self._plain = _is_plain(page)
        self._offsets: Sequence[int] = page.dataoffsets
        self._sizes: Sequence[int] = page.databytecounts
        if self._plain:
            self._offsets, self._sizes = self._rows_of_bytes()
        self._tables = page.jpegtables
        self._lock = threading.Lock()
        self._parts: OrderedDict[int, Future[Pixels]] = OrderedDict()
        part_bytes = self._height * self._width * 3 * self.dtype.itemsize
        self._most = max(CACHE_BYTES // part_bytes, 4)
        try:
            self._file = path.open("rb")
            weakref.finalize(self, self._file.close)  # it lives as long as who reads from it
            complete = max(map(sum, zip(self._offsets, self._sizes, strict=True)))
            if complete > os.fstat(self._file.fileno()).st_size:
                raise self._damaged()
        except OSError as err:
            if isinstance(err, ReadError):
                raise
            raise self._damaged() from err

    @property
    def nbytes(self) -> int:
        """Bytes that are held at most."""
        part = self._height * self._width * 3 * self.dtype.itemsize
        return min(self._most * part, self.shape[0] * self.shape[1] * 3 * self.dtype.itemsize)

    @property
    def size(self) -> int:
        """Numbers in the whole picture."""
        return self.shape[0] * self.shape[1] * 3

    @cached_property
    def overview(self) -> Pixels:
        """See `overview.overview_of`; the one time that all is read."""
        small = reduce_whole(self)
        self.rest()
        return small

    def rest(self) -> None:
        """Lets go of the decoded parts."""
        with self._lock:
            self._parts.clear()
        return_freed()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: slice | tuple[slice, slice]) -> Pixels:
        """Rows, or rows and columns, given by slices without a step."""
        rows, columns = place if isinstance(place, tuple) else (place, slice(None))
        top, bottom, _ = rows.indices(self.shape[0])
        left, right, _ = columns.indices(self.shape[1])
        region = np.empty((max(bottom - top, 0), max(right - left, 0), 3), self.dtype)
        for row in range(top // self._height, -(-bottom // self._height)):
            for column in range(left // self._width, -(-right // self._width)):
                y, x = row * self._height, column * self._width
                part = self._part(row * self._across + column)
                inside = part[max(top - y, 0) : bottom - y, max(left - x, 0) : right - x]
                at_y, at_x = max(y - top, 0), max(x - left, 0)
                region[at_y : at_y + inside.shape[0], at_x : at_x + inside.shape[1]] = inside
        return region

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:
        """The whole picture, in memory."""
        whole = self[:, :]
        return whole if dtype is None else whole.astype(dtype)

    def _part(self, index: int) -> Pixels:
        """One tile or strip, decoded; who asks for it while another decodes it waits."""
        with self._lock:
            wanted = self._parts.get(index)
            mine = wanted is None
            if wanted is None:
                wanted = self._parts[index] = Future()
                while len(self._parts) > self._most:
                    self._parts.popitem(last=False)
            else:
                self._parts.move_to_end(index)
        if mine:
            try:
                wanted.set_result(self._decoded(index))
            except BaseException as err:
                wanted.set_exception(err)
        return wanted.result()

    def _rows_of_bytes(self) -> tuple[list[int], list[int]]:
        """Offsets and sizes of strips of our own choice, where all rows lie behind each other."""
        page = self._page
        row_bytes = page.imagewidth * page.samplesperpixel * page.bitspersample // 8
        tops = range(0, page.imagelength, self._height)
        sizes = [min(self._height, page.imagelength - top) * row_bytes for top in tops]
        return [page.dataoffsets[0] + top * row_bytes for top in tops], sizes

    def _decoded(self, index: int) -> Pixels:
        """One tile or strip, from the file."""
        with self._lock:
            self._file.seek(self._offsets[index])
            packed = self._file.read(self._sizes[index])
        if len(packed) != self._sizes[index]:
            raise self._damaged()
        channels = 3 if self._page.samplesperpixel >= 3 else 1
        if self._plain:
            stored = np.frombuffer(packed, f"{self._page.parent.byteorder}u{self.dtype.itemsize}")
            return stored.reshape(-1, self._width, self._page.samplesperpixel)[..., :channels]
        try:
            part, _, _ = self._page.decode(packed, index, jpegtables=self._tables)
        except Exception as err:  # codecs raise whatever a damaged part leads them to
            raise self._damaged() from err
        if part is None:
            raise self._damaged()
        return np.asarray(part)[0, :, :, :channels]

    def _damaged(self) -> ReadError:
        return ReadError(
            f"{self._path}: is truncated or damaged; copy it again from the camera, or leave it out"
        )
