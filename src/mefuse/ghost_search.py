"""Finds what moved between the frames of a bracket, on the whole picture, reduced.

Works outwards from the reference: each frame is compared with its corrected neighbour, whose
levels are mapped to its exposure. A place is a ghost where the frame's levels contradict what the
neighbour allows, and its structure has nothing to do with the neighbour's. Knows no file, no
transform and no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mefuse.ghosts import DRIFT_CELLS, Bytes, Ghost, Ghosts, Pixels, Plane, looked_up
from mefuse.response import LevelMap, map_levels
from mefuse.settings import GhostRemoval


@dataclass(frozen=True, slots=True)
class Limits:
    """When a contradiction is a ghost.

    `seed` codes of 255 make one, over all that is connected to it by more than `reach`; a share
    `torn` of that has to have a structure of its own. It has `smallest` pixels of the reduced
    frames, and is replaced `grow` of them further.
    """

    seed: float
    reach: float
    torn: float
    smallest: int
    grow: int


LIMITS: dict[GhostRemoval, Limits] = {
    "auto": Limits(seed=12.0, reach=2.5, torn=0.2, smallest=24, grow=4),
    "strong": Limits(seed=6.0, reach=1.5, torn=0.1, smallest=12, grow=7),
}
_BOX = np.ones((3, 3), np.uint8)  # what misalignment and JPEG may shift a level by
_JOINT = np.ones((11, 11), np.uint8)  # places that nearly touch are one
_WINDOW_PX = 5  # of the frames at half their size, in which structures are compared
_NOISE = 2.0  # variance, codes^2: what noise and JPEG leave of a flat place
_TORN = 0.3  # correlation of structures that have nothing in common
_FEATHER_PX = 5


def find_ghosts(
    frames: Sequence[Bytes], *, reference: int, amount: GhostRemoval, factor: int = 1
) -> Ghosts:
    """Finds what moved.

    Args:
        frames: (h, w, 3) uint8 each, the whole picture, aligned and reduced, darkest first.
        reference: index of the frame that decides what is where.
        amount: "auto" or "strong": how readily something is taken for a ghost.
        factor: how many px of the frames to correct are one of these.
    """
    corrected: list[Pixels] = list(frames)
    found: list[Ghost | None] = [None] * len(frames)
    order = tuple(_outwards(reference, len(frames)))
    for k in order:
        trusted = k + 1 if k < reference else k - 1
        found[k] = _find(corrected[trusted], frames[k], trusted, LIMITS[amount])
        if found[k] is not None and 0 < k < len(frames) - 1:  # the next frame is compared with it
            corrected[k] = Ghosts(tuple(found), (k,), 1).correct_small(corrected)[k]
    return Ghosts(tuple(found), order, factor)


def _outwards(reference: int, count: int) -> Iterator[int]:
    """The other frames, nearest exposure first on either side."""
    yield from range(reference - 1, -1, -1)
    yield from range(reference + 1, count)


def _find(trusted: Bytes, frame: Bytes, index: int, limits: Limits) -> Ghost | None:
    """The ghost of a frame against a trusted one; None where nothing moved."""
    least, most = _bytes(cv2.erode(trusted, _BOX)), _bytes(cv2.dilate(trusted, _BOX))
    levels = map_levels(trusted, frame, texture=_bytes(cv2.subtract(most, least)))
    excess = _excess(least, most, frame, levels)
    if excess.max() <= limits.seed:
        return None
    moved = _moved(excess, _torn(trusted, frame), limits)
    if not moved.any():
        return None
    cover = _cover(moved, limits.grow)
    decided, undecided = _drift(trusted, frame, levels, cover)
    return Ghost(index, levels, cover, decided, undecided)


def _bytes(pixels: Pixels) -> Bytes:
    """The uint8 that OpenCV gives for uint8, as its annotations do not say."""
    return np.asarray(pixels, np.uint8)


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


def _torn(trusted: Bytes, frame: Bytes) -> Bytes:
    """Where the structures of two frames have nothing in common: (h, w) uint8, 0 or 1.

    Colour processing, glare and flare change levels where nothing moved, but not structure.
    """
    height, width = trusted.shape[:2]
    size = ((width + 1) // 2, (height + 1) // 2)
    one, other = (
        _area(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)), size)
        for pixels in (trusted, frame)
    )
    mean, mean_other = _window(one), _window(other)
    variance = (_window(one * one) - mean * mean).clip(0) + _NOISE
    variance *= (_window(other * other) - mean_other * mean_other).clip(0) + _NOISE
    covariance = _window(one * other) - mean * mean_other + _NOISE
    torn = (covariance < _TORN * np.sqrt(variance)).astype(np.uint8)
    return np.asarray(cv2.resize(torn, (width, height), interpolation=cv2.INTER_NEAREST))


def _window(plane: Plane) -> Plane:
    return np.asarray(cv2.blur(plane, (_WINDOW_PX, _WINDOW_PX)), np.float32)


def _moved(excess: Plane, torn: Bytes, limits: Limits) -> Bytes:
    """Where something moved: (h, w) uint8, 0 or 1."""
    weak = (excess > limits.reach).astype(np.uint8)
    count, labels = cv2.connectedComponents(cv2.dilate(weak, _JOINT), connectivity=8)
    labels *= weak
    area = np.bincount(labels.ravel(), minlength=count)
    own = np.bincount(labels.ravel(), weights=torn.ravel(), minlength=count)
    seeded = np.zeros(count, bool)
    seeded[np.unique(labels[excess > limits.seed])] = True
    kept = seeded & (area >= limits.smallest) & (own >= limits.torn * area)
    kept[0] = False
    return _bytes(kept.astype(np.uint8)[labels])


def _cover(moved: Bytes, grow: int) -> Bytes:
    """Closed, grown and feathered: 255 where something moved, 0 away from it."""
    side = 2 * grow + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    closed = cv2.morphologyEx(moved * np.uint8(255), cv2.MORPH_CLOSE, disk)
    grown = cv2.dilate(closed, disk)
    return np.asarray(cv2.blur(grown, (_FEATHER_PX, _FEATHER_PX)), np.uint8)


def _drift(trusted: Bytes, frame: Bytes, levels: LevelMap, cover: Bytes) -> tuple[Plane, Plane]:
    """What a frame differs from the mapped levels by, continued under the cover.

    In cells: where the levels are decided, and where they are open.
    """
    height, width = (-(-side // DRIFT_CELLS) for side in cover.shape)
    means = [_area(pixels, (width, height)) for pixels in (trusted, frame)]
    free = (_area(cover, (width, height)) == 0).astype(np.float32)[..., None]
    seen = np.rint(means[0]).astype(np.uint8)
    difference = means[1] - looked_up(seen, levels.centre)
    undecided = looked_up(seen, levels.open)
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
