"""What streaming asks of a GPU: frames up as stored, pixels back, the network in between.

It runs on torch's CPU too, slower than `host/`: that is how tests hold the two together. The work
on pixels, the carrying and the recording are those of `gpu/`. Knows no slice and no file.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefuse.blend import blend_coarse, build_pyramid, weight_maps
from mefuse.cache import AttentionCache
from mefuse.features import describe
from mefuse.gpu.fused import FusedWork, addressable, kernels_run
from mefuse.gpu.graphs import graphs_of
from mefuse.gpu.plain import PixelWork, PlainWork, as_floats
from mefuse.gpu.streams import Conveyor, Into, lanes_of
from mefuse.grid import Glimpse, Maps, Pyramid
from mefuse.models.ipl_config import Region
from mefuse.refine import refine
from mefuse.scratch import Scratch
from mefuse.slices import Rect
from mefuse.slicework import Span

SLICES_SHARE = 0.5  # of the free memory
SLICE_BYTES = 2**30  # of the device at most: larger slices are not faster, and others want room
LARGEST_SLICE_PX = 4096  # of a GPU, which holds a 4K picture in one

Energies = Sequence[tuple[Tensor, Tensor]]


class Network(Protocol):
    """What a torch network does; see `models.ipl.IPL`."""

    @property
    def overlap_px(self) -> int:
        """Pixels around a region that its maps depend on."""

    def prefill(self, features: Tensor, prior: Tensor, cache: AttentionCache[Tensor]) -> None:
        """Fills the cache from the whole bracket, small."""

    def decode(
        self, features: Tensor, prior: Tensor, region: Region, cache: AttentionCache[Tensor]
    ) -> Maps[Tensor]:
        """Maps of one region."""


class _OfThread(threading.local):
    """Buffers and graphs, each thread's own: a batch writes one picture while it fuses the next."""

    def __init__(self, device: torch.device) -> None:
        self.conveyor = Conveyor(lanes_of(device))
        self.graphs = graphs_of(device)


class TorchBackend:
    """A network on a torch device; see `stream.Backend` for what its methods do.

    Args:
        network: in evaluation mode; it, or its copy in half precision, is moved to `device`.
        device: "cpu" or "cuda:N".
        half: whether the network computes in half precision; None: on a GPU. Bands never do.
        kernels: whether pixels are worked on in kernels; None: on a GPU that Triton can use.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        *,
        device: str,
        half: bool | None = None,
        kernels: bool | None = None,
    ) -> None:
        self.device = device
        self._device = torch.device(device)
        half = self._device.type == "cuda" if half is None else half
        self._dtype = torch.float16 if half else torch.float32
        self._trained = network  # as it came: half precision is a copy
        if half:
            network = copy.deepcopy(network)
        self._network = cast("Network", network.to(self._device, self._dtype))
        self._kernels = kernels_run(self._device) if kernels is None else kernels
        self.work: PixelWork[Any] = FusedWork() if self._kernels else PlainWork()
        self._own = _OfThread(self._device)

    @property
    def slice_px(self) -> int:
        """The largest side of slices that pays."""
        return LARGEST_SLICE_PX if self._device.type == "cuda" else 512

    @property
    def overlap_px(self) -> int:
        """Pixels around a region that the network's maps depend on."""
        return self._network.overlap_px

    def fits(self, height: int, width: int, count: int) -> bool:
        """Whether there is room for slices of those sides of so many frames."""
        if self._device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self._device)
        free += torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        need = height * width * count * self.work.bytes_per_px
        return need <= min(free * SLICES_SHARE, SLICE_BYTES)

    def empty(self, shape: tuple[int, ...], scratch: Scratch) -> Tensor:  # noqa: ARG002
        """A grid to be filled; one bracket."""
        return torch.empty((1, *shape), dtype=torch.float32, device=self._device)

    def to_host(self, grid: Tensor) -> NDArray[np.float32]:
        """A grid of one bracket, in host memory."""
        return np.asarray(grid[0].cpu().numpy(), np.float32)

    def of_host(self, grid: NDArray[np.float32]) -> Tensor:
        """The inverse of `to_host`."""
        return torch.from_numpy(grid)[None].to(self._device)

    @torch.inference_mode()
    def glimpse(self, frames: Sequence[NDArray[Any]]) -> Glimpse[Tensor]:
        """What is kept of frames; holds until the next one."""
        seen: Glimpse[Tensor] = self._own.graphs.run(
            "glimpse", self._glimpse, (self._own.conveyor.upload(frames),)
        )
        return seen

    @torch.inference_mode()
    def build_pyramid(self, luma: Tensor) -> Pyramid[Tensor]:
        """The bands from the grid of 8 px to the top."""
        return build_pyramid(luma)

    @torch.inference_mode()
    def prefill(
        self, seen: Glimpse[Tensor], energies: Energies, cache: AttentionCache[Tensor]
    ) -> None:
        """Shows the network the whole bracket, small."""
        features, prior = describe(seen, energies)
        self._network.prefill(features.to(self._dtype), prior.to(self._dtype), cache)

    @torch.inference_mode()
    def decode(
        self,
        seen: Glimpse[Tensor],
        energies: Energies,
        region: Region,
        cache: AttentionCache[Tensor],
    ) -> Maps[Tensor]:
        """The network's maps of a region."""
        features, prior = describe(seen, energies)
        return self._network.decode(features.to(self._dtype), prior.to(self._dtype), region, cache)

    @torch.inference_mode()
    def blend_coarse(self, pyramid: Pyramid[Tensor], maps: Maps[Tensor]) -> Tensor:
        """The fused luma on the grid of 8 px."""
        return blend_coarse(pyramid, maps)

    @torch.inference_mode()
    def refine(self, coarse: Tensor, seen: Glimpse[Tensor]) -> Tensor:
        """The fused luma in agreement with the frames' structure."""
        return refine(coarse, seen.luma, seen.colour)

    @torch.inference_mode()
    def weight_maps(
        self, energies: Tensor, pyramid: Pyramid[Tensor], maps: Maps[Tensor]
    ) -> NDArray[Any]:
        """How much of the luma each frame gives."""
        return weight_maps(energies, pyramid, maps)[0].float().cpu().numpy()

    @torch.inference_mode()
    def blend_fine(
        self,
        frames: Sequence[NDArray[Any]],
        coarse: Tensor,
        maps: Maps[Tensor],
        *,
        depth: int,
        into: Into,
    ) -> None:
        """Hands the fused pixels of a region to `into`, when they have come down."""
        given = (self._own.conveyor.upload(frames), coarse, maps.logits, maps.gains)
        name = "blend to 8 bits" if depth == 8 else "blend to 16 bits"
        pixels = self._own.graphs.run(name, partial(self._blend, depth=depth), given)
        self._own.conveyor.download(pixels, into)

    @torch.inference_mode()
    def is_finite(self, coarse: Tensor, maps: Maps[Tensor]) -> bool:
        """Whether the coarse bands and the maps are all finite numbers."""
        parts = (coarse, maps.logits, maps.gains)
        return all(bool(torch.isfinite(part).all()) for part in parts)

    def in_float32(self) -> TorchBackend | None:
        """The same network in float32; None where it computes in that already."""
        if self._dtype == torch.float32:
            return None
        return TorchBackend(self._trained, device=self.device, half=False, kernels=self._kernels)

    def each(self, work: Callable[[Rect], None], slices: Iterable[Rect]) -> Iterator[None]:
        """Runs `work` on every slice, one after the other: the device has its own threads."""
        self._own.conveyor.forget()
        yield from map(work, slices)
        self._own.conveyor.flush()

    def spans(self) -> list[Span]:
        """What the device's lanes did since this was last asked for."""
        return [Span(*told) for told in self._own.conveyor.told()]

    def work_on(self, frames: Tensor) -> PixelWork[Any]:
        """Who works on frames of that size."""
        return self.work if addressable(frames) else PlainWork()

    def _glimpse(self, frames: Tensor) -> Glimpse[Tensor]:
        """What is kept of frames on the device."""
        work = self.work_on(frames)
        return work.glimpse(work.take(frames))

    def _blend(
        self, frames: Tensor, coarse: Tensor, logits: Tensor, gains: Tensor, *, depth: int
    ) -> Tensor:
        """The fused pixels of frames on the device."""
        work = self.work_on(frames)
        return work.blend(work.take(frames), coarse, Maps(logits, gains), depth=depth)


def uploaded(frames: Sequence[NDArray[Any]], device: torch.device) -> Tensor:
    """Frames (h, w, 3) uint8 or uint16 -> (1, N, 3, h, w) float32, 0..1, on the device."""
    return as_floats(torch.from_numpy(np.stack(frames)).to(device))
