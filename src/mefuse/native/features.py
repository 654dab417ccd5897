"""What the network sees of frames, by the compiled kernel: `host.features.describe`.

None where it cannot be used. The interpreter's lock is free while it computes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefuse import grid
from mefuse.gamut import LUMA
from mefuse.grid import FEATURES, Glimpse
from mefuse.native import library
from mefuse.native.library import Grid, check, with_whole_rows

Float32 = NDArray[np.float32]

# In the order of `Rules` in features.c.
RULES = np.array(
    [
        *LUMA, grid.ENERGY_FLOOR, grid.CLIPPED_ABOVE, grid.CLIPPED_BELOW, grid.CLIPPED_SLOPE,
        grid.EXPOSED_VARIANCE, grid.EXPOSED_FLOOR, grid.LUMA_FLOOR, grid.SATURATION_FLOOR,
        grid.AGREEMENT_LIMIT,
    ],
    np.float32,
)  # fmt: skip


class _Coarse(ctypes.Structure):
    """A coarser band's energies, of frames and of their sum, with its height and width."""

    _fields_ = (
        ("own", Grid),
        ("together", Grid),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
    )


def describe(
    seen: Glimpse[Float32], coarse: Sequence[tuple[Float32, Float32]]
) -> tuple[Float32, Float32] | None:
    """`host.features.describe`."""
    kernels = library.load()
    if kernels is None:
        return None
    count, *size = seen.luma.shape
    colour, luma, fine = map(
        with_whole_rows, (seen.colour, seen.luma[:, np.newaxis], seen.energies)
    )
    pairs = [tuple(with_whole_rows(each[:, np.newaxis]) for each in pair) for pair in coarse]
    told = (_Coarse * len(pairs))(
        *(_Coarse(*map(Grid.of, pair), *pair[0].shape[2:]) for pair in pairs)
    )
    features = np.empty((count, FEATURES, *size), np.float32)
    prior = np.empty((count, *size), np.float32)
    failed = kernels.mefuse_describe(
        count, *size, *(ctypes.byref(Grid.of(planes)) for planes in (colour, luma, fine)),
        told, RULES.ctypes.data, features.ctypes.data, prior.ctypes.data,
    )  # fmt: skip
    check(failed)
    return features, prior
