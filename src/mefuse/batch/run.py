"""Runs a batch: claims brackets, has an engine work at them, gives pictures their names, records.

All that decides and all that is written in its final place happens here, in one thread; engines
only make pictures under private names. So a run that ends in the middle, however, leaves whole
pictures, a true manifest, and nothing that the next run does not clear away.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mefuse import landing
from mefuse.batch.claims import Claims
from mefuse.batch.engine import Engine, JobSource
from mefuse.batch.jobs import Job
from mefuse.batch.manifest import Manifest, Record
from mefuse.batch.outcome import Outcome, OutcomeKind, Summary
from mefuse.batch.record import failed_record, fused_record
from mefuse.batch.resume import Conditions, Decision, decide
from mefuse.batch.work import Failure, Made, Task, failure_of
from mefuse.errors import OutputExistsError, WriteError
from mefuse.settings import FuseSettings

_POLL_S = 0.2
_RETRY_CLAIM_S = 1.0


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How a batch goes on, beside how each bracket is fused."""

    fuse: FuseSettings
    conditions: Conditions
    fail_fast: bool = False


@dataclass(slots=True)
class Hooks:
    """Whom to tell, and who may stop it: `stop` ends the run at the next moment that is safe."""

    on_outcome: Callable[[Outcome], None] = lambda _: None
    on_notice: Callable[[str], None] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)


def run_batch(
    folder: Path,
    source: JobSource,
    engine: Engine,
    *,
    settings: BatchSettings,
    hooks: Hooks | None = None,
) -> Summary:
    """Fuses every job that is not done yet; a failure is recorded and the others go on.

    Args:
        folder: of the pictures and the manifest; made where it is missing.
        source: the jobs.
        engine: works at them; it is closed at the end.
        settings: how.
        hooks: whom to tell, from the calling thread.

    Returns:
        How every bracket ended.

    Raises:
        MefuseError: what concerns the whole batch: the model cannot be loaded, the manifest not be
            read or written, the cluster is gone. What was fused before is recorded.
    """
    _make_folder(folder)
    run = _Run(folder, source, engine, settings, hooks or Hooks())
    return run.finished()


class _Run:
    """One call of `run_batch`."""

    def __init__(
        self,
        folder: Path,
        source: JobSource,
        engine: Engine,
        settings: BatchSettings,
        hooks: Hooks,
    ) -> None:
        self._folder, self._source, self._engine = folder, source, engine
        self._settings, self._hooks = settings, hooks
        self._running: dict[str, tuple[Job, Decision]] = {}
        self._elsewhere: deque[Job] = deque()  # claimed by other runs
        self._retry_at = 0.0
        self._summary = Summary()

    def finished(self) -> Summary:
        """Runs to the end, or until it is stopped."""
        start = time.perf_counter()
        try:
            self._manifest = Manifest(self._folder)
            self._claims = Claims(self._folder)
            try:
                if not self._claims.works:
                    self._hooks.on_notice(
                        f"{self._folder}: its file system has no locks; run one batch at a time"
                    )
                self._loop()
            finally:
                self._drop()
                self._claims.close()
        finally:
            self._engine.close()
        self._summary.seconds = time.perf_counter() - start
        return self._summary

    def _loop(self) -> None:
        while not self._hooks.stop.is_set():
            self._admit()
            if not self._running and self._is_over:
                return
            finished = self._engine.collect(_POLL_S)
            if finished is not None:
                self._settle(*finished)
        self._summary.is_interrupted = True
        while (finished := self._engine.collect(0)) is not None:
            self._settle(*finished)

    @property
    def _is_over(self) -> bool:
        return self._is_failing or (self._source.is_over and not self._elsewhere)

    @property
    def _is_failing(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._settings.fail_fast and self._summary.count("failed") > 0

    def _admit(self) -> None:
        """Begins, skips or refuses jobs while the engine wants some."""
        while self._engine.has_room and not self._is_failing and not self._hooks.stop.is_set():
            job = self._source.next_job() or self._next_elsewhere()
            if job is None:
                return
            if self._claims.take(job.name):
                self._begin(job)
            else:
                self._elsewhere.append(job)

    def _next_elsewhere(self) -> Job | None:
        """A job that another run had, once in a while, when nothing else is left."""
        if not self._elsewhere or time.monotonic() < self._retry_at:
            return None
        self._retry_at = time.monotonic() + _RETRY_CLAIM_S / len(self._elsewhere)
        return self._elsewhere.popleft()

    def _begin(self, job: Job) -> None:
        """Decides about a job that is claimed, and has it fused if need be."""
        self._manifest.refresh()
        started_ns = time.time_ns()
        try:
            landing.clear_leftovers(job.target)
            decision = decide(
                job,
                self._settings.conditions,
                record=self._manifest.fused(job.name),
                noted=self._claims.noted(job.name),
                overwrite=self._settings.fuse.overwrite,
            )
        except OSError as error:  # a folder that may not be entered
            self._fail(
                job, failure_of(landing.unwritable(job.target, error), started_ns=started_ns)
            )
            return
        if decision.adopt is not None:
            self._manifest.add(decision.adopt)
        if decision.action == "skip":
            self._end(job, "skipped", decision.reason)
        elif decision.action == "refuse":
            self._fail(job, failure_of(OutputExistsError(decision.reason), started_ns=started_ns))
        else:
            self._submit(job, decision)

    def _submit(self, job: Job, decision: Decision) -> None:
        try:
            _make_folder(job.target.parent)
        except WriteError as error:
            self._fail(job, failure_of(error, started_ns=time.time_ns()))
            return
        settings = replace(
            job.settings(self._settings.fuse), overwrite=decision.action == "replace"
        )
        self._running[job.name] = job, decision
        self._engine.submit(job.name, Task(job.frames, job.target, settings))

    def _settle(self, name: str, result: Made | Failure) -> None:
        """Ends a job: gives the picture its name and records it, or records why there is none."""
        job, decision = self._running[name]  # it stays there until it is told: see `_drop`
        if isinstance(result, Failure):
            self._fail(job, result)
            return
        record = fused_record(job, result, self._settings.conditions.of(job))
        self._claims.note(record)
        try:
            landing.put(result.temporary, job.target, overwrite=decision.action == "replace")
        except WriteError as error:
            result.temporary.unlink(missing_ok=True)
            self._fail(job, failure_of(error, started_ns=result.started_ns))
            return
        self._manifest.add(record)
        landing.clear_leftovers(job.target)  # of a worker that was lost
        self._end(job, "fused", decision.reason, record)

    def _fail(self, job: Job, failure: Failure) -> None:
        record = failed_record(job, failure, self._settings.conditions.of(job))
        self._manifest.add(record)
        self._end(job, "failed", failure.message, record)

    def _end(self, job: Job, kind: OutcomeKind, message: str, record: Record | None = None) -> None:
        """Gives the claim back and tells."""
        self._running.pop(job.name, None)
        self._claims.give_back(job.name)
        seconds = record.content["seconds"]["total"] if kind == "fused" and record else None
        outcome = Outcome(job, kind, message, record, seconds)
        self._summary.outcomes.append(replace(outcome, record=None))
        self._hooks.on_outcome(outcome)

    def _drop(self) -> None:
        """Calls off what runs and clears it away."""
        for made in self._engine.close():
            made.temporary.unlink(missing_ok=True)
        for job, _ in self._running.values():
            landing.clear_leftovers(job.target)
        self._summary.dropped = len(self._running)
        self._running.clear()
        untried = len(self._elsewhere)
        while self._summary.is_interrupted or self._is_failing:
            if self._source.next_job() is None:
                break
            untried += 1
        self._summary.untried = untried


def _make_folder(folder: Path) -> None:
    """Makes a folder that is missing, so that a loss of power does not take it away."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            landing.sync_folder(path.parent)
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise WriteError(f"{folder}: cannot be made ({reason}); choose another place") from err
