"""One rendering for a series of brackets: a panorama, a time-lapse, one house.

A model decides for each bracket by itself how light it comes out, and a camera how bright and how
warm its frames are, so neighbours differ. Every bracket is fused small first; where two of them
show the same points, these points tell by how much. Then each bracket is moved, as little as
possible, so that what neighbours share comes out alike: `Rendition`, for `LookSettings`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.evening import Evening
from mefuse.finish import key_of
from mefuse.frames import Bracket
from mefuse.gamut import LUMA
from mefuse.look import SERIES_LIMIT_EV, TINT_LIMIT_EV, in_series
from mefuse.models import Fuser
from mefuse.neighbours import Picture, Shared, find_shared
from mefuse.overview import overview_of

Values = NDArray[np.float64]

MEASURED_PX = 480  # longest side; how light a picture is does not show more in more pixels
FAR = 48  # brackets back that one is looked for in: a new row of a panorama, a room seen again
# Against 1 for each bracket's own rendering. Where the camera moved, neighbours are to look as if
# they were fused at once. Where it stood still time passes, and the light may change: a slope is
# kept, and what bends within about eight brackets, the fourth root of the stiffness, is evened.
MOVED_WEIGHT, STILL_WEIGHT, STIFFNESS = 4000.0, 2.0, 4000.0
EXPOSED_WEIGHT = 10.0  # of what exposures alone tell: enough to bring a few brackets together
SAME_LIGHT_EV = 1.0  # within it, two brackets are taken to show the same light; a guess
_ROUNDS = 4  # renderings are curves, so what is left after one correction is corrected again
_GAMMA = 2.2  # about linear light: a stop of a rendering is a stop of it
_LIGHT = np.array([1.0, 0.0, 0.0])
_LIMITS = (SERIES_LIMIT_EV, TINT_LIMIT_EV, TINT_LIMIT_EV)


@dataclass(frozen=True, slots=True)
class Rendition:
    """How one bracket of a series is to come out; the fields of `LookSettings` of these names."""

    series_key_ev: float
    series_tint_ev: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A bracket fused small: by how many stops it came out lighter than its reference, and how.

    `exposed_ev` is the reference's exposure as the camera noted it, in stops; None: it did not.
    """

    key_ev: float
    picture: Picture
    exposed_ev: float | None = None


def measure_bracket(bracket: Bracket, fuser: Fuser) -> Measured:
    """How a bracket comes out by itself: fused small, frames as they lie, without any look.

    Args:
        bracket: as it was read.
        fuser: the model that will fuse it.
    """
    frames = [frame.pixels for frame in reduced(bracket).frames]
    icc = bracket.frames[bracket.reference].metadata.icc
    isos = [frame.source.exposure.iso for frame in bracket.frames]
    aligned = Aligned.of(frames, reference=bracket.reference, ghost="off", icc=icc, isos=isos)
    fused = fuser.fuse(aligned, depth=16, slice_size=None, on_slice=None)
    picture = Picture.of(np.asarray(fused.pixels, np.uint16))
    exposed_ev = bracket.frames[bracket.reference].source.exposure.stops
    return Measured(key_of(fused, aligned), picture, exposed_ev)


class Series:
    """The brackets of a series, added in their order; it keeps the last pictures alone."""

    def __init__(self) -> None:
        """Empty."""
        self._keys_ev: list[float | None] = []
        self._before: Measured | None = None
        self._links: list[_Link] = []
        self._last: deque[tuple[int, Picture]] = deque(maxlen=FAR)

    def add(self, measured: Measured | None) -> None:
        """Adds the next bracket; None is one that could not be measured."""
        index = len(self._keys_ev)
        self._keys_ev.append(None if measured is None else measured.key_ev)
        if measured is None:
            return
        self._links += self._recognised(index, measured) or self._by_exposure(index, measured)
        self._last.append((index, measured.picture))
        self._before = measured

    def _recognised(self, index: int, measured: Measured) -> list[_Link]:
        """A link to the last bracket that shows something of this one.

        One is enough, and best: brackets farther away share less, and pull the nearer ones apart.
        """
        for earlier, picture in reversed(self._last):
            shared = find_shared(picture, measured.picture)
            if shared is not None:
                return [_Link(earlier, index, shared)]
        return []

    def _by_exposure(self, index: int, measured: Measured) -> list[_Link]:
        """A loose link to the bracket before, where the camera found about the same light."""
        before = self._before
        if before is None or before.exposed_ev is None or measured.exposed_ev is None:
            return []
        if abs(before.exposed_ev - measured.exposed_ev) > SAME_LIGHT_EV:
            return []
        earlier = self._last[-1][0]
        lighter = before.exposed_ev + before.key_ev - measured.exposed_ev - measured.key_ev
        return [_Link(earlier, index, lighter_ev=lighter)]

    @property
    def linked(self) -> float:
        """The share of brackets that show something of an earlier one; the first shows its own."""
        found = {link.second for link in self._links if link.shared is not None}
        return (len(found) + 1) / max(len(self._keys_ev), 1)

    def renditions(self) -> list[Rendition | None]:
        """How each bracket is to come out; None: by itself, for it shares nothing with others."""
        shared = {end for link in self._links for end in (link.first, link.second)}
        moves = _matched(len(self._keys_ev), self._links)
        return [
            None
            if key_ev is None or index not in shared
            else Rendition(
                round(key_ev + float(move[0]), 2),
                (round(float(move[1]), 2) + 0.0, round(float(move[2]), 2) + 0.0),
            )
            for index, (key_ev, move) in enumerate(zip(self._keys_ev, moves, strict=True))
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """Two brackets, by their places in the series, and what they share.

    Where they share nothing that is recognised, `lighter_ev` tells by how many stops the first
    shows the same light lighter, as their exposures have it.
    """

    first: int
    second: int
    shared: Shared | None = None
    lighter_ev: float = 0.0

    @property
    def weights(self) -> tuple[float, float, float]:
        """How much it counts: of light, and of red and blue."""
        if self.shared is None:
            return EXPOSED_WEIGHT, 0.0, 0.0
        return ((STILL_WEIGHT if self.is_still else MOVED_WEIGHT),) * 3

    @property
    def is_still(self) -> bool:
        """Whether the camera is known not to have moved in between."""
        return self.shared is not None and self.shared.is_still


def _matched(count: int, links: Sequence[_Link]) -> Values:
    """By how much each bracket is moved, (count, 3): stops of light, of red and of blue."""
    moves = np.zeros((count, 3))
    if not links:
        return moves
    first, second = np.array([(link.first, link.second) for link in links]).T
    weights = np.array([link.weights for link in links])
    is_still = {k for k, link in enumerate(links) if link.is_still}
    at = {links[k].second: k for k in is_still}
    pairs = [(at[links[k].first], k) for k in sorted(is_still) if links[k].first in at]
    before, after = np.array(pairs, np.int64).reshape(-1, 2).T
    for _ in range(_ROUNDS):
        left = np.array([_step(link, moves) for link in links])
        wanted = left + moves[second] - moves[first]
        for k, limit in enumerate(_LIMITS):
            evening = Evening(count, first, second, weights[:, k], before, after, STIFFNESS)
            moves[:, k] = evening.moves(wanted[:, k], limit=limit)
    return moves


def _step(link: _Link, moves: Values) -> Values:
    """By how many stops the first is lighter, redder and bluer than the second, as moved so far."""
    if link.shared is None:
        return np.asarray(_LIGHT * (link.lighter_ev + moves[link.first] - moves[link.second]))
    sides = []
    for side, index in enumerate((link.first, link.second)):
        light, red, blue = (float(move) for move in moves[index])
        points = link.shared.points[:, side] / 65535
        sides.append(in_series(points, series_ev=light, tint_ev=(red, blue)))
    first, second = sides
    light = _GAMMA * np.log2((first @ LUMA).mean() / (second @ LUMA).mean())
    red, green, blue = _GAMMA * np.log2(first.mean(0) / second.mean(0))
    return np.array([light, red - green, blue - green])


def reduced(bracket: Bracket) -> Bracket:
    """A bracket no larger than it is measured at."""
    frames = (replace(frame, pixels=_reduced(frame.pixels)) for frame in bracket.frames)
    return replace(bracket, frames=tuple(frames))


def _reduced(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels at no more than MEASURED_PX."""
    pixels = overview_of(pixels)
    height, width = pixels.shape[:2]
    scale = min(1.0, MEASURED_PX / max(height, width))
    if scale == 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
