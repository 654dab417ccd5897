"""Camera raw files: one rendering for a bracket, true exposures, errors that name the file."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers import (
    X_TRANS,
    encoded,
    exposed,
    mosaic_of,
    textured_light,
    write_cfa_dng,
    write_dng,
)
from mefuse import colour, profiles, read
from mefuse.decode import upright
from mefuse.discover import find_sources
from mefuse.errors import InputError, ReadError
from mefuse.frames import Frame, Source
from mefuse.memory import available_memory_bytes
from mefuse.raw.develop import render, workers_for
from mefuse.raw.rendering import plan_rendering
from mefuse.settings import DEMOSAICS, RawSettings, RawSpace, WhiteBalance

LIGHT = 0.45 * textured_light(96, 128, stops=3.0)  # nothing clips at one second
TIMES = [(1, 8), (1, 1), (1, 4), (1, 2)]


def sources_of(folder: Path, times: list[tuple[int, int]], **options: object) -> list[Source]:
    paths = [folder / f"{i}.dng" for i in range(len(times))]
    for path, time in zip(paths, times, strict=True):
        write_cfa_dng(path, LIGHT, exposure_time=time, **options)  # type: ignore[arg-type]
    return find_sources(paths)


def linear_mean(frame: Frame) -> float:
    encoded = frame.pixels.astype(np.float64) / 65535
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return float(linear.mean())


def test_means_follow_the_exposures(tmp_path: Path) -> None:
    bracket = read.read_bracket(sources_of(tmp_path, TIMES))
    assert bracket.evs == pytest.approx([-2, -1, 0, 1]) or bracket.evs == pytest.approx(
        [-1, 0, 1, 2]
    )
    assert bracket.ev_source == "exif"
    means = [linear_mean(frame) for frame in bracket.frames]
    assert np.array(means) / means[-1] == pytest.approx([1 / 8, 1 / 4, 1 / 2, 1], rel=0.03)


def test_pixels_are_upright_16_bit_srgb(tmp_path: Path) -> None:
    (source,) = sources_of(tmp_path, [(1, 1)])
    frame = read.read_frame(source)
    assert frame.size == (96, 128)
    assert frame.pixels.dtype == np.uint16
    assert frame.metadata.icc is None
    assert source.exposure.exposure_time_s == 1.0
    # Gray light through the camera's own neutral is gray again, at sRGB's curve.
    gray = np.full((64, 64, 3), 0.18, np.float32)
    write_cfa_dng(tmp_path / "gray.dng", gray, exposure_time=(1, 1))
    pixels = read.read_frame(*find_sources([tmp_path / "gray.dng"])).pixels[8:-8, 8:-8] / 65535
    assert pixels.reshape(-1, 3).mean(axis=0) == pytest.approx([0.461] * 3, abs=0.01)


def test_clipped_highlights_are_white_not_magenta(tmp_path: Path) -> None:
    light = np.full((64, 64, 3), 8.0, np.float32)
    write_cfa_dng(tmp_path / "a.dng", light, exposure_time=(1, 1))
    pixels = read.read_frame(*find_sources([tmp_path / "a.dng"])).pixels[8:-8, 8:-8]
    assert pixels.min() > 65000


def test_orientation_is_applied(tmp_path: Path) -> None:
    (source,) = sources_of(tmp_path, [(1, 1)], orientation=6)
    assert read.read_frame(source).size == (128, 96)


def test_white_balance_is_the_references_for_all(tmp_path: Path) -> None:
    sources = sources_of(tmp_path, [(1, 4), (1, 2), (1, 1)])
    write_cfa_dng(sources[2].path, LIGHT, exposure_time=(1, 1), neutral=(0.7, 1.0, 0.4))
    plans = {i: plan_rendering(sources, reference=i).rendering for i in (None, 0, 2)}
    assert plans[None] == plans[0] != plans[2]
    assert plans[0].white_balance[:3] == pytest.approx((2.0, 1.0, 1 / 0.6), rel=0.01)
    assert plans[2].white_balance[:3] == pytest.approx((1 / 0.7, 1.0, 2.5), rel=0.01)


def test_the_rendering_does_not_depend_on_the_order_given(tmp_path: Path) -> None:
    sources = sources_of(tmp_path, [(1, 4), (1, 2), (1, 2)])
    write_cfa_dng(sources[2].path, LIGHT, exposure_time=(1, 2), neutral=(0.7, 1.0, 0.4))
    plans = {plan_rendering(order).rendering for order in itertools.permutations(sources)}
    assert len(plans) == 1


def test_clipped_light_is_white_where_the_sensor_saturates_below_its_stated_white(
    tmp_path: Path,
) -> None:
    light = LIGHT.copy()
    light[40:70, 30:80] = 20.0  # a lamp: clipped in every colour, in the brighter two frames
    for i, time in enumerate([(1, 1), (1, 2), (1, 64)]):
        write_cfa_dng(tmp_path / f"{i}.dng", light, exposure_time=time, saturation=3700)
    sources = find_sources(sorted(tmp_path.iterdir()))
    plan = plan_rendering(sources)
    assert plan.rendering.saturation == pytest.approx(3700 - 256, abs=2)
    for source in plan.sources[:2]:
        lamp = render(source, plan.rendering).pixels[46:64, 36:74]
        assert lamp.min() == 65535


def test_a_bright_wall_is_no_saturation(tmp_path: Path) -> None:
    wall = LIGHT.copy()
    wall[20:80, 20:100] = 0.9  # the brightest of the scene, and flat; each colour its own value
    write_cfa_dng(tmp_path / "0.dng", wall, exposure_time=(1, 1), neutral=(0.8, 1.0, 0.9))
    write_cfa_dng(tmp_path / "1.dng", wall, exposure_time=(1, 4), neutral=(0.8, 1.0, 0.9))
    plan = plan_rendering(find_sources(sorted(tmp_path.iterdir())))
    assert plan.rendering.saturation == 4095 - 256


def test_steps_hold_where_black_levels_differ(tmp_path: Path) -> None:
    write_cfa_dng(tmp_path / "0.dng", LIGHT, exposure_time=(1, 1), black=256, white=4095)
    write_cfa_dng(tmp_path / "1.dng", LIGHT, exposure_time=(1, 2), black=512, white=4351)
    frames = read.read_bracket(find_sources(sorted(tmp_path.iterdir()))).frames
    assert linear_mean(frames[0]) / linear_mean(frames[1]) == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("camera", (2.0, 1 / 0.6)),
        ("daylight", (2.0, 1 / 0.6)),  # the maker's matrix was made with this neutral
        ((1.5, 1.0, 3.0), (1.5, 3.0)),
        ((3.0, 2.0, 6.0), (1.5, 3.0)),
    ],
)
def test_white_balances(
    tmp_path: Path, wanted: WhiteBalance, expected: tuple[float, float]
) -> None:
    settings = RawSettings(white_balance=wanted)
    plan = plan_rendering(sources_of(tmp_path, [(1, 1)]), settings=settings)
    red, green, blue, _ = plan.rendering.white_balance
    assert green == 1 and (red, blue) == pytest.approx(expected, rel=0.01)
    assert plan.warnings == ()


def tinted(tmp_path: Path, tint: tuple[float, float, float]) -> Path:
    path = tmp_path / "tinted.dng"
    gray = 0.5 * textured_light(96, 128, stops=2.0).mean(axis=2, keepdims=True)
    light = (gray * np.array(tint)).astype(np.float32)
    write_cfa_dng(path, light, exposure_time=(1, 1))
    return path


def test_automatic_white_balance_makes_the_mean_gray(tmp_path: Path) -> None:
    (source,) = find_sources([tinted(tmp_path, (1.0, 0.7, 0.4))])
    pixels = read.read_frame(source, raw=RawSettings(white_balance="auto")).pixels
    means = pixels[8:-8, 8:-8].reshape(-1, 3).mean(axis=0)
    assert means / means[1] == pytest.approx([1, 1, 1], rel=0.02)
    as_shot = read.read_frame(source).pixels.reshape(-1, 3).mean(axis=0)
    assert as_shot[0] / as_shot[2] > 1.3


def test_a_missing_white_balance_is_found_in_the_picture_and_said(tmp_path: Path) -> None:
    mosaic = mosaic_of(LIGHT)
    write_dng(tmp_path / "a.dng", mosaic, neutral=None)
    frame = read.read_frame(*find_sources([tmp_path / "a.dng"]))
    (warning,) = frame.warnings
    assert "a.dng: records no white balance, taken from the picture" in warning
    means = frame.pixels.reshape(-1, 3).mean(axis=0)
    assert means / means[1] == pytest.approx([1, 1, 1], abs=0.1)


def test_frames_are_developed_again_where_the_reference_turns_out_to_be_another(
    tmp_path: Path,
) -> None:
    """Of two middle frames the better exposed one is the reference, known only once developed."""
    write_cfa_dng(tmp_path / "0.dng", LIGHT / 50, exposure_time=(1, 4), neutral=(0.7, 1, 0.4))
    write_cfa_dng(tmp_path / "1.dng", LIGHT, exposure_time=(1, 2))
    sources = find_sources(sorted(tmp_path.iterdir()))
    assert plan_rendering(sources).reference == 0
    bracket = read.read_bracket(sources)
    assert bracket.frames[bracket.reference].source.path.name == "1.dng"
    whole = read.read_bracket(sources, reference=1)
    for one, other in zip(bracket.frames, whole.frames, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("way", DEMOSAICS)
def test_every_demosaicing_gives_the_scene(tmp_path: Path, way: str) -> None:
    (source,) = sources_of(tmp_path, [(1, 1)])
    pixels = read.read_frame(source, raw=RawSettings(demosaic=way)).pixels
    truth = exposed(LIGHT, 0, depth=16)
    error = pixels[8:-8, 8:-8].astype(np.float64) - truth[8:-8, 8:-8]
    assert np.abs(error).mean() < 300


def test_an_unknown_demosaicing_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"demosaicing magic: LibRaw here has .*ahd.*; choose"):
        read.read_frame(sources_of(tmp_path, [(1, 1)])[0], raw=RawSettings(demosaic="magic"))


def test_half_size(tmp_path: Path) -> None:
    (source,) = sources_of(tmp_path, [(1, 1)], crop=(10, 20, 70, 90))
    frame = read.read_frame(source, raw=RawSettings(half_size=True))
    assert frame.size == (35, 45)
    whole = read.read_frame(source)
    assert linear_mean(frame) == pytest.approx(linear_mean(whole), rel=0.01)


@pytest.mark.parametrize("half_size", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_makers_crop_is_cut_upright(tmp_path: Path, orientation: int, half_size: bool) -> None:
    (source,) = sources_of(tmp_path, [(1, 1)], crop=(10, 20, 70, 92), orientation=orientation)
    frame = read.read_frame(source, raw=RawSettings(half_size=half_size))
    expected = upright(exposed(LIGHT, 0, depth=16)[10:80, 20:112], orientation)
    if half_size:
        size = (expected.shape[1] // 2, expected.shape[0] // 2)
        expected = cv2.resize(expected, size, interpolation=cv2.INTER_AREA)
    assert frame.pixels.shape == expected.shape
    error = frame.pixels.astype(np.float64) - expected
    assert np.abs(error[4:-4, 4:-4]).mean() < 350


def test_frames_of_different_cameras_are_refused(tmp_path: Path) -> None:
    sources = sources_of(tmp_path, [(1, 4), (1, 2), (1, 1)])
    write_cfa_dng(sources[2].path, LIGHT, exposure_time=(1, 1), model="Other")
    with pytest.raises(
        InputError,
        match=r"2\.dng: is from another camera than .*1\.dng \(Test Other, not Test Camera\)",
    ):
        read.read_bracket(sources)


def test_x_trans(tmp_path: Path) -> None:
    light = 0.45 * textured_light(516, 528, stops=3.0)
    path = tmp_path / "a.dng"
    write_cfa_dng(path, light, exposure_time=(1, 1), pattern=X_TRANS)
    for settings in (RawSettings(), RawSettings(demosaic="ppg"), RawSettings(half_size=True)):
        frame = read.read_frame(*find_sources([path]), raw=settings)
        truth = exposed(light, 0, depth=16)
        if settings.half_size:
            truth = cv2.resize(truth, (264, 258), interpolation=cv2.INTER_AREA)
        error = frame.pixels.astype(np.float64)[8:-8, 8:-8] - truth[8:-8, 8:-8]
        assert np.abs(error).mean() < 300
        assert len(frame.warnings) == (settings.demosaic == "ppg")


@pytest.mark.parametrize("half_size", [False, True])
def test_a_monochrome_sensor_gives_gray(tmp_path: Path, half_size: bool) -> None:
    gray = 0.8 * textured_light(96, 128, stops=3.0)[..., 1]
    values = np.round(gray * 4095).astype(np.uint16)
    path = tmp_path / "a.dng"
    matrix = np.array([[0.0, 1.0, 0.0]])
    write_dng(path, values, pattern=(), neutral=None, matrix=matrix)
    frame = read.read_frame(*find_sources([path]), raw=RawSettings(half_size=half_size))
    truth = exposed(np.repeat(gray[..., None], 3, axis=2), 0, depth=16)
    if half_size:
        truth = cv2.resize(truth, (64, 48), interpolation=cv2.INTER_AREA)
    assert frame.pixels.shape == truth.shape and frame.warnings == ()
    assert np.abs(frame.pixels.astype(np.float64) - truth).mean() < 200


def test_linear_raw(tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    neutral = (0.5, 1.0, 0.6)
    write_dng(path, np.round(LIGHT * neutral * 4095).astype(np.uint16), neutral=neutral)
    frame = read.read_frame(*find_sources([path]))
    error = frame.pixels.astype(np.float64) - exposed(LIGHT, 0, depth=16)
    assert np.abs(error).mean() < 100


SPACES = {  # linear sRGB -> the space
    "p3": [[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]],
    "adobe-rgb": [[0.7152, 0.2848, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0412, 0.9588]],
    "prophoto": [[0.5293, 0.3301, 0.1406], [0.0984, 0.8735, 0.0282], [0.0169, 0.1177, 0.8655]],
}


@pytest.mark.parametrize("space", SPACES)
def test_wider_colour_spaces_have_srgbs_curve_until_they_are_written(
    tmp_path: Path, space: RawSpace
) -> None:
    (source,) = sources_of(tmp_path, [(1, 8)])
    profile = profiles.standard(space)
    frame = read.read_frame(source, raw=RawSettings(space=space, profile=profile))
    assert frame.stored_icc == profile
    light = LIGHT.astype(np.float64) / 8 @ np.array(SPACES[space]).T
    truth = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    error = frame.pixels.astype(np.float64) - 65535 * truth
    assert np.abs(error[8:-8, 8:-8]).mean() < 150
    stored = colour.converted(frame.pixels, source=frame.metadata.icc, target=profile)
    back = colour.converted(stored, source=profile, target=frame.metadata.icc)
    assert np.abs(back.astype(int) - frame.pixels).max() < 64


def test_a_colour_space_without_its_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="colour space p3: give its ICC profile"):
        read.read_frame(sources_of(tmp_path, [(1, 1)])[0], raw=RawSettings(space="p3"))


def test_raw_settings_are_no_use_to_other_files(tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for ev, path in zip((-1, 0), paths, strict=True):
        path.write_bytes(encoded(exposed(LIGHT, ev), ".png"))
    assert read.read_bracket(find_sources(paths)).warnings == ()
    told = read.read_bracket(find_sources(paths), raw=RawSettings(half_size=True)).warnings
    assert told == ("white balance, demosaicing and half size are for raw files, these are none",)


def test_frames_are_developed_side_by_side_as_far_as_memory_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_rendering(sources_of(tmp_path, TIMES))
    pixels = 96 * 128
    monkeypatch.setattr("mefuse.raw.develop.os.cpu_count", lambda: 16)
    for free, expected in ((1 << 40, (4, 4)), (100 * pixels, (2, 8)), (0, (1, 16))):
        monkeypatch.setattr("mefuse.raw.develop.available_memory_bytes", lambda free=free: free)
        assert workers_for(plan) == expected


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux tells")
def test_free_memory_is_part_of_all_memory() -> None:
    free = available_memory_bytes()
    assert free is not None
    assert 0 <= free < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_the_options_of_the_command(tmp_path: Path) -> None:
    names = [str(source.path) for source in sources_of(tmp_path, [(1, 4), (1, 1)])]
    fused = tmp_path / "fused.tiff"

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mefuse", "fuse", *names, "-o", str(fused)]
        command += ["--model", "mertens", "--json", "--no-crop", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("--wb", "2,1,1.6", "--demosaic", "ppg", "--half-size")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["size"] == {"height": 48, "width": 64}
    assert cv2.imread(str(fused), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    for options, told in (
        (("--wb", "1,2"), "neither camera, auto, daylight nor three numbers"),
        (("--wb", "0,1,1"), "neither camera, auto, daylight nor three numbers"),
        (("--demosaic", "magic"), "'ahd'"),
    ):
        refused = run(*options)
        assert refused.returncode == 2 and told in refused.stderr.replace("\n", " ")


def test_the_lowest_white_level_counts_for_all(tmp_path: Path) -> None:
    sources = sources_of(tmp_path, [(1, 4), (1, 2)])
    alone = linear_mean(read.read_frame(sources[1]))
    write_cfa_dng(sources[0].path, LIGHT, exposure_time=(1, 4), white=3800)
    rendering = plan_rendering(sources).rendering
    assert rendering.saturation == 3800 - 256
    together = linear_mean(render(sources[1], rendering))
    assert together / alone == pytest.approx((4095 - 256) / (3800 - 256), rel=0.01)


def test_orientation_of_the_reference_holds_for_all(tmp_path: Path) -> None:
    sources = sources_of(tmp_path, [(1, 4), (1, 2), (1, 1)])
    write_cfa_dng(sources[0].path, LIGHT, exposure_time=(1, 4), orientation=6)
    bracket = read.read_bracket(sources, reference=1)
    assert {frame.size for frame in bracket.frames} == {(96, 128)}


def test_exif_of_the_raw_file_is_kept(tmp_path: Path) -> None:
    (source,) = sources_of(tmp_path, [(1, 2)])
    exif = read.read_frame(source).metadata.exif
    assert exif is not None
    assert (1).to_bytes(4, "little") + (2).to_bytes(4, "little") in exif


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_cut_raw_file_is_refused(tmp_path: Path, share: float) -> None:
    (source,) = sources_of(tmp_path, [(1, 1)])
    data = source.path.read_bytes()
    source.path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ReadError, match=r"0\.dng: is (truncated or damaged|no raw file)"):
        read.read_frame(source)


def test_what_is_no_raw_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nef"
    path.write_bytes(b"not a raw file " * 99)
    with pytest.raises(ReadError, match=r"a\.nef: is no raw file that LibRaw can decode; convert"):
        read.read_frame(*find_sources([path]))
