"""Pictures fused in one go on a device are those that are fused slice by slice."""

import numpy as np
import pytest
import torch

from helpers import exposed, textured_light
from mefuse.aligned import Aligned
from mefuse.errors import InputError, ResultError
from mefuse.gpu.graphs import Graphs
from mefuse.models.ipl import IPL
from mefuse.models.ipl_config import IPLConfig
from mefuse.resident import ResidentFuser
from mefuse.stream import NetworkFuser
from mefuse.torch_backend import TorchBackend

SIZE = (300, 530)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(5)
    network = IPL(IPLConfig(width=8, blocks=1, cells=4, key_width=4, cube=4)).eval()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def frames():
    return [exposed(textured_light(*SIZE, stops=6), ev) for ev in (-2, 0, 2)]


def _streamed(backend, frames, *, depth):
    bracket = Aligned.of(frames, reference=1, ghost="off")
    return NetworkFuser("ipl", backend).fuse(bracket, depth=depth, slice_size=128, on_slice=None)


@pytest.mark.parametrize("depth", [8, 16])
def test_it_is_the_streamed_picture(network, frames, depth):
    frames = frames if depth == 8 else [frame.astype(np.uint16) * 257 for frame in frames]
    backend = TorchBackend(network, device="cpu")
    wanted = _streamed(backend, frames, depth=depth).pixels.astype(int)
    fused = ResidentFuser(backend).fuse_arrays(frames, depth=depth)
    assert fused.dtype == (np.uint8 if depth == 8 else np.uint16)
    # The small bracket is rounded once more on the host, and its cache with it.
    assert np.abs(fused - wanted).max() <= (1 if depth == 8 else 40)


def test_what_is_compiled_is_all_that_the_network_decides(monkeypatch, network, frames):
    """The compiler is tried on a GPU; here, that it gets one function of tensors and no more."""
    given = []

    def compiled(work, *, dynamic, fullgraph):
        assert fullgraph
        assert not dynamic
        return lambda *arguments: given.append(arguments) or work(*arguments)

    monkeypatch.setattr(torch, "compile", compiled)
    backend = TorchBackend(network, device="cpu")
    fuser = ResidentFuser(backend, compiled=True)
    assert np.array_equal(fuser.fuse_arrays(frames), ResidentFuser(backend).fuse_arrays(frames))
    ((shown, seen, step),) = given
    assert shown.luma.shape[-1] == 512 // 8
    assert seen.luma.shape[-2:] == (320 // 8, 576 // 8)
    assert step == 1 / 255


def test_it_is_recorded_once_and_replayed(network, frames):
    replays = []

    def capture(work):
        pixels, went_well = work()

        def replay():
            replays.append(1)
            again, _ = work()
            pixels.copy_(again)

        return (pixels, went_well), replay

    backend = TorchBackend(network, device="cpu")
    fuser = ResidentFuser(backend, graphs=Graphs(capture, seen_before=0, most=1))
    plain = ResidentFuser(backend)
    for bracket in (frames, frames[::-1], frames):
        assert np.array_equal(fuser.fuse_arrays(bracket), plain.fuse_arrays(bracket))
    out = np.zeros_like(frames[0])
    assert fuser.fuse_arrays(frames, out=out) is out
    assert np.array_equal(out, plain.fuse_arrays(frames))
    assert len(replays) == 4
    assert len(fuser.graphs.recorded) == 1


def test_what_overflows_is_done_in_float32_and_no_number_is_no_picture(network, frames):
    broken = IPL(network.config).eval().requires_grad_(False)
    broken.load_state_dict(network.state_dict())
    bias = next(p for name, p in broken.named_parameters() if name.endswith("bias"))
    bias.data[0] = 7e4
    half = ResidentFuser(TorchBackend(broken, device="cpu", half=True)).fuse_arrays(frames)
    wanted = ResidentFuser(TorchBackend(broken, device="cpu")).fuse_arrays(frames)
    assert np.array_equal(half, wanted)
    bias.data[0] = np.nan
    with pytest.raises(ResultError, match="no numbers"):
        ResidentFuser(TorchBackend(broken, device="cpu")).fuse_arrays(frames)


def test_what_is_smaller_than_the_networks_view_is_refused(network):
    fuser = ResidentFuser(TorchBackend(network, device="cpu"))
    with pytest.raises(InputError, match="100x80 px are too small"):
        fuser.fuse(torch.zeros((2, 80, 100, 3), dtype=torch.uint8))
