"""Photographers in code: who takes which brackets, when, and what else lands on their card.

Each one brackets in a way that such tools are known to fail with: cameras that note it and cameras
that do not, clocks of whole seconds, long exposures with a dark frame behind each, series in which
all pauses are equal, panoramas, tests and repeats, single pictures and bursts, RAW+JPEG pairs,
files without EXIF.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from mefuse.bench.card import Camera, Exposed

_FIRST_S = 1_600_000_000.0
_THIRDS = 3  # cameras set times in thirds of a stop
_PARTS = (
    *(8000, 6400, 5000, 4000, 3200, 2500, 2000, 1600, 1250, 1000, 800, 640, 500, 400, 320, 250),
    *(200, 160, 125, 100, 80, 60, 50, 40, 30, 25, 20, 15, 13, 10, 8, 6, 5, 4),
)
_TIMES = (
    *(1 / part for part in _PARTS),
    *(0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 15.0),
    *(20.0, 25.0, 30.0),
)


@dataclass(slots=True)
class Take:
    """One release of the shutter.

    `scene` is what stood before the lens; `bracket` the bracket it is meant for, None for none; two
    takes of one bracket and one exposure stand for each other.
    """

    shot: Exposed
    scene: int
    bracket: int | None
    ev: float


@dataclass(slots=True)
class Roll:
    """What one photographer took, in order."""

    name: str
    camera: Camera
    prefix: str
    takes: list[Take] = field(default_factory=list)
    raw: str = ""  # extension of a raw file beside every JPEG
    has_exif: bool = True
    at_s: float = _FIRST_S
    last_position: int = 0


_Ids = Iterator[int]


def _bracket(
    roll: Roll,
    ids: tuple[_Ids, _Ids],
    evs: list[float],
    *,
    base_s: float,
    pause_s: Callable[[], float],
    scene: int | None = None,
    numbered: bool = False,
    mode: int = 2,
    dark_frame: bool = False,
    **settings: float,
) -> int:
    """Takes one bracket; returns its scene."""
    scenes, brackets = ids
    place, bracket = next(scenes) if scene is None else scene, next(brackets)
    for number, ev in enumerate(evs, 1):
        time_s = _nominal(base_s * 2.0**ev)
        shot = Exposed(
            roll.at_s,
            time_s,
            bias_ev=0.0 if mode == 1 else ev,
            mode=mode,
            position=number if numbered else 0,
            **settings,  # type: ignore[arg-type]
        )
        roll.takes.append(Take(shot, place, bracket, ev))
        roll.at_s += time_s + (time_s if dark_frame and time_s >= 1 else 0.0) + pause_s()
    return place


def _single(roll: Roll, ids: tuple[_Ids, _Ids], time_s: float, **settings: float) -> None:
    """Takes one picture that is in no bracket."""
    shot = Exposed(roll.at_s, _nominal(time_s), **settings)  # type: ignore[arg-type]
    roll.takes.append(Take(shot, next(ids[0]), None, 0.0))
    roll.at_s += shot.exposure_time_s


def _nominal(time_s: float) -> float:
    """The nearest time that cameras show and set: 1/125 for 1/128, 1/15 for 1/16."""
    return min(_TIMES, key=lambda shown: abs(math.log2(shown / time_s)))


def evs_of(count: int, step: float, order: str) -> list[float]:
    """The exposures of a bracket, in EV, in the order in which some camera takes them."""
    up = [(i - count // 2) * step for i in range(count)]
    darker, brighter = [e for e in up if e < 0][::-1], [e for e in up if e > 0]
    if order == "up":
        return up
    if order == "down":
        return up[::-1]
    if order == "middle, dark to bright":
        return [0.0, *darker[::-1], *brighter]
    pairs = zip(darker, brighter, strict=False)
    return [0.0, *itertools.chain.from_iterable(pairs)]


ORDERS = ("up", "down", "middle, dark to bright", "middle, in turn")


def _walk(rng: Random) -> float:
    """Seconds to the next scene."""
    return min(900.0, rng.lognormvariate(3.2, 0.9))


def _light(rng: Random, *, range_ev: float = 0.0) -> float:
    """A middle exposure time in thirds of a stop, 1/1000 to 1/8, that leaves room in both ways."""
    shortest = max(-10.0, -12.9 + range_ev)
    longest = max(shortest, min(-3.0, 4.8 - range_ev))
    thirds = rng.randint(round(shortest * _THIRDS), round(longest * _THIRDS))
    return float(2.0 ** (thirds / _THIRDS))


def noting(roll: Roll, ids: tuple[_Ids, _Ids], rng: Random, *, numbered: bool) -> None:
    """A camera that notes its bracketing: handheld, with test shots, singles, bursts, repeats."""
    count, step = rng.choice((3, 3, 5, 7)), rng.choice((0.7, 1.0, 1.0, 2.0))
    evs = evs_of(count, step, rng.choice(ORDERS))
    base = _light(rng, range_ev=max(evs))
    if rng.random() < 0.15:  # metering first
        scene = next(ids[0])
        roll.takes.append(Take(Exposed(roll.at_s, _nominal(base)), scene, None, 0.0))
        roll.at_s += rng.uniform(1.5, 6)
    else:
        scene = next(ids[0])
    for _ in range(rng.choice((1, 1, 1, 2))):  # sometimes a second try
        _bracket(
            roll, ids, evs, base_s=base, pause_s=lambda: rng.uniform(0.12, 0.6), scene=scene,
            numbered=numbered,
        )  # fmt: skip
        roll.at_s += rng.uniform(1, 4)
    kind = rng.random()
    if kind < 0.15:
        roll.at_s += _walk(rng)
        _single(roll, ids, _light(rng))
    elif kind < 0.25:
        roll.at_s += _walk(rng)
        time_s = _light(rng)
        for _ in range(rng.randint(3, 8)):
            _single(roll, ids, time_s)
            roll.at_s += 0.2
    roll.at_s += _walk(rng)


def silent(roll: Roll, ids: tuple[_Ids, _Ids], rng: Random) -> None:
    """A camera that notes nothing but times and exposures: drones, old files, converted ones."""
    evs = evs_of(5, 0.7, "middle, in turn")
    base = _light(rng, range_ev=max(evs))
    _bracket(roll, ids, evs, base_s=base, pause_s=lambda: rng.uniform(0.2, 0.8), mode=0)
    roll.at_s += _walk(rng) + 5
    if rng.random() < 0.3:
        _single(roll, ids, _light(rng))
        roll.at_s += _walk(rng)


def unaware(roll: Roll, ids: tuple[_Ids, _Ids], rng: Random) -> None:
    """Bracketing that the files call automatic exposure without compensation, and single pictures.

    The exposures and the short pauses are all there is to tell them from pictures in a row.
    """
    evs = evs_of(3, rng.choice((1.0, 2.0)), "middle, in turn")
    base = _light(rng, range_ev=max(evs))
    start = len(roll.takes)
    _bracket(roll, ids, evs, base_s=base, pause_s=lambda: rng.uniform(0.1, 0.5), mode=0)
    for take in roll.takes[start:]:
        take.shot = replace(take.shot, bias_ev=0.0)
    roll.at_s += _walk(rng) + 3
    if rng.random() < 0.3:
        _single(roll, ids, _light(rng))
        roll.at_s += _walk(rng) + 3


def by_hand(roll: Roll, ids: tuple[_Ids, _Ids], rng: Random) -> None:
    """Manual exposures from a tripod, some of them long, some with a dark frame behind each."""
    count = rng.choice((3, 5, 5, 7))
    step = rng.choice((1.0, 2.0)) if count < 7 else 1.0
    base = float(2.0 ** (rng.randint(-4 * _THIRDS, 3 * _THIRDS) / _THIRDS))
    while base * 2 ** (count // 2 * step) > 30:
        base /= 2
    pace = rng.uniform(2, 12)
    _bracket(
        roll, ids, evs_of(count, step, rng.choice(("up", "down"))), base_s=base, mode=1,
        pause_s=lambda: pace * rng.uniform(0.7, 1.4), dark_frame=rng.random() < 0.5,
    )  # fmt: skip
    if rng.random() < 0.3:  # once more the exposure it ended with
        last = roll.takes[-1]
        roll.takes.append(replace(last, shot=replace(last.shot, taken_s=roll.at_s)))
        roll.at_s += last.shot.exposure_time_s + pace
    roll.at_s += rng.uniform(40, 600)
    if rng.random() < 0.25:
        _single(roll, ids, base, mode=1)
        roll.at_s += rng.uniform(40, 600)


def time_lapse(roll: Roll, ids: tuple[_Ids, _Ids], rng: Random) -> None:
    """Brackets of one scene with equal pauses everywhere, while the light changes slowly."""
    evs = evs_of(rng.choice((3, 5)), rng.choice((1.0, 2.0)), rng.choice(ORDERS))
    pace, base = rng.uniform(2, 6), _light(rng, range_ev=max(evs) + 1)
    scene = next(ids[0])
    for _ in range(rng.randint(6, 12)):
        _bracket(roll, ids, evs, base_s=base, pause_s=lambda: pace, scene=scene, mode=1)
        base *= 2.0 ** rng.choice((0, 0, 0, -1 / 3))
    roll.at_s += 3600


def panorama(roll: Roll, ids: tuple[_Ids, _Ids], rng: Random) -> None:
    """Brackets of one manual exposure, a turn of the head apart."""
    evs, base = evs_of(3, 2.0, rng.choice(ORDERS)), _light(rng, range_ev=2)
    for _ in range(rng.randint(4, 8)):
        _bracket(roll, ids, evs, base_s=base, pause_s=lambda: rng.uniform(0.15, 0.5))
        roll.at_s += rng.uniform(0.8, 4)
    roll.at_s += _walk(rng) + 10


def phone(roll: Roll, ids: tuple[_Ids, _Ids], rng: Random) -> None:
    """No brackets at all: automatic exposures that follow the light."""
    time_s = _light(rng)
    for _ in range(rng.randint(1, 6)):
        time_s *= 2.0 ** rng.uniform(-0.8, 0.8)
        _single(roll, ids, time_s, iso=rng.choice((50, 64, 100, 125, 200)))
        roll.at_s += rng.uniform(1.5, 20)
    roll.at_s += _walk(rng)


def unmarked(roll: Roll, ids: tuple[_Ids, _Ids], rng: Random) -> None:
    """Files without EXIF, of which some are single."""
    if rng.random() < 0.2:
        _single(roll, ids, 1.0)
        return
    evs = evs_of(rng.choice((3, 3, 5)), rng.choice((1.5, 2.0)), rng.choice(ORDERS))
    _bracket(roll, ids, evs, base_s=1.0, pause_s=lambda: 1.0)
