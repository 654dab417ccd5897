"""OpenCV's arithmetic and a device's against the definition in `blend.py`."""

import cv2
import numpy as np
import pytest
import torch

from mefuse import blend_cpu
from mefuse.blend import BANDS, FINE, LOGITS, Maps
from mefuse.blend_device import DeviceArithmetic

DEVICE = DeviceArithmetic(torch.device("cpu"))


def _frames(rng, dtype, *, height=128, width=192):
    scene = cv2.resize(rng.uniform(0, 1, (height // 8, width // 8, 3)), (width, height))
    scene = 0.9 * scene + 0.1 * rng.uniform(0, 1, scene.shape)
    top = np.iinfo(dtype).max
    return [(np.clip(scene * gain, 0, 1) * top).astype(dtype) for gain in (0.3, 1.0, 3.0)]


def _maps(rng, height=16, width=24):
    logits = torch.from_numpy(rng.normal(0, 1.5, (1, 3, LOGITS, height, width))).float()
    return Maps(logits, torch.from_numpy(rng.uniform(0, 3, (1, BANDS, height, width))).float())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_opencv_glimpses_what_torch_glimpses(rng, dtype):
    frames = _frames(rng, dtype)
    ours, wanted = blend_cpu.glimpse_frames(frames), DEVICE.glimpse_frames(frames)
    assert ours.energies.shape == (1, 3, FINE, 16, 24)
    rounding = 0.51 / np.iinfo(dtype).max  # of the colour at half size
    assert torch.allclose(ours.colour, wanted.colour, atol=rounding)
    assert torch.allclose(ours.luma, wanted.luma, atol=2e-6)
    assert torch.allclose(ours.energies, wanted.energies, rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize(("dtype", "depth"), [(np.uint8, 8), (np.uint16, 16), (np.uint8, 16)])
def test_opencv_blends_what_torch_blends(rng, dtype, depth):
    frames, maps = _frames(rng, dtype), _maps(rng)
    coarse = torch.from_numpy(rng.uniform(0, 1, (1, 16, 24))).float()
    ours = blend_cpu.blend_frames(frames, coarse, maps, depth=depth)
    wanted = DEVICE.blend_frames(frames, coarse, maps, depth=depth)
    assert ours.dtype == wanted.dtype
    difference = np.abs(ours.astype(int) - wanted.astype(int))
    # The weights of colour come from frames at half size, rounded to their own depth.
    source = frames[0].itemsize * 8
    assert difference.max() <= {(8, 8): 1, (16, 16): 8, (8, 16): 257}[source, depth]
    assert difference.mean() <= {(8, 8): 0.1, (16, 16): 1, (8, 16): 20}[source, depth]
    assert wanted.std() > 0.05 * np.iinfo(wanted.dtype).max
