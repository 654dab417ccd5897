"""A small upright picture of a file, quickly, and how large the file's own is.

JPEG is decoded at a half, a fourth or an eighth where that is enough. Of a raw file the camera's
own small picture is taken, else it is developed at half its size. Other files are read whole. Files
are opened for reading only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse import colour, containers, decode, exif
from mefuse.depth import to_depth
from mefuse.discover import find_sources
from mefuse.frames import Source
from mefuse.read import read_frame
from mefuse.settings import RawSettings
from mefuse.wholeness import is_whole

Pixels8 = NDArray[np.uint8]

_QUICK = RawSettings(demosaic="linear", half_size=True)
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """`pixels` (h, w, 3) uint8, sRGB, upright; `size` (H, W) of the file's own, upright."""

    pixels: Pixels8
    size: tuple[int, int]


def read_reduced(path: Path, longest_px: int) -> Reduced:
    """Reads a picture or a raw file reduced to at most `longest_px`, if it is larger than that.

    Raises:
        ReadError: it cannot be opened or decoded, or is no regular file.
    """
    (source,) = find_sources([path])
    find = _from_raw if source.is_raw else _from_jpeg
    found = find(source, longest_px) or _from_any(source)
    height, width = found.pixels.shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1:
        return found
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(found.pixels, size, interpolation=cv2.INTER_AREA)
    return Reduced(np.asarray(small, np.uint8), found.size)


def _from_jpeg(source: Source, longest_px: int) -> Reduced | None:
    """A JPEG decoded at a part of its size; None where that would be too small, or it is none."""
    with source.path.open("rb") as file:
        if containers.kind_of(file.read(containers.HEADER_BYTES)) != "jpeg":
            return None
        size = containers.find_jpeg_size(file)
        factor = next((n for n in _REDUCED if max(size or (0,)) >= n * longest_px), None)
        if size is None or factor is None:
            return None
        metadata = containers.read_metadata(file)
        file.seek(0)
        pixels = _decoded(file.read(), _REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        return None  # reading it whole will tell what is wrong
    orientation = exif.read_orientation(metadata.exif)
    rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    meant = colour.interpreted(decode.upright(rgb, orientation), metadata, str(source.path))
    return Reduced(_in_srgb(meant.pixels, meant.icc), size[::-1] if orientation >= 5 else size)


def _in_srgb(pixels: NDArray[Any], icc: bytes | None) -> Pixels8:
    """Pixels of 8 or 16 bits in a profile as 8 bits of sRGB."""
    if not colour.same_colours(icc, None):
        pixels = colour.converted(pixels, source=icc, target=None)
    return np.asarray(to_depth(pixels, 8), np.uint8)


def _decoded(data: bytes, flags: int) -> NDArray[Any] | None:
    """Pixels as OpenCV gives them, None where the file is damaged."""
    if not is_whole(data):
        return None
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _from_raw(source: Source, longest_px: int) -> Reduced | None:
    """A raw file's own preview; None where it has none, or one of less than half the size asked."""
    from mefuse.raw.preview import read_preview  # loads LibRaw: only for those who have raw files

    found = read_preview(source.path)
    if found is None or 2 * max(found.pixels.shape) < longest_px:
        return None
    return Reduced(found.pixels, found.size)


def _from_any(source: Source) -> Reduced:
    """Any file that mefuse reads, whole; a raw file at half its size."""
    frame = read_frame(source, raw=_QUICK)
    size = (2 * frame.size[0], 2 * frame.size[1]) if source.is_raw else frame.size
    return Reduced(_in_srgb(frame.pixels, frame.metadata.icc), size)
