"""Measuring brackets: what is found, how it is aligned, who is compared, what comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import encoded, exposed, textured_light
from mefuse.errors import InputError, MefuseError
from mefuse.evaluate.cases import Case, case_of_report, find_cases
from mefuse.evaluate.methods import FolderMethod, PictureMethod, average, load_method
from mefuse.evaluate.run import CaseFailure, CaseReport, evaluate_case, evaluate_cases
from mefuse.evaluate.scene import Frames, in_8_bits, load_scene
from mefuse.evaluate.scores import Scores
from mefuse.evaluate.summary import summarise
from mefuse.fuse import fuse_files
from mefuse.metrics.mef_ssim import gray_plane, measure_mef_ssim
from mefuse.settings import FuseSettings
from mefuse.slices import Rect

HEIGHT, WIDTH = 96, 128
SHIFT = 4  # by which the second frame of a set lies to the right


def write(path: Path, pixels: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(pixels, path.suffix))
    return path


def light(seed: int, *, size: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[np.float32]:
    """Soft light with detail."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.random(size).astype(np.float32), (0, 0), 1.5)
    detail = np.exp(4 * (grain - 0.5))[..., None]
    return np.asarray(textured_light(*size, seed=seed, stops=5) * detail, np.float32)


@pytest.fixture
def brackets(tmp_path: Path) -> Path:
    """Two brackets of three frames in folders, and a folder with one picture."""
    for name, seed in (("inside/day", 1), ("night", 2)):
        for index, ev in enumerate((-2.0, 0.0, 2.0)):
            write(tmp_path / name / f"{index}.png", exposed(light(seed), ev))
    write(tmp_path / "lonely" / "0.png", exposed(light(3), 0.0))
    return tmp_path


@pytest.fixture
def moving_set(tmp_path: Path) -> Path:
    """A set as `mefuse synth` lays it out: two frames, the second shifted; a block moves."""
    wide = light(5, size=(HEIGHT, WIDTH + SHIFT))
    still = wide[:, :WIDTH]
    moved = wide.copy()
    moved[30:60, 40:70] = light(6, size=(30, 30))
    truth = [exposed(still, -1.0), exposed(still, 1.0)]
    frames = [truth[0], exposed(np.roll(moved, SHIFT, 1)[:, :WIDTH], 1.0)]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[30:60, 40:70] = 255
    records = []
    shift = [[1, 0, SHIFT], [0, 1, 0], [0, 0, 1]]
    for index, transform in enumerate((np.eye(3).tolist(), shift)):
        write(tmp_path / "0001" / f"frame_{index}.png", frames[index])
        write(tmp_path / "0001" / "truth" / f"frame_{index}.png", truth[index])
        records.append({"path": f"0001/frame_{index}.png", "transform": transform})
    write(tmp_path / "0001" / "truth" / "mask.png", mask)
    entry = {
        "name": "0001",
        "reference": 0,
        "frames": records,
        "truth": ["0001/truth/frame_0.png", "0001/truth/frame_1.png"],
        "mask": "0001/truth/mask.png",
    }
    (tmp_path / "manifest.json").write_text(json.dumps([entry]))
    return tmp_path


def test_brackets_are_the_folders_with_two_pictures_and_more(brackets: Path) -> None:
    cases = find_cases(brackets)
    assert [case.name for case in cases] == ["inside/day", "night"]
    assert [path.name for path in cases[0].frames] == ["0.png", "1.png", "2.png"]
    assert [case.name for case in find_cases(brackets / "night")] == ["night"]


def test_a_folder_or_file_that_holds_none_is_refused(brackets: Path) -> None:
    for path, says in (
        (brackets / "lonely", "holds two or more pictures"),
        (brackets / "absent", "no such folder"),
        (brackets / "night" / "0.png", "is no JSON"),
    ):
        with pytest.raises(InputError, match=says) as caught:
            find_cases(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "no list of brackets"),
        ('[{"name": "a"}]', "'frames'"),
        ('[{"name": "a", "frames": [{"path": "a.png"}], "reference": 0}]', "'transform'"),
        (
            '[{"name": "a", "frames": [{"path": "a.png", "transform": [[1, 0]]}], "reference": 0}]',
            "3x3",
        ),
    ],
)
def test_a_manifest_that_is_none_says_what_is_missing(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        find_cases(tmp_path)
    assert str(path) in str(caught.value)


def test_methods_are_measured_side_by_side(brackets: Path) -> None:
    methods = [load_method("mertens"), load_method("average")]
    reports = list(evaluate_cases(find_cases(brackets), methods))
    assert [r.bracket for r in reports] == ["inside/day", "night"]
    for report in reports:
        assert isinstance(report, CaseReport)
        assert list(report.scores) == ["mertens", "average"]
        assert report.scores["mertens"].mef_ssim > report.scores["average"].mef_ssim
        assert report.size == (HEIGHT, WIDTH)
        assert report.scores["average"].psnr_db is None


def test_a_bracket_that_fails_does_not_stop_the_others(brackets: Path) -> None:
    (brackets / "night" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    outcomes = list(evaluate_cases(find_cases(brackets), [load_method("average")]))
    assert isinstance(outcomes[0], CaseReport)
    assert isinstance(outcomes[1], CaseFailure)
    assert str(brackets / "night" / "1.png") in str(outcomes[1].error)


def test_a_folder_of_pictures_scores_what_the_method_itself_scores(
    brackets: Path, tmp_path: Path
) -> None:
    cases = find_cases(brackets)
    fused = tmp_path / "fused"
    write(fused / "night.png", average(load_scene(cases[1]).frames))
    write(fused / "inside" / "day.png", average(load_scene(cases[0]).frames))
    methods = [load_method("average"), FolderMethod("mine", fused)]
    for case in cases:
        scores = evaluate_case(case, methods).scores
        assert scores["mine"] == scores["average"]
    (fused / "night.png").unlink()
    with pytest.raises(InputError, match="no picture of the bracket night"):
        evaluate_case(cases[1], methods)


def test_deep_gray_and_odd_frames_are_measured(tmp_path: Path) -> None:
    scene = light(4)[:91, :117]
    dark = write(tmp_path / "dark.png", exposed(scene, -2.0, depth=16))
    gray = write(tmp_path / "gray.tiff", exposed(scene, 1.0)[..., 1])
    report = evaluate_case(Case("odd", (dark, gray)), [load_method("average")])
    assert report.size == (91, 117)
    assert 0 < report.scores["average"].mef_ssim < 1
    assert any("promoted" in warning for warning in report.warnings)
    deep = np.array([[[0, 128, 129], [65535, 65407, 65406]]], np.uint16)
    assert in_8_bits(deep).tolist() == [[[0, 0, 1], [255, 255, 254]]]


def test_a_limit_reduces_what_is_measured(brackets: Path) -> None:
    case = find_cases(brackets)[0]
    report = evaluate_case(case, [load_method("average")], limit_px=100)
    assert report.size == (75, 100)
    full = evaluate_case(case, [load_method("average")], limit_px=1000)
    assert full.size == (HEIGHT, WIDTH)
    with pytest.raises(InputError, match="too small to measure"):
        evaluate_case(case, [load_method("average")], limit_px=64)


def test_the_average_is_rounded(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (3, 5, 6, 3)).astype(np.uint8)
    exact = np.floor(pixels.sum(0) / 3 + 0.5)
    assert np.array_equal(average(Frames(tuple(pixels), 0)), exact)


def test_a_report_aligns_and_crops_as_the_fusion_did(hand_held: Any, tmp_path: Path) -> None:
    output = tmp_path / "fused.png"
    fused = fuse_files(hand_held.paths, output, settings=FuseSettings(model="mertens"))
    report = tmp_path / "fused.json"
    report.write_text(json.dumps(fused.to_json()))
    methods = [PictureMethod("fused", output), load_method("mertens")]
    elsewhere = list(reversed(hand_held.paths))
    for frames in ([], elsewhere):
        case = case_of_report(report, frames, name="x")
        scores = evaluate_case(case, methods).scores
        assert scores["fused"] == scores["mertens"]  # the same pixels, fused again
    plain = Case("x", hand_held.paths)
    with pytest.raises(InputError, match=r"it was cropped.*--no-crop.*--report") as caught:
        evaluate_case(plain, methods[:1])
    assert str(output) in str(caught.value)
    with pytest.raises(InputError, match="does not fit the frames"):
        case_of_report(report, hand_held.paths[:2], name="x")


def test_a_picture_of_another_bracket_is_refused(brackets: Path, tmp_path: Path) -> None:
    large = write(tmp_path / "large.png", np.zeros((HEIGHT + 2, WIDTH, 3), np.uint8))
    with pytest.raises(InputError, match="was fused from these frames"):
        evaluate_case(find_cases(brackets)[0], [PictureMethod("fused", large)])


def test_a_crop_outside_the_frames_is_refused(brackets: Path) -> None:
    case = replace(find_cases(brackets)[0], crop=Rect(10, 0, HEIGHT, WIDTH))
    with pytest.raises(InputError, match="of one fusion"):
        evaluate_case(case, [load_method("average")])


def test_a_manifest_gives_alignment_truth_and_mask(moving_set: Path) -> None:
    (case,) = find_cases(moving_set)
    scene = load_scene(case)
    assert scene.still is not None
    assert scene.mask is not None
    assert scene.mask.shape == scene.frames.pixels[0].shape[:2] == scene.view.size
    # Aligned frames are their truth outside the mask, but for resampling by a whole pixel: none.
    for frame, truth in zip(scene.frames.pixels, scene.still.pixels, strict=True):
        assert np.array_equal(frame[~scene.mask], truth[~scene.mask])
    assert not np.array_equal(scene.frames.pixels[1], scene.still.pixels[1])


def test_motion_is_measured_against_the_truth(moving_set: Path) -> None:
    cases = find_cases(moving_set)
    methods = [load_method("mertens"), load_method("average")]
    report = evaluate_case(cases[0], methods)
    assert report.motion_free
    assert report.aligned == "by the manifest"
    scene = load_scene(cases[0])
    assert scene.still is not None
    fused = methods[1].fuse(scene)
    still = [gray_plane(frame) for frame in scene.still.pixels]
    found = report.scores["average"]
    assert found.mef_ssim == measure_mef_ssim(still, [gray_plane(fused)])[0]
    assert found.mef_ssim_still is not None
    assert found.mef_ssim_still > found.mef_ssim
    assert found.ghost_share is not None
    assert found.ghost_share > 0.5
    assert found.psnr_moved_db is not None
    assert found.psnr_moved_db < 25
    assert found.psnr_still_db == 100
    summary = summarise([report.scores])
    assert summary["mertens"]["ghost_gap_closed"] == 0
    assert summary["mertens"]["loss_ratio"] == pytest.approx(1)


def test_folders_bring_their_own_truth(moving_set: Path, tmp_path: Path) -> None:
    scene = load_scene(find_cases(moving_set)[0])
    assert scene.still is not None
    fused = tmp_path / "fused"
    write(fused / "0001.png", average(scene.frames))
    methods = [FolderMethod("mine", fused), load_method("average")]
    assert evaluate_case(scene.case, methods).scores["mine"].psnr_db is None
    write(fused / "truth" / "0001.png", average(scene.still))
    scores = evaluate_case(scene.case, methods).scores
    assert scores["mine"] == scores["average"]


def test_a_perfect_method_closes_the_whole_gap(moving_set: Path, tmp_path: Path) -> None:
    case = find_cases(moving_set)[0]
    scene = load_scene(case)
    perfect = load_method("mertens").fuse_still(scene)
    assert perfect is not None
    path = write(tmp_path / "perfect.png", perfect)
    scores = evaluate_case(
        replace(case, truth=path), [PictureMethod("perfect", path), load_method("mertens")]
    ).scores
    assert scores["perfect"].psnr_db == 100
    assert scores["perfect"].ghost_share == 0
    assert scores["perfect"].ssim == pytest.approx(1)
    still = evaluate_case(case, [load_method("mertens")]).scores["mertens"].mef_ssim_still
    table = [{**scores, "mertens": replace(scores["mertens"], mef_ssim_still=still)}]
    assert summarise(table)["perfect"]["ghost_gap_closed"] == pytest.approx(1)


def test_the_summary_is_means_and_what_they_are_beside_mertens() -> None:
    def scored(s: float, c: float) -> Scores:
        return Scores(s, c, 0.5, 0.5, 7.0)

    table = [
        {"ours": scored(0.99, 0.9), "mertens": scored(0.98, 0.8)},
        {"ours": scored(0.96, 0.7), "mertens": scored(0.97, 0.8)},
    ]
    ours = summarise(table)["ours"]
    assert ours["brackets"] == 2
    assert ours["mef_ssim"] == pytest.approx(0.975)
    assert ours["psnr_db"] is None
    assert ours["loss_ratio"] == pytest.approx(0.05 / 0.05)
    assert ours["worst_difference"] == pytest.approx(-0.01)
    assert ours["share_not_below"] == 0.5
    assert ours["loss_ratio_mef_ssimc"] == pytest.approx(1)
    assert ours["ghost_gap_closed"] is None
    assert "loss_ratio" not in summarise([{"ours": scored(0.9, 0.9)}])["ours"]


def test_unknown_methods_and_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model"):
        load_method("magic")
    with pytest.raises(MefuseError, match=r"absent\.safetensors"):
        load_method("ipl", device="cpu", weights=tmp_path / "absent.safetensors")
