"""What moved in the frames of a bracket, and how it is replaced: frames that agree, for any region.

A frame is given the content of the frame that it contradicts, at its own exposure: that one's
levels mapped to its own, and a drift that continues what the two differ by around the place. So
whatever fuses the frames sees no ghost, and pixels that did not move keep their bytes. Knows no
transform and no network; `ghost_search` finds what is described here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.response import LevelMap
from mefuse.slices import Rect

Bytes = NDArray[np.uint8]
Plane = NDArray[np.float32]
Pixels = NDArray[Any]

DRIFT_CELLS = 4  # side of a cell of the drift, in pixels of the reduced frames
_BAND_ROWS = 64  # filled at once: stays in the processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class Ghost:
    """What moved in one frame, against the corrected frame `trusted`.

    `cover` (h, w) uint8: how much of a pixel is replaced. `decided`, `open` (h', w', 3) float32,
    codes of 255: the drift where the trusted frame's levels say what the frame shows, and where
    they leave it open.
    """

    trusted: int
    levels: LevelMap
    cover: Bytes
    decided: Plane
    open: Plane

    @property
    def share(self) -> float:
        """Share of the picture that is replaced, 0..1."""
        return float(np.count_nonzero(self.cover > 127) / self.cover.size)


@dataclass(frozen=True, slots=True, eq=False)
class Ghosts:
    """What moved in a bracket: per frame a `Ghost`, None where nothing did.

    `factor` is how many px of a frame are one of the reduced frames, `order` the frames from the
    reference outwards.
    """

    found: tuple[Ghost | None, ...]
    order: tuple[int, ...]
    factor: int

    def cover(self, k: int, rect: Rect) -> Bytes:
        """How much of each pixel of a frame is replaced: (h, w) uint8 at `rect`, full size."""
        ghost = self.found[k]
        if ghost is None:
            return np.zeros((rect.height, rect.width), np.uint8)
        return np.asarray(enlarged(ghost.cover, self.factor, rect), np.uint8)

    def correct(self, frames: Sequence[Pixels], rect: Rect) -> list[Pixels]:
        """Frames (h, w, 3) at `rect`, full size, with ghosts replaced.

        What did not move keeps its bytes, and a part is the same as that part of the whole.
        """
        corrected = list(frames)
        for k, ghost in self._by_trust():
            cover = self.cover(k, rect)
            if cover.any():
                fill = _Fill(ghost, self.factor * DRIFT_CELLS, rect)
                corrected[k] = _filled(corrected[k], corrected[ghost.trusted], cover, fill)
        return corrected

    def correct_small(self, frames: Sequence[Pixels]) -> list[Pixels]:
        """The whole picture's frames (h, w, 3), reduced to any size, with ghosts replaced."""
        height, width = frames[0].shape[:2]
        corrected = list(frames)
        for k, ghost in self._by_trust():
            cover = _resized(ghost.cover, (height, width), cv2.INTER_AREA)
            fitted = replace(
                ghost,
                decided=_resized(ghost.decided, (height, width), cv2.INTER_LINEAR),
                open=_resized(ghost.open, (height, width), cv2.INTER_LINEAR),
            )
            fill = _Fill(fitted, 1, Rect(0, 0, height, width))
            corrected[k] = _filled(corrected[k], corrected[ghost.trusted], cover, fill)
        return corrected

    def _by_trust(self) -> Iterator[tuple[int, Ghost]]:
        """Frames in which something moved, from the reference outwards."""
        for k in self.order:
            ghost = self.found[k]
            if ghost is not None:
                yield k, ghost


@dataclass(frozen=True, slots=True, eq=False)
class _Fill:
    """What a frame would show at `rect`; the ghost's drift has cells of `cell_px`."""

    ghost: Ghost
    cell_px: int
    rect: Rect

    def at(self, trusted: Pixels, top: int, left: int) -> Plane:
        """Codes of 255 (h, w, 3) at a box of the rect, from the trusted frame's pixels there."""
        height, width = trusted.shape[:2]
        box = Rect(self.rect.top + top, self.rect.left + left, height, width)
        decided = enlarged(self.ghost.decided, self.cell_px, box)
        fill = enlarged(self.ghost.open, self.cell_px, box) - decided
        fill *= looked_up(trusted, self.ghost.levels.open)
        fill += decided
        fill += looked_up(trusted, self.ghost.levels.centre)
        return np.asarray(fill, np.float32)


def _filled(frame: Pixels, trusted: Pixels, cover: Bytes, fill: _Fill) -> Pixels:
    """The frame, under the cover as the trusted one shows it at the frame's exposure."""
    full = np.iinfo(frame.dtype).max
    filled = frame.copy()
    for top in range(0, cover.shape[0], _BAND_ROWS):
        band = cover[top : top + _BAND_ROWS]
        columns = np.flatnonzero(band.any(0))
        if len(columns) == 0:
            continue
        left, right = int(columns[0]), int(columns[-1]) + 1
        box = (slice(top, top + _BAND_ROWS), slice(left, right))
        shown = fill.at(trusted[box], top, left)
        shown *= np.float32(full / 255)
        old = frame[box].astype(np.float32)
        shown -= old
        shown *= band[:, left:right, None] * np.float32(1 / 255)
        shown += old
        np.rint(shown, out=shown)
        filled[box] = shown.clip(0, full)
    return filled


def looked_up(pixels: Pixels, table: Plane) -> Plane:
    """Pixels (h, w, 3) of 8 or 16 bits through a table of 256 levels per channel: (h, w, 3)."""
    if pixels.dtype == np.uint8:
        rows = np.ascontiguousarray(table.T[None])
        return np.asarray(cv2.LUT(np.ascontiguousarray(pixels), rows), np.float32)
    fine = np.linspace(0, 255, 65536)
    tables = [np.interp(fine, np.arange(256), row).astype(np.float32) for row in table]
    return np.stack([tables[c][pixels[..., c]] for c in range(3)], -1)


def _resized(plane: Pixels, size: tuple[int, int], interpolation: int) -> Pixels:
    """To (height, width)."""
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=interpolation))


def enlarged(plane: Pixels, factor: int, rect: Rect) -> Pixels:
    """The part of a plane, enlarged by `factor`, that lies at `rect`; its border repeated."""
    if factor == 1:
        return plane[rect.top : rect.bottom, rect.left : rect.right]
    top, left = rect.top // factor - 1, rect.left // factor - 1
    rows = np.arange(top, -(-rect.bottom // factor) + 1).clip(0, plane.shape[0] - 1)
    columns = np.arange(left, -(-rect.right // factor) + 1).clip(0, plane.shape[1] - 1)
    part = plane[rows][:, columns]
    large = cv2.resize(
        part, (part.shape[1] * factor, part.shape[0] * factor), interpolation=cv2.INTER_LINEAR
    )
    y, x = rect.top - top * factor, rect.left - left * factor
    return np.asarray(large[y : y + rect.height, x : x + rect.width])
