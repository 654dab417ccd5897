"""Large arrays in temporary files: room for them is there, or it is said."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from mefuse import scratch
from mefuse.errors import WriteError
from mefuse.scratch import Scratch

pytestmark = pytest.mark.skipif(
    not hasattr(os, "posix_fallocate"), reason="this system reserves no room in files"
)


def test_a_mapped_array_has_its_room_and_keeps_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    reserved = []
    real = os.posix_fallocate

    def noted(file: int, start: int, size: int) -> None:
        reserved.append(size)
        real(file, start, size)

    monkeypatch.setattr("mefuse.scratch.os.posix_fallocate", noted)
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 1000)
    room = Scratch()
    small, large = room.empty((10, 10)), room.empty((100, 100))
    assert reserved == [40_000]
    small[...], large[...] = 1, np.arange(10_000, dtype=np.float32).reshape(100, 100)
    room.rest()
    assert large[99, 99] == 9999


@pytest.mark.parametrize(("number", "is_told"), [(errno.ENOSPC, True), (errno.EOPNOTSUPP, False)])
def test_a_full_disk_is_told_and_a_system_that_cannot_reserve_is_not(
    monkeypatch: pytest.MonkeyPatch, number: int, is_told: bool
) -> None:
    def fails(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("mefuse.scratch.os.posix_fallocate", fails)
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 1000)
    if is_told:
        with pytest.raises(WriteError, match=r"no room for 3 MiB of temporary data; make room, or"):
            Scratch().empty((1000, 1000))
    else:
        assert Scratch().empty((1000, 1000)).shape == (1000, 1000)
