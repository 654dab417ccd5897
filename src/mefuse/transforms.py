"""Plane transforms between frames: geometry and robust fits on point pairs. Pure numpy.

A transform is a (3, 3) float64 matrix that takes (x, y, 1) of one picture to another's, pixel
centres at integers. Knows neither pictures nor exposures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Model = Literal["homography", "affine", "translation"]

# Which of the eight unknowns (a b c / d e f / g h 1) each rung of the ladder may move.
FREE_UNKNOWNS: dict[Model, tuple[int, ...]] = {
    "homography": (0, 1, 2, 3, 4, 5, 6, 7),
    "affine": (0, 1, 2, 3, 4, 5),
    "translation": (2, 5),
}
# How far hand-held frames stray from a pure shift and roll, as a part of the half diagonal moved at
# the corners; a prior that only tells where the points leave the question open. A pan of 60 px
# through a wide lens gives 0.015 at 3840x2160; parallax and rolling shutter about 0.002; focus
# breathing about 0.01.
PERSPECTIVE_SPREAD = 0.015
SHEAR_SPREAD = 0.005
SCALE_SPREAD = 0.01
# What a hand can do between two frames; anything beyond is a wrong estimate.
MAX_SHIFT = 0.15  # of the diagonal
MAX_ROTATION_DEG = 15.0
MAX_SCALE = 1.15
MAX_PERSPECTIVE = 0.12  # corner displacement by the last row, of the half diagonal
TUKEY = 4.685  # 95 % efficiency on Gaussian noise
FIT_ROUNDS = 20
SETTLED = 1e-7  # of the half diagonal: 0.0002 px at 3840x2160
TRIPLES = 64  # a third of them wrong: sure to hold triples without a wrong one
MIN_TRIPLE_AREA = 0.02  # of the unit disc, doubled; thinner triples say nothing about the rest


@dataclass(frozen=True, slots=True, eq=False)
class PointPairs:
    """Point pairs: `start` and `end` are (N, 2) px; `sigma_px` is (N,), each pair's own noise.

    `trusted` pairs (N,) keep their weight in robust fits: they stand for a prior, not for a
    measurement.
    """

    start: Float64
    end: Float64
    sigma_px: Float64
    trusted: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __len__(self) -> int:
        return len(self.start)

    def subset(self, chosen: NDArray[np.bool_]) -> PointPairs:
        """The pairs where `chosen` (N,) is true; none is trusted."""
        return PointPairs(self.start[chosen], self.end[chosen], self.sigma_px[chosen])

    def joined(self, others: PointPairs) -> PointPairs:
        """These pairs, and then `others` as trusted ones."""
        trusted = np.concatenate([np.zeros(len(self), np.bool_), np.ones(len(others), np.bool_)])
        return PointPairs(
            np.concatenate([self.start, others.start]),
            np.concatenate([self.end, others.end]),
            np.concatenate([self.sigma_px, others.sigma_px]),
            trusted,
        )


def moved(transform: Float64, points: Float64) -> Float64:
    """(N, 2) `points` under `transform`."""
    lifted = points @ transform[:, :2].T + transform[:, 2]
    return np.asarray(lifted[:, :2] / lifted[:, 2:], np.float64)


def corners_of(size: tuple[int, int]) -> Float64:
    """(4, 2) centres of the corner pixels (x, y) of a (height, width) picture."""
    bottom, right = size[0] - 1.0, size[1] - 1.0
    return np.array([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])


def corner_distance_px(first: Float64, second: Float64, size: tuple[int, int]) -> float:
    """Mean distance of the four corners of a (height, width) picture under two transforms."""
    corners = corners_of(size)
    gaps = moved(first, corners) - moved(second, corners)
    return float(np.linalg.norm(gaps, axis=1).mean())


def grid_pairs(transform: Float64, size: tuple[int, int], sigma_px: float) -> PointPairs:
    """16 pairs over a (height, width) picture that say what `transform` says, to `sigma_px`."""
    right, bottom = corners_of(size)[2]
    x, y = np.meshgrid(np.linspace(0, right, 4), np.linspace(0, bottom, 4))
    start = np.stack([x.ravel(), y.ravel()], axis=1)
    return PointPairs(start, moved(transform, start), np.full(len(start), sigma_px))


def is_plausible(transform: Float64, size: tuple[int, int]) -> bool:
    """True where a hand-held camera could have made `transform` between two frames of `size`."""
    if not np.isfinite(transform).all() or abs(transform[2, 2]) < 1e-9:
        return False
    to_unit = _to_unit(size)
    unit = to_unit @ transform @ np.linalg.inv(to_unit)
    unit = unit / unit[2, 2]
    half_diagonal = 1.0 / to_unit[0, 0]
    shift = float(np.hypot(unit[0, 2], unit[1, 2])) * half_diagonal
    stretch = np.linalg.svd(unit[:2, :2], compute_uv=False)
    turn = np.degrees(np.arctan2(unit[1, 0] - unit[0, 1], unit[0, 0] + unit[1, 1]))
    return bool(
        shift <= MAX_SHIFT * 2.0 * half_diagonal
        and abs(turn) <= MAX_ROTATION_DEG
        and stretch[0] <= MAX_SCALE
        and stretch[1] >= 1.0 / MAX_SCALE
        and np.linalg.det(unit[:2, :2]) > 0
        and np.hypot(unit[2, 0], unit[2, 1]) <= MAX_PERSPECTIVE
    )


def fit(pairs: PointPairs, model: Model, size: tuple[int, int]) -> Float64 | None:
    """The `model` that takes `pairs.start` to `pairs.end` in a (height, width) picture, robustly.

    A rough start by least median of squares over random triples (fixed seed), then iteratively
    reweighted least squares with Tukey's biweight, so that a minority of moving things does not
    pull. A weak prior for hand-held motion (see PERSPECTIVE_SPREAD) decides what the pairs leave
    open.

    Returns:
        (3, 3), or None where the pairs do not determine a plausible transform.

    Sources: Rousseeuw, "Least median of squares regression", JASA 79, 1984,
    doi:10.1080/01621459.1984.10477105; Holland & Welsch, Communications in Statistics 6(9), 1977,
    doi:10.1080/03610927708827533
    """
    free = FREE_UNKNOWNS[model]
    if len(pairs) < len(free):
        return None
    to_unit = _to_unit(size)
    start, end = moved(to_unit, pairs.start), moved(to_unit, pairs.end)
    sigma = np.maximum(pairs.sigma_px, 1e-3) * to_unit[0, 0]
    trusted = pairs.trusted if len(pairs.trusted) else np.zeros(len(pairs), np.bool_)
    free_pairs = ~trusted if (~trusted).any() else trusted
    unknowns = _rough(start[free_pairs], end[free_pairs], sigma[free_pairs])
    rows, targets = _equations(start, end)
    spread = np.inf
    for _ in range(FIT_ROUNDS):
        gaps = np.hypot(*(_unit_moved(unknowns, start) - end).T) / sigma
        spread = max(min(spread, 1.4826 * float(np.median(gaps[free_pairs]))), 1.0)
        # Dividing by the spread keeps prior and trusted pairs in proportion to the true noise.
        measured = _tukey(gaps / (TUKEY * spread)) / spread**2
        before = unknowns
        unknowns = _solved(rows, targets, np.where(trusted, 1.0, measured) / sigma**2, free)
        if np.abs(unknowns - before).max() < SETTLED:
            break
    transform = np.linalg.inv(to_unit) @ np.append(unknowns, 1.0).reshape(3, 3) @ to_unit
    transform = transform / transform[2, 2]
    return transform if is_plausible(transform, size) else None


def _rough(start: Float64, end: Float64, sigma: Float64) -> Float64:
    """The eight unknowns of the affine transform of three pairs that is nearest to most pairs."""
    shift = np.median(end - start, axis=0)
    best = np.array([1.0, 0.0, shift[0], 0.0, 1.0, shift[1], 0.0, 0.0])
    lifted = np.column_stack([start, np.ones(len(start))])
    triples = np.random.default_rng(0).integers(len(start), size=(TRIPLES, 3))
    triples = triples[np.abs(np.linalg.det(lifted[triples])) > MIN_TRIPLE_AREA]
    if len(triples) == 0:
        return best
    affine = np.linalg.solve(lifted[triples], end[triples])  # (T, 3, 2)
    away = [lifted @ affine[:, :, k].T - end[:, k : k + 1] for k in (0, 1)]  # (N, T) each
    medians = np.median((away[0] ** 2 + away[1] ** 2) / sigma[:, None] ** 2, axis=0)
    winner = int(medians.argmin())
    if medians[winner] < np.median(((start + shift - end) ** 2).sum(axis=1) / sigma**2):
        best[:6] = affine[winner].T.ravel()
    return best


def _to_unit(size: tuple[int, int]) -> Float64:
    """From pixels to the unit disc: the centre at 0, the corners at distance 1."""
    centre_x, centre_y = (size[1] - 1) / 2.0, (size[0] - 1) / 2.0
    scale = 1.0 / max(float(np.hypot(centre_x, centre_y)), 1.0)
    return np.array([[scale, 0, -scale * centre_x], [0, scale, -scale * centre_y], [0, 0, 1.0]])


def _unit_moved(unknowns: Float64, points: Float64) -> Float64:
    return moved(np.append(unknowns, 1.0).reshape(3, 3), points)


def _tukey(ratio: Float64) -> Float64:
    return np.asarray(np.where(ratio < 1.0, (1.0 - np.minimum(ratio, 1.0) ** 2) ** 2, 0.0))


def _equations(start: Float64, end: Float64) -> tuple[Float64, Float64]:
    """(2N, 8) rows and (2N,) targets, linear in the unknowns' deviation from the identity."""
    (x, y), (u, v) = start.T, end.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    across = np.column_stack([x, y, one, zero, zero, zero, -u * x, -u * y])
    down = np.column_stack([zero, zero, zero, x, y, one, -v * x, -v * y])
    return np.concatenate([across, down]), np.concatenate([u - x, v - y])


def _solved(rows: Float64, targets: Float64, weights: Float64, free: tuple[int, ...]) -> Float64:
    """The eight unknowns by weighted linear least squares with the hand-held prior."""
    weighted = rows * np.concatenate([weights, weights])[:, None]
    normal, right = rows.T @ weighted + _PRIOR, weighted.T @ targets
    unknowns = np.array([1.0, 0, 0, 0, 1.0, 0, 0, 0])
    chosen = list(free)
    unknowns[chosen] += np.linalg.solve(normal[np.ix_(chosen, chosen)], right[chosen])
    return unknowns


def _prior() -> Float64:
    """(8, 8) precision of the unknowns' deviation from the identity, in unit coordinates."""
    shear, stretch, scale = np.zeros(8), np.zeros(8), np.zeros(8)
    stretch[[0, 4]] = 1.0, -1.0
    shear[[1, 3]] = 1.0, 1.0
    scale[[0, 4]] = 0.5, 0.5
    precision = np.diag([1e-6] * 6 + [PERSPECTIVE_SPREAD**-2] * 2)
    precision += (np.outer(shear, shear) + np.outer(stretch, stretch)) * SHEAR_SPREAD**-2
    return np.asarray(precision + np.outer(scale, scale) * SCALE_SPREAD**-2, np.float64)


_PRIOR = _prior()
