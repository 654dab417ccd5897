"""A batch as a library call: everything checked first, then run by threads."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from batch_helpers import write_bracket
from mefuse.batch.local import LocalEngine
from mefuse.batch.manifest import MANIFEST, read_manifest
from mefuse.batch.prepare import BatchRequest, prepare
from mefuse.containers import kind_of
from mefuse.errors import InputError, WriteError
from mefuse.plan import LeftOut
from mefuse.settings import FuseSettings, GroupSettings

MERTENS = FuseSettings(model="mertens")
THREES = GroupSettings(size=3)


def test_a_batch_from_python(tmp_path: Path) -> None:
    for number in range(4):
        write_bracket(tmp_path / "card", number)
    out = tmp_path / "out"
    request = BatchRequest(out, paths=(tmp_path / "card",), fuse=MERTENS, group=THREES)
    batch = prepare(request)
    assert [decision.action for _, decision in batch.decisions()] == ["fuse"] * 4
    assert not out.exists()
    engine = LocalEngine(MERTENS, jobs=3, limit_bytes=1)
    assert batch.run(engine).count("fused") == 4
    assert {path.name for path in out.iterdir()} == {job.name for job in batch.jobs} | {MANIFEST}
    # One bracket at a time: each is larger than the budget.
    frames, fused = 3 * 96 * 128 * 3, 96 * 128 * 3
    assert fused <= engine.budget.peak_bytes <= frames * 2
    assert [decision.action for _, decision in batch.decisions()] == ["skip"] * 4
    assert not [thread.name for thread in threading.enumerate() if "bracket" in thread.name]


def test_a_model_that_cannot_be_loaded_ends_the_batch(tmp_path: Path) -> None:
    write_bracket(tmp_path / "card", 0)
    settings = FuseSettings(model="mertens", device="cuda")
    request = BatchRequest(
        tmp_path / "out", paths=(tmp_path / "card",), fuse=settings, group=THREES
    )
    with pytest.raises(InputError, match="CPU only"):
        prepare(request).run(LocalEngine(settings))
    assert list((tmp_path / "out").iterdir()) == []


def test_what_cannot_be_read_is_told_and_the_rest_is_fused(tmp_path: Path) -> None:
    paths = write_bracket(tmp_path / "card", 0)
    (tmp_path / "card" / "empty.jpg").touch()
    batch = prepare(BatchRequest(tmp_path / "out", paths=(tmp_path / "card",), group=THREES))
    assert [job.frames for job in batch.jobs] == [tuple(paths)]
    assert [type(left) for left in batch.unread] == [LeftOut]
    assert batch.unread[0].path.name == "empty.jpg"


def test_no_brackets_and_no_folder_are_told(tmp_path: Path) -> None:
    write_bracket(tmp_path / "card", 0, count=1)
    with pytest.raises(InputError, match="has no brackets"):
        prepare(BatchRequest(tmp_path / "out", paths=(tmp_path / "card",)))
    (tmp_path / "out").touch()
    with pytest.raises(WriteError, match="is no folder"):
        prepare(BatchRequest(tmp_path / "out", paths=(tmp_path / "card",)))


@pytest.mark.parametrize(("format", "ext"), [("avif", "avif"), ("jpeg", "jpg"), ("tiff", "tiff")])
def test_names_formats_and_colours(tmp_path: Path, format: str, ext: str) -> None:
    write_bracket(tmp_path / "card", 0)
    settings = FuseSettings(model="mertens", format=format, output_profile="p3", strip="gps")
    request = BatchRequest(
        tmp_path / "out", paths=(tmp_path / "card",), fuse=settings, group=THREES
    )
    batch = prepare(request)
    assert [job.name for job in batch.jobs] == [f"IMG_00_0-IMG_00_2.{ext}"]
    assert batch.run(LocalEngine(settings)).count("fused") == 1
    record = read_manifest(tmp_path / "out")[-1].content
    assert record["profile"] == "Display P3"
    assert (record["settings"]["output_profile"], record["settings"]["strip"]) == ("p3", "gps")
    assert kind_of(batch.jobs[0].target.read_bytes()[:32]) == format
    assert [decision.action for _, decision in prepare(request).decisions()] == ["skip"]
    other = replace(request, fuse=replace(settings, output_profile="keep"))
    assert [decision.action for _, decision in prepare(other).decisions()] == ["refuse"]


@pytest.mark.parametrize("what", ["save_aligned", "save_maps"])
def test_aligned_frames_of_many_brackets_are_refused(tmp_path: Path, what: str) -> None:
    settings = replace(FuseSettings(), **{what: str(tmp_path / "folder")})
    with pytest.raises(InputError, match="saves no aligned frames"):
        prepare(BatchRequest(tmp_path / "out", paths=(tmp_path,), fuse=settings))
