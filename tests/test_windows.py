"""OpenCV's means over windows are those of a direct computation, whole windows only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mefuse.metrics.windows import box_of, box_of_maps, gaussian_of, gaussian_of_maps


@pytest.mark.parametrize("size_px", [8, 11])
def test_a_box_is_the_mean_of_its_window(rng: np.random.Generator, size_px: int) -> None:
    plane = rng.normal(size=(20, 25))
    means = box_of(plane, size_px)
    assert means.shape == (21 - size_px, 26 - size_px)
    assert means[3, 5] == pytest.approx(plane[3 : 3 + size_px, 5 : 5 + size_px].mean())
    assert means[-1, -1] == pytest.approx(plane[-size_px:, -size_px:].mean())


def test_a_gaussian_is_the_weighted_mean_of_its_window(rng: np.random.Generator) -> None:
    plane = rng.normal(size=(20, 25))
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    means = gaussian_of(plane, 11, 1.5)
    assert means.shape == (10, 15)
    assert means[2, 4] == pytest.approx((plane[2:13, 4:15] * window).sum(), abs=1e-12)


def test_many_planes_are_averaged_one_by_one(rng: np.random.Generator) -> None:
    maps = rng.normal(size=(2, 3, 20, 25))
    box, gaussian = (
        box_of_maps(torch.from_numpy(maps), 8),
        gaussian_of_maps(torch.from_numpy(maps), 11, 1.5),
    )
    assert box.shape == (2, 3, 13, 18)
    assert np.array_equal(box[1, 2].numpy(), box_of(maps[1, 2], 8))
    assert np.array_equal(gaussian[0, 1].numpy(), gaussian_of(maps[0, 1], 11, 1.5))


def test_gradients_are_those_of_finite_differences(rng: np.random.Generator) -> None:
    maps = torch.from_numpy(rng.normal(size=(2, 16, 19))).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: box_of_maps(x, 8), maps)
    assert torch.autograd.gradcheck(lambda x: gaussian_of_maps(x, 11, 1.5), maps)
