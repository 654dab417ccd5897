"""`mefuse fuse`: parses, makes one library call, prints what came of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, get_args

import click

from mefuse.cli.options import (
    DEFAULTS,
    SliceSize,
    json_option,
    look_options,
    look_settings,
    loudness_options,
    overwrite_option,
    raw_options,
    raw_settings,
)
from mefuse.errors import InputError
from mefuse.models import MODELS
from mefuse.settings import Depth, FuseSettings, GhostRemoval


@click.command()
@click.argument("frames", nargs=-1, required=True, type=click.Path(path_type=str))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(allow_dash=True, path_type=str),
    help="Where to write: .png, .jpg or .tiff; - for standard output.",
)
@click.option(
    "--model",
    type=click.Choice(list(MODELS)),
    default=DEFAULTS.model,
    show_default=True,
    help="What fuses; `mefuse info` describes them.",
)
@click.option(
    "--reference",
    metavar="FRAME|N",
    help="The frame to align to: its path, or its place 1, 2, ... among FRAMES.  "
    "[default: the middle exposure]",
)
@click.option("--no-align", is_flag=True, help="Take the frames as they lie (tripod).")
@click.option("--no-crop", is_flag=True, help="Keep borders that not all frames cover.")
@click.option(
    "--ghost",
    type=click.Choice(get_args(GhostRemoval)),
    default=DEFAULTS.ghost,
    show_default=True,
    help="How readily what moved between the frames is shown as the reference has it.",
)
@click.option(
    "--device",
    default=DEFAULTS.device,
    show_default=True,
    metavar="auto|cpu|cuda[:N]",
    help="Where the network runs; a device asked for by name has to be there.",
)
@click.option(
    "--slice-size",
    type=SliceSize(),
    metavar="PX|whole",
    help="Side of the slices, a multiple of 64, or whole.  [default: by the model]",
)
@click.option(
    "--depth",
    type=click.Choice(["8", "16"]),
    help="Bits per channel.  [default: as the frames, if the format can]",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=DEFAULTS.quality,
    show_default=True,
    help="JPEG quality.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["png", "jpeg", "tiff"]),
    help="Format to write.  [default: by the extension; png to standard output]",
)
@look_options
@raw_options
@click.option("--null", is_flag=True, help="The list on standard input ends each path with NUL.")
@overwrite_option
@json_option
@loudness_options
def fuse(
    frames: tuple[str, ...],
    *,
    output: str,
    reference: str | None,
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
    paths = _listed(frames, null=null)
    settings = _settings(paths, reference, options)
    target = _target(output, as_json=as_json)

    from mefuse.cli.report import Reporter

    with Reporter(quiet=quiet, verbosity=verbose) as reporter:
        from mefuse.fuse import fuse_files

        report = fuse_files(paths, target, settings=settings, on_progress=reporter.progress)
    reporter.summarise(report)
    if as_json:
        reporter.print_json(report)


def _listed(frames: Sequence[str], *, null: bool) -> list[str]:
    """The frames, with the list on standard input in the place of -."""
    if "-" not in frames:
        if null:
            raise click.UsageError("--null needs - among FRAMES: the list on standard input.")
        return list(frames)
    if frames.count("-") > 1:
        raise click.UsageError("- can stand among FRAMES only once.")
    listed = sys.stdin.buffer.read().split(b"\0" if null else b"\n")
    paths = [os.fsdecode(path) for path in listed if path]
    place = frames.index("-")
    paths = [*frames[:place], *paths, *frames[place + 1 :]]
    if not paths:
        raise InputError("standard input: no paths in the list; check the command before the pipe")
    return paths


def _settings(paths: Sequence[str], reference: str | None, options: dict[str, Any]) -> FuseSettings:
    """The options as the library takes them."""
    depths: dict[str | None, Depth | None] = {None: None, "8": 8, "16": 16}
    return FuseSettings(
        model=options["model"],
        reference=None if reference is None else _position(reference, paths),
        align=not options["no_align"],
        crop=not options["no_crop"],
        ghost=options["ghost"],
        device=options["device"],
        slice_size=options["slice_size"],
        depth=depths[options["depth"]],
        format=options["format_"],
        quality=options["quality"],
        overwrite=options["overwrite"],
        raw=raw_settings(options),
        look=look_settings(options),
    )


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
