"""Large TIFFs: read by regions, fused in bands, and the same bytes as in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mefuse import decode, fuse, overview, regions, scratch, stream
from mefuse.discover import find_sources
from mefuse.errors import ReadError
from mefuse.fuse import fuse_files
from mefuse.read import read_frame
from mefuse.settings import FuseSettings, LookSettings
from mefuse.synth.sample import make_sample
from mefuse.write import tiff

RNG = np.random.default_rng(3)
HEIGHT, WIDTH = 210, 333
SHALLOW = cv2.resize(RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8), (WIDTH, HEIGHT))
DEEP = SHALLOW.astype(np.uint16) * 251 + 3

LAYOUTS: dict[str, dict[str, Any]] = {
    "one plain strip": {},
    "plain strips": {"rowsperstrip": 16},
    "deflated strips": {"compression": "zlib", "rowsperstrip": 17, "predictor": True},
    "lzw tiles": {"compression": "lzw", "tile": (64, 80), "predictor": True},
    "zstd tiles": {"compression": "zstd", "tile": (32, 32)},
    "plain tiles": {"tile": (64, 64)},
    "big": {"compression": "zlib", "tile": (64, 64), "bigtiff": True},
    "big-endian": {"compression": "zlib", "tile": (64, 64), "byteorder": ">"},
    "big-endian plain": {"byteorder": ">"},
    "packbits": {"compression": "packbits", "rowsperstrip": 8},
}


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "FROM_PX", 1000)
    monkeypatch.setattr(regions, "_PLAIN_BYTES", 20_000)


def opened(path: Path) -> regions.TiffRegions:
    found = decode.open_tiff_regions(path)
    assert found is not None
    pixels: regions.TiffRegions = found.pixels
    return pixels


def saved(path: Path, pixels: NDArray[Any], **layout: Any) -> Path:
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(path, pixels, photometric=photometric, **layout)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pixels", [SHALLOW, DEEP], ids=["8 bits", "16 bits"])
def test_every_layout_gives_the_pixels(tmp_path: Path, pixels: NDArray[Any], layout: str) -> None:
    file = opened(saved(tmp_path / "a.tif", pixels, **LAYOUTS[layout]))
    assert file.shape == pixels.shape
    assert file.dtype == pixels.dtype
    assert np.array_equal(np.asarray(file), pixels)
    assert np.array_equal(file[50:121, 30:31], pixels[50:121, 30:31])
    assert np.array_equal(file[200:], pixels[200:])
    assert file[5:5].shape == (0, WIDTH, 3)


def test_gray_and_alpha(tmp_path: Path) -> None:
    gray = saved(tmp_path / "gray.tif", SHALLOW[..., 0], tile=(64, 64))
    assert np.array_equal(opened(gray)[10:90, 5:300], np.repeat(SHALLOW[10:90, 5:300, :1], 3, 2))
    for layout in ({}, {"tile": (64, 64)}):
        path = tmp_path / "alpha.tif"
        with_alpha = np.dstack((SHALLOW, SHALLOW[..., 0]))
        tifffile.imwrite(path, with_alpha, photometric="rgb", extrasamples=["unassalpha"], **layout)
        found = decode.open_tiff_regions(path)
        assert found is not None
        assert np.array_equal(np.asarray(found.pixels), SHALLOW)
        assert found.warnings == (f"{path}: alpha channel dropped",)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.tuples(st.integers(0, HEIGHT), st.integers(0, HEIGHT)),
    columns=st.tuples(st.integers(0, WIDTH), st.integers(0, WIDTH)),
)
def test_any_region_is_that_part(
    tmp_path_factory: pytest.TempPathFactory, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tif"
    if not path.exists():
        saved(path, SHALLOW, compression="zlib", tile=(48, 64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "FROM_PX", 1000)
        patch.setattr(regions, "CACHE_BYTES", 1)  # parts are dropped and decoded again
        place = (slice(min(rows), max(rows)), slice(min(columns), max(columns)))
        assert np.array_equal(opened(path)[place], SHALLOW[place])


def test_small_files_and_other_kinds_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), SHALLOW)
    assert decode.open_tiff_regions(tmp_path / "a.png") is None
    planar = tmp_path / "planar.tif"
    tifffile.imwrite(planar, SHALLOW.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    assert decode.open_tiff_regions(planar) is None
    monkeypatch.setattr(regions, "FROM_PX", SHALLOW.size)
    assert decode.open_tiff_regions(saved(tmp_path / "a.tif", SHALLOW)) is None


def test_a_file_cut_short_or_damaged_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", SHALLOW, compression="zlib", tile=(64, 64))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 2000] = bytes(2000)
    path.write_bytes(damaged)
    with pytest.raises(ReadError, match=r"a\.tif: is truncated or damaged"):
        np.asarray(opened(path))
    plain = saved(tmp_path / "b.tif", SHALLOW)
    plain.write_bytes(plain.read_bytes()[:-5000])
    with pytest.raises(ReadError, match=r"b\.tif: is truncated or damaged"):
        decode.open_tiff_regions(plain)


@pytest.mark.parametrize("pixels", [SHALLOW, DEEP], ids=["8 bits", "16 bits"])
def test_an_overview_from_a_file_is_that_from_memory(
    tmp_path: Path, pixels: NDArray[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "WHOLE_UP_TO_PX", 100)
    monkeypatch.setattr(overview, "OVERVIEW_PX", 90)
    assert overview.factor_of(pixels.shape) == 4
    small = overview.overview_of(pixels)
    assert small.shape == (HEIGHT // 4, WIDTH // 4, 3)
    direct = cv2.resize(
        pixels[: HEIGHT // 4 * 4, : WIDTH // 4 * 4],
        (WIDTH // 4, HEIGHT // 4),
        interpolation=cv2.INTER_AREA,
    )
    assert np.array_equal(small, direct)
    monkeypatch.setattr(overview, "_BAND_BYTES", 9000)
    file = opened(saved(tmp_path / "a.tif", pixels, tile=(48, 48)))
    assert np.array_equal(overview.overview_of(file), small)
    x, y, _ = overview.to_frame(4) @ [0, 0, 1]
    assert (x, y) == (1.5, 1.5)


def bracket(folder: Path, *, deep: bool, **layout: Any) -> list[Path]:
    paths = []
    for k, frame in enumerate(make_sample(300, 420, seed=1)):
        pixels = frame.pixels.astype(np.uint16) * 257 if deep else frame.pixels
        paths.append(saved(folder / f"{k}.tif", pixels, **layout))
    return paths


@pytest.mark.parametrize(
    ("deep", "look"),
    [(False, LookSettings()), (True, LookSettings()), (False, LookSettings("vivid"))],
    ids=["8 bits", "16 bits", "a look"],
)
def test_a_picture_in_bands_from_regions_is_the_same_bytes(
    tmp_path: Path, deep: bool, look: LookSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "WHOLE_UP_TO_PX", 256)
    monkeypatch.setattr(overview, "OVERVIEW_PX", 256)
    paths = bracket(tmp_path, deep=deep, compression="zlib", tile=(64, 64))
    settings = FuseSettings(look=look, slice_size=64, overwrite=True, ghost="auto")
    with monkeypatch.context() as patch:
        patch.setattr(regions, "FROM_PX", 10**9)
        whole = fuse_files(paths, tmp_path / "whole.tif", settings=settings)
    monkeypatch.setattr(fuse, "BANDS_FROM_PX", 1000)
    monkeypatch.setattr(stream, "BAND_BYTES", 100_000)
    monkeypatch.setattr(stream, "REST_SLICES", 3)
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 1000)
    monkeypatch.setattr(tiff, "_TILED_FROM_PX", 1000)
    banded = fuse_files(paths, tmp_path / "bands.tif", settings=settings)
    one, other = (tifffile.imread(tmp_path / name) for name in ("whole.tif", "bands.tif"))
    assert one.dtype == (np.uint16 if deep else np.uint8)
    assert np.array_equal(one, other)
    assert [frame.transform for frame in whole.frames] == [f.transform for f in banded.frames]
    assert whole.size == banded.size == one.shape[:2]
    with tifffile.TiffFile(tmp_path / "bands.tif") as file:
        assert file.pages[0].is_tiled


def test_bands_are_made_one_by_one_and_a_failure_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = bracket(tmp_path, deep=False, compression="zlib", tile=(64, 64))
    monkeypatch.setattr(fuse, "BANDS_FROM_PX", 1000)
    monkeypatch.setattr(stream, "BAND_BYTES", 100_000)
    made: list[int] = []
    blend = stream.NetworkFuser._blend

    def failing(self: Any, *arguments: Any) -> Any:
        for band in blend(self, *arguments):
            made.append(len(band))
            if len(made) == 3:
                raise OSError(28, "No space left on device")
            yield band

    monkeypatch.setattr(stream.NetworkFuser, "_blend", failing)
    with pytest.raises(OSError, match="no space left"):
        fuse_files(paths, tmp_path / "a.tif", settings=FuseSettings(slice_size=64))
    assert made == [64, 64, 64]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.tif", "1.tif", "2.tif"]


def test_frames_that_have_to_be_changed_first_are_held_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dark, bright = SHALLOW // 2 + 20, SHALLOW // 2 + 90
    turned = saved(tmp_path / "turned.tif", dark, tile=(64, 64), extratags=[(274, 3, 1, 6, True)])
    frame = read_frame(find_sources([turned])[0], by_regions=True)
    assert isinstance(frame.pixels, np.ndarray)
    assert np.array_equal(frame.pixels, np.rot90(dark, -1))
    deep = np.multiply(bright, 257, dtype=np.uint16)
    paths = [
        saved(tmp_path / "shallow.tif", dark, tile=(64, 64)),
        saved(tmp_path / "deep.tif", deep, tile=(64, 64)),
    ]
    settings = FuseSettings(align=False, overwrite=True)
    target = tmp_path / "out.png"
    by_regions = fuse_files(paths, target, settings=settings)
    there = target.read_bytes()
    monkeypatch.setattr(regions, "FROM_PX", 10**9)
    assert fuse_files(paths, target, settings=settings).warnings == by_regions.warnings
    assert any("8 bits among 16, promoted" in said for said in by_regions.warnings)
    assert target.read_bytes() == there


def test_arrays_in_files_give_back_their_memory_and_keep_their_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = scratch.Scratch().empty((4, 4))
    small[...] = 1
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 1000)
    large = scratch.Scratch().empty((3, 1 << 20))
    large[...] = 2
    held = _resident_file_bytes()
    for array in (small, large, large[1:, ::2]):
        scratch.let_go(array)
    if held is not None:
        assert _resident_file_bytes() < held - 2 * 4 * 2**20
    assert (small == 1).all() and (large == 2).all()


def _resident_file_bytes() -> int | None:
    """What this process holds of files; None where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = status.read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssFile:"))
