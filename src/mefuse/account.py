"""What is told of a fused bracket: joins what the steps found out into a FuseReport.

Knows no file and no order of steps; the pipeline calls it last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mefuse.align import Alignment
from mefuse.clock import Clock
from mefuse.doubts import doubts_about
from mefuse.frames import Bracket
from mefuse.memory import peak_memory_bytes
from mefuse.models import Fused
from mefuse.report import FrameReport, FuseReport, TimelineEntry
from mefuse.settings import FuseSettings
from mefuse.slices import Rect


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A fused bracket, and how it came about."""

    fused: Fused
    alignments: tuple[Alignment, ...]
    crop: Rect
    ghost_shares: tuple[float, ...]
    device: str
    warnings: tuple[str, ...] = ()


def account_for(
    bracket: Bracket,
    result: Result,
    *,
    output: str,
    profile: str,
    size: tuple[int, int],
    settings: FuseSettings,
    clock: Clock,
    warnings: Sequence[str],
) -> FuseReport:
    """The report of one bracket.

    Args:
        bracket: its frames; their pixels are not looked at.
        result: what fusing gave.
        output: its name.
        profile: of the file's pixels, by name.
        size: (height, width) of the fused picture.
        settings: what was asked for.
        clock: that the steps were timed with.
        warnings: of the delivery.
    """
    frames = tuple(_frame_report(bracket, result, index) for index in range(len(bracket.frames)))
    return FuseReport(
        output=output,
        profile=profile,
        model=settings.model,
        device=result.device,
        size=size,
        reference=frames[bracket.reference].path,
        frames=frames,
        crop=result.crop,
        seconds=clock.seconds(),
        peak_memory_bytes=peak_memory_bytes(),
        cache_bytes=result.fused.cache_bytes,
        warnings=tuple(dict.fromkeys((*_warnings(bracket, result, settings=settings), *warnings))),
        timeline=_timeline(result.fused, clock),
    )


def _timeline(fused: Fused, clock: Clock) -> tuple[TimelineEntry, ...]:
    """Steps and slices in the order in which they began."""
    entries = [TimelineEntry(name, start, end) for name, start, end in clock.intervals()]
    for span in () if fused.work is None else fused.work.spans:
        start, end = span.start_s - clock.start_s, span.end_s - clock.start_s
        entries.append(TimelineEntry(span.step, start, end, span.worker, span.rect))
    return tuple(sorted(entries, key=lambda entry: entry.start_s))


def _frame_report(bracket: Bracket, result: Result, index: int) -> FrameReport:
    """One frame's part of the report."""
    alignment = result.alignments[index]
    source = bracket.frames[index].source
    return FrameReport(
        path=str(source.path),
        exposure_time_s=source.exposure.exposure_time_s,
        f_number=source.exposure.f_number,
        iso=source.exposure.iso,
        ev=round(bracket.evs[index], 4),
        ev_source=bracket.ev_source,
        transform=tuple(tuple(row) for row in alignment.transform.tolist()),
        shift_px=round(alignment.shift_px, 3),
        residual_px=None if alignment.residual_px is None else round(alignment.residual_px, 3),
        method=alignment.method,
        ghost_share=round(result.ghost_shares[index], 4),
    )


def _warnings(bracket: Bracket, result: Result, *, settings: FuseSettings) -> tuple[str, ...]:
    """All that a user should know, each once, in the order of the steps."""
    collected = [warning for frame in bracket.frames for warning in frame.warnings]
    collected += bracket.warnings
    alignments = result.alignments if settings.align else ()
    collected += doubts_about(bracket, alignments, result.ghost_shares)
    collected += result.warnings
    collected += result.fused.warnings
    collected += () if result.fused.work is None else result.fused.work.warnings
    return tuple(collected)
