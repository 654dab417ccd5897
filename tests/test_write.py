"""Writing: formats, depth, metadata, and a file that appears whole or not at all."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray
from PIL import Image

from helpers import exposure_exif
from mefuse import colour, containers, exif, exif_copy, profiles, write, xmp
from mefuse.decode import decode
from mefuse.errors import FormatError, OutputExistsError, WriteError
from mefuse.frames import Exposure, Metadata
from mefuse.settings import Compression
from mefuse.write import formats, png

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
        ("a.webp", {"source_is_16_bit": True}, ("webp", 8)),
        ("a.avif", {}, ("avif", 8)),
        ("a.avif", {"source_is_16_bit": True}, ("avif", 10)),
        ("a.avif", {"depth": 12}, ("avif", 12)),
        ("a.jxl", {"source_is_16_bit": True}, ("jxl", 16)),
    ],
)
def test_format_and_depth(output: str, options: Any, expected: tuple[str, int]) -> None:
    arguments = {"format": None, "depth": None, "source_is_16_bit": False, **options}
    assert write.resolve_format(output, **arguments) == write.OutputFormat(*expected)


@pytest.mark.parametrize(
    ("output", "format", "depth", "message"),
    [
        ("a.gif", None, None, r"a\.gif: cannot be written in this format; use \.png, \.jpg"),
        ("folder.png/a", None, None, r"^folder.png/a: its name tells no format; end it in \.png, "),
        ("a.png", "heic", None, "format heic: cannot be written"),
        ("a.jpg", None, 16, r"a\.jpg: JPEG holds 8 bits; use \.png or \.tif or"),
        ("a.png", None, 12, r"a\.png: PNG holds 8 or 16 bits; use \.avif, or 8 or 16 bits"),
        ("a.png", None, 9, "9 bits cannot be written; choose 8, 10, 12 or 16"),
        ("a.avif", None, 16, "AVIF holds 8 or 10 or 12 bits"),
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


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp", "avif"])
def test_metadata_is_kept_as_given(format: str) -> None:
    block = exif_copy.finished(
        exposure_exif((1, 60)), exif_copy.Corrections(24, 16, "mefuse", True), exposure=Exposure()
    )
    packet = xmp.finished(None, xmp.Corrections(24, 16, "mefuse", "fused"))
    given_ = Metadata(exif=block, icc=profiles.standard("p3"), xmp=packet)
    kept = containers.read_metadata(io.BytesIO(encoded(SHALLOW, format, metadata=given_)))
    assert kept.icc == given_.icc
    assert kept.xmp == given_.xmp
    assert kept.exif is not None
    if format == "tiff":  # its main directory is the file's own
        assert exif.read_exposure(io.BytesIO(kept.exif)).exposure_time_s == 1 / 60
    else:
        assert kept.exif == block


def test_openexr_holds_linear_light_in_half_floats(tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR", reason="mefuse[exr] is not installed")
    linear = write.LinearLight("p3", Exposure(1 / 60, 8.0, 200.0), "mefuse 1")
    target = tmp_path / "a.exr"
    write.write_picture(
        DEEP,
        target,
        format="exr",
        quality=95,
        metadata=Metadata(),
        overwrite=False,
        linear=linear,
    )
    with exr.File(str(target)) as file:
        light, header = file.channels()["RGB"].pixels, dict(file.header())
    assert light.dtype == np.float16
    assert np.array_equal(light, colour.linear_light(DEEP, source=None, space="p3"))
    assert header["expTime"] == pytest.approx(1 / 60)
    assert header["chromaticities"][:2] == pytest.approx((0.68, 0.32))
    assert header["software"] == "mefuse 1"


def test_a_missing_library_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _name: None)
    with pytest.raises(FormatError, match=r"a\.exr: OpenEXR is not .* pip install 'mefuse\[exr\]'"):
        write.resolve_format("a.exr", format=None, depth=None, source_is_16_bit=False)
    monkeypatch.setattr(cv2, "haveImageWriter", lambda _name: False)
    with pytest.raises(FormatError, match=r"a\.avif: the installed OpenCV writes no AVIF"):
        write.resolve_format("a.avif", format=None, depth=None, source_is_16_bit=False)
    with pytest.raises(FormatError, match=r"use \.png, \.jpg, \.jpeg, \.tif, \.tiff or \.jxl"):
        write.resolve_format("a.gif", format=None, depth=None, source_is_16_bit=False)


def test_a_side_too_long_for_the_format_is_refused() -> None:
    form = write.OutputFormat("webp", 8)
    write.check_size(form, 16_383, 10, name="a.webp")
    with pytest.raises(FormatError, match=r"a\.webp: WebP holds 16383 px a side; use \.png"):
        write.check_size(form, 10, 16_384, name="a.webp")


def test_layers_go_into_tiff_only() -> None:
    with pytest.raises(FormatError, match="PNG holds no layers"):
        write.write_picture(
            SHALLOW,
            io.BytesIO(),
            format="png",
            quality=95,
            metadata=Metadata(),
            overwrite=False,
            layers=[write.Page(SHALLOW)],
        )


def test_opencv_reads_the_blocks_too() -> None:
    metadata = Metadata(exif=exposure_exif((1, 60)), icc=PROFILE)
    data = np.frombuffer(encoded(SHALLOW, "jpeg", metadata=metadata), np.uint8)
    _, kinds, blocks = cv2.imdecodeWithMetadata(data, flags=cv2.IMREAD_COLOR)
    found = {int(kind): block.tobytes() for kind, block in zip(kinds, blocks, strict=True)}
    assert found[cv2.IMAGE_METADATA_ICCP] == PROFILE
    assert found[cv2.IMAGE_METADATA_EXIF] == metadata.exif


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
    filtered = png._filtered

    def slow(*given: Any) -> Any:
        target.write_bytes(b"precious")
        return filtered(*given)

    monkeypatch.setattr(png, "_filtered", slow)
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


@pytest.mark.parametrize("pixels", [SHALLOW, DEEP], ids=["8 bits", "16 bits"])
def test_compressions_of_png_keep_the_pixels_and_differ_in_size(pixels: NDArray[Any]) -> None:
    smooth = np.repeat(np.repeat(pixels, 8, 0), 8, 1)
    sizes = []
    for compression in get_args(Compression)[:3]:
        file = io.BytesIO()
        write.write_picture(
            smooth,
            file,
            format="png",
            quality=95,
            metadata=Metadata(),
            overwrite=False,
            compression=compression,
        )
        assert np.array_equal(decode(file.getvalue(), "a").pixels, smooth)
        sizes.append(len(file.getvalue()))
    assert sizes[0] > smooth.nbytes > sizes[1] >= sizes[2]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9000), (9000, 1), (700, 1003)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_made_in_parts_is_one_stream(
    shape: tuple[int, int], dtype: type[np.uint8 | np.uint16], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = RNG.integers(0, np.iinfo(dtype).max, (*shape, 3), dtype=dtype)
    made = []
    for size in (1 << 12, 1 << 16, 1 << 30):  # of a part: many, some, one
        monkeypatch.setattr(png, "_PART_BYTES", size)
        data = png.encode_png(pixels, Metadata(), compression="fast")
        made.append(b"".join(bytes(piece) for piece in data.pieces))
    for data in made:
        assert np.array_equal(decode(data, "a").pixels, pixels)
        with Image.open(io.BytesIO(data)) as picture:  # it checks the stream's sum
            picture.load()
    assert made[0] != made[2] or shape[0] == 1


@pytest.mark.parametrize(
    ("format", "compression", "said"),
    [("png", "zstd", "PNG has no zstd; use none, fast, small"), ("jpeg", "small", "JPEG has none")],
)
def test_a_compression_that_a_format_lacks_is_refused(
    format: str, compression: Compression, said: str
) -> None:
    form = write.resolve_format("", format=format, depth=None, source_is_16_bit=False)
    with pytest.raises(FormatError, match=f"a.out: .*{said}"):
        write.check_compression(form, compression, name="a.out")
    write.check_compression(form, "fast", name="a.out")
