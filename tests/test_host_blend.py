"""The host's fine bands and colour against the definition in `blend.py`."""

import cv2
import numpy as np
import pytest
import torch

from mefuse import blend
from mefuse.blend import decompose
from mefuse.grid import BANDS, LOGITS, Maps
from mefuse.host.blend import blend_fine

pytestmark = pytest.mark.usefixtures("arithmetic")


def _frames(rng, dtype, *, height=128, width=192):
    scene = cv2.resize(rng.uniform(0, 1, (height // 8, width // 8, 3)), (width, height))
    scene = 0.9 * scene + 0.1 * rng.uniform(0, 1, scene.shape)
    top = np.iinfo(dtype).max
    return [(np.clip(scene * gain, 0, 1) * top).astype(dtype) for gain in (0.3, 1.0, 3.0)]


def _maps(rng, height=16, width=24):
    logits = rng.normal(0, 1.5, (3, LOGITS, height, width)).astype(np.float32)
    return Maps(logits, rng.uniform(0, 3, (BANDS, height, width)).astype(np.float32))


def _defined(frames, coarse, maps, depth):
    """What the definition makes of the same."""
    rgb = torch.from_numpy(np.stack(frames).astype(np.float32) / np.iinfo(frames[0].dtype).max)
    tensors = Maps(torch.from_numpy(maps.logits)[None], torch.from_numpy(maps.gains)[None])
    bands = decompose(rgb.permute(0, 3, 1, 2)[None])
    luma, chroma = blend.blend_fine(bands, torch.from_numpy(coarse)[None], tensors)
    pixels = blend.to_rgb(luma, blend.within_gamut(luma, chroma))[0].clamp(0, 1)
    return (pixels * (2**depth - 1)).round().permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("dtype", "depth"), [(np.uint8, 8), (np.uint16, 16), (np.uint8, 16)])
def test_it_blends_as_defined(rng, dtype, depth):
    frames, maps = _frames(rng, dtype), _maps(rng)
    coarse = rng.uniform(0, 1, (16, 24)).astype(np.float32)
    ours = blend_fine(frames, coarse, maps, depth=depth)
    wanted = _defined(frames, coarse, maps, depth)
    assert ours.dtype == (np.uint8 if depth == 8 else np.uint16)
    difference = np.abs(ours - wanted)
    assert difference.max() <= {8: 1, 16: 16}[depth]
    assert difference.mean() <= {8: 0.01, 16: 1}[depth]
    assert wanted.std() > 0.05 * wanted.max()
