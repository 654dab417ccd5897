"""The work of one bracket, wherever it is done: a thread of this process or a worker far away.

It makes a finished file under a private name and tells what it did. It gives no file its final
name, writes no manifest and knows of no other bracket.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mefuse import landing
from mefuse.batch.identity import FileIdentity, identify
from mefuse.clock import Progress
from mefuse.errors import MefuseError
from mefuse.fuse import Fusion
from mefuse.models import Fuser
from mefuse.report import FuseReport
from mefuse.settings import FuseSettings
from mefuse.unchanged import check_unchanged


@dataclass(frozen=True, slots=True)
class Task:
    """What to fuse and where to put it; plain values that can be sent to another machine."""

    frames: tuple[Path, ...]
    target: Path
    settings: FuseSettings  # its reference counts in `frames`


@dataclass(frozen=True, slots=True)
class Made:
    """A fused picture that waits under a private name, and all there is to tell about it."""

    temporary: Path
    size_bytes: int
    mtime_ns: int
    sha256: str
    inputs: tuple[FileIdentity, ...]
    report: FuseReport
    started_ns: int
    host: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a bracket was not fused: the kind of error, and one sentence."""

    kind: str
    message: str
    started_ns: int
    host: str


class Work:
    """The steps of one bracket, in this order, from any thread: prepare, fuse, write."""

    def __init__(self, task: Task, *, on_progress: Progress | None = None) -> None:
        """Notes the time; reads nothing yet."""
        self._task, self._on_progress = task, on_progress
        self.started_ns = time.time_ns()

    def prepare(self) -> int:
        """Hashes, decodes and aligns the frames; returns how many bytes their pixels take."""
        task = self._task
        self._fusion = Fusion(
            task.frames, task.target, settings=task.settings, on_progress=self._on_progress
        )
        self._inputs = tuple(identify(frame) for frame in task.frames)
        size_bytes = self._fusion.read()
        check_unchanged(self._inputs)
        self._fusion.align()
        return size_bytes

    def fuse(self, load: Callable[[], Fuser]) -> int:
        """Fuses and lets go of the frames; returns how many bytes the fused pixels take."""
        return self._fusion.fuse(load)

    def write(self) -> Made:
        """Writes the picture under a private name, whole and on the disk, or nothing."""
        temporary = landing.temporary_for(self._task.target)
        try:
            with landing.open_new(temporary) as file:
                self._fusion.write(file)
                size_bytes, sha256 = landing.finish(file)
            mtime_ns = temporary.stat().st_mtime_ns
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return Made(
            temporary, size_bytes, mtime_ns, sha256, self._inputs, self._fusion.report(),
            self.started_ns, socket.gethostname(),
        )  # fmt: skip


def failure_of(error: Exception, *, started_ns: int) -> Failure:
    """An error as it is told: as it is where mefuse raised it, with its kind where it did not."""
    kind, message = type(error).__name__, " ".join(str(error).split())
    if not isinstance(error, MefuseError):
        message = f"unexpected {kind}: {message or 'no message'}; please report it"
    return Failure(kind, message, started_ns, socket.gethostname())
