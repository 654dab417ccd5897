"""PNG of 8 or 16 bits: every row as its difference to the row above, deflated by libdeflate.

Measured on three photographs of 6 to 8 megapixels, against OpenCV's encoder at level 1: half the
processor time and 4 to 46 % smaller; at level 6 a fifth of the time and about as small. The better
of two filters per row gains 2 %, Paeth costs three times the time. A PNG is one deflate stream, so
one processor makes it.

Source: PNG (3rd edition), sections 9.2 and 10.1.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefuse.containers import PNG_SIGNATURE
from mefuse.frames import Metadata
from mefuse.settings import Compression
from mefuse.write.embed import Embedded, Pieces, chunk_around, png_chunk, png_metadata

LEVELS: dict[Compression, int] = {"none": 0, "fast": 1, "small": 6}  # libdeflate's
_UP = 2  # the filter: less the byte above
_TRUECOLOUR = 2
_LONGEST_CHUNK = 1 << 30  # a chunk holds 2^31 - 1 bytes at most


def encode_png(pixels: NDArray[Any], metadata: Metadata, *, compression: Compression) -> Embedded:
    """A PNG of uint8 or uint16 pixels (H, W, 3)."""
    import imagecodecs

    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, pixels.itemsize * 8, _TRUECOLOUR, 0, 0, 0)
    deflated = imagecodecs.deflate_encode(_filtered(pixels), LEVELS[compression])
    pieces: Pieces = [PNG_SIGNATURE, png_chunk(b"IHDR", header), png_metadata(metadata)]
    view = memoryview(deflated)
    for at in range(0, len(view), _LONGEST_CHUNK):
        pieces += chunk_around(b"IDAT", view[at : at + _LONGEST_CHUNK])
    return Embedded([*pieces, png_chunk(b"IEND", b"")])


def _filtered(pixels: NDArray[Any]) -> Any:
    """(H, 1 + bytes of a row) uint8: each row behind its filter's number, big-endian."""
    height = len(pixels)
    ordered = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))
    rows = ordered.reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    return filtered
