"""The camera's own small picture inside a raw file: to be looked at, never to be fused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
from numpy.typing import NDArray

from mefuse import decode
from mefuse.errors import ReadError
from mefuse.raw.files import makers_crop, opened

_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's flip -> EXIF's number
_SAME_SHAPE = 0.01  # of the aspect ratio: what differs by more shows another part


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """`pixels` (h, w, 3) uint8 RGB, upright; `size` (H, W) of the picture that is developed."""

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


def read_preview(path: Path) -> Preview | None:
    """Gives the picture that the camera put into a raw file, None where it has none that fits.

    Raises:
        ReadError: LibRaw cannot read the file.
    """
    with opened(path) as raw:
        crop, flip = makers_crop(raw), int(raw.sizes.flip)
        size = (raw.sizes.height, raw.sizes.width) if crop is None else (crop.height, crop.width)
        try:
            thumbnail = raw.extract_thumb()
        except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
            return None
    pixels = _pixels(thumbnail, str(path))
    if pixels is None or flip not in _ORIENTATIONS:
        return None
    upright = (size[1], size[0]) if flip & 4 else size
    if _fits(pixels.shape, size):  # as the sensor lies
        pixels = np.asarray(decode.upright(pixels, _ORIENTATIONS[flip]), np.uint8)
    return Preview(pixels, upright) if _fits(pixels.shape, upright) else None


def _pixels(thumbnail: Any, name: str) -> NDArray[np.uint8] | None:
    """The thumbnail's pixels as stored, None where they cannot be decoded."""
    if thumbnail.format == rawpy.ThumbFormat.BITMAP:
        found = np.asarray(thumbnail.data)
        return np.asarray(found, np.uint8) if found.ndim == 3 and found.shape[2] == 3 else None
    if thumbnail.format != rawpy.ThumbFormat.JPEG:
        return None
    try:
        return np.asarray(decode.decode(thumbnail.data, name).pixels, np.uint8)
    except ReadError:
        return None


def _fits(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether a picture has the shape of another size, so that it shows the same."""
    wanted = size[0] / size[1]
    return abs(shape[0] / shape[1] - wanted) <= _SAME_SHAPE * wanted
