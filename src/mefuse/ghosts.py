"""Finds what moved between the frames of a bracket, and shows it as the reference does.

Works outwards from the reference: each frame is compared with its corrected neighbour, whose
levels are mapped to its exposure. Where the two contradict each other, the frame is given the
neighbour's content at its own exposure, so that frames agree before anything fuses them. Detection
and what the fill needs are made once, on the whole picture, reduced; `correct` then serves any
region at full size. Knows no file, no transform and no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.response import LevelMap, map_levels
from mefuse.settings import GhostRemoval
from mefuse.slices import Rect

Bytes = NDArray[np.uint8]
Plane = NDArray[np.float32]
Pixels = NDArray[Any]

_BAND_ROWS = 64  # filled at once: stays in the processor's cache
DRIFT_CELLS = 4  # side of a cell of the drift, in pixels of the reduced frames


@dataclass(frozen=True, slots=True)
class Limits:
    """When a contradiction is a ghost. Levels in codes of 255, lengths in px of reduced frames."""

    seed: float
    reach: float
    smallest: int
    grow: int


LIMITS: dict[GhostRemoval, Limits] = {
    "auto": Limits(seed=9.0, reach=2.5, smallest=24, grow=4),
    "strong": Limits(seed=5.0, reach=1.5, smallest=12, grow=7),
}
_BOX = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Ghost:
    """What moved in one frame, against the corrected frame `trusted`.

    `cover` (h, w) uint8: how much of a pixel is replaced. `decided`, `open` (h', w', 3) float32,
    codes of 255: what the frame differs from the mapped levels by around what is replaced, where
    these levels are decided and where they are open.
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

    def correct(self, frames: Sequence[Pixels], rect: Rect) -> list[Pixels]:
        """Frames (h, w, 3) at `rect`, full size, with ghosts replaced.

        What did not move keeps its bytes, and a part is the same as that part of the whole.
        """
        corrected = list(frames)
        for k, ghost in self._moved():
            cover = _enlarged(ghost.cover, self.factor, rect)
            if cover.any():
                drift = _Drift(ghost, self.factor * DRIFT_CELLS, rect)
                corrected[k] = _filled(corrected[k], corrected[ghost.trusted], cover, drift)
        return corrected

    def correct_small(self, frames: Sequence[Pixels]) -> list[Pixels]:
        """The whole picture's frames (h, w, 3), reduced to any size, with ghosts replaced."""
        height, width = frames[0].shape[:2]
        corrected = list(frames)
        for k, ghost in self._moved():
            cover = cv2.resize(ghost.cover, (width, height), interpolation=cv2.INTER_AREA)
            maps = (cv2.resize(part, (width, height)) for part in (ghost.decided, ghost.open))
            drift = _Drift(
                Ghost(ghost.trusted, ghost.levels, cover, *maps), 1, Rect(0, 0, height, width)
            )
            corrected[k] = _filled(corrected[k], corrected[ghost.trusted], cover, drift)
        return corrected

    def _moved(self) -> Iterator[tuple[int, Ghost]]:
        """Frames in which something moved, from the reference outwards."""
        for k in self.order:
            ghost = self.found[k]
            if ghost is not None:
                yield k, ghost


def find_ghosts(
    frames: Sequence[Bytes], *, reference: int, amount: GhostRemoval, factor: int = 1
) -> Ghosts:
    """Finds what moved.

    Args:
        frames: (h, w, 3) uint8 each, the whole picture, aligned and reduced, darkest first.
        reference: index of the frame that decides what is where.
        amount: how much it takes to be a ghost.
        factor: how many px of the frames to correct are one of these.
    """
    corrected = list(frames)
    found: list[Ghost | None] = [None] * len(frames)
    order = tuple(_outwards(reference, len(frames)))
    for k in order:
        trusted = k + 1 if k < reference else k - 1
        ghost = _find(corrected[trusted], frames[k], trusted, LIMITS[amount])
        if ghost is None:
            continue
        found[k] = ghost
        if 0 < k < len(frames) - 1:  # the next frame on this side looks at it
            corrected[k] = Ghosts(tuple(found), (k,), 1).correct_small(corrected)[k]
    return Ghosts(tuple(found), order, factor)


def _outwards(reference: int, count: int) -> Iterator[int]:
    """The other frames, nearest exposure first on either side."""
    yield from range(reference - 1, -1, -1)
    yield from range(reference + 1, count)


def _find(trusted: Bytes, frame: Bytes, index: int, limits: Limits) -> Ghost | None:
    """The ghost of a frame against a trusted one; None where nothing moved."""
    least, most = cv2.erode(trusted, _BOX), cv2.dilate(trusted, _BOX)
    levels = map_levels(trusted, frame, texture=np.asarray(cv2.subtract(most, least)))
    excess = _excess(np.asarray(least), np.asarray(most), frame, levels)
    moved = _moved(excess, limits)
    if not moved.any():
        return None
    cover = _soft(moved, limits.grow)
    decided, undecided = _drift(trusted, frame, levels, cover)
    return Ghost(index, levels, cover, decided, undecided)


def _excess(least: Bytes, most: Bytes, frame: Bytes, levels: LevelMap) -> Plane:
    """By how much a frame leaves what the trusted one around allows: (h, w), codes."""
    low = cv2.LUT(least, _table(np.floor(levels.low)))
    high = cv2.LUT(most, _table(np.ceil(levels.high)))
    off = cv2.max(cv2.subtract(frame, high), cv2.subtract(low, frame))
    strongest = cv2.max(cv2.max(off[..., 0], off[..., 1]), off[..., 2])
    return np.asarray(cv2.GaussianBlur(strongest.astype(np.float32), (5, 5), 0), np.float32)


def _table(levels: Plane) -> Bytes:
    """A level table per channel as cv2.LUT takes it: (1, 256, 3) uint8."""
    return np.ascontiguousarray(levels.T[None]).astype(np.uint8)


def _moved(excess: Plane, limits: Limits) -> Bytes:
    """Where something moved: connected places above `reach` that hold one above `seed`."""
    seeds = excess > limits.seed
    if not seeds.any():
        return np.zeros(excess.shape, np.uint8)
    weak = (excess > limits.reach).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(weak, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= limits.smallest
    kept = np.zeros(count, np.uint8)
    kept[np.unique(labels[seeds])] = 1
    kept[0] = 0
    return np.asarray((kept * large)[labels], np.uint8)


def _soft(moved: Bytes, grow: int) -> Bytes:
    """Closed, grown and feathered: 255 where something moved, 0 away from it."""
    side = 2 * grow + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    closed = cv2.morphologyEx(moved * np.uint8(255), cv2.MORPH_CLOSE, disk)
    grown = cv2.dilate(closed, disk)
    return np.asarray(cv2.blur(grown, (5, 5)), np.uint8)


def _drift(trusted: Bytes, frame: Bytes, levels: LevelMap, cover: Bytes) -> tuple[Plane, Plane]:
    """What a frame differs from the mapped levels by, continued under the cover.

    In cells: where the levels are decided, and where they are open.
    """
    height, width = (-(-side // DRIFT_CELLS) for side in cover.shape)
    means = [_area(pixels, (width, height)) for pixels in (trusted, frame)]
    covered = _area(cover, (width, height))
    free = (covered == 0).astype(np.float32)[..., None]
    seen = np.rint(means[0]).astype(np.uint8)
    difference = means[1] - _looked_up(seen, levels.centre)
    undecided = _looked_up(seen, levels.open)
    weights = (free * (1 - undecided), free * undecided)
    decided, open_ = (_pull_push(difference * weight, weight) for weight in weights)
    return decided, open_


def _pull_push(sums: Plane, weights: Plane) -> Plane:
    """sums / weights, from ever larger surroundings where there is little weight."""
    height, width = sums.shape[:2]
    if max(height, width) <= 2:
        total = weights.mean((0, 1))
        return np.broadcast_to(sums.mean((0, 1)) / np.maximum(total, 1e-6), sums.shape).copy()
    size = ((width + 1) // 2, (height + 1) // 2)
    around = _pull_push(_area(sums, size), _area(weights, size))
    wide = np.asarray(cv2.resize(around, (width, height), interpolation=cv2.INTER_LINEAR))
    weak = np.float32(0.05)
    return np.asarray((sums + weak * wide) / (weights + weak), np.float32)


def _area(values: Pixels, size: tuple[int, int]) -> Plane:
    """Means over cells; `size` is (width, height)."""
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _enlarged(plane: NDArray[Any], factor: int, rect: Rect) -> NDArray[Any]:
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


@dataclass(frozen=True, slots=True, eq=False)
class _Drift:
    """The fill of a ghost at `rect`, whose maps have cells of `cell_px`."""

    ghost: Ghost
    cell_px: int
    rect: Rect

    def fill(self, trusted: Pixels, top: int, left: int) -> Plane:
        """What the frame would show at a box of the rect: `trusted` (h, w, 3) there -> codes."""
        height, width = trusted.shape[:2]
        box = Rect(self.rect.top + top, self.rect.left + left, height, width)
        decided = _enlarged(self.ghost.decided, self.cell_px, box)
        fill = _enlarged(self.ghost.open, self.cell_px, box) - decided
        fill *= _looked_up(trusted, self.ghost.levels.open)
        fill += decided
        fill += _looked_up(trusted, self.ghost.levels.centre)
        return fill


def _filled(frame: Pixels, trusted: Pixels, cover: Bytes, drift: _Drift) -> Pixels:
    """The frame, under the cover as the trusted one shows it at the frame's exposure."""
    full = np.iinfo(frame.dtype).max
    filled = frame.copy()
    for top in range(0, cover.shape[0], _BAND_ROWS):
        band = cover[top : top + _BAND_ROWS]
        columns = np.flatnonzero(band.any(0))
        if len(columns) == 0:
            continue
        left, right = columns[0], columns[-1] + 1
        box = (slice(top, top + _BAND_ROWS), slice(left, right))
        fill = drift.fill(trusted[box], top, left)
        fill *= np.float32(full / 255)
        old = frame[box].astype(np.float32)
        fill -= old
        fill *= band[:, left:right, None] * np.float32(1 / 255)
        fill += old
        np.rint(fill, out=fill)
        filled[box] = fill.clip(0, full)
    return filled


def _looked_up(pixels: Pixels, table: Plane) -> Plane:
    """Pixels (h, w, 3) of 8 or 16 bits through a table of 256 levels per channel: (h, w, 3)."""
    if pixels.dtype == np.uint8:
        rows = np.ascontiguousarray(table.T[None])
        return np.asarray(cv2.LUT(np.ascontiguousarray(pixels), rows), np.float32)
    fine = np.linspace(0, 255, 65536)
    tables = [np.interp(fine, np.arange(256), row).astype(np.float32) for row in table]
    return np.stack([tables[c][pixels[..., c]] for c in range(3)], -1)
