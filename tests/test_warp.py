"""Warped regions: the same whichever region is asked for, and in the right place."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mefuse.errors import AlignError
from mefuse.native import library
from mefuse.slices import Rect
from mefuse.warp import warp_region

HEIGHT, WIDTH = 190, 2300  # wider than one block, so that blocks meet inside


@cache
def _noise(dtype: type = np.uint8, height: int = HEIGHT, width: int = WIDTH) -> NDArray:
    values = np.random.default_rng(7).random((height, width, 3))
    soft = cv2.GaussianBlur(values, (0, 0), 1.2)
    top = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    stretched = np.clip((soft - 0.5) * 4 + 0.5, 0, 1)
    return (stretched * top).astype(dtype)


FRAME = _noise()
TILTED = np.array([[1.003, 0.012, -4.3], [-0.011, 0.998, 3.7], [2e-6, -3e-6, 1.0]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_identity_is_a_view(dtype: type) -> None:
    frame = _noise(dtype)
    part = warp_region(frame, np.eye(3), Rect(10, 20, 30, 40))
    assert np.shares_memory(part, frame)
    assert np.array_equal(part, frame[10:40, 20:60])


@given(
    dx=st.integers(-400, 400),
    dy=st.integers(-400, 400),
    top=st.integers(0, 150),
    left=st.integers(0, 150),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
)
def test_whole_shift_copies_pixels_and_repeats_the_border(
    dx: int, dy: int, top: int, left: int, height: int, width: int
) -> None:
    frame = FRAME[:, :200]
    matrix = np.array([[1.0, 0, dx], [0, 1, dy], [0, 0, 1]])
    warped = warp_region(frame, matrix, Rect(top, left, height, width))
    rows = np.clip(np.arange(top, top + height) + dy, 0, frame.shape[0] - 1)
    columns = np.clip(np.arange(left, left + width) + dx, 0, frame.shape[1] - 1)
    assert np.array_equal(warped, frame[np.ix_(rows, columns)])


@settings(deadline=None, max_examples=40)
@given(
    top=st.integers(0, HEIGHT - 1),
    left=st.integers(0, WIDTH - 1),
    height=st.integers(1, HEIGHT),
    width=st.integers(1, WIDTH),
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("plain", [False, True])
def test_a_part_is_that_part_of_the_whole(
    dtype: type, plain: bool, top: int, left: int, height: int, width: int
) -> None:
    frame, whole = _noise(dtype), _whole(dtype, plain=plain)
    rect = Rect(top, left, min(height, HEIGHT - top), min(width, WIDTH - left))
    part = _warp(frame, TILTED, rect, plain=plain)
    expected = whole[rect.top : rect.bottom, rect.left : rect.right]
    differing = cv2.absdiff(np.ascontiguousarray(expected), part)
    assert differing.max() <= (0 if dtype is np.uint8 else 1)


def _warp(frame: NDArray, transform: NDArray, rect: Rect, *, plain: bool) -> NDArray:
    """By the kernel, or without."""
    with pytest.MonkeyPatch.context() as patch:
        if plain:
            patch.setattr(library, "load", lambda: None)
        return warp_region(frame, transform, rect)


@cache
def _whole(dtype: type, *, plain: bool) -> NDArray:
    return _warp(_noise(dtype), TILTED, Rect(0, 0, HEIGHT, WIDTH), plain=plain)


# The second one's shift rises and falls along a row, the third turns by 40 degrees.
BENT = np.array([[1.0003, 0.002, -3.3], [-0.002, 1.0002, 5.4], [2.6e-7, 0, 1]])
TURNED = np.array([[0.77, -0.64, 90.0], [0.64, 0.77, -700.0], [1e-5, 0, 1]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("transform", [TILTED, BENT, TURNED], ids=["tilted", "bent", "turned"])
def test_the_kernel_warps_as_opencv_does(dtype: type, transform: NDArray) -> None:
    frame, whole = _noise(dtype), Rect(0, 0, HEIGHT, WIDTH)
    ours, theirs = (_warp(frame, transform, whole, plain=plain) for plain in (False, True))
    assert cv2.absdiff(ours, theirs).max() <= 1
    assert theirs.std() > 0.05 * theirs.max()


def test_places_beyond_all_numbers_are_the_border() -> None:
    far = np.array([[1.0, 0.001, 1e12], [0, 1, -1e12], [0, 0, 1]])
    assert (warp_region(FRAME, far, Rect(0, 0, 5, 5)) == FRAME[0, -1]).all()


def test_agrees_with_opencv_on_the_whole_picture() -> None:
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    theirs = cv2.warpPerspective(
        FRAME, TILTED, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    ours = warp_region(FRAME, TILTED, Rect(0, 0, HEIGHT, WIDTH))
    differing = cv2.absdiff(ours, theirs)
    assert differing.max() <= 8  # they round places in another way: 1/32 px on a steep edge
    assert differing.mean() < 0.6


def test_the_transform_takes_reference_pixels_to_the_frame() -> None:
    y, x = np.mgrid[0:100, 0:160].astype(np.float32)
    frame = np.dstack([x, y, x + y])  # its values are its coordinates
    matrix = np.array([[1.01, 0.02, 5.25], [-0.03, 0.99, 8.5], [1e-5, 2e-5, 1.0]])
    warped = warp_region(frame, matrix, Rect(30, 40, 20, 50))
    place = matrix @ np.array([60.0, 41.0, 1.0])
    expected = place[:2] / place[2]
    assert warped[11, 20, :2] == pytest.approx(expected, abs=1 / 16)  # the kernel's own error


def test_fine_detail_keeps_its_contrast() -> None:
    shift = np.array([[1.0, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    warped = warp_region(FRAME, shift, Rect(20, 20, 140, 2000)).astype(np.float64)
    kept = warped.std() / FRAME[20:160, 20:2020].astype(np.float64).std()
    assert 0.93 < kept < 1.02  # bilinear at half a pixel, the worst case: 0.85


def test_values_stay_in_range_at_hard_edges() -> None:
    frame = np.zeros((40, 40, 3), np.uint8)
    frame[:, 20:] = 255
    shift = np.array([[1.0, 0, 0.4], [0, 1, 0.0], [0, 0, 1]])
    warped = warp_region(frame, shift, Rect(0, 0, 40, 40))
    assert set(np.unique(warped[:, :17])) == {0}
    assert set(np.unique(warped[:, 23:])) == {255}


def test_a_region_outside_the_frame_is_its_border() -> None:
    far = np.array([[1.0, 0.001, 9e4], [0, 1, 9e4], [0, 0, 1]])
    warped = warp_region(FRAME, far, Rect(0, 0, 5, 5))
    assert (warped == FRAME[-1, -1]).all()


def test_a_row_longer_than_opencv_takes() -> None:
    frame = np.arange(40000, dtype=np.float32)[np.newaxis].repeat(4, axis=0)
    shift = np.array([[1.0, 0, 0.5], [0, 1, 0], [0, 0, 1]])
    warped = warp_region(frame, shift, Rect(0, 0, 4, 40000))
    assert warped[2, 39000] == pytest.approx(39000.5, abs=1 / 16)


def test_a_folding_transform_is_refused() -> None:
    folding = np.array([[1.0, 0, 0], [0, 1, 0], [-0.01, 0, 1]])
    with pytest.raises(AlignError, match="folds"):
        warp_region(FRAME, folding, Rect(0, 0, 10, 200))


def test_one_plane_is_warped_too() -> None:
    plane = np.ascontiguousarray(FRAME[..., 0])
    rect = Rect(3, 5, 60, 70)
    differing = cv2.absdiff(
        warp_region(plane, TILTED, rect), warp_region(FRAME, TILTED, rect)[..., 0]
    )
    assert differing.max() <= 1  # one by OpenCV, the other by the kernel
