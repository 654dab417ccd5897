"""The arithmetic of grouping: orders, steps, links between neighbours, and the cut of a run."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mefuse.frames import Exposure
from mefuse.group.files import natural_key
from mefuse.group.ladder import FROM_EXIF, ranks, shape_bits
from mefuse.group.links import BREAK, link_bits, pauses
from mefuse.group.segments import Run, cut
from mefuse.group.shots import Shot
from mefuse.makernotes import Bracketing


def run_of(stops: Sequence[float], links: Sequence[float] | None = None) -> Run:
    count = len(stops)
    no, unknown = [False] * count, [None] * count
    return Run(stops, links or [4.0] * (count - 1), FROM_EXIF, no, no, unknown)


def places(*stops: float, size: int | None = None) -> list[tuple[int, ...]]:
    return [segment.frames for segment in cut([run_of(stops)], size=size)[0]]


def shot(taken_s: float | None, time_s: float = 0.01, *, clock_s: float = 0.01) -> Shot:
    return Shot(Path("IMG_1.jpg"), exposure=Exposure(time_s, 8.0, 100.0), taken_s=taken_s,
                clock_s=clock_s)  # fmt: skip


def test_a_bracket_and_what_is_none() -> None:
    assert places(0, -2, 2) == [(0, 1, 2)]
    assert places(0, 0, 0) == []
    assert places(0) == []
    assert places(0, -2, 2, 0, -2, 2) == [(0, 1, 2), (3, 4, 5)]
    assert places(-2, 0, 0, 2) == [(0, 1, 3)]


def test_a_ladder_is_one_however_long() -> None:
    assert places(*range(12)) == [tuple(range(12))]


def test_long_bursts_and_long_series_take_no_time() -> None:
    start = time.process_time()
    assert places(*[0.0] * 5000) == []
    assert len(places(*[0.0, -2.0, 2.0] * 1000)) == 1000
    assert time.process_time() - start < 10


def test_a_break_is_never_crossed() -> None:
    run = run_of((-2, 0, 2, 4), [4.0, BREAK, 4.0])
    assert all(0 <= f < 2 or 2 <= f < 4 for s in cut([run])[0] for f in s.frames)
    assert all(len({f // 2 for f in s.frames}) == 1 for s in cut([run])[0])


def test_size_is_kept() -> None:
    assert places(0, 2, 4, 6, size=2) == [(0, 1), (2, 3)]
    assert all(len(frames) == 3 for frames in places(0, 2, 4, 6, 1, 3, 5, size=3))


def test_what_recurs_decides_where_a_period_begins() -> None:
    """(0, -2, 2) four times, and a frame before that would go well with the first three."""
    assert places(4, *(0, -2, 2) * 4) == [(1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12)]


@given(st.lists(st.integers(-12, 12), min_size=1, max_size=25), st.sampled_from([None, 2, 3, 5]))
def test_segments_are_apart_in_order_and_distinct(thirds: list[int], size: int | None) -> None:
    stops = [third / 3 for third in thirds]
    used: list[int] = []
    for segment in cut([run_of(stops)], size=size)[0]:
        used += sorted([*segment.frames, *segment.repeats])
        chosen = sorted(stops[i] for i in segment.frames)
        assert all(high - low > 0.25 for low, high in itertools.pairwise(chosen))
        assert size is None or len(segment.frames) == size
        assert len(segment.frames) >= 2
    assert used == sorted(set(used))


def test_regular_steps_and_usual_orders_count_for_a_bracket() -> None:
    def bits(*stops: float, is_flagged: bool = False) -> float:
        return shape_bits(stops, FROM_EXIF, is_flagged=is_flagged)

    assert bits(-2, 0, 2) > bits(-2, 0, 3)
    assert bits(0, -2, 2) > bits(-2, 2, 0)
    assert bits(0, -1, 1, -2, 2) > bits(-1, 2, 0, -2, 1)
    assert bits(0, -1, 1, is_flagged=True) == bits(0, -1, 1)
    assert bits(0, -0.3, 0.3, is_flagged=True) > bits(0, -0.3, 0.3)
    assert ranks((0.0, -2.0, 2.0)) == (1, 0, 2)


def test_a_pause_starts_where_the_exposure_ends() -> None:
    (pause,) = pauses([shot(100.0, 30.0), shot(131.0)])
    assert pause is not None and pause.most_s == pytest.approx(1.0)
    (pause,) = pauses([shot(100.0, 30.0), shot(162.0)])  # a dark frame
    assert pause is not None and pause.least_s <= 2 < pause.most_s
    (pause,) = pauses([shot(100.0, clock_s=1.0), shot(101.0, clock_s=1.0)])
    assert pause is not None and pause.least_s == 0.0
    assert pauses([shot(None), shot(1.0)]) == [None]


def test_links_fall_with_the_pause_and_break() -> None:
    bits = [link_bits([shot(0.0), shot(gap)])[0] for gap in (0.5, 2.5, 8.0, 25.0, 55.0, 90.0)]
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] == BREAK < bits[-2]
    assert link_bits([shot(0.0), shot(90.0)], gap_s=100.0)[0] > BREAK
    assert link_bits([shot(0.0), shot(5.0)], gap_s=1.0)[0] == BREAK


def test_a_pause_that_stands_out_breaks() -> None:
    walked = [shot(t) for t in (0.0, 1.0, 2.0, 14.0, 15.0, 16.0)]
    steady = [shot(12.0 * i) for i in range(6)]
    assert link_bits(walked)[2] == BREAK
    assert BREAK not in link_bits(steady)


def test_numbers_of_a_series_link_and_break() -> None:
    def numbered(*positions: int, length: int | None = None) -> list[float]:
        return link_bits([
            replace(shot(i / 4), bracketing=Bracketing(is_on=True, position=p, length=length))
            for i, p in enumerate(positions)
        ])  # fmt: skip

    follow, again = numbered(1, 2, 1)
    assert again == BREAK < follow
    assert numbered(3, 4, length=3) == [BREAK]
    assert BREAK < numbered(1, 3)[0] < follow


def test_compensation_that_explains_the_exposure_links() -> None:
    dark, bright = shot(0.0, 0.01), shot(1.0, 0.04)
    automatic = [replace(one, mode="auto", bias_ev=0.0) for one in (dark, bright)]
    asked = [automatic[0], replace(automatic[1], bias_ev=2.0)]
    against = [automatic[0], replace(automatic[1], bias_ev=-2.0)]
    assert link_bits(against) < link_bits(automatic) < link_bits(asked)


def test_natural_order() -> None:
    names = ["a10.jpg", "A2.jpg", "a2.jpg", "b1.jpg", "a.jpg", "10.jpg", "9.jpg"]
    assert sorted(names, key=natural_key) == [
        "9.jpg", "10.jpg", "a.jpg", "A2.jpg", "a2.jpg", "a10.jpg", "b1.jpg",
    ]  # fmt: skip
