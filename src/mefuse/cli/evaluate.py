"""`mefuse evaluate`: parses, has brackets measured, prints the scores as table, JSON or CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mefuse.cli import EXIT_FAILED, EXIT_PARTLY_FAILED, one_line
from mefuse.cli.options import DEFAULTS, json_option, loudness_options, overwrite_option
from mefuse.errors import InputError
from mefuse.evaluate import AVERAGE
from mefuse.models import MODELS

if TYPE_CHECKING:
    from mefuse.evaluate.cases import Case
    from mefuse.evaluate.methods import Method
    from mefuse.evaluate.run import CaseFailure, CaseReport

FUSED = "fused"  # what the one picture of the command line is called in tables
_FILE = click.Path(path_type=Path)


class NamedFolder(click.ParamType[Any]):
    """NAME=DIR, passed as (name, folder)."""

    name = "NAME=DIR"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """The name and the folder."""
        if isinstance(value, tuple):
            return value
        name, equals, folder = value.partition("=")
        if not name or not equals or not folder:
            self.fail(f"{value!r} is not of the form NAME=DIR", param, ctx)
        return name, Path(folder)


@click.command()
@click.argument("pictures", metavar="[FUSED FRAMES...]", nargs=-1, type=_FILE)
@click.option(
    "--brackets",
    "roots",
    multiple=True,
    type=_FILE,
    metavar="DIR|MANIFEST",
    help="Measure many brackets: every folder in DIR with two or more pictures, or those of a "
    "manifest. May be repeated.",
)
@click.option(
    "--with",
    "built_in",
    multiple=True,
    type=click.Choice([*MODELS, AVERAGE]),
    help="A method of mefuse to measure beside. May be repeated.  [default: all, with --brackets "
    "and no --method]",
)
@click.option(
    "--method",
    "folders",
    multiple=True,
    type=NamedFolder(),
    metavar="NAME=DIR",
    help="A folder of fused pictures called as their brackets. May be repeated.",
)
@click.option("--report", type=_FILE, help="What `mefuse fuse --json` printed of FUSED.")
@click.option("--truth", type=_FILE, help="What FUSED would be had nothing moved.")
@click.option("--mask", type=_FILE, help="White where something moved; needs --truth.")
@click.option(
    "--limit-px",
    type=click.IntRange(min=64),
    metavar="PX",
    help="Reduce frames whose longest side is larger.  [default: full resolution]",
)
@click.option(
    "--weights", type=_FILE, help="Another weights file for the network than the one shipped."
)
@click.option(
    "--device",
    default=DEFAULTS.device,
    show_default=True,
    metavar="auto|cpu|cuda[:N]",
    help="Where networks run.",
)
@json_option
@click.option(
    "--csv",
    "csv_target",
    metavar="FILE|-",
    help="Write a row per bracket and method; - for standard output.",
)
@overwrite_option
@loudness_options
def evaluate(
    pictures: tuple[Path, ...],
    *,
    as_json: bool,
    csv_target: str | None,
    overwrite: bool,
    quiet: bool,
    verbose: int,
    **given: Any,
) -> None:
    """Measure how good fused pictures are, one or many, several methods side by side.

    Higher is better but for ghosts. README says what each measure means, and how to read it.

    \b
    Examples:
      mefuse evaluate fused.png a.jpg b.jpg c.jpg
      mefuse evaluate fused.png --report fused.json --with mertens
      mefuse evaluate --brackets holiday
      mefuse evaluate --brackets synth/manifest.json --with ipl --with mertens --csv scores.csv
    """
    _check(pictures, as_json=as_json, csv_target=csv_target, **given)
    from mefuse.cli.evaluate_print import print_scores
    from mefuse.cli.report import Reporter
    from mefuse.landing import check_target

    if csv_target is not None and csv_target != "-":
        check_target(Path(csv_target), overwrite)
    cases = _cases(pictures, given)
    methods = _methods(pictures, given)
    with Reporter(quiet=quiet, verbosity=verbose) as reporter:
        outcomes = _measured(cases, methods, limit_px=given["limit_px"], reporter=reporter)
    reports, failures = _sorted_out(outcomes, quiet=quiet)
    if reports:
        print_scores(
            reports,
            failures,
            limit_px=given["limit_px"],
            as_json=as_json,
            csv_target=csv_target,
            overwrite=overwrite,
            each=bool(verbose),
        )
    if failures:
        click.get_current_context().exit(EXIT_PARTLY_FAILED if reports else EXIT_FAILED)


def _check(
    pictures: Sequence[Path], *, as_json: bool, csv_target: str | None, **given: Any
) -> None:
    """Refuses options that contradict each other."""
    if as_json and csv_target == "-":
        raise click.UsageError("--json and --csv - would both write to standard output.")
    single = [f"--{name}" for name in ("report", "truth", "mask") if given[name]]
    if given["roots"]:
        if pictures or single:
            what = single[0] if single else "FUSED and FRAMES"
            raise click.UsageError(f"--brackets finds its own pictures; leave {what} out.")
        return
    if given["folders"]:
        raise click.UsageError("--method needs --brackets: its pictures are found by their names.")
    if not pictures:
        raise click.UsageError("Give FUSED and its FRAMES, or --brackets.")
    if len(pictures) == 1 and not given["report"]:
        raise click.UsageError("Give the FRAMES too, or the --report of the fusion.")
    if given["mask"] and not given["truth"]:
        raise click.UsageError("--mask needs --truth.")


def _cases(pictures: Sequence[Path], given: dict[str, Any]) -> list[Case]:
    """The brackets to measure, by names that differ."""
    from mefuse.evaluate.cases import find_cases

    if not given["roots"]:
        return [_single_case(pictures, given)]
    cases = [case for root in given["roots"] for case in find_cases(root)]
    names = [case.name for case in cases]
    for case in cases:
        if names.count(case.name) > 1:
            raise InputError(
                f"{case.frames[0]}: its bracket {case.name} has the name of another; "
                "measure them one by one"
            )
    return cases


def _single_case(pictures: Sequence[Path], given: dict[str, Any]) -> Case:
    """The bracket of the command line's frames."""
    from dataclasses import replace

    from mefuse.evaluate.cases import Case, case_of_report

    fused, *frames = pictures
    if given["report"]:
        case = case_of_report(given["report"], frames, name=str(fused))
    else:
        case = Case(str(fused), tuple(frames))
    return replace(case, truth=given["truth"], mask=given["mask"])


def _methods(pictures: Sequence[Path], given: dict[str, Any]) -> list[Method]:
    """What to measure, each under its own name."""
    from mefuse.evaluate.methods import BUILT_IN, FolderMethod, PictureMethod, load_method

    methods: list[Method] = [PictureMethod(FUSED, path) for path in pictures[:1]]
    names = dict.fromkeys(given["built_in"])
    if given["roots"] and not given["built_in"] and not given["folders"]:
        names = dict.fromkeys(BUILT_IN)
    for name in names:
        methods.append(load_method(name, device=given["device"], weights=given["weights"]))
    for name, folder in given["folders"]:
        if not folder.is_dir():
            raise InputError(f"{folder}: is no folder of fused pictures; check its name")
        if name in [method.name for method in methods]:
            raise InputError(f"{name}: names two methods; give each its own name")
        methods.append(FolderMethod(name, folder))
    return methods


def _measured(
    cases: Sequence[Case], methods: Sequence[Method], *, limit_px: int | None, reporter: Any
) -> list[CaseReport | CaseFailure]:
    """Every bracket's outcome, with progress."""
    from mefuse.evaluate.run import evaluate_cases

    reporter.progress("measure", 0, len(cases))
    outcomes = []
    for outcome in evaluate_cases(cases, methods, limit_px=limit_px):
        outcomes.append(outcome)
        reporter.progress("measure", len(outcomes), len(cases))
    return outcomes


def _sorted_out(
    outcomes: Sequence[CaseReport | CaseFailure], *, quiet: bool
) -> tuple[list[CaseReport], list[CaseFailure]]:
    """What was measured and what was not; warnings and errors are said on standard error."""
    from mefuse.evaluate.run import CaseReport

    reports: list[CaseReport] = []
    failures: list[CaseFailure] = []
    for outcome in outcomes:
        if isinstance(outcome, CaseReport):
            reports.append(outcome)
            for warning in () if quiet else outcome.warnings:
                click.echo(one_line(f"Warning: {warning}"), err=True)
        else:
            failures.append(outcome)
            click.echo(f"Error: {outcome.error}", err=True)
    return reports, failures
