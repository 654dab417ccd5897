"""`mefuse synth`: writes synthetic brackets with ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mefuse.cli.options import overwrite_option
from mefuse.cli.sample import PictureSize

MOTIONS = ("none", "some", "strong")
MOVING = ("people", "cars", "things", "leaves", "water")


class Stops(click.ParamType[Any]):
    """Exposures in EV, separated by commas, in any order."""

    name = "EV,EV,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The stops, ascending."""
        if isinstance(value, tuple):
            return value
        try:
            stops = tuple(sorted(float(part) for part in value.split(",")))
        except ValueError:
            self.fail(f"{value!r} is not of the form -2,0,2", param, ctx)
        if not 2 <= len(set(stops)) == len(stops) <= 9 or not all(abs(s) <= 12 for s in stops):
            self.fail(f"{value}: two to nine different exposures from -12 to 12 EV", param, ctx)
        return stops


@click.command()
@click.option(
    "-o", "--output", "folder", required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the brackets and manifest.json; made where it is missing.",
)  # fmt: skip
@click.option(
    "--pictures",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of .hdr and .exr pictures to view, and of photographs for detail and things that "
    "move; without it: the built-in room.",
)
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="Brackets.")
@click.option(
    "--frames", type=click.IntRange(2, 9), default=3, show_default=True, help="Frames per bracket."
)
@click.option(
    "--step", type=click.FloatRange(0.1, 6), default=2.0, show_default=True,
    help="EV from frame to frame.",
)  # fmt: skip
@click.option(
    "--exposures",
    type=Stops(),
    help="Exposures one by one instead of --frames and --step; the one nearest 0 is the reference.",
)
@click.option("--size", type=PictureSize(), default="3840x2160", show_default=True)
@click.option(
    "--motion", type=click.Choice(MOTIONS), default="some", show_default=True,
    help="How much moves between the frames.",
)  # fmt: skip
@click.option(
    "--moving", type=click.Choice(MOVING), multiple=True,
    help="What may move; more than one by repeating the option.  [default: all]",
)  # fmt: skip
@click.option(
    "--hand-held/--tripod", default=True, show_default=True,
    help="Whether the camera moves between the frames.",
)  # fmt: skip
@click.option(
    "--format", "format_", type=click.Choice(("jpeg", "tiff")), default="jpeg", show_default=True,
    help="8-bit JPEG or 16-bit TIFF, with the exposure in their EXIF.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True,
    help="The same command with the same seed gives the same bytes.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True,
    help="Brackets made at the same time.",
)  # fmt: skip
@overwrite_option
def synth(
    folder: Path,
    *,
    pictures: Path | None,
    count: int,
    frames: int,
    step: float,
    exposures: tuple[float, ...] | None,
    size: tuple[int, int],
    motion: str,
    moving: tuple[str, ...],
    hand_held: bool,
    format_: str,
    seed: int,
    jobs: int,
    overwrite: bool,
) -> None:
    """Write synthetic brackets of moving scenes, with ground truth.

    Per bracket: the frames, the same exposures without motion, a motion mask, and in manifest.json
    the true transforms. The folder of each bracket is printed, one a line.

    \b
    Examples:
      mefuse synth -o set --count 4
      mefuse synth -o set --pictures hdris --count 40 --motion strong --jobs 4
      mefuse synth -o set --size 7680x4320 --exposures -4,-1,0,2 --format tiff --tripod
    """
    from mefuse.synth.brackets import BracketSettings, ladder
    from mefuse.synth.dataset import SetSettings, write_set
    from mefuse.synth.movers import KINDS

    settings = SetSettings(
        BracketSettings(
            size=size,
            evs=exposures or ladder(frames, step),
            motion=motion,
            kinds=tuple(kind for kind in KINDS if not moving or kind in moving),
            hand_held=hand_held,
            depth=8 if format_ == "jpeg" else 16,
            seed=seed,
        ),
        count=count,
        pictures=pictures,
        jobs=jobs,
        overwrite=overwrite,
    )
    for path in write_set(folder, settings=settings):
        click.echo(str(path))
