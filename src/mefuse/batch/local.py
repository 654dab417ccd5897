"""Works at brackets in threads of this process, so that no core waits for another.

While one bracket is fused, the next is read and aligned and the last is written.
The model is loaded once. One bracket is fused at a time, for fusing uses all cores, or the GPU, by
itself; what is held in memory is bounded by a Budget.
"""

from __future__ import annotations

import os
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from mefuse.batch.budget import Budget, default_limit_bytes, estimate_bytes
from mefuse.batch.work import Failure, Made, Task, Work, failure_of
from mefuse.fuse import load_model

if TYPE_CHECKING:
    from mefuse.models import Fuser
    from mefuse.settings import FuseSettings


def default_jobs() -> int:
    """Brackets at work at once: one is fused, one written, the rest are read and aligned."""
    return max(3, (os.cpu_count() or 1) // 2 + 2)


class _Cancelled(Exception):  # noqa: N818  no error: the work was called off
    """Leaves the work of a bracket at its next step."""


class LocalEngine:
    """Threads that work at tasks; `submit` and `collect` are called from one thread."""

    def __init__(
        self,
        settings: FuseSettings,
        *,
        jobs: int | None = None,
        limit_bytes: int | None = None,
    ) -> None:
        """Loads nothing yet: a batch where all is done needs no model."""
        self._settings = settings
        self._jobs = jobs or default_jobs()
        self.budget = Budget(default_limit_bytes() if limit_bytes is None else limit_bytes)
        self._pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="bracket")
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._loading: Future[Fuser] | None = None
        self._fusing = threading.Lock()
        self._cancelled = threading.Event()
        self._done: queue.SimpleQueue[tuple[str, Made | Failure | Exception]] = queue.SimpleQueue()
        self.busy = 0

    @property
    def has_room(self) -> bool:
        """Whether another task would be started at once."""
        return self.busy < self._jobs

    def submit(self, name: str, task: Task) -> None:
        """Starts a task."""
        if self._loading is None:
            self._loading = self._loader.submit(load_model, self._settings)
        self.busy += 1
        self._pool.submit(self._run, name, task, self._loading)

    def collect(self, timeout_s: float) -> tuple[str, Made | Failure] | None:
        """The next task that is done, None when none is after `timeout_s`.

        Raises:
            MefuseError: the model cannot be loaded, so no bracket can be fused; other errors of
                loading come as they are.
        """
        try:
            name, outcome = self._done.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self.busy -= 1
        if isinstance(outcome, Exception):
            raise outcome
        return name, outcome

    def close(self) -> list[Made]:
        """Calls off what runs and waits until it has ended; returns what was made meanwhile."""
        self._cancelled.set()
        self._pool.shutdown(cancel_futures=True)
        self._loader.shutdown(cancel_futures=True)
        made = []
        while not self._done.empty():
            _, outcome = self._done.get()
            if isinstance(outcome, Made):
                made.append(outcome)
        return made

    def _run(self, name: str, task: Task, loading: Future[Fuser]) -> None:
        """One task from start to end, in a thread of the pool."""
        work = Work(task, on_progress=lambda *_: self._check())
        try:
            outcome: Made | Failure | Exception = self._worked(task, work, loading)
        except _Cancelled:
            return
        except Exception as error:  # a bracket that fails must not end the others
            is_model = loading.done() and loading.exception() is error
            outcome = error if is_model else failure_of(error, started_ns=work.started_ns)
        self._done.put((name, outcome))

    def _worked(self, task: Task, work: Work, loading: Future[Fuser]) -> Made:
        """One task, within the budget."""
        held = estimate_bytes(task.frames)
        self.budget.enter(held, check=self._check)
        try:
            for step in (work.prepare, partial(self._fuse, work, loading)):
                self._check()
                before, held = held, step()
                self.budget.change(before, held)
            self._check()
            return work.write()
        finally:
            self.budget.leave(held)

    def _fuse(self, work: Work, loading: Future[Fuser]) -> int:
        """Fuses, one bracket at a time."""
        while not self._fusing.acquire(timeout=0.2):
            self._check()
        try:
            return work.fuse(loading.result)
        finally:
            self._fusing.release()

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise _Cancelled
