"""The manifest: appended line by line, torn lines survived."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batch_helpers import record_of
from mefuse.batch.manifest import MANIFEST, Manifest, Record, parse_record, read_manifest
from mefuse.errors import InputError, WriteError


def test_what_is_added_is_read_by_everybody(tmp_path: Path) -> None:
    mine, other = Manifest(tmp_path), Manifest(tmp_path)
    mine.add(record_of("a.png"))
    mine.add(record_of("b.png", outcome="failed"))
    other.refresh()
    assert other.pictures() == ["a.png"]
    assert other.fused("b.png") is None
    assert [record.name for record in read_manifest(tmp_path)] == ["a.png", "b.png"]
    lines = (tmp_path / MANIFEST).read_text().splitlines()
    assert json.loads(lines[0])["outcome"] == "fused"


def test_the_last_picture_of_a_name_counts(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(record_of("a.png", sha256="1"))
    manifest.add(record_of("a.png", sha256="2"))
    manifest.add(record_of("a.png", outcome="failed"))
    found = Manifest(tmp_path).fused("a.png")
    assert found is not None
    assert found.picture.sha256 == "2"


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_torn_last_line_is_passed_over_and_stays_alone(tmp_path: Path, cut: int) -> None:
    Manifest(tmp_path).add(record_of("a.png"))
    path = tmp_path / MANIFEST
    whole = path.read_bytes()
    path.write_bytes(whole + whole.replace(b"a.png", b"b.png")[:-cut])
    again = Manifest(tmp_path)
    assert again.pictures() == ["a.png"]
    again.add(record_of("c.png"))
    assert again.pictures() == ["a.png", "c.png"] or cut == 1  # 1: only the end of the line is torn
    assert {"a.png", "c.png"} <= set(Manifest(tmp_path).pictures())


@pytest.mark.parametrize(
    "change",
    [
        {"mefuse_manifest": 2},
        {"outcome": "perhaps"},
        {"output": 3},
        {"picture": None},
        {"inputs": [{"path": "x"}]},
        {"started_ns": "now"},
    ],
)
def test_what_is_no_record_is_none(change: dict[str, Any]) -> None:
    content = {**record_of("a.png").content, **change}
    assert parse_record(json.dumps(content)) is None
    assert parse_record(json.dumps(record_of("a.png").content)) == record_of("a.png")
    assert parse_record(b"[]") is parse_record(b"") is parse_record(b"\xff\xfe") is None


def test_a_folder_without_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a batch's folder"):
        read_manifest(tmp_path)
    assert Manifest(tmp_path).pictures() == []


def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest(tmp_path)

    def full(descriptor: int, line: bytes) -> int:
        return len(line) // 2

    monkeypatch.setattr("os.write", full)
    with pytest.raises(WriteError, match="no space left"):
        manifest.add(Record({"output": "a.png"}))
