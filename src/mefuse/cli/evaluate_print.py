"""Scores on standard output: a table for people, JSON for programs; CSV to a file or the output."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from mefuse.cli.report import print_json
from mefuse.evaluate.run import CaseFailure, CaseReport
from mefuse.evaluate.scores import Scores
from mefuse.evaluate.summary import MEASURES, YARDSTICK, summarise
from mefuse.landing import replacing

_HEADS = {  # of the measures, in the order of a table
    "mef_ssim": "MEF-SSIM",
    "mef_ssimc": "MEF-SSIMc",
    "mef_ssimd": "MEF-SSIMd",
    "q_abf": "Q^AB/F",
    "entropy": "entropy",
    "psnr_db": "PSNR",
    "psnr_moved_db": "PSNR moved",
    "psnr_still_db": "PSNR still",
    "ssim": "SSIM",
    "ghost_share": "ghosts",
    "mef_ssim_still": "MEF-SSIM still",
}
_BESIDE = {
    "loss_ratio": "loss",
    "share_not_below": "not below",
    "worst_difference": "worst",
    "loss_ratio_mef_ssimc": "loss c",
    "share_not_below_mef_ssimc": "not below c",
    "ghost_gap_closed": "ghost gap closed",
}
_DIGITS = {"entropy": 2, "psnr_db": 2, "psnr_moved_db": 2, "psnr_still_db": 2}
_SHARES = {"ghost_share", "share_not_below", "share_not_below_mef_ssimc", "ghost_gap_closed"}
Rows = dict[tuple[str, ...], dict[str, float | None]]  # a row's names -> its numbers
_WIDE = 200  # columns where no terminal says how many there are: nothing is folded


def print_scores(
    reports: Sequence[CaseReport],
    failures: Sequence[CaseFailure],
    *,
    limit_px: int | None,
    as_json: bool,
    csv_target: str | None,
    overwrite: bool,
    each: bool,
) -> None:
    """Prints what was measured; `each` adds a table of every bracket to that of the means."""
    table = [report.scores for report in reports]
    summary = summarise(table)
    if csv_target is not None:
        _write_csv(reports, csv_target, overwrite=overwrite)
    if as_json:
        print_json(
            {
                "limit_px": limit_px,
                "summary": summary,
                "brackets": [report.to_json() for report in reports],
                "failures": [{"bracket": f.bracket, "error": str(f.error)} for f in failures],
            }
        )
    elif csv_target != "-":
        console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
        if each and len(reports) > 1:
            console.print(_table_of_each(reports))
        means: Rows = {(name,): row for name, row in summary.items()}
        console.print(_table(("method",), means, _HEADS, caption=_caption(reports, limit_px)))
        if len(reports) > 1 and YARDSTICK in summary and len(summary) > 1:
            console.print(_table(("method",), means, _BESIDE, caption=_BESIDE_CAPTION))


_BESIDE_CAPTION = (
    f"Beside {YARDSTICK}: loss = mean(1 - MEF-SSIM) over its; not below = share of brackets that "
    "score its or more; worst = smallest difference; c = the same of MEF-SSIMc."
)


def _table_of_each(reports: Sequence[CaseReport]) -> Table:
    """One row per bracket and method."""
    rows: Rows = {
        (report.bracket, f"{report.size[1]}x{report.size[0]}", name): asdict(scores)
        for report in reports
        for name, scores in report.scores.items()
    }
    return _table(("bracket", "size", "method"), rows, _HEADS, caption=None)


def _table(
    names: tuple[str, ...],
    rows: Rows,
    heads: Mapping[str, str],
    *,
    caption: str | None,
) -> Table:
    """Rows by their names, with the columns in which anything was measured."""
    columns = [key for key in heads if any(row.get(key) is not None for row in rows.values())]
    table = Table(caption=caption, caption_justify="left")
    for name in names:
        table.add_column(name)
    for key in columns:
        table.add_column(heads[key], justify="right")
    for named, row in rows.items():
        table.add_row(*named, *(_cell(key, row[key]) for key in columns))
    return table


def _cell(key: str, value: float | None) -> str:
    """A number as a table shows it."""
    if value is None:
        return "-"
    return f"{value:.1%}" if key in _SHARES else f"{value:.{_DIGITS.get(key, 4)}f}"


def _caption(reports: Sequence[CaseReport], limit_px: int | None) -> str:
    """What was measured, and how."""
    heights, widths = zip(*(report.size for report in reports), strict=True)
    if len(reports) == 1:
        what = f"{reports[0].bracket}: {widths[0]}x{heights[0]}"
    else:
        longest = [max(report.size) for report in reports]
        what = f"Means over {len(reports)} brackets, longest side {min(longest)} to {max(longest)}"
    reduced = "full resolution" if limit_px is None else f"reduced to at most {limit_px} px"
    aligned = " or ".join(dict.fromkeys(report.aligned for report in reports))
    against = "; structure against frames without motion, MEF-SSIMd against those fused"
    still = against if any(report.motion_free for report in reports) else ""
    return f"{what}, {reduced}; frames aligned {aligned}{still}."


def _rows(reports: Sequence[CaseReport]) -> Iterator[list[object]]:
    """The lines of the CSV, its heads first; a measure that was not taken is empty."""
    yield ["bracket", "frames", "height", "width", "method", *MEASURES]
    for report in reports:
        place = [report.bracket, len(report.frames), *report.size]
        for name, scores in report.scores.items():
            yield [*place, name, *(_number(scores, measure) for measure in MEASURES)]


def _number(scores: Scores, measure: str) -> str:
    value = getattr(scores, measure)
    return "" if value is None else f"{value:.6f}"


def _write_csv(reports: Sequence[CaseReport], target: str, *, overwrite: bool) -> None:
    """To standard output, or to a file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_rows(reports))
    if target == "-":
        click.echo(text.getvalue(), nl=False)
        return
    with replacing(Path(target), overwrite=overwrite) as file:
        file.write(text.getvalue().encode())
