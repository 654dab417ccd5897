"""Options that more than one command has, and the types they share. Defaults come from settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypeVar, get_args

import click

from mefuse.cli import SHOW_TRACEBACK
from mefuse.models import MODELS
from mefuse.settings import (
    CONTRAST_LIMIT,
    DEMOSAICS,
    EXPOSURE_LIMIT_EV,
    SATURATION_LIMIT,
    Compression,
    Depth,
    FuseSettings,
    GhostRemoval,
    GroupSettings,
    LookPreset,
    LookSettings,
    OutputProfile,
    RawSettings,
    Strip,
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


_RAW = (
    click.option(
        "--wb",
        type=WhiteBalanceType(),
        default=DEFAULTS.raw.white_balance,
        show_default=True,
        metavar="camera|auto|daylight|R,G,B",
        help="White balance of raw files, the reference's for all frames.",
    ),
    click.option(
        "--demosaic",
        type=click.Choice(DEMOSAICS),
        default=DEFAULTS.raw.demosaic,
        show_default=True,
        help="How raw files are demosaiced; ahd and ppg are faster.",
    ),
    click.option(
        "--half-size", is_flag=True, help="Raw files at half width and height, for previews."
    ),
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
        help="Lighter or darker by so many stops; nothing is cut off.",
    ),
    click.option(
        "--contrast",
        type=click.FloatRange(-CONTRAST_LIMIT, CONTRAST_LIMIT),
        default=DEFAULTS.look.contrast,
        show_default=True,
        metavar="X",
        help="More or less contrast.",
    ),
    click.option(
        "--saturation",
        type=click.FloatRange(-SATURATION_LIMIT, SATURATION_LIMIT),
        default=DEFAULTS.look.saturation,
        show_default=True,
        metavar="X",
        help="More or less colour; -1 is gray.",
    ),
)


_DECIDING = (
    click.option(
        "--model",
        type=click.Choice(list(MODELS)),
        default=DEFAULTS.model,
        show_default=True,
        help="What fuses; `mefuse info` describes them.",
    ),
    click.option(
        "--align/--no-align",
        default=DEFAULTS.align,
        help="Align the frames, or take them as they lie (tripod).",
    ),
    click.option("--no-crop", is_flag=True, help="Keep borders that not all frames cover."),
    click.option(
        "--ghost",
        type=click.Choice(get_args(GhostRemoval)),
        default=DEFAULTS.ghost,
        show_default=True,
        help="How readily what moved between the frames is shown as the reference has it.",
    ),
    click.option(
        "--device",
        default=DEFAULTS.device,
        show_default=True,
        metavar="auto|cpu|cuda[:N]",
        help="Where the network runs; a device asked for by name has to be there.",
    ),
    *_LOOK,
)

_FUSING = (
    *_DECIDING,
    click.option(
        "--slice-size",
        type=SliceSize(),
        metavar="PX|whole",
        help="Side of the slices, a multiple of 64, or whole.  [default: by the model]",
    ),
    click.option(
        "--depth",
        type=click.Choice(["8", "10", "12", "16"]),
        help="Bits per channel; 10 and 12 are AVIF's.  [default: as the frames, if the format can]",
    ),
    click.option(
        "--quality",
        type=click.IntRange(1, 100),
        default=DEFAULTS.quality,
        show_default=True,
        metavar="N",
        help="Quality of JPEG, WebP, AVIF and JPEG XL.",
    ),
    click.option(
        "--compression",
        type=click.Choice(get_args(Compression)),
        default=DEFAULTS.compression,
        show_default=True,
        help="How PNG and TIFF are packed, all without loss; zstd is TIFF's.",
    ),
    click.option(
        "--format",
        "format_",
        type=click.Choice(["png", "jpeg", "tiff", "webp", "avif", "jxl", "exr"]),
        help="Format to write.  [default: by the extension; png to standard output]",
    ),
    click.option(
        "--output-profile",
        type=click.Choice(get_args(OutputProfile)),
        default=DEFAULTS.output_profile,
        show_default=True,
        help="Colour profile of the output, embedded; keep is the reference's.",
    ),
    click.option(
        "--strip",
        type=click.Choice(get_args(Strip)),
        help="Metadata to leave out: positions, or all but the profile.  [default: none]",
    ),
    click.option(
        "--max-megapixels",
        type=click.FloatRange(0, min_open=True),
        default=DEFAULTS.max_megapixels,
        show_default=True,
        metavar="N",
        help="Refuse a frame whose header claims more megapixels.",
    ),
    click.option(
        "--strict",
        is_flag=True,
        help="Refuse a bracket with a frame that cannot be aligned, may show another scene, or is "
        "damaged inside.",
    ),
    *_RAW,
)


def fusing_options(command: Command) -> Command:
    """Adds what decides the fused pixels and their file; `fuse_settings` reads it."""
    for option in reversed(_FUSING):
        command = option(command)
    return command


def fuse_settings(options: dict[str, Any], *, reference: int | None) -> FuseSettings:
    """The options of `fusing_options` and `overwrite_option` as the library takes them."""
    depths: dict[str | None, Depth | None] = {None: None, "8": 8, "10": 10, "12": 12, "16": 16}
    return replace(
        deciding_settings(options, reference=reference),
        slice_size=options["slice_size"],
        depth=depths[options["depth"]],
        format=options["format_"],
        quality=options["quality"],
        compression=options["compression"],
        output_profile=options["output_profile"],
        strip=options["strip"],
        max_megapixels=options["max_megapixels"],
        strict=options["strict"],
        raw=RawSettings(
            white_balance=options["wb"],
            demosaic=options["demosaic"],
            half_size=options["half_size"],
        ),
    )


def deciding_options(command: Command) -> Command:
    """Adds what decides how a bracket is fused, whatever its file; see `deciding_settings`."""
    for option in reversed(_DECIDING):
        command = option(command)
    return command


def deciding_settings(options: dict[str, Any], *, reference: int | None) -> FuseSettings:
    """The options of `deciding_options` and `overwrite_option` as the library takes them."""
    return FuseSettings(
        model=options["model"],
        reference=reference,
        align=options["align"],
        crop=not options["no_crop"],
        ghost=options["ghost"],
        device=options["device"],
        overwrite=options["overwrite"],
        look=LookSettings(
            preset=options["look"],
            exposure_ev=options["exposure"],
            contrast=options["contrast"],
            saturation=options["saturation"],
        ),
    )


_GROUPING = (
    click.option("--recursive", is_flag=True, help="Look into the folders of folders, too."),
    click.option(
        "--by-folder", is_flag=True, help="Take every folder for one bracket, as it lies."
    ),
    click.option(
        "--size",
        type=click.IntRange(2),
        metavar="N",
        help="Frames of every bracket.  [default: as the exposures tell]",
    ),
    click.option(
        "--gap",
        type=click.FloatRange(0),
        metavar="S",
        help="Longest pause inside a bracket, in seconds from the end of one exposure to the start "
        "of the next.  [default: as the pauses tell, at most 60]",
    ),
    click.option(
        "--prefer",
        type=click.Choice(["raw", "jpeg"]),
        default=GroupSettings().prefer,
        show_default=True,
        help="Which file of a RAW+JPEG pair to take.",
    ),
)


def grouping_options(command: Command) -> Command:
    """Adds what decides which files become which brackets; `group_settings` reads it."""
    for option in reversed(_GROUPING):
        command = option(command)
    return command


def group_settings(options: dict[str, Any]) -> GroupSettings:
    """The options of `grouping_options` as the library takes them."""
    return GroupSettings(
        recursive=options["recursive"],
        prefer=options["prefer"],
        size=options["size"],
        gap_s=options["gap"],
        by_folder=options["by_folder"],
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
