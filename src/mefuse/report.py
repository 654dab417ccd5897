"""What was done to a bracket, told honestly: what `fuse_files` returns and `--json` prints.

Plain frozen records with their JSON form; they compute nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from mefuse.slices import Rect

Matrix = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class FrameReport:
    """One frame: its exposure, and how it came to lie on the reference.

    `ev` is in stops relative to the reference, positive is brighter; `ev_source` is "exif" or
    "pixels" (estimated). `transform` takes a pixel (x, y, 1) of the reference to the frame's,
    both upright and full size. `residual_px` is None where it could not be measured.
    `ghost_share` is how much of the fused part moved and was replaced, 0..1.
    """

    path: str
    exposure_time_s: float | None
    f_number: float | None
    iso: float | None
    ev: float
    ev_source: str
    transform: Matrix
    shift_px: float
    residual_px: float | None
    method: str
    ghost_share: float


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A step, or one slice in it, in seconds since the start; `worker` numbers the threads."""

    step: str
    start_s: float
    end_s: float
    worker: int | None = None  # None: a step
    rect: Rect | None = None  # of the crop, for a slice


@dataclass(frozen=True, slots=True)
class FuseReport:
    """One fused bracket.

    `frames` are those that were fused, darkest first; `size` is (height, width) of the result and
    `crop` its place in the reference; `profile` names the colours of the file; `seconds` has read,
    align, ghosts, load, fuse, write and total; `peak_memory_bytes` is the whole process's, None
    where the system does not tell; `timeline` has the steps, and the slices in them.
    """

    output: str
    profile: str
    model: str
    device: str
    size: tuple[int, int]
    reference: str
    frames: tuple[FrameReport, ...]
    crop: Rect
    seconds: dict[str, float]
    peak_memory_bytes: int | None
    cache_bytes: int
    warnings: tuple[str, ...]
    timeline: tuple[TimelineEntry, ...] = ()

    def to_json(self, *, timeline: bool = False) -> dict[str, Any]:
        """The report as JSON's types; sizes as {"height", "width"}, so that nobody has to guess.

        Args:
            timeline: whether to tell the time of every slice, too, which may be thousands.
        """
        fields = asdict(self if timeline else replace(self, timeline=()))
        if not timeline:
            del fields["timeline"]
        fields["size"] = {"height": self.size[0], "width": self.size[1]}
        fields["seconds"] = {step: round(value, 4) for step, value in self.seconds.items()}
        return fields
