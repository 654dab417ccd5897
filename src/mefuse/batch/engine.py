"""What a run needs of others: who works at tasks, and where jobs come from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from mefuse.batch.jobs import Job
from mefuse.batch.work import Failure, Made, Task


class Engine(Protocol):
    """Who works at tasks: threads of this process, or a cluster."""

    @property
    def has_room(self) -> bool:
        """Whether it wants another task."""

    @property
    def busy(self) -> int:
        """How many tasks are submitted and not collected."""

    def submit(self, name: str, task: Task) -> None:
        """Takes a task."""

    def collect(self, timeout_s: float) -> tuple[str, Made | Failure] | None:
        """The next one that is done; None when none is after `timeout_s`."""

    def close(self) -> list[Made]:
        """Calls off what runs and waits; returns what was made but never collected."""


class JobSource(Protocol):
    """Where jobs come from: a list, or a folder that is watched."""

    def next_job(self) -> Job | None:
        """A job that can be begun, None when there is none now."""

    @property
    def is_over(self) -> bool:
        """Whether there will never be another."""


class JobList:
    """Jobs that are all known."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = deque(jobs)

    def next_job(self) -> Job | None:
        """The next one."""
        return self._jobs.popleft() if self._jobs else None

    @property
    def is_over(self) -> bool:
        """Whether all were given."""
        return not self._jobs

    def __len__(self) -> int:
        return len(self._jobs)
