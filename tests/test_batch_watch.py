"""Watching a folder: brackets are given once, complete and copied to the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batch_helpers import write_bracket
from mefuse.batch import watch as watching
from mefuse.batch.jobs import Naming, Shard
from mefuse.batch.names import Template
from mefuse.batch.watch import Watch, WatchSettings
from mefuse.settings import GroupSettings


class Clock:
    """A time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watching, "time", clock)
    return clock


class Inbox:
    """A folder that is watched, and what was given and said."""

    def __init__(self, folder: Path, clock: Clock, **settings: Any) -> None:
        self.folder, self._clock = folder / "inbox", clock
        self.folder.mkdir()
        self.notices: list[str] = []
        self.watch = Watch(
            [self.folder],
            Naming(folder / "out", Template("{first}"), "png"),
            group=GroupSettings(size=3),
            settings=WatchSettings(settle_s=3, quiet_s=20, **settings),
            shard=Shard(),
            on_notice=self.notices.append,
        )

    def given_after(self, seconds: float) -> list[str]:
        """Names of the jobs that are given when so much time has passed."""
        self.watch.next_job() if seconds else None
        self._clock.now_s += seconds
        names = []
        while (job := self.watch.next_job()) is not None:
            names.append(job.name)
        return names


@pytest.fixture
def inbox(tmp_path: Path, clock: Clock) -> Inbox:
    return Inbox(tmp_path, clock)


def test_the_last_bracket_waits_until_it_is_quiet(inbox: Inbox) -> None:
    write_bracket(inbox.folder, 0)
    assert inbox.given_after(1) == []
    assert inbox.given_after(3) == []
    assert inbox.given_after(20) == ["IMG_00_0.png"]
    assert inbox.given_after(100) == []
    assert not inbox.watch.is_over


def test_a_bracket_is_complete_when_the_next_one_follows(inbox: Inbox) -> None:
    write_bracket(inbox.folder, 0)
    assert inbox.given_after(4) == []
    write_bracket(inbox.folder, 1)
    assert inbox.given_after(1) == []
    assert inbox.given_after(4) == ["IMG_00_0.png"]
    assert inbox.given_after(20) == ["IMG_01_0.png"]


def test_a_file_that_still_grows_holds_its_bracket_back(inbox: Inbox) -> None:
    paths = write_bracket(inbox.folder, 0)
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:1000])
    write_bracket(inbox.folder, 1)
    for size in range(2000, len(whole), 2000):
        assert inbox.given_after(2) == []
        paths[1].write_bytes(whole[:size])
    paths[1].write_bytes(whole)
    assert inbox.given_after(1) == []
    assert inbox.given_after(4) == ["IMG_00_0.png"]
    assert inbox.notices == []


def test_a_file_that_stays_cut_short_is_named(inbox: Inbox) -> None:
    paths = write_bracket(inbox.folder, 0)
    paths[2].write_bytes(paths[2].read_bytes()[:-500])
    assert inbox.given_after(5) == []
    assert inbox.notices == [f"{paths[2]}: is cut short; copy it again"]
    inbox.given_after(5)
    assert len(inbox.notices) == 1
    write_bracket(inbox.folder, 0)  # copied again
    inbox.given_after(5)
    assert inbox.given_after(25) == ["IMG_00_0.png"]


def test_it_ends_when_nothing_comes_and_not_before_all_is_given(
    tmp_path: Path, clock: Clock
) -> None:
    inbox = Inbox(tmp_path, clock, idle_s=10)
    write_bracket(inbox.folder, 0)
    assert inbox.given_after(1) == []
    assert not inbox.watch.is_over
    clock.now_s += 30
    assert not inbox.watch.is_over  # it has not looked yet
    assert inbox.given_after(0) == ["IMG_00_0.png"]
    assert inbox.watch.is_over
