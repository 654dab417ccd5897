"""`mefuse preview`: parses, makes one library call, says what sheet came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mefuse.cli import one_line
from mefuse.cli.arguments import listed_paths, output_target, reference_place
from mefuse.cli.options import (
    deciding_options,
    deciding_settings,
    loudness_options,
    overwrite_option,
)


@click.command()
@click.argument("frames", nargs=-1, required=True, type=click.Path(path_type=str))
@click.option(
    "-o",
    "--output",
    default="contact.png",
    show_default=True,
    type=click.Path(allow_dash=True, path_type=str),
    help="The sheet: .png, .jpg or .tiff; - for standard output.",
)
@click.option(
    "--width",
    type=click.IntRange(320, 8000),
    default=1600,
    show_default=True,
    metavar="PX",
    help="Width of the sheet; the frames are reduced to fit before anything is done.",
)
@click.option(
    "--reference",
    metavar="FRAME|N",
    help="The frame to align to: its path, or its place 1, 2, ... among FRAMES.  "
    "[default: the middle exposure]",
)
@deciding_options
@click.option("--null", is_flag=True, help="The list on standard input ends each path with NUL.")
@overwrite_option
@loudness_options
def preview(
    frames: tuple[str, ...],
    *,
    output: str,
    width: int,
    reference: str | None,
    null: bool,
    quiet: bool,
    verbose: int,
    **options: Any,
) -> None:
    """Show the FRAMES of one bracket on a contact sheet: frames, weights, what moved, the result.

    All is done on reduced frames, so it is quick; a single - among FRAMES stands for a list of
    paths on standard input.

    \b
    Examples:
      mefuse preview IMG_1.jpg IMG_2.jpg IMG_3.jpg
      mefuse preview *.NEF -o sheet.jpg --model mertens --ghost strong
    """
    paths = listed_paths(frames, null=null, name="FRAMES")
    place = None if reference is None else reference_place(reference, paths)
    settings = deciding_settings(options, reference=place)
    target = output_target(output)

    from mefuse.cli.report import Reporter

    with Reporter(quiet=quiet, verbosity=verbose) as reporter:
        from mefuse.contact.run import write_sheet

        summary = write_sheet(
            paths, target, settings=settings, width_px=width, on_progress=reporter.progress
        )
    if quiet:
        return
    for warning in summary.warnings:
        click.echo(one_line(f"Warning: {warning}"), err=True)
    if verbose or sys.stderr.isatty():
        name = str(target) if isinstance(target, Path) else "sheet"
        steps = ", ".join(f"{step} {value:.2f} s" for step, value in summary.seconds.items())
        click.echo(f"{name}: {summary.size[1]}x{summary.size[0]}; {steps}", err=True)
