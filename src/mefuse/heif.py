"""HEIF, AVIF and JPEG XL -> pixels. A leaf below decode.

AVIF through OpenCV, JPEG XL through imagecodecs, HEIF through pillow-heif, which is the extra
mefuse[heif]. All give RGB; 10 and 12 bits are stretched to 16.
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse import boxes, colour, containers, jxl_header
from mefuse.errors import ReadError

_COPY_AGAIN = "is truncated or damaged; copy it again from the camera, or leave it out"
_SRGB_CURVE = 13  # of ITU-T H.273
_UPRIGHT_AFTER = (1, 8, 3, 6)  # EXIF's orientation for quarter turns counter-clockwise


def decode_avif(data: bytes, name: str) -> tuple[NDArray[Any], int]:
    """Pixels (H, W, 3) uint8 or uint16 of an AVIF, and the EXIF orientation that its turn means.

    Raises:
        ReadError: it cannot be decoded.
    """
    told = boxes.describe(io.BytesIO(data))
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_COLOR_RGB
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as err:
        raise ReadError(f"{name}: {_COPY_AGAIN}") from err
    if pixels is None:
        raise ReadError(f"{name}: {_COPY_AGAIN}")
    if pixels.dtype == np.uint16:
        pixels = _stretched(pixels, told.bits or 10)
    return pixels, _UPRIGHT_AFTER[told.quarter_turns]


def decode_heif(data: bytes, name: str) -> NDArray[Any]:
    """Upright pixels (H, W, 3) uint8 or uint16 of a HEIF's primary picture.

    Raises:
        ReadError: it cannot be decoded, or pillow-heif is not installed.
    """
    try:
        import pillow_heif
    except ImportError as err:
        raise ReadError(
            f"{name}: is a HEIF picture, which needs pillow-heif; pip install 'mefuse[heif]'"
        ) from err
    try:
        opened = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
        pixels = np.asarray(opened)
    except (ValueError, RuntimeError, EOFError, SyntaxError, OSError, IndexError) as err:
        raise ReadError(f"{name}: {_COPY_AGAIN}") from err
    bits = int(opened.info.get("bit_depth", 8))
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., np.newaxis], 3, axis=2)
    pixels = np.ascontiguousarray(pixels[..., :3])
    if pixels.dtype == np.uint16:  # they come shifted to the left
        pixels = _stretched(pixels >> (16 - bits), bits)
    return pixels


def decode_jxl(data: bytes, name: str) -> NDArray[Any]:
    """Upright pixels (H, W, 3) uint8 or uint16 of a JPEG XL.

    Raises:
        ReadError: it cannot be decoded, or its colours are named by a profile inside, which the
            decoder does not give.
    """
    import imagecodecs

    coded = jxl_header.colours(containers.jxl_codestream(data))
    if coded is None:
        raise ReadError(
            f"{name}: is a JPEG XL whose colours cannot be told; save it as PNG or TIFF"
        )
    try:
        pixels: NDArray[Any] = imagecodecs.jpegxl_decode(data)
    except (RuntimeError, ValueError) as err:
        raise ReadError(f"{name}: {_COPY_AGAIN}") from err
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., np.newaxis], 3, axis=2)
    pixels = np.ascontiguousarray(pixels)
    if coded[1] == jxl_header.LINEAR:
        light, seen = (
            containers.coded_profile(coded[0], curve) for curve in (coded[1], _SRGB_CURVE)
        )
        pixels = colour.converted(pixels, source=light, target=seen)
    return pixels


def _stretched(codes: NDArray[Any], bits: int) -> NDArray[np.uint16]:
    """Codes of `bits` bits, full range to full range of 16."""
    scale = np.float32(65535 / ((1 << bits) - 1))
    return np.rint(codes * scale).astype(np.uint16)
