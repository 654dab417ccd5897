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

from mefuse.host import ipl

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


# sRGB's primaries: XYZ of linear red, green, blue.
SRGB_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
BAYER = ((0, 1), (1, 2))  # DNG's numbers: 0 red, 1 green, 2 blue, 3 cyan, 4 magenta, 5 yellow
X_TRANS = (
    *((1, 1, 0, 1, 1, 2), (1, 1, 2, 1, 1, 0), (2, 0, 1, 0, 2, 1)),
    *((1, 1, 2, 1, 1, 0), (1, 1, 0, 1, 1, 2), (0, 2, 1, 2, 0, 1)),
)
_LINEAR_RAW = 34892


def write_dng(
    path: Path,
    mosaic: NDArray[Any],
    *,
    pattern: tuple[tuple[int, ...], ...] = BAYER,
    planes: bytes | None = None,
    exposure_time: tuple[int, int] = (1, 1),
    iso: int = 100,
    white: int = 4095,
    black: int = 256,
    neutral: tuple[float, ...] | None = (0.5, 1.0, 0.6),
    matrix: NDArray[np.float64] | None = None,
    orientation: int = 1,
    crop: tuple[int, int, int, int] | None = None,
    model: str = "Camera",
) -> None:
    """A raw file of values as a sensor gives them: (H, W) a mosaic, (H, W, 3) linear raw.

    `matrix` takes XYZ to the camera's colours, by default those of sRGB times `neutral`; `crop` is
    (top, left, height, width) of what the maker shows; `neutral` None: no white balance recorded.
    """
    if matrix is None:
        matrix = np.diag(neutral or (0.5, 1.0, 0.6)) @ np.linalg.inv(SRGB_TO_XYZ)

    def rationals(values: Any) -> list[int]:
        return [x for v in np.ravel(values) for x in (round(float(v) * 10000), 10000)]

    tags: list[tuple[Any, ...]] = [
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, f"Test {model}", True),
        (271, "s", 0, "Test", True),
        (272, "s", 0, model, True),
        (50717, "I", 1, white, True),
        (50721, "2i", matrix.size, rationals(matrix), True),  # ColorMatrix1
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
        (274, "H", 1, orientation, True),
        (33434, "2I", 1, exposure_time, True),
        (33437, "2I", 1, (8, 1), True),
        (34855, "H", 1, iso, True),
    ]
    if neutral is not None:
        tags.append((50728, "2I", len(neutral), rationals(neutral), True))  # AsShotNeutral
    if crop is not None:
        tags.append((50719, "I", 2, (crop[1], crop[0]), True))  # DefaultCropOrigin: x, y
        tags.append((50720, "I", 2, (crop[3], crop[2]), True))
    if mosaic.ndim == 2 and pattern:
        tags.append((33421, "H", 2, (len(pattern), len(pattern[0])), True))  # CFARepeatPatternDim
        flat = [x for row in pattern for x in row]
        tags.append((33422, "B", len(flat), tuple(flat), True))
        tags.append((50714, "H", 1, black, True))
        if planes is not None:
            tags.append((50710, "B", len(planes), tuple(planes), True))  # CFAPlaneColor
        tifffile.imwrite(path, mosaic, photometric="cfa", metadata=None, extratags=tags)
    elif mosaic.ndim == 3:
        tifffile.imwrite(path, mosaic, photometric="linear_raw", metadata=None, extratags=tags)
    else:  # a monochrome sensor; tifffile knows linear raw of three colours only
        tifffile.imwrite(path, mosaic, photometric="minisblack", metadata=None, extratags=tags)
        data = bytearray(path.read_bytes())
        at = data.index(struct.pack("<HHI", 0x0106, 3, 1)) + 8  # PhotometricInterpretation
        struct.pack_into("<H", data, at, _LINEAR_RAW)
        path.write_bytes(data)


def mosaic_of(
    light: NDArray[np.float32],
    *,
    seconds: float = 1.0,
    white: int = 4095,
    black: int = 256,
    saturation: int | None = None,
    neutral: tuple[float, float, float] = (0.5, 1.0, 0.6),
    pattern: tuple[tuple[int, ...], ...] = BAYER,
    noise: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.uint16]:
    """What a sensor makes of linear light; light 1 for one second gives `white` in green.

    `noise` is read noise and shot noise at white, as shares of full scale; `saturation` is where
    the sensor clips, if that is below `white`.
    """
    linear = light.astype(np.float64) * seconds * np.array(neutral)
    rows, columns = np.indices(light.shape[:2])
    cell = np.array(pattern)
    channel = cell[rows % cell.shape[0], columns % cell.shape[1]]
    mosaic = np.take_along_axis(linear, channel[..., None], axis=2)[..., 0]
    spread = np.sqrt(noise[0] ** 2 + noise[1] ** 2 * mosaic)
    mosaic = mosaic + spread * np.random.default_rng(1).standard_normal(mosaic.shape)
    values = np.clip(black + mosaic * (white - black), 0, saturation or white)
    return np.round(values).astype(np.uint16)


def write_cfa_dng(
    path: Path,
    light: NDArray[np.float32],
    *,
    exposure_time: tuple[int, int],
    white: int = 4095,
    black: int = 256,
    neutral: tuple[float, float, float] = (0.5, 1.0, 0.6),
    noise: tuple[float, float] = (0.0, 0.0),
    saturation: int | None = None,
    pattern: tuple[tuple[int, ...], ...] = BAYER,
    **told: Any,
) -> None:
    """A raw file (12 bits, RGGB) of linear camera light; light 1 for one second saturates.

    The colour matrix is that of sRGB, and camera RGB is `neutral` for gray light.
    """
    mosaic = mosaic_of(
        light,
        seconds=exposure_time[0] / exposure_time[1],
        white=white,
        black=black,
        saturation=saturation,
        neutral=neutral,
        pattern=pattern,
        noise=noise,
    )
    write_dng(
        path,
        mosaic,
        pattern=pattern,
        exposure_time=exposure_time,
        white=white,
        black=black,
        neutral=neutral,
        **told,
    )


# Makers of networks.


def on_host(network: Any) -> ipl.IPL:
    """The host's form of a torch IPL, with the same weights."""
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return ipl.IPL(network.config, arrays)
