"""`mefuse report`: parses, makes one library call, says what page came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from mefuse.cli.arguments import output_target
from mefuse.cli.options import loudness_options, overwrite_option

if TYPE_CHECKING:
    from mefuse.gallery.run import PageSummary


@click.command(name="report")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(allow_dash=True, path_type=str),
    help="The page; - for standard output.  [default: mefuse-report.html in DIR]",
)
@click.option(
    "--budget",
    type=click.IntRange(0),
    default=60,
    show_default=True,
    metavar="KB",
    help="The most that the pictures of one bracket take in the page, in kB; 0: no pictures.",
)
@overwrite_option
@loudness_options
def report_page(
    folder: Path,
    *,
    output: str | None,
    budget: int,
    overwrite: bool,
    quiet: bool,
    verbose: int,
) -> None:
    """Make one HTML page of the batch in DIR: pictures, frames, figures, warnings, failures.

    The page holds all that it shows, and opens without a network or a server.

    \b
    Examples:
      mefuse report fused
      mefuse report fused -o night.html --budget 120
    """
    from mefuse.cli.report import Reporter
    from mefuse.gallery.run import PAGE, write_page

    target = folder / PAGE if output is None else output_target(output)
    with Reporter(quiet=quiet, verbosity=verbose) as reporter:
        summary = write_page(
            folder,
            target,
            budget_bytes=budget * 1000,
            overwrite=overwrite,
            on_progress=reporter.progress,
        )
    if not quiet and (verbose or summary.missing or sys.stderr.isatty()):
        click.echo(_line(target, summary), err=True)


def _line(target: Path | BinaryIO, summary: PageSummary) -> str:
    """What came of it, in a line."""
    name = str(target) if isinstance(target, Path) else "page"
    parts = [f"{summary.brackets} brackets", f"{summary.page_bytes / 1e6:.1f} MB"]
    if summary.failed:
        parts.insert(1, f"{summary.failed} failed")
    if summary.missing:
        parts.append(f"{summary.missing} files are no longer where they were")
    return f"{name}: {', '.join(parts)}"
