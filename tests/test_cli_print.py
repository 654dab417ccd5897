"""What a terminal is told: batches, single brackets, plans, reports of scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest import capture
from click.testing import CliRunner

from batch_helpers import job_of, record_of, write_bracket
from mefuse.batch.outcome import Outcome, Summary
from mefuse.cli import main
from mefuse.cli.batch_print import BatchReporter
from mefuse.cli.group_print import print_plan
from mefuse.cli.report import Reporter
from mefuse.plan import LeftOut, Plan, PlannedBracket
from mefuse.report import FuseReport
from mefuse.slices import Rect

REPORT = FuseReport(
    "a.png", "sRGB", "fake", "cpu", (60, 80), "1.jpg", (), Rect(0, 0, 1, 1), {"total": 2.0}, None,
    0, ("look at it",),
)  # fmt: skip


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is captured says that it is a terminal."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(capture.CaptureIO, "isatty", lambda _: True)


def outcome(name: str, kind: Any, message: str = "", seconds: float | None = None) -> Outcome:
    more = {"warnings": ["moved"], "size": {"width": 8, "height": 6}, "frames": [1, 2],
            "seconds": {"total": 1.5}}  # fmt: skip
    record = record_of(name, outcome="fused", **more) if kind == "fused" else None
    return Outcome(job_of(Path("out"), name), kind, message, record, seconds)


def batch_of(**given: Any) -> Any:
    left = tuple(LeftOut(Path(f"{i}.jpg"), "alone") for i in range(2))
    values: dict[str, Any] = {
        "unread": [LeftOut(Path("bad.jpg"), "is empty")],
        "linked": 0.5,
        "plan": Plan((), left),
        "request": SimpleNamespace(watch=None),
        "jobs": [1, 2],
    }
    return SimpleNamespace(**{**values, **given})


def said_by_batch(
    capsys: pytest.CaptureFixture[str], *, verbosity: int = 0, quiet: bool = False, **given: Any
) -> str:
    reporter = BatchReporter(quiet=quiet, verbosity=verbosity, as_json=False)
    summary = Summary()
    with reporter:
        reporter.measured(1, 2)
        reporter.measured(2, 2)
    with reporter:
        reporter.start(batch_of(**given))
        for one in (
            outcome("a.png", "fused", seconds=1.5),
            outcome("b.png", "skipped", "done before"),
            outcome("c.png", "failed", "c.jpg: is damaged; copy it again"),
        ):
            summary.outcomes.append(replace(one, record=None))
            reporter.add(one)
        reporter.notice("take care")
    summary.dropped, summary.untried, summary.seconds = 1, 2, 9.0
    reporter.summarise(summary)
    return capsys.readouterr().err


def test_a_batch_on_a_terminal(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by_batch(capsys)
    for part in ("bad.jpg: is empty, left out", "50% of the brackets show nothing",
                 "2 files are in no bracket; -v names them", "Warning: a.png: moved",
                 "Error: c.jpg: is damaged", "Warning: take care",
                 "1 fused, 1 skipped, 1 failed, 1 dropped, 2 not tried in 9.0 s"):  # fmt: skip
        assert part in said, part
    assert "Left out: 1.jpg: alone" not in said


def test_a_batch_with_more_words(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by_batch(capsys, verbosity=1, linked=None)
    for part in ("Left out: 1.jpg: alone", "a.png: 8x6 from 2 frames, 1.5 s",
                 "b.png: skipped, done before"):  # fmt: skip
        assert part in said, part
    assert "show nothing" not in said


def test_a_quiet_batch_says_errors_only(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by_batch(capsys, quiet=True)
    lines = ["Error: bad.jpg: is empty, left out", "Error: c.jpg: is damaged; copy it again"]
    assert said.splitlines() == lines


def test_a_batch_that_watches_knows_no_total(
    terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    request = SimpleNamespace(watch=object())
    assert "1 fused" in said_by_batch(capsys, request=request, plan=Plan(()), unread=[])


def test_a_long_table_hides_what_went_well(
    terminal: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mefuse.cli.batch_print._MOST_ROWS", 2)
    summary = Summary()
    kinds = ("fused", "failed", "fused", "fused")
    for number, kind in enumerate(kinds):
        one = outcome(f"{number}.png", kind, "it broke")
        summary.outcomes.append(replace(one, record=None))
    BatchReporter(quiet=False, verbosity=0, as_json=False).summarise(summary)
    said = capsys.readouterr().err
    assert "and 1 more that went well" in said
    assert "0.png" not in said
    assert "it broke" in said


def test_a_bracket_on_a_terminal(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(quiet=False, verbosity=0) as reporter:
        reporter.progress("read", 1, 3)
    reporter.summarise(REPORT)
    said = capsys.readouterr().err
    assert "Warning: look at it" in said
    assert "a.png: 80x60 from 0 frames, 2.0 s" in said
    with Reporter(quiet=True, verbosity=0) as reporter:
        reporter.progress("read", 1, 3)
    reporter.summarise(REPORT)
    assert capsys.readouterr().err == ""


def test_plans_on_a_terminal(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    frames = tuple(Path(f"card/{i}.jpg") for i in range(5))
    left = tuple(LeftOut(Path(f"card/left{i}.jpg"), "stands alone") for i in range(6))
    print_plan(Plan((PlannedBracket(frames, reason="exposures"),), left), with_reasons=False)
    short = capsys.readouterr().out
    assert "0.jpg ... 4.jpg" in short
    assert "and 3 more (-v names them)" in short
    print_plan(Plan((PlannedBracket(frames, reason="exposures"),), left), with_reasons=True)
    long = capsys.readouterr().out
    assert "2.jpg" in long
    assert "left5.jpg" in long
    print_plan(Plan((), left[:1]), with_reasons=False)
    assert "Brackets" not in capsys.readouterr().out
    print_plan(Plan((PlannedBracket(frames[:2]),)), with_reasons=False)
    assert "Left out" not in capsys.readouterr().out


def test_a_missing_library_of_the_system_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("libGL.so.1: cannot open shared object file: No such file")

    monkeypatch.setattr("mefuse.plan.load_plan", missing)
    done = CliRunner().invoke(main, ["batch", "--plan", "a.json", "-o", "out"])
    assert done.exit_code == 1
    assert "the system's library libGL.so.1 is missing, which OpenCV needs" in done.stderr


def test_previews_are_quiet_when_asked(tmp_path: Path) -> None:
    frames = [str(path) for path in write_bracket(tmp_path, 1)]
    loud = tmp_path / "loud.png"
    for options, said in ((("-q",), False), (("-v",), True)):
        command = ["preview", *frames, "-o", str(loud), "--model", "mertens", "--overwrite"]
        done = CliRunner().invoke(main, [*command, *options])
        assert done.exit_code == 0, done.output
        assert bool(done.stderr) is said


def test_info_names_weights_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from mefuse import weights

    def damaged(name: str) -> None:
        raise weights.WeightsError(f"{name}: cannot be read; install mefuse anew")

    monkeypatch.setattr(weights, "describe", damaged)
    done = CliRunner().invoke(main, ["info"])
    assert done.exit_code == 0
    assert "ipl: cannot be read; install mefuse anew" in done.stdout


def test_a_bench_prints_lines_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mefuse.bench import speed

    record = {
        "size": "4k", "frames": 3, "width": 8, "height": 6, "memory_bytes": 2**31,
        "seconds": {},
    }  # fmt: skip
    monkeypatch.setattr(speed, "measure", lambda *_, **__: record)
    monkeypatch.setattr(speed, "make_cases", lambda *_, **__: [None])
    monkeypatch.setattr("mefuse.cli.bench._case_line", lambda found: f"{found['size']}: a line")
    done = CliRunner().invoke(main, ["bench", "--size", "4k", "--size", "160x96"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "4k: a line"
    assert "read" in done.stdout.splitlines()[-2]
