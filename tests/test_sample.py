"""The built-in bracket: true exposures, true transforms, the same bytes from the same seed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mefuse.align import align_frames
from mefuse.cli import main
from mefuse.discover import find_sources
from mefuse.errors import WriteError
from mefuse.synth import sample
from mefuse.synth.render import render_room
from mefuse.synth.sample import EXPOSURE_TIMES_S, SampleFrame, make_sample, write_sample

HEIGHT, WIDTH = 240, 360


@pytest.fixture(scope="module")
def frames() -> list[SampleFrame]:
    return make_sample(HEIGHT, WIDTH, seed=1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, frames: list[SampleFrame]) -> None:
    """Takes the frames that are made already instead of rendering again."""
    monkeypatch.setattr(sample, "make_sample", lambda height, width, *, seed: frames)


def test_frames_differ_by_their_exposure_alone(frames: list[SampleFrame]) -> None:
    assert [frame.pixels.shape for frame in frames] == [(HEIGHT, WIDTH, 3)] * 3
    dark, middle = (
        cv2.warpPerspective(
            frame.pixels, frame.transform, (WIDTH, HEIGHT), flags=cv2.WARP_INVERSE_MAP
        )[20:-20, 20:-20]
        for frame in frames[:2]
    )
    near_white = cv2.dilate(middle, np.ones((9, 9))) > 245
    seen = (middle > 150) & ~near_white
    ratio = np.median(_linear(middle)[seen] / _linear(dark)[seen])
    assert ratio == pytest.approx(float(EXPOSURE_TIMES_S[1] / EXPOSURE_TIMES_S[0]), rel=0.05)


def _linear(pixels: np.ndarray) -> np.ndarray:
    """Linear light of sRGB codes, blurred: noise and a rest of misalignment average out."""
    codes = pixels / 255
    linear = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    return cv2.GaussianBlur(linear, (0, 0), 2)


def test_the_scene_needs_all_three_frames(frames: list[SampleFrame]) -> None:
    dark, middle, bright = (frame.pixels for frame in frames)
    assert (dark > 250).mean() < 0.01 < 0.05 < (bright > 250).mean()
    assert (bright < 10).mean() < 0.05 < 0.3 < (dark < 10).mean()
    assert (middle > 250).any()


def test_the_true_transforms_are_found_by_alignment(frames: list[SampleFrame]) -> None:
    found = align_frames([frame.pixels for frame in frames], reference=1)
    corners = np.array([[[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]]], np.float64)
    for alignment, frame in zip(found, frames, strict=True):
        true = cv2.perspectiveTransform(corners, frame.transform)
        estimated = cv2.perspectiveTransform(corners, alignment.transform)
        assert np.linalg.norm(true - estimated, axis=-1).mean() < 1.0
    assert np.array_equal(frames[1].transform, np.eye(3))


def test_files_tell_their_exposure(tmp_path: Path, quick: None, frames: list[SampleFrame]) -> None:
    paths = list(write_sample(tmp_path / "new", size=(HEIGHT, WIDTH), seed=1, overwrite=False))
    assert [path.name for path in paths] == ["room_1.jpg", "room_2.jpg", "room_3.jpg"]
    for source, frame in zip(find_sources(paths), frames, strict=True):
        assert source.exposure.exposure_time_s == pytest.approx(float(frame.exposure_time_s))
        assert (source.exposure.f_number, source.exposure.iso) == (8.0, 100.0)
        stored = cv2.cvtColor(cv2.imread(str(source.path)), cv2.COLOR_BGR2RGB)
        assert cv2.PSNR(stored, frame.pixels) > 30


def test_the_command_prints_paths_and_keeps_what_is_there(tmp_path: Path, quick: None) -> None:
    arguments = ["sample", "-o", str(tmp_path), "--size", f"{WIDTH}x{HEIGHT}"]
    first = CliRunner().invoke(main, arguments)
    assert first.exit_code == 0
    assert first.stdout.splitlines() == [str(tmp_path / f"room_{n}.jpg") for n in (1, 2, 3)]
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "exists" in again.stderr
    assert CliRunner().invoke(main, [*arguments, "--overwrite"]).exit_code == 0


@pytest.mark.parametrize("size", ["1800", "1800x", "0x100", "99999x100", "ax100", "1800x1200x3"])
def test_sizes_that_are_none(tmp_path: Path, size: str) -> None:
    done = CliRunner().invoke(main, ["sample", "-o", str(tmp_path), "--size", size])
    assert done.exit_code == 2
    assert "--size" in done.stderr


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteError, match="cannot be made"):
        list(write_sample(tmp_path / "file" / "in", size=(64, 64), seed=1, overwrite=False))


def test_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    light = np.random.default_rng(4).random((70, 102, 3), np.float32)
    monkeypatch.setattr(sample, "render_room", lambda height, width: light[:height, :width])
    made = [[frame.pixels.tobytes() for frame in make_sample(64, 96, seed=s)] for s in (1, 1, 2)]
    assert made[0] == made[1]
    assert made[0][0] != made[2][0]


def test_the_scene_does_not_depend_on_its_size() -> None:
    large = render_room(96, 144)
    small = render_room(48, 72)
    reduced = cv2.resize(large, (72, 48), interpolation=cv2.INTER_AREA)
    assert np.isfinite(large).all()
    assert large.min() > 0
    assert np.median(np.abs(reduced - small) / small) < 0.05
