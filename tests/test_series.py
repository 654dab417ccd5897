"""A series of brackets: what neighbours show comes out alike, and nothing else is touched."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mefuse.aligned import Aligned
from mefuse.finish import fuse_with_look
from mefuse.frames import Bracket, Exposure, Frame, Source
from mefuse.look import SERIES_LIMIT_EV
from mefuse.models import Fused
from mefuse.models.mertens import MertensFuser
from mefuse.series import MEASURED_PX, Measured, Rendition, Series, measure_bracket
from mefuse.settings import LookSettings

HEIGHT, WIDTH, STEP = 192, 256, 64
PLACES = range(0, 257, STEP)
LADDER_EV = (-2.0, 0.0, 2.0)


@pytest.fixture(scope="module")
def room() -> np.ndarray:
    """Light (192, 512, 3) of a dim room with a bright window on the right."""
    rng = np.random.default_rng(3)
    light = rng.uniform(0.02, 0.12, (HEIGHT // 4, 128)).repeat(4, 0).repeat(4, 1)
    light[40:150, 330:480] *= 30
    return light[..., np.newaxis] * np.array([1.0, 0.9, 0.75])


def _bracket(light: np.ndarray, *, ev: float = 1.0, exposure: Exposure | None = None) -> Bracket:
    """Three exposures around one that is `ev` stops above unit gain; with the camera's note."""
    frames = []
    for step in LADDER_EV:
        shown = np.clip(light * 2.0 ** (ev + step), 0, 1) ** (1 / 2.2)
        pixels = np.ascontiguousarray((shown * 255).round().astype(np.uint8))
        noted = Exposure() if exposure is None else exposure
        if noted.exposure_time_s:
            noted = replace(noted, exposure_time_s=noted.exposure_time_s * 2.0**step)
        frames.append(Frame(Source(Path("x.png"), noted), pixels))
    return Bracket(tuple(frames), reference=1, evs=LADDER_EV, ev_source="pixels")


def _views(room: np.ndarray, evs: list[float], tints: list[np.ndarray]) -> list[Bracket]:
    """Views that overlap by three quarters, each with its own exposures and white balance."""
    return [
        _bracket(room[:, left : left + WIDTH] * tint, ev=ev)
        for left, ev, tint in zip(PLACES, evs, tints, strict=True)
    ]


def _renditions(brackets: list[Bracket]) -> list[Rendition]:
    series = Series()
    for bracket in brackets:
        series.add(measure_bracket(bracket, MertensFuser()))
    assert series.linked == 1
    found = [rendition for rendition in series.renditions() if rendition is not None]
    assert len(found) == len(brackets)
    return found


def _fused(brackets: list[Bracket], looks: list[LookSettings]) -> list[np.ndarray]:
    """The pictures, 0..255."""
    pictures = []
    for bracket, look in zip(brackets, looks, strict=True):
        frames = [frame.pixels for frame in bracket.frames]
        aligned = Aligned.of(frames, reference=1, ghost="off")
        pictures.append(fuse_with_look(MertensFuser(), aligned, look=look, depth=8).pixels)
    return [picture.astype(np.float64) for picture in pictures]


def _both(brackets: list[Bracket]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Each fused alone, and as a series."""
    looks = [LookSettings(**asdict(rendition)) for rendition in _renditions(brackets)]
    return _fused(brackets, [LookSettings()] * len(brackets)), _fused(brackets, looks)


def _steps(fused: list[np.ndarray]) -> tuple[float, float]:
    """Mean steps between neighbours in what both show: of gray, and of red against blue."""
    pairs = [(a[:, STEP:].mean((0, 1)), b[:, :-STEP].mean((0, 1))) for a, b in pairwise(fused)]
    gray = [abs((b - a).mean()) for a, b in pairs]
    tint = [abs((b - a)[0] - (b - a)[2]) for a, b in pairs]
    return float(np.mean(gray)), float(np.mean(tint))


def test_neighbours_match_whatever_their_exposures_and_white_balance(room: np.ndarray) -> None:
    warm, cold, none = np.array([1.15, 1, 0.85]), np.array([0.9, 1, 1.1]), np.ones(3)
    brackets = _views(room, [1, 0.67, 0, -0.33, 0], [warm, none, cold, none, warm])
    alone, together = _both(brackets)
    before, after = _steps(alone), _steps(together)
    assert before[0] > 5
    assert before[1] > 5
    assert after[0] < 0.15 * before[0]
    assert after[1] < 0.25 * before[1]


def test_colours_that_match_already_stay(room: np.ndarray) -> None:
    brackets = _views(room, [1, 0.67, 0, -0.33, 0], [np.ones(3)] * 5)
    tints = [rendition.series_tint_ev for rendition in _renditions(brackets)]
    assert np.abs(tints).max() < 0.08


def _lapse(room: np.ndarray, evs: list[float]) -> list[Bracket]:
    return [_bracket(room[:, :WIDTH], ev=ev) for ev in evs]


def test_a_time_lapse_is_smooth_and_not_flat(room: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    falling = np.linspace(1.5, -1.5, 24)
    flicker = rng.uniform(-0.25, 0.25, 24)
    alone, together = _both(_lapse(room, [float(ev) for ev in falling + flicker]))
    lumas = [np.array([picture.mean() for picture in part]) for part in (alone, together)]
    bends = [float(np.abs(np.diff(part, 2)).mean()) for part in lumas]
    drifts = [float(part[:4].mean() - part[-4:].mean()) for part in lumas]
    assert drifts[0] > 20
    assert bends[1] < 0.1 * bends[0]
    assert 0.6 * drifts[0] < drifts[1] < 1.1 * drifts[0]


def test_other_places_keep_their_own_rendering(room: np.ndarray) -> None:
    rng = np.random.default_rng(8)
    cellar = rng.uniform(0.005, 0.02, (HEIGHT // 6, 43, 3)).repeat(6, 0).repeat(6, 1)[:, :WIDTH]
    places = [room[:, :WIDTH], cellar]
    series = Series()
    for light in places:
        series.add(measure_bracket(_bracket(light), MertensFuser()))
    assert series.linked == 0.5
    assert series.renditions() == [None, None]


def test_where_nothing_is_recognised_exposures_tell() -> None:
    """Smooth walls of one light, the second frame set exposed brighter."""
    wall = np.linspace(0.1, 0.2, WIDTH)[np.newaxis, :, np.newaxis] * np.ones((HEIGHT, 1, 3))
    series = Series()
    measured = []
    for ev, light in ((0.0, wall), (0.8, wall[:, ::-1])):
        exposure = Exposure(0.01 * 2.0**ev, 8.0, 100.0)
        measured.append(measure_bracket(_bracket(light, ev=ev, exposure=exposure), MertensFuser()))
        series.add(measured[-1])
    assert series.linked == 0.5
    first, second = (one for one in series.renditions() if one is not None)

    def absolute(keys: tuple[float, float]) -> float:
        return abs(keys[0] - (keys[1] + 0.8))

    own = absolute((measured[0].key_ev, measured[1].key_ev))
    assert own > 0.4
    assert absolute((first.series_key_ev, second.series_key_ev)) < 0.2 * own
    dark = measure_bracket(_bracket(wall, ev=3, exposure=Exposure(0.5, 8.0, 100.0)), MertensFuser())
    series.add(dark)  # another light: its exposures tell nothing of these
    assert series.renditions()[2] is None


def test_a_bracket_that_could_not_be_measured_is_passed_over(room: np.ndarray) -> None:
    brackets = _views(room, [1, 0.67, 0, -0.33, 0], [np.ones(3)] * 5)
    measured: list[Measured | None] = [measure_bracket(one, MertensFuser()) for one in brackets]
    measured[2] = None
    series = Series()
    for one in measured:
        series.add(one)
    found = series.renditions()
    assert found[2] is None
    assert None not in found[:2] + found[3:]
    assert series.linked == 0.8  # the fourth was recognised in the second


def test_nothing_is_moved_too_far_and_what_lies_beyond_takes_its_neighbours_along(
    room: np.ndarray,
) -> None:
    brackets = _lapse(room, [4.5, 4.5, 0.0, -2.5, -2.5])
    measured = [measure_bracket(one, MertensFuser()) for one in brackets]
    found = _renditions(brackets)
    moves = [one.series_key_ev - own.key_ev for one, own in zip(found, measured, strict=True)]
    assert np.abs(moves).max() <= SERIES_LIMIT_EV + 0.01


def test_an_empty_series_has_no_renditions() -> None:
    assert Series().renditions() == []


def test_a_large_bracket_is_measured_small(room: np.ndarray) -> None:
    small = _bracket(room[:, :WIDTH])
    pixels = [frame.pixels.repeat(5, 0).repeat(5, 1) for frame in small.frames]
    frames = tuple(Frame(Source(Path("x.png"), Exposure()), each) for each in pixels)
    sizes = []

    class Watched(MertensFuser):
        def fuse(self, bracket: Aligned, **how: Any) -> Fused:
            sizes.append((bracket.crop.height, bracket.crop.width))
            return super().fuse(bracket, **how)

    measured = measure_bracket(Bracket(frames, 1, small.evs, "pixels"), Watched())
    assert sizes == [(360, MEASURED_PX)]
    assert 0 < measured.key_ev < 2
