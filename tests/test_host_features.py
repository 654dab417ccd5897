"""The host's glimpse and features against the definition in `features.py`."""

import cv2
import numpy as np
import pytest
import torch

from mefuse import blend, features
from mefuse.grid import FEATURES, FINE, Glimpse, everything
from mefuse.host.features import describe, glimpse
from mefuse.host.pyramid import build_pyramid

pytestmark = pytest.mark.usefixtures("arithmetic")


def _frames(rng, dtype, *, height=128, width=192):
    scene = cv2.resize(rng.uniform(0, 1, (height // 8, width // 8, 3)), (width, height))
    scene = 0.9 * scene + 0.1 * rng.uniform(0, 1, scene.shape)
    top = np.iinfo(dtype).max
    return [(np.clip(scene * gain, 0, 1) * top).astype(dtype) for gain in (0.3, 1.0, 3.0)]


def _defined(frames):
    rgb = torch.from_numpy(np.stack(frames).astype(np.float32) / np.iinfo(frames[0].dtype).max)
    rgb = rgb.permute(0, 3, 1, 2)[None]
    return features.glimpse(rgb, blend.decompose(rgb))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_it_glimpses_as_defined(rng, dtype):
    frames = _frames(rng, dtype)
    ours, wanted = glimpse(frames), _defined(frames)
    assert ours.energies.shape == (3, FINE, 16, 24)
    assert np.allclose(ours.colour, wanted.colour[0], atol=2e-6)
    assert np.allclose(ours.luma, wanted.luma[0], atol=2e-6)
    assert np.allclose(ours.energies, wanted.energies[0], rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("flat", [False, True])
def test_it_describes_as_defined(rng, flat):
    frames = _frames(rng, np.uint8)
    if flat:  # black and white: every floor and every bound
        frames = [np.zeros_like(frames[0]), frames[1], np.full_like(frames[0], 255)]
    seen = glimpse(frames)
    tensors = Glimpse(*(torch.from_numpy(x)[None] for x in (seen.colour, seen.luma, seen.energies)))
    energies = build_pyramid(seen.luma).within(everything(seen.luma))
    pairs = [tuple(torch.from_numpy(x)[None] for x in pair) for pair in energies]
    found, prior = describe(seen, energies)
    wanted, wanted_prior = features.describe(tensors, pairs)
    assert found.shape == (3, FEATURES, 16, 24)
    assert np.allclose(found, wanted[0], atol=2e-4)
    assert np.allclose(prior, wanted_prior[0, :, 0], atol=2e-4)
