"""The area that all frames cover: properties, and the optimum found by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mefuse.coverage import SPARE_PX, common_area, covers
from mefuse.errors import AlignError
from mefuse.slices import Rect
from mefuse.transforms import moved

Float64 = NDArray[np.float64]


@st.composite
def hand_held(draw: st.DrawFn, size: tuple[int, int]) -> Float64:
    """A transform of a few degrees, a shift of up to a tenth, a mild perspective."""
    height, width = size
    parts = [draw(st.integers(-100, 100)) / 100 for _ in range(6)]
    turn, scale = np.deg2rad(4 * parts[0]), 1 + 0.03 * parts[1]
    shift = 0.1 * parts[2] * width, 0.1 * parts[3] * height
    tilt = 0.02 * parts[4] / width, 0.02 * parts[5] / height
    centre = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1.0]])
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    middle = np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]], [*tilt, 1.0]])
    full = np.linalg.inv(centre) @ middle @ centre
    return np.asarray(full / full[2, 2])


sizes = st.tuples(st.integers(40, 3000), st.integers(40, 3000))
brackets = sizes.flatmap(
    lambda size: st.tuples(st.just(size), st.lists(hand_held(size), min_size=1, max_size=5))
)


def spare_px(transform: Float64) -> float:
    """What must be kept inside the border: nothing where no pixel is interpolated."""
    return 0.0 if np.array_equal(transform, np.eye(3)) else SPARE_PX


def border(area: Rect) -> Float64:
    """Every pixel (x, y) on the edge of `area`."""
    across, down = np.arange(area.left, area.right), np.arange(area.top, area.bottom)
    return np.concatenate(
        [np.stack([across, np.full_like(across, row)], 1) for row in (area.top, area.bottom - 1)]
        + [np.stack([np.full_like(down, x), down], 1) for x in (area.left, area.right - 1)]
    ).astype(np.float64)


@settings(max_examples=60, deadline=None)
@given(brackets)
def test_every_frame_covers_the_whole_border(case: tuple[tuple[int, int], list[Float64]]) -> None:
    (height, width), transforms = case
    try:
        area = common_area(transforms, (height, width))
    except AlignError:
        return
    assert area.top >= 0 and area.left >= 0 and area.bottom <= height and area.right <= width
    assert area.height * area.width >= 0.25 * height * width
    for transform in transforms:
        x, y = moved(transform, border(area)).T
        spare = spare_px(transform) - 1e-6
        assert x.min() >= spare and x.max() <= width - 1 - spare
        assert y.min() >= spare and y.max() <= height - 1 - spare
        assert covers(transform, area, (height, width))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_rectangle_is_larger_by_more_than_a_row_or_column(data: st.DataObject) -> None:
    size = data.draw(st.tuples(st.integers(20, 400), st.integers(20, 400)))
    transforms = data.draw(st.lists(hand_held(size), min_size=1, max_size=3))
    try:
        area = common_area(transforms, size)
    except AlignError:
        return
    rows, columns = np.indices(size)
    points = np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float64)
    inside = np.ones(size, bool)
    for transform in transforms:
        x, y = moved(transform, points).T
        spare = spare_px(transform) - 1e-9
        good = (x >= spare) & (x <= size[1] - 1 - spare)
        good &= (y >= spare) & (y <= size[0] - 1 - spare)
        inside &= good.reshape(size)
    best = largest_true_rectangle(inside)
    assert best - max(area.height, area.width) <= area.height * area.width <= best


def largest_true_rectangle(inside: NDArray[np.bool_]) -> int:
    """Area of the largest rectangle of true pixels of a convex shape, over every pair of rows."""
    rows = np.flatnonzero(inside.any(axis=1))
    left = inside[rows].argmax(axis=1)
    right = inside.shape[1] - inside[rows][:, ::-1].argmax(axis=1)
    # A convex shape holds a rectangle when it holds its top and its bottom row.
    widths = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    heights = np.abs(np.subtract.outer(rows, rows)) + 1
    return int((np.maximum(widths, 0) * heights).max(initial=0))


def test_identity_keeps_the_whole_picture() -> None:
    assert common_area([np.eye(3), np.eye(3)], (1080, 1921)) == Rect(0, 0, 1080, 1921)


def test_a_shift_costs_its_own_width() -> None:
    shift = np.array([[1, 0, 10.5], [0, 1, -4.0], [0, 0, 1]])
    # x + 10.5 <= 198 and y - 4 >= 1, with one pixel to spare on the other sides too
    assert common_area([np.eye(3), shift], (100, 200)) == Rect(5, 0, 95, 188)


def test_frames_that_share_too_little_are_refused() -> None:
    shift = np.array([[1.0, 0, 160], [0, 1, 0], [0, 0, 1]])
    with pytest.raises(AlignError, match="frame 2 of 2"):
        common_area([np.eye(3), shift], (100, 200))
    with pytest.raises(AlignError):
        common_area([np.array([[1.0, 0, 500], [0, 1, 0], [0, 0, 1]])], (100, 200))
