"""The least moves: differences vanish where they weigh, slopes stay, limits hold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mefuse.evening import Evening

NONE = np.zeros(0, np.int64)


def _chain(count: int, *, weight: float, stiffness: float = 0.0) -> Evening:
    """Neighbours alone."""
    links = np.arange(count - 1)
    bends = links[1:] if stiffness else NONE
    before = bends - 1 if stiffness else NONE
    return Evening(count, links, links + 1, np.full(count - 1, weight), before, bends, stiffness)


def _dense(evening: Evening, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same by numpy's own least squares."""
    differences = np.zeros((len(wanted), evening.count))
    rows = np.arange(len(wanted))
    differences[rows, evening.second] = 1
    differences[rows, evening.first] = -1
    bends = differences[evening.after] - differences[evening.before]
    wanted_bends = wanted[evening.after] - wanted[evening.before]
    stiff = np.sqrt(evening.stiffness)
    weights = np.sqrt(evening.weights)
    matrix = np.concatenate(
        (np.eye(evening.count), differences * weights[:, None], bends * stiff), axis=0
    )
    target = np.concatenate((np.zeros(evening.count), wanted * weights, wanted_bends * stiff))
    return np.asarray(np.linalg.lstsq(matrix, target)[0])


@pytest.mark.parametrize(("weight", "stiffness"), [(4000.0, 0.0), (2.0, 4000.0), (0.0, 50.0)])
def test_it_is_the_least_squares_solution(
    rng: np.random.Generator, weight: float, stiffness: float
) -> None:
    evening = _chain(60, weight=weight, stiffness=stiffness)
    wanted = rng.normal(0, 0.1, 59)
    moves = evening.moves(wanted, limit=100)
    assert moves == pytest.approx(_dense(evening, wanted), abs=1e-5)


def test_strong_links_leave_no_difference_and_move_nothing_on_the_whole(
    rng: np.random.Generator,
) -> None:
    wanted = rng.normal(0, 0.3, 7)
    moves = _chain(8, weight=4000).moves(wanted, limit=100)
    assert np.diff(moves) == pytest.approx(wanted, abs=0.01)
    assert moves.sum() == pytest.approx(0, abs=1e-6)


def test_a_slope_stays_and_a_bend_does_not(rng: np.random.Generator) -> None:
    trend, flicker = np.linspace(0, 3, 60), rng.uniform(-0.2, 0.2, 60)
    evening = _chain(60, weight=2, stiffness=4000)
    evened = trend + flicker + evening.moves(-np.diff(trend + flicker), limit=100)
    assert np.abs(np.diff(evened, 2)).mean() < 0.05 * np.abs(np.diff(flicker, 2)).mean()
    assert evened[-5:].mean() - evened[:5].mean() == pytest.approx(2.8, abs=0.2)


def test_what_reaches_the_limit_takes_its_neighbours_along() -> None:
    wanted = np.array([0.0, 4.0, 0.0, 0.0])
    moves = _chain(5, weight=4000).moves(wanted, limit=1.5)
    assert np.abs(moves).max() <= 1.5
    assert np.abs(np.diff(moves) - wanted)[[0, 2, 3]].max() < 0.4
