"""From a plan to jobs: one per bracket, with the place of its picture, all checked before any work.

The folder tree of the frames is kept below the output folder. Two brackets never get one name, and
no picture is put where a frame lies.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from mefuse import containers, exif
from mefuse.batch.names import NameValues, Template
from mefuse.errors import InputError
from mefuse.plan import Plan, PlannedBracket
from mefuse.series import Rendition
from mefuse.settings import FuseSettings

_MODEL, _EXIF_IFD, _TAKEN = 0x0110, 0x8769, 0x9003


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number` (from 1) of `count`: which brackets this run is to fuse."""

    number: int = 1
    count: int = 1

    def holds(self, name: str) -> bool:
        """Whether a bracket belongs to this part: by the name of its picture alone.

        Other brackets that come or go change nothing, so runs that start at different times and
        see different folders leave none out.
        """
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


@dataclass(frozen=True, slots=True)
class Job:
    """One bracket to fuse.

    `name` is the picture's place in the output folder, with / between folders: the key by which
    the manifest knows it. Paths are absolute. `reference` is an index into `frames`, `rendition`
    how it comes out in a series.
    """

    index: int
    frames: tuple[Path, ...]
    reference: int | None
    reason: str
    name: str
    target: Path
    rendition: Rendition | None = None

    def settings(self, fuse: FuseSettings) -> FuseSettings:
        """The settings of a batch as they are for this bracket."""
        fuse = replace(fuse, reference=self.reference)
        if self.rendition is None:
            return fuse
        return replace(fuse, look=replace(fuse.look, **asdict(self.rendition)))


@dataclass(frozen=True, slots=True)
class Naming:
    """How pictures are named and where they go; `roots` are what the frames' folders lie below."""

    folder: Path
    template: Template
    ext: str
    roots: tuple[Path, ...] = ()
    reference: int | None = None  # place among each bracket's frames where the plan names none


def plan_jobs(plan: Plan, naming: Naming, *, own: Collection[Path] = ()) -> list[Job]:
    """Gives the jobs of a plan, in its order.

    Args:
        plan: which frames make which bracket.
        naming: how and where.
        own: absolute paths of pictures that earlier runs made in this folder.

    Raises:
        InputError: two brackets would get one name, a picture would replace a frame, a frame is a
            picture that mefuse made here, or a reference is out of range.
    """
    roots = naming.roots or (_common_folder(plan.brackets),)
    jobs = [
        _job(index, bracket, naming, roots) for index, bracket in enumerate(plan.brackets, start=1)
    ]
    _check_names(jobs)
    _check_frames(jobs, own)
    return jobs


def _job(index: int, bracket: PlannedBracket, naming: Naming, roots: Sequence[Path]) -> Job:
    frames = tuple(_absolute(path) for path in bracket.frames)
    reference = naming.reference
    if bracket.reference is not None:
        reference = bracket.frames.index(bracket.reference)
    if reference is not None and reference >= len(frames):
        raise InputError(
            f"{frames[0]}: reference {reference + 1}, but its bracket has {len(frames)} frames; "
            "choose one of them"
        )
    middle = frames[(len(frames) - 1) // 2 if reference is None else reference]
    date, model = None, None
    if naming.template.fields & {"date", "model"}:
        date, model = _taken(frames[0])
    filled = naming.template.fill(
        NameValues(
            first=frames[0].stem,
            last=frames[-1].stem,
            stem=middle.stem,
            index=index,
            count=len(frames),
            date=date,
            model=model,
            ext=naming.ext,
        )
    )
    name = (_below(frames[0].parent, roots) / filled).as_posix()
    return Job(index, frames, reference, bracket.reason, name, naming.folder / name)


def _absolute(path: Path) -> Path:
    """The path from the root, `..` resolved in its text alone: links keep their names."""
    return Path(os.path.abspath(path))  # noqa: PTH100  Path.resolve would follow links


def _below(folder: Path, roots: Sequence[Path]) -> Path:
    """Where a folder lies below the deepest root that holds it; the empty path where none does."""
    found = [folder.relative_to(root) for root in roots if folder.is_relative_to(root)]
    return min(found, key=lambda path: len(path.parts), default=Path())


def _common_folder(brackets: Sequence[PlannedBracket]) -> Path:
    """The folder that all brackets lie below."""
    folders = [str(_absolute(bracket.frames[0]).parent) for bracket in brackets]
    try:
        return Path(os.path.commonpath(folders)) if folders else Path()
    except ValueError:  # Windows: more than one drive
        return Path()


def _check_names(jobs: Sequence[Job]) -> None:
    """Refuses two brackets with one name; systems differ in whether A.png and a.png are one."""
    seen: dict[str, Job] = {}
    for job in jobs:
        key = unicodedata.normalize("NFC", job.name).casefold()
        other = seen.setdefault(key, job)
        if other is not job:
            raise InputError(
                f"{job.target}: is the name of two brackets, of {other.frames[0]} and of "
                f"{job.frames[0]}; tell them apart in --name, for example with {{index}}"
            )


def _check_frames(jobs: Sequence[Job], own: Collection[Path]) -> None:
    """Refuses pictures in the place of a frame, and frames that an earlier run fused."""
    frames = {frame for job in jobs for frame in job.frames}
    real = {Path(os.path.realpath(frame)) for frame in frames}
    mine = {Path(os.path.realpath(path)) for path in own}
    for job in jobs:
        if job.target in frames or Path(os.path.realpath(job.target)) in real:
            raise InputError(
                f"{job.target}: is a frame, and a fused picture would take its place; choose "
                "another folder or --name"
            )
        for frame in job.frames:
            if Path(os.path.realpath(frame)) in mine:
                raise InputError(
                    f"{frame}: was fused by mefuse in this folder and is no frame; take it out of "
                    "the plan"
                )


def _taken(path: Path) -> tuple[datetime | None, str | None]:
    """When a frame was taken and by which camera; None for what its file does not tell."""
    try:
        with path.open("rb") as file:
            start = containers.find_exif(file)
            tiff = exif.TiffReader(file, start) if start is not None else None
            if tiff is None:
                return None, None
            shooting = tiff.subdirectory(_EXIF_IFD)
            taken = shooting.get(_TAKEN) or tiff.main.get(_TAKEN)
            model = tiff.main.get(_MODEL)
            texts = [tiff.value(entry) if entry else b"" for entry in (taken, model)]
    except (OSError, ValueError):  # it is named when it is read
        return None, None
    date, name = (text.split(b"\0")[0].decode("utf-8", "replace").strip() for text in texts)
    return _date_of(date), name or None


def _date_of(text: str) -> datetime | None:
    try:
        return datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S")  # EXIF's form; local time
    except ValueError:
        return None
