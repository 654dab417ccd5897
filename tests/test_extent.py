"""What headers claim: the size of every kind of file, and the limit that it is held against."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile

from helpers import encoded
from mefuse.bench.damage import SIZE, Kind, kinds
from mefuse.decode import check_header, decode
from mefuse.errors import ReadError
from mefuse.extent import size_of

KINDS = {kind.name: kind for kind in kinds()}
PLAIN = np.full((40, 50, 3), 90, np.uint8)


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG with right checksums that claims a size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def claiming(name: str, width: int, height: int) -> bytes:
    """A whole file of a kind whose header was changed to claim another size."""
    data = bytearray(KINDS[name].frames[0])
    if name == "jpg":
        at = data.index(b"\xff\xc0") + 5
        struct.pack_into(">HH", data, at, height, width)
    elif name == "bmp":
        struct.pack_into("<ii", data, 18, width, -height)
    elif name == "avif":
        at = data.index(b"ispe") + 8
        struct.pack_into(">II", data, at, width, height)
    elif name == "ppm":
        return bytes(data).replace(f"{SIZE[1]} {SIZE[0]}".encode(), f"{width} {height}".encode(), 1)
    else:
        struct.pack_into("<HH", data, 6, width, height)
    return bytes(data)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_size_of_every_kind(kind: Kind) -> None:
    assert [size_of(io.BytesIO(frame)) for frame in kind.frames] == [SIZE] * 3


@pytest.mark.parametrize("extension", [".gif", ".hdr", ".ras", ".pam", ".pfm", ".pgm"])
def test_the_size_of_rarer_kinds(extension: str) -> None:
    pixels = PLAIN.astype(np.float32) if extension in (".hdr", ".pfm") else PLAIN
    data = encoded(pixels[..., 0] if extension == ".pgm" else pixels, extension)
    assert size_of(io.BytesIO(data)) == (40, 50)


def test_a_jxl_tells_ratios_and_small_sides_too() -> None:
    from mefuse.frames import Metadata
    from mefuse.write import jxl  # loads imagecodecs

    for size in ((64, 64), (64, 128), (300, 400), (8, 8), (1, 7), (200, 300), (1080, 1920)):
        pixels = np.zeros((*size, 3), np.uint8)
        done = jxl.encode_jxl(pixels, Metadata(), quality=90, name="a.jxl")
        assert size_of(io.BytesIO(b"".join(done.pieces))) == size


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8X", b"BM"])
def test_no_header_no_size(data: bytes) -> None:
    assert size_of(io.BytesIO(data)) is None


@pytest.mark.parametrize("name", ["jpg", "bmp", "avif", "ppm"])
def test_a_file_that_claims_too_much_is_refused_from_its_header(name: str) -> None:
    data = claiming(name, 60000, 60000)
    with pytest.raises(
        ReadError, match=r"a.file: claims 60000x60000 pixels .3,600 megapixels.*--max-meg"
    ):
        decode(data, "a.file")


def test_a_small_png_that_claims_everything_is_refused_and_the_limit_can_be_raised() -> None:
    bomb = png(60000, 60000, bytes(1 << 20))
    assert len(bomb) < 50_000
    with pytest.raises(ReadError, match="limit of 500"):
        decode(bomb, "a.png")
    with pytest.raises(ReadError, match="is truncated or damaged"):  # it cannot hold that much
        decode(bomb, "a.png", max_megapixels=1e6)
    check_header(io.BytesIO(encoded(PLAIN, ".png")), "a.png", max_megapixels=0.002)
    with pytest.raises(ReadError, match=r"limit of 0.0019"):
        check_header(io.BytesIO(encoded(PLAIN, ".png")), "a.png", max_megapixels=0.0019)


def test_a_tiff_that_claims_too_much_is_refused() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, PLAIN, photometric="rgb")
    data = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        tags = tiff.pages[0].tags
        for name in ("ImageWidth", "ImageLength"):
            struct.pack_into("<I", data, tags[name].offset + 4 + 4, 60000)
            struct.pack_into("<H", data, tags[name].offset + 2, 4)
    with pytest.raises(ReadError, match="claims 60000x60000"):
        decode(bytes(data), "a.tif")


def test_a_file_far_larger_than_its_picture_is_not_read_into_memory(tmp_path) -> None:
    path = tmp_path / "a.bmp"
    path.write_bytes(encoded(PLAIN, ".bmp"))
    with path.open("r+b") as file:
        file.truncate(40 << 30)  # it takes no room: holes are not stored
        with pytest.raises(ReadError, match="has 40960 MiB for a picture of 50x40"):
            check_header(file, "a.bmp")
