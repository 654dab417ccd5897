"""Finding frames: what is refused, and exposures from every container."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from helpers import encoded, exposure_exif, jpeg_with_exif, png_with
from mefuse import discover
from mefuse.errors import ReadError
from mefuse.frames import Exposure

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
TAKEN = Exposure(1 / 125, 8.0, 200.0)
BLOCK = exposure_exif((1, 125), iso=200)
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def exposure_in(path: Path, content: bytes) -> Exposure:
    path.write_bytes(content)
    (source,) = discover.find_sources([path])
    return source.exposure


def webp_with_exif(data: bytes, block: bytes) -> bytes:
    """A WebP with an EXIF chunk behind its picture, as the format wants it."""
    chunk = b"EXIF" + struct.pack("<I", len(block)) + block + bytes(len(block) % 2)
    out = data + chunk
    return out[:4] + struct.pack("<I", len(out) - 8) + out[8:]


def test_exposure_of_a_jpeg(tmp_path: Path) -> None:
    assert exposure_in(tmp_path / "a.jpg", jpeg_with_exif(encoded(PIXELS, ".jpg"), BLOCK)) == TAKEN


def test_exposure_of_a_png(tmp_path: Path) -> None:
    data = png_with(encoded(PIXELS, ".png"), b"eXIf", BLOCK)
    assert exposure_in(tmp_path / "a.png", data) == TAKEN


def test_exposure_of_a_png_that_keeps_it_at_its_end(tmp_path: Path) -> None:
    plain = encoded(PIXELS, ".png")
    chunk = png_with(plain, b"eXIf", BLOCK)[33 : 33 + 12 + len(BLOCK)]
    assert exposure_in(tmp_path / "a.png", plain[:-12] + chunk + plain[-12:]) == TAKEN


def test_exposure_of_a_webp(tmp_path: Path) -> None:
    data = webp_with_exif(encoded(PIXELS, ".webp"), BLOCK)
    assert exposure_in(tmp_path / "a.webp", data) == TAKEN


@pytest.mark.parametrize("bigtiff", [False, True])
def test_exposure_of_a_tiff(tmp_path: Path, bigtiff: bool) -> None:
    path = tmp_path / "a.tif"
    tags = [(33434, "2I", 1, (1, 125), True), (33437, "2I", 1, (8, 1), True)]
    tifffile.imwrite(path, PIXELS, photometric="rgb", extratags=tags, bigtiff=bigtiff)
    assert discover.find_sources([path])[0].exposure == Exposure(1 / 125, 8.0, None)


def test_exposure_of_canon_and_fuji_raw_headers(tmp_path: Path) -> None:
    cr3 = b"\0\0\0\x18ftypcrx \0\0\0\0" + bytes(64) + b"CMT2" + BLOCK
    assert exposure_in(tmp_path / "a.cr3", cr3) == TAKEN
    jpeg = jpeg_with_exif(encoded(PIXELS, ".jpg"), BLOCK)
    raf = b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + struct.pack(">II", 160, len(jpeg))
    assert exposure_in(tmp_path / "a.raf", raf.ljust(160, b"\0") + jpeg) == TAKEN


def test_no_exif_and_broken_exif_give_no_exposure(tmp_path: Path) -> None:
    plain = encoded(PIXELS, ".jpg")
    assert exposure_in(tmp_path / "a.jpg", plain) == Exposure()
    assert exposure_in(tmp_path / "b.jpg", jpeg_with_exif(plain, BLOCK[:30])) == Exposure()
    assert exposure_in(tmp_path / "c.jpg", jpeg_with_exif(plain, b"rubbish")) == Exposure()
    assert exposure_in(tmp_path / "d.xyz", b"?") == Exposure()


def test_sources_come_in_the_order_given(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b.jpg", "a.NEF", "c.png")]
    for path in paths:
        path.write_bytes(b"x")
    sources = discover.find_sources([str(path) for path in paths])
    assert [source.path for source in sources] == paths
    assert [source.is_raw for source in sources] == [False, True, False]


@pytest.mark.parametrize("name", ["a.CR2", "a.dng", "/x/y.z/b.Nef", "a.raf", "a.GPR", "a.crw"])
def test_raw_by_extension(name: str) -> None:
    assert discover.is_raw(name)


@pytest.mark.parametrize("name", ["a.jpg", "dng", "a.tiff", "a.dng.png", ""])
def test_not_raw_by_extension(name: str) -> None:
    assert not discover.is_raw(name)


def test_refuses_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"nowhere\.jpg: no such file"):
        discover.find_sources([tmp_path / "nowhere.jpg"])
    with pytest.raises(ReadError, match=r"\*\.jpg: no such file; nothing matches this pattern, or"):
        discover.find_sources([tmp_path / "*.jpg"])
    with pytest.raises(ReadError, match=r"is a folder; name the frames in it, or .* mefuse batch"):
        discover.find_sources([tmp_path])
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ReadError, match=r"empty\.jpg: is empty"):
        discover.find_sources([tmp_path / "empty.jpg"])
    with pytest.raises(ReadError, match="cannot be opened"):
        discover.find_sources([tmp_path / ("n" * 5000)])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_refuses_a_fifo_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ReadError, match="is not a regular file"):
        discover.find_sources([tmp_path / "pipe.jpg"])


def test_equal_copies_are_two_frames(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert len(discover.find_sources([tmp_path / "a.jpg", tmp_path / "b.jpg"])) == 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data beside the repository")
def test_exposures_of_camera_files() -> None:
    names = {
        "Canon_EOS_D60.jpg": (1 / 30, 2.8, 400.0),
        "HP_PhotoSmart_735.jpg": (0.01022, 4.33, 134.0),
        "Sony_DSC-P12.jpg": (1 / 160, 8.0, 100.0),
        "Issue_211.jpg": (0.00174, None, 50.0),
    }
    for source in discover.find_sources([SHARED / "exif" / name for name in names]):
        time, f_number, iso = names[source.path.name]
        assert source.exposure.exposure_time_s == pytest.approx(time, rel=0.01)
        assert source.exposure.f_number == f_number
        assert source.exposure.iso == iso
