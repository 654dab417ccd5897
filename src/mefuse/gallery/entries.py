"""A manifest's records as the page shows them: one entry per picture, whatever a record lacks.

A manifest may be of an older version, edited, or damaged in a way that is still JSON; what is not
as it should be counts as not told. Files are looked up (are they where they were, are they the
same?) and none is decoded.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from mefuse.batch.identity import FileIdentity, is_same
from mefuse.batch.manifest import Record
from mefuse.frames import Exposure
from mefuse.report import Matrix
from mefuse.slices import Rect

State = Literal["same", "changed", "gone"]
_UNKNOWN = Exposure()


@dataclass(frozen=True, slots=True)
class File:
    """A file that the manifest tells of: where it was, and what became of it."""

    path: Path
    state: State


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """One frame; `transform` is None where it was not fused."""

    file: File
    is_reference: bool = False
    exposure: Exposure = _UNKNOWN
    ev: float | None = None
    is_ev_estimated: bool = False
    shift_px: float | None = None
    residual_px: float | None = None
    method: str = ""
    ghost_share: float | None = None
    transform: Matrix | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One bracket of the page.

    `error` is why its last run failed; the rest tells of its last picture where there is one.
    `is_half_size`: raw files were developed at half their size, which transforms then count in.
    `picture` is None where none was ever made; `facts` is what else the record tells, by name.
    """

    name: str
    error: str | None
    picture: File | None
    frames: tuple[FrameEntry, ...]
    warnings: tuple[str, ...]
    size: tuple[int, int] | None
    crop: Rect | None
    seconds: dict[str, float]
    peak_memory_bytes: float | None
    started: str
    failed_runs: int
    is_half_size: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def total_s(self) -> float | None:
        """Seconds from reading to writing."""
        return self.seconds.get("total")

    @property
    def range_ev(self) -> float | None:
        """Stops between the darkest and the brightest frame."""
        evs = [frame.ev for frame in self.frames if frame.ev is not None]
        return max(evs) - min(evs) if evs else None

    @property
    def shift_px(self) -> float | None:
        """How far the frame that moved most moved."""
        return max((f.shift_px for f in self.frames if f.shift_px is not None), default=None)

    @property
    def missing(self) -> int:
        """How many of its files are not where they were."""
        files = [frame.file for frame in self.frames]
        return sum(file.state == "gone" for file in (*files, self.picture) if file is not None)


_LONGEST_PX = 1e7  # of any picture; more is damage
_FACTS = ("model", "device", "weights", "version", "host", "reason", "finished", "cache_bytes")


def read_entries(folder: Path, records: Iterable[Record]) -> list[Entry]:
    """Gives the brackets of a manifest, in the order in which they were last begun.

    Args:
        folder: the manifest's.
        records: oldest first; of several of one picture the last counts, and after a failure the
            last picture is still shown.
    """
    histories: dict[str, list[Record]] = {}
    for record in records:
        histories.setdefault(record.name, []).append(record)
    begun = sorted(histories.values(), key=lambda history: history[-1].recorded_ns)
    return [_entry(folder, history) for history in begun]


def _entry(folder: Path, history: list[Record]) -> Entry:
    last = history[-1]
    fused = next((record for record in reversed(history) if record.is_fused), None)
    told = (fused or last).content
    return Entry(
        name=last.name,
        error=None if last.is_fused else _error(last.content.get("error")),
        picture=None if fused is None else _picture(folder, fused),
        frames=tuple(_frames(told, (fused or last).recorded_ns)),
        warnings=tuple(text for text in _list(told.get("warnings")) if isinstance(text, str)),
        size=_size(told.get("size")),
        crop=_crop(told.get("crop")),
        seconds=_seconds(told.get("seconds")),
        peak_memory_bytes=_number(told.get("peak_memory_bytes")),
        started=_text(last.content.get("started")),
        failed_runs=sum(not record.is_fused for record in history),
        is_half_size=_dict(_dict(told.get("settings")).get("raw")).get("half_size") is True,
        facts={key: told[key] for key in _FACTS if told.get(key) not in (None, "")}
        | _plain_settings(_dict(told.get("settings"))),
    )


def _plain_settings(settings: dict[str, Any], family: str = "") -> dict[str, Any]:
    """Settings by name, those of a family (raw, look) with its name before theirs."""
    named: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{family}{key.replace('_', ' ')}"
        if isinstance(value, dict) and not family:
            named |= _plain_settings(value, f"{name}: ")
        else:
            named[f"setting {name}" if name in _FACTS else name] = value
    return named


def _error(value: Any) -> str:
    """Why a bracket failed, in a sentence."""
    return _text(_dict(value).get("message")) or "failed; the manifest does not tell why"


def _picture(folder: Path, record: Record) -> File:
    """The fused picture; a name that leads out of the folder is never looked at."""
    path = PurePosixPath(record.name)
    if path.is_absolute() or ".." in path.parts or not record.name:
        return File(folder, "gone")
    return _file(folder / path, _dict(record.content.get("picture")), record.recorded_ns)


def _file(path: Path, known: dict[str, Any], recorded_ns: int) -> File:
    """A file and its state; one of which nothing more is known is taken as it is."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return File(path, "gone")
        identity = FileIdentity.from_json({**known, "path": str(path)})
    except (OSError, ValueError):  # ValueError: a NUL in its name, or a lone surrogate
        return File(path, "gone")
    except KeyError:
        return File(path, "same")
    return File(path, "same" if is_same(path, identity, recorded_ns=recorded_ns) else "changed")


def _frames(told: dict[str, Any], recorded_ns: int) -> Iterable[FrameEntry]:
    """Frames that were fused, darkest first, then those that were left out."""
    inputs = {
        path: one
        for one in map(_dict, _list(told.get("inputs")))
        if (path := _text(one.get("path")))
    }
    fused = [one for one in map(_dict, _list(told.get("frames"))) if _text(one.get("path"))]
    for one in fused:
        file = _file(Path(one["path"]), inputs.pop(one["path"], {}), recorded_ns)
        yield _frame(file, one, is_reference=one["path"] == told.get("reference"))
    for path, known in inputs.items():
        yield FrameEntry(_file(Path(path), known, recorded_ns))


def _frame(file: File, told: dict[str, Any], *, is_reference: bool) -> FrameEntry:
    exposure = (_number(told.get(key)) for key in ("exposure_time_s", "f_number", "iso"))
    return FrameEntry(
        file=file,
        is_reference=is_reference,
        exposure=Exposure(*(value if value and value > 0 else None for value in exposure)),
        ev=_number(told.get("ev")),
        is_ev_estimated=told.get("ev_source") == "pixels",
        shift_px=_number(told.get("shift_px")),
        residual_px=_number(told.get("residual_px")),
        method=_text(told.get("method")),
        ghost_share=_number(told.get("ghost_share")),
        transform=_matrix(told.get("transform")),
    )


def _matrix(value: Any) -> Matrix | None:
    """A transform, None where it is no 3x3 matrix of numbers."""
    rows = [[_number(x) for x in _list(row)] for row in _list(value)]
    if [len(row) for row in rows] != [3, 3, 3] or any(x is None for row in rows for x in row):
        return None
    return tuple((row[0] or 0.0, row[1] or 0.0, row[2] or 0.0) for row in rows)


def _size(value: Any) -> tuple[int, int] | None:
    """(height, width), None where they are not positive."""
    sides = [_number(_dict(value).get(key)) for key in ("height", "width")]
    height, width = (int(side) if side and side < _LONGEST_PX else 0 for side in sides)
    return (height, width) if height > 0 and width > 0 else None


def _crop(value: Any) -> Rect | None:
    size = _size(value)
    top, left = (_number(_dict(value).get(key)) for key in ("top", "left"))
    if size is None or top is None or left is None or max(abs(top), abs(left)) > _LONGEST_PX:
        return None
    return Rect(int(top), int(left), *size)


def _seconds(value: Any) -> dict[str, float]:
    """The steps that have a time."""
    steps = {step: _number(seconds) for step, seconds in _dict(value).items()}
    return {step: seconds for step, seconds in steps.items() if seconds is not None}


def _number(value: Any) -> float | None:
    """A finite number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if is_number and math.isfinite(value) else None
    except OverflowError:  # an integer of hundreds of digits
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
