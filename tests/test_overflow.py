"""Numbers that overflow: half precision is done again in float32, and no number is no picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers import exposed, on_host, textured_light
from mefuse.aligned import Aligned
from mefuse.errors import ResultError
from mefuse.host.backend import HostBackend
from mefuse.level_stream import LevelFuser
from mefuse.models.deepfuse import DeepFuse, DeepFuseConfig
from mefuse.models.ipl import IPL
from mefuse.models.ipl_config import IPLConfig
from mefuse.models.mertens import MertensFuser
from mefuse.stream import OVERFLOWED, NetworkFuser
from mefuse.torch_backend import TorchBackend

FRAMES = [exposed(textured_light(72, 104, stops=6), ev) for ev in (-2, 0, 2)]


@pytest.fixture
def network() -> IPL:
    torch.manual_seed(4)
    network = IPL(IPLConfig(width=8, blocks=1, cells=4, key_width=4, cube=4)).eval()
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.requires_grad_(False)


def fused(backend) -> object:
    bracket = Aligned.of(FRAMES, reference=1, ghost="off")
    fuser = NetworkFuser("ipl", backend)
    return fuser.fuse(bracket, depth=8, slice_size=64, on_slice=None)


def too_large_for_half(network: IPL) -> IPL:
    """The same network with a number in its first layer that half precision does not have."""
    first = next(p for name, p in network.named_parameters() if name.endswith("bias"))
    first.data[0] = 7e4
    return network


def test_half_precision_that_overflows_is_done_again_in_float32(network: IPL) -> None:
    network = too_large_for_half(network)
    wanted = fused(TorchBackend(network, device="cpu"))
    done = fused(TorchBackend(network, device="cpu", half=True))
    assert wanted.warnings == ()
    assert done.warnings == (OVERFLOWED,)
    assert np.array_equal(done.pixels, wanted.pixels)


def test_half_precision_that_fits_stays(network: IPL) -> None:
    assert fused(TorchBackend(network, device="cpu", half=True)).warnings == ()


@pytest.mark.parametrize("where", ["host", "torch", "torch half"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_no_number_is_no_picture(network: IPL, where: str, number: float) -> None:
    next(iter(network.parameters())).data.view(-1)[0] = number
    backend = {
        "host": lambda: HostBackend(on_host(network)),
        "torch": lambda: TorchBackend(network, device="cpu"),
        "torch half": lambda: TorchBackend(network, device="cpu", half=True),
    }[where]()
    with (
        np.errstate(invalid="ignore", over="ignore"),
        pytest.raises(ResultError, match="no numbers"),
    ):
        fused(backend)


# Infinity in the last layer stays in bounds: what it gives passes through tanh.
@pytest.mark.parametrize(
    ("parameter", "number"), [("first", np.nan), ("first", np.inf), ("last", np.nan)]
)
def test_networks_of_levels_without_numbers_are_no_picture(parameter: str, number: float) -> None:
    torch.manual_seed(6)
    network = DeepFuse(DeepFuseConfig(width=4)).eval().requires_grad_(False)
    parameters = list(network.parameters())
    parameters[0 if parameter == "first" else -1].data.view(-1)[0] = number
    fuser = LevelFuser("deepfuse", network, device=torch.device("cpu"))
    bracket = Aligned.of(FRAMES, reference=1, ghost="off")
    with pytest.raises(ResultError, match="the model deepfuse gave no numbers"):
        fuser.fuse(bracket, depth=8, slice_size=64, on_slice=None)


def test_opencv_without_numbers_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def process(self, frames: list[np.ndarray]) -> np.ndarray:
            return np.full(frames[0].shape, np.nan, np.float32)

    monkeypatch.setattr("mefuse.models.mertens.cv2.createMergeMertens", Broken)
    bracket = Aligned.of(FRAMES, reference=1, ghost="off")
    with pytest.raises(ResultError, match="gave no numbers"):
        MertensFuser().fuse(bracket, depth=8, slice_size=None, on_slice=None)
