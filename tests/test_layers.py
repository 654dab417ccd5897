"""Layers on arrays against torch's, and arrays that do not fit a network."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mefuse.host.layers import (
    Parameters,
    depthwise,
    gelu,
    halved,
    pooled,
    row_blocks,
    shuffled,
    sigmoid,
    tall,
    wide,
)


def _features(rng, height, channels, width):
    """(h, C, w) and the same as torch has it, (1, C, h, w)."""
    x = rng.normal(0, 2, (height, channels, width)).astype(np.float32)
    return x, torch.from_numpy(x.swapaxes(0, 1).copy())[None]


def _as_torch(x):
    return torch.from_numpy(np.ascontiguousarray(x.swapaxes(0, 1)))[None]


def test_gelu_is_exact_to_its_stated_bound():
    x = np.linspace(-60, 60, 240000, dtype=np.float32).reshape(3, -1)
    wanted = F.gelu(torch.from_numpy(x.copy())).numpy()
    gelu(x)
    assert np.abs(x - wanted).max() < 3e-5


@pytest.mark.parametrize("size", [(4, 6), (12, 30)])
def test_halving_and_doubling(rng, size):
    x, tensor = _features(rng, size[0], 5, size[1])
    assert torch.allclose(_as_torch(halved(x)), F.avg_pool2d(tensor, 2), atol=1e-6)
    doubled = F.interpolate(tensor, scale_factor=2, mode="bilinear")
    columns = wide(x)
    parts = [tall(columns, rows) for rows in (slice(0, 2), slice(2, 2 * size[0]))]
    assert torch.allclose(_as_torch(np.concatenate(parts)), doubled, atol=1e-6)


@pytest.mark.parametrize(("size", "count"), [((24, 36), 12), ((17, 9), 12), ((4, 30), 16)])
def test_pooling_cuts_as_adaptive_pooling_does(rng, size, count):
    x, tensor = _features(rng, size[0], 3, size[1])
    wanted = F.adaptive_avg_pool2d(tensor, (count, size[1]))
    wanted = F.adaptive_avg_pool2d(wanted, (count, count))
    assert np.allclose(pooled(x, count), wanted[0], atol=1e-6)


def test_depthwise_convolution_has_zeros_around(rng):
    x, tensor = _features(rng, 8, 4, 10)
    kernels = rng.normal(0, 1, (4, 3, 3)).astype(np.float32)
    bias = rng.normal(0, 1, 4).astype(np.float32)
    wanted = F.conv2d(
        tensor, torch.from_numpy(kernels)[:, None], torch.from_numpy(bias), padding=1, groups=4
    )
    assert torch.allclose(_as_torch(depthwise(x, kernels, bias)), wanted, atol=1e-5)


def test_pixel_shuffle(rng):
    x, tensor = _features(rng, 4, 12, 6)
    assert np.array_equal(shuffled(x), F.pixel_shuffle(tensor, 2)[0])


@pytest.mark.parametrize(("height", "width"), [(2, 4), (120, 132), (8, 4000)])
def test_blocks_of_rows_cover_all_and_start_even(height, width):
    found = list(row_blocks(height, width))
    assert [row for rows in found for row in range(height)[rows]] == list(range(height))
    assert all(rows.start % 2 == 0 for rows in found)


def test_arrays_that_do_not_fit_are_named():
    arrays = {"a.weight": np.zeros((2, 3, 1, 1), np.float32), "a.bias": np.zeros(2, np.float32)}
    with pytest.raises(ValueError, match="b is missing"):
        Parameters(arrays).take("b", 2)
    with pytest.raises(ValueError, match=r"a\.bias has the shape"):
        Parameters(arrays).take("a.bias", 3)
    parameters = Parameters(arrays)
    assert parameters.layer("a", 3, 2, 1, 1)(np.ones((5, 3, 4), np.float32)).shape == (5, 2, 4)
    parameters.finish()
    with pytest.raises(ValueError, match="not of this network"):
        Parameters(arrays).finish()


def test_the_sigmoid_of_huge_values_is_silent():
    values = sigmoid(np.array([-1e4, -90, 0, 90, 1e4], np.float32))
    assert np.allclose(values, [0, 0, 0.5, 1, 1])
