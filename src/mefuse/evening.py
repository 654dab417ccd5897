"""The least moves that even out differences along a series of numbers: least squares. A leaf.

It knows numbers and their places alone, not what they stand for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Places = NDArray[np.int64]

_HELD = 1e4  # weight of a move that is held at its limit


@dataclass(frozen=True, slots=True, eq=False)
class Evening:
    """What is to be evened among `count` numbers.

    `first` and `second`, (L,): the ends of each difference; `weights`, (L,): how much each counts.
    `before` and `after`, (B,): differences one after the other that should be alike, so that a
    slope stays and a bend does not; `stiffness` is their weight.
    """

    count: int
    first: Places
    second: Places
    weights: Values
    before: Places
    after: Places
    stiffness: float

    def moves(self, wanted: Values, *, limit: float) -> Values:
        """The least moves x, each within the limit, so that x[second] - x[first] is as wanted.

        Minimises sum x^2 + sum weight d^2 + stiffness sum (d[after] - d[before])^2, with
        d = x[second] - x[first] - wanted. What would go beyond the limit is held there, and its
        neighbours come along.
        """
        held, anchors = np.zeros(self.count), np.ones(self.count)
        x = held
        for _ in range(4):
            x = self._solved(wanted, anchors=anchors, held=held)
            beyond = np.abs(x) > limit
            if not beyond.any():
                break
            held = np.where(beyond, np.clip(x, -limit, limit), held)
            anchors = np.where(beyond, _HELD, anchors)
        return np.asarray(np.clip(x, -limit, limit), np.float64)

    def _solved(self, wanted: Values, *, anchors: Values, held: Values) -> Values:
        """Solves the normal equations by conjugate gradients: a long series has many unknowns."""

        def bent(x: Values) -> Values:
            return np.asarray(anchors * x + self._pull(x[self.second] - x[self.first]))

        diagonal = anchors + self._diagonal()
        x = held.copy()
        rest = anchors * held + self._pull(wanted) - bent(x)
        scaled = rest / diagonal
        towards, size = scaled.copy(), float(rest @ scaled)
        for _ in range(20 * self.count):
            if size < 1e-12:
                break
            image = bent(towards)
            along = size / float(towards @ image)
            x += along * towards
            rest -= along * image
            scaled = rest / diagonal
            before, size = size, float(rest @ scaled)
            towards = scaled + size / before * towards
        return x

    def _pull(self, differences: Values) -> Values:
        """By how much each number is pulled by differences of its own."""
        flow = self.weights * differences
        bend = self.stiffness * (differences[self.after] - differences[self.before])
        links = len(self.first)
        flow += _sums(self.after, bend, links) - _sums(self.before, bend, links)
        return _sums(self.second, flow, self.count) - _sums(self.first, flow, self.count)

    def _diagonal(self) -> Values:
        """About the diagonal of what `_pull` does to the numbers."""
        bends = np.full(len(self.after), self.stiffness)
        links = len(self.first)
        flow = self.weights + 2 * _sums(self.after, bends, links)
        flow += 2 * _sums(self.before, bends, links)
        return _sums(self.second, flow, self.count) + _sums(self.first, flow, self.count)


def _sums(places: NDArray[Any], values: Values, count: int) -> Values:
    """Sums of the values that fall on each of so many places."""
    return np.asarray(np.bincount(places, values, count), np.float64)
