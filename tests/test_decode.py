"""Decoding of files to pixels: kinds, depths, layouts, damage, and the eight orientations."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from helpers import encoded, png_with
from mefuse import decode
from mefuse.errors import ReadError

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (16, 24, 3), dtype=np.uint16)
SHALLOW = RNG.integers(0, 256, (16, 24, 3), dtype=np.uint8)
IN_COLOUR = {np.dtype(np.uint8): SHALLOW, np.dtype(np.uint16): DEEP}


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **{"photometric": "rgb", **options})
    return file.getvalue()


def decoded(data: bytes) -> NDArray[Any]:
    result = decode.decode(data, "a.file")
    assert result.warnings == ()
    assert result.pixels.flags.c_contiguous
    return result.pixels


@pytest.mark.parametrize("pixels", [SHALLOW, DEEP], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("kind", [".png", "tiff", "tiff zlib", "tiff big-endian", "tiff planar"])
def test_colour_comes_back_exactly(kind: str, pixels: NDArray[Any]) -> None:
    data = {
        ".png": lambda: encoded(pixels, ".png"),
        "tiff": lambda: tiff(pixels),
        "tiff zlib": lambda: tiff(pixels, compression="zlib", predictor=True, rowsperstrip=5),
        "tiff big-endian": lambda: tiff(pixels, byteorder=">"),
        "tiff planar": lambda: tiff(np.moveaxis(pixels, 2, 0), planarconfig="separate"),
    }[kind]()
    assert np.array_equal(decoded(data), pixels)
    assert decoded(data).dtype == pixels.dtype


@pytest.mark.parametrize("pixels", [SHALLOW, DEEP], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("codec", [5, 32773], ids=["lzw", "packbits"])
def test_tiff_codecs_of_opencv(codec: int, pixels: NDArray[Any]) -> None:
    data = encoded(pixels, ".tiff", cv2.IMWRITE_TIFF_COMPRESSION, codec)
    assert np.array_equal(decoded(data), pixels)


@pytest.mark.parametrize("pixels", [SHALLOW, DEEP], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("kind", ["png", "tiff", "white is zero"])
def test_gray_becomes_three_equal_channels(kind: str, pixels: NDArray[Any]) -> None:
    gray = np.ascontiguousarray(pixels[..., 0])
    data = {
        "png": lambda: encoded(gray, ".png"),
        "tiff": lambda: tiff(gray, photometric="minisblack"),
        "white is zero": lambda: tiff(~gray, photometric="miniswhite"),
    }[kind]()
    assert np.array_equal(decoded(data), np.dstack([gray] * 3))


def test_jpeg_and_lossy_kinds_are_close_and_rgb() -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[..., 0] = 200  # red: swapped channels would show
    for extension in (".jpg", ".webp", ".bmp"):
        assert np.abs(decoded(encoded(pixels, extension)).astype(int) - pixels).max() <= 4


@pytest.mark.parametrize("kind", ["png", "tiff", "palette", "webp", "webp lossless"])
def test_alpha_is_dropped_with_a_warning(kind: str) -> None:
    alpha = np.dstack([SHALLOW, RNG.integers(0, 256, (16, 24), dtype=np.uint8)])
    swapped = np.ascontiguousarray(alpha[..., [2, 1, 0, 3]])
    lossy = (cv2.IMWRITE_WEBP_QUALITY, 90)
    data = {
        "png": cv2.imencode(".png", swapped)[1].tobytes(),
        "tiff": tiff(alpha, extrasamples=["unassalpha"]),
        "palette": png_with(encoded(SHALLOW, ".png"), b"tRNS", bytes(6)),
        "webp": cv2.imencode(".webp", swapped, lossy)[1].tobytes(),
        "webp lossless": cv2.imencode(".webp", swapped)[1].tobytes(),
    }[kind]
    result = decode.decode(data, "a.file")
    assert result.warnings == ("a.file: alpha channel dropped",)
    assert result.pixels.shape == SHALLOW.shape
    if not kind.startswith("webp"):
        assert np.array_equal(result.pixels, SHALLOW)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tiff(DEEP.astype(np.float32)), "holds 32-bit floating-point pixels"),
        (tiff(DEEP.astype(np.uint32)), "holds 32-bit integer pixels"),
        (tiff(SHALLOW.astype(np.int8)), "holds 8-bit signed pixels"),
        (tiff(SHALLOW[..., 0] > 99, photometric="minisblack"), "holds 1-bit"),
        (tiff(np.dstack([SHALLOW] * 2)[..., :4], photometric="separated"), "is a SEPARATED TIFF"),
        (b"not a picture at all" * 9, "is no picture that mefuse can read"),
    ],
    ids=["float", "32 bits", "signed", "1 bit", "CMYK", "text"],
)
def test_other_pixels_are_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=f"^a.file: {message}"):
        decode.decode(data, "a.file")


def test_a_cmyk_jpeg_is_refused() -> None:
    data = encoded(SHALLOW, ".jpg")
    header = data.find(b"\xff\xc0")
    cmyk = data[: header + 9] + b"\x04" + data[header + 10 :]
    with pytest.raises(ReadError, match="is a CMYK picture"):
        decode.decode(cmyk, "a.jpg")


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_files_are_refused(extension: str, share: float) -> None:
    data = encoded(SHALLOW, extension)
    with pytest.raises(ReadError, match="truncated or damaged; copy it again from the camera"):
        decode.decode(data[: int(len(data) * share)], "a.file")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_cut_tiffs_of_tifffile_are_refused(compression: str | None) -> None:
    data = tiff(DEEP, compression=compression)
    for share in (0.02, 0.2, 0.6, 0.95):
        with pytest.raises(ReadError, match="truncated or damaged"):
            decode.decode(data[: int(len(data) * share)], "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_that_claims_more_than_it_can_hold_is_refused_at_once(
    compression: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiff(SHALLOW, compression=compression, tile=(16, 16), rowsperstrip=None)
    entry = data.find(b"\x01\x01\x03\0" if b"\x01\x01\x03\0" in data else b"\x01\x01\x04\0")
    huge = data[: entry + 2] + b"\x04\0\x01\0\0\0" + (1 << 24).to_bytes(4, "little")
    monkeypatch.setattr(decode, "_tiff_pixels", lambda _page: pytest.fail("was unpacked"))
    with pytest.raises(ReadError, match="truncated or damaged"):
        decode.decode(huge + data[entry + 12 :], "a.tif")


@settings(max_examples=60, deadline=None)
@given(draw=st.data())
def test_mutated_tiffs_give_pixels_or_a_read_error(draw: st.DataObject) -> None:
    data = bytearray(tiff(DEEP[:4, :5], compression="zlib"))
    places = st.integers(0, len(data) - 1)
    for at, value in draw.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=4)):
        data[at] = value
    try:
        pixels = decode.decode(bytes(data), "a.tif").pixels
    except ReadError:
        return
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


def test_several_pages_give_the_first_with_a_warning() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(SHALLOW, photometric="rgb")
        writer.write(SHALLOW // 2, photometric="rgb")
    result = decode.decode(file.getvalue(), "a.tif")
    assert np.array_equal(result.pixels, SHALLOW)
    assert result.warnings == ("a.tif: has several pages, only the first is used",)


def test_a_reduced_copy_is_no_page() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(SHALLOW, photometric="rgb")
        writer.write(SHALLOW[::2, ::2], photometric="rgb", subfiletype=1)
    assert decode.decode(file.getvalue(), "a.tif").warnings == ()


# Where the first row and the first column of the stored pixels belong, by the Exif standard.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def side_of(pixels: NDArray[Any], side: str) -> NDArray[Any]:
    return {
        "top": pixels[0],
        "bottom": pixels[-1],
        "left": pixels[:, 0],
        "right": pixels[:, -1],
    }[side]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_brings_first_row_and_column_where_they_belong(orientation: int) -> None:
    stored = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    seen = decode.upright(stored, orientation)
    row_side, column_side = SIDES[orientation]
    for first, side in ((stored[0], row_side), (stored[:, 0], column_side)):
        there = side_of(seen, side).tolist()
        assert first.tolist() in (there, there[::-1])
    assert sorted(seen.ravel().tolist()) == sorted(stored.ravel().tolist())
