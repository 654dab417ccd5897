"""What `mefuse batch` says: progress, outcomes as they come, the table at the end, the dry run."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from mefuse.cli import one_line
from mefuse.cli.report import print_json

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mefuse.batch.outcome import Outcome, Summary
    from mefuse.batch.prepare import Batch

_MOST_ROWS = 40  # of the table at the end: more scroll away, and the manifest has them all
_STYLES = {"fused": "green", "skipped": "dim", "failed": "red"}


class BatchReporter:
    """Tells a person on standard error, and with JSON a program on standard output."""

    def __init__(self, *, quiet: bool, verbosity: int, as_json: bool) -> None:
        """Quiet says nothing but errors; verbosity 1 adds every bracket."""
        self._quiet, self._verbosity, self._as_json = quiet, verbosity, as_json
        self._is_terminal = sys.stderr.isatty()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> BatchReporter:
        """Nothing is shown before `start`."""
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
            self._bar = None

    def measured(self, done: int, total: int) -> None:
        """Tells how many brackets of a series are measured, where a person can see it."""
        if self._quiet or not self._is_terminal:
            return
        if self._bar is None or self._task is None:
            self._bar = _progress_bar()
            self._task = self._bar.add_task("measure", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done)

    def start(self, batch: Batch) -> None:
        """Names what is in no bracket, and starts the bar where a person can see it."""
        for one in batch.unread:
            self._say(f"Error: {one.path}: {one.reason}, left out")
        if batch.linked is not None and batch.linked < 1:
            self.notice(_unlinked(batch.linked))
        if self._quiet:
            return
        left = batch.plan.left_out
        if left and self._verbosity:
            for one in left:
                self._say(f"Left out: {one.path}: {one.reason}")
        elif left and self._is_terminal:
            self._say(f"{len(left)} files are in no bracket; -v names them")
        if self._is_terminal:
            self._bar = _progress_bar()
            total = None if batch.request.watch is not None else len(batch.jobs)
            self._task = self._bar.add_task("fuse", total=total)
            self._bar.start()

    def add(self, outcome: Outcome) -> None:
        """Tells how one bracket ended."""
        if self._as_json:
            print_json(outcome.to_json())
        if outcome.kind == "failed":
            self._say(f"Error: {outcome.message}")
        elif not self._quiet:
            for warning in _warnings(outcome):
                named = warning.startswith(f"{outcome.job.target}: ")
                self._say(f"Warning: {warning if named else f'{outcome.job.name}: {warning}'}")
            if self._verbosity:
                self._say(_line(outcome))
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)

    def notice(self, message: str) -> None:
        """Something that the user should know and that stops nothing."""
        if not self._quiet:
            self._say(f"Warning: {message}")

    def summarise(self, summary: Summary) -> None:
        """The table and the sum, on a terminal; with -v anywhere."""
        if self._quiet or not (self._is_terminal or self._verbosity):
            return
        if self._is_terminal and summary.outcomes:
            _print_table(summary)
        counts = [f"{summary.count(kind)} {kind}" for kind in _STYLES]  # type: ignore[arg-type]
        if summary.dropped:
            counts.append(f"{summary.dropped} dropped")
        if summary.untried:
            counts.append(f"{summary.untried} not tried")
        self._say(f"{', '.join(counts)} in {summary.seconds:.1f} s")

    def _say(self, line: str) -> None:
        """One line on standard error, above the bar."""
        line = _shown(line)
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line, err=True)


def print_dry_run(batch: Batch, *, as_json: bool) -> None:
    """What a run would do with each bracket, on standard output."""
    for job, decision in batch.decisions():
        if as_json:
            frames = [str(frame) for frame in job.frames]
            reference = None if job.reference is None else frames[job.reference]
            print_json(
                {
                    "output": job.name,
                    "action": decision.action,
                    "reason": decision.reason,
                    "index": job.index,
                    "frames": frames,
                    "reference": reference,
                    "grouped": job.reason,
                }
            )
        else:
            names = ", ".join(frame.name for frame in job.frames)
            click.echo(_shown(f"{decision.action}\t{job.target}\t{names}\t{decision.reason}"))


def _unlinked(linked: float) -> str:
    """What a user should know of a series whose pictures do not all share something."""
    return (
        f"{1 - linked:.0%} of the brackets show nothing that an earlier one shows, "
        "and are not matched with it; pictures match where they overlap"
    )


def _shown(text: str) -> str:
    """Text that every terminal takes and none obeys; tabs stay, for they part the columns."""
    return "\t".join(one_line(part) for part in text.split("\t"))


def _warnings(outcome: Outcome) -> list[str]:
    """Warnings of a bracket that was fused now."""
    if outcome.record is None or outcome.kind != "fused":
        return []
    warnings: list[str] = outcome.record.content["warnings"]
    return warnings


def _line(outcome: Outcome) -> str:
    """One bracket in a line."""
    if outcome.kind == "skipped":
        return f"  {outcome.job.name}: skipped, {outcome.message}"
    content: dict[str, Any] = outcome.record.content if outcome.record else {}
    size = content["size"]
    return (
        f"  {outcome.job.name}: {size['width']}x{size['height']} from "
        f"{len(content['frames'])} frames, {content['seconds']['total']:.1f} s"
    )


def _print_table(summary: Summary) -> None:
    """Every bracket on a row; failures always, of the others the last ones."""
    from rich.console import Console
    from rich.table import Table

    others = [outcome for outcome in summary.outcomes if outcome.kind != "failed"]
    shown = {id(outcome) for outcome in others[-_MOST_ROWS:]}
    table = Table("picture", "frames", "outcome", "seconds", "")
    hidden = 0
    for outcome in summary.outcomes:
        if outcome.kind != "failed" and id(outcome) not in shown:
            hidden += 1
            continue
        table.add_row(*_cells(outcome))
    if hidden:
        table.caption = f"and {hidden} more that went well"
    Console(stderr=True, highlight=False).print(table)


def _cells(outcome: Outcome) -> list[Any]:
    """One row of the table."""
    from rich.text import Text

    seconds = "" if outcome.seconds is None else f"{outcome.seconds:.1f}"
    return [
        Text(_shown(outcome.job.name)),
        str(len(outcome.job.frames)),
        Text(outcome.kind, style=_STYLES[outcome.kind]),
        seconds,
        Text(_shown(outcome.message) if outcome.kind == "failed" else ""),
    ]


def _progress_bar() -> Progress:
    """A bar with the number of brackets and the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
