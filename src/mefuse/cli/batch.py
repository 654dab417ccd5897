"""`mefuse batch`: parses, finds the jobs, runs them, prints what came of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mefuse.batch.names import DEFAULT_TEMPLATE
from mefuse.cli import EXIT_FAILED, EXIT_PARTLY_FAILED
from mefuse.cli.arguments import listed_paths
from mefuse.cli.options import (
    fuse_settings,
    fusing_options,
    group_settings,
    grouping_options,
    loudness_options,
    overwrite_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mefuse.batch.engine import Engine
    from mefuse.batch.outcome import Summary
    from mefuse.batch.prepare import Batch


class Part(click.ParamType[Any]):
    """i/n, passed as (i, n)."""

    name = "i/n"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """The part and how many there are, 1 <= i <= n."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", value, flags=re.ASCII)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            self.fail(f"{value!r} is not of the form 2/8, from 1/8 to 8/8", param, ctx)
        return int(match[1]), int(match[2])


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=str))
@click.option(
    "-o", "--output", "folder", required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the pictures and the manifest; made where it is missing.",
)  # fmt: skip
@click.option(
    "--plan", "plan_file", metavar="FILE|-",
    type=click.Path(allow_dash=True, dir_okay=False, path_type=str),
    help="Brackets as `mefuse group --json` prints them, instead of PATHS; - for standard input.",
)  # fmt: skip
@grouping_options
@click.option(
    "--name", "template", default=DEFAULT_TEMPLATE, show_default=True, metavar="TEMPLATE",
    help="Name of a picture; fields {first} {last} {stem} {index} {count} {date} {model} {ext}, "
    "and / between folders.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what would be fused, and fuse nothing.")
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), metavar="N",
    help="Brackets at work at once: read, fused or written.  [default: by the cores, at least 3]",
)  # fmt: skip
@click.option(
    "--memory", type=click.IntRange(1), metavar="MIB",
    help="MiB of frames and fused pictures held at once.  [default: a fourth of the machine's]",
)  # fmt: skip
@click.option("--fail-fast", is_flag=True, help="Begin no further bracket after one that failed.")
@click.option(
    "--series", is_flag=True,
    help="Have the pictures match: of a panorama, a time-lapse, one house. Measured first.",
)  # fmt: skip
@click.option("--watch", is_flag=True, help="Wait for further brackets, until Ctrl-C.")
@click.option(
    "--idle", type=click.FloatRange(0, min_open=True), metavar="S",
    help="With --watch: end when nothing new has come for so many seconds.",
)  # fmt: skip
@click.option("--shard", type=Part(), help="Fuse only the i-th of n parts: for job arrays.")
@click.option(
    "--cluster", metavar="URL",
    help="Have the workers of this Dask scheduler fuse, for example tcp://scheduler:8786.",
)  # fmt: skip
@click.option(
    "--reference", type=click.IntRange(1), metavar="N",
    help="Align to the N-th frame of each bracket.  [default: the plan's, or the middle exposure]",
)  # fmt: skip
@fusing_options
@click.option("--null", is_flag=True, help="The list on standard input ends each path with NUL.")
@overwrite_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per bracket.")
@loudness_options
def batch(
    paths: tuple[str, ...],
    *,
    folder: Path,
    plan_file: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    **options: Any,
) -> None:
    """Find the brackets in PATHS, files and folders, and fuse each into a picture in a folder.

    What is done with the same frames and options is skipped, so the same command goes on where it
    was interrupted. A single - among PATHS stands for a list of paths on standard input.

    \b
    Examples:
      mefuse batch card/DCIM -o fused --recursive
      mefuse batch card -o fused --name '{date}/{first}.{ext}' --format jpeg
      mefuse group card --json | mefuse batch --plan - -o fused
      mefuse batch inbox -o fused --watch
      mefuse batch panorama -o fused --series
    """
    _check(paths, plan_file, {**options, "dry_run": dry_run})
    from mefuse.batch.run import Hooks
    from mefuse.cli.batch_print import BatchReporter, print_dry_run
    from mefuse.cli.signals import stopping

    with stopping() as stop:
        reporter = BatchReporter(quiet=quiet, verbosity=verbose, as_json=as_json)
        with reporter:
            prepared = _prepared(paths, folder, plan_file, options, reporter.measured)
        if dry_run:
            print_dry_run(prepared, as_json=as_json)
            return
        with reporter:
            reporter.start(prepared)
            engine = _engine(options, prepared, reporter.notice)
            with stop.deferred():
                hooks = Hooks(reporter.add, reporter.notice, stop.asked)
                summary = prepared.run(engine, hooks)
        reporter.summarise(summary)
    if summary.is_interrupted:
        raise click.Abort
    click.get_current_context().exit(_exit_code(summary, is_partial=bool(prepared.unread)))


def _check(paths: tuple[str, ...], plan_file: str | None, options: dict[str, Any]) -> None:
    """Refuses options that contradict each other."""
    if bool(paths) == (plan_file is not None):
        raise click.UsageError("Give either PATHS or --plan.")
    if plan_file is not None and options["watch"]:
        raise click.UsageError("--watch needs PATHS to watch; a plan does not grow.")
    if options["watch"] and options["dry_run"]:
        raise click.UsageError("--dry-run tells what is there now; leave --watch out.")
    if options["watch"] and options["series"]:
        raise click.UsageError(
            "--series measures all brackets before it fuses one; "
            "leave --watch out, and run it when all have come."
        )
    if options["idle"] is not None and not options["watch"]:
        raise click.UsageError("--idle needs --watch.")
    if options["cluster"] and (options["jobs"] or options["memory"]) and not options["series"]:
        raise click.UsageError("--jobs and --memory are of this machine; --cluster has its own.")
    given = [
        f"--{name.replace('_', '-')}"
        for name in ("recursive", "by_folder", "size", "gap", "null")
        if options[name] not in (None, False)
    ]
    if plan_file is not None and given:
        raise click.UsageError(f"{given[0]} is for PATHS; a plan has its brackets already.")


def _exit_code(summary: Summary, *, is_partial: bool) -> int:
    """0 all done, 1 nothing done, 3 a part failed or could not be read."""
    if not summary.count("failed") and not is_partial:
        return 0
    done = summary.count("fused") + summary.count("skipped")
    return EXIT_PARTLY_FAILED if done else EXIT_FAILED


def _prepared(
    paths: tuple[str, ...],
    folder: Path,
    plan_file: str | None,
    options: dict[str, Any],
    on_measured: Callable[[int, int], None],
) -> Batch:
    """The batch that the options ask for, checked."""
    from mefuse.batch.jobs import Shard
    from mefuse.batch.prepare import BatchRequest, prepare
    from mefuse.batch.series import Measuring
    from mefuse.batch.watch import WatchSettings
    from mefuse.plan import load_plan

    plan = None
    if plan_file is not None:
        plan = load_plan(sys.stdin.buffer if plan_file == "-" else Path(plan_file))
    listed = listed_paths(paths, null=options["null"], name="PATHS") if paths else []
    reference = options["reference"]
    return prepare(
        BatchRequest(
            folder=folder,
            paths=tuple(Path(path) for path in listed),
            plan=plan,
            fuse=fuse_settings(options, reference=None if reference is None else reference - 1),
            group=group_settings(options),
            template=options["template"],
            shard=Shard(*(options["shard"] or (1, 1))),
            fail_fast=options["fail_fast"],
            watch=WatchSettings(idle_s=options["idle"]) if options["watch"] else None,
            series=Measuring(options["jobs"], _limit_bytes(options), on_measured)
            if options["series"]
            else None,
        )
    )


def _engine(options: dict[str, Any], batch: Batch, notice: Callable[[str], None]) -> Engine:
    """Who works: threads here, or a cluster."""
    if options["cluster"] is not None:
        from mefuse.cluster import ClusterEngine

        return ClusterEngine(
            options["cluster"], batch.request.fuse, batch.conditions, on_notice=notice
        )
    from mefuse.batch.local import LocalEngine
    from mefuse.memory import keep_freed

    keep_freed()
    return LocalEngine(batch.request.fuse, jobs=options["jobs"], limit_bytes=_limit_bytes(options))


def _limit_bytes(options: dict[str, Any]) -> int | None:
    """Bytes of frames and fused pictures to hold at once; None: chosen."""
    memory: int | None = options["memory"]
    return None if memory is None else memory << 20
