"""Putting frames together: depth, emptiness, order, reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import exposed, textured_light
from mefuse.bracket import assemble
from mefuse.errors import InputError
from mefuse.exposure import luma_small, well_exposed_share
from mefuse.frames import Bracket, Exposure, Frame, Source

LIGHT = textured_light()


def frame(pixels: NDArray[Any], name: str, *, time_s: float | None = None) -> Frame:
    return Frame(Source(Path(name), Exposure(exposure_time_s=time_s)), pixels)


def bracket_of(frames: list[Frame], reference: int | None = None) -> Bracket:
    lumas = [luma_small(one.pixels) for one in frames]
    return assemble(frames, lumas=lumas, reference=reference)


def names(bracket: Bracket) -> list[str]:
    return [str(one.source.path) for one in bracket.frames]


def test_sizes_that_differ_are_refused_by_name() -> None:
    upright = [frame(exposed(LIGHT, ev), f"{ev}.jpg") for ev in (0, 1, 2)]
    turned = frame(np.rot90(exposed(LIGHT, 0)).copy(), "turned.jpg")
    with pytest.raises(
        InputError, match=r"^turned\.jpg: 96x128, the others are 128x96; rotate it or leave it out$"
    ):
        bracket_of([turned, *upright])
    with pytest.raises(InputError, match=r"^0\.jpg: 128x96, reference is 96x128; rotate it"):
        bracket_of([turned, *upright], reference=0)
    small = frame(exposed(LIGHT, 0)[:50], "small.jpg")
    with pytest.raises(InputError, match=r"small\.jpg: 128x50, .* resize it or leave it out"):
        bracket_of([*upright, small])


def test_eight_bits_among_sixteen_are_promoted() -> None:
    shallow, deep = exposed(LIGHT, -2), exposed(LIGHT, 1, depth=16)
    bracket = bracket_of([frame(deep, "deep.tif"), frame(shallow, "shallow.jpg")])
    assert [one.pixels.dtype for one in bracket.frames] == [np.uint16, np.uint16]
    assert np.array_equal(bracket.frames[0].pixels, shallow.astype(np.uint16) * 257)
    assert bracket.warnings == ("shallow.jpg: 8 bits among 16, promoted",)


@pytest.mark.parametrize(("value", "colour"), [(0, "black"), (3, "black"), (255, "white")])
def test_empty_frames_are_left_out(value: int, colour: str) -> None:
    frames = [frame(exposed(LIGHT, ev), f"{ev}.jpg") for ev in (-1, 1, 3)]
    empty = frame(np.full_like(frames[0].pixels, value), "empty.jpg")
    bracket = bracket_of([empty, *frames])
    assert bracket.warnings == (f"empty.jpg: all {colour}, left out",)
    alone = bracket_of(frames)
    assert names(bracket) == names(alone)
    assert (bracket.reference, bracket.evs) == (alone.reference, alone.evs)


def test_one_frame_may_remain() -> None:
    good = frame(exposed(LIGHT, 0), "good.jpg")
    black = frame(np.zeros_like(good.pixels), "black.jpg")
    bracket = bracket_of([black, good], reference=1)
    assert (names(bracket), bracket.reference, bracket.evs) == (["good.jpg"], 0, (0.0,))


def test_nothing_but_empty_frames_is_refused() -> None:
    black = np.zeros((20, 30, 3), np.uint8)
    with pytest.raises(InputError, match="every frame of this bracket is all black or all white"):
        bracket_of([frame(black, "a.jpg"), frame(~black, "b.jpg")])


def test_an_empty_reference_is_refused() -> None:
    good = frame(exposed(LIGHT, 0), "good.jpg")
    black = frame(np.zeros_like(good.pixels), "black.jpg")
    with pytest.raises(InputError, match=r"black\.jpg: all black, it cannot be the reference"):
        bracket_of([good, black], reference=1)


def test_camera_exposures_win_over_estimates() -> None:
    frames = [frame(exposed(LIGHT, ev), f"{ev}", time_s=2.0**ev / 50) for ev in (-2, 1, 0)]
    bracket = bracket_of(frames)
    assert names(bracket) == ["-2", "0", "1"]
    assert bracket.evs == pytest.approx((-2, 0, 1))
    assert bracket.ev_source == "exif"


def test_equal_camera_exposures_of_different_pictures_are_not_believed() -> None:
    bracket = bracket_of([frame(exposed(LIGHT, ev), f"{ev}", time_s=0.02) for ev in (2, -2, 0)])
    assert names(bracket) == ["-2", "0", "2"]
    assert bracket.ev_source == "pixels"
    assert bracket.evs == pytest.approx((-2, 0, 2), abs=0.3)


def test_one_missing_exposure_makes_all_estimated() -> None:
    told = frame(exposed(LIGHT, 0), "told", time_s=0.02)
    assert bracket_of([told, frame(exposed(LIGHT, 2), "untold")]).ev_source == "pixels"


def test_equal_frames_are_ordered_by_their_pixels_not_by_name_or_place() -> None:
    first = exposed(LIGHT, 0)
    second = first[:, ::-1].copy()  # the same mean and exposure
    orders = {
        tuple(one.pixels.tobytes() for one in bracket_of(frames).frames)
        for frames in (
            [frame(first, "a"), frame(second, "b")],
            [frame(second, "a"), frame(first, "b")],
        )
    }
    assert len(orders) == 1


@pytest.mark.parametrize("count", [2, 3, 4, 5, 9])
def test_the_reference_is_a_middle_frame(count: int) -> None:
    frames = [frame(exposed(LIGHT, ev), f"{ev}", time_s=2.0**ev) for ev in range(-3, count - 3)]
    bracket = bracket_of(frames[::-1])
    middle = {(count - 1) // 2, count // 2}
    assert bracket.reference in middle
    shares = [well_exposed_share(luma_small(bracket.frames[i].pixels)) for i in middle]
    chosen = luma_small(bracket.frames[bracket.reference].pixels)
    assert well_exposed_share(chosen) == max(shares)


def test_of_two_middle_frames_the_better_exposed_is_the_reference() -> None:
    good, washed_out = exposed(LIGHT, 1), exposed(LIGHT, 6)
    assert bracket_of([frame(washed_out, "b"), frame(good, "a")]).reference == 0
    dark = exposed(LIGHT, -5)
    assert bracket_of([frame(dark, "b"), frame(good, "a")]).reference == 1
