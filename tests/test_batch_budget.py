"""What is held at once is bounded in bytes."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from mefuse.batch.budget import Budget, default_limit_bytes, estimate_bytes


def enter_later(budget: Budget, size_bytes: int) -> threading.Thread:
    """A thread that waits for room."""
    thread = threading.Thread(
        target=budget.enter, args=(size_bytes,), kwargs={"check": lambda: None}, daemon=True
    )
    thread.start()
    return thread


def is_waiting(thread: threading.Thread) -> bool:
    thread.join(0.1)
    return thread.is_alive()


def test_a_bracket_waits_until_there_is_room() -> None:
    budget = Budget(100)
    budget.enter(60, check=lambda: None)
    second = enter_later(budget, 50)
    assert is_waiting(second)
    budget.change(60, 40)
    second.join(5)
    assert not second.is_alive()
    third = enter_later(budget, 50)
    assert is_waiting(third)
    budget.leave(40)
    third.join(5)
    assert not third.is_alive()
    assert budget.peak_bytes == 100


def test_one_alone_goes_however_large() -> None:
    budget = Budget(100)
    budget.enter(1000, check=lambda: None)
    budget.change(1000, 2000)
    assert budget.peak_bytes == 2000


def test_waiting_can_be_called_off() -> None:
    class Called(Exception):  # noqa: N818
        pass

    def check() -> None:
        raise Called

    budget = Budget(10)
    budget.enter(10, check=check)
    start = time.monotonic()
    with pytest.raises(Called):
        budget.enter(10, check=check)
    assert time.monotonic() - start < 5


def test_bytes_are_estimated_from_the_files(tmp_path: Path) -> None:
    jpeg, raw = tmp_path / "a.JPG", tmp_path / "b.NEF"
    jpeg.write_bytes(bytes(100)), raw.write_bytes(bytes(100))
    assert estimate_bytes([jpeg]) == 1500
    assert estimate_bytes([raw]) == 600
    assert estimate_bytes([jpeg, raw, tmp_path / "absent.png"]) == 2100
    assert default_limit_bytes() > 100 << 20
