"""Arrays of a bracket that may be larger than memory should be. A leaf.

Small ones lie in memory; large ones in a temporary file that is mapped, without a name, so that it
goes when the array does, however the program ends. `rest` gives back the memory of their pages:
what is needed again is read from the file, or from what the system still holds of it.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import tempfile
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mefuse.errors import WriteError

IN_MEMORY_BYTES = 192 * 2**20  # an array up to this size lies in memory; of 130 MP and 3 frames


class Scratch:
    """The large float32 arrays of one bracket."""

    def __init__(self) -> None:
        self._mapped: list[mmap.mmap] = []

    def empty(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """An array to be filled.

        Raises:
            WriteError: the folder of temporary files has no room for it.
        """
        size = math.prod(shape) * 4
        if size <= IN_MEMORY_BYTES:
            return np.empty(shape, np.float32)
        with tempfile.TemporaryFile(prefix="mefuse-") as file:
            _reserve(file, size)
            mapped = mmap.mmap(file.fileno(), size)  # the mapping keeps the file
        self._mapped.append(mapped)
        return np.frombuffer(mapped, np.float32).reshape(shape)

    def rest(self) -> None:
        """Gives back the memory of what lies in files; no value changes."""
        for mapped in self._mapped:
            _rest(mapped)


def let_go(array: NDArray[Any]) -> None:
    """Gives back the memory of all that lies in one file with an array; no value changes.

    For steps that pass over large arrays part by part; where they lie in memory nothing happens.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if isinstance(base, mmap.mmap):
        _rest(base)


def _rest(mapped: mmap.mmap) -> None:
    release: Any = getattr(mmap, "MADV_DONTNEED", None)  # Windows pages out by itself
    if release is not None:
        mapped.madvise(release)


def _reserve(file: BinaryIO, size: int) -> None:
    """Makes an empty file that large, with room on the disk: a full one would kill who writes."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as err:
        if err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise WriteError(
                f"{tempfile.gettempdir()}: no room for {size >> 20} MiB of temporary data; "
                "make room, or set TMPDIR to a folder on another disk"
            ) from err
    file.truncate(size)  # where room cannot be reserved
