"""The compiled kernels as a library: found beside this file, checked, and told their arguments."""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.native.naming import PATH, sources_hash

Pixels = NDArray[Any]

_AVX2, _FMA3 = 11, 12  # as OpenCV counts what processors have; its Python has no names for them
_Int, _Size, _Bytes = ctypes.c_int, ctypes.c_ssize_t, ctypes.c_void_p


class Grid(ctypes.Structure):
    """Planes of frames and bands in an array, steps in floats."""

    _fields_ = (
        ("first", ctypes.c_void_p),
        ("frame", ctypes.c_ssize_t),
        ("band", ctypes.c_ssize_t),
        ("row", ctypes.c_ssize_t),
    )

    @classmethod
    def of(cls, planes: NDArray[np.float32]) -> Grid:
        """Of planes (frames, bands, h, w)."""
        frame, band, row, _ = planes.strides
        return cls(planes.ctypes.data, frame // 4, band // 4, row // 4)


@cache
def load() -> ctypes.CDLL | None:
    """The kernels; None where there are none for this machine, or only those of other sources."""
    if not PATH.exists() or not _runs_here():
        return None
    try:
        library = ctypes.CDLL(str(PATH))
        built_of: int = library.mefuse_sources()
    except (OSError, AttributeError):  # of another system, or no kernels at all
        return None
    if built_of & 0xFFFFFFFF != sources_hash(PATH.parent):
        return None
    pointers = ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(_Size)
    library.mefuse_warp.argtypes = (
        _Bytes, _Size, _Int, _Int, _Int, _Int, _Int, _Bytes, _Int, _Int, _Int, _Int, _Bytes, _Size,
    )  # fmt: skip
    library.mefuse_glimpse.argtypes = (
        _Int, _Int, _Bytes, _Size, _Int, _Bytes, _Bytes, _Bytes, _Bytes,
    )  # fmt: skip
    library.mefuse_blend.argtypes = (
        _Int, _Int, _Int, *pointers, _Int, _Bytes, _Size,
        _Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Size, _Int,
    )  # fmt: skip
    library.mefuse_describe.argtypes = (*[_Int] * 3, *[_Bytes] * 7)
    library.mefuse_reduce.argtypes = (*[_Int] * 4, *[_Bytes] * 5)
    library.mefuse_decide.argtypes = (_Bytes,)
    library.mefuse_attend.argtypes = (*[_Int] * 5, *[_Bytes] * 6)
    library.mefuse_integrate.argtypes = (_Bytes,)
    library.mefuse_contrast.argtypes = (_Bytes, _Int, _Int, _Int, _Bytes, _Bytes)
    library.mefuse_excess.argtypes = (
        _Bytes, _Bytes, _Int, _Int, _Int, _Bytes, _Bytes, _Int, _Bytes,
    )  # fmt: skip
    library.mefuse_comparagrams.argtypes = (_Bytes, _Bytes, *[_Int] * 5, _Bytes)
    library.mefuse_ridges.argtypes = (_Bytes, _Bytes)
    return library


def _runs_here() -> bool:
    """Whether this processor has what kernels for its kind are built for; see `hatch_build.py`."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    return all(map(cv2.checkHardwareSupport, (_AVX2, _FMA3)))


def with_whole_rows(array: Pixels) -> Pixels:
    """The array itself where what follows a row's first number lies behind it, else a copy."""
    inner = array.ndim - (2 if array.dtype in (np.uint8, np.uint16) else 1)
    step = array.itemsize
    for axis in range(array.ndim - 1, inner - 1, -1):
        if array.strides[axis] != step:
            return np.ascontiguousarray(array)
        step *= array.shape[axis]
    return array


def check(failed: int) -> None:
    """Raises MemoryError where a kernel says that it found none."""
    if failed:
        raise MemoryError("the kernels found no memory")
