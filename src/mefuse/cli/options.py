"""Options that more than one command has, and the types they share. Defaults come from settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args

import click

from mefuse.cli import SHOW_TRACEBACK
from mefuse.settings import (
    CONTRAST_LIMIT,
    DEMOSAICS,
    EXPOSURE_LIMIT_EV,
    SATURATION_LIMIT,
    FuseSettings,
    LookPreset,
    LookSettings,
    RawSettings,
    WhiteBalance,
)
from mefuse.slices import GRID_PX

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULTS = FuseSettings()


class SliceSize(click.ParamType[Any]):
    """A side in px, a positive multiple of the grid, or the word whole."""

    name = "PX|whole"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["whole"]:
        """The number, or "whole"."""
        value = str(value)
        if value == "whole":
            return "whole"
        if not value.isascii() or not value.isdigit() or int(value) % GRID_PX or not int(value):
            self.fail(
                f"{value!r} is neither a multiple of {GRID_PX} nor the word whole", param, ctx
            )
        return int(value)


class WhiteBalanceType(click.ParamType[Any]):
    """One of three words, or three positive numbers R,G,B."""

    name = "camera|auto|daylight|R,G,B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> WhiteBalance:
        """The word, or the multipliers."""
        if value in ("camera", "auto", "daylight"):
            word: WhiteBalance = value
            return word
        try:
            red, green, blue = (float(part) for part in str(value).split(","))
        except ValueError:
            red = green = blue = 0.0
        if not all(0 < x < math.inf for x in (red, green, blue)):
            self.fail(
                f"{value!r} is neither camera, auto, daylight nor three numbers as 2.1,1,1.6",
                param,
                ctx,
            )
        return red, green, blue


def raw_options(command: Command) -> Command:
    """Adds --wb, --demosaic and --half-size, for `raw_settings`."""
    white_balance = click.option(
        "--wb",
        type=WhiteBalanceType(),
        default=DEFAULTS.raw.white_balance,
        show_default=True,
        metavar="camera|auto|daylight|R,G,B",
        help="White balance of raw files, the reference's for all frames.",
    )
    demosaic = click.option(
        "--demosaic",
        type=click.Choice(DEMOSAICS),
        default=DEFAULTS.raw.demosaic,
        show_default=True,
        help="How raw files are demosaiced; ahd and ppg are faster.",
    )
    half_size = click.option(
        "--half-size", is_flag=True, help="Raw files at half width and height, for previews."
    )
    return white_balance(demosaic(half_size(command)))


def raw_settings(options: dict[str, Any]) -> RawSettings:
    """How raw files are developed, by the options of `raw_options`."""
    return RawSettings(
        white_balance=options["wb"],
        demosaic=options["demosaic"],
        half_size=options["half_size"],
    )


_LOOK = (
    click.option(
        "--look",
        type=click.Choice(get_args(LookPreset)),
        default=DEFAULTS.look.preset,
        show_default=True,
        help="natural: as the frames show it; vivid: more contrast and colour.",
    ),
    click.option(
        "--exposure",
        type=click.FloatRange(-EXPOSURE_LIMIT_EV, EXPOSURE_LIMIT_EV),
        default=DEFAULTS.look.exposure_ev,
        show_default=True,
        metavar="EV",
        help="Lighter or darker by so many stops, -2 to 2; nothing is cut off.",
    ),
    click.option(
        "--contrast",
        type=click.FloatRange(-CONTRAST_LIMIT, CONTRAST_LIMIT),
        default=DEFAULTS.look.contrast,
        show_default=True,
        metavar="X",
        help="More or less contrast, -1 to 1.",
    ),
    click.option(
        "--saturation",
        type=click.FloatRange(-SATURATION_LIMIT, SATURATION_LIMIT),
        default=DEFAULTS.look.saturation,
        show_default=True,
        metavar="X",
        help="More or less colour, -1 (gray) to 1.",
    ),
)


def look_options(command: Command) -> Command:
    """Adds --look, --exposure, --contrast and --saturation, for `look_settings`."""
    for option in reversed(_LOOK):
        command = option(command)
    return command


def look_settings(options: dict[str, Any]) -> LookSettings:
    """The look, by the options of `look_options`."""
    return LookSettings(
        preset=options["look"],
        exposure_ev=options["exposure"],
        contrast=options["contrast"],
        saturation=options["saturation"],
    )


def overwrite_option(command: Command) -> Command:
    """Adds --overwrite."""
    return click.option(
        "--overwrite", is_flag=True, default=DEFAULTS.overwrite, help="Replace an existing output."
    )(command)


def json_option(command: Command) -> Command:
    """Adds --json, passed as `as_json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object on standard output."
    )(command)


def loudness_options(command: Command) -> Command:
    """Adds -q and -v, passed as `quiet` and `verbose` (a count)."""
    quiet = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
    verbose = click.option(
        "-v",
        "--verbose",
        count=True,
        callback=_show_traceback,
        help="Print frames, times and memory; -vv also where an error comes from.",
    )
    return quiet(verbose(command))


def _show_traceback(ctx: click.Context, _: click.Parameter, count: int) -> int:
    """Notes for the group, which catches errors, that the user wants to see where."""
    ctx.meta[SHOW_TRACEBACK] = count > 1
    return count
