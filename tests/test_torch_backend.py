"""The backend of GPUs, on torch's CPU: memory decides on slices, threads keep apart, lanes tell."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from helpers import exposed, textured_light
from mefuse.aligned import Aligned
from mefuse.gpu.graphs import Graphs
from mefuse.gpu.plain import PlainWork
from mefuse.gpu.streams import LANES
from mefuse.models.ipl import IPL
from mefuse.models.ipl_config import IPLConfig
from mefuse.slices import Rect
from mefuse.stream import NetworkFuser
from mefuse.torch_backend import TorchBackend

FRAMES = [exposed(textured_light(200, 300, stops=6), ev) for ev in (-2, 0, 2)]


@pytest.fixture
def network():
    torch.manual_seed(4)
    network = IPL(IPLConfig(width=8, blocks=1, cells=4, key_width=4, cube=4)).eval()
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.requires_grad_(False)


def _fused(backend, frames=FRAMES, *, size=128):
    bracket = Aligned.of(frames, reference=1, ghost="off")
    return NetworkFuser("ipl", backend).fuse(bracket, depth=8, slice_size=size, on_slice=None)


class Gpu(TorchBackend):
    """Computes on the CPU, and asks a GPU how much memory it has."""

    def __init__(self, network, *, bytes_per_px: int) -> None:
        super().__init__(network, device="cpu")
        self.work = PlainWork()
        self.work.bytes_per_px = bytes_per_px
        self._device = torch.device("cuda")


class Picture:
    """A bracket of a size, without pixels."""

    def __init__(self, height: int, width: int) -> None:
        self.padded, self.frames = Rect(0, 0, height, width), [None] * 3


@pytest.mark.parametrize(
    ("free_gb", "size", "side"),
    [
        (140, (2176, 3840), 4096),  # 4K in one
        (140, (16384, 16384), 2048),  # what others need of the card is left to them
        (1, (2176, 3840), 2048),
        (0.05, (2176, 3840), 256),
        (0, (2176, 3840), 64),
    ],
)
def test_slices_are_as_large_as_memory_allows(monkeypatch, network, free_gb, size, side):
    held = 5 * 2**20  # torch holds it, and nobody uses it
    free = max(int(free_gb * 1e9) - held, 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2**40))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: held if free else 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    fuser = NetworkFuser("ipl", Gpu(network, bytes_per_px=32))
    assert fuser._fitting_px(Picture(*size)) == side


def test_slices_that_do_not_fit_are_cut_and_those_before_them_still_arrive(monkeypatch, network):
    wanted = _fused(TorchBackend(network, device="cpu"))
    blend, asked = PlainWork.blend, []

    def short_of_memory(self, taken, *arguments, **options):
        height, width = taken.rgb.shape[-2:]
        asked.append(height)
        if len(asked) > 2 and max(height, width) > 128:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return blend(self, taken, *arguments, **options)

    monkeypatch.setattr(PlainWork, "blend", short_of_memory)
    fused = _fused(TorchBackend(network, device="cpu"))
    assert np.abs(fused.pixels.astype(int) - wanted.pixels).max() <= 1
    (warning,) = fused.work.warnings
    assert "slices of 128 px, done again with slices of 64 px" in warning


def test_two_pictures_at_once_keep_apart(network):
    backend = TorchBackend(network, device="cpu")
    brackets = [FRAMES, [frame[::-1].copy() for frame in FRAMES]]
    wanted = [_fused(backend, frames, size=64).pixels for frames in brackets]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda k: _fused(backend, brackets[k % 2], size=64).pixels, range(4)))
    assert all(np.array_equal(pixels, wanted[k % 2]) for k, pixels in enumerate(found))


def test_replayed_slices_are_the_same_picture(monkeypatch, network):
    """With graphs, results lie in one place and are overwritten by the next slice."""
    replayed = []

    def capture(work):
        result = work()

        def replay() -> None:
            again = work()
            replayed.append(type(result).__name__)
            if isinstance(result, torch.Tensor):
                result.copy_(again)
            else:
                for part in ("colour", "luma", "energies"):
                    getattr(result, part).copy_(getattr(again, part))

        return result, replay

    frames = [exposed(textured_light(320, 256, stops=6), ev) for ev in (-2, 0, 2)]
    wanted = _fused(TorchBackend(network, device="cpu"), frames, size=64)
    graphs = Graphs(capture, seen_before=1)
    monkeypatch.setattr("mefuse.torch_backend.graphs_of", lambda device: graphs)
    fused = _fused(TorchBackend(network, device="cpu"), frames, size=64)
    assert np.array_equal(fused.pixels, wanted.pixels)
    assert replayed.count("Tensor") > 4
    assert replayed.count("Glimpse") > 4


def test_the_timeline_has_the_lanes_of_this_picture_alone(network):
    backend = TorchBackend(network, device="cpu")
    for _ in range(2):
        spans = _fused(backend).work.spans
        lanes = [span for span in spans if span.step in LANES]
        assert {span.step for span in lanes} == set(LANES)
        first = min(span.start_s for span in spans if span.step == "glimpse")
        assert all(first - 1 < span.start_s <= span.end_s for span in lanes)
        downloads = [span for span in lanes if span.step == "download"]
        assert len(downloads) == 6  # one for each slice of 128 px of 200 x 300
        assert {span.rect for span in lanes} == {None}
