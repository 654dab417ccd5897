"""Makers of test pictures and files; every test makes what it reads."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

# Makers of picture files, for reading and writing.

Value = tuple[str, object]  # ("SHORT" | "LONG" | "ASCII" | "RATIONAL" | "SRATIONAL" | ..., value)


def _tiff_value(kind: str, value: Any, order: str) -> tuple[int, int, bytes]:
    """Type number, count and bytes of one TIFF value."""
    values = value if isinstance(value, list) else [value]
    if kind in ("ASCII", "UNDEFINED"):
        return {"ASCII": 2, "UNDEFINED": 7}[kind], len(value), bytes(value)
    number, code = {
        "BYTE": (1, "B"),
        "SHORT": (3, "H"),
        "LONG": (4, "I"),
        "RATIONAL": (5, "II"),
        "SRATIONAL": (10, "ii"),
    }[kind]
    parts = [v if isinstance(v, tuple) else (v,) for v in values]
    return number, len(parts), b"".join(struct.pack(order + code, *p) for p in parts)


def exif_block(
    main: dict[int, Value] | None = None,
    *,
    shooting: dict[int, Value] | None = None,
    gps: dict[int, Value] | None = None,
    thumbnail: bytes | None = None,
    order: str = "<",
) -> bytes:
    """An EXIF block (TIFF structure) of IFD0, Exif IFD, GPS IFD and a thumbnail in IFD1."""
    main = dict(main or {})
    if shooting is not None:
        main[0x8769] = ("LONG", 0)
    if gps is not None:
        main[0x8825] = ("LONG", 0)
    out = bytearray(struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8))

    def put(tags: dict[int, Value]) -> dict[int, int]:
        """Appends a directory; gives where each tag's four value bytes stand, and the next link."""
        start, slots = len(out), {}
        out.extend(bytes(6 + 12 * len(tags)))
        struct.pack_into(order + "H", out, start, len(tags))
        for i, tag in enumerate(sorted(tags)):
            number, count, data = _tiff_value(*tags[tag], order)
            at = start + 2 + 12 * i
            struct.pack_into(order + "HHI", out, at, tag, number, count)
            slots[tag] = at + 8
            if len(data) <= 4:
                out[at + 8 : at + 8 + len(data)] = data
            else:
                struct.pack_into(order + "I", out, at + 8, len(out))
                out.extend(data + bytes(len(data) % 2))
        slots[-1] = start + 2 + 12 * len(tags)
        return slots

    slots = put(main)
    for pointer, tags in ((0x8769, shooting), (0x8825, gps)):
        if tags is not None:
            struct.pack_into(order + "I", out, slots[pointer], len(out))
            put(tags)
    if thumbnail is not None:
        struct.pack_into(order + "I", out, slots[-1], len(out))
        inner = put({0x0201: ("LONG", 0), 0x0202: ("LONG", len(thumbnail))})
        struct.pack_into(order + "I", out, inner[0x0201], len(out))
        out.extend(thumbnail)
    return bytes(out)


def exposure_exif(
    time: tuple[int, int], *, f_number: float = 8.0, iso: int = 100, orientation: int = 1
) -> bytes:
    """An EXIF block of one exposure."""
    return exif_block(
        {0x010F: ("ASCII", b"Maker\0"), 0x0112: ("SHORT", orientation)},
        shooting={
            0x829A: ("RATIONAL", time),
            0x829D: ("RATIONAL", (round(f_number * 10), 10)),
            0x8827: ("SHORT", iso),
        },
    )


def textured_light(
    height: int = 96, width: int = 128, *, seed: int = 0, stops: float = 8.0
) -> NDArray[np.float32]:
    """(H, W, 3) linear light over `stops` stops, brightest 1: soft patches with some colour."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((6, 8)).astype(np.float32)
    level = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    level = (level - level.min()) / (level.max() - level.min())
    tint = 0.7 + 0.3 * rng.random((1, 1, 3)).astype(np.float32)
    return (2.0 ** (stops * (level[..., None] - 1.0)) * tint / tint.max()).astype(np.float32)


def exposed(light: NDArray[np.float32], ev: float, *, depth: int = 8) -> NDArray[Any]:
    """sRGB pixels of linear light, `ev` stops brighter, clipped."""
    linear = np.clip(light.astype(np.float64) * 2.0**ev, 0.0, 1.0)
    low, high = 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    encoded = np.where(linear <= 0.0031308, low, high)
    full, dtype = (255, np.uint8) if depth == 8 else (65535, np.uint16)
    return np.round(encoded * full).astype(dtype)


def encoded(pixels: NDArray[Any], extension: str, *flags: int) -> bytes:
    """A picture file of RGB (or gray) pixels, without metadata, by OpenCV."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(extension, pixels, list(flags))
    assert done
    return data.tobytes()


def jpeg_with(data: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with segments (marker, payload) put in right behind SOI."""
    block = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
        for marker, payload in segments
    )
    return data[:2] + block + data[2:]


def jpeg_with_exif(data: bytes, exif: bytes) -> bytes:
    """A JPEG with an EXIF block."""
    return jpeg_with(data, (0xE1, b"Exif\0\0" + exif))


def png_with(data: bytes, name: bytes, payload: bytes) -> bytes:
    """A PNG with a chunk put in right behind IHDR."""
    check = zlib.crc32(name + payload)
    chunk = struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", check)
    return data[:33] + chunk + data[33:]


def write_cfa_dng(
    path: Path,
    light: NDArray[np.float32],
    *,
    exposure_time: tuple[int, int],
    white: int = 4095,
    black: int = 256,
    neutral: tuple[float, float, float] = (0.5, 1.0, 0.6),
    orientation: int = 1,
) -> None:
    """A raw file (RGGB, 12 bits) of linear camera light; light 1 for one second saturates.

    The colour matrix is that of sRGB, and camera RGB is `neutral` for gray light.
    """
    seconds = exposure_time[0] / exposure_time[1]
    linear = np.clip(light.astype(np.float64) * seconds * np.array(neutral), 0.0, 1.0)
    rows, columns = np.indices(light.shape[:2])
    channel = rows % 2 + columns % 2  # RGGB: 0 red, 1 green, 2 blue
    mosaic = np.take_along_axis(linear, channel[..., None], axis=2)[..., 0]
    raw = np.round(black + mosaic * (white - black)).astype(np.uint16)
    # XYZ -> camera for a camera whose primaries are sRGB's, before the neutral is applied.
    matrix = np.diag(neutral) @ np.linalg.inv(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    rationals = [x for v in matrix.ravel() for x in (round(v * 10000), 10000)]
    neutrals = [x for v in neutral for x in (round(v * 10000), 10000)]
    tags = [
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Test Camera", True),
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
        (50714, "H", 1, black, True),
        (50717, "H", 1, white, True),
        (50721, "2i", 9, rationals, True),  # ColorMatrix1
        (50728, "2I", 3, neutrals, True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
        (274, "H", 1, orientation, True),
        (33434, "2I", 1, exposure_time, True),
        (33437, "2I", 1, (8, 1), True),
        (34855, "H", 1, 100, True),
    ]
    tifffile.imwrite(path, raw, photometric="cfa", metadata=None, extratags=tags)
