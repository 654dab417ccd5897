"""`mefuse group`: finds brackets and prints the plan; nothing is fused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mefuse.cli import EXIT_PARTLY_FAILED
from mefuse.cli.arguments import listed_paths
from mefuse.cli.options import (
    group_settings,
    grouping_options,
    json_option,
    loudness_options,
    overwrite_option,
)

if TYPE_CHECKING:
    from mefuse.plan import LeftOut


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=str))
@grouping_options
@click.option("--null", is_flag=True, help="The list on standard input ends each path with NUL.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the plan to this file too, to edit it and give it to `mefuse batch --plan`.",
)
@overwrite_option
@json_option
@loudness_options
def group(
    paths: tuple[str, ...],
    *,
    null: bool,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    **options: Any,
) -> int:
    """Find the brackets in files and folders; nothing is fused.

    A single - among PATHS stands for a list of paths on standard input.

    \b
    Examples:
      mefuse group card
      mefuse group card --recursive -o plan.json
      find . -name '*.NEF' -print0 | mefuse group --null - --json | jq '.brackets | length'
    """
    named = listed_paths(paths, null=null, name="PATHS")

    from mefuse.group.run import find_brackets
    from mefuse.landing import check_apart, check_target
    from mefuse.plan import dump_plan, save_plan

    if output is not None:
        check_target(output, overwrite)
    unread: list[LeftOut] = []
    plan = find_brackets(named, settings=group_settings(options), on_unread=unread.append)
    if output is not None:
        check_apart(output, (frame for one in plan.brackets for frame in one.frames))
        save_plan(plan, output, overwrite=overwrite)
    if as_json:
        click.echo(dump_plan(plan))

    from mefuse.cli.group_print import print_plan, print_summary, shown

    if not as_json and not quiet:
        print_plan(plan, with_reasons=verbose > 0)
    for left in unread:
        click.echo(f"Warning: {shown(left.path)}: {left.reason}, left out", err=True)
    if not quiet and (sys.stderr.isatty() or not as_json):  # JSON in a pipe: nothing but data
        print_summary(plan)
    return EXIT_PARTLY_FAILED if unread else 0
