"""The host's pyramid against the definition in `blend.py`."""

import numpy as np
import pytest
import torch

from mefuse import blend
from mefuse.grid import BANDS, FINE, LOGITS, Maps
from mefuse.host.pyramid import blend_coarse, build_pyramid, weight_maps

SIZES = [(24, 40), (17, 45), (8, 8), (9, 64)]


@pytest.mark.parametrize("size", SIZES)
def test_it_takes_apart_as_defined(rng, size):
    luma = rng.uniform(0, 1, (3, *size)).astype(np.float32)
    ours, wanted = build_pyramid(luma), blend.build_pyramid(torch.from_numpy(luma)[None])
    assert ours.sizes == wanted.sizes
    for one, other in zip(
        (*ours.bands, *ours.energies, *ours.together, ours.top),
        (*wanted.bands, *wanted.energies, *wanted.together, wanted.top),
        strict=True,
    ):
        assert np.allclose(one, other[0], atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_it_joins_as_defined(rng, size):
    luma = rng.uniform(0, 1, (3, *size)).astype(np.float32)
    logits = rng.normal(0, 2, (3, LOGITS, *size)).astype(np.float32)
    gains = rng.uniform(0, 4, (BANDS, *size)).astype(np.float32)
    ours = blend_coarse(build_pyramid(luma), Maps(logits, gains))
    tensors = Maps(torch.from_numpy(logits)[None], torch.from_numpy(gains)[None])
    wanted = blend.blend_coarse(blend.build_pyramid(torch.from_numpy(luma)[None]), tensors)
    assert ours.shape == size
    assert np.allclose(ours, wanted[0], atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_weight_maps_are_those_defined(rng, size):
    luma = rng.uniform(0, 1, (3, *size)).astype(np.float32)
    energies = rng.uniform(0, 0.01, (3, FINE, *size)).astype(np.float32)
    logits = rng.normal(0, 2, (3, LOGITS, *size)).astype(np.float32)
    gains = rng.uniform(0, 4, (BANDS, *size)).astype(np.float32)
    ours = weight_maps(energies, build_pyramid(luma), Maps(logits, gains))
    tensors = Maps(torch.from_numpy(logits)[None], torch.from_numpy(gains)[None])
    pyramid = blend.build_pyramid(torch.from_numpy(luma)[None])
    wanted = blend.weight_maps(torch.from_numpy(energies)[None], pyramid, tensors)
    assert np.allclose(ours, wanted[0], atol=1e-5)
    assert np.allclose(ours.sum(0), 1, atol=1e-5)
