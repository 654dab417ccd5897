"""`mefuse group`: finds brackets and prints the plan; nothing is fused."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mefuse.cli import EXIT_PARTLY_FAILED
from mefuse.cli.options import group_options, listed, overwrite_option
from mefuse.errors import InputError, OutputExistsError, WriteError
from mefuse.settings import GroupSettings

if TYPE_CHECKING:
    from mefuse.plan import Plan


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=str))
@group_options
@click.option("--null", is_flag=True, help="The list on standard input ends each path with NUL.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the plan to this file, for editing and for `mefuse batch --plan`.",
)
@overwrite_option
@click.option("--json", "as_json", is_flag=True, help="Print the plan as one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def group(
    paths: tuple[str, ...],
    *,
    settings: GroupSettings,
    null: bool,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Find brackets in files and folders; nothing is fused.

    A single - among PATHS stands for a list of paths on standard input.

    \b
    Examples:
      mefuse group card
      mefuse group card --recursive -o plan.json
      find . -name '*.NEF' -print0 | mefuse group --null - --json | jq '.brackets | length'
    """
    named = listed(paths, null=null)
    if output is not None and not overwrite and os.path.lexists(output):
        raise OutputExistsError(f"{output}: exists; choose another name or add --overwrite")

    from mefuse.cli.group_print import print_plan
    from mefuse.group.run import find_brackets, unreadable
    from mefuse.plan import dump_plan

    plan = find_brackets(named, settings=settings)
    if output is not None:
        _write(output, dump_plan(plan, readable=True))
    if as_json:
        click.echo(dump_plan(plan))
    elif not quiet:
        print_plan(plan)
    failed = unreadable(plan)
    for left in failed:
        click.echo(f"Warning: {_shown(left.path)}: {left.reason}; left out", err=True)
    return EXIT_PARTLY_FAILED if failed else 0
