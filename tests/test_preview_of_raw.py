"""The camera's own picture in a raw file: upright, of the whole, or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import rawpy

from helpers import encoded, textured_light, write_cfa_dng
from mefuse import read
from mefuse.discover import find_sources
from mefuse.raw import preview
from mefuse.raw.preview import read_preview
from mefuse.reduced import read_reduced

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "raw"
WITH_PREVIEW = ["canon_d30_bayer.CRW", "canon_g1_gmcy.CRW", "linear_lossy_canon6d.dng"]
MARKED = np.zeros((40, 60, 3), np.uint8)
MARKED[:12, :12] = 255  # the corner where the sensor's first pixel is


def camera(monkeypatch: pytest.MonkeyPatch, *, flip: int, kind: str, pixels: Any) -> None:
    """Makes every raw file one of 600x400 with this thumbnail."""
    shape = {"height": 400, "width": 600, "top_margin": 0, "left_margin": 0, "flip": flip}
    crop = {"crop_left_margin": 0xFFFF, "crop_top_margin": 0xFFFF}
    data = encoded(pixels, ".jpg") if kind == "JPEG" else pixels
    thumbnail = SimpleNamespace(format=rawpy.ThumbFormat[kind], data=data)

    @contextmanager
    def opened(path: Path) -> Iterator[Any]:
        yield SimpleNamespace(
            sizes=SimpleNamespace(**shape, **crop), extract_thumb=lambda: thumbnail
        )

    monkeypatch.setattr(preview, "opened", opened)


def corner(pixels: Any) -> str:
    """Which corner is white."""
    rows, columns = np.argwhere(pixels[..., 0] > 128).mean(0) > np.array(pixels.shape[:2]) / 2
    return f"{'bottom' if rows else 'top'} {'right' if columns else 'left'}"


@pytest.mark.parametrize("kind", ["JPEG", "BITMAP"])
@pytest.mark.parametrize(
    ("flip", "place"), [(0, "top left"), (3, "bottom right"), (5, "bottom left"), (6, "top right")]
)
def test_a_preview_is_turned_as_the_camera_was(
    monkeypatch: pytest.MonkeyPatch, kind: str, flip: int, place: str
) -> None:
    camera(monkeypatch, flip=flip, kind=kind, pixels=MARKED)
    found = read_preview(Path("x.nef"))
    assert found is not None
    assert found.size == ((600, 400) if flip & 4 else (400, 600))
    assert found.pixels.shape[:2] == ((60, 40) if flip & 4 else (40, 60))
    assert corner(found.pixels) == place


def test_a_preview_that_is_upright_already_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    camera(monkeypatch, flip=6, kind="JPEG", pixels=np.ascontiguousarray(MARKED.swapaxes(0, 1)))
    found = read_preview(Path("x.raf"))
    assert found is not None
    assert corner(found.pixels) == "top left"


@pytest.mark.parametrize("shape", [(40, 53), (40, 40), (30, 60)])
def test_a_preview_of_another_part_is_none(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    camera(monkeypatch, flip=0, kind="JPEG", pixels=np.zeros((*shape, 3), np.uint8))
    assert read_preview(Path("x.nef")) is None


def test_a_raw_file_without_a_preview_is_developed(tmp_path: Path) -> None:
    path = tmp_path / "x.dng"
    light = textured_light(600, 800, seed=1, stops=3.0)
    write_cfa_dng(path, light, exposure_time=(1, 1))
    assert read_preview(path) is None
    found = read_reduced(path, 200)
    whole = read.read_frame(find_sources([path])[0])
    assert found.size == whole.size
    assert found.pixels.shape == (150, 200, 3)
    exact = cv2.resize(whole.pixels, (200, 150), interpolation=cv2.INTER_AREA) / 257
    assert np.abs(exact - found.pixels).mean() < 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data/raw beside the repository")
@pytest.mark.parametrize("name", WITH_PREVIEW)
def test_real_previews_show_what_is_developed(name: str) -> None:
    found = read_preview(SHARED / name)
    assert found is not None
    frame = read.read_frame(find_sources([SHARED / name])[0])
    assert found.size == frame.size
    grays = []
    for pixels in (found.pixels, frame.pixels):
        small = cv2.resize(pixels, (120, 90), interpolation=cv2.INTER_AREA).astype(np.float32)
        grays.append(small.mean(2).ravel())
    assert np.corrcoef(*grays)[0, 1] > 0.9
