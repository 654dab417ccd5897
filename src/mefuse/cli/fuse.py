"""`mefuse fuse`: parses, makes one library call, prints what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from mefuse.cli.arguments import listed_paths, output_target, reference_place
from mefuse.cli.options import (
    fuse_settings,
    fusing_options,
    json_option,
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
    "--save-maps",
    metavar="DIR",
    type=click.Path(path_type=str),
    help="Also write how much each frame gives where, and what moved in it, as PNG.",
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
    save_maps: str | None,
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
    position = None if reference is None else reference_place(reference, paths)
    settings = replace(
        fuse_settings(options, reference=position),
        layers=layers,
        save_aligned=save_aligned,
        save_maps=save_maps,
    )
    if as_json and output == "-":
        raise click.UsageError("--json and -o - would both write to standard output.")
    target = output_target(output)

    from mefuse.cli.report import Reporter

    with Reporter(quiet=quiet, verbosity=verbose) as reporter:
        from mefuse.fuse import fuse_files
        from mefuse.memory import keep_freed

        keep_freed()
        report = fuse_files(paths, target, settings=settings, on_progress=reporter.progress)
    reporter.summarise(report)
    if profile and not as_json:
        reporter.print_timeline(report)
    if as_json:
        reporter.print_json(report, timeline=profile)
