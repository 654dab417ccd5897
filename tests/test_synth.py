"""`mefuse synth`: brackets whose truth is true, the same bytes from the same command."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from mefuse.cli import main
from mefuse.discover import find_sources
from mefuse.errors import InputError, OutputExistsError
from mefuse.synth.brackets import Bracket, BracketSettings, draw_bracket, ladder
from mefuse.synth.camera import Camera
from mefuse.synth.dataset import SetSettings, write_set
from mefuse.synth.enlarge import enlarged
from mefuse.synth.pictures import PictureFolder
from mefuse.synth.places import make_place

HEIGHT, WIDTH = 180, 270


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small panorama, a flat HDR picture and two photographs."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(2)
    for name, size in (("panorama", (64, 128)), ("flat", (90, 120))):
        soft = cv2.resize(rng.normal(0, 1.2, (6, 9, 3)), size[::-1], interpolation=cv2.INTER_CUBIC)
        light = np.exp(soft + 0.2 * rng.normal(size=(*size, 1)))
        cv2.imwrite(str(folder / f"{name}.hdr"), light.astype(np.float32))
    for number in range(2):
        photo = cv2.resize(rng.uniform(0, 255, (50, 60, 3)), (300, 240))
        cv2.imwrite(str(folder / f"{number}.png"), photo.astype(np.uint8))
    return folder


def _bracket(pictures: Path | None, index: int = 0, **changes: Any) -> Bracket:
    """A bracket taken by a camera without noise."""
    given: dict[str, Any] = {"size": (HEIGHT, WIDTH), "motion": "strong", "seed": 3, "depth": 16}
    folder = PictureFolder.scanned(pictures) if pictures else None
    bracket = draw_bracket(BracketSettings(**(given | changes)), index, folder=folder)
    return replace(bracket, camera=Camera(read_noise=0.0, shot_noise=0.0))


def _psnr(one: NDArray[Any], other: NDArray[Any], where: NDArray[np.bool_]) -> float:
    error = (one[where].astype(np.float64) - other[where]) / np.iinfo(one.dtype).max
    return float(-10 * np.log10(max(np.square(error).mean(), 1e-12)))


def _pulled(frame: NDArray[Any], transform: NDArray[np.float64]) -> NDArray[Any]:
    """A frame as the reference's pose would see it."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpPerspective(frame, transform, (frame.shape[1], frame.shape[0]), flags=flags)
    )


@pytest.mark.parametrize("index", [0, 1])
def test_transforms_mask_and_truth_are_true(pictures: Path, index: int) -> None:
    bracket = _bracket(pictures, index)
    still = bracket.mask() == 0
    still[:12], still[-12:], still[:, :12], still[:, -12:] = False, False, False, False
    inner = np.zeros_like(still)
    inner[12:-12, 12:-12] = True
    assert 0.02 < still.mean() < 0.9
    for k, transform in enumerate(bracket.transforms):
        pulled, truth = _pulled(bracket.frame(k), transform), bracket.truth(k)
        assert _psnr(pulled, truth, still) > 38
        if k == bracket.settings.reference:
            assert np.array_equal(transform, np.eye(3))
            assert np.array_equal(pulled, truth)
        else:
            assert _psnr(pulled, truth, inner & ~still) < _psnr(pulled, truth, still) - 8
            assert _psnr(bracket.frame(k), truth, still) < _psnr(pulled, truth, still) - 3


def test_on_a_tripod_frames_differ_from_their_truth_by_motion_alone(pictures: Path) -> None:
    bracket = _bracket(pictures, hand_held=False, motion="some")
    noisy = replace(bracket, camera=Camera(read_noise=0.01, shot_noise=0.02))
    moved = bracket.mask() > 0
    assert 0.005 < moved.mean() < 0.9
    for k in (0, 2):
        frame, truth = noisy.frame(k).astype(int), noisy.truth(k)
        assert _psnr(noisy.frame(k), truth, ~moved) > 45
        assert (np.abs(frame - truth).max(axis=2) > 300)[moved].mean() > 0.2
    quiet = _bracket(pictures, hand_held=False, motion="none")
    assert not quiet.mask().any()
    assert np.array_equal(quiet.frame(0), quiet.truth(0))


def test_frames_are_exposures_of_one_light(pictures: Path) -> None:
    bracket = _bracket(pictures, hand_held=False, motion="none", evs=(-1.5, 0.0, 1.0, 2.0))
    assert bracket.evs == pytest.approx((-1.5, 0.0, 1.0, 2.0), abs=1e-3)
    linear = [(bracket.frame(k) / 65535.0) for k in range(4)]
    curve = np.linspace(0, 1, 4096)
    s_shaped = 0.7 * curve + 0.3 * curve**2 * (3 - 2 * curve)  # the response of `Camera()`
    linear = [np.interp(codes, s_shaped, curve) ** 2.2 for codes in linear]
    for k, ev in enumerate(bracket.evs):
        seen = (linear[1] > 0.02) & (linear[1] < 0.9) & (linear[k] < 0.9) & (linear[k] > 0.005)
        assert np.median(linear[k][seen] / linear[1][seen]) == pytest.approx(2.0**ev, rel=0.01)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["synth", "--size", f"{WIDTH}x{HEIGHT}", *arguments])


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_command_gives_the_same_bytes(pictures: Path, tmp_path: Path) -> None:
    common = ["--pictures", str(pictures), "--count", "2", "--seed", "5", "--frames", "2"]
    for name, extra in (("a", []), ("b", ["--jobs", "2"]), ("c", ["--seed", "6"])):
        done = _run("-o", str(tmp_path / name), *common, *extra)
        assert done.exit_code == 0, done.stderr
        assert done.stdout.splitlines() == [str(tmp_path / name / n) for n in ("0001", "0002")]
    first, second, other = (_hashes(tmp_path / name) for name in "abc")
    assert len(first) == 2 * (2 + 2 + 1) + 1
    assert first == second
    assert set(first) == set(other)
    assert not set(first.values()) & set(other.values())


def test_the_manifest_tells_what_is_there(pictures: Path, tmp_path: Path) -> None:
    done = _run("-o", str(tmp_path), "--pictures", str(pictures), "--exposures", "3,-2,0,1.5")
    assert done.exit_code == 0, done.stderr
    (entry,) = json.loads((tmp_path / "manifest.json").read_text())
    assert (entry["name"], entry["reference"], entry["seed"]) == ("0001", 1, 1)
    assert entry["size"] == {"height": HEIGHT, "width": WIDTH}
    assert entry["place"] in ("panorama.hdr", "flat.hdr")
    paths = [frame["path"] for frame in entry["frames"]]
    for name in (*paths, *entry["truth"], entry["mask"]):
        assert not Path(name).is_absolute()
        stored = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
        assert stored.shape[:2] == (HEIGHT, WIDTH)
    assert entry["frames"][1]["transform"] == np.eye(3).tolist()
    assert (tmp_path / paths[1]).read_bytes() == (tmp_path / entry["truth"][1]).read_bytes()
    for source, frame in zip(
        find_sources([tmp_path / path for path in paths]), entry["frames"], strict=True
    ):
        assert source.exposure.exposure_time_s == pytest.approx(frame["exposure_time_s"])
        assert (source.exposure.f_number, source.exposure.iso) == (8.0, entry["camera"]["iso"])
    assert [frame["ev"] for frame in entry["frames"]] == pytest.approx([-2, 0, 1.5, 3], abs=1e-3)


def test_tiff_frames_have_16_bits_and_their_exposure(pictures: Path, tmp_path: Path) -> None:
    done = _run("-o", str(tmp_path), "--pictures", str(pictures), "--format", "tiff", "--tripod")
    assert done.exit_code == 0, done.stderr
    (entry,) = json.loads((tmp_path / "manifest.json").read_text())
    paths = [tmp_path / frame["path"] for frame in entry["frames"]]
    pixels = cv2.imread(str(paths[1]), cv2.IMREAD_UNCHANGED)
    assert pixels.dtype == np.uint16 and (pixels % 257 != 0).mean() > 0.9
    times = [source.exposure.exposure_time_s for source in find_sources(paths)]
    assert times == pytest.approx([frame["exposure_time_s"] for frame in entry["frames"]])
    assert entry["camera"]["jpeg_quality"] is None
    assert all(frame["transform"] == np.eye(3).tolist() for frame in entry["frames"])


def test_without_pictures_it_shows_the_room() -> None:
    bracket = _bracket(None, motion="some", size=(96, 144))
    assert bracket.place.name == "built-in room"
    means = [bracket.frame(k).mean() for k in range(3)]
    assert means[0] < means[1] < means[2]
    assert len(bracket.motion.things) + len(bracket.motion.sways) > 0


def test_what_exists_is_kept(pictures: Path, tmp_path: Path) -> None:
    arguments = ["-o", str(tmp_path), "--pictures", str(pictures), "--motion", "none"]
    (tmp_path / "manifest.json").write_text("mine")
    refused = _run(*arguments)
    assert refused.exit_code == 1 and "exists" in refused.stderr
    assert (tmp_path / "manifest.json").read_text() == "mine"
    assert not (tmp_path / "0001").exists()
    assert _run(*arguments, "--overwrite").exit_code == 0
    settings = SetSettings(BracketSettings(size=(64, 64)), pictures=pictures)
    with pytest.raises(OutputExistsError):
        list(write_set(tmp_path, settings=settings))


@pytest.mark.parametrize(
    "arguments",
    [["--exposures", "0"], ["--exposures", "1,1"], ["--exposures", "a,b"], ["--frames", "1"],
     ["--frames", "10"], ["--size", "12"], ["--exposures", "0,40"], ["--moving", "stones"]],
)  # fmt: skip
def test_commands_that_are_none(arguments: list[str], tmp_path: Path) -> None:
    done = _run("-o", str(tmp_path), *arguments)
    assert done.exit_code == 2
    assert arguments[0] in done.stderr


def test_a_folder_without_hdr_is_refused(tmp_path: Path) -> None:
    done = _run("-o", str(tmp_path / "out"), "--pictures", str(tmp_path))
    assert done.exit_code == 1
    assert ".hdr" in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_ladders_and_references() -> None:
    assert ladder(3, 2.0) == (-2.0, 0.0, 2.0)
    assert ladder(4, 1.0) == (-1.0, 0.0, 1.0, 2.0)
    assert BracketSettings(evs=(-3.0, -1.0, 1.0)).reference == 1
    for evs in ((0.0,), (1.0, 1.0), tuple(range(10))):
        with pytest.raises(InputError):
            BracketSettings(evs=evs)


def test_every_picture_comes_before_any_comes_again(pictures: Path) -> None:
    folder = PictureFolder.scanned(pictures)
    settings = BracketSettings(size=(64, 96), motion="none", seed=9)
    names = [draw_bracket(settings, index, folder=folder).place.name for index in range(4)]
    assert set(names[:2]) == set(names[2:]) == {"panorama.hdr", "flat.hdr"}


def test_a_view_has_margin_and_horizon(pictures: Path) -> None:
    folder = PictureFolder.scanned(pictures)
    panorama = [path.name for path in folder.hdr].index("panorama.hdr")
    rng = np.random.default_rng(0)
    place = make_place(rng, (HEIGHT, WIDTH), folder=folder, chosen=panorama)
    assert place.radiance.shape == (3, HEIGHT + 2 * place.margin, WIDTH + 2 * place.margin)
    assert place.horizon is not None and 0.2 < place.horizon < 0.8
    assert np.isfinite(place.radiance.float().numpy()).all() and place.radiance.min() > 0
    flat = make_place(rng, (HEIGHT, WIDTH), folder=folder, chosen=1 - panorama)
    assert flat.horizon is None


def test_enlarging_keeps_light_and_adds_fine_detail() -> None:
    rng = np.random.default_rng(4)
    small = np.exp(cv2.resize(rng.normal(0, 1, (5, 8, 3)), (60, 40))).astype(np.float32)
    small *= np.exp(0.25 * rng.normal(size=(40, 60, 1))).astype(np.float32)
    large = enlarged(small, (400, 600), own_px=60, rng=rng, photos=[])
    back = cv2.resize(
        large.permute(1, 2, 0).float().numpy(), (60, 40), interpolation=cv2.INTER_AREA
    )
    assert np.median(np.abs(back / small - 1)) < 0.15
    assert np.median(back / small) == pytest.approx(1, abs=0.05)
    luma = np.log(large.float().mean(0).numpy())
    plain = np.log(cv2.resize(small.mean(axis=2), (600, 400), interpolation=cv2.INTER_CUBIC))
    fine, soft = (np.abs(cv2.Laplacian(x, cv2.CV_32F)).mean() for x in (luma, plain))
    assert fine > 2 * soft
