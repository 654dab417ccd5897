"""Whether a picture file is whole, or was cut short on its way. A leaf.

Source: ITU-T T.81 annex B, PNG (3rd edition), WebP container specification.
"""

from __future__ import annotations

import io
import re

from mefuse.containers import HEADER_BYTES, jpeg_segments, kind_of, png_chunks

_SOS, _EOI = 0xDA, 0xD9
_MOST_SCANS = 256  # a decoder goes over the whole picture in each; encoders make some ten
# Scan data ends at a marker that is neither a stuffed zero, a restart nor a fill byte.
_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


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
    for _ in range(_MOST_SCANS):
        scan = next(((at, size) for m, at, size in jpeg_segments(file, at) if m == _SOS), None)
        end = _SCAN_END.search(data, sum(scan)) if scan else None
        if end is None:
            return False
        if data[end.end() - 1] == _EOI:
            return True
        at = end.start()
    return False


def _is_whole_png(data: bytes) -> bool:
    return any(
        name == b"IEND" and at + 4 <= len(data) for name, at, _ in png_chunks(io.BytesIO(data))
    )
