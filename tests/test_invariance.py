"""The shipped weights, end to end: what must not change the picture does not."""

import numpy as np
import pytest

from helpers import exposed, textured_light
from mefuse.bench import invariance


@pytest.fixture(scope="module")
def frames():
    light = textured_light(320, 448)
    return [exposed(light, ev) for ev in (-2.0, 0.0, 2.0)]


def test_psnr_of_a_known_error():
    one = np.zeros((10, 10), np.uint8)
    assert invariance.psnr(one, one) == 99
    assert invariance.psnr(one, one + 1) == pytest.approx(48.13, abs=0.01)


def test_no_quality_is_lost_to_slices_a_small_cache_and_fast_arithmetic(frames, arithmetic):
    found = invariance.quality(frames, slice_px=128)
    assert found["psnr_db"] >= 48
    assert found["mef_ssim_apart"] <= 0.0005


def test_slice_sizes(frames):
    assert invariance.slices(frames) > 50


def test_cache_precision(frames):
    found = invariance.cache_precision(frames)
    assert found["int8"] > 45
    assert found["int4"] < found["int8"]


def test_order_repeats_and_empty_frames(frames):
    assert invariance.order(frames)
    assert invariance.repeated(frames) > 45
    assert min(invariance.empty_frames(frames).values()) > 40
