"""8 and 16 bits: exact where it can be, dithered where it cannot, the same in parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mefuse.depth import to_depth

RNG = np.random.default_rng(0)
SHALLOW = RNG.integers(0, 256, (40, 300, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (600, 300, 3), dtype=np.uint16)


def test_16_bits_and_back_is_the_same() -> None:
    deep = to_depth(SHALLOW, 16)
    assert (deep.dtype, int(deep.max())) == (np.uint16, int(SHALLOW.max()) * 257)
    assert np.array_equal(to_depth(deep, 8), SHALLOW)
    assert to_depth(deep, 16) is deep
    assert to_depth(SHALLOW, 8) is SHALLOW


def test_every_value_becomes_the_code_below_or_above() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, axis=2)
    shallow = to_depth(values, 8)
    assert shallow.dtype == np.uint8
    off = shallow.astype(np.float64) * 257 - values
    assert np.abs(off).max() < 257
    assert abs(off.mean()) < 1


@pytest.mark.parametrize("value", [0, 100, 1000, 30001, 65500, 65535])
def test_a_flat_area_keeps_its_mean(value: int) -> None:
    flat = np.full((256, 256, 3), value, np.uint16)
    shallow = to_depth(flat, 8)
    assert np.allclose(shallow.mean(axis=(0, 1)) * 257, value, atol=1.5)


def test_a_smooth_ramp_has_no_bands() -> None:
    ramp = np.linspace(20000, 20000 + 10 * 257, 2000).astype(np.uint16)
    picture = np.repeat(ramp[np.newaxis, :, np.newaxis], 64, axis=0).repeat(3, axis=2)
    smooth = to_depth(picture, 8)[..., 0].astype(np.float64).mean(axis=0)
    smooth = np.convolve(smooth, np.ones(16) / 16, "valid")
    expected = np.convolve(ramp / 257, np.ones(16) / 16, "valid")
    assert np.abs(smooth - expected).max() < 0.1  # rounding would be off by half a code


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 599))
def test_parts_give_the_whole(cut: int) -> None:
    whole = to_depth(DEEP, 8)
    parts = to_depth(DEEP[:cut], 8), to_depth(DEEP[cut:], 8, top=cut)
    assert np.array_equal(np.concatenate(parts), whole)
