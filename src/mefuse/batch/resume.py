"""Decides what to do with a bracket: fuse it, skip it because it is done, or leave it alone.

Done is what has a record with the same frames, settings, weights and version, and a picture that is
still the one that was written. What somebody else put there, or changed, is never replaced unasked.
"""

from __future__ import annotations

import hashlib
import json
import operator
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mefuse import __version__
from mefuse.batch.identity import is_same
from mefuse.batch.jobs import Job
from mefuse.batch.manifest import Record
from mefuse.models import find_model
from mefuse.settings import FuseSettings

# What a user may change without any pixel or byte of the picture changing.
_WITHOUT_EFFECT = (
    *("slice_size", "overwrite", "reference", "save_aligned", "save_maps"),
    *("max_megapixels", "strict"),  # they decide only whether there is a picture
)
# Of the look, what is measured: another processor may come to other last digits.
_MEASURED = ("series_key_ev", "series_tint_ev")
_ALIKE_EV = 0.025
Action = Literal["fuse", "replace", "skip", "refuse"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do and why; `adopt` is a record that a dead run could not write any more."""

    action: Action
    reason: str
    adopt: Record | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """What, beside its frames, decides a picture: settings, weights and version."""

    settings: dict[str, Any]
    weights: dict[str, str] | None
    version: str = __version__

    def of(self, job: Job) -> Conditions:
        """The same with what is this bracket's own: its rendition in a series."""
        if job.rendition is None:
            return self
        own = json.loads(json.dumps(asdict(job.rendition)))
        return replace(self, settings={**self.settings, "look": {**self.settings["look"], **own}})

    def changed(self, record: Record) -> list[str]:
        """What differs from a record, in words."""
        then = record.content
        settings = [
            name
            for name in {**self.settings, **then["settings"]}
            if not _is_alike(self.settings.get(name), then["settings"].get(name))
        ]
        names = [f"settings ({', '.join(settings)})"] if settings else []
        if (self.weights or {}).get("sha256") != (then["weights"] or {}).get("sha256"):
            names.append("weights")
        if self.version != then["version"]:
            names.append(f"version ({then['version']})")
        return names


def _is_alike(here: Any, then: Any) -> bool:
    """Whether a setting is the same; renditions in a series may differ by what nobody sees."""
    if here == then or not isinstance(here, dict) or not isinstance(then, dict):
        return bool(here == then)
    own, others = ([look.get(name) for name in _MEASURED] for look in (here, then))
    rest = ({n: v for n, v in look.items() if n not in _MEASURED} for look in (here, then))
    if None in (*own, *others) or operator.ne(*rest):
        return False
    stops = [abs(a - b) for a, b in zip(_flat(own), _flat(others), strict=True)]
    return max(stops) < _ALIKE_EV


def _flat(values: Sequence[Any]) -> list[float]:
    """A key and a tint as three numbers."""
    key_ev, (red_ev, blue_ev) = values
    return [key_ev, red_ev, blue_ev]


def picture_settings(settings: FuseSettings) -> dict[str, Any]:
    """The settings that decide a picture, as JSON's types."""
    values = {n: value for n, value in asdict(settings).items() if n not in _WITHOUT_EFFECT}
    plain: dict[str, Any] = json.loads(json.dumps(values, default=_digest))
    return plain


def _digest(profile: bytes) -> str:
    """A profile's bytes as a manifest names them."""
    return hashlib.sha256(profile).hexdigest()


def weights_of(settings: FuseSettings) -> dict[str, str] | None:
    """The name and the hash of the model's weights, None for a model without any."""
    name = find_model(settings.model).weights_name
    if name is None:
        return None
    from mefuse import weights  # loads numpy

    found = weights.describe(name)
    return {"name": found.name, "sha256": found.sha256}


def decide(
    job: Job,
    conditions: Conditions,
    *,
    record: Record | None,
    noted: Record | None,
    overwrite: bool,
) -> Decision:
    """What to do with a bracket that no other run works at.

    Args:
        job: the bracket.
        conditions: what it is to be fused with.
        record: the manifest's last record of a picture of this name.
        noted: the journal's, of a run that may have died before it wrote to the manifest.
        overwrite: whether a picture that is not up to date may be replaced.
    """
    if job.target.is_dir():
        return Decision("refuse", f"{job.target}: is a folder; choose another --name")
    if _is_no_file(job.target):
        return Decision("refuse", f"{job.target}: is no regular file; choose another --name")
    if not job.target.exists():
        return Decision("fuse", "new" if record is None else "its picture is gone")
    adopt = None
    if noted is not None and _is_picture(job.target, noted) and not _same_picture(record, noted):
        adopt = record = noted
    if record is None or not _is_picture(job.target, record):
        how = "exists already" if record is None else "was changed since it was fused"
        advice = "name another folder, or ask to --overwrite"
        return _replace_or_refuse(overwrite, how, f"{job.target}: {how}; {advice}")
    changed = conditions.of(job).changed(record)
    if not _same_frames(job, record):
        changed.insert(0, "frames")
    if not changed:
        return Decision("skip", "done before", adopt)
    what = ", ".join(changed)
    decision = _replace_or_refuse(
        overwrite,
        f"other {what}",
        f"{job.target}: was fused with other {what}; name another folder, or ask to --overwrite",
    )
    return Decision(decision.action, decision.reason, adopt)


def _is_no_file(target: Path) -> bool:
    """Whether something else has the name: a device, a pipe."""
    try:
        return not stat.S_ISREG(target.stat().st_mode)
    except OSError:
        return False


def _replace_or_refuse(overwrite: bool, reason: str, message: str) -> Decision:
    return Decision("replace", reason) if overwrite else Decision("refuse", message)


def _is_picture(target: Path, record: Record) -> bool:
    """Whether a file is the picture of a record, unchanged."""
    known = record.picture
    try:
        status = target.stat()
    except OSError:
        return False
    if (status.st_size, status.st_mtime_ns) == (known.bytes, known.mtime_ns):
        return True
    return is_same(target, known, recorded_ns=record.recorded_ns)


def _same_picture(record: Record | None, other: Record) -> bool:
    return record is not None and record.picture.sha256 == other.picture.sha256


def _same_frames(job: Job, record: Record) -> bool:
    """Whether the frames have the bytes that were fused, with the same reference asked for.

    A frame that moved is found by its bytes; the order of frames decides nothing.
    """
    known = {value.path: value for value in record.inputs}
    left = [value for value in record.inputs if value.path not in map(str, job.frames)]
    if len(record.inputs) != len(job.frames) or _asked(job) != record.content["reference_asked"]:
        return False
    for frame in job.frames:
        here = known.get(str(frame))
        candidates: Sequence[Any] = [here] if here is not None else left
        match = next(
            (one for one in candidates if is_same(frame, one, recorded_ns=record.recorded_ns)), None
        )
        if match is None:
            return False
        if here is None:
            left.remove(match)
    return True


def _asked(job: Job) -> str | None:
    """The name of the reference that was asked for, without its folder."""
    return None if job.reference is None else job.frames[job.reference].name
