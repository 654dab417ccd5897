"""Times the steps of the pipeline and passes their progress on."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]  # step, how much is done, how much there is


class Clock:
    """Seconds per step, and whom to tell how far a step is."""

    def __init__(self, on_progress: Progress | None = None) -> None:
        """Starts the total; `on_progress` is called with step, done and total."""
        self._on_progress = on_progress
        self.start_s = time.perf_counter()
        self._intervals: list[tuple[str, float, float]] = []

    @contextmanager
    def step(self, name: str, total: int = 1) -> Iterator[Callable[[int], None]]:
        """Times a step; yields what to call when one more of `total` is done.

        What is called takes one number, which it ignores: steps name frames in their own ways.
        """
        start = time.perf_counter()
        self.tell(name, 0, total)
        done = itertools.count(1)
        yield lambda _frame: self.tell(name, next(done), total)
        self.tell(name, total, total)
        self._intervals.append((name, start, time.perf_counter()))

    def tell(self, name: str, done: int, total: int) -> None:
        """Passes on how far a step is."""
        if self._on_progress is not None:
            self._on_progress(name, done, total)

    def seconds(self) -> dict[str, float]:
        """Seconds of each step so far, and of all since the start as `total`."""
        each = {name: end - start for name, start, end in self._intervals}
        return {**each, "total": time.perf_counter() - self.start_s}

    def intervals(self) -> list[tuple[str, float, float]]:
        """Each step with its start and end, in seconds since the start of all."""
        begin = self.start_s
        return [(name, start - begin, end - begin) for name, start, end in self._intervals]
