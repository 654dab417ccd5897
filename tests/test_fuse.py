"""The pipeline: what it returns, that the order of frames is nothing to it, and what it refuses."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

import mefuse
from conftest import HEIGHT, WIDTH, HandHeld
from helpers import write_cfa_dng
from mefuse import fuse as pipeline
from mefuse import profiles
from mefuse.aligned import Aligned
from mefuse.errors import InputError, OutputExistsError
from mefuse.fuse import fuse_files, fuse_pixels
from mefuse.models import Fused
from mefuse.settings import FuseSettings
from mefuse.slices import Rect

MERTENS = FuseSettings(model="mertens")


class FakeFuser:
    """Gives the reference back and keeps what it was asked."""

    name, device = "fake", "cpu"

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def fuse(self, bracket: Aligned, **asked: Any) -> Fused:
        self.asked, self.bracket = asked, bracket
        asked["on_slice"](1, 2)
        asked["on_slice"](2, 2)
        return Fused(np.array(bracket.whole()[bracket.reference]), cache_bytes=77, slice_size=64)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeFuser:
    fuser = FakeFuser()
    monkeypatch.setattr(pipeline, "load_fuser", lambda name, *, device: fuser)
    return fuser


def test_a_hand_held_bracket_end_to_end(hand_held: HandHeld, tmp_path: Path) -> None:
    output = tmp_path / "fused.png"
    report = fuse_files(hand_held.names, str(output), settings=MERTENS)
    fused = cv2.imread(str(output))
    assert fused.shape[:2] == report.size == (report.crop.height, report.crop.width)
    assert report.reference == hand_held.names[1]
    assert [frame.path for frame in report.frames] == hand_held.names
    assert [frame.ev for frame in report.frames] == pytest.approx([-2, 0, 2])
    assert {frame.ev_source for frame in report.frames} == {"exif"}
    for frame, truth in zip(report.frames, hand_held.transforms, strict=True):
        assert _corner_error(np.array(frame.transform), truth) < 0.5
    assert report.frames[0].shift_px > 2
    assert report.frames[1].method == "reference"
    assert set(report.seconds) == {"read", "align", "ghosts", "load", "fuse", "write", "total"}
    assert report.seconds["total"] >= sum(report.seconds.values()) / 2
    assert report.peak_memory_bytes is None or report.peak_memory_bytes > 20 << 20
    assert report.warnings == ()


def _corner_error(found: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    corners = np.array([[[0, 0]], [[WIDTH, 0]], [[0, HEIGHT]], [[WIDTH, HEIGHT]]], np.float64)
    places = [cv2.perspectiveTransform(corners, matrix) for matrix in (found, truth)]
    return float(np.linalg.norm(places[0] - places[1], axis=-1).mean())


def test_alignment_brings_detail_together(hand_held: HandHeld) -> None:
    agreement = {}
    for align in (True, False):
        settings = FuseSettings(model="mertens", align=align, crop=False, ghost="off")
        detail = _detail(fuse_pixels(hand_held.frames, settings=settings))
        agreement[align] = np.corrcoef(detail, _detail(hand_held.frames[1]))[0, 1]
    assert agreement[True] > 0.9 > 0.8 > agreement[False]


def _detail(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """What of a picture is finer than about 4 px, flat, without its borders."""
    gray = np.log2(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float64) + 8)
    return (gray - cv2.GaussianBlur(gray, (0, 0), 4))[16:-16, 16:-16].ravel()


def test_the_order_of_frames_is_nothing_to_the_result(hand_held: HandHeld, tmp_path: Path) -> None:
    written = []
    for number, order in enumerate(((0, 1, 2), (2, 0, 1))):
        output = tmp_path / f"{number}.png"
        fuse_files([hand_held.paths[i] for i in order], output, settings=MERTENS)
        written.append(output.read_bytes())
    assert written[0] == written[1]


def test_a_reference_is_the_one_asked_for(hand_held: HandHeld, fake: FakeFuser) -> None:
    settings = FuseSettings(reference=0)  # counts in the paths as given: here the brightest
    report = fuse_files(hand_held.names[::-1], io.BytesIO(), settings=settings)
    assert report.reference == hand_held.names[2]
    assert fake.bracket.reference == 2
    assert [frame.ev for frame in report.frames] == pytest.approx([-4, -2, 0])


def test_not_aligned_and_not_cropped(hand_held: HandHeld, fake: FakeFuser) -> None:
    settings = FuseSettings(align=False, crop=False)
    report = fuse_files(hand_held.paths, io.BytesIO(), settings=settings)
    assert report.crop == Rect(0, 0, HEIGHT, WIDTH)
    assert all(np.array_equal(matrix, np.eye(3)) for matrix in fake.bracket.transforms)
    assert [frame.method for frame in report.frames] == ["none", "reference", "none"]


def test_aligned_but_not_cropped_keeps_the_size(hand_held: HandHeld, fake: FakeFuser) -> None:
    report = fuse_files(hand_held.paths, io.BytesIO(), settings=FuseSettings(crop=False))
    assert report.size == (HEIGHT, WIDTH)
    assert not np.array_equal(fake.bracket.transforms[0], np.eye(3))


@pytest.mark.parametrize(("asked", "given"), [(None, None), (128, 128), ("whole", 320)])
def test_slice_sizes(hand_held: HandHeld, fake: FakeFuser, asked: Any, given: int | None) -> None:
    settings = FuseSettings(slice_size=asked, crop=False, align=False)
    report = fuse_files(hand_held.paths, io.BytesIO(), settings=settings)
    assert fake.asked["slice_size"] == given
    assert report.cache_bytes == 77


def test_progress_tells_every_step_to_its_end(hand_held: HandHeld, fake: FakeFuser) -> None:
    told: list[tuple[str, int, int]] = []
    fuse_files(hand_held.paths, io.BytesIO(), on_progress=lambda *step: told.append(step))
    assert list(dict.fromkeys(step for step, _, _ in told)) == [
        "read",
        "align",
        "ghosts",
        "load",
        "fuse",
        "write",
    ]
    for step in ("read", "align"):
        assert [done for name, done, _ in told if name == step] == [0, 1, 2, 3, 3]
    assert ("fuse", 1, 2) in told
    assert ("fuse", 2, 2) in told


@pytest.mark.parametrize("depth", [8, 16])
def test_pixels_in_memory(hand_held: HandHeld, depth: Any) -> None:
    settings = FuseSettings(model="mertens", depth=depth)
    fused = fuse_pixels(hand_held.frames, settings=settings)
    assert fused.dtype == {8: np.uint8, 16: np.uint16}[depth]
    assert abs(fused.mean() / np.iinfo(fused.dtype).max - 0.5) < 0.25


def test_sixteen_bit_frames_give_sixteen_bits(hand_held: HandHeld, tmp_path: Path) -> None:
    paths = []
    for index, pixels in enumerate(hand_held.frames):
        paths.append(tmp_path / f"{index}.png")
        cv2.imwrite(str(paths[-1]), pixels.astype(np.uint16) * 257)
    output = tmp_path / "fused.png"
    report = fuse_files(paths, output, settings=MERTENS)
    assert cv2.imread(str(output), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    assert {frame.ev_source for frame in report.frames} == {"pixels"}
    jpeg = tmp_path / "fused.jpg"
    fuse_files(paths, jpeg, settings=MERTENS)
    assert cv2.imread(str(jpeg), cv2.IMREAD_UNCHANGED).dtype == np.uint8


def test_empty_frames_are_left_out_with_a_warning(hand_held: HandHeld, tmp_path: Path) -> None:
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    report = fuse_files([*hand_held.paths, black], io.BytesIO(), settings=MERTENS)
    assert len(report.frames) == 3
    assert any("black.png" in warning for warning in report.warnings)


def test_one_frame_that_shows_something_comes_back(hand_held: HandHeld, tmp_path: Path) -> None:
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    output = tmp_path / "fused.png"
    report = fuse_files([hand_held.paths[1], black], output, settings=MERTENS)
    alone = cv2.cvtColor(cv2.imread(str(output)), cv2.COLOR_BGR2RGB)
    assert [frame.method for frame in report.frames] == ["reference"]
    assert cv2.PSNR(alone, cv2.cvtColor(cv2.imread(hand_held.names[1]), cv2.COLOR_BGR2RGB)) > 45


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        (FuseSettings(model="magic"), InputError, "magic: no such model; use one of ipl, deepfuse"),
        (FuseSettings(slice_size=100), InputError, "multiple of 64"),
        (FuseSettings(slice_size=-64), InputError, "multiple of 64"),
        (FuseSettings(model="mertens", device="cuda"), InputError, "runs on the CPU only"),
        (FuseSettings(model="mertens", device="gpu"), InputError, "gpu: no such device"),
        (FuseSettings(reference=3), InputError, "reference"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_written(
    hand_held: HandHeld, tmp_path: Path, settings: FuseSettings, error: type, says: str
) -> None:
    output = tmp_path / "fused.png"
    with pytest.raises(error, match=says):
        fuse_files(hand_held.paths, output, settings=settings)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_refused_before_any_work(tmp_path: Path) -> None:
    output = tmp_path / "fused.png"
    output.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        fuse_files(["absent_1.jpg", "absent_2.jpg"], output, settings=MERTENS)
    assert output.read_bytes() == b"mine"


def test_the_report_as_json(hand_held: HandHeld, fake: FakeFuser) -> None:
    found = fuse_files(hand_held.paths, io.BytesIO()).to_json()
    assert list(found) == [
        "output", "profile", "model", "device", "size", "reference", "frames", "crop", "seconds",
        "peak_memory_bytes", "cache_bytes", "warnings",
    ]  # fmt: skip
    assert list(found["frames"][0]) == [
        "path", "exposure_time_s", "f_number", "iso", "ev", "ev_source", "transform", "shift_px",
        "residual_px", "method", "ghost_share",
    ]  # fmt: skip
    assert found["output"] == "-"
    assert set(found["size"]) == {"height", "width"}
    assert set(found["crop"]) == {"top", "left", "height", "width"}


def test_public_names() -> None:
    for name in mefuse.__all__:
        assert getattr(mefuse, name) is not None
    assert set(mefuse.__all__) == set(dir(mefuse))
    with pytest.raises(AttributeError, match="nonsense"):
        mefuse.nonsense  # noqa: B018


def test_layers_show_the_frames_with_what_moved(tmp_path: Path) -> None:
    still = np.full((96, 128, 3), 100, np.uint8)
    still[::2] = 110
    moved = still.copy()
    moved[30:60, 40:80] = 240
    paths = []
    for name, pixels in (("a", still), ("b", still), ("c", moved)):
        paths.append(tmp_path / f"{name}.png")
        cv2.imwrite(str(paths[-1]), pixels)
    settings = FuseSettings(model="mertens", reference=0, align=False, layers=True, ghost="strong")
    report = fuse_files(paths, tmp_path / "fused.tif", settings=settings)
    assert max(frame.ghost_share for frame in report.frames) > 0.1
    with tifffile.TiffFile(tmp_path / "fused.tif") as file:
        layers = {page.tags[0x011D].value: page.asarray() for page in file.pages}
    assert np.array_equal(layers["c.png"], moved)
    assert np.array_equal(layers["a.png"], still)


@pytest.mark.parametrize("profile", ["p3", "prophoto"])
def test_raw_files_are_developed_into_wide_colours(tmp_path: Path, profile: Any) -> None:
    light = np.zeros((64, 96, 3), np.float32)
    light[...] = (0.02, 0.6, 0.02)  # greener than sRGB once the camera's matrix is undone
    light[:, ::2] *= 0.8
    paths = [tmp_path / f"{k}.dng" for k in range(2)]
    for path, time in zip(paths, ((1, 2), (1, 1)), strict=True):
        write_cfa_dng(path, light, exposure_time=time)
    settings = FuseSettings(model="mertens", output_profile=profile, align=False)
    fusion = pipeline.Fusion(paths, tmp_path / "fused.tif", settings=settings)
    fusion.read()
    bracket = fusion._bracket
    curved = profiles.with_curve(profiles.standard(profile), "srgb")
    assert {frame.metadata.icc for frame in bracket.frames} == {curved}
    assert not bracket.warnings
    report = fuse_files(paths, tmp_path / "fused.tif", settings=settings)
    assert report.profile == profiles.description(profiles.standard(profile))
