"""`mefuse sample`: writes the built-in bracket, to try mefuse on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from mefuse.cli.options import overwrite_option

MIN_PX, MAX_PX = 64, 8192


class PictureSize(click.ParamType[Any]):
    """WIDTHxHEIGHT in px, passed as (height, width)."""

    name = "WxH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """The size, each side between 64 and 8192."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value, flags=re.ASCII)
        if match is None:
            self.fail(f"{value!r} is not of the form 1800x1200", param, ctx)
        width, height = int(match[1]), int(match[2])
        if not all(MIN_PX <= side <= MAX_PX for side in (width, height)):
            self.fail(f"{value}: each side from {MIN_PX} to {MAX_PX} px", param, ctx)
        return height, width


@click.command()
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the frames; made where it is missing.",
)
@click.option("--size", type=PictureSize(), default="1800x1200", show_default=True)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=1,
    show_default=True,
    help="Another hand and other noise.",
)
@overwrite_option
def sample(folder: Path, *, size: tuple[int, int], seed: int, overwrite: bool) -> None:
    """Write a sample bracket of a room with a bright window.

    Three hand-held JPEGs with true exposures in their EXIF; their paths are printed, one a line.

    \b
    Examples:
      mefuse sample -o demo
      mefuse sample -o demo --size 900x600 | mefuse fuse - -o demo/fused.png
    """
    from mefuse.synth.sample import write_sample

    for path in write_sample(folder, size=size, seed=seed, overwrite=overwrite):
        click.echo(str(path))
