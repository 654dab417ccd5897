"""Slices that do not fit into memory are done in parts; a GPU that is full leaves it to the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import HandHeld
from mefuse import fuse
from mefuse.aligned import Aligned
from mefuse.errors import DeviceError
from mefuse.fuse import fuse_files
from mefuse.host import backend
from mefuse.host.backend import HostBackend
from mefuse.memory import is_out_of_memory
from mefuse.settings import FuseSettings
from mefuse.slices import GRID_PX, Rect
from mefuse.slicework import SliceWork, quarters
from mefuse.stream import load_network_fuser


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


def opencv_error() -> cv2.error:
    error = cv2.error("Failed to allocate")
    error.code = -4
    return error


FAULTS: list[Callable[[], Exception]] = [MemoryError, OutOfMemoryError, opencv_error]


@given(
    st.builds(
        lambda top, left, height, width: Rect(top * 64, left * 64, height * 64, width * 64),
        *(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.integers(1, 9)),
    )
)
def test_quarters_tile_the_slice_on_the_grid(rect: Rect) -> None:
    seen = np.zeros((20, 20), int)
    parts = list(quarters(rect))
    for part in parts:
        assert all(v % GRID_PX == 0 for v in (part.top, part.left, part.height, part.width))
        seen[part.top // 64 : part.bottom // 64, part.left // 64 : part.right // 64] += 1
    inside = seen[rect.top // 64 : rect.bottom // 64, rect.left // 64 : rect.right // 64]
    assert (inside == 1).all()
    assert seen.sum() == inside.size
    assert len(parts) > 1 or max(rect.height, rect.width) == GRID_PX


@pytest.mark.parametrize("fault", FAULTS)
def test_a_slice_that_does_not_fit_is_done_in_parts(fault: Callable[[], Exception]) -> None:
    done: list[Rect] = []

    def work(rect: Rect) -> None:
        if max(rect.height, rect.width) > 128:
            raise fault()
        done.append(rect)

    slices = SliceWork("cuda:0", 512)
    slices.of("blend", work)(Rect(512, 0, 512, 256))
    assert sorted((rect.top, rect.left) for rect in done) == [
        (top, left) for top in (512, 640, 768, 896) for left in (0, 64, 128, 192)
    ]
    (warning,) = slices.warnings
    assert warning.startswith("cuda:0: out of memory with slices of 512 px, done again with slices")
    assert "of 128 px" in warning
    (span,) = slices.spans
    assert (span.step, span.rect.top, span.worker) == ("blend", 512, 0)
    assert span.end_s >= span.start_s


def test_what_never_fits_is_said_and_other_errors_pass() -> None:
    def full(_: Rect) -> None:
        raise MemoryError

    with pytest.raises(DeviceError, match="cpu: out of memory, even with slices of 64 px; close"):
        SliceWork("cpu", 512).of("blend", full)(Rect(0, 0, 512, 512))
    assert not is_out_of_memory(ValueError())
    with pytest.raises(ZeroDivisionError):
        SliceWork("cpu", 512).of("blend", lambda _: 1 // 0)(Rect(0, 0, 512, 512))
    assert SliceWork("cpu", 512).warnings == ()


def _short_of_memory(monkeypatch: pytest.MonkeyPatch, *, most_px: int) -> None:
    """The host's blending fails for frames of more rows or columns than that, its overlap in."""
    blend = HostBackend.blend_fine

    def limited(self: HostBackend, frames: Any, *arguments: Any, **options: Any) -> Any:
        if max(frames[0].shape[:2]) > most_px:
            raise MemoryError
        return blend(self, frames, *arguments, **options)

    monkeypatch.setattr(HostBackend, "blend_fine", limited)


@pytest.mark.parametrize("slice_size", [None, 256])
def test_a_picture_made_of_smaller_slices_is_the_same_and_it_is_said(
    hand_held: HandHeld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slice_size: int | None
) -> None:
    settings = FuseSettings(slice_size=slice_size, device="cpu")
    fuse_files(hand_held.names, tmp_path / "whole.png", settings=settings)
    _short_of_memory(monkeypatch, most_px=128 + 64)
    report = fuse_files(hand_held.names, tmp_path / "parts.png", settings=settings)
    asked = slice_size or HostBackend.slice_px
    assert any(f"slices of {asked} px, done again" in said for said in report.warnings)
    assert (tmp_path / "whole.png").read_bytes() == (tmp_path / "parts.png").read_bytes()


class FullGpu:
    """A fuser whose device has no room."""

    name, device = "ipl", "cuda:0"

    def fuse(self, *_: Any, **__: Any) -> Any:
        raise DeviceError("cuda:0: out of memory, even with slices of 64 px; close other programs")


def test_the_cpu_takes_over_only_where_the_device_was_left_to_mefuse(
    hand_held: HandHeld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = fuse.load_model
    monkeypatch.setattr(fuse, "load_model", lambda s: load(s) if s.device == "cpu" else FullGpu())
    report = fuse_files(hand_held.names, tmp_path / "a.png")
    assert report.device == "cpu"
    assert "cuda:0: out of memory for this bracket, fused on the CPU" in report.warnings
    with pytest.raises(DeviceError, match="cuda:0: out of memory"):
        fuse_files(hand_held.names, tmp_path / "b.png", settings=FuseSettings(device="cuda"))
    assert not (tmp_path / "b.png").exists()


class FullOfGrids(FullGpu):
    """A fuser whose device has no room for what is not cut into slices."""

    def fuse(self, *_: Any, **__: Any) -> Any:
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_a_lack_of_memory_outside_slices_is_told_too(
    hand_held: HandHeld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = fuse.load_model
    monkeypatch.setattr(
        fuse, "load_model", lambda s: load(s) if s.device == "cpu" else FullOfGrids()
    )
    report = fuse_files(hand_held.names, tmp_path / "a.png")
    assert "cuda:0: out of memory for this bracket, fused on the CPU" in report.warnings
    with pytest.raises(DeviceError, match="cuda:0: out of memory; close other programs or fuse"):
        fuse_files(hand_held.names, tmp_path / "b.png", settings=FuseSettings(device="cuda"))


def test_a_timeline_has_steps_and_slices(hand_held: HandHeld, tmp_path: Path) -> None:
    report = fuse_files(hand_held.names, tmp_path / "a.png", settings=FuseSettings(slice_size=128))
    steps = [entry.step for entry in report.timeline if entry.worker is None]
    assert steps == ["read", "align", "ghosts", "load", "fuse", "write"]
    height, width = report.size
    slices = -(-height // 128) * -(-width // 128)
    for kind in ("glimpse", "blend"):
        found = [entry for entry in report.timeline if entry.step == kind]
        assert len(found) == slices
        within = next(entry for entry in report.timeline if entry.step == "fuse")
        assert all(within.start_s <= e.start_s <= e.end_s <= within.end_s for e in found)
    assert "timeline" not in report.to_json()
    assert len(report.to_json(timeline=True)["timeline"]) == len(report.timeline)


@pytest.mark.parametrize(
    ("free", "expected"), [(None, 640), (2**34, 640), (2**26, 128), (1000, 64)]
)
def test_the_slices_side_follows_the_free_memory(
    monkeypatch: pytest.MonkeyPatch, free: int | None, expected: int
) -> None:
    monkeypatch.setattr(backend, "available_memory_bytes", lambda: free)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    fuser = load_network_fuser("ipl", device="cpu")
    pair = [np.full((520, 600, 3), level, np.uint8) for level in (60, 160)]
    bracket = Aligned.of(pair, reference=0, ghost="off")
    fused = fuser.fuse(bracket, depth=8, slice_size=None, on_slice=None)
    assert fused.slice_size == expected
    asked = fuser.fuse(bracket, depth=8, slice_size=256, on_slice=None)
    assert asked.slice_size == 256
    assert np.array_equal(asked.pixels, fused.pixels)
