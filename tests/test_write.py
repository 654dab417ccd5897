"""Writing: formats, depth, metadata, and a file that appears whole or not at all."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from helpers import exif_block, exposure_exif
from mefuse import containers, exif, write
from mefuse.decode import decode
from mefuse.errors import FormatError, OutputExistsError, WriteError
from mefuse.frames import Metadata

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (16, 24, 3), dtype=np.uint16)
SHALLOW = RNG.integers(0, 256, (16, 24, 3), dtype=np.uint8)
PROFILE = b"\0" * 16 + b"RGB XYZ " + bytes(range(256)) * 300  # two JPEG segments


def encoded(
    pixels: NDArray[Any], format: str, *, metadata: Metadata | None = None, quality: int = 95
) -> bytes:
    file = io.BytesIO()
    write.write_picture(
        pixels,
        file,
        format=format,
        quality=quality,
        metadata=metadata or Metadata(),
        overwrite=False,
    )
    return file.getvalue()


def put(target: Path, *, overwrite: bool = False, format: str = "png") -> None:
    write.write_picture(
        SHALLOW, target, format=format, quality=95, metadata=Metadata(), overwrite=overwrite
    )


@pytest.mark.parametrize(
    ("output", "options", "expected"),
    [
        ("a.png", {}, ("png", 8)),
        ("a.PNG", {"source_is_16_bit": True}, ("png", 16)),
        ("b/a.tif", {"source_is_16_bit": True}, ("tiff", 16)),
        ("a.tiff", {"depth": 16}, ("tiff", 16)),
        ("a.png", {"depth": 8, "source_is_16_bit": True}, ("png", 8)),
        ("a.jpg", {"source_is_16_bit": True}, ("jpeg", 8)),
        ("a.jpeg", {"depth": 8}, ("jpeg", 8)),
        ("a.jpg", {"format": "png"}, ("png", 8)),
        ("a", {"format": ".TIF"}, ("tiff", 8)),
        ("-", {}, ("png", 8)),
        ("-", {"format": "jpg"}, ("jpeg", 8)),
    ],
)
def test_format_and_depth(output: str, options: Any, expected: tuple[str, int]) -> None:
    arguments = {"format": None, "depth": None, "source_is_16_bit": False, **options}
    assert write.resolve_format(output, **arguments) == write.OutputFormat(*expected)


@pytest.mark.parametrize(
    ("output", "format", "depth", "message"),
    [
        ("a.gif", None, None, r"a\.gif: cannot be written in this format; use \.png, \.jpg"),
        ("folder.png/a", None, None, "cannot be written in this format"),
        ("a.png", "exr", None, "format exr: cannot be written"),
        ("a.jpg", None, 16, r"a\.jpg: JPEG holds 8 bits; use \.png or \.tiff"),
        ("a.png", None, 12, "12 bits cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(
    output: str, format: str | None, depth: int | None, message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        write.resolve_format(output, format=format, depth=depth, source_is_16_bit=False)


@settings(max_examples=40, deadline=None)
@given(
    st_numpy.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)),
    ),
    st.sampled_from(["png", "tiff"]),
)
def test_lossless_round_trip(pixels: NDArray[Any], format: str) -> None:
    result = decode(encoded(pixels, format), "a").pixels
    assert result.dtype == pixels.dtype
    assert np.array_equal(result, pixels)


def test_jpeg_is_close_and_quality_counts() -> None:
    smooth = cv2.resize(SHALLOW[:4, :6], (96, 64), interpolation=cv2.INTER_CUBIC)
    fine, coarse = (encoded(smooth, "jpeg", quality=quality) for quality in (95, 20))
    assert np.abs(decode(fine, "a").pixels.astype(int) - smooth).mean() < 1.5
    assert len(coarse) < len(fine) / 2


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_exif_and_profile_are_kept(format: str) -> None:
    block = exif_block(
        {0x0112: ("SHORT", 6)},
        shooting={0x829A: ("RATIONAL", (1, 60)), 0xA002: ("LONG", 9), 0xA003: ("LONG", 9)},
        thumbnail=b"\xff\xd8thumb\xff\xd9",
    )
    data = encoded(SHALLOW, format, metadata=Metadata(exif=block, icc=PROFILE, xmp=b"<x/>"))
    kept = containers.read_metadata(io.BytesIO(data))
    assert kept.icc == PROFILE
    assert kept.exif == exif.patched(block, width=24, height=16) != block
    assert kept.xmp is None
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (16, 24, 3)


def test_opencv_reads_the_blocks_too() -> None:
    metadata = Metadata(exif=exposure_exif((1, 60)), icc=PROFILE)
    data = np.frombuffer(encoded(SHALLOW, "jpeg", metadata=metadata), np.uint8)
    _, kinds, blocks = cv2.imdecodeWithMetadata(data, flags=cv2.IMREAD_COLOR)
    found = {int(kind): block.tobytes() for kind, block in zip(kinds, blocks, strict=True)}
    assert found[cv2.IMAGE_METADATA_ICCP] == PROFILE
    assert found[cv2.IMAGE_METADATA_EXIF] == metadata.exif


def test_tiff_keeps_the_profile() -> None:
    data = encoded(DEEP, "tiff", metadata=Metadata(icc=PROFILE))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert tiff.pages.first.iccprofile == PROFILE


def test_broken_exif_is_left_out() -> None:
    data = encoded(SHALLOW, "png", metadata=Metadata(exif=b"rubbish"))
    assert containers.read_metadata(io.BytesIO(data)).exif is None


def test_depth_to_8_rounds_every_value_to_nearest() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, axis=2)
    expected = (values.astype(np.int64) + 128) // 257
    assert np.array_equal(write.to_depth(values, 8), expected)


def test_depth_to_16_and_back_is_the_same() -> None:
    deep = write.to_depth(SHALLOW, 16)
    assert (deep.dtype, deep.max()) == (np.uint16, int(SHALLOW.max()) * 257)
    assert np.array_equal(write.to_depth(deep, 8), SHALLOW)
    assert write.to_depth(deep, 16) is deep
    assert write.to_depth(SHALLOW, 8) is SHALLOW


def test_jpeg_refuses_16_bits_and_empty_pictures_are_refused() -> None:
    with pytest.raises(FormatError, match="JPEG holds 8 bits"):
        encoded(DEEP, "jpeg")
    with pytest.raises(WriteError, match="the fused picture is empty"):
        encoded(SHALLOW[:0], "png")


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff"])
def test_a_file_appears_alone_with_usual_permissions(tmp_path: Path, format: str) -> None:
    mask = os.umask(0o027)
    try:
        put(tmp_path / "a.out", format=format)
    finally:
        os.umask(mask)
    assert [path.name for path in tmp_path.iterdir()] == ["a.out"]
    assert stat.S_IMODE((tmp_path / "a.out").stat().st_mode) == 0o640
    assert decode((tmp_path / "a.out").read_bytes(), "a").pixels.shape == SHALLOW.shape


def test_an_existing_file_is_kept_unless_asked(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"precious")
    target.chmod(0o604)
    with pytest.raises(OutputExistsError, match=r"a\.png: exists already; choose another name"):
        put(target)
    assert target.read_bytes() == b"precious"
    put(target, overwrite=True)
    assert target.read_bytes() == encoded(SHALLOW, "png")
    assert stat.S_IMODE(target.stat().st_mode) == 0o604


def test_a_file_that_comes_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.png"
    encode = write._encode

    def slow(*arguments: Any) -> bytes:
        target.write_bytes(b"precious")
        return encode(*arguments)

    monkeypatch.setattr(write, "_encode", slow)
    with pytest.raises(OutputExistsError):
        put(target)
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"precious")

    def fail(_descriptor: int) -> None:
        raise fault

    monkeypatch.setattr(os, "fsync", fail)
    expected = WriteError if isinstance(fault, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        put(target, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert target.read_bytes() == b"precious"


def test_a_file_system_without_links_works_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Path, _target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    put(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_targets_that_cannot_be_are_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"there is no folder .*nowhere; create it first"):
        write.check_target(tmp_path / "nowhere" / "a.png", False)
    with pytest.raises(WriteError, match="is a folder; name a file in it"):
        write.check_target(tmp_path, True)
    (tmp_path / "a.png").touch()
    with pytest.raises(OutputExistsError):
        write.check_target(tmp_path / "a.png", False)
    write.check_target(tmp_path / "a.png", True)
    write.check_target(tmp_path / "b.png", False)


def test_a_very_long_name_is_written(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 240 + ".png")
    put(target)
    assert target.exists()
