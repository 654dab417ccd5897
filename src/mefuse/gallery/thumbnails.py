"""The pictures of one bracket as data URIs, together within a budget of bytes.

Frames are shown as the reference sees them and cut as the fused picture is, so that one can be laid
over the other. The fused picture and the reference have one size, the other frames half of it: what
does not fit the budget is made smaller, and left out at last.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.discover import is_raw
from mefuse.errors import AlignError, MefuseError
from mefuse.gallery.entries import Entry, File, FrameEntry
from mefuse.reduced import Pixels8, Reduced, read_reduced
from mefuse.report import Matrix
from mefuse.slices import Rect
from mefuse.warp import warp_region

# Longest sides to try for the fused picture, in px; the first that fits the budget is taken.
_SIDES_PX = (800, 720, 640, 560, 480, 400, 320, 256, 192, 128, 96)
_OTHER_SHARE = 0.5  # side of the frames that are not the reference
_FARTHEST_PX = 1e5  # that a frame may lie away; more is no hand's
_FINER = 1.2  # px of a frame per px of its thumbnail; from here on it is averaged first
_QUALITY = 72  # of JPEG: chosen by eye, blocks just do not show at this size
_PREFIX = "data:image/jpeg;base64,"


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture of the page, `uri` None where there is none; then `note` says why."""

    uri: str | None = None
    width: int = 0
    height: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """The fused picture's, None where none was made, and one for every frame of the entry."""

    fused: Thumbnail | None
    frames: tuple[Thumbnail, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Large:
    """A picture before it is fitted to the budget, or why there is none."""

    pixels: Pixels8 | None = None
    note: str = ""


def make_thumbnails(entry: Entry, *, budget_bytes: int) -> Thumbnails:
    """Reads the pictures of a bracket and gives them small.

    Args:
        entry: the bracket; files that are gone or cannot be read are told in a note.
        budget_bytes: the most that all data URIs take together; 0 reads no file at all.
    """
    if budget_bytes <= 0:
        return Thumbnails(None, tuple(Thumbnail() for _ in entry.frames))
    size, fused = _fused(entry)
    frames = [_frame(frame, entry, size) for frame in entry.frames]
    return _fitted(entry, fused, frames, budget_bytes)


def _fused(entry: Entry) -> tuple[tuple[int, int] | None, _Large | None]:
    """(height, width) of all pictures of the bracket at their largest, and the fused one."""
    size = None if entry.size is None else _within(entry.size, _SIDES_PX[0])
    if entry.picture is None:
        return size, None
    found = _read(entry.picture, _SIDES_PX[0])
    if isinstance(found, _Large):
        return size, found
    return found.pixels.shape[:2], _Large(found.pixels)


def _frame(frame: FrameEntry, entry: Entry, size: tuple[int, int] | None) -> _Large:
    """A frame as the reference sees it where it was fused, else as it lies."""
    share = 1.0 if frame.is_reference else _OTHER_SHARE
    found = _read(frame.file, round(_SIDES_PX[0] * share))
    if isinstance(found, _Large):
        return found
    if frame.transform is None or entry.crop is None or size is None:
        return _Large(found.pixels)
    try:
        if entry.is_half_size and is_raw(frame.file.path):
            found = replace(found, size=(found.size[0] // 2, found.size[1] // 2))
        to = _within(size, max(size) * share)
        return _Large(_aligned(found, frame.transform, entry.crop, to))
    except AlignError as error:  # a transform that no alignment makes
        return _Large(found.pixels, note=str(error))


def _read(file: File, longest_px: int) -> Reduced | _Large:
    """The file's picture, or why there is none."""
    if file.state == "gone":
        return _Large(note="moved or deleted since")
    try:
        return read_reduced(file.path, longest_px)
    except MefuseError as error:
        return _Large(note=_without_path(str(error), file.path))
    except OSError as error:
        return _Large(note=(error.strerror or str(error)).lower())


def _without_path(message: str, path: Path) -> str:
    """The message without the file's name, which stands beside it."""
    return message.removeprefix(f"{path}: ")


def _aligned(found: Reduced, transform: Matrix, crop: Rect, size: tuple[int, int]) -> Pixels8:
    """A reduced frame warped onto the reference's crop, (height, width) `size`.

    Raises:
        AlignError: the transform folds the picture, or takes it out of sight.
    """
    height, width = size
    across = found.pixels.shape[1] / found.size[1] * crop.width / width
    pixels = found.pixels
    if across > _FINER:
        shape = _within((pixels.shape[0], pixels.shape[1]), max(pixels.shape) / across)
        pixels = np.asarray(cv2.resize(pixels, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    to_reference = _scaling(crop.width / width, crop.height / height)
    to_reference[:2, 2] += crop.left, crop.top
    to_small = _scaling(pixels.shape[1] / found.size[1], pixels.shape[0] / found.size[0])
    matrix = to_small @ np.array(transform, np.float64) @ to_reference
    if not _is_plausible(matrix, size):
        raise AlignError("shown as it is: the manifest tells no transform that can be")
    return np.asarray(warp_region(pixels, matrix, Rect(0, 0, height, width)), np.uint8)


def _is_plausible(matrix: NDArray[np.float64], size: tuple[int, int]) -> bool:
    """Whether a transform takes a picture's corners to places near a picture of its size."""
    if not np.isfinite(matrix).all() or abs(matrix).max() > _FARTHEST_PX:
        return False
    height, width = size
    x, y, scale = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1.0]])
    if matrix[2, 2] <= 0 or scale.min() <= 0:
        return False
    return bool(max(abs(x / scale).max(), abs(y / scale).max()) < _FARTHEST_PX)


def _scaling(x: float, y: float) -> NDArray[np.float64]:
    """Scales pixel areas: the matrix for pixel centres at integers."""
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]], np.float64)


def _within(size: tuple[int, int], longest_px: float) -> tuple[int, int]:
    """(height, width) reduced to `longest_px` where it is larger."""
    scale = min(1.0, longest_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _fitted(
    entry: Entry, fused: _Large | None, frames: Sequence[_Large], budget_bytes: int
) -> Thumbnails:
    """The largest thumbnails that fit together; of the smallest as many as do."""
    made, promising = Thumbnails(None, ()), float(_SIDES_PX[0])
    for side in _SIDES_PX:
        if side > promising and side != _SIDES_PX[-1]:
            continue  # spares the encoding of what can not fit
        made = _encoded(entry, fused, frames, side)
        size = _bytes_of(made)
        if size <= budget_bytes:
            return made
        promising = side * (budget_bytes / size) ** 0.5  # bytes fall more slowly than pixels
    return _with_fewer(entry, made, budget_bytes)


def _encoded(
    entry: Entry, fused: _Large | None, frames: Sequence[_Large], side_px: int
) -> Thumbnails:
    """All thumbnails, the fused picture with this longest side."""
    other = side_px * _OTHER_SHARE
    return Thumbnails(
        None if fused is None else _encode(fused, side_px),
        tuple(
            _encode(large, side_px if frame.is_reference else other)
            for frame, large in zip(entry.frames, frames, strict=True)
        ),
    )


def _with_fewer(entry: Entry, made: Thumbnails, budget_bytes: int) -> Thumbnails:
    """Leaves out pictures until the rest fits: frames, then the reference, then the fused one."""
    no_room = Thumbnail(note="left out for want of room")
    frames, fused = list(made.frames), made.fused
    order = sorted(range(len(frames)), key=lambda i: entry.frames[i].is_reference)
    for index in order:
        if _bytes_of(Thumbnails(fused, tuple(frames))) <= budget_bytes:
            break
        if frames[index].uri is not None:
            frames[index] = no_room
    if fused is not None and _bytes_of(Thumbnails(fused, tuple(frames))) > budget_bytes:
        fused = no_room
    return Thumbnails(fused, tuple(frames))


def _bytes_of(made: Thumbnails) -> int:
    """What the data URIs take together."""
    return sum(len(one.uri or "") for one in (*made.frames, made.fused) if one is not None)


def _encode(large: _Large, longest_px: float) -> Thumbnail:
    """A JPEG of at most that longest side."""
    if large.pixels is None:
        return Thumbnail(note=large.note)
    height, width = _within((large.pixels.shape[0], large.pixels.shape[1]), longest_px)
    pixels = cv2.cvtColor(large.pixels, cv2.COLOR_RGB2BGR)
    if (height, width) != pixels.shape[:2]:
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    flags = (cv2.IMWRITE_JPEG_QUALITY, _QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1)
    _, jpeg = cv2.imencode(".jpg", pixels, flags)
    uri = _PREFIX + base64.b64encode(jpeg.tobytes()).decode("ascii")
    return Thumbnail(uri, width, height, large.note)
