"""Focus brackets: made with their truth, measured, and fused by the real command."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from mefuse.bench.focus import brackets_of, measure, psnr
from mefuse.synth.focus import breathed, focus_bracket
from mefuse.synth.pictures import Picture


@pytest.fixture(scope="module")
def photo():
    """Texture at many scales, 300x400."""
    rng = np.random.default_rng(2)
    total = np.full((300, 400, 3), 120.0)
    for cells in (6, 20, 60, 150):
        clouds = rng.standard_normal((cells, cells, 1)) + 0.2 * rng.standard_normal(
            (cells, cells, 3)
        )
        total += 24 * cv2.resize(clouds, (400, 300), interpolation=cv2.INTER_CUBIC)
    return total.clip(0, 255).astype(np.uint8)


def test_each_frame_is_sharp_where_the_other_is_not(photo):
    frames, truth = focus_bracket(np.random.default_rng(1), photo)
    errors = [cv2.GaussianBlur(np.abs(f.astype(float) - truth).mean(2), (0, 0), 5) for f in frames]
    assert all(error.mean() > 1 for error in errors)
    assert np.minimum(*errors).mean() < 0.35 * min(error.mean() for error in errors)


def test_the_measurement_sees_who_fuses_focus(photo):
    pictures = [Picture(f"{i}", torch.from_numpy(photo).permute(2, 0, 1)) for i in range(6)]
    table = measure(brackets_of(pictures, 1), ("deepfuse", "lcndr"))
    assert table["average"]["above_mean_db"] == 0
    assert table["deepfuse"]["above_mean_db"] > 3
    assert table["lcndr"]["above_mean_db"] > 3


def test_the_command_aligns_and_fuses_a_focus_bracket(photo, tmp_path):
    """Equal exposures, and a lens that magnifies by 1 % as it focuses."""
    large = cv2.resize(photo, (800, 600), interpolation=cv2.INTER_CUBIC)
    frames, truth = focus_bracket(np.random.default_rng(3), large)
    paths = [tmp_path / "near.png", tmp_path / "far.png"]
    for path, frame in zip(paths, (frames[0], breathed(frames[1], 1.01)), strict=True):
        cv2.imwrite(str(path), frame[..., ::-1])
    output = tmp_path / "sharp.png"
    command = [
        sys.executable, "-m", "mefuse", "fuse", *paths, "-o", output, "--model", "deepfuse",
        "--reference", "1", "--align", "--device", "cpu", "--json",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    report = json.loads(done.stdout)
    assert report["model"] == "deepfuse"
    crop = report["crop"]
    top, left = crop["top"], crop["left"]
    expected = truth[top : top + crop["height"], left : left + crop["width"]]
    mean = psnr(np.mean(frames, 0).round().astype(np.uint8), truth)
    fused = cv2.imread(str(output))[..., ::-1]
    assert psnr(fused, expected) > mean + 3
