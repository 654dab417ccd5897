"""Finds what moved between the frames of a bracket, on the whole picture, reduced.

Works outwards from the reference: each frame is compared with its corrected neighbour. A place is
a ghost where the levels of each contradict what the other allows, more than a shift by a few pixels
explains, and the structures have nothing to do with each other. A frame in which that is much is
looked at again, more strictly. Knows no file, no transform and no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from mefuse.ghosts import DRIFT_CELLS, Bytes, Ghost, Ghosts, Pixels, Plane, looked_up
from mefuse.native import compare as native
from mefuse.response import LevelMap, map_levels
from mefuse.settings import GhostRemoval

_JPEG_PX = 1  # how far misalignment and JPEG may shift a level anywhere


@dataclass(frozen=True, slots=True)
class Limits:
    """When a place where frames contradict each other, connected by more than `reach`, is a ghost.

    Contradictions are codes of 255. Their mean over the place is at least `mean`; a share `sure`
    of the place contradicts by `seed` whatever is within `shift` px; a share `torn` has a
    structure of its own. It has `smallest` pixels of the reduced frames, and is replaced `grow` of
    them further.
    """

    reach: float
    mean: float
    seed: float
    shift: int
    sure: float
    torn: float
    smallest: int
    grow: int


# Chosen on synthetic brackets of training pictures, moving ones, still ones, and still ones
# misaligned by 3 px: 91 % of what can be gained by replacing, with a tenth of the harm of
# replacing whatever contradicts.
LIMITS: dict[GhostRemoval, Limits] = {
    "auto": Limits(
        reach=2.5, mean=15.0, seed=12.0, shift=3, sure=0.06, torn=0.45, smallest=24, grow=4
    ),
    "strong": Limits(
        reach=1.5, mean=8.0, seed=6.0, shift=_JPEG_PX, sure=0.03, torn=0.25, smallest=12, grow=7
    ),
}
# Share of a frame from which on something moves there, and less is asked of the rest of it: where a
# man waves, his other shoulder has moved too.
_MOVING = 0.002
# A code by which the trusted frame leaves what the other allows counts for so many of the frame's:
# dark frames have few codes, with less noise in them.
_BACKWARD = 3
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
    found: list[Ghost | None] = [None] * len(frames)
    before, behind = range(reference - 1, -1, -1), range(reference + 1, len(frames))

    def search(side: range) -> None:
        corrected: list[Pixels] = list(frames)
        for k in side:  # outwards: each is compared with its corrected neighbour
            trusted = k - side.step
            found[k] = _find(corrected[trusted], frames[k], trusted, LIMITS[amount])
            if found[k] is not None and k != side[-1]:
                one = Ghosts(tuple(found), (k,), 1)
                corrected[k] = one.correct_small(corrected)[k]

    with ThreadPoolExecutor(2, thread_name_prefix="ghosts") as pool:
        list(pool.map(search, (before, behind)))
    return Ghosts(tuple(found), (*before, *behind), factor)


def _find(trusted: Bytes, frame: Bytes, index: int, limits: Limits) -> Ghost | None:
    """The ghost of a frame against a trusted one; None where nothing moved."""
    levels = map_levels(trusted, frame)
    # The dearer questions are asked only where the cheaper ones leave something.
    forward = _excess(trusted, frame, levels, limits.shift)
    if not _exceeds(forward, limits.seed):
        return None
    pair = _Pair(trusted, frame, levels, map_levels(frame, trusted))
    sure = pair.contradiction(limits.shift, forward=forward)
    if not _exceeds(sure, limits.seed):
        return None
    weak, torn = pair.contradiction(_JPEG_PX), _torn(trusted, frame)
    moved = _moved(weak, sure, torn, limits)
    if not moved.any():
        return None
    strictest = LIMITS["strong"]
    if limits is not strictest and moved.mean() >= _MOVING:
        moved |= _moved(weak, weak, torn, strictest)
    cover = _cover(moved, limits.grow)
    decided, undecided = _drift(trusted, frame, levels, cover)
    return Ghost(index, levels, cover, decided, undecided)


def _exceeds(plane: Bytes, limit: float) -> bool:
    return bool(cv2.minMaxLoc(plane)[1] > limit)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two frames, and how the levels of each appear in the other."""

    trusted: Bytes
    frame: Bytes
    forward: LevelMap
    backward: LevelMap

    def contradiction(self, shift_px: int, *, forward: Bytes | None = None) -> Bytes:
        """By how much the two contradict each other whatever is within shift_px: (h, w), codes.

        Where one of them is clipped it allows much, and is not contradicted; so both count.
        `forward` is the trusted frame's half of it, where that is known.
        """
        if forward is None:
            forward = _excess(self.trusted, self.frame, self.forward, shift_px)
        backward = _excess(self.frame, self.trusted, self.backward, shift_px, scale=_BACKWARD)
        return _bytes(cv2.min(forward, backward))


def _range(pixels: Bytes, radius_px: int) -> tuple[Bytes, Bytes]:
    """The least and the greatest level around each pixel."""
    box = np.ones((2 * radius_px + 1, 2 * radius_px + 1), np.uint8)
    return _bytes(cv2.erode(pixels, box)), _bytes(cv2.dilate(pixels, box))


def _bytes(pixels: Pixels) -> Bytes:
    """The uint8 that OpenCV gives for uint8, as its annotations do not say."""
    return np.asarray(pixels, np.uint8)


def _excess(
    first: Bytes, second: Bytes, levels: LevelMap, shift_px: int, *, scale: int = 1
) -> Bytes:
    """By how much the second leaves what the first around allows: (h, w), codes times `scale`."""
    low, high = (end.astype(np.uint8) for end in (np.floor(levels.low), np.ceil(levels.high)))
    strongest = native.excess(first, second, low, high, reach_px=shift_px, scale=scale)
    if strongest is None:
        strongest = _strongest_excess(first, second, low, high, shift_px)
        strongest = _bytes(cv2.convertScaleAbs(strongest, alpha=scale))
    return _bytes(cv2.GaussianBlur(strongest, (5, 5), 0))


def _strongest_excess(first: Bytes, second: Bytes, low: Bytes, high: Bytes, shift_px: int) -> Bytes:
    """The same of the channel where it is strongest, neither scaled nor blurred."""
    least, most = _range(first, shift_px)
    above = cv2.subtract(second, cv2.LUT(most, np.ascontiguousarray(high.T[None])))
    below = cv2.subtract(cv2.LUT(least, np.ascontiguousarray(low.T[None])), second)
    red, green, blue = cv2.split(cv2.max(above, below))
    return _bytes(cv2.max(cv2.max(red, green), blue))


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


def _moved(weak: Bytes, sure: Bytes, torn: Bytes, limits: Limits) -> Bytes:
    """Where something moved: (h, w) uint8, 0 or 1."""
    inside = _bytes(weak > limits.reach)
    count, labels = cv2.connectedComponents(cv2.dilate(inside, _JOINT), connectivity=8)
    here = inside.view(np.bool_)
    places = labels[here]
    area = np.bincount(places, minlength=count)
    kept = area >= limits.smallest
    for plane, least in (
        (weak, limits.mean),
        (sure > limits.seed, limits.sure),
        (torn, limits.torn),
    ):
        kept &= np.bincount(places, plane[here], minlength=count) >= least * area
    moved = np.zeros_like(inside)
    moved[here] = kept[places]
    return moved


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
