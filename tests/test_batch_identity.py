"""Whether a file is the one that was fused."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mefuse.batch.identity import FileIdentity, identify, is_same
from mefuse.errors import ReadError
from mefuse.unchanged import check_unchanged

LONG_AGO_NS = 10**18


def aged(path: Path, content: bytes, mtime_ns: int = LONG_AGO_NS) -> FileIdentity:
    """A file that was changed long ago, as it is."""
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return identify(path)


def test_size_and_time_are_enough_where_they_are_old(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    known = replace(aged(path, b"abc"), sha256="not looked at")
    assert is_same(path, known, recorded_ns=time.time_ns())


def test_a_file_that_was_new_then_is_hashed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    known = aged(path, b"abc")
    path.write_bytes(b"xyz")  # within the same tick of its file system's clock
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    assert not is_same(path, known, recorded_ns=LONG_AGO_NS + 10**9)
    aged(path, b"abc")
    assert is_same(path, known, recorded_ns=LONG_AGO_NS + 10**9)


def test_another_time_or_place_with_the_same_bytes_is_the_same(tmp_path: Path) -> None:
    known = aged(tmp_path / "a.jpg", b"abc")
    aged(tmp_path / "b.jpg", b"abc", LONG_AGO_NS + 5 * 10**9)
    aged(tmp_path / "c.jpg", b"abd")
    now = time.time_ns()
    assert is_same(tmp_path / "b.jpg", known, recorded_ns=now)
    assert not is_same(tmp_path / "c.jpg", known, recorded_ns=now)
    assert not is_same(tmp_path / "absent.jpg", known, recorded_ns=now)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    known = aged(path, b"abc")
    check_unchanged([known])
    path.write_bytes(b"abcd")
    with pytest.raises(ReadError, match="changed while it was read"):
        check_unchanged([known])
    path.unlink()
    with pytest.raises(ReadError, match="vanished"):
        check_unchanged([known])
    with pytest.raises(ReadError, match="no such file"):
        identify(path)
