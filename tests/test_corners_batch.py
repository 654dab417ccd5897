"""Corners of a batch that seldom come: files that go, folders that refuse, runs that race."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from batch_helpers import job_of, record_of, write_bracket
from mefuse.batch import claims, gather, locks
from mefuse.batch.claims import CLAIMS, Claims
from mefuse.batch.engine import JobList
from mefuse.batch.jobs import Naming, Shard
from mefuse.batch.manifest import MANIFEST, Manifest
from mefuse.batch.names import Template
from mefuse.batch.resume import Conditions, decide, picture_settings
from mefuse.batch.watch import Watch, WatchSettings
from mefuse.batch.work import failure_of
from mefuse.errors import InputError, WriteError
from mefuse.settings import FuseSettings, GroupSettings, RawSettings
from test_batch_run import FakeEngine, run
from test_batch_watch import Clock, Inbox, clock  # noqa: F401  a fixture


def test_a_file_of_claims_that_goes_while_it_is_opened_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that left last removes it just then; or another is there already."""
    real, stages = locks.lock, iter(("gone", "another", "calm"))

    def lock(descriptor: int, at: int, **how: Any) -> bool | None:
        stage = next(stages, "calm")
        if stage != "calm":
            (tmp_path / CLAIMS).unlink()
        if stage == "another":
            (tmp_path / CLAIMS).touch()
        return real(descriptor, at, **how)

    monkeypatch.setattr(claims.locks, "lock", lock)
    mine = Claims(tmp_path)
    assert os.path.samestat(os.fstat(mine._descriptor), (tmp_path / CLAIMS).stat())
    assert mine.take("a.png")
    mine.close()


def test_a_journal_on_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Claims(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(claims, "append", full)
    with pytest.raises(WriteError, match=r"no space left on device.*; make room"):
        mine.note(record_of("a.png"))
    mine.close()


def test_an_error_of_locks_that_is_none_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("fcntl.lockf", broken)
    with pytest.raises(OSError, match="Input/output"):
        locks.lock(0, 1)


def test_a_folder_without_locks_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims.locks, "lock", lambda *_, **__: None)
    said: list[str] = []
    summary = run(tmp_path, FakeEngine(), "a.png", on_notice=said.append)
    assert summary.count("fused") == 1
    assert said == [f"{tmp_path / 'out'}: its file system has no locks; run one batch at a time"]


def test_a_folder_that_cannot_be_made_fails_its_bracket_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "taken").write_bytes(b"a file")
    summary = run(tmp_path, FakeEngine(), "taken/a.png", "b.png")
    ends = {outcome.job.name: outcome for outcome in summary.outcomes}
    assert ends["b.png"].kind == "fused"
    assert ends["taken/a.png"].kind == "failed"
    assert "taken" in ends["taken/a.png"].message


def test_a_manifest_that_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(InputError, match=r"cannot be read \(is a directory\); check it"):
        Manifest(tmp_path)


def test_own_profiles_are_settings_by_their_hash() -> None:
    one, other = (
        picture_settings(FuseSettings(raw=RawSettings(profile=profile))) for profile in (b"a", b"b")
    )
    assert one["raw"]["profile"] != other["raw"]["profile"]
    assert len(one["raw"]["profile"]) == 64


def test_a_picture_that_goes_while_it_is_looked_at_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, "a.png")
    monkeypatch.setattr(Path, "exists", lambda _: True)
    decision = decide(
        job, Conditions({}, None), record=record_of("a.png"), noted=None, overwrite=False
    )
    assert decision.action == "refuse"
    assert "was changed since it was fused" in decision.reason


def test_an_error_of_no_kind_of_ours_is_told_as_such() -> None:
    failure = failure_of(ZeroDivisionError(), started_ns=1)
    assert failure.message == "unexpected ZeroDivisionError: no message; please report it"


def test_nothing_but_own_pictures_is_told(tmp_path: Path) -> None:
    own = write_bracket(tmp_path, 0)
    with pytest.raises(InputError, match="holds nothing but pictures that mefuse made"):
        gather.find_frames([tmp_path], tmp_path, recursive=False, own=set(own))


def test_a_list_of_jobs_knows_its_length(tmp_path: Path) -> None:
    jobs = JobList([job_of(tmp_path, "a.png")])
    assert len(jobs) == 1
    assert jobs.next_job() is not None
    assert jobs.is_over


class TestWatch:
    """Files that come and go under its eyes."""

    @pytest.fixture
    def inbox(self, tmp_path: Path, clock: Clock) -> Inbox:  # noqa: F811
        return Inbox(tmp_path, clock)

    def test_a_file_that_goes_is_forgotten(self, inbox: Inbox) -> None:
        paths = write_bracket(inbox.folder, 0)
        assert inbox.given_after(1) == []
        for path in paths:
            path.unlink()
        assert inbox.given_after(30) == []
        write_bracket(inbox.folder, 1)
        inbox.given_after(4)
        assert inbox.given_after(30) == ["IMG_01_0.png"]

    def test_a_file_that_cannot_be_read_is_named_once(
        self, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (bad, *_) = write_bracket(inbox.folder, 0)
        real = Path.read_bytes

        def reading(self: Path) -> bytes:
            if self == bad:
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(self)

        monkeypatch.setattr(Path, "read_bytes", reading)
        inbox.given_after(5)
        inbox.given_after(5)
        assert inbox.notices == [f"{bad}: is cut short; copy it again"]

    def test_an_empty_folder_is_waited_for(self, inbox: Inbox) -> None:
        assert inbox.given_after(1) == []
        assert inbox.given_after(30) == []
        assert inbox.notices == []

    def test_a_frame_that_comes_too_late_is_named(self, inbox: Inbox) -> None:
        paths = write_bracket(inbox.folder, 0)
        late = paths[0].read_bytes()
        paths[0].rename(inbox.folder / "IMG_00_9.jpg")
        inbox.given_after(4)
        assert len(inbox.given_after(30)) == 1
        paths[0].write_bytes(late)
        (inbox.folder / "IMG_00_9.jpg").unlink()
        inbox.given_after(4)
        inbox.given_after(30)
        assert inbox.notices == [f"{paths[0]}: came after its bracket was fused; fuse it by hand"]

    def test_a_part_gives_its_own_brackets_alone(
        self,
        tmp_path: Path,
        clock: Clock,  # noqa: F811
    ) -> None:
        folder = tmp_path / "inbox"
        given: list[str] = []
        for index in (1, 2):
            for number in range(4):
                write_bracket(folder, number)
            watch = Watch(
                [folder],
                Naming(tmp_path / "out", Template("{first}"), "png"),
                group=GroupSettings(size=3),
                settings=WatchSettings(settle_s=3, quiet_s=20),
                shard=Shard(index, 2),
                on_notice=lambda _: None,
            )
            for seconds in (1, 5, 30):
                while (job := watch.next_job()) is not None:
                    given.append(job.name)
                clock.now_s += seconds
            while (job := watch.next_job()) is not None:
                given.append(job.name)
        assert sorted(given) == [f"IMG_0{number}_0.png" for number in range(4)]
