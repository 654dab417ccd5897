"""Kernels compute what the definition computes: on a GPU, or in Triton's interpreter."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mefuse.gpu import fused
from mefuse.gpu.plain import PlainWork
from mefuse.grid import BANDS, GRID, LOGITS, Maps

# A rounding further: of 16 bits a unit or two, of 8 none but where a value lies between two.
TOLERANCES = {8: (1, 0.01), 16: (2, 0.05)}


@pytest.fixture(scope="module")
def kernels():
    """The work in kernels; on the CPU each operation of one is numpy's, so few programs."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed; it comes with torch's builds for GPUs")
    if torch.cuda.is_available():
        return fused.FusedWork()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        yield fused.FusedWork(tile=(64, 128))


def _device():
    return "cuda" if torch.cuda.is_available() else "cpu"


def _frames(count, height, width, dtype):
    """A soft scene with grain, in frames that clip at both ends."""
    soft = F.interpolate(torch.rand(1, 3, height // 8, width // 8), size=(height, width))[0]
    scene = soft + 0.1 * torch.rand(3, height, width)
    gains = torch.linspace(0.3, 2.5, count)[:, None, None, None]
    white = torch.iinfo(dtype).max
    pixels = ((scene * gains - 0.05).clamp(0, 1) * white).round().to(torch.int32)
    return pixels.permute(0, 2, 3, 1).contiguous().to(dtype).to(_device())


def _maps(count, height, width):
    """Maps cut out of larger ones, as a slice's are."""
    rows, columns = height // GRID, width // GRID
    logits = torch.randn(1, count, LOGITS, rows + 3, columns + 5, device=_device()) * 2
    gains = torch.rand(1, BANDS, rows + 3, columns + 5, device=_device()) * 2
    return Maps(logits, gains).part((slice(1, rows + 1), slice(2, columns + 2)))


CASES = [(3, 64, 96, torch.uint8, 8), (2, 32, 136, torch.uint16, 16), (5, 40, 32, torch.uint8, 16)]


@pytest.mark.parametrize(("count", "height", "width", "dtype", "depth"), CASES)
def test_kernels_are_the_definition(kernels, count, height, width, dtype, depth):
    torch.manual_seed(count)
    frames = _frames(count, height, width, dtype)
    plain = PlainWork()
    ours, theirs = kernels.take(frames), plain.take(frames)
    seen, wanted = kernels.glimpse(ours), plain.glimpse(theirs)
    torch.testing.assert_close(seen.colour, wanted.colour, rtol=0, atol=2e-6)
    torch.testing.assert_close(seen.luma, wanted.luma, rtol=0, atol=2e-6)
    torch.testing.assert_close(seen.energies, wanted.energies, rtol=2e-4, atol=1e-9)
    coarse = wanted.luma.mean(1) + 0.05 * torch.randn(
        1, height // GRID, width // GRID, device=_device()
    )
    maps = _maps(count, height, width)
    pixels = kernels.blend(ours, coarse, maps, depth=depth)
    expected = plain.blend(theirs, coarse, maps, depth=depth)
    assert pixels.dtype == expected.dtype
    assert pixels.shape == (height, width, 3)
    apart = (pixels.to(torch.int32) - expected.to(torch.int32)).abs()
    most, often = TOLERANCES[depth]
    assert apart.max() <= most
    assert (apart > most / 2).float().mean() <= often


@pytest.mark.parametrize("size", [(32, 64), (19, 37), (80, 100)])
def test_kernels_reduce_as_the_definition(kernels, size):
    frames = _frames(2, 80, 104, torch.uint8)
    ours, theirs = (work.reduce(frames, *size) for work in (kernels, PlainWork()))
    apart = (ours.to(torch.int32) - theirs.to(torch.int32)).abs()
    assert apart.max() <= 1
    assert (apart > 0).float().mean() < 0.01


@pytest.mark.parametrize("size", [(40, 52), (32, 64), (27, 31)])
def test_reducing_is_opencvs(size):
    import cv2

    frames = _frames(2, 80, 104, torch.uint8).cpu()
    ours = PlainWork().reduce(frames, *size).numpy()
    wanted = np.stack(
        [cv2.resize(f.numpy(), size[::-1], interpolation=cv2.INTER_AREA) for f in frames]
    )
    assert np.abs(ours.astype(int) - wanted).max() <= 1


def test_kernels_are_for_gpus_with_triton(monkeypatch):
    assert not fused.kernels_run(torch.device("cpu"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not fused.kernels_run(torch.device("cuda"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert fused.kernels_run(torch.device("cuda"))


def test_frames_that_kernels_cannot_count_are_told():
    frames = torch.empty((1, 1, 1, 3), dtype=torch.uint8)
    assert fused.addressable(frames)
    assert not fused.addressable(frames.expand(1, 30_000, 30_000, 3))
