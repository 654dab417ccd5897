"""The run: what happens to a job whatever its engine answers, with an engine that fuses nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_helpers import job_of
from mefuse import landing
from mefuse.batch.claims import CLAIMS, Claims
from mefuse.batch.engine import JobList
from mefuse.batch.identity import identify
from mefuse.batch.jobs import Job
from mefuse.batch.manifest import MANIFEST, read_manifest
from mefuse.batch.outcome import Summary
from mefuse.batch.resume import Conditions
from mefuse.batch.run import BatchSettings, Hooks, run_batch
from mefuse.batch.work import Failure, Made, Task
from mefuse.errors import WriteError
from mefuse.report import FuseReport
from mefuse.settings import FuseSettings
from mefuse.slices import Rect

REPORT = FuseReport(
    "-",
    "sRGB",
    "fake",
    "cpu",
    (1, 1),
    "a",
    (),
    Rect(0, 0, 1, 1),
    {"total": 0.1},
    None,
    0,
    ("look",),
)


class FakeEngine:
    """Writes a file for each task, at once; `fails` says for which names it does not."""

    def __init__(self, fails: Callable[[str], bool] = lambda _: False, *, holds: int = 0) -> None:
        self._fails, self._holds = fails, holds
        self.submitted: list[str] = []
        self._done: list[tuple[str, Made | Failure]] = []
        self.closed = 0

    @property
    def has_room(self) -> bool:
        return self.busy < 2 + self._holds

    @property
    def busy(self) -> int:
        return len(self._done)

    def submit(self, name: str, task: Task) -> None:
        self.submitted.append(name)
        if self._fails(name):
            self._done.append((name, Failure("ReadError", f"{name}: broken", 1, "here")))
            return
        temporary = landing.temporary_for(task.target)
        with landing.open_new(temporary) as file:
            file.write(name.encode())
            size, sha = landing.finish(file)
        inputs = tuple(identify(frame) for frame in task.frames)
        status = temporary.stat()
        made = Made(temporary, size, status.st_mtime_ns, sha, inputs, REPORT, 10**18, "here")
        self._done.append((name, made))

    def collect(self, timeout_s: float) -> tuple[str, Made | Failure] | None:
        return self._done.pop(0) if len(self._done) > self._holds else None

    def close(self) -> list[Made]:
        self.closed += 1
        left, self._done = self._done, []
        return [made for _, made in left if isinstance(made, Made)]


def jobs_in(folder: Path, *names: str) -> list[Job]:
    """Jobs of one frame each."""
    jobs = []
    for name in names:
        frame = folder / f"frame of {name.replace('/', ' ')}"
        if not frame.exists():
            frame.write_bytes(name.encode())
        jobs.append(job_of(folder / "out", name, [frame]))
    return jobs


def run(
    folder: Path, engine: FakeEngine, *names: str, fail_fast: bool = False, **more: Any
) -> Summary:
    """Runs a batch of these names in folder/out."""
    conditions = Conditions({}, None, "0")
    settings = BatchSettings(FuseSettings(**more.pop("fuse", {})), conditions, fail_fast)
    hooks = Hooks(**more)
    source = JobList(jobs_in(folder, *names))
    return run_batch(folder / "out", source, engine, settings=settings, hooks=hooks)


def left_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_pictures_get_their_names_and_lines(tmp_path: Path) -> None:
    engine = FakeEngine()
    summary = run(tmp_path, engine, "a.png", "deep/er/b.png", "c.png")
    assert summary.count("fused") == 3
    assert left_in(tmp_path / "out") == {"a.png", "deep/er/b.png", "c.png", MANIFEST}
    records = {record.name: record for record in read_manifest(tmp_path / "out")}
    for name, record in records.items():
        picture = identify(tmp_path / "out" / name)
        assert (record.picture.sha256, record.picture.bytes) == (picture.sha256, picture.bytes)
        assert record.picture.mtime_ns == picture.mtime_ns
        assert record.content["warnings"] == ["look"]
    assert engine.closed


def test_the_second_run_does_nothing(tmp_path: Path) -> None:
    run(tmp_path, FakeEngine(), "a.png", "b.png")
    before = (tmp_path / "out" / MANIFEST).read_bytes()
    again = FakeEngine()
    summary = run(tmp_path, again, "a.png", "b.png")
    assert again.submitted == []
    assert summary.count("skipped") == 2
    assert (tmp_path / "out" / MANIFEST).read_bytes() == before


def test_a_failure_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    told: list[str] = []
    summary = run(
        tmp_path,
        FakeEngine(lambda name: name == "b.png"),
        *("a.png", "b.png", "c.png"),
        on_outcome=lambda outcome: told.append(outcome.kind),
    )
    assert sorted(told) == ["failed", "fused", "fused"]
    assert summary.count("failed") == 1
    failed = [r for r in read_manifest(tmp_path / "out") if not r.is_fused]
    assert failed[0].content["error"] == {"kind": "ReadError", "message": "b.png: broken"}
    # It is tried again by the next run.
    assert run(tmp_path, FakeEngine(), "a.png", "b.png", "c.png").count("fused") == 1


def test_fail_fast_begins_nothing_more(tmp_path: Path) -> None:
    engine = FakeEngine(lambda name: name == "0.png")
    names = [f"{i}.png" for i in range(6)]
    summary = run(tmp_path, engine, *names, fail_fast=True)
    assert len(engine.submitted) < 4
    assert summary.count("failed") == 1
    assert summary.untried == 6 - len(engine.submitted)


def test_a_picture_of_somebody_else_is_a_failure_and_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    summary = run(tmp_path, FakeEngine(), "a.png", "b.png")
    assert [outcome.kind for outcome in summary.outcomes] == ["failed", "fused"]
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"
    summary = run(tmp_path, FakeEngine(), "a.png", "b.png", fuse={"overwrite": True})
    assert {outcome.job.name: outcome.kind for outcome in summary.outcomes} == {
        "a.png": "fused",
        "b.png": "skipped",
    }
    assert (tmp_path / "out" / "a.png").read_bytes() == b"a.png"


def test_a_file_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    class Late(FakeEngine):
        def submit(self, name: str, task: Task) -> None:
            super().submit(name, task)
            task.target.write_bytes(b"mine")

    summary = run(tmp_path, Late(), "a.png")
    assert "exists already" in summary.outcomes[0].message
    assert left_in(tmp_path / "out") == {"a.png", MANIFEST}
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"


def test_leftovers_of_a_dead_run_go(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    landing.open_new(landing.temporary_for(tmp_path / "out" / "a.png")).close()
    run(tmp_path, FakeEngine(), "a.png")
    assert left_in(tmp_path / "out") == {"a.png", MANIFEST}


def test_a_picture_whose_line_was_lost_is_not_fused_again(tmp_path: Path) -> None:
    run(tmp_path, FakeEngine(), "a.png", "b.png")
    out = tmp_path / "out"
    records = {record.name: record for record in read_manifest(out)}
    (out / MANIFEST).write_bytes((out / MANIFEST).read_bytes().splitlines(keepends=True)[0])
    lost = records["b.png"]
    died = Claims(out)  # as it is left by a run that is killed: never closed
    died.note(lost)
    (out / CLAIMS).rename(out / "kept")
    died.close()
    (out / "kept").rename(out / CLAIMS)
    engine = FakeEngine()
    summary = run(tmp_path, engine, "a.png", "b.png")
    assert engine.submitted == []
    assert summary.count("skipped") == 2
    assert {record.name for record in read_manifest(out)} == {"a.png", "b.png"}
    assert not (out / CLAIMS).exists()


def test_a_stop_drops_what_runs_and_leaves_nothing(tmp_path: Path) -> None:
    hooks = Hooks()
    engine = FakeEngine(holds=2)

    def stop_after_first(_: object) -> None:
        hooks.stop.set()

    names = [f"{i}.png" for i in range(8)]
    summary = run(tmp_path, engine, *names, on_outcome=stop_after_first, stop=hooks.stop)
    assert summary.is_interrupted
    assert summary.dropped > 0
    assert summary.count("fused") + summary.dropped + summary.untried == 8
    fused = {record.name for record in read_manifest(tmp_path / "out")}
    assert left_in(tmp_path / "out") == {*fused, MANIFEST}


def test_what_concerns_all_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    class Broken(FakeEngine):
        def collect(self, timeout_s: float) -> tuple[str, Made | Failure] | None:
            raise WriteError("the cluster is gone")

    engine = Broken()
    with pytest.raises(WriteError, match="cluster is gone"):
        run(tmp_path, engine, "a.png", "b.png")
    assert left_in(tmp_path / "out") == set()
    assert engine.closed


def test_an_unwritable_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"a file")
    with pytest.raises(WriteError, match="cannot be made"):
        run(tmp_path, FakeEngine(), "a.png")
    (tmp_path / "out").unlink()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deep").write_bytes(b"a file")
    summary = run(tmp_path, FakeEngine(), "deep/a.png", "b.png")
    assert [outcome.kind for outcome in summary.outcomes] == ["failed", "fused"]
