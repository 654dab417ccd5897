"""Camera raw files: one rendering for a bracket, true exposures, errors that name the file."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from helpers import textured_light, write_cfa_dng
from mefuse import read
from mefuse.discover import find_sources
from mefuse.errors import ReadError
from mefuse.frames import Frame, Source
from mefuse.raw.develop import render
from mefuse.raw.rendering import plan_rendering

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "raw"
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


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data/raw beside the repository")
def test_real_raw_files() -> None:
    for path in sorted(SHARED.glob("*.[cCdD][rRnN][wWgG]")):
        frame = read.read_frame(*find_sources([path]))
        assert min(frame.size) > 800
        assert 500 < frame.pixels.mean() < 60000
    crw = read.read_frame(*find_sources([SHARED / "canon_d30_bayer.CRW"]))
    assert crw.source.exposure.exposure_time_s == pytest.approx(5, rel=0.02)
    with pytest.raises(ReadError, match="is no raw file that LibRaw can decode"):
        read.read_frame(*find_sources([SHARED / "gopro_hero8.GPR"]))
