"""Options that more than one command has, and the types they share. Defaults come from settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import click

from mefuse.cli import SHOW_TRACEBACK
from mefuse.settings import FuseSettings
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
