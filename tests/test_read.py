"""Reading frames and brackets from files."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from helpers import (
    encoded,
    exif_block,
    exposed,
    exposure_exif,
    jpeg_with,
    jpeg_with_exif,
    png_with,
    textured_light,
)
from mefuse import profiles, read
from mefuse.discover import find_sources
from mefuse.errors import InputError, ReadError
from mefuse.frames import Exposure, Frame, Metadata, Source
from mefuse.write import write_picture

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
PROFILE = profiles.standard("p3")
LIGHT = textured_light()


def read_bytes(folder: Path, name: str, content: bytes) -> Frame:
    path = folder / name
    path.write_bytes(content)
    return read.read_frame(Source(path, Exposure()))


def write_bracket(folder: Path, evs: list[float], *, exif: bool = True) -> list[Source]:
    """JPEG frames named against their exposure, so that order by name is never right."""
    paths = []
    for i, ev in enumerate(evs):
        data = encoded(exposed(LIGHT, ev), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)
        if exif:
            data = jpeg_with_exif(data, exposure_exif((round(1000 * 2.0**ev), 60000)))
        paths.append(folder / f"{(i * 7) % 5}{i}.jpg")
        paths[-1].write_bytes(data)
    return find_sources(paths)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "lzw.tif"])
def test_orientation_is_applied_exactly_once(tmp_path: Path, kind: str, orientation: int) -> None:
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:16, :16] = (255, 0, 0)  # the stored top left corner is red
    path = tmp_path / f"a.{kind}"
    block = exif_block({0x0112: ("SHORT", orientation)})
    if kind == "jpg":
        path.write_bytes(jpeg_with_exif(encoded(pixels, ".jpg"), block))
    elif kind == "png":
        path.write_bytes(png_with(encoded(pixels, ".png"), b"eXIf", block))
    else:
        tag = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, pixels, photometric="rgb", extratags=tag)
        if kind == "lzw.tif":
            path.write_bytes(as_lzw(pixels, orientation))
    frame = read.read_frame(Source(path, Exposure()))
    assert frame.size == ((40, 64) if orientation < 5 else (64, 40))
    rows, columns = np.nonzero(frame.pixels[..., 0] > 128)
    corner = ("top" if rows.mean() < 20 else "bottom", "left" if columns.mean() < 20 else "right")
    expected = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("top", "left"),
        6: ("top", "right"),
        7: ("bottom", "right"),
        8: ("bottom", "left"),
    }
    assert corner == expected[orientation]
    assert rows.size == pytest.approx(256, abs=20)


def as_lzw(pixels: NDArray[Any], orientation: int) -> bytes:
    """An LZW TIFF with an Orientation tag in the place of its SampleFormat."""
    data = bytearray(encoded(pixels, ".tiff", cv2.IMWRITE_TIFF_COMPRESSION, 5))
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    entries = [bytes(data[start + 2 + 12 * i : start + 14 + 12 * i]) for i in range(count)]
    kept = [entry for entry in entries if int.from_bytes(entry[:2], "little") != 339]
    assert len(kept) == count - 1
    orient = b"\x12\x01\x03\0\x01\0\0\0" + bytes((orientation, 0, 0, 0))
    table = sorted([*kept, orient], key=lambda entry: int.from_bytes(entry[:2], "little"))
    data[start + 2 : start + 2 + 12 * count] = b"".join(table)
    return bytes(data)


def test_metadata_is_kept_as_stored(tmp_path: Path) -> None:
    block = exposure_exif((1, 60), orientation=6)
    data = jpeg_with_exif(encoded(exposed(LIGHT, 0), ".jpg"), block)
    data = jpeg_with(data, (0xE2, b"ICC_PROFILE\0\x01\x01" + PROFILE))
    frame = read_bytes(tmp_path, "a.jpg", data)
    assert frame.metadata.exif == block
    assert frame.metadata.icc == PROFILE
    assert frame.warnings == ()


def test_a_tiffs_profile_and_exif(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tags = [(271, "s", 0, "A Maker", True), (33434, "2I", 1, (1, 60), True)]
    pixels = exposed(LIGHT, 0, depth=16)
    tifffile.imwrite(path, pixels, photometric="rgb", iccprofile=PROFILE, extratags=tags)
    (source,) = find_sources([path])
    frame = read.read_frame(source)
    assert np.array_equal(frame.pixels, pixels)
    assert frame.metadata.icc == PROFILE
    assert frame.metadata.exif is not None
    assert b"A Maker" in frame.metadata.exif
    assert source.exposure.exposure_time_s == 1 / 60


def test_a_broken_profile_is_not_kept(tmp_path: Path) -> None:
    wrong = PROFILE[:16] + b"GRAY" + PROFILE[20:]
    data = jpeg_with(encoded(exposed(LIGHT, 0), ".jpg"), (0xE2, b"ICC_PROFILE\0\x01\x01" + wrong))
    frame = read_bytes(tmp_path, "a.jpg", data)
    assert frame.metadata.icc is None
    assert "colour profile is broken, sRGB taken" in frame.warnings[0]


def test_kinds_in_boxes_are_read_in_depth_and_upright(tmp_path: Path) -> None:
    deep = exposed(LIGHT, 0, depth=16)
    for format, bits, orientation in (("jxl", 16, 6), ("avif", 10, 6), ("avif", 12, 1)):
        metadata = Metadata(exif=exposure_exif((1, 60), orientation=orientation))
        path = tmp_path / f"{bits}.{format}"
        write_picture(
            deep, path, format=format, quality=100, metadata=metadata, overwrite=False, bits=bits
        )
        (source,) = find_sources([path])
        assert source.exposure.exposure_time_s == 1 / 60
        frame = read.read_frame(source)
        assert frame.pixels.dtype == np.uint16
        # In these EXIF's orientation does not count; an AVIF's encoder makes a turn of it.
        turned = np.rot90(deep, -1) if (format, orientation) == ("avif", 6) else deep
        assert np.abs(frame.pixels.astype(int) - turned).mean() < 0.5 * 257
        assert frame.stored_icc is None


def test_heif_needs_its_extra_and_gives_its_pixels(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="mefuse[heif] is not installed")
    pixels = exposed(LIGHT, 0)
    height, width = pixels.shape[:2]
    made = heif.from_bytes(mode="RGB", size=(width, height), data=pixels.tobytes())
    path = tmp_path / "a.heic"
    made.save(path, quality=95, exif=b"Exif\0\0" + exposure_exif((1, 60)))
    (source,) = find_sources([path])
    assert source.exposure.exposure_time_s == 1 / 60
    frame = read.read_frame(source)
    assert np.abs(frame.pixels.astype(int) - pixels).mean() < 4


def test_without_its_extra_heif_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    with pytest.raises(ReadError, match=r"a\.heic: is a HEIF .* pip install 'mefuse\[heif\]'"):
        read_bytes(tmp_path, "a.heic", head)


def test_openexr_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"a\.exr: is OpenEXR, light and not yet a photograph"):
        read_bytes(tmp_path, "a.exr", b"\x76\x2f\x31\x01" + bytes(50))


def test_a_name_without_the_right_extension_does_not_matter(tmp_path: Path) -> None:
    pixels = exposed(LIGHT, 0, depth=16)
    assert np.array_equal(read_bytes(tmp_path, "a.jpg", encoded(pixels, ".png")).pixels, pixels)


def test_a_vanished_file_is_a_read_error(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"gone\.jpg: cannot be read \(no such file"):
        read.read_frame(Source(tmp_path / "gone.jpg", Exposure()))


def test_a_bracket_does_not_depend_on_the_order_given(tmp_path: Path) -> None:
    sources = write_bracket(tmp_path, [2, -2, 0, 4])
    expected = read.read_bracket(sources)
    assert [round(ev, 1) for ev in expected.evs] == [-2.0, 0.0, 2.0, 4.0]
    assert expected.ev_source == "exif"
    for order in itertools.permutations(sources):
        bracket = read.read_bracket(order)
        assert [f.source for f in bracket.frames] == [f.source for f in expected.frames]
        assert (bracket.reference, bracket.evs) == (expected.reference, expected.evs)


def test_reference_is_an_index_into_the_sources_given(tmp_path: Path) -> None:
    sources = write_bracket(tmp_path, [2, -2, 0])
    for i, source in enumerate(sources):
        bracket = read.read_bracket(sources, reference=i)
        assert bracket.frames[bracket.reference].source == source
        assert bracket.evs[bracket.reference] == 0.0


def test_exposures_come_from_the_pixels_without_exif(tmp_path: Path) -> None:
    bracket = read.read_bracket(write_bracket(tmp_path, [2, -2, 0], exif=False))
    assert bracket.ev_source == "pixels"
    assert np.allclose(bracket.evs, [-2, 0, 2], atol=0.3)


def test_progress_is_told_from_the_calling_thread(tmp_path: Path) -> None:
    told: list[int] = []
    read.read_bracket(write_bracket(tmp_path, [-1, 0, 1]), on_frame=told.append)
    assert told == [1, 2, 3]


def test_an_unreadable_frame_stops_the_bracket(tmp_path: Path) -> None:
    sources = write_bracket(tmp_path, [-1, 0, 1])
    sources[1].path.write_bytes(sources[1].path.read_bytes()[:-40])
    with pytest.raises(ReadError, match=f"{sources[1].path.name}: is truncated or damaged"):
        read.read_bracket(sources)


def test_too_few_frames_are_refused(tmp_path: Path) -> None:
    (source,) = write_bracket(tmp_path, [0])
    with pytest.raises(InputError, match="at least two frames, none was given"):
        read.read_bracket([])
    with pytest.raises(InputError, match=f"only .*{source.path.name} was given"):
        read.read_bracket([source])


def test_a_reference_that_is_not_there_is_refused(tmp_path: Path) -> None:
    sources = write_bracket(tmp_path, [0, 1])
    for reference in (-1, 2):
        with pytest.raises(InputError, match="there are only 2 frames"):
            read.read_bracket(sources, reference=reference)


def test_raw_and_others_do_not_mix() -> None:
    sources = [Source(Path("a.nef"), Exposure(), True), Source(Path("a.jpg"), Exposure())]
    with pytest.raises(InputError, match=r"a\.jpg: is no raw file, a\.nef is"):
        read.read_bracket(sources)


def test_pixels_in_memory_make_the_same_bracket() -> None:
    frames = [exposed(LIGHT, ev) for ev in (2, -2, 0)]
    bracket = read.bracket_of_pixels(frames, reference=2)
    assert bracket.reference == 1
    assert bracket.frames[1].pixels is frames[2]
    assert [str(f.source.path) for f in bracket.frames] == ["frame 2", "frame 3", "frame 1"]


def test_pixels_of_another_shape_or_type_are_refused() -> None:
    good = exposed(LIGHT, 0)
    for bad in (good.astype(np.float32), good[..., 0], good[:0]):
        with pytest.raises(InputError, match=r"^frame 2: "):
            read.bracket_of_pixels([good, bad])


def test_reading_pictures_loads_no_raw_library(tmp_path: Path) -> None:
    loaded = {name: module for name, module in sys.modules.items() if "rawpy" in name}
    for name in (*loaded, "mefuse.raw"):
        sys.modules.pop(name, None)
    read.read_bracket(write_bracket(tmp_path, [0, 1]))
    assert not any("rawpy" in name for name in sys.modules)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data beside the repository")
def test_camera_files_are_read() -> None:
    # The files named by a hash are damaged on purpose; one of them alone is a whole RGB JPEG.
    for path in sorted((SHARED / "exif").glob("*.[jJ][pP][gG]")):
        damaged = len(path.stem) == 32 and not path.stem.startswith("316be81d")
        try:
            frame = read.read_frame(*find_sources([path]))
        except ReadError:
            assert damaged, path.name
        else:
            assert not damaged, path.name
            assert min(frame.size) >= 60


def test_a_frame_given_twice_counts_twice_and_is_named(tmp_path: Path) -> None:
    sources = write_bracket(tmp_path, [0.0, 2.0])
    bracket = read.read_bracket([*sources, sources[0]])
    assert len(bracket.frames) == 3
    name = sources[0].path.name
    assert any(f"{name}: given 2 times" in warning for warning in bracket.warnings)
