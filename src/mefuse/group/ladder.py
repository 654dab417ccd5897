"""How much a run of exposures looks like a bracket: its steps and its order. Numbers only.

Evidence is counted in bits: the binary logarithm of how much likelier something is in a bracket
than among pictures that only happen to follow each other. The figures were chosen for that meaning
and by looking at folders, not fitted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

MOST_FRAMES = 15
_PRIOR_BITS = -3.0  # what the rest has to make up for before files are taken for a bracket
# Cameras bracket with an odd number of frames, mostly; two happen to differ easily.
_COUNT_BITS = {2: -3.0, 4: -2.0, 6: -2.0, 8: -2.0}
_FLAGGED_TWO_BITS = 2.0  # some cameras bracket with two, and of three one may be lost
_MANY_FRAMES, _MANY_BITS = 9, -2.0
_SAME_STEP_BITS = 2.5  # by chance one step in six is like another
_ODD_STEP_BITS = -2.5
_SMALL_STEP_EV, _SMALL_STEP_BITS = 0.6, -2.0  # light drifts by as much from frame to frame
_USUAL_ORDER_SHARE = 0.95  # of brackets come in an order that some camera uses
_MOST_ORDER_BITS = 12.0
_REPEAT_BITS = -1.5  # of an exposure taken twice in a row inside a bracket


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How exactly exposures are known."""

    same_ev: float  # closer than this two exposures are one
    step_ev: float  # two steps this close are equal
    signature_ev: float  # mean steps that round to one multiple of this are those of one habit


# The times that cameras show: 1/6 s to 0.3 s is called a stop, and so is 0.6 s to 1.3 s.
FROM_EXIF = Tolerance(same_ev=0.25, step_ev=0.3, signature_ev=1 / 6)
# Clipping makes steps look smaller.
FROM_PIXELS = Tolerance(same_ev=0.4, step_ev=1.5, signature_ev=2.5)


def ranks(stops: Sequence[float]) -> tuple[int, ...]:
    """Each exposure's place from dark to bright, in the order taken."""
    order = sorted(range(len(stops)), key=stops.__getitem__)
    places = [0] * len(stops)
    for place, i in enumerate(order):
        places[i] = place
    return tuple(places)


def shape_bits(stops: Sequence[float], tolerance: Tolerance, *, is_flagged: bool) -> float:
    """Gives the evidence that distinct exposures, in the order taken, are one bracket.

    Args:
        stops: two or more exposures in EV, no two of them equal.
        tolerance: how exactly they are known.
        is_flagged: the camera says that it bracketed, so that small steps say nothing.
    """
    count = len(stops)
    ordered = sorted(stops)
    steps = [high - low for low, high in itertools.pairwise(ordered)]
    equal = max(sum(abs(s - step) <= tolerance.step_ev for s in steps) for step in steps)
    bits = _PRIOR_BITS + _COUNT_BITS.get(count, _MANY_BITS if count > _MANY_FRAMES else 0.0)
    if count == 2 and is_flagged:
        bits += _FLAGGED_TWO_BITS
    bits += _SAME_STEP_BITS * (equal - 1)
    bits += _ODD_STEP_BITS * (len(steps) - equal)
    if not is_flagged:
        bits += _SMALL_STEP_BITS * sum(step < _SMALL_STEP_EV for step in steps)
    return bits + _order_bits(ranks(stops))


def repeat_bits(repeats: int) -> float:
    """Gives the evidence against a bracket in which exposures were repeated."""
    return _REPEAT_BITS * repeats


@cache
def _order_bits(order: tuple[int, ...]) -> float:
    """Evidence of the order, given the exposures."""
    count = len(order)
    usual = _usual_orders(count)
    if order not in usual:
        return math.log2(1 - _USUAL_ORDER_SHARE)
    chance = math.factorial(count) / len(usual)
    return min(_MOST_ORDER_BITS, math.log2(_USUAL_ORDER_SHARE * chance))


@cache
def _usual_orders(count: int) -> frozenset[tuple[int, ...]]:
    """The orders in which cameras take brackets: up, down, or from the middle in several ways."""
    up = tuple(range(count))
    orders = {up, up[::-1]}
    for middle in {(count - 1) // 2, count // 2}:
        darker, brighter = up[:middle][::-1], up[middle + 1 :]
        for near, far in ((darker, brighter), (brighter, darker)):
            orders.add((middle, *near, *far))
            orders.add((middle, *near[::-1], *far))
            orders.add((middle, *near[::-1], *far[::-1]))
            mixed = [x for pair in zip(near, far, strict=False) for x in pair]
            rest = near[len(far) :] + far[len(near) :]
            orders.add((middle, *mixed, *rest))
    return frozenset(orders)
