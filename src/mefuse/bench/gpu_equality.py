"""Whether a GPU computes what the CPU computes; part of `bench.gpu`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefuse import weights
from mefuse.aligned import Aligned
from mefuse.bench.gpu_clock import bracket_of
from mefuse.gpu import trust
from mefuse.gpu.fused import FusedWork, kernels_run
from mefuse.gpu.graphs import Graphs
from mefuse.gpu.plain import PlainWork
from mefuse.grid import BANDS, GRID, LOGITS, Maps
from mefuse.host.backend import HostBackend
from mefuse.resident import ResidentFuser
from mefuse.slices import Rect
from mefuse.stream import NetworkFuser
from mefuse.torch_backend import TorchBackend
from mefuse.trust import ColourTrust

Record = dict[str, Any]
Size = tuple[int, int]
Frames = Sequence[NDArray[Any]]
LEAST_DB = 48.0


def checks(network: torch.nn.Module, device: str, size: Size) -> Iterator[Record]:
    """One record for each thing that has to be equal, of pictures (height, width) on the grid."""
    there = torch.device(device)
    if kernels_run(there):
        yield from _kernels(there, size)
    yield _trust(there, size)
    yield from _pictures(network, device, size)


def _kernels(device: torch.device, size: Size) -> Iterator[Record]:
    """The kernels against the definition on the same device."""
    ours, theirs = FusedWork(), PlainWork()
    for dtype, depth, most in ((torch.uint8, 8, 1), (torch.uint16, 16, 2)):
        frames = torch.from_numpy(np.stack(bracket_of(3, *size))).to(device)
        frames = frames if depth == 8 else (frames.to(torch.int32) * 257).to(dtype)
        taken, wanted = ours.take(frames), theirs.take(frames)
        seen, expected = ours.glimpse(taken), theirs.glimpse(wanted)
        apart = max(
            float((getattr(seen, part) - getattr(expected, part)).abs().max())
            for part in ("colour", "luma", "energies")
        )
        yield {"name": f"equal: glimpse of {depth} bits", "apart": apart, "passed": apart < 1e-5}
        maps = _maps(device, size)
        coarse = expected.luma.mean(1)
        pixels = ours.blend(taken, coarse, maps, depth=depth)
        levels = _levels(pixels, theirs.blend(wanted, coarse, maps, depth=depth))
        yield {"name": f"equal: blend to {depth} bits", **levels, "passed": levels["most"] <= most}
    small = (size[0] // 3, size[1] // 3)
    levels = _levels(ours.reduce(frames, *small), theirs.reduce(frames, *small))
    yield {"name": "equal: reduced", **levels, "passed": levels["most"] <= 1}


def _maps(device: torch.device, size: Size) -> Maps[Tensor]:
    """Maps as a network might decide, cut out of larger ones."""
    rows, columns = size[0] // GRID, size[1] // GRID
    source = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(1, 3, LOGITS, rows + 3, columns + 5, generator=source)
    gains = 2 * torch.rand(1, BANDS, rows + 3, columns + 5, generator=source)
    whole = Maps(logits.to(device), gains.to(device))
    return whole.part((slice(1, rows + 1), slice(2, columns + 2)))


def _trust(device: torch.device, size: Size) -> Record:
    """The trust in colours against the host's."""
    work = PlainWork()
    frames = torch.from_numpy(np.stack(bracket_of(3, *size)))
    seen = work.glimpse(work.take(frames))
    luma, energy = seen.luma[0], seen.energies[0, :, 0]
    host = ColourTrust.of(luma.numpy(), energy.numpy(), rounding=1 / 255).log_weights(luma.numpy())
    found = trust.log_weights(luma.to(device), energy.to(device), rounding=1 / 255).cpu().numpy()
    apart = float(np.abs(found - host).max())
    return {"name": "equal: trust in colours", "apart": apart, "passed": apart < 5e-3}


def _pictures(network: torch.nn.Module, device: str, size: Size) -> Iterator[Record]:
    """Whole pictures: the CPU's in float32, the device's in every way that it has."""
    frames = bracket_of(3, *size, seed=2)
    host = HostBackend.of(weights.read(weights.find("ipl"), model="ipl"))
    wanted = _streamed(host, frames, 512)
    exact = TorchBackend(network, device=device, half=False)
    yield _against("float32, in one go", ResidentFuser(exact).fuse_arrays(frames), wanted)
    yield _against("float32, slices of 128", _streamed(exact, frames, 128), wanted)
    half = TorchBackend(network, device=device)
    whole = ResidentFuser(half)
    first = whole.fuse_arrays(frames)
    yield _against("half precision, in one go", first, wanted)
    for px in (128, 256):
        yield _against(f"half precision, slices of {px}", _streamed(half, frames, px), first)
    yield _unwaiting(network, device, frames)
    plain = TorchBackend(network, device=device, kernels=False)
    yield _against("half precision, plain torch", ResidentFuser(plain).fuse_arrays(frames), first)
    if device != "cpu":
        joined = ResidentFuser(half, compiled=True).fuse_arrays(frames)
        yield _against("half precision, compiled", joined, first)
    others = [whole.fuse_arrays(frames) for _ in range(4)]
    others += [ResidentFuser(half, graphs=Graphs(None)).fuse_arrays(frames)]
    same = all(np.array_equal(first, other) for other in others)
    yield {"name": "equal: each time, and recorded or not", "passed": same}


class _Unwaiting(TorchBackend):
    """On a GPU, work on slices fails here where it waits for the device without need."""

    def each(self, work: Callable[[Rect], None], slices: Iterable[Rect]) -> Iterator[None]:
        """Runs `work` on every slice."""

        def watched(rect: Rect) -> None:
            torch.cuda.set_sync_debug_mode("error")
            try:
                work(rect)
            finally:
                torch.cuda.set_sync_debug_mode("default")

        yield from super().each(watched if self.device != "cpu" else work, slices)


def _unwaiting(network: torch.nn.Module, device: str, frames: Frames) -> Record:
    """Whether slices are worked on without waiting for the device."""
    name = "no wait in the loop over slices"
    try:
        _streamed(_Unwaiting(network, device=device), frames, 128)
    except RuntimeError as err:
        return {"name": name, "why": str(err).splitlines()[0], "passed": False}
    return {"name": name, "passed": True}


def _streamed(backend: HostBackend | TorchBackend, frames: Frames, px: int) -> NDArray[Any]:
    """A picture in slices."""
    bracket = Aligned.of(frames, reference=1, ghost="off")
    fuser = NetworkFuser("ipl", backend)
    return fuser.fuse(bracket, depth=8, slice_size=px, on_slice=None).pixels


def _against(name: str, found: NDArray[Any], wanted: NDArray[Any]) -> Record:
    """How far two pictures of 8 bits are apart."""
    apart = np.abs(found.astype(np.int16) - wanted)
    error = float((apart.astype(np.float64) ** 2).mean())
    decibels = float(10 * np.log10(255**2 / max(error, 1e-6)))
    return {
        "name": f"equal: {name}", "most": int(apart.max()), "decibels": decibels,
        "passed": decibels >= LEAST_DB,
    }  # fmt: skip


def _levels(one: Tensor, other: Tensor) -> dict[str, float]:
    """By how many levels pixels are apart at most, and how many of them."""
    apart = (one.to(torch.int32) - other.to(torch.int32)).abs()
    return {"most": int(apart.max()), "share": float((apart > 0).float().mean())}
