"""Rows of a picture as deflate, by the compiled kernel: `write.png`.

None where it cannot be used. The interpreter's lock is free while it computes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefuse.native import library
from mefuse.native.library import Pixels

_MODULUS = 65521  # of Adler-32


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a picture, filtered and deflated; parts one behind the other are one stream."""

    deflated: memoryview  # of bytes
    filtered_bytes: int
    adler: int  # Adler-32 of them


def are_here() -> bool:
    """Whether there are kernels for this machine."""
    return library.load() is not None


def deflate(pixels: Pixels, first: int, stop: int) -> Part:
    """Deflates rows `first` to `stop` of pixels (H, W, 3) uint8 or uint16, each less the one above.

    The part with the picture's last row ends the stream.
    """
    kernels = library.load()
    assert kernels is not None
    height, width, channels = pixels.shape
    assert pixels.flags.c_contiguous and 0 <= first < stop <= height
    row_bytes = width * channels * pixels.itemsize
    out: NDArray[np.uint8] = np.empty(
        kernels.mefuse_deflate_room(row_bytes, stop - first), np.uint8
    )
    adler = ctypes.c_uint32()
    made = kernels.mefuse_deflate(
        pixels.ctypes.data, pixels.strides[0], row_bytes, pixels.itemsize, first, stop,
        stop == height, out.ctypes.data, ctypes.byref(adler),
    )  # fmt: skip
    library.check(made < 0)
    return Part(memoryview(out.data)[:made], (row_bytes + 1) * (stop - first), adler.value)


def joined_adler(parts: Iterable[Part]) -> int:
    """Adler-32 of all parts together."""
    low, high = 1, 0
    for part in parts:
        high += (part.adler >> 16) + part.filtered_bytes * (low - 1)
        low += (part.adler & 0xFFFF) - 1
    return high % _MODULUS << 16 | low % _MODULUS
