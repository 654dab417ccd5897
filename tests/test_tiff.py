"""TIFF: pixels, directories, maker notes at their place, pages, tiles and BigTIFF."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from helpers import exif_block
from mefuse import exif, exif_copy
from mefuse.frames import Exposure, Metadata
from mefuse.settings import Compression
from mefuse.write import tiff
from mefuse.write.tiff import Page, write_tiff

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (150, 70, 3), dtype=np.uint16)
SHALLOW = RNG.integers(0, 256, (150, 70, 3), dtype=np.uint8)
NOTE = bytes(range(1, 201))


def block(order: str = "<") -> bytes:
    """EXIF as the fused picture has it."""
    camera = exif_block(
        {0x010F: ("ASCII", b"Some Maker\0"), 0x0112: ("SHORT", 1)},
        shooting={0x829A: ("RATIONAL", (1, 60)), 0x927C: ("UNDEFINED", NOTE)},
        gps={1: ("ASCII", b"N\0"), 2: ("RATIONAL", [(52, 1), (31, 1), (12, 1)])},
        order=order,
    )
    true = exif_copy.Corrections(70, 150, "mefuse", True)
    return exif_copy.finished(camera, true, exposure=Exposure())


def written(
    *pages: Page, metadata: Metadata | None = None, compression: Compression = "fast"
) -> bytes:
    file = io.BytesIO()
    write_tiff(file, pages, metadata or Metadata(), compression=compression)
    return file.getvalue()


def read_by_others(data: bytes) -> list[NDArray[Any]]:
    """The first page as tifffile and OpenCV read it."""
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return [tifffile.imread(io.BytesIO(data), key=0), seen[..., ::-1]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pixels", [SHALLOW, DEEP], ids=["8 bits", "16 bits"])
def test_others_read_the_same_pixels_in_both_byte_orders(
    pixels: NDArray[Any], order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "_STRIP_BYTES", 10_000)  # several strips, the last one short
    for found in read_by_others(written(Page(pixels), metadata=Metadata(exif=block(order)))):
        assert found.dtype == pixels.dtype
        assert np.array_equal(found, pixels)


@pytest.mark.parametrize("shape", [(600, 1100, 3), (512, 512, 3), (1, 513, 3)])
def test_large_pictures_are_tiled(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "_TILED_FROM_PX", 1)
    pixels = RNG.integers(0, 65536, shape, dtype=np.uint16)
    data = written(Page(pixels), metadata=Metadata(icc=b"profile"))
    for found in read_by_others(data):
        assert np.array_equal(found, pixels)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert file.pages.first.is_tiled
        assert file.pages.first.iccprofile == b"profile"


@pytest.mark.parametrize("big", [False, True], ids=["classic", "BigTIFF"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_photographs_directories_are_the_files(
    order: str, big: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if big:
        monkeypatch.setattr(tiff, "_CLASSIC_BYTES", 0)
    metadata = Metadata(exif=block(order), icc=b"profile", xmp=b"<x/>")
    data = written(Page(DEEP), metadata=metadata)
    assert data[2:4] in ((b"+\0", b"\0+") if big else (b"*\0", b"\0*"))
    for found in read_by_others(data):
        assert np.array_equal(found, DEEP)
    reader = exif.TiffReader(io.BytesIO(data))
    assert reader.value(reader.main[0x010F]) == b"Some Maker\0"
    assert reader.value(reader.main[0x8773]) == b"profile"
    assert reader.value(reader.main[0x02BC]) == b"<x/>"
    assert exif.read_exposure(io.BytesIO(data)).exposure_time_s == 1 / 60
    assert reader.numbers(reader.subdirectory(0x8825)[2]) == [52.0, 31.0, 12.0]
    note = reader.subdirectory(0x8769)[0x927C]
    assert reader.value(note) == NOTE
    assert reader.value_offset(note) == metadata.exif.find(NOTE) if metadata.exif else False


def test_pages_have_names_and_only_the_first_tells_of_the_photograph() -> None:
    pages = [Page(DEEP, "fused"), Page(SHALLOW, "a.jpg"), Page(SHALLOW[::-1], "b.jpg")]
    data = written(*pages, metadata=Metadata(exif=block(), icc=b"profile"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert len(file.pages) == 3
        for page, given in zip(file.pages, pages, strict=True):
            assert np.array_equal(page.asarray(), given.pixels)
            assert page.tags[0x011D].value == given.name
            assert page.tags[0x8773].value == b"profile"
            assert (0x8769 in page.tags) == (given.name == "fused")


def test_without_metadata_it_is_a_plain_tiff() -> None:
    data = written(Page(SHALLOW))
    assert data.startswith(b"II*\0")
    assert np.array_equal(tifffile.imread(io.BytesIO(data)), SHALLOW)


@pytest.mark.parametrize(("compression", "codec"), [("none", 1), ("small", 8), ("zstd", 50000)])
@pytest.mark.parametrize("pixels", [SHALLOW, DEEP], ids=["8 bits", "16 bits"])
def test_every_compression_keeps_the_pixels(
    pixels: NDArray[Any], compression: Compression, codec: int
) -> None:
    data = written(Page(pixels), compression=compression)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff_file:
        assert int(tiff_file.pages[0].compression) == codec
    assert np.array_equal(tifffile.imread(io.BytesIO(data), key=0), pixels)
