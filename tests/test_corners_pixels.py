"""Corners of reading and telling: pixels of rare kinds, files that change, lines of a report."""

from __future__ import annotations

import io
import os
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from batch_helpers import write_bracket
from helpers import encoded, exif_block, exposed, textured_light
from mefuse import containers, decode, exif_copy, neighbours, regions, registration
from mefuse.bands import Bands, in_rows
from mefuse.cli import main, streams
from mefuse.cli.options import SliceSize, WhiteBalanceType
from mefuse.cli.report import Reporter
from mefuse.errors import ReadError
from mefuse.group import pixels as group_pixels
from mefuse.heif import decode_heif, decode_jxl
from mefuse.raw import preview as raw_preview

PIXELS = exposed(textured_light(60, 80), 1.0)


def test_pixels_that_are_no_codes_are_refused() -> None:
    with pytest.raises(ReadError, match="a: holds float32 pixels"):
        decode._checked(PIXELS.astype(np.float32), "a")


def test_a_jpeg_without_a_frame_has_no_components() -> None:
    assert decode._jpeg_components(b"\xff\xd8\xff\xd9") == 0
    assert decode._jpeg_components(encoded(PIXELS, ".jpg")) == 3


def test_a_png_without_pixels_has_no_alpha() -> None:
    whole = encoded(PIXELS, ".png")
    assert not decode._has_alpha(whole[: whole.index(b"IDAT") - 4], "png")
    assert not decode._has_alpha(whole, "png")


def test_chunks_without_end_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "_MOST_CHUNKS", 2)
    names = [name for name, _, _ in containers.png_chunks(io.BytesIO(encoded(PIXELS, ".png")))]
    assert len(names) == 2
    assert names[0] == b"IHDR"


def test_a_gray_heif_and_a_deep_one_become_rgb() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")

    def heif(mode: str, pixels: np.ndarray, **how: Any) -> bytes:
        made = pillow_heif.from_bytes(mode, pixels.shape[1::-1], pixels.tobytes())
        file = io.BytesIO()
        made.save(file, quality=-1, chroma=444, matrix_coefficients=0, **how)
        return file.getvalue()

    found = decode_heif(heif("L", PIXELS[..., 1].copy()), "a.heic")
    assert found.shape == PIXELS.shape
    assert np.array_equal(found[..., 0], found[..., 2])
    deep = PIXELS.astype(np.uint16) * 257
    found = decode_heif(heif("RGB;16", deep), "a.heic")
    assert found.dtype == np.uint16
    assert np.abs(found.astype(int) - deep).max() <= 65535 / 1023  # ten bits or more


def test_a_gray_jpeg_xl_becomes_rgb_and_one_without_colours_is_refused() -> None:
    import imagecodecs

    gray = imagecodecs.jpegxl_encode(PIXELS[..., 1].copy(), lossless=True)
    found = decode_jxl(gray, "a.jxl")
    assert np.array_equal(found, np.repeat(PIXELS[..., 1:2], 3, axis=2))
    with pytest.raises(ReadError, match="whose colours cannot be told"):
        decode_jxl(b"\xff\x0a", "a.jxl")
    with pytest.raises(ReadError, match="truncated or damaged"):
        decode_jxl(gray[: len(gray) // 2], "a.jxl")


def test_exif_whose_end_is_missing_is_copied_as_far_as_it_goes() -> None:
    block = exif_block({0x0112: ("SHORT", 6)}, thumbnail=encoded(PIXELS[:8, :8], ".jpg"))
    assert len(exif_copy.without_thumbnail(block)) < len(block)
    bare = exif_block({0x0112: ("SHORT", 6)})
    assert exif_copy.without_thumbnail(bare) == bare
    assert exif_copy.without_thumbnail(b"no structure") == b"no structure"
    out = bytearray(b"abc")
    exif_copy._erase(out, 2, 9)
    exif_copy._erase(out, 3, 9)
    assert out == b"ab\0"


@pytest.fixture
def tiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> regions.TiffRegions:
    monkeypatch.setattr(regions, "FROM_PX", 1000)
    path = tmp_path / "a.tif"
    noise = np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8)
    tifffile.imwrite(path, noise, tile=(32, 32), compression="zlib", photometric="rgb")
    found = decode.open_tiff_regions(path)
    assert found is not None
    pixels: regions.TiffRegions = found.pixels
    return pixels


def test_a_part_that_is_gone_or_gives_nothing_is_told(
    tiled: regions.TiffRegions, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tiled._decoded(0) is not None
    with monkeypatch.context() as patch:
        patch.setattr(tiled._page, "decode", lambda *_, **__: (None, None, None))
        with pytest.raises(ReadError, match=r"a\.tif: is truncated or damaged"):
            tiled._decoded(0)
    last = len(tiled._offsets) - 1
    os.truncate(tiled._path, tiled._offsets[last] + 9)
    with pytest.raises(ReadError, match=r"a\.tif: is truncated or damaged"):
        tiled._decoded(last)


def test_a_file_that_goes_before_its_regions_are_read_is_told(tiled: regions.TiffRegions) -> None:
    tiled._path.unlink()
    with pytest.raises(ReadError, match=r"a\.tif: is truncated or damaged"):
        regions.TiffRegions(tiled._path, tiled._page)


@pytest.mark.parametrize("heights", [(60,), (7, 30, 23), (1, 58, 1)])
@pytest.mark.parametrize("count", [1, 16, 59, 60, 100])
def test_bands_in_rows_are_the_picture(heights: tuple[int, ...], count: int) -> None:
    edges = np.cumsum([0, *heights])
    bands = Bands(
        PIXELS.shape,
        PIXELS.dtype,
        lambda: (PIXELS[top:end] for top, end in pairwise(edges)),
    )
    assert np.array_equal(bands.whole(), PIXELS)
    for picture in (bands, PIXELS):
        rows = list(in_rows(picture, count))
        assert [len(piece) for piece in rows[:-1]] == [count] * (len(rows) - 1)
        assert np.array_equal(np.concatenate(rows), PIXELS)


def test_what_shares_too_little_gives_no_answer() -> None:
    dark, light = np.zeros((20, 30), np.float32), np.full((20, 30), 0.5, np.float32)
    assert group_pixels._likeness(dark, dark[:, 1:]) == -1.0
    assert group_pixels._likeness(dark, light) is None
    assert group_pixels._larger(None, None) is None
    assert group_pixels._larger(None, 0.3) == 0.3
    told = [group_pixels._bits(alike) for alike in (None, 1.0, -1.0)]
    assert told == [group_pixels._UNKNOWN_BITS, group_pixels._SAME_BITS, group_pixels.BREAK]


def test_pairs_of_which_none_can_be_compared_stay_none() -> None:
    clipped = np.full((5, 2, 3), 65535, np.uint16)
    assert len(neighbours._comparable(clipped)) == 0


def test_views_with_nothing_to_match_give_no_similarity() -> None:
    class View:
        features = (np.empty((0, 2), np.float32), np.empty((0, 32), np.uint8))

    view: Any = View()
    assert registration._similarity_by_features(view, view) is None


@pytest.mark.parametrize(
    "data", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), b"\xff\xd8 no picture"]
)
def test_thumbnails_that_are_no_pictures_are_none(data: Any) -> None:
    import rawpy

    class Thumbnail:
        format = rawpy.ThumbFormat.JPEG if isinstance(data, bytes) else rawpy.ThumbFormat.BITMAP

    Thumbnail.data = data  # type: ignore[attr-defined]
    assert raw_preview._pixels(Thumbnail, "a.nef") is None


def test_the_times_of_steps_and_slices(tmp_path: Path) -> None:
    frames = [str(path) for path in write_bracket(tmp_path, 1)]
    fuse = ["fuse", *frames, "-o", str(tmp_path / "a.png"), "--slice-size", "64"]
    done = CliRunner().invoke(main, [*fuse, "--profile"])
    assert done.exit_code == 0, done.output
    lines = done.stderr.splitlines()
    assert [line.split()[0] for line in lines if "slices" not in line][:2] == ["read", "align"]
    (blended,) = [line for line in lines if line.split()[0] == "blend"]
    assert " 4 slices of " in blended  # of 128 x 96 px, in 64 px
    (decoded,) = [line for line in lines if line.split()[0] == "decode"]
    assert " 1 slice of " in decoded and decoded.endswith(" on 1 thread")
    assert all("|" in line and "#" in line for line in lines)
    done = CliRunner().invoke(main, [*fuse, "--profile", "--json", "--overwrite"])
    assert done.stderr == ""
    assert '"timeline": [{"step": "read"' in done.stdout


def test_a_bar_shows_steps_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with Reporter(quiet=False, verbosity=0) as reporter:
        worker = threading.Thread(target=reporter.progress, args=("align", 1, 3))
        worker.start()
        worker.join()
        assert reporter._bar is not None
        assert [(task.description, task.completed) for task in reporter._bar.tasks] == [
            ("align", 1)
        ]
    with Reporter(quiet=True, verbosity=0) as reporter:
        reporter.progress("align", 1, 3)
        assert reporter._bar is None


@pytest.mark.parametrize("size", ["63", "0", "-64", "\u0664", "wholly", "1e3"])
def test_slice_sizes_off_the_grid_are_a_usage_error(size: str, tmp_path: Path) -> None:
    assert SliceSize().convert("whole", None, None) == "whole"
    assert SliceSize().convert("128", None, None) == 128
    done = CliRunner().invoke(main, ["fuse", "a", "-o", str(tmp_path / "a"), "--slice-size", size])
    assert done.exit_code == 2
    assert "is neither a multiple of 64 nor the word whole" in done.stderr


@pytest.mark.parametrize("balance", ["1,2", "0,1,1", "nan,1,1", "inf,1,1", "sunny", "1,2,3,4"])
def test_white_balances_that_are_none_are_a_usage_error(balance: str, tmp_path: Path) -> None:
    assert WhiteBalanceType().convert("auto", None, None) == "auto"
    assert WhiteBalanceType().convert("2,1,1.5", None, None) == (2.0, 1.0, 1.5)
    done = CliRunner().invoke(main, ["fuse", "a", "-o", str(tmp_path / "a"), "--wb", balance])
    assert done.exit_code == 2
    assert "nor three numbers as 2.1,1,1.6" in done.stderr


def test_commands_that_are_not_there_and_libraries_that_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = CliRunner().invoke(main, ["fues"])
    assert done.exit_code == 2
    assert "No such command 'fues'" in done.stderr

    def missing(message: str) -> None:
        def info() -> None:
            raise ImportError(message)

        monkeypatch.setattr("mefuse.cli.info.info.callback", lambda **_: info())

    missing("libGL.so.1: cannot open shared object file")
    done = CliRunner().invoke(main, ["info"])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: the system's library libGL.so.1 is missing")
    missing("no module named nonsense")
    assert isinstance(CliRunner().invoke(main, ["info"]).exception, ImportError)


def test_standard_output_that_fails_in_the_middle_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    silenced: list[bool] = []
    monkeypatch.setattr(streams, "silence", lambda: silenced.append(True))
    monkeypatch.setattr("mefuse.cli.info.info.callback", full)
    done = CliRunner().invoke(main, ["info"])
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: standard output: writing failed (no space left on device); "
        "make room or choose another place\n"
    )
    assert silenced == [True]

    def gone(**_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("mefuse.cli.info.info.callback", gone)
    done = CliRunner().invoke(main, ["info"])
    assert (done.exit_code, done.stderr) == (1, "")


def test_an_unwritable_standard_output_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    silenced: list[bool] = []
    monkeypatch.setattr(streams, "silence", lambda: silenced.append(True))
    monkeypatch.setattr(sys, "stdout", Full())
    streams.drop_unwritable()
    assert silenced == [True]
