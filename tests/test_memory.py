"""Freed memory is kept where a process is ours, and given back where it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mefuse import memory

# Takes and frees 60 MB ten times, in blocks of 20 MB that nobody shares a heap with; tells how many
# pages that took.
_WORK = """
import resource, sys
import numpy as np
from mefuse.memory import keep_freed, return_freed
if sys.argv[1] == "kept":
    keep_freed()
def work():
    blocks = [np.ones(20_000_000, np.uint8) for _ in range(3)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
held = lambda: int(open("/proc/self/statm").read().split()[1])
full = held()
return_freed()
print(full - held())
"""


def _pages(how: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", _WORK, how], capture_output=True, text=True, check=True
    )
    taken, given_back = map(int, done.stdout.split())
    return taken, given_back


@pytest.mark.skipif(memory._of_glibc("mallopt") is None, reason="the C library is not glibc")
def test_what_is_freed_is_kept_and_can_be_given_back() -> None:
    taken, given_back = _pages("kept")
    assert taken < 1000
    assert given_back > 10_000  # of 15,000 that the blocks have


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_of_glibc", lambda _: None)
    memory.keep_freed()
    memory.return_freed()


def test_an_older_glibc_takes_less(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def adjust(what: int, value: int) -> int:
        asked.append((what, value))
        return int(what != -3 or value <= 32 << 20)

    monkeypatch.setattr(memory, "_of_glibc", lambda _: adjust)
    memory.keep_freed()
    assert asked == [(-3, 256 << 20), (-3, 32 << 20), (-1, 512 << 20)]
