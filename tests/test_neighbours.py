"""What two pictures share: found under turns and renderings, and not where there is nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mefuse.neighbours import SAMPLES, Picture, find_shared


def _texture(seed: int) -> np.ndarray:
    """(300, 700, 3), 0..1."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((38, 88, 3)), (700, 300), interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.random((300, 700, 1)), (0, 0), 2.0)[..., np.newaxis]
    return np.clip(0.1 + 0.5 * coarse + 2 * (fine - 0.5), 0.02, 0.95)


def _picture(pixels: np.ndarray) -> Picture:
    return Picture.of((pixels * 65535).astype(np.uint16))


def test_points_of_overlapping_pictures_are_the_same_points() -> None:
    whole = _texture(1)
    turn = cv2.getRotationMatrix2D((350, 150), 4.0, 1.05)
    turned = np.clip(cv2.warpAffine(whole, turn, (700, 300), flags=cv2.INTER_CUBIC), 0, 1)
    one, other = whole[:, 60:400], turned[:, 220:560] ** 1.3
    shared = find_shared(_picture(one), _picture(other))
    assert shared is not None
    assert not shared.is_still
    assert 200 < len(shared.points) <= SAMPLES
    first, second = shared.points[:, 0] / 65535, shared.points[:, 1] / 65535
    assert np.abs(first**1.3 - second).mean() < 0.02
    assert np.corrcoef(first.mean(1), second.mean(1))[0, 1] > 0.97


def test_a_camera_that_stands_still_is_known() -> None:
    whole = _texture(2)[:, :400]
    shared = find_shared(_picture(whole), _picture(whole * 0.7))
    assert shared is not None
    assert shared.is_still
    assert (shared.points[:, 1] / shared.points[:, 0]).mean() == pytest.approx(0.7, abs=0.01)


def test_what_moved_between_the_two_is_left_out() -> None:
    whole = _texture(3)[:, :400]
    later = whole.copy()
    later[100:150, 100:200] = 0.9
    shared = find_shared(_picture(whole), _picture(later))
    assert shared is not None
    change = np.abs(shared.points[:, 0].astype(float) - shared.points[:, 1]).max(1) / 65535
    assert (change > 0.1).mean() < 0.01


@pytest.mark.parametrize("other", [_texture(9)[:, :400], np.full((300, 400, 3), 0.4)])
def test_other_places_and_bare_walls_share_nothing(other: np.ndarray) -> None:
    assert find_shared(_picture(_texture(4)[:, :400]), _picture(other)) is None


def test_pictures_of_other_sizes_and_ways_up_may_share() -> None:
    whole = _texture(5)
    upright = np.ascontiguousarray(np.rot90(whole[:, 100:400]))
    assert find_shared(_picture(whole[:, 50:450]), _picture(upright)) is not None
