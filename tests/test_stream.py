"""Streaming: slices equal the whole, the cache is small and nearly lossless, order is free."""

import copy

import cv2
import numpy as np
import pytest
import torch

from helpers import on_host
from mefuse.aligned import Aligned
from mefuse.host.backend import HostBackend
from mefuse.models.ipl import IPL
from mefuse.models.ipl_config import IPLConfig
from mefuse.slices import Rect
from mefuse.stream import NetworkFuser
from mefuse.torch_backend import TorchBackend

IDENTITY = np.eye(3)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(5)
    network = IPL(IPLConfig(width=8, blocks=2, cells=4, key_width=4, cube=4)).eval()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network.requires_grad_(False)


def _frames(rng, height, width, *, dtype=np.uint8):
    scene = cv2.resize(rng.uniform(0, 1, (height // 16, width // 16, 3)), (width, height))
    scene = scene**3 + 0.02 * rng.uniform(0, 1, (height, width, 3))
    top = np.iinfo(dtype).max
    return [(np.clip(scene * g, 0, 1) ** 0.45 * top).astype(dtype) for g in (0.5, 2.0, 8.0)]


def _fuse(network, frames, *, size=None, bits=8, **how):
    return _fuse_on(HostBackend(on_host(network)), frames, size=size, bits=bits, **how)


def _fuse_on(backend, frames, *, size=None, bits=8, crop=None, depth=8, transforms=None):
    return NetworkFuser("ipl", backend, cache_bits=bits).fuse(
        Aligned.of(frames, reference=0, ghost="off", transforms=transforms, crop=crop),
        depth=depth,
        slice_size=size,
        on_slice=None,
    )


def _psnr(one, other):
    top = np.iinfo(one.dtype).max
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return 10 * np.log10(top**2 / max(error, 1e-12))


@pytest.mark.parametrize("size", [64, 128, 256])
def test_slices_equal_the_whole(rng, network, size):
    frames = _frames(rng, 400, 560, dtype=np.uint16)
    whole = _fuse(network, frames, size=1024, depth=16).pixels
    assert _psnr(_fuse(network, frames, size=size, depth=16).pixels, whole) > 80


@pytest.mark.usefixtures("arithmetic")
def test_slices_of_warped_and_cropped_frames_equal_the_whole(rng, network):
    frames = _frames(rng, 300, 400)
    turned = np.array([[0.999, 0.01, 3.3], [-0.01, 1.001, -2.6], [1e-6, 0, 1]])
    common = {"transforms": [IDENTITY, turned, np.linalg.inv(turned)], "crop": Rect(7, 9, 281, 373)}
    whole = _fuse(network, frames, size=1024, **common).pixels
    assert whole.shape == (281, 373, 3)
    assert _psnr(_fuse(network, frames, size=128, **common).pixels, whole) > 60


def test_a_compressed_cache_changes_nothing_to_be_seen(rng, network):
    frames = _frames(rng, 256, 256)
    exact = _fuse(network, frames, bits=32)
    compressed = _fuse(network, frames, bits=8)
    assert _psnr(compressed.pixels, exact.pixels) > 45
    assert compressed.cache_bytes < exact.cache_bytes / 3


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_host_fuses_what_torch_fuses(rng, network, dtype):
    frames = _frames(rng, 256, 384, dtype=dtype)
    depth = frames[0].itemsize * 8
    ours = _fuse(network, frames, depth=depth, size=128)
    wanted = _fuse_on(TorchBackend(network, device="cpu"), frames, depth=depth, size=128)
    assert _psnr(ours.pixels, wanted.pixels) > 60
    if depth == 8:
        assert np.abs(ours.pixels.astype(int) - wanted.pixels).max() <= 1
    assert ours.cache_bytes == wanted.cache_bytes


def test_half_precision_changes_nothing_to_be_seen(rng, network):
    frames = _frames(rng, 128, 192)
    exact = _fuse(network, frames).pixels
    half = TorchBackend(copy.deepcopy(network), device="cpu", half=True)
    assert _psnr(_fuse_on(half, frames).pixels, exact) > 45


def test_the_cache_does_not_grow_with_the_picture(rng, network):
    small, large = _frames(rng, 64, 96), _frames(rng, 640, 512)
    assert _fuse(network, small).cache_bytes == _fuse(network, large).cache_bytes


def test_a_frame_repeated_comes_back(rng, network):
    frame = _frames(rng, 200, 136)[1]
    assert _psnr(_fuse(network, [frame, frame, frame]).pixels, frame) > 50


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (65, 63), (33, 200)])
@pytest.mark.parametrize("depth", [8, 16])
def test_any_size_and_depth(rng, network, size, depth):
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(2)]
    pixels = _fuse(network, frames, depth=depth).pixels
    assert pixels.shape == (*size, 3)
    assert pixels.dtype == (np.uint8 if depth == 8 else np.uint16)


def test_progress_counts_every_slice_once(rng, network):
    seen = []
    fuser = NetworkFuser("ipl", HostBackend(on_host(network)))
    fuser.fuse(
        Aligned.of(_frames(rng, 128, 192), reference=0, ghost="off"),
        depth=8,
        slice_size=64,
        on_slice=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i + 1, 13) for i in range(13)]  # six sensed, one decoded, six blended
