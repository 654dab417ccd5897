"""Fits of plane transforms: exactness, robustness, what the prior decides, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mefuse.transforms import (
    Model,
    PointPairs,
    corner_distance_px,
    corners_of,
    fit,
    grid_pairs,
    is_plausible,
    moved,
)

SIZE = (2160, 3840)
Float64 = NDArray[np.float64]


def camera_turn(yaw_px: float, pitch_px: float, roll_deg: float, *, tilt: float = 0.0) -> Float64:
    """A shift and roll about the centre of SIZE, with `tilt` px moved at the corners by tilting."""
    middle = corners_of(SIZE)[2] / 2
    half_diagonal = float(np.hypot(*middle))
    cos, sin = np.cos(np.deg2rad(roll_deg)), np.sin(np.deg2rad(roll_deg))
    centre = np.array([[1, 0, -middle[0]], [0, 1, -middle[1]], [0, 0, 1.0]])
    turn = np.array([[cos, -sin, yaw_px], [sin, cos, pitch_px], [tilt / half_diagonal**2, 0, 1.0]])
    full = np.linalg.inv(centre) @ turn @ centre
    return np.asarray(full / full[2, 2])


def pairs_of(transform: Float64, count: int, *, noise_px: float = 0.0, seed: int = 1) -> PointPairs:
    rng = np.random.default_rng(seed)
    start = rng.uniform((0, 0), SIZE[::-1], (count, 2))
    end = moved(transform, start) + noise_px * rng.standard_normal((count, 2))
    return PointPairs(start, end, np.full(count, max(noise_px, 0.1)))


@settings(max_examples=30, deadline=None)
@given(st.integers(-60, 60), st.integers(-60, 60), st.integers(-15, 15), st.integers(-20, 20))
def test_exact_pairs_give_the_transform_back(yaw: int, pitch: int, roll: int, tilt: int) -> None:
    true = camera_turn(yaw, pitch, roll / 10, tilt=tilt)
    found = fit(pairs_of(true, 200), "homography", SIZE)
    assert found is not None
    assert corner_distance_px(found, true, SIZE) < 0.02


def test_a_third_of_wrong_pairs_does_not_pull() -> None:
    true = camera_turn(40, -20, 1.2, tilt=10)
    pairs = pairs_of(true, 300, noise_px=0.3)
    pairs.end[:100] += (35.0, 12.0)  # they all moved together, as a bus does
    found = fit(pairs, "homography", SIZE)
    assert found is not None
    assert corner_distance_px(found, true, SIZE) < 0.3


@pytest.mark.parametrize("model", ["translation", "affine"])
def test_a_lower_rung_keeps_its_form(model: Model) -> None:
    found = fit(pairs_of(camera_turn(30, 10, 1.0, tilt=15), 200), model, SIZE)
    assert found is not None
    assert np.allclose(found[2], [0, 0, 1], atol=1e-12)
    if model == "translation":
        assert np.allclose(found[:2, :2], np.eye(2), atol=1e-12)
    else:
        assert abs(found[1, 0]) > 0.01  # the roll is there


def test_pairs_in_one_corner_do_not_bend_the_others() -> None:
    true = camera_turn(20, 5, 0.3)
    pairs = pairs_of(true, 60, noise_px=0.3)
    near = PointPairs(pairs.start * 0.2, moved(true, pairs.start * 0.2), pairs.sigma_px)
    near.end[:] += pairs.end - moved(true, pairs.start)
    found = fit(near, "homography", SIZE)
    assert found is not None
    # Without the prior for hand-held motion the far corners go astray by 100 px and more.
    assert corner_distance_px(found, true, SIZE) < 12.0


def test_trusted_pairs_hold_where_others_say_nothing() -> None:
    true = camera_turn(20, 5, 0.3)
    start = pairs_of(true, 60).start * 0.2  # one corner
    noise = 4.0 * np.random.default_rng(3).standard_normal(start.shape)
    near = PointPairs(start, moved(true, start) + noise, np.full(60, 0.3))  # far noisier than told
    found = fit(near.joined(grid_pairs(true, SIZE, 0.4)), "homography", SIZE)
    assert found is not None
    assert corner_distance_px(found, true, SIZE) < 0.4


def test_too_few_pairs_fit_nothing() -> None:
    assert fit(pairs_of(np.eye(3), 5), "affine", SIZE) is None


@pytest.mark.parametrize(
    ("transform", "plausible"),
    [
        (np.eye(3), True),
        (camera_turn(600, 0, 0), True),
        (camera_turn(800, 0, 0), False),
        (camera_turn(0, 0, 14), True),
        (camera_turn(0, 0, 16), False),
        (camera_turn(0, 0, 0, tilt=200), True),
        (camera_turn(0, 0, 0, tilt=400), False),
        (np.diag([1.3, 1.0, 1.0]), False),
        (np.diag([-1.0, 1.0, 1.0]), False),
        (np.full((3, 3), np.nan), False),
        (np.zeros((3, 3)), False),
    ],
)
def test_only_what_a_hand_can_do_is_plausible(transform: Float64, plausible: bool) -> None:
    assert is_plausible(transform, SIZE) is plausible


def test_corner_distance_is_the_mean_over_corners() -> None:
    shift = np.array([[1, 0, 3], [0, 1, 4], [0, 0, 1.0]])
    assert corner_distance_px(np.eye(3), shift, SIZE) == pytest.approx(5.0)
    assert corner_distance_px(2.0 * shift, shift, SIZE) == pytest.approx(0.0)
