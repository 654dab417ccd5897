"""Watches folders and gives a bracket as soon as it is complete.

A file counts when it has not changed for a while and its structure reaches its end. A bracket is
complete when another one, not longer, follows in its folder, for then the exposures have started
anew; or when nothing has come into its folder for a longer while. It looks again and again rather
than wait for the system to tell: that works on network folders too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mefuse import wholeness
from mefuse.batch.gather import find_frames
from mefuse.batch.jobs import Job, Naming, Shard, plan_jobs
from mefuse.batch.manifest import Manifest
from mefuse.errors import InputError
from mefuse.group.files import natural_key
from mefuse.group.run import find_brackets
from mefuse.plan import Plan, PlannedBracket
from mefuse.settings import GroupSettings

Signature = tuple[int, int]  # bytes, mtime in ns


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How long to wait, in seconds: chosen so that a slow card or network folder is not cut off."""

    settle_s: float = 3.0  # a file that has not changed for so long is copied
    quiet_s: float = 20.0  # after so long without a new file the last bracket is complete
    idle_s: float | None = None  # end after so long without a new file; None: never
    poll_s: float = 1.0


@dataclass(slots=True)
class _Seen:
    """A file, how it was when it last changed, and when that was seen."""

    signature: Signature
    since_s: float
    is_whole: bool | None = None  # None: it may still be copied


class Watch:
    """A source of jobs that grows; see `run.JobSource`."""

    def __init__(
        self,
        paths: Sequence[Path],
        naming: Naming,
        *,
        group: GroupSettings,
        settings: WatchSettings,
        shard: Shard,
        on_notice: Callable[[str], None],
    ) -> None:
        """Looks for the first time when the first job is asked for."""
        self._paths, self._naming, self._group = list(paths), naming, group
        self._settings, self._shard, self._on_notice = settings, shard, on_notice
        self._manifest = Manifest(naming.folder)
        self._files: dict[Path, _Seen] = {}
        self._plan: tuple[list[tuple[Path, Signature]], Plan] = ([], Plan(()))
        self._given: set[Path] = set()  # frames of brackets that were given
        self._named: set[Path] = set()
        self._ready: deque[Job] = deque()
        self._changed_s = time.monotonic()  # when a file last came or changed
        self._looked_s = self._look_at = self._changed_s
        longest_s = float("inf") if settings.idle_s is None else settings.idle_s
        self._quiet_s = min(settings.quiet_s, longest_s)

    def next_job(self) -> Job | None:
        """The next bracket that is complete."""
        if not self._ready and time.monotonic() >= self._look_at:
            looked_s = time.monotonic()
            self._look()
            self._looked_s, self._look_at = looked_s, time.monotonic() + self._settings.poll_s
        return self._ready.popleft() if self._ready else None

    @property
    def is_over(self) -> bool:
        """Whether nothing has come for so long that the user wants it to end."""
        idle_s = self._settings.idle_s
        if idle_s is None or self._ready:
            return False
        return self._looked_s - self._changed_s >= idle_s  # looked again since: nothing is missed

    def _look(self) -> None:
        """Looks at the folders, and at the brackets in what has settled."""
        self._see(self._found())
        plan = self._planned()
        jobs = plan_jobs(plan, self._naming)
        for job, bracket in zip(jobs, plan.brackets, strict=True):
            if self._is_new(bracket) and self._is_complete(bracket, plan):
                self._given.update(bracket.frames)
                if self._shard.holds(job.name):
                    self._ready.append(job)

    def _planned(self) -> Plan:
        """The brackets in what has settled; grouped anew only when that has changed."""
        settled = [
            (path, seen.signature)
            for path, seen in self._files.items()
            if self._is_settled(path, seen)
        ]
        if settled != self._plan[0]:
            paths = [path for path, _ in settled]
            self._plan = settled, self._grouped(paths)
        return self._plan[1]

    def _grouped(self, paths: Sequence[Path]) -> Plan:
        if len(paths) < 2:
            return Plan(())
        return find_brackets(
            paths, settings=self._group, on_unread=lambda left: self._name(left.path, left.reason)
        )

    def _name(self, path: Path, reason: str) -> None:
        """Tells of a file that no bracket will have, once."""
        if path not in self._named:
            self._named.add(path)
            self._on_notice(f"{path}: {reason}")

    def _found(self) -> list[Path]:
        self._manifest.refresh()
        folder = self._naming.folder
        own = {folder / name for name in self._manifest.pictures()}
        try:
            return find_frames(self._paths, folder, recursive=self._group.recursive, own=own)
        except InputError:  # nothing there yet
            return []

    def _see(self, paths: Sequence[Path]) -> None:
        """Notes what came, changed and went."""
        now = time.monotonic()
        found = {path: signature for path in paths if (signature := _signature(path)) is not None}
        for gone in self._files.keys() - found.keys():
            del self._files[gone]
        for path, signature in found.items():
            seen = self._files.get(path)
            if seen is None or seen.signature != signature:
                self._files[path] = _Seen(signature, now)
                self._changed_s = now

    def _is_settled(self, path: Path, seen: _Seen) -> bool:
        if seen.is_whole is None and time.monotonic() - seen.since_s >= self._settings.settle_s:
            seen.is_whole = _is_whole(path)
            if not seen.is_whole:
                self._on_notice(f"{path}: is cut short; copy it again")
        return bool(seen.is_whole)

    def _is_new(self, bracket: PlannedBracket) -> bool:
        """Whether none of its frames was given; a frame that comes too late is named once."""
        late = [frame for frame in bracket.frames if frame not in self._given]
        if len(late) == len(bracket.frames):
            return True
        for frame in late:
            self._name(frame, "came after its bracket was fused; fuse it by hand")
        return False

    def _is_complete(self, bracket: PlannedBracket, plan: Plan) -> bool:
        """Whether no further frame of this bracket is to be expected."""
        folder, last = bracket.frames[-1].parent, natural_key(bracket.frames[-1].name)
        inside = {path: seen for path, seen in self._files.items() if path.parent == folder}
        if any(
            seen.is_whole is None and natural_key(path.name) < last for path, seen in inside.items()
        ):
            return False
        newest_s = max(seen.since_s for seen in inside.values())
        if time.monotonic() - newest_s >= self._quiet_s:
            return True
        return any(
            natural_key(other.frames[0].name) > last and len(other.frames) <= len(bracket.frames)
            for other in plan.brackets
            if other.frames[0].parent == folder
        )


def _signature(path: Path) -> Signature | None:
    try:
        status = path.stat()
    except OSError:  # gone again
        return None
    return status.st_size, status.st_mtime_ns


def _is_whole(path: Path) -> bool:
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return bool(data) and wholeness.is_whole(data)
