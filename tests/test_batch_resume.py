"""What is done is skipped, what is not is fused, what is somebody else's is left alone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch_helpers import job_of, record_of
from mefuse.batch.identity import identify
from mefuse.batch.jobs import Job
from mefuse.batch.manifest import Record
from mefuse.batch.resume import Conditions, Decision, decide, picture_settings
from mefuse.settings import FuseSettings

CONDITIONS = Conditions(picture_settings(FuseSettings()), {"name": "ipl", "sha256": "w"}, "1.0")


class Done:
    """A bracket of two frames that was fused, and its record."""

    def __init__(self, folder: Path) -> None:
        self.frames = [folder / "1.jpg", folder / "2.jpg"]
        for frame in self.frames:
            frame.write_bytes(frame.name.encode())
        self.job = job_of(folder / "out", "a.png", self.frames)
        self.job.target.parent.mkdir()
        self.job.target.write_bytes(b"picture")
        picture = identify(self.job.target).to_json()
        del picture["path"]
        self.record = record_of(
            "a.png",
            picture=picture,
            inputs=[identify(frame).to_json() for frame in self.frames],
            settings=CONDITIONS.settings,
            weights=CONDITIONS.weights,
            version="1.0",
        )

    def decide(self, **changes: Any) -> Decision:
        given: dict[str, Any] = {
            "conditions": CONDITIONS, "record": self.record, "noted": None, "overwrite": False,
        }  # fmt: skip
        given.update(changes)
        return decide(given.pop("job", self.job), given.pop("conditions"), **given)


@pytest.fixture
def done(tmp_path: Path) -> Done:
    return Done(tmp_path)


def test_what_is_done_is_skipped(done: Done) -> None:
    assert done.decide().action == "skip"
    assert done.decide(overwrite=True).action == "skip"


def test_a_slice_size_changes_no_pixel() -> None:
    other = picture_settings(FuseSettings(slice_size=256, overwrite=True, reference=1))
    assert other == CONDITIONS.settings


def test_new_and_gone_pictures_are_fused(done: Done) -> None:
    assert done.decide(record=None, job=replace(done.job, target=Path("/absent"))).action == "fuse"
    done.job.target.unlink()
    assert done.decide() == Decision("fuse", "its picture is gone")


@pytest.mark.parametrize(
    ("conditions", "what"),
    [
        (
            replace(CONDITIONS, settings={**CONDITIONS.settings, "quality": 50}),
            r"settings \(quality\)",
        ),
        (replace(CONDITIONS, weights={"name": "ipl", "sha256": "v"}), "weights"),
        (replace(CONDITIONS, weights=None), "weights"),
        (replace(CONDITIONS, version="2.0"), r"version \(1.0\)"),
    ],
)
def test_other_conditions_are_named_and_replaced_only_when_asked(
    done: Done, conditions: Conditions, what: str
) -> None:
    refused = done.decide(conditions=conditions)
    assert refused.action == "refuse"
    assert what.replace("\\", "") in refused.reason
    assert done.decide(conditions=conditions, overwrite=True).action == "replace"


def _changed_bytes(done: Done) -> Job:
    done.frames[0].write_bytes(b"9.jpg")
    return done.job


def _changed_order(done: Done) -> Job:
    return replace(done.job, frames=done.job.frames[::-1])


def _touched(done: Done) -> Job:
    os.utime(done.frames[0], ns=(10**18, 10**18))
    return done.job


def _moved(done: Done) -> Job:
    folder = done.frames[0].parent / "moved"
    folder.mkdir()
    return replace(
        done.job, frames=tuple(frame.rename(folder / f"x{frame.name}") for frame in done.frames)
    )


def _fewer(done: Done) -> Job:
    return replace(done.job, frames=done.job.frames[:1])


def _another_reference(done: Done) -> Job:
    return replace(done.job, reference=1)


@pytest.mark.parametrize(
    ("change", "action"),
    [
        (_changed_order, "skip"),
        (_touched, "skip"),
        (_moved, "skip"),
        (_changed_bytes, "refuse"),
        (_fewer, "refuse"),
        (_another_reference, "refuse"),
    ],
)
def test_frames_are_known_by_their_bytes(done: Done, change: Any, action: str) -> None:
    assert done.decide(job=change(done)).action == action


def test_a_picture_that_somebody_made_or_changed_is_kept(done: Done) -> None:
    foreign = done.decide(record=None)
    assert foreign.action == "refuse"
    assert "a.png: exists already" in foreign.reason
    assert done.decide(record=None, overwrite=True).action == "replace"
    done.job.target.write_bytes(b"retouch")
    changed = done.decide()
    assert changed.action == "refuse"
    assert "was changed since it was fused" in changed.reason


def test_a_picture_that_was_copied_back_is_still_the_one(done: Done) -> None:
    os.utime(done.job.target, ns=(10**18, 10**18))
    assert done.decide().action == "skip"


def test_a_run_that_died_before_its_line_is_believed_by_the_journal(done: Done) -> None:
    adopted = done.decide(record=None, noted=done.record)
    assert (adopted.action, adopted.adopt) == ("skip", done.record)
    older = Record({**done.record.content, "picture": {"bytes": 1, "mtime_ns": 1, "sha256": "x"}})
    assert done.decide(record=older, noted=done.record).adopt == done.record
    # The journal noted it, but died before the picture got its name: the old one is still there.
    assert done.decide(noted=older) == done.decide()
    done.job.target.unlink()
    assert done.decide(record=None, noted=done.record).action == "fuse"


def test_a_folder_in_the_place_of_a_picture_is_never_replaced(done: Done) -> None:
    done.job.target.unlink()
    done.job.target.mkdir()
    assert done.decide(overwrite=True).action == "refuse"
