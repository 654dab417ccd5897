"""Clocks that step: what is done stays done, what changed is seen, nothing waits for ever."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batch_helpers import write_bracket
from mefuse.batch.manifest import read_manifest
from mefuse.cli import main

NOW_NS = 1_790_000_000 * 10**9
HOUR_NS = 3600 * 10**9
FAR_S = 4_102_444_800  # the year 2100


@pytest.fixture
def card(tmp_path: Path) -> Path:
    for number in range(2):
        write_bracket(tmp_path / "card", number)
    return tmp_path / "card"


def batch(card: Path, *options: str) -> Result:
    out = str(card.parent / "out")
    command = ["batch", str(card), "-o", out, "--size", "3", "--model", "mertens", "--json"]
    return CliRunner().invoke(main, [*command, *options])


def ends(done: Result) -> list[str]:
    return [line.split('"outcome": "')[1].split('"')[0] for line in done.stdout.splitlines()]


def set_clock(monkeypatch: pytest.MonkeyPatch, start_ns: int, step_ns: int) -> None:
    """A clock that moves by a step whenever somebody looks at it."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "time_ns", lambda: start_ns + step_ns * next(ticks))


CLOCKS = {
    "going back": (NOW_NS, -HOUR_NS),
    "running ahead": (NOW_NS, 1000 * HOUR_NS),
    "reset to 1970": (10**9, 1),
    "in 2100": (FAR_S * 10**9, 1),
}


@pytest.mark.parametrize("first", CLOCKS)
@pytest.mark.parametrize("second", ["going back", "in 2100"])
def test_a_batch_resumes_whatever_the_clock_did(
    card: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    set_clock(monkeypatch, *CLOCKS[first])
    assert ends(batch(card)) == ["fused", "fused"]
    set_clock(monkeypatch, *CLOCKS[second])
    assert ends(batch(card)) == ["skipped", "skipped"]
    assert len(read_manifest(card.parent / "out")) == 2
    assert CliRunner().invoke(main, ["report", str(card.parent / "out")]).exit_code == 0


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("stamp_s", [FAR_S, 1, None])
def test_a_frame_that_was_changed_is_seen_whatever_its_time(
    card: Path, monkeypatch: pytest.MonkeyPatch, clock: str, stamp_s: int | None
) -> None:
    """Other bytes of one size, under a time in the future, long ago, or the very same."""
    frame = card / "IMG_00_1.jpg"
    before = frame.stat()
    if stamp_s is None:  # a clock that went back while it was written: ahead of every record
        os.utime(frame, (FAR_S + 9, FAR_S + 9))
        before = frame.stat()
    set_clock(monkeypatch, *CLOCKS[clock])
    assert ends(batch(card)) == ["fused", "fused"]
    data = bytearray(frame.read_bytes())
    data[-40] ^= 1
    frame.write_bytes(data)
    stamps = before.st_mtime_ns if stamp_s is None else stamp_s * 10**9
    os.utime(frame, ns=(stamps, stamps))
    done = batch(card)
    assert sorted(ends(done)) == ["failed", "skipped"], done.output
    assert "was fused with other frames" in done.stdout
    assert sorted(ends(batch(card, "--overwrite"))) == ["fused", "skipped"]


def test_frames_from_the_future_are_fused_and_done(card: Path) -> None:
    for frame in card.iterdir():
        os.utime(frame, (FAR_S, FAR_S))
    assert ends(batch(card)) == ["fused", "fused"]
    assert ends(batch(card)) == ["skipped", "skipped"]


def test_watching_does_not_look_at_the_clock(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames from the future, and a clock that goes back an hour at every look."""
    for frame in card.iterdir():
        os.utime(frame, (FAR_S, FAR_S))
    set_clock(monkeypatch, *CLOCKS["going back"])
    ticks = itertools.count()
    monkeypatch.setattr(time, "time", lambda: FAR_S - 3600.0 * next(ticks))
    done = batch(card, "--watch", "--idle", "4")
    assert done.exit_code == 0
    assert ends(done) == ["fused", "fused"]
