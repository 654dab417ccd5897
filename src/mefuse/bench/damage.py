"""Small brackets in every format that is read, and what can happen to a file's bytes.

Used to find out whether bad input does harm; draws nothing but what a seed says.
"""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from mefuse import profiles
from mefuse.frames import Metadata
from mefuse.synth.tags import ExposedBy, exif_block, tiff_tags
from mefuse.write import write_picture

SIZE = (72, 104)
_HEADER_BYTES = 1024
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_TIMES = (Fraction(1, 200), Fraction(1, 50), Fraction(2, 25))
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description rdf:about=""/></rdf:RDF></x:xmpmeta>'
)
_WRITTEN = ("jpg", "png", "tiff", "webp", "avif", "jxl")
_DEEP = {"png16": "png", "tiff16": "tiff", "avif10": "avif", "jxl16": "jxl"}
_BY_OPENCV: dict[str, tuple[str, list[int]]] = {
    "bmp": (".bmp", []),
    "ppm": (".ppm", []),
    "jp2": (".jp2", []),
    "progressive": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "lzw": (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
    "lossless": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """Three frames of one kind of file, darkest first, as bytes."""

    name: str
    extension: str
    frames: tuple[bytes, ...]


def kinds() -> list[Kind]:
    """A bracket in every kind of file that can be made here."""
    made = [_kind(name, name, _written) for name in _WRITTEN]
    made += [_kind(name, extension, _written_deep) for name, extension in _DEEP.items()]
    made += [
        _kind(
            name,
            extension[1:],
            lambda pixels, _, form=(extension, flags): _by_opencv(pixels, *form),
        )
        for name, (extension, flags) in _BY_OPENCV.items()
    ]
    made += [_kind("deflate", "tif", _tiff), _kind("dng", "dng", _dng)]
    if (heif := _heif()) is not None:
        made.append(heif)
    return made


def mutated(data: bytes, dice: random.Random, *, other: bytes = b"") -> bytes:
    """The bytes after one to three things that happen to files: cuts, flips, wrong numbers, mixes.

    Args:
        data: a whole file.
        dice: decides.
        other: another file, for halves put together.
    """
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        data = dice.choice(_MISHAPS)(data, dice, other)
    return data


def _place(data: bytes, dice: random.Random) -> int:
    """Somewhere in the file, half the time near its start, where headers are."""
    most = max(len(data) - 1, 0)
    return dice.randint(0, min(most, _HEADER_BYTES) if dice.random() < 0.5 else most)


def _cut(data: bytes, dice: random.Random, _: bytes) -> bytes:
    return data[: _place(data, dice)]


def _flipped(data: bytes, dice: random.Random, _: bytes) -> bytes:
    out = bytearray(data)
    for _again in range(dice.choice((1, 1, 2, 8, 64)) if out else 0):
        out[_place(data, dice)] ^= 1 << dice.randrange(8)
    return bytes(out)


def _wrong_number(data: bytes, dice: random.Random, _: bytes) -> bytes:
    out, at = bytearray(data), _place(data, dice)
    form = dice.choice((">H", "<H", ">I", "<I"))
    number = dice.choice((*_NUMBERS, len(data), dice.getrandbits(32)))
    piece = struct.pack(form, number & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    out[at : at + len(piece)] = piece
    return bytes(out)


def _without_part(data: bytes, dice: random.Random, _: bytes) -> bytes:
    at = _place(data, dice)
    return data[:at] + data[at + dice.choice((1, 2, 16, 512)) :]


def _part_twice(data: bytes, dice: random.Random, _: bytes) -> bytes:
    at, size = _place(data, dice), dice.choice((1, 4, 64, 512))
    return data[: at + size] + data[at:]


def _zeroed(data: bytes, dice: random.Random, _: bytes) -> bytes:
    at, size = _place(data, dice), dice.choice((4, 64, 512, 4096))
    return data[:at] + bytes(min(size, len(data) - at)) + data[at + size :]


def _two_halves(data: bytes, dice: random.Random, other: bytes) -> bytes:
    at = _place(data, dice)
    return data[:at] + other[at:]


_MISHAPS: tuple[Callable[[bytes, random.Random, bytes], bytes], ...] = (
    *(_cut, _flipped, _flipped, _wrong_number, _wrong_number),
    *(_without_part, _part_twice, _zeroed, _two_halves),
)


# Makers of files.

Maker = Callable[[NDArray[np.uint8], ExposedBy], bytes]


def _kind(name: str, extension: str, make: Callable[..., bytes]) -> Kind:
    told = [ExposedBy("a camera", time, Fraction(8), 100) for time in _TIMES]
    if make in (_written, _written_deep):
        frames = [make(_pixels(by), by, extension) for by in told]
    else:
        frames = [make(_pixels(by), by) for by in told]
    return Kind(name, extension, tuple(frames))


def _pixels(by: ExposedBy) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: soft patches with detail everywhere, as light as the exposure makes them."""
    rng = np.random.default_rng(1)
    soft = cv2.resize(rng.random((4, 6, 3)).astype(np.float32), SIZE[::-1])
    detail = cv2.GaussianBlur(rng.random(SIZE).astype(np.float32), (0, 0), 1.2)
    light = soft * (0.4 + 1.2 * detail[..., np.newaxis]) * float(by.exposure_time_s * 50)
    return np.asarray(255 * np.clip(light, 0, 1) ** (1 / 2.2), np.uint8)


def _written(pixels: NDArray[Any], by: ExposedBy, extension: str, bits: int = 8) -> bytes:
    """With all the metadata that there is, by mefuse itself."""
    file = io.BytesIO()
    profile = None if extension == "jxl" else profiles.standard("p3")
    form = {"jpg": "jpeg"}.get(extension, extension)
    told = Metadata(exif_block(by, size=SIZE), profile, _XMP)
    write_picture(pixels, file, format=form, quality=90, metadata=told, overwrite=False, bits=bits)
    return file.getvalue()


def _written_deep(pixels: NDArray[np.uint8], by: ExposedBy, extension: str) -> bytes:
    deep = np.multiply(pixels, 257, dtype=np.uint16)
    return _written(deep, by, extension, 10 if extension == "avif" else 16)


def _by_opencv(pixels: NDArray[np.uint8], extension: str, flags: list[int]) -> bytes:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(extension, bgr, flags)[1].tobytes()


def _tiff(pixels: NDArray[np.uint8], by: ExposedBy) -> bytes:
    """Strips packed by deflate, with a predictor."""
    file = io.BytesIO()
    tifffile.imwrite(
        file, pixels, photometric="rgb", compression="zlib", predictor=True, rowsperstrip=16,
        metadata=None, extratags=tiff_tags(by),
    )  # fmt: skip
    return file.getvalue()


def _dng(pixels: NDArray[np.uint8], by: ExposedBy) -> bytes:
    """A mosaic of 2x2 of 12 bits, as a camera's raw file."""
    rows, columns = np.indices(SIZE)
    channel = np.array(((0, 1), (1, 2)))[rows % 2, columns % 2]
    mosaic = np.take_along_axis(pixels, channel[..., np.newaxis], axis=2)[..., 0]
    matrix = (3.24, -1.54, -0.5, -0.97, 1.88, 0.04, 0.06, -0.2, 1.06)
    tags = [
        *((tag, kind, count, value, True) for tag, kind, count, value in (
            (33421, 3, 2, (2, 2)),
            (33422, 1, 4, (0, 1, 1, 2)),
            (50706, 1, 4, (1, 4, 0, 0)),
            (50708, 2, 0, "a camera"),
            (50717, 4, 1, 4095),
            (50721, 10, 9, tuple(part for x in matrix for part in (round(x * 1000), 1000))),
            (50728, 5, 3, (1, 2, 1, 1, 6, 10)),
        )),
        *tiff_tags(by),
    ]  # fmt: skip
    file = io.BytesIO()
    deep = np.multiply(mosaic, 16, dtype=np.uint16)
    tifffile.imwrite(file, deep, photometric="cfa", metadata=None, extratags=tags)
    return file.getvalue()


def _heif() -> Kind | None:
    """HEIF where its library is installed."""
    try:
        import pillow_heif
    except ImportError:
        return None

    def encode(pixels: NDArray[np.uint8], by: ExposedBy) -> bytes:
        file = io.BytesIO()
        picture = pillow_heif.from_bytes("RGB", SIZE[::-1], pixels.tobytes())
        picture.info["exif"] = b"Exif\0\0" + exif_block(by, size=SIZE)
        picture.save(file, quality=90)
        return file.getvalue()

    return _kind("heif", "heic", encode)
