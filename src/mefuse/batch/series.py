"""Has the brackets of a batch come out as one series: each is measured before any is fused.

All brackets of the plan are measured, whatever part of them this run fuses and wherever: so every
shard and every resumed run comes to the same renditions. Measuring runs on the CPU, for a GPU's
last digits are its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from mefuse import colour, discover, read
from mefuse.batch.budget import Budget, default_limit_bytes, estimate_bytes
from mefuse.batch.jobs import Job
from mefuse.errors import MefuseError
from mefuse.fuse import load_model, raw_settings
from mefuse.models import Fuser
from mefuse.series import Measured, Series, measure_bracket, reduced
from mefuse.settings import FuseSettings


@dataclass(frozen=True, slots=True)
class Measuring:
    """How brackets are measured: how many at once, and the bytes of frames held; None: chosen."""

    jobs: int | None = None
    limit_bytes: int | None = None
    on_measured: Callable[[int, int], None] = lambda _done, _all: None


@dataclass(frozen=True, slots=True)
class InSeries:
    """The jobs with their renditions, and the share that neighbours could be found for."""

    jobs: list[Job]
    linked: float


def in_series(jobs: Sequence[Job], fuse: FuseSettings, measuring: Measuring) -> InSeries:
    """Gives each job the rendition with which it matches its neighbours, in the plan's order.

    A bracket that cannot be read gets none: fusing tells what is wrong with it.

    Raises:
        MefuseError: the model cannot be loaded.
    """
    limit_bytes = measuring.limit_bytes
    crew = _Crew(
        load_model(replace(fuse, device="cpu")),
        fuse,
        Budget(default_limit_bytes() if limit_bytes is None else limit_bytes),
    )
    series, seen = Series(), list(jobs)
    with ThreadPoolExecutor(measuring.jobs or os.cpu_count() or 1, "measure") as pool:
        try:
            for k, found in enumerate(pool.map(crew.measure, jobs)):
                series.add(None if found is None else found[0])
                if found is not None and found[1] is not None:
                    seen[k] = replace(jobs[k], reference=found[1])
                measuring.on_measured(k + 1, len(jobs))
        except BaseException:
            crew.is_stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
    matched = [
        replace(job, rendition=rendition)
        for job, rendition in zip(seen, series.renditions(), strict=True)
    ]
    return InSeries(matched, series.linked)


class _Stopped(Exception):  # noqa: N818  no error: the user wants the run to end
    """Leaves the measuring of a bracket."""


class _Crew:
    """Threads that measure brackets within one budget, and one model that they share."""

    def __init__(self, fuser: Fuser, fuse: FuseSettings, budget: Budget) -> None:
        raw = raw_settings(fuse)
        # A raw file at half size is a tenth of the work, and as light.
        self._raw = replace(raw, half_size=True, demosaic="linear")
        self._fuser, self._fuse, self._budget = fuser, fuse, budget
        self._fusing = threading.Lock()
        self.is_stopped = threading.Event()

    def measure(self, job: Job) -> tuple[Measured, int | None] | None:
        """A bracket's measurement, and the reference that it is to keep; None: it cannot be read.

        Which frame of raw files is the reference may depend on how they were developed.
        """
        held = estimate_bytes(job.frames)
        self._budget.enter(held, check=self._check)
        try:
            sources = discover.find_sources(job.frames)
            bracket = read.read_bracket(sources, reference=job.reference, raw=self._raw)
            small = reduced(colour.in_one_space(bracket))
            reference: Path = bracket.frames[bracket.reference].source.path
            del bracket
        except MefuseError:
            return None
        finally:
            self._budget.leave(held)
        self._check()
        with self._fusing:
            measured = measure_bracket(small, self._fuser)
        is_raw = any(source.is_raw for source in sources)
        return measured, job.frames.index(reference) if is_raw else None

    def _check(self) -> None:
        if self.is_stopped.is_set():
            raise _Stopped
