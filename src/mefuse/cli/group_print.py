"""How a plan looks: a table on a terminal, lines with tabs off it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mefuse.cli import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from mefuse.plan import Plan, PlannedBracket

_MOST_NAMES = 3  # of a bracket in the table; more are shown as first ... last


def print_plan(plan: Plan, *, with_reasons: bool) -> None:
    """The plan on standard output; on a terminal `with_reasons` names every frame and file."""
    if sys.stdout.isatty():
        _print_tables(plan, with_reasons=with_reasons)
        return
    for number, bracket in enumerate(plan.brackets, 1):
        names = " ".join(shown(frame) for frame in bracket.frames)
        click.echo(f"{number}\t{len(bracket.frames)} frames\t{names}\t{bracket.reason}")
    for left in plan.left_out:
        click.echo(f"-\tleft out\t{shown(left.path)}\t{left.reason}")


def print_summary(plan: Plan) -> None:
    """One line on standard error."""
    frames = sum(len(bracket.frames) for bracket in plan.brackets)
    brackets = "1 bracket" if len(plan.brackets) == 1 else f"{len(plan.brackets)} brackets"
    files = "1 file" if len(plan.left_out) == 1 else f"{len(plan.left_out)} files"
    click.echo(f"{brackets} of {frames} frames; {files} left out", err=True)


def shown(path: Path) -> str:
    """A path on one line of a terminal: what cannot be shown is escaped."""
    return one_line(str(path))


def _print_tables(plan: Plan, *, with_reasons: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    table = _table("Brackets", "#", "frames", "folder", "names", "found by")
    for number, bracket in enumerate(plan.brackets, 1):
        cells = (shown(bracket.frames[0].parent), _names(bracket, whole=with_reasons))
        table.add_row(
            str(number), str(len(bracket.frames)), *map(Text, cells), Text(bracket.reason)
        )
    if plan.brackets:
        console.print(table)
    if not plan.left_out:
        return
    left = _table("Left out", "files", "why")
    reasons: dict[str, list[Path]] = {}
    for one in plan.left_out:
        reasons.setdefault(one.reason, []).append(one.path)
    for reason, paths in reasons.items():
        names = [shown(path) for path in paths]
        more = len(names) - _MOST_NAMES
        if more > 1 and not with_reasons:
            names = [*names[:_MOST_NAMES], f"and {more} more (-v names them)"]
        left.add_row(Text("\n".join(names)), Text(reason))
    console.print(left)


def _table(title: str, *heads: str) -> Table:
    """An empty table that folds what is too long rather than cut it off."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def _names(bracket: PlannedBracket, *, whole: bool) -> str:
    """The frames' names; of many the first and the last."""
    names = [shown(Path(frame.name)) for frame in bracket.frames]
    if whole or len(names) <= _MOST_NAMES:
        return " ".join(names)
    return f"{names[0]} ... {names[-1]}"
