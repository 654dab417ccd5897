"""Small views: geometry of the reduction, and sameness across exposures."""

from __future__ import annotations

import numpy as np
import pytest

from mefuse.bench.scenes import hand_held_bracket
from mefuse.transforms import moved
from mefuse.views import COARSE_PX, FINE_PX, FLAT, Level, pair_of, view_of


def test_the_matrix_leads_back_to_the_full_size() -> None:
    height, width = 2301, 3070  # no multiple of any factor
    y, x = np.mgrid[:height, :width]
    target = np.array([2100.3, 700.6])
    blob = 255 * np.exp(-((x - target[0]) ** 2 + (y - target[1]) ** 2) / (2 * 20.0**2))
    view = view_of(np.repeat(np.rint(blob).astype(np.uint8)[..., None], 3, axis=2))
    for gray, limit_px in ((view.fine_gray, FINE_PX), (view.coarse_gray, COARSE_PX)):
        assert 0.3 * limit_px < gray.codes.size < 1.8 * limit_px
        weights = gray.codes.astype(np.float64)
        rows, columns = np.indices(weights.shape)
        centre = np.array([[(weights * columns).sum(), (weights * rows).sum()]]) / weights.sum()
        assert np.abs(moved(gray.to_full, centre)[0] - target).max() < 0.1


def test_small_frames_are_kept_as_they_are() -> None:
    view = view_of(np.zeros((300, 400, 3), np.uint8))
    assert view.fine.contrast.shape == view.coarse.contrast.shape == (300, 400)
    assert np.array_equal(view.fine.to_full, np.eye(3))
    assert view.fine.scale == 1.0


def test_a_flat_frame_has_no_contrast_and_shows_nothing_when_clipped() -> None:
    for code, shown in ((0, 0), (120, 255), (255, 0)):
        level = view_of(np.full((100, 120, 3), code, np.uint8)).fine
        assert (level.contrast == FLAT).all()
        assert (level.seen == shown).all()


def similarity(first: Level, second: Level) -> float:
    shared = (first.seen > 0) & (second.seen > 0)
    return float(np.corrcoef(first.contrast[shared], second.contrast[shared])[0, 1])


@pytest.mark.parametrize("swapped", [False, True])
def test_a_clipped_frame_looks_like_the_other_one_as_a_pair(swapped: bool) -> None:
    frames = hand_held_bracket(3, (480, 640), evs=(0.0, 4.0), still=True).frames
    assert (frames[1] == 255).mean() > 0.3
    first, second = (view_of(frame) for frame in (frames[::-1] if swapped else frames))
    pair = pair_of(first, second)
    assert similarity(*pair.fine) > 0.6
    assert similarity(*pair.fine) > similarity(first.fine, second.fine) + 0.05
    assert similarity(*pair.coarse) > 0.6


def test_deep_and_shallow_frames_give_one_view() -> None:
    frame = hand_held_bracket(3, (200, 300), evs=(0.0,)).frames[0]
    shallow, deep = view_of(frame), view_of(frame.astype(np.uint16) * 257)
    gap = np.abs(shallow.fine_gray.codes.astype(int) - deep.fine_gray.codes)
    assert gap.max() <= 1
