"""JPEG, WebP and AVIF, through OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.errors import WriteError
from mefuse.frames import Metadata
from mefuse.write.embed import Embedded, in_jpeg

_FULL_CHROMA_QUALITY = 90  # from here on a JPEG is meant to look like the original
_AVIF_SPEED = 9  # as OpenCV's own default; 8 takes twice as long for 3 % of size


def encode_jpeg(pixels: NDArray[Any], metadata: Metadata, *, quality: int, name: str) -> Embedded:
    """A JPEG of uint8 pixels (H, W, 3), its chroma in full size where the quality is high."""
    sampling = (
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        if quality >= _FULL_CHROMA_QUALITY
        else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    )
    flags = (cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling)
    return in_jpeg(_encode(".jpg", pixels, flags, name), metadata)


def encode_webp(pixels: NDArray[Any], metadata: Metadata, *, quality: int, name: str) -> Embedded:
    """A lossy WebP of uint8 pixels (H, W, 3)."""
    return _with_metadata(".webp", pixels, metadata, (cv2.IMWRITE_WEBP_QUALITY, quality), name)


def encode_avif(
    pixels: NDArray[Any], metadata: Metadata, *, quality: int, bits: int, name: str
) -> Embedded:
    """An AVIF of 8, 10 or 12 bits of uint8 or uint16 pixels (H, W, 3)."""
    if pixels.dtype == np.uint16:  # OpenCV takes the codes as they go into the file
        top = (1 << bits) - 1
        pixels = np.rint(pixels * np.float32(top / 65535)).astype(np.uint16)
    flags = (
        *(cv2.IMWRITE_AVIF_QUALITY, quality),
        *(cv2.IMWRITE_AVIF_DEPTH, bits),
        *(cv2.IMWRITE_AVIF_SPEED, _AVIF_SPEED),
    )
    return _with_metadata(".avif", pixels, metadata, flags, name)


def _with_metadata(
    extension: str, pixels: NDArray[Any], metadata: Metadata, flags: Sequence[int], name: str
) -> Embedded:
    """A file that OpenCV puts the metadata into."""
    blocks = (
        (cv2.IMAGE_METADATA_EXIF, metadata.exif),
        (cv2.IMAGE_METADATA_XMP, metadata.xmp),
        (cv2.IMAGE_METADATA_ICCP, metadata.icc),
    )
    present = [(int(kind), block) for kind, block in blocks if block]
    return Embedded([_encode(extension, pixels, flags, name, present)])


def _encode(
    extension: str,
    pixels: NDArray[Any],
    flags: Sequence[int],
    name: str,
    blocks: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """A file of RGB pixels."""
    kinds = [kind for kind, _ in blocks]
    values = [np.frombuffer(block, np.uint8) for _, block in blocks]
    try:
        swapped = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        if blocks:
            done, encoded = cv2.imencodeWithMetadata(extension, swapped, kinds, values, flags)
        else:
            done, encoded = cv2.imencode(extension, swapped, flags)
    except cv2.error as err:
        raise WriteError(f"{name}: encoding failed ({err.err}); try another format") from err
    if not done or encoded.size == 0:
        raise WriteError(f"{name}: encoding gave nothing; try another format")
    return encoded.tobytes()
