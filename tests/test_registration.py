"""Registration of two frames: the ladder, verification, and what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mefuse.bench.scenes import hand_held_bracket
from mefuse.registration import agreement, flow, misses_px, register
from mefuse.transforms import corner_distance_px
from mefuse.views import pair_of, view_of

SIZE = (480, 640)
Float64 = NDArray[np.float64]


@pytest.fixture(scope="module")
def frame() -> NDArray[np.uint8]:
    return hand_held_bracket(11, SIZE, evs=(0.0,)).frames[0]


def seen_by(frame: NDArray[np.uint8], transform: Float64) -> NDArray[np.uint8]:
    """`frame` moved by `transform`, half as bright, with noise of its own."""
    rng = np.random.default_rng(2)
    moved = cv2.warpPerspective(
        frame, transform, SIZE[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    noisy = moved * 0.6 + rng.normal(0, 2, moved.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


SHIFT = np.array([[1, 0, 7.4], [0, 1, -3.7], [0, 0, 1.0]])
ROLL = np.array([[0.9998, -0.02, 9.0], [0.02, 0.9998, -4.0], [0, 0, 1.0]])
TILT = np.array([[1, 0.004, 3.0], [-0.004, 1, 2.0], [1.6e-5, -1.2e-5, 1.0]])


@pytest.mark.parametrize(
    ("true", "model"), [(SHIFT, "translation"), (ROLL, "affine"), (TILT, "homography")]
)
def test_the_simplest_model_that_explains_the_motion_is_taken(
    frame: NDArray[np.uint8], true: Float64, model: str
) -> None:
    found = register(view_of(frame), view_of(seen_by(frame, true)))
    assert found is not None
    assert found.model == model
    assert corner_distance_px(found.transform, true, SIZE) < 0.3
    assert 0.0 < found.residual_px < 0.5


def test_no_motion_is_left_alone(frame: NDArray[np.uint8]) -> None:
    found = register(view_of(frame), view_of(seen_by(frame, np.eye(3))))
    assert found is not None
    assert found.model == "none"
    assert np.array_equal(found.transform, np.eye(3))


def test_the_residual_tells_of_a_wrong_transform(frame: NDArray[np.uint8]) -> None:
    pair = pair_of(view_of(frame), view_of(seen_by(frame, SHIFT)))
    found = flow(pair, SHIFT, fine=True)
    assert found is not None
    assert np.median(misses_px(SHIFT, found.held)) < 0.3
    off = SHIFT + np.array([[0, 0, 2.0], [0, 0, 0], [0, 0, 0]])
    assert np.median(misses_px(off, found.held)) == pytest.approx(2.0, abs=0.3)


def test_agreement_is_best_under_the_true_transform(frame: NDArray[np.uint8]) -> None:
    pair = pair_of(view_of(frame), view_of(seen_by(frame, SHIFT)))
    right = agreement(*pair.coarse, SHIFT)
    assert right > 0.6
    assert right > agreement(*pair.coarse, np.eye(3)) + 0.2
    far = np.array([[1.0, 0, 5000], [0, 1, 0], [0, 0, 1]])
    assert agreement(*pair.coarse, far) == -1.0


def test_held_out_points_are_not_used(frame: NDArray[np.uint8]) -> None:
    found = flow(pair_of(view_of(frame), view_of(frame)), np.eye(3), fine=True)
    assert found is not None
    used = {tuple(point) for point in found.used.start}
    held = {tuple(point) for point in found.held.start}
    assert used and held and not used & held
    assert len(held) == pytest.approx(len(used) / 2, rel=0.3)


@pytest.mark.parametrize("seeds", [(16, 17), (12, 16), (11, 17)])
def test_different_scenes_are_not_registered(seeds: tuple[int, int]) -> None:
    first, second = (view_of(hand_held_bracket(k, SIZE, evs=(0.0,)).frames[0]) for k in seeds)
    assert register(first, second) is None


def test_a_good_guess_holds_where_little_is_shared(frame: NDArray[np.uint8]) -> None:
    moved = seen_by(frame, ROLL)
    moved[:, 220:] = 255  # two thirds are clipped
    guess = ROLL.copy()
    guess[0, 2] += 0.2
    found = register(view_of(frame), view_of(moved), guess=guess, sure_px=0.4)
    assert found is not None
    assert corner_distance_px(found.transform, ROLL, SIZE) < 0.5
