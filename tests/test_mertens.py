"""OpenCV's fusion behind the model interface: ranges, depths, places, determinism."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from helpers import exposed, textured_light
from mefuse.aligned import Aligned
from mefuse.errors import InputError
from mefuse.models import MODELS, Fused, find_model, load_fuser
from mefuse.slices import Rect

EVS = (-2.0, 0.0, 2.0)


def _fuse(depth_in: int, depth_out: int, **changed: Any) -> Fused:
    frames = [exposed(textured_light(), ev) for ev in EVS]
    if depth_in == 16:  # the same values: OpenCV's contrast weights see the steps of 8 bits
        frames = [frame.astype(np.uint16) * 257 for frame in frames]
    aligned = Aligned.of(frames, reference=1, ghost="off", **changed)
    fuser = load_fuser("mertens", device="auto")
    return fuser.fuse(aligned, depth=depth_out, slice_size=None, on_slice=None)


def test_it_is_what_opencv_makes_of_8_bits() -> None:
    frames = [exposed(textured_light(), ev) for ev in EVS]
    theirs = np.clip(np.rint(cv2.createMergeMertens().process(frames) * 255), 0, 255)
    assert np.abs(_fuse(8, 8).pixels - theirs).max() <= 1


@pytest.mark.parametrize("depth_in", [8, 16])
@pytest.mark.parametrize("depth_out", [8, 16])
def test_all_depths_give_one_picture(depth_in: int, depth_out: int) -> None:
    fused = _fuse(depth_in, depth_out)
    assert fused.pixels.dtype == {8: np.uint8, 16: np.uint16}[depth_out]
    assert (fused.cache_bytes, fused.slice_size) == (0, None)
    scaled = fused.pixels / np.iinfo(fused.pixels.dtype).max
    assert np.abs(scaled - _fuse(8, 8).pixels / 255).max() < 2 / 255


def test_the_crop_and_the_transforms_are_followed() -> None:
    shift = np.array([[1.0, 0, 5], [0, 1, 3], [0, 0, 1]])
    crop = Rect(10, 20, 40, 50)
    moved = _fuse(8, 8, transforms=[shift] * 3, crop=crop)
    straight = _fuse(8, 8, crop=Rect(13, 25, 40, 50))
    assert np.array_equal(moved.pixels, straight.pixels)


def test_the_same_bytes_every_time() -> None:
    light = textured_light(480, 640)
    frames = [exposed(light, ev) for ev in EVS]
    fuser = load_fuser("mertens", device="cpu")
    aligned = Aligned.of(frames, reference=1, ghost="off")
    asked: dict[str, Any] = {"depth": 16, "slice_size": None, "on_slice": None}
    made = {fuser.fuse(aligned, **asked).pixels.tobytes() for _ in range(6)}
    assert len(made) == 1
    assert cv2.getNumThreads() > 0


def test_a_gpu_asked_for_by_name_is_refused() -> None:
    with pytest.raises(InputError, match="runs on the CPU only"):
        load_fuser("mertens", device="cuda:0")
    assert load_fuser("mertens", device="auto").device == "cpu"


def test_the_table_of_models() -> None:
    assert [name for name, entry in MODELS.items() if entry.is_network] == [
        "ipl",
        "deepfuse",
        "lcndr",
    ]
    assert all(name == entry.name for name, entry in MODELS.items())
    with pytest.raises(InputError, match="use one of"):
        find_model("magic")
