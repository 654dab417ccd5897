"""`mefuse bench`: parses, measures each bracket, prints a table or JSON."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from mefuse.cli.options import DEFAULTS, json_option
from mefuse.models import MODELS

_NAMED = ("1080p", "4k", "8k", "100mp")
_QUICK = ("1080p", "4k")


class BenchSize(click.ParamType[Any]):
    """A name, or WIDTHxHEIGHT in px; passed as written."""

    name = "|".join((*_NAMED, "WxH"))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name or size, checked."""
        text = str(value).lower()
        if text not in _NAMED and not re.fullmatch(r"[1-9]\d{1,5}x[1-9]\d{1,5}", text, re.ASCII):
            self.fail(
                f"{value!r} is neither one of {', '.join(_NAMED)} nor like 6000x4000", param, ctx
            )
        return text


@click.command()
@click.argument("frames", nargs=-1, type=click.Path(path_type=str))
@click.option(
    "--size",
    "sizes",
    type=BenchSize(),
    multiple=True,
    help="Of the brackets to make; may be given several times.  [default: the four names]",
)
@click.option(
    "--count",
    "counts",
    type=click.IntRange(2, 9),
    multiple=True,
    help="Frames of the brackets to make; may be given several times.  [default: 3]",
)
@click.option("--quick", is_flag=True, help="1080p and 4k alone, three repeats.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True,
              help="Runs that count.")  # fmt: skip
@click.option("--warm-up", type=click.IntRange(0), default=1, show_default=True,
              help="Runs before them.")  # fmt: skip
@click.option("--model", type=click.Choice(list(MODELS)), default=DEFAULTS.model,
              show_default=True, help="What fuses.")  # fmt: skip
@click.option("--device", default=DEFAULTS.device, show_default=True,
              metavar="auto|cpu|cuda[:N]", help="Where it runs.")  # fmt: skip
@click.option("--input", "input_format", type=click.Choice(["jpg", "tif"]), default="jpg",
              show_default=True, help="Format of the frames to make.")  # fmt: skip
@click.option("--output", "output_format", type=click.Choice(["png", "jpg", "tif"]),
              default="png", show_default=True, help="Format that is written.")  # fmt: skip
@click.option("--no-yardstick", is_flag=True, help="Leave plain OpenCV out.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path),
              help="Where the frames are made and kept.  [default: made and removed]")  # fmt: skip
@json_option
def bench(
    frames: tuple[str, ...],
    *,
    sizes: tuple[str, ...],
    counts: tuple[int, ...],
    quick: bool,
    repeats: int,
    as_json: bool,
    folder: Path | None,
    **options: Any,
) -> None:
    """Measure every step, the whole process and its memory, beside a plain OpenCV script.

    Brackets are made, or FRAMES are one. With --json one object a line: first the machine.

    \b
    Examples:
      mefuse bench --quick
      mefuse bench a.jpg b.jpg c.jpg
      mefuse bench --size 4k --count 2 --count 5 --count 9 --json > bench.jsonl
    """
    from mefuse.bench import speed

    settings = speed.BenchSettings(
        repeats=min(repeats, 3) if quick else repeats,
        warm_up=options["warm_up"],
        model=options["model"],
        device=options["device"],
        yardstick=not options["no_yardstick"],
        output_format=options["output_format"],
    )
    found = speed.machine()
    _print(found, as_json=as_json, line=_machine_line)
    if not as_json:
        click.echo(_HEAD)
    with _folder(folder) as place:
        named = [(s, _size(s)) for s in sizes or (_QUICK if quick else _NAMED)]
        made = speed.make_cases(place, named, counts or (3,), format=options["input_format"])
        for case in [speed.given_case(frames)] if frames else made:
            record = speed.measure(case, place, settings=settings)
            _print(record, as_json=as_json, line=_case_line)


def _size(text: str) -> tuple[int, int]:
    """(height, width) of a name or of WIDTHxHEIGHT."""
    from mefuse.bench.speed import SIZES

    if text in SIZES:
        return SIZES[text]
    width, height = text.split("x")
    return int(height), int(width)


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    """A folder for frames, kept where it was named."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="mefuse-bench-") as temporary:
            yield Path(temporary)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


_STEPS = ("read", "align", "fuse", "write")
_HEAD = (
    f"{'size':>12} frames {'read':>7}{'align':>7}{'fuse':>7}{'write':>7}{'warm':>7}"
    f"{'process':>9}{'MiB':>7}{'ms/MP':>7}   against OpenCV: fuse, process, memory"
)


def _print(record: dict[str, Any], *, as_json: bool, line: Any) -> None:
    """A record as JSON, or as a line for people."""
    if as_json:
        from mefuse.cli.report import print_json

        print_json(record)
    else:
        click.echo(line(record))


def _machine_line(found: dict[str, Any]) -> str:
    memory = (found["memory_bytes"] or 0) / 2**30
    return (
        f"mefuse {found['mefuse']} ({found['commit']}), {found['date'][:10]}, "
        f"{found['processor']}, {found['cores']} cores, {memory:.0f} GiB, load {found['load']}\n"
        "Seconds, medians: steps in a warm process, then the whole command"
    )


def _case_line(record: dict[str, Any]) -> str:
    """One bracket in a line."""
    warm = {step: value["median"] for step, value in record["warm"]["seconds"].items()}
    steps = "".join(f"{warm[step]:7.3f}" for step in _STEPS)
    process = record["process"]["process_s"]["median"]
    peak = (record["process"]["peak_memory_bytes"] or 0) / 2**20
    each = 1000 * warm["total"] / (record["height"] * record["width"] / 1e6)
    ratios = record["ratios"]
    told = (
        "   not run"
        if ratios is None
        else f"   {ratios['fuse']:.2f}, {ratios['process']:.2f}, {ratios['memory']:.2f}"
    )
    return (
        f"{record['size']:>12} {record['frames']:>6} {steps}{warm['total']:7.3f}"
        f"{process:9.3f}{peak:7.0f}{each:7.1f}{told}"
    )
