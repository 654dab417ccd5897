"""How the levels of one exposure appear in another: robust level-to-level maps. A leaf.

Two exposures of a scene are tied by the camera's response: what has one level in the first has,
but for noise, one level in the second. The joint histogram of both (the comparagram) shows that
as a ridge, and what moved as scatter beside it. A ridge that never falls is followed through it;
how far true pairs stray gives the interval in which a level of the second is no contradiction.

Where the first is clipped, the ridge is vertical, and the interval spans all that white may be.

Source: Mann, "Comparametric Equations with Practical Applications in Quantigraphic Image
Processing", IEEE TIP 9(8), 2000, doi:10.1109/83.855434 (the comparagram).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]
Bytes = NDArray[np.uint8]

LEVELS = 256
_KERNEL = np.array([1, 2, 3, 4, 3, 2, 1], np.float32) / 16  # along the second's levels
_FULL_ROW = 60.0  # pixels of a level from which on it counts fully for the ridge
_NODE_ROW = 6.0  # pixels of a level from which on the ridge is measured there
_TEXTURED_SHARE = 0.05  # what a pixel near an edge counts, beside one in a flat place
_FLAT = 12  # range over 3x3 of a flat place, codes
_WINDOW = 24  # codes around the ridge in which pairs are taken for true ones
_INPUT_ERROR = 3  # codes by which a level of the first may be off: noise, JPEG, resampling
_SPREAD_FLOOR, _SPREAD_CEILING = 2.0, 14.0  # codes
# Near white the ridge may leap to what most clipped pixels are. The lower end of the interval rises
# from this level on with this power of the level at most, as the steepest of shoulders does.
_SHOULDER, _SHOULDER_POWER = 228, 3.0


@dataclass(frozen=True, slots=True, eq=False)
class LevelMap:
    """Levels of a second exposure for every level of a first, one row per channel.

    `centre`, `low`, `high` are (3, 256) float32, 0..255, and never fall: what a level becomes,
    and the interval that does not contradict it. `open` is (3, 256), 0..1: whether the first says
    nothing of the second, because it is clipped or too dark.
    """

    centre: Levels
    low: Levels
    high: Levels
    open: Levels


def map_levels(first: Bytes, second: Bytes, *, flat: NDArray[Any] | None = None) -> LevelMap:
    """The map from the levels of one exposure to those of another.

    Args:
        first: (h, w, 3) uint8.
        second: (h, w, 3) uint8, aligned to it; some of it may have moved.
        flat: (h, w, 3) uint8, range of `first` around each pixel; None: computed here.
    """
    if flat is None:
        flat = _range(first)
    maps = [
        _map_channel(*(np.ascontiguousarray(part[..., c]) for part in (first, second, flat)))
        for c in range(3)
    ]
    centre, low, high, undecided = (np.stack(part) for part in zip(*maps, strict=True))
    return LevelMap(centre, low, high, undecided)


def _range(plane: Bytes) -> Bytes:
    """Largest less smallest level over 3x3."""
    return np.asarray(cv2.morphologyEx(plane, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)))


def _map_channel(first: Bytes, second: Bytes, flat: Bytes) -> tuple[Levels, Levels, Levels, Levels]:
    """Centre, low, high and openness of one channel."""
    counts = _comparagram(first, second, flat)
    ridge = _ridge(counts)
    centre = _centre(counts, ridge)
    spread = _spread(counts, centre)
    before = np.concatenate((np.zeros(_INPUT_ERROR, np.float32), centre[:-_INPUT_ERROR]))
    behind = np.concatenate((centre[_INPUT_ERROR:], np.full(_INPUT_ERROR, 255, np.float32)))
    low = _shouldered(np.maximum.accumulate((before - spread).clip(0, 255)))
    high = np.minimum.accumulate((behind + spread).clip(0, 255)[::-1])[::-1]
    undecided = ((behind - before - 24) / 48).clip(0, 1)
    return centre, low, high, undecided


def _shouldered(low: Levels) -> Levels:
    """The lower end of the interval, rising near white no faster than a camera's shoulder."""
    growth = (np.arange(_SHOULDER, LEVELS, dtype=np.float32) / _SHOULDER) ** _SHOULDER_POWER
    low[_SHOULDER:] = np.minimum(low[_SHOULDER:], low[_SHOULDER] * growth)
    return low


def _comparagram(first: Bytes, second: Bytes, flat: Bytes) -> Levels:
    """Pixels per pair of levels, (256 of the first, 256 of the second)."""
    ranges = [0, LEVELS, 0, LEVELS]
    calm = (flat < _FLAT).astype(np.uint8)
    every = cv2.calcHist([first, second], [0, 1], None, [LEVELS, LEVELS], ranges)
    still = cv2.calcHist([first, second], [0, 1], calm, [LEVELS, LEVELS], ranges)
    return np.asarray(every * _TEXTURED_SHARE + still, np.float32)


def _ridge(counts: Levels) -> NDArray[np.intp]:
    """The path that never falls along which most pairs lie: a level of the second per level."""
    smooth = cv2.sepFilter2D(counts, -1, _KERNEL, np.array([0.25, 0.5, 0.25], np.float32))
    total = smooth.sum(1, keepdims=True)
    score = smooth / np.maximum(total, _FULL_ROW)
    best = np.zeros((LEVELS, LEVELS), np.float32)
    best[0] = score[0]
    for level in range(1, LEVELS):
        best[level] = score[level] + np.maximum.accumulate(best[level - 1])
    path = np.empty(LEVELS, np.intp)
    top = LEVELS
    for level in range(LEVELS - 1, -1, -1):
        top = int(np.argmax(best[level, :top])) + 1
        path[level] = top - 1
    return path


def _near(counts: Levels, centre: NDArray[Any]) -> Levels:
    """The pairs of each level that lie near the centre."""
    distance = np.abs(np.arange(LEVELS, dtype=np.float32) - centre[:, None])
    return np.where(distance <= _WINDOW, counts, 0)


def _centre(counts: Levels, ridge: NDArray[np.intp]) -> Levels:
    """What each level becomes: mean of the pairs near the ridge, filled in where there are few."""
    near = _near(counts, ridge)
    count = near.sum(1)
    known = np.flatnonzero(count >= _NODE_ROW)
    if len(known) == 0:
        return np.arange(LEVELS, dtype=np.float32)
    mean = (near @ np.arange(LEVELS, dtype=np.float32))[known] / count[known]
    mean = _rising(mean, count[known])
    levels = np.arange(LEVELS, dtype=np.float32)
    centre = np.interp(levels, known, mean)
    first, last = known[0], known[-1]
    # Beyond what was seen: in proportion, as a power law's response has it.
    centre[:first] = mean[0] * levels[:first] / max(first, 1)
    centre[last:] = np.maximum(mean[-1] * levels[last:] / max(last, 1), mean[-1])
    return np.maximum.accumulate(centre.clip(0, 255)).astype(np.float32)


def _rising(values: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
    """The nearest sequence that never falls (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, wa, na), (b, wb, nb) = blocks[-2:]
            blocks[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, na + nb)]
    return np.repeat([block[0] for block in blocks], [block[2] for block in blocks])


def _spread(counts: Levels, centre: Levels) -> Levels:
    """How far true pairs stray from the centre, (256,) codes."""
    near = cv2.blur(_near(counts, centre), (1, 9), borderType=cv2.BORDER_CONSTANT)
    distance = np.abs(np.arange(LEVELS, dtype=np.float32) - centre[:, None])
    order = np.argsort(distance, axis=1)
    reached = np.cumsum(np.take_along_axis(near, order, 1), axis=1)
    middle = (reached < 0.5 * reached[:, -1:]).sum(1).clip(0, LEVELS - 1)
    deviation = np.take_along_axis(np.take_along_axis(distance, order, 1), middle[:, None], 1)[:, 0]
    spread = _SPREAD_FLOOR + 1.48 * 2.5 * deviation
    return spread.clip(0, _SPREAD_CEILING).astype(np.float32)
