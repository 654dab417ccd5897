"""Records of a manifest as entries: the last one counts, and nothing in them can break a page."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_helpers import record_of
from mefuse.batch.identity import identify
from mefuse.batch.manifest import parse_record
from mefuse.frames import Exposure
from mefuse.gallery.entries import Entry, read_entries
from mefuse.slices import Rect

IDENTITY = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def frame_of(path: Path | str, **more: Any) -> dict[str, Any]:
    return {
        "path": str(path), "exposure_time_s": 0.02, "f_number": 8.0, "iso": 100.0, "ev": 0.0,
        "ev_source": "exif", "transform": IDENTITY, "shift_px": 0.0, "residual_px": None,
        "method": "reference", **more,
    }  # fmt: skip


def one(folder: Path, *records: Any) -> Entry:
    (entry,) = read_entries(folder, records)
    return entry


def test_a_fused_bracket_is_told_in_full(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in ("a.jpg", "b.jpg", "black.jpg"))
    for path in (a, b, c, tmp_path / "x.png"):
        path.write_bytes(b"picture")
    record = record_of(
        "x.png", inputs=[identify(path).to_json() for path in (a, b, c)],
        picture={k: v for k, v in identify(tmp_path / "x.png").to_json().items() if k != "path"},
        frames=[frame_of(a, ev=-2.0, shift_px=3.5, method="affine"), frame_of(b)],
        reference=str(b), crop={"top": 2, "left": 1, "height": 20, "width": 30},
        size={"height": 20, "width": 30}, seconds={"read": 1, "total": 2.5},
        peak_memory_bytes=2**20, warnings=["black.jpg: all black, left out"], model="ipl",
        settings={"quality": 95, "model": "ipl", "look": {"exposure_ev": 1.0, "preset": "vivid"}},
    )  # fmt: skip
    entry = one(tmp_path, record)
    assert entry.error is None
    assert entry.picture is not None
    assert (entry.picture.path, entry.picture.state) == (tmp_path / "x.png", "same")
    assert [f.file.path for f in entry.frames] == [a, b, c], "left out ones come last"
    assert [f.is_reference for f in entry.frames] == [False, True, False]
    assert [f.file.state for f in entry.frames] == ["same"] * 3
    assert entry.frames[0].exposure == Exposure(0.02, 8.0, 100.0)
    assert entry.frames[2].transform is None
    assert (entry.range_ev, entry.shift_px, entry.total_s) == (2.0, 3.5, 2.5)
    assert (entry.crop, entry.size) == (Rect(2, 1, 20, 30), (20, 30))
    assert entry.facts == {
        "model": "ipl", "version": "0", "quality": 95, "setting model": "ipl",
        "look: exposure ev": 1.0, "look: preset": "vivid",
    }  # fmt: skip
    assert entry.missing == 0


def test_files_that_were_moved_or_changed_are_told(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg"))
    for path in (a, b, c):
        path.write_bytes(b"picture")
    inputs = [identify(path).to_json() for path in (a, b, c)]
    a.unlink()
    b.write_bytes(b"changed")
    os.utime(c, (1, 1))  # a copy without its time is the same file
    entry = one(tmp_path, record_of("x.png", inputs=inputs))
    assert [f.file.state for f in entry.frames] == ["gone", "changed", "same"]
    assert entry.picture is not None
    assert entry.picture.state == "gone"
    assert entry.missing == 2


def test_of_several_records_the_last_counts_and_the_last_picture_stays() -> None:
    failed = record_of("x.png", outcome="failed", error={"kind": "E", "message": "why"})
    folder = Path("nowhere")
    assert one(folder, record_of("x.png"), failed).error == "why"
    assert one(folder, record_of("x.png"), failed).picture is not None
    assert one(folder, failed).picture is None
    mended = one(folder, failed, failed, record_of("x.png", warnings=["w"]))
    assert (mended.error, mended.warnings, mended.failed_runs) == (None, ("w",), 2)


def test_brackets_come_in_the_order_in_which_they_were_last_begun() -> None:
    records = [
        record_of(name, started_ns=ns) for name, ns in (("a.png", 1), ("b.png", 3), ("a.png", 4))
    ]
    records.insert(1, record_of("c.png", started_ns=2))
    assert [e.name for e in read_entries(Path(), records)] == [
        "c.png", "b.png", "a.png",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "{}/x.png"])
def test_a_name_that_leads_out_of_the_folder_is_not_looked_at(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.png").write_bytes(b"picture")
    folder = tmp_path / "out" / "deep"
    folder.mkdir(parents=True)
    entry = one(folder, record_of(name.format(tmp_path)))
    assert entry.picture is not None
    assert entry.picture.state == "gone"


def test_what_is_no_regular_file_counts_as_gone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    inputs = [{"path": str(tmp_path / "pipe.jpg")}, {"path": str(tmp_path)}, {"path": "a\0b"}]
    entry = one(tmp_path, record_of("x.png", inputs=inputs, outcome="failed"))
    assert [f.file.state for f in entry.frames] == ["gone"] * 3


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_KEYS = ("error", "frames", "inputs", "crop", "size", "seconds", "peak_memory_bytes", "warnings")


@given(st.dictionaries(st.sampled_from(_KEYS), _JSON), st.dictionaries(st.text(), _JSON))
def test_any_json_in_a_failed_record_gives_an_entry(
    fields: dict[str, Any], settings: dict[str, Any]
) -> None:
    record = record_of("x.png", outcome="failed", **{"error": None, **fields, "settings": settings})
    parsed = parse_record(json.dumps(record.content))
    assert parsed is not None
    entry = one(Path("nowhere"), parsed)
    assert entry.error


@given(
    st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(frame_of("x"), _JSON)), max_size=3)
)
def test_any_frames_give_an_entry(frames: list[dict[str, Any]]) -> None:
    entry = one(Path("nowhere"), record_of("x.png", frames=frames))
    assert len(entry.frames) <= len(frames)
