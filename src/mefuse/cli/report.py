"""What a command says while it works and when it is done: progress, summary, JSON.

Results go to standard output, everything else to standard error; a progress bar only to a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from statistics import median
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from mefuse.cli import one_line
from mefuse.words import count_words

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mefuse.report import FrameReport, FuseReport, TimelineEntry

_BAR_WIDTH = 48


class Reporter:
    """Tells a person or a program how a fusion went."""

    def __init__(self, *, quiet: bool, verbosity: int) -> None:
        """Quiet says nothing at all; verbosity 1 adds frames and times."""
        self._quiet = quiet
        self._verbosity = verbosity
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Reporter:
        """Starts the progress bar where a person can see it."""
        if not self._quiet and sys.stderr.isatty():
            self._bar = _progress_bar()
            self._task = self._bar.add_task("start", total=None)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Takes the bar away, whatever happened."""
        if self._bar is not None:
            self._bar.stop()

    def progress(self, step: str, done: int, total: int) -> None:
        """Shows how far a step is; from any thread."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=step, completed=done, total=total)

    def summarise(self, report: FuseReport) -> None:
        """Warnings, and what came out; with -v how."""
        if self._quiet:
            return
        for warning in report.warnings:
            _say(f"Warning: {warning}")
        if self._verbosity:
            for frame in report.frames:
                _say(_frame_line(frame, is_reference=frame.path == report.reference))
            _say(_times_line(report))
        if self._verbosity or sys.stderr.isatty():
            height, width = report.size
            total = report.seconds["total"]
            _say(
                f"{report.output}: {width}x{height} from {len(report.frames)} frames, {total:.1f} s"
            )

    def print_json(self, report: FuseReport, *, timeline: bool = False) -> None:
        """The report as one line on standard output."""
        print_json(report.to_json(timeline=timeline))

    def print_timeline(self, report: FuseReport) -> None:
        """When each step ran and, below it, its slices together; on standard error."""
        total = report.seconds["total"]
        for line in _timeline_lines(report.timeline, total):
            _say(line)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on one line of standard output; plain ASCII, so that any name survives."""
    click.echo(json.dumps(value, allow_nan=False))


def _say(line: str) -> None:
    """One line on standard error."""
    click.echo(one_line(line), err=True)


def _progress_bar() -> Progress:
    """A bar with the step's name, gone when it stops."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description:>6}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _frame_line(frame: FrameReport, *, is_reference: bool) -> str:
    """One frame in words: exposure, and how it was aligned."""
    source = "" if frame.ev_source == "exif" else " (estimated)"
    moved = "reference" if is_reference else f"{frame.method}, moved {frame.shift_px:.1f} px"
    left = "" if frame.residual_px is None else f", {frame.residual_px:.2f} px left"
    return f"  {frame.path}: {frame.ev:+.1f} EV{source}; {moved}{left}"


def _timeline_lines(timeline: Sequence[TimelineEntry], total_s: float) -> Iterator[str]:
    """Steps as bars along the time; slices of one kind on one line, with their own median."""
    kinds: dict[tuple[str, bool], list[TimelineEntry]] = {}
    for entry in timeline:
        kinds.setdefault((entry.step, entry.worker is None), []).append(entry)
    for (step, is_step), entries in kinds.items():
        start, end = entries[0].start_s, max(entry.end_s for entry in entries)
        first, last = (round(_BAR_WIDTH * at / total_s) for at in (start, end))
        bar = (" " * first + "#" * max(last - first, 1)).ljust(_BAR_WIDTH)
        line = f"  {step if is_step else '  ' + step:<10}{start:8.3f} {end:8.3f} s  |{bar}|"
        if not is_step:
            each = median(entry.end_s - entry.start_s for entry in entries)
            slices = count_words(len(entries), "slice")
            threads = count_words(len({entry.worker for entry in entries}), "thread")
            line += f" {slices} of {1000 * each:.1f} ms on {threads}"
        yield line


def _times_line(report: FuseReport) -> str:
    """Where the time and the memory went."""
    steps = ", ".join(f"{step} {value:.2f} s" for step, value in report.seconds.items())
    peak = report.peak_memory_bytes
    memory = "" if peak is None else f"; {peak / 2**20:.0f} MiB at most"
    return f"  {report.model} on {report.device}: {steps}{memory}"
