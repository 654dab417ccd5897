"""How the levels of one exposure appear in another: robust level-to-level maps.

Two exposures of a scene are tied by the camera's response: what has one level in the first has,
but for noise, one level in the second. The joint histogram of both (the comparagram) shows that
as a ridge, and what moved as scatter beside it. A ridge that never falls is followed through it;
how far true pairs stray gives the interval in which a level of the second is no contradiction.

Where the first is clipped the ridge is vertical, and the interval spans all that white may be.

Source: Mann, "Comparametric Equations with Practical Applications in Quantigraphic Image
Processing", IEEE TIP 9(8), 2000, doi:10.1109/83.855434 (the comparagram).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.native import compare as native

Levels = NDArray[np.float32]
Bytes = NDArray[np.uint8]

LEVELS = 256
_STEP = 2  # every second row and column is counted
_TEXTURED_STEP = 8  # and of places with texture, where half a pixel matters, every eighth
_FLAT = 12  # codes: range over 3x3 of a flat place
_SHARED_ROW = 5.0  # pixels of a level that what the other channels show at most counts for
_KERNEL = np.array([1, 2, 3, 4, 3, 2, 1], np.float32) / 16  # along the second's levels
_FULL_ROW = 15.0  # pixels of a level from which on it counts fully for the ridge
_SURE_ROW = 100.0  # pixels of a level that speak for themselves
# Pairs that a power law, in which levels stay in proportion, is worth where few pixels speak;
# spread over a share of the level, for cameras differ.
_LAW_ROW, _LAW_SPREAD = 150.0, 0.12
_NODE_ROW = 2.0  # pixels of a level from which on the ridge is measured there
_WINDOW = 24  # codes around the ridge in which pairs are taken for true ones
_INPUT_ERROR = 3  # codes by which a level of the first may be off: noise, JPEG, resampling
_SPREAD_FLOOR, _SPREAD_CEILING = 2.0, 14.0  # codes
_SPREAD_SCALE = 2.5 * 1.48  # median deviation -> 2.5 sigma
# Near white the ridge may leap to what most clipped pixels are. The lower end of the interval rises
# from this level on with this power of the level at most, as the steepest of shoulders does.
_SHOULDER, _SHOULDER_POWER = 228, 3.0
_OPEN_FROM, _OPEN_TO = 24, 72  # codes that the map rises by within twice the error of a level

_ALL = np.arange(LEVELS, dtype=np.float32)


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


def map_levels(first: Bytes, second: Bytes) -> LevelMap:
    """The map from the levels of one exposure to those of another.

    Args:
        first: (h, w, 3) uint8.
        second: (h, w, 3) uint8, aligned to it; some of it may have moved.
    """
    counts = _with_other_channels(_comparagrams(first, second))
    ridges = _ridges(counts)
    ridges = _ridges(counts + _power_law(counts, ridges))
    centre = np.stack([_centre(*pair) for pair in zip(counts, ridges, strict=True)])
    spread = _spread(counts, centre)
    before = np.pad(centre[:, :-_INPUT_ERROR], ((0, 0), (_INPUT_ERROR, 0)))
    behind = np.pad(
        centre[:, _INPUT_ERROR:], ((0, 0), (0, _INPUT_ERROR)), constant_values=LEVELS - 1
    )
    low = np.maximum.accumulate((before - spread).clip(0, 255), axis=1)
    high = np.minimum.accumulate((behind + spread).clip(0, 255)[:, ::-1], axis=1)[:, ::-1]
    undecided = (behind - before - _OPEN_FROM) / np.float32(_OPEN_TO - _OPEN_FROM)
    return LevelMap(centre, _shouldered(low), high, undecided.clip(0, 1))


def _shouldered(low: Levels) -> Levels:
    """The lower end of the interval, rising near white no faster than a camera's shoulder."""
    growth = (_ALL[_SHOULDER:] / _SHOULDER) ** np.float32(_SHOULDER_POWER)
    low[:, _SHOULDER:] = np.minimum(low[:, _SHOULDER:], low[:, _SHOULDER, None] * growth)
    return low


def _comparagrams(first: Bytes, second: Bytes) -> Levels:
    """Pixels per pair of levels: (3, 256 of the first, 256 of the second)."""
    found = native.comparagrams(
        first, second, step_px=_STEP, textured_step_px=_TEXTURED_STEP, flat=_FLAT
    )
    if found is not None:
        return found
    box = np.ones((3, 3), np.uint8)
    texture = np.asarray(cv2.subtract(cv2.dilate(first, box), cv2.erode(first, box)))
    one, other, rough = (part[::_STEP, ::_STEP] for part in (first, second, texture))
    counts = np.empty((3, LEVELS, LEVELS), np.float32)
    for c in range(3):
        pair = [np.ascontiguousarray(one[..., c]), np.ascontiguousarray(other[..., c])]
        calm = (rough[..., c] < _FLAT).view(np.uint8)
        calm[:: _TEXTURED_STEP // _STEP, :: _TEXTURED_STEP // _STEP] = 1
        ranges = [0, LEVELS, 0, LEVELS]
        counts[c] = cv2.calcHist(pair, [0, 1], calm, [LEVELS, LEVELS], ranges)
    return counts


def _with_other_channels(counts: Levels) -> Levels:
    """Counts to which those of all channels add a little: they nearly share one response."""
    pooled = counts.sum(0)
    shared = pooled * (_SHARED_ROW / np.maximum(pooled.sum(1, keepdims=True), _SHARED_ROW))
    return np.asarray(counts + shared, np.float32)


def _power_law(counts: Levels, ridges: NDArray[np.intp]) -> Levels:
    """Pairs (256, 256) of a power law in proportion to what the sure part of the ridges shows.

    Things that moved may be alone with their levels; without it the ridge would follow them.
    """
    near = np.abs(_ALL - ridges[..., None]) <= _WINDOW
    sure = ((counts * near).sum(2) > _SURE_ROW) & (_ALL > 16) & (ridges > 8) & (ridges < 240)
    if not sure.any():
        return np.zeros((LEVELS, LEVELS), np.float32)
    ratio = np.float32(np.median((ridges / np.maximum(_ALL, 1))[sure]))
    law = np.minimum(_ALL * ratio, LEVELS - 1)[:, None]
    shape = (1 - np.abs(_ALL - law) / (_LAW_SPREAD * law + 4)).clip(0, None)
    return np.asarray(shape * (_LAW_ROW / shape.sum(1, keepdims=True)), np.float32)


def _ridges(counts: Levels) -> NDArray[np.intp]:
    """Per channel the path that never falls along which most pairs lie: (3, 256) levels."""
    across = np.array([0.25, 0.5, 0.25], np.float32)
    smooth = np.stack([np.asarray(cv2.sepFilter2D(part, -1, _KERNEL, across)) for part in counts])
    score = smooth / np.maximum(smooth.sum(2, keepdims=True), _FULL_ROW)
    found = native.ridges(score)
    return _highest_paths(score) if found is None else found


def _highest_paths(score: Levels) -> NDArray[np.intp]:
    """The paths along which scores (3, 256, 256) sum to most, without kernels."""
    best = np.empty((LEVELS, 3, LEVELS), np.float32)
    best[0] = score[:, 0]
    for level in range(1, LEVELS):
        np.maximum.accumulate(best[level - 1], axis=1, out=best[level])
        best[level] += score[:, level]
    paths = np.empty((3, LEVELS), np.intp)
    for c in range(3):
        top = LEVELS
        for level in range(LEVELS - 1, -1, -1):
            top = int(best[level, c, :top].argmax()) + 1
            paths[c, level] = top - 1
    return paths


def _centre(counts: Levels, ridge: NDArray[np.intp]) -> Levels:
    """What each level becomes: mean of the pairs near the ridge, filled in where there are few."""
    near = np.where(np.abs(_ALL - ridge[:, None]) <= _WINDOW, counts, np.float32(0))
    count = near.sum(1)
    known = np.flatnonzero(count >= _NODE_ROW)
    if len(known) == 0:
        return _ALL
    mean = _rising((near @ _ALL)[known] / count[known], count[known])
    centre = np.interp(_ALL, known, mean)
    first, last = known[0], known[-1]
    # Beyond what was seen: in proportion, as a power law's response has it.
    centre[:first] = mean[0] * _ALL[:first] / max(first, 1)
    centre[last:] = mean[-1] * _ALL[last:] / max(last, 1)
    return centre.clip(0, 255).astype(np.float32)


def _rising(values: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
    """The nearest sequence that never falls (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, of_a, n), (b, of_b, m) = blocks[-2:]
            blocks[-2:] = [((a * of_a + b * of_b) / (of_a + of_b), of_a + of_b, n + m)]
    return np.repeat([block[0] for block in blocks], [block[2] for block in blocks])


def _spread(counts: Levels, centre: Levels) -> Levels:
    """How far true pairs stray from the centre: (3, 256) codes."""
    offsets = np.arange(-_WINDOW, _WINDOW + 1)
    places = np.rint(centre).astype(np.intp)[..., None] + offsets  # 3, 256, 2 _WINDOW + 1
    inside = (places >= 0) & (places < LEVELS)
    near = np.take_along_axis(counts, places.clip(0, LEVELS - 1), axis=2) * inside
    # 0, 1, 2, ... codes off, to either side, over nine levels.
    off = near[..., _WINDOW:].copy()
    off[..., 1:] += near[..., _WINDOW - 1 :: -1]
    off = np.stack([np.asarray(cv2.blur(part, (1, 9))) for part in off])
    reached = off.cumsum(2)
    deviation = (reached < 0.5 * reached[..., -1:]).sum(2)
    spread = _SPREAD_FLOOR + _SPREAD_SCALE * deviation
    return np.asarray(spread.clip(0, _SPREAD_CEILING), np.float32)
