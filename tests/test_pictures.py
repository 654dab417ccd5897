"""Pictures for scenes: what is read, how it is scaled, what is said of what cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mefuse.errors import DependencyError, InputError, ReadError
from mefuse.synth.pictures import PictureFolder, load_pictures, read_picture


def _light() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.exp(rng.normal(0, 2, (8, 16, 3))).astype(np.float32)


def _write_exr(path: Path, pixels: np.ndarray, name: str) -> None:
    openexr = pytest.importorskip("OpenEXR", reason="the optional package OpenEXR is not here")
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    openexr.File(header, {name: np.ascontiguousarray(pixels)}).write(str(path))


def _is_scaled_light(pixels: torch.Tensor, light: np.ndarray) -> bool:
    """Whether the tensor is the light times one factor that brings its median to 0.18."""
    expected = torch.from_numpy(light).permute(2, 0, 1)
    expected = expected * (0.18 / expected.mean(0).median())
    # RGBE keeps 8 bits of the brightest channel.
    return bool(((pixels - expected).abs() <= 0.01 * expected.amax(0)).all())


def test_exr_and_hdr_give_the_same_radiance(tmp_path: Path) -> None:
    light = _light()
    cv2.imwrite(str(tmp_path / "a.hdr"), light[..., ::-1])
    _write_exr(tmp_path / "b.exr", light, "RGB")
    for name in ("a.hdr", "b.exr"):
        picture = read_picture(tmp_path / name)
        assert picture.is_hdr and picture.pixels.shape == (3, 8, 16)
        assert _is_scaled_light(picture.pixels, light)


def test_alpha_and_gray_in_exr(tmp_path: Path) -> None:
    light = _light()
    alpha = np.ones((8, 16, 1), np.float32)
    _write_exr(tmp_path / "a.exr", np.concatenate((light, alpha), axis=2), "RGBA")
    assert _is_scaled_light(read_picture(tmp_path / "a.exr").pixels, light)
    _write_exr(tmp_path / "b.exr", light[..., 0], "Y")
    gray = np.repeat(light[..., :1], 3, axis=2)
    assert _is_scaled_light(read_picture(tmp_path / "b.exr").pixels, gray)


def test_without_the_package_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.exr").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(DependencyError, match=r"a\.exr.*mefuse\[train\]"):
        read_picture(tmp_path / "a.exr")
    assert load_pictures(tmp_path) == []
    with pytest.raises(DependencyError):
        load_pictures(tmp_path, exr=True)


@pytest.mark.parametrize("name", ["a.hdr", "a.jpg", "a.exr"])
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    if name == "a.exr":
        pytest.importorskip("OpenEXR", reason="the optional package OpenEXR is not here")
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ReadError, match=name.replace(".", r"\.")):
        read_picture(tmp_path / name)


def test_a_folder_is_sorted_by_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.hdr"):
        PictureFolder.scanned(tmp_path)
    (tmp_path / "in").mkdir()
    for name in ("b.hdr", "in/a.EXR", "c.jpg", "d.txt"):
        (tmp_path / name).write_bytes(b"")
    found = PictureFolder.scanned(tmp_path)
    assert [path.name for path in found.hdr] == ["b.hdr", "a.EXR"]
    assert [path.name for path in found.photos] == ["c.jpg"]
