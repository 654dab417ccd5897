"""`mefuse fuse`: parses, makes one library call, prints what came of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import click

from mefuse.cli.options import (
    fuse_settings,
    fusing_options,
    json_option,
    listed_paths,
    loudness_options,
    overwrite_option,
)


@click.command()
@click.argument("frames", nargs=-1, required=True, type=click.Path(path_type=str))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(allow_dash=True, path_type=str),
    help="Where to write: .png, .jpg, .tiff, .webp, .avif, .jxl or .exr; - for standard output.",
)
@click.option(
    "--reference",
    metavar="FRAME|N",
    help="The frame to align to: its path, or its place 1, 2, ... among FRAMES.  "
    "[default: the middle exposure]",
)
@fusing_options
@click.option("--layers", is_flag=True, help="TIFF: add the aligned frames as further pages.")
@click.option(
    "--save-aligned",
    metavar="DIR",
    type=click.Path(path_type=str),
    help="Also write each frame as it was aligned, as TIFF.",
)
@click.option(
    "--profile", is_flag=True, help="Print when each step and its slices ran; with --json in it."
)
@click.option("--null", is_flag=True, help="The list on standard input ends each path with NUL.")
@overwrite_option
@json_option
@loudness_options
def fuse(
    frames: tuple[str, ...],
    *,
    output: str,
    reference: str | None,
    layers: bool,
    save_aligned: str | None,
    profile: bool,
    null: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    **options: Any,
) -> None:
    """Fuse the FRAMES of one bracket, in any order, into one picture.

    A single - among FRAMES stands for a list of paths on standard input.

    \b
    Examples:
      mefuse fuse IMG_1.jpg IMG_2.jpg IMG_3.jpg -o fused.png
      mefuse fuse *.NEF -o fused.tiff --depth 16
      find . -name '*.jpg' -print0 | mefuse fuse --null - -o - > fused.png
    """
    paths = listed_paths(frames, null=null, name="FRAMES")
    position = None if reference is None else _position(reference, paths)
    settings = replace(
        fuse_settings(options, reference=position), layers=layers, save_aligned=save_aligned
    )
    target = _target(output, as_json=as_json)

    from mefuse.cli.report import Reporter

    with Reporter(quiet=quiet, verbosity=verbose) as reporter:
        from mefuse.fuse import fuse_files

        report = fuse_files(paths, target, settings=settings, on_progress=reporter.progress)
    reporter.summarise(report)
    if profile and not as_json:
        reporter.print_timeline(report)
    if as_json:
        reporter.print_json(report, timeline=profile)


def _position(reference: str, paths: Sequence[str]) -> int:
    """The index of the reference among the paths; a path that is given as written comes first."""
    if reference in paths:
        return paths.index(reference)
    if reference.isascii() and reference.isdigit() and 1 <= int(reference) <= len(paths):
        return int(reference) - 1
    wanted = Path(reference).resolve()
    for index, path in enumerate(paths):
        if Path(path).resolve() == wanted:
            return index
    raise click.BadParameter(
        f"{reference} is neither one of the frames nor a number from 1 to {len(paths)}.",
        param_hint="--reference",
    )


def _target(output: str, *, as_json: bool) -> str | BinaryIO:
    """The output's path, or standard output for -, which has to be a pipe or a file."""
    if output != "-":
        return output
    if as_json:
        raise click.UsageError("--json and -o - would both write to standard output.")
    if sys.stdout.isatty():
        raise click.UsageError("-o - writes a picture; send it to a file or a pipe.")
    return sys.stdout.buffer
