"""Looks at a written file before it gets its name: is it whole, and the picture that was meant?

Disks and network folders have lost the end of a file without any error. It reads headers and ends,
not what lies between: that is what the checksums of disks are for.
"""

from __future__ import annotations

import io
import os
import struct
from typing import BinaryIO

from mefuse import containers, exif
from mefuse.errors import WriteError
from mefuse.extent import size_of
from mefuse.write.formats import FormatName

_OFFSETS, _COUNTS = (0x0111, 0x0144), (0x0117, 0x0145)  # of strips, of tiles
_WORDS = {exif.SHORT: "H", exif.LONG: "I", 16: "Q"}
_TABLE_BYTES = 64 << 20
_JPEG_END = b"\xff\xd9"


def check_written(file: BinaryIO, size: tuple[int, int], *, format: FormatName, name: str) -> None:
    """Checks a file that was just written, and leaves it at its end.

    Args:
        file: open for reading, at the end of what was written.
        size: (height, width) of the picture.
        format: what it was written as.
        name: of the output, for messages.

    Raises:
        WriteError: a part is missing, or it is another picture.
    """
    file.flush()
    end = file.tell()
    stored = os.fstat(file.fileno()).st_size
    told = size if format == "exr" else size_of(file)
    if stored != end or told != size or not _is_whole(file, format, end):
        raise WriteError(
            f"{name}: was not stored whole ({stored} of {end} bytes are there), nothing was kept; "
            "check the disk, or choose another place"
        )
    file.seek(end)


def _is_whole(file: BinaryIO, format: FormatName, end: int) -> bool:
    """Whether what a format has at its end is there; True where it has nothing."""
    if format == "jpeg":
        file.seek(end - 2)
        return file.read(2) == _JPEG_END
    if format == "png":
        ends = [at for name, at, _ in containers.png_chunks(file) if name == b"IEND"]
        return ends == [end - 4]
    if format == "webp":
        file.seek(4)
        return int.from_bytes(file.read(4), "little") + 8 == end
    return format != "tiff" or _last_byte(file) <= end


def _last_byte(file: BinaryIO) -> int:
    """Where the last strip, tile or tag value of a TIFF's first picture ends."""
    tiff = exif.TiffReader(file)
    offsets, counts = (
        [number for tag in tags for number in _table(tiff, tag)] for tags in (_OFFSETS, _COUNTS)
    )
    values = [
        tiff.value_offset(entry) + exif.TYPE_BYTES.get(entry.kind, 0) * entry.count
        for entry in tiff.main.values()
    ]
    return max(*values, *map(sum, zip(offsets, counts, strict=False)))


def _table(tiff: exif.TiffReader, tag: int) -> tuple[int, ...]:
    """The numbers of a tag; none where it is absent or its value not there."""
    entry = tiff.main.get(tag)
    data = b"" if entry is None else tiff.value(entry, limit=_TABLE_BYTES)
    if entry is None or not data:
        return ()
    return struct.unpack(f"{tiff.order}{entry.count}{_WORDS[entry.kind]}", data)


def can_be_checked(stream: BinaryIO) -> bool:
    """Whether a stream is a file that can be read back, and holds nothing yet."""
    if not isinstance(stream, io.BufferedRandom):
        return False
    return stream.tell() == os.fstat(stream.fileno()).st_size == 0
