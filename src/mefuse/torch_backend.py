"""What streaming asks of a GPU: the definitions in torch, frames up as stored, pixels back.

It runs on torch's CPU too, slower than `host/`: that is how tests hold the two together. Knows no
slice and no file.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefuse.blend import (
    blend_coarse,
    blend_fine,
    build_pyramid,
    decompose,
    to_rgb,
    weight_maps,
    within_gamut,
)
from mefuse.cache import AttentionCache
from mefuse.features import describe, glimpse
from mefuse.grid import Glimpse, Maps, Pyramid
from mefuse.models.ipl_config import Region
from mefuse.scratch import Scratch
from mefuse.slices import Rect

SLICE_BYTES_PER_PX = 256  # of each frame: its float32 planes, bands, energies and weights; a bound
SLICES_SHARE = 0.5  # of the free memory

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


class TorchBackend:
    """A network on a torch device; see `stream.Backend` for what its methods do.

    Args:
        network: in evaluation mode; it, or its copy in half precision, is moved to `device`.
        device: "cpu" or "cuda:N".
        half: whether the network computes in half precision; None: on a GPU. Bands never do.
    """

    def __init__(self, network: torch.nn.Module, *, device: str, half: bool | None = None) -> None:
        self.device = device
        self._device = torch.device(device)
        half = self._device.type == "cuda" if half is None else half
        self._dtype = torch.float16 if half else torch.float32
        self._trained = network  # as it came: half precision is a copy
        if half:
            network = copy.deepcopy(network)
        self._network = cast("Network", network.to(self._device, self._dtype))

    @property
    def overlap_px(self) -> int:
        """Pixels around a region that the network's maps depend on."""
        return self._network.overlap_px

    def fits(self, slice_px: int, count: int) -> bool:
        """Whether there is room for a slice of that side of so many frames."""
        if self._device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self._device)
        return slice_px**2 * count * SLICE_BYTES_PER_PX <= free * SLICES_SHARE

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
        """What is kept of frames."""
        rgb = uploaded(frames, self._device)
        return glimpse(rgb, decompose(rgb))

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
    def weight_maps(
        self, energies: Tensor, pyramid: Pyramid[Tensor], maps: Maps[Tensor]
    ) -> NDArray[Any]:
        """How much of the luma each frame gives."""
        return weight_maps(energies, pyramid, maps)[0].float().cpu().numpy()

    @torch.inference_mode()
    def blend_fine(
        self, frames: Sequence[NDArray[Any]], coarse: Tensor, maps: Maps[Tensor], *, depth: int
    ) -> NDArray[Any]:
        """The fused pixels of a region."""
        luma, chroma = blend_fine(decompose(uploaded(frames, self._device)), coarse, maps)
        full_scale, dtype = (255, np.uint8) if depth == 8 else (65535, np.uint16)
        rgb = to_rgb(luma, within_gamut(luma, chroma))[0].clamp(0, 1).mul(full_scale).round()
        return rgb.permute(1, 2, 0).cpu().numpy().astype(dtype)

    @torch.inference_mode()
    def is_finite(self, coarse: Tensor, maps: Maps[Tensor]) -> bool:
        """Whether the coarse bands and the maps are all finite numbers."""
        parts = (coarse, maps.logits, maps.gains)
        return all(bool(torch.isfinite(part).all()) for part in parts)

    def in_float32(self) -> TorchBackend | None:
        """The same network in float32; None where it computes in that already."""
        if self._dtype == torch.float32:
            return None
        return TorchBackend(self._trained, device=self.device, half=False)

    def each(self, work: Callable[[Rect], None], slices: Iterable[Rect]) -> Iterator[None]:
        """Runs `work` on every slice, one after the other: the device has its own threads."""
        yield from map(work, slices)


def uploaded(frames: Sequence[NDArray[Any]], device: torch.device) -> Tensor:
    """Frames (h, w, 3) uint8 or uint16 -> (1, N, 3, h, w) float32, 0..1, on the device."""
    full_scale = float(np.iinfo(frames[0].dtype).max)
    stacked = torch.from_numpy(np.stack(frames)).to(device)
    return stacked.permute(0, 3, 1, 2).float().div_(full_scale)[None]
