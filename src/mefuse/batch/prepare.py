"""A batch from what a user asks for: everything that can be wrong is found before any work is done.

`prepare` finds the brackets, names the pictures and checks them; `Batch.decisions` tells what a run
would do, `Batch.run` does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mefuse import write
from mefuse.batch.claims import read_journal
from mefuse.batch.engine import Engine, JobList, JobSource
from mefuse.batch.gather import find_frames, roots_of
from mefuse.batch.jobs import Job, Naming, Shard, plan_jobs
from mefuse.batch.manifest import Manifest
from mefuse.batch.names import DEFAULT_TEMPLATE, Template
from mefuse.batch.outcome import Summary
from mefuse.batch.resume import (
    Conditions,
    Decision,
    decide,
    picture_settings,
    weights_of,
)
from mefuse.batch.run import BatchSettings, Hooks, run_batch
from mefuse.batch.series import Measuring, in_series
from mefuse.batch.watch import Watch, WatchSettings
from mefuse.errors import InputError, WriteError
from mefuse.group.run import find_brackets
from mefuse.models import find_model
from mefuse.plan import LeftOut, Plan
from mefuse.settings import FuseSettings, GroupSettings

_EXTENSIONS = {"jpeg": "jpg"}  # where a format's usual extension is not its name
_DEFAULT_FORMAT = "png"


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """What a user asks for. Brackets are found in `paths`, or are those of `plan`.

    `fuse.reference` is a place among each bracket's frames, for brackets whose plan names none.
    """

    folder: Path
    paths: tuple[Path, ...] = ()
    plan: Plan | None = None
    fuse: FuseSettings = field(default_factory=FuseSettings)
    group: GroupSettings = field(default_factory=GroupSettings)
    template: str = DEFAULT_TEMPLATE
    shard: Shard = field(default_factory=Shard)
    fail_fast: bool = False
    watch: WatchSettings | None = None
    series: Measuring | None = None  # match the pictures with each other


class Batch:
    """A batch of which all is checked and nothing is done.

    `plan` and `jobs` are what it found, `unread` the files whose headers could not be read;
    `linked` is the share of a series' brackets that show something of others, None without one.
    """

    def __init__(
        self,
        request: BatchRequest,
        naming: Naming,
        plan: Plan,
        *,
        jobs: Sequence[Job],
        unread: Sequence[LeftOut],
        linked: float | None = None,
    ) -> None:
        self.linked = linked
        self.plan, self.jobs, self.unread = plan, tuple(jobs), tuple(unread)
        self.request, self._naming = request, naming

    def decisions(self) -> list[tuple[Job, Decision]]:
        """What a run would do with each bracket now, without any claim."""
        folder = self._naming.folder
        manifest, journal = Manifest(folder), read_journal(folder)
        return [
            (
                job,
                decide(
                    job,
                    self.conditions,
                    record=manifest.fused(job.name),
                    noted=journal.get(job.name),
                    overwrite=self.request.fuse.overwrite,
                ),
            )
            for job in self.jobs
        ]

    def run(self, engine: Engine, hooks: Hooks | None = None) -> Summary:
        """Fuses what is not done; see `run.run_batch`."""
        hooks = hooks or Hooks()
        settings = BatchSettings(self.request.fuse, self.conditions, self.request.fail_fast)
        folder = self._naming.folder
        return run_batch(folder, self._source(hooks), engine, settings=settings, hooks=hooks)

    def _source(self, hooks: Hooks) -> JobSource:
        request = self.request
        if request.watch is None:
            return JobList(self.jobs)
        return Watch(
            request.paths,
            self._naming,
            group=request.group,
            settings=request.watch,
            shard=request.shard,
            on_notice=hooks.on_notice,
        )

    @cached_property
    def conditions(self) -> Conditions:
        """What decides the pictures beside their frames."""
        fuse = self.request.fuse
        return Conditions(picture_settings(fuse), weights_of(fuse))


def prepare(request: BatchRequest) -> Batch:
    """Finds and checks the brackets of a batch.

    Raises:
        MefuseError: one of its kinds; nothing was done.
    """
    find_model(request.fuse.model)
    if request.series is not None and request.watch is not None:
        raise InputError("a series is measured before it is fused; watch first, then match it")
    if request.fuse.save_aligned is not None or request.fuse.save_maps is not None:
        raise InputError(
            "a batch saves no aligned frames and no maps; fuse the brackets that matter one by one"
        )
    folder = request.folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise WriteError(f"{folder}: is no folder; name another for the pictures")
    form = request.fuse.format or _DEFAULT_FORMAT
    naming = Naming(
        folder,
        Template(request.template),
        _EXTENSIONS.get(form, form),
        roots_of(request.paths),
        request.fuse.reference,
    )
    own = frozenset(folder / name for name in Manifest(folder).pictures())
    unread: list[LeftOut] = []
    plan = _planned(request, folder, own, on_unread=unread.append)
    jobs = plan_jobs(plan, naming, own=own)
    for job in jobs:
        write.resolve_format(
            job.name,
            format=request.fuse.format,
            depth=request.fuse.depth,
            source_is_16_bit=False,
        )
    linked = None
    if request.series is not None:
        found = in_series(jobs, request.fuse, request.series)
        jobs, linked = found.jobs, found.linked
    mine = [job for job in jobs if request.shard.holds(job.name)]
    return Batch(request, naming, plan, jobs=mine, unread=unread, linked=linked)


def _planned(
    request: BatchRequest,
    folder: Path,
    own: frozenset[Path],
    *,
    on_unread: Callable[[LeftOut], None],
) -> Plan:
    """The brackets, none where they are still to come."""
    if request.watch is not None:
        return Plan(())
    plan = request.plan
    if plan is None:
        files = find_frames(request.paths, folder, recursive=request.group.recursive, own=own)
        plan = find_brackets(files, settings=request.group, on_unread=on_unread)
    if not plan.brackets:
        found = f"{request.paths[0]}: has" if request.paths else "the plan has"
        raise InputError(f"{found} no brackets; see what `mefuse group` says of each file")
    return plan
