"""Frames that are changed or vanish while they are read: refused, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from helpers import encoded, exposed, textured_light
from mefuse import fuse, regions
from mefuse.errors import ReadError
from mefuse.fuse import fuse_files
from mefuse.settings import FuseSettings
from mefuse.unchanged import check_unchanged, stamps_of

LIGHT = textured_light(60, 80)
SETTINGS = FuseSettings(model="mertens", align=False, crop=False)


def touch(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (touch, "was changed while it was read; wait until it is complete"),
    "vanished": (Path.unlink, "vanished while it was read; copy it again"),
}


@pytest.fixture(params=CHANGES)
def change(request: pytest.FixtureRequest) -> tuple[Callable[[Path], object], str]:
    return CHANGES[request.param]


def test_stamps(tmp_path: Path, change: tuple[Callable[[Path], object], str]) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    stamps = stamps_of([path])
    check_unchanged(stamps)
    change[0](path)
    with pytest.raises(ReadError, match=f"^{path}: {change[1]}"):
        check_unchanged(stamps)


def test_frames_in_memory(tmp_path: Path, change: tuple[Callable[[Path], object], str]) -> None:
    """The first frame changes when it is decoded and others are not yet: a copy still running."""
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        path.write_bytes(encoded(exposed(LIGHT, i), ".png"))

    def on_progress(step: str, done: int, total: int) -> None:
        if (step, done) == ("read", 1):
            change[0](paths[0])

    output = tmp_path / "fused.png"
    with pytest.raises(ReadError, match=rf"0\.png: {change[1]}"):
        fuse_files(paths, output, settings=SETTINGS, on_progress=on_progress)
    assert not output.exists()


def test_what_happens_after_reading_does_not_matter(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(2)]
    for i, path in enumerate(paths):
        path.write_bytes(encoded(exposed(LIGHT, i), ".png"))

    def on_progress(step: str, done: int, total: int) -> None:
        if (step, done) == ("ghosts", 0):
            paths[0].unlink()

    fuse_files(paths, tmp_path / "fused.png", settings=SETTINGS, on_progress=on_progress)
    assert (tmp_path / "fused.png").exists()


@pytest.mark.parametrize("in_bands", [False, True])
def test_frames_that_stay_in_their_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: tuple[Callable[[Path], object], str],
    in_bands: bool,
) -> None:
    """Parts of these are read until the last band is made."""
    monkeypatch.setattr(regions, "FROM_PX", 1000)
    monkeypatch.setattr(fuse, "BANDS_FROM_PX", 1000 if in_bands else 10**9)
    paths = [tmp_path / f"{i}.tif" for i in range(2)]
    for i, path in enumerate(paths):
        pixels = exposed(textured_light(210, 330), i)
        tifffile.imwrite(path, np.ascontiguousarray(pixels), photometric="rgb", tile=(64, 64))
    changed: list[str] = []

    def on_progress(step: str, done: int, total: int) -> None:
        if step == "fuse" and done >= 2 and not changed:
            changed.append(step)
            change[0](paths[0])

    settings = FuseSettings(align=False, slice_size=64, ghost="off")
    with pytest.raises(ReadError, match=rf"0\.tif: ({change[1]}|cannot be read|is trunc)"):
        fuse_files(paths, tmp_path / "fused.tif", settings=settings, on_progress=on_progress)
    assert changed
    assert sorted(path.name for path in tmp_path.iterdir() if path not in paths) == []
