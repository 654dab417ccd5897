"""Finds the transform between two differently exposed frames, on small views of them.

Oriented features give a first similarity, pyramidal Lucas-Kanade on a grid of points the rest; the
ladder of models is climbed only as far as points kept out of the fit confirm it. Knows one pair of
frames at a time, no brackets and no files.

Sources: Rublee et al., "ORB", ICCV 2011, doi:10.1109/ICCV.2011.6126544; Bouguet, "Pyramidal
implementation of the affine Lucas Kanade feature tracker", Intel, 2001.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.transforms import Float64, Model, PointPairs, fit, grid_pairs, is_plausible, moved
from mefuse.views import FLAT, Level, Pair, View, detail, pair_of

UInt8 = NDArray[np.uint8]
Rung = Model | Literal["none"]

# Sides of the square windows that are tracked, in px of their level.
TRACK_COARSE_PX = 21
TRACK_FINE_PX = 31
POINTS = 400  # cells of the grid over the shared area; each gives one point
MIN_CELL_PX = 6  # coarse px: closer points see the same texture
HELD_OUT = 3  # one cell in so many only verifies
MIN_RESPONSE = 2e-4  # smaller eigenvalue of a trackable point, on local contrast
MIN_POINTS = 24  # of all points in both frames; below, the frames share too little
MIN_HELD = 6  # of them held out; fewer verify nothing
MAX_RETURN_PX = 1.0  # a point that does not come back this near, tracked back, is lost
TRACK_NOISE_PX = 0.1  # of a point that comes back exactly
LADDER: tuple[Model, ...] = ("translation", "affine", "homography")
MISS_CAP_PX = 2.0  # fine px
# What a higher rung must win of the mean miss: a part, fine px, and standard errors of the gain.
RUNG_GAIN, RUNG_GAIN_PX, RUNG_ERRORS = 0.02, 0.01, 2.0
CLEAR_AGREEMENT = 0.35  # of local contrast: no chance match comes near
MIN_AGREEMENT = 0.15  # below, the frames show different things (measured: below 0.05 there)
AGREEMENT_SLACK = 0.01  # chance differences between two almost equal transforms
AGREEMENT_STEP = 2  # coarse px: more add nothing
MIN_SHARED = 0.01  # of the picture: less says nothing about agreement


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """A verified transform from one frame to another, full-size px.

    `residual_px` is the median distance between where held-out points were found and where
    `transform` puts them.
    """

    transform: Float64
    model: Rung
    residual_px: float


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Where points of one frame lie in another, full-size px; `held` were kept out of fits."""

    used: PointPairs
    held: PointPairs


def register(
    anchor: View, other: View, *, guess: Float64 | None = None, sure_px: float | None = None
) -> Registration | None:
    """The transform from `anchor` to `other`, full-size px, verified on points kept out of the fit.

    The ladder runs from no motion over a translation and an affine transform to a homography; a
    rung is climbed only where it brings held-out points clearly closer, so the answer is never
    worse than no motion by that measure.

    Args:
        anchor: the frame to start from.
        other: the frame to reach.
        guess: where to start; None finds a rough transform first.
        sure_px: how sure `guess` is; it then also holds where the frames share no points.

    Returns:
        None where the frames share too little to measure, or do not show the same thing.
    """
    pair = pair_of(anchor, other)
    start = _refined(pair, *_first_guess(anchor, other, pair)) if guess is None else guess
    found = flow(pair, start, fine=True)
    if found is None:
        return None
    known = found.used
    if guess is not None and sure_px is not None:
        known = known.joined(grid_pairs(guess, pair.size, sure_px))
    rungs: list[tuple[Rung, Float64]] = [("none", np.eye(3))]
    for rung in LADDER:
        climbed = fit(known, rung, pair.size)
        if climbed is not None:
            rungs.append((rung, climbed))
    model, transform = _lowest_good_rung(rungs, found.held, pair.fine[0].scale)
    agreed = agreement(*pair.coarse, transform)
    if agreed < MIN_AGREEMENT or agreed < agreement(*pair.coarse, np.eye(3)) - AGREEMENT_SLACK:
        return None  # a wrong estimate, or frames of different scenes
    return Registration(transform, model, float(np.median(misses_px(transform, found.held))))


def flow(pair: Pair, guess: Float64, *, fine: bool) -> Flow | None:
    """Measures where points of the first frame of `pair` lie in the second, near `guess`.

    Points are the most trackable one of each cell of a grid, where both frames show the scene. None
    where too few are found.
    """
    first, second = pair.fine if fine else pair.coarse
    cells, points = _trackable(pair, guess)
    if len(points) < MIN_POINTS:
        return None
    start = moved(np.linalg.inv(first.to_full) @ pair.coarse[0].to_full, points)
    warped = _onto(first, second, guess, second.contrast, is_mask=False)
    side, levels = (TRACK_FINE_PX, 1) if fine else (TRACK_COARSE_PX, 3)
    end, sigma_px, found = _tracked(first.contrast, warped, start, side, levels)
    held = cells[found].sum(axis=1) % HELD_OUT == 0
    if len(held) < MIN_POINTS or np.count_nonzero(held) < MIN_HELD:
        return None
    full_start = moved(first.to_full, start[found])
    full_end = moved(guess, moved(first.to_full, end[found]))
    measured = PointPairs(full_start, full_end, sigma_px[found] * first.scale)
    return Flow(measured.subset(~held), measured.subset(held))


def agreement(anchor: Level, other: Level, transform: Float64) -> float:
    """Correlation (-1..1) of local contrast where both show the scene, under `transform`.

    -1 where they share next to nothing. Measured at every second pixel across and down.
    """
    first = anchor.sampled(AGREEMENT_STEP)
    shared = _both(first.seen, _onto(first, other, transform, other.seen, is_mask=True))
    if cv2.countNonZero(shared) < MIN_SHARED * shared.size:
        return -1.0
    second = _onto(first, other, transform, other.contrast, is_mask=False)
    one, two = detail(first.contrast, shared).ravel(), detail(second, shared).ravel()
    norm = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / norm if norm > 0 else -1.0


def misses_px(transform: Float64, pairs: PointPairs) -> Float64:
    """(N,) distances between the ends of `pairs` and where `transform` puts their starts."""
    return np.asarray(np.linalg.norm(moved(transform, pairs.start) - pairs.end, axis=1))


def _first_guess(anchor: View, other: View, pair: Pair) -> tuple[Float64, float]:
    """A rough transform and its agreement: features', or where that is bad whatever agrees best."""
    best, score = np.eye(3), -2.0
    for guess_of in (_similarity_by_features, _shift_by_phase, _no_motion):
        guess = guess_of(anchor, other)
        if guess is None or not is_plausible(guess, pair.size):
            continue
        agreed = agreement(*pair.coarse, guess)
        if agreed > score:
            best, score = guess, agreed
        if score > CLEAR_AGREEMENT:
            break
    return best, score


def _refined(pair: Pair, guess: Float64, agreed: float) -> Float64:
    """`guess`, or the homography through the coarse flow near it where that agrees better."""
    coarse = flow(pair, guess, fine=False)
    better = fit(coarse.used, "homography", pair.size) if coarse else None
    if better is None or agreement(*pair.coarse, better) < agreed:
        return guess
    return better


def _lowest_good_rung(
    rungs: list[tuple[Rung, Float64]], held: PointPairs, view_px: float
) -> tuple[Rung, Float64]:
    """The simplest rung that the held-out pairs do not clearly tell from the best one."""
    cap = MISS_CAP_PX * view_px  # things that moved count alike for every rung
    misses = [np.minimum(misses_px(transform, held), cap) for _, transform in rungs]
    best = min(misses, key=lambda miss: float(miss.mean()))
    for rung, miss in zip(rungs, misses, strict=True):
        loss = miss - best
        chance = RUNG_ERRORS * float(loss.std()) / np.sqrt(len(loss))
        if loss.mean() <= max(RUNG_GAIN * best.mean() + RUNG_GAIN_PX * view_px, chance):
            return rung
    return rungs[-1]


def _onto(anchor: Level, other: Level, transform: Float64, plane: UInt8, *, is_mask: bool) -> UInt8:
    """A plane of `other`, its contrast or what is seen, as `anchor` would see it."""
    pull = np.linalg.inv(other.to_full) @ transform @ anchor.to_full
    size = (anchor.size[1], anchor.size[0])
    flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_NEAREST if is_mask else cv2.INTER_LINEAR)
    outside = 0 if is_mask else FLAT
    return np.asarray(
        cv2.warpPerspective(plane, pull, size, flags=flags, borderValue=outside), np.uint8
    )


def _both(first: UInt8, second: UInt8) -> UInt8:
    return np.asarray(cv2.bitwise_and(first, second), np.uint8)


def _similarity_by_features(anchor: View, other: View) -> Float64 | None:
    """Shift, roll and scale from matched features, or None where too few agree."""
    (from_points, from_codes), (to_points, to_codes) = anchor.features, other.features
    if min(len(from_points), len(to_points)) < MIN_POINTS:
        return None
    matches = cv2.BFMatcher.create(cv2.NORM_HAMMING, crossCheck=True).match(from_codes, to_codes)
    if len(matches) < MIN_POINTS:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        from_points[[match.queryIdx for match in matches]],
        to_points[[match.trainIdx for match in matches]],
        method=cv2.RANSAC,  # draws from a generator of its own with a fixed seed
        ransacReprojThreshold=3.0,
    )
    if matrix is None or int(inliers.sum()) < MIN_POINTS // 2:
        return None
    return _at_full_size(anchor, other, np.vstack([matrix, [0.0, 0.0, 1.0]]))


def _shift_by_phase(anchor: View, other: View) -> Float64:
    """A pure shift from phase correlation of the local contrast, where the scene shows."""
    height, width = anchor.coarse.size
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    first, second = (detail(view.coarse.contrast, view.coarse.seen) for view in (anchor, other))
    (across, down), _ = cv2.phaseCorrelate(first, second, window)
    return _at_full_size(anchor, other, np.array([[1, 0, across], [0, 1, down], [0, 0, 1.0]]))


def _no_motion(anchor: View, other: View) -> Float64:
    return _at_full_size(anchor, other, np.eye(3))


def _at_full_size(anchor: View, other: View, coarse: Float64) -> Float64:
    full = other.coarse_gray.to_full @ coarse @ np.linalg.inv(anchor.coarse_gray.to_full)
    return np.asarray(full, np.float64)


def _trackable(pair: Pair, transform: Float64) -> tuple[NDArray[np.intp], Float64]:
    """Cells (n, 2) and points (n, 2) in coarse px of the first frame: per cell the best to track.

    The grid is as fine as the shared area is small.
    """
    anchor = pair.coarse[0]
    shared = _both(anchor.seen, _onto(*pair.coarse, transform, pair.coarse[1].seen, is_mask=True))
    area = cv2.countNonZero(shared)
    side = max(MIN_CELL_PX, round(float(np.sqrt(area / POINTS))))
    rows, columns = anchor.size[0] // side, anchor.size[1] // side
    if area == 0 or rows == 0 or columns == 0:
        return np.zeros((0, 2), np.intp), np.zeros((0, 2))
    response = np.asarray(cv2.copyTo(anchor.corners, shared), np.float32)
    blocks = response[: side * rows, : side * columns].reshape(rows, side, columns, side)
    cells = blocks.transpose(0, 2, 1, 3).reshape(rows, columns, side * side)
    row, column = np.nonzero(cells.max(axis=2) > MIN_RESPONSE)
    inner = cells.argmax(axis=2)[row, column]
    points = np.stack([column * side + inner % side, row * side + inner // side], axis=1)
    return np.stack([row, column], axis=1), points.astype(np.float64)


def _tracked(
    first: UInt8, second: UInt8, start: Float64, side: int, levels: int
) -> tuple[Float64, Float64, NDArray[np.bool_]]:
    """Lucas-Kanade from `first` to `second` at `start`: ends, their noise in px, and which hold.

    A point holds if tracking back returns to it; how far it misses tells its noise.
    """
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.01)
    options: dict[str, Any] = {"winSize": (side, side), "maxLevel": levels, "criteria": criteria}
    points = start.astype(np.float32).reshape(-1, 1, 2)
    there, ahead, _ = cv2.calcOpticalFlowPyrLK(first, second, points, points.copy(), **options)
    back, behind, _ = cv2.calcOpticalFlowPyrLK(second, first, there, there.copy(), **options)
    miss = np.linalg.norm((back - points).reshape(-1, 2), axis=1).astype(np.float64)
    found = (ahead.ravel() > 0) & (behind.ravel() > 0) & (miss < MAX_RETURN_PX)
    return there.reshape(-1, 2).astype(np.float64), np.hypot(TRACK_NOISE_PX, miss), found
