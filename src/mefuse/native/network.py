"""Blocks of IPL by the compiled kernels: what `host.ipl` computes of cells, in two passes.

Arrays are float32, rows first as in `host.layers`. The interpreter's lock is free while they
compute. Letters as in `host.ipl`.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from mefuse.native import library
from mefuse.native.library import check

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A block of the network less its attention, for one region, in the order of network.c."""

    x: Float32  # (N, h, C, w), changed in place
    share: Float32  # (N, h, 1, w)
    context: Float32  # (N, h/2, C, w/2)
    kernels: Float32  # (C, 3, 3)
    kernel_bias: Float32  # (C,)
    mix: Float32  # (N, C, C)
    own: Float32  # (2C, C)
    others: Float32  # (2C, C)
    meet_bias: Float32  # (2C, 1)
    settle: Float32  # (C, 2C)
    settle_bias: Float32  # (C, 1)
    cubes: Float32  # (N, S, 2C, w): gates and shifts
    rows: Float32  # (h,) where each row lies among the S
    curve: Float32  # (3,) of `layers.gelu`

    def arrays(self) -> list[Float32]:
        """All of them."""
        return [getattr(self, field.name) for field in fields(self)]


class _Block(ctypes.Structure):
    """The same for C: sizes, then where the arrays lie."""

    _fields_ = (
        *((size, ctypes.c_int) for size in ("frames", "height", "channels", "width", "side")),
        *((field.name, ctypes.c_void_p) for field in fields(Block)),
    )


def are_here() -> bool:
    """Whether there are kernels for this machine."""
    return library.load() is not None


def attend(x: Float32, query: Float32, places: Float32, key: Float32, value: Float32) -> Float32:
    """What the cache tells every 2 x 2 cells of a frame: (h/2, C, w/2).

    Args:
        x: (h, C, w), h and w even.
        query: (K, C), makes queries of features.
        places: (h/2, K, w/2), what is added to them.
        key: (T, K), scaled.
        value: (C, T).
    """
    kernels = library.load()
    assert kernels is not None
    height, channels, width = x.shape
    assert height % 2 == width % 2 == 0
    context = np.empty((height // 2, channels, width // 2), np.float32)
    arrays = [np.ascontiguousarray(a, np.float32) for a in (x, query, places, key, value)]
    failed = kernels.mefuse_attend(
        height, channels, width, *key.shape[::-1],
        *(array.ctypes.data for array in arrays), context.ctypes.data,
    )  # fmt: skip
    check(failed)
    return context


def integrate(block: Block) -> None:
    """All of a block but its attention; changes its `x`."""
    kernels = library.load()
    assert kernels is not None
    frames, height, channels, width = block.x.shape
    assert height % 2 == width % 2 == 0
    arrays = [np.ascontiguousarray(array, np.float32) for array in block.arrays()]
    assert arrays[0] is block.x, "x is changed in place"
    sizes = frames, height, channels, width, block.cubes.shape[1]
    told = _Block(*sizes, *(array.ctypes.data for array in arrays))
    check(kernels.mefuse_integrate(ctypes.byref(told)))
