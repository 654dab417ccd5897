"""What streaming asks of a CPU: the host's arithmetic, slices side by side on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from mefuse.cache import AttentionCache
from mefuse.grid import Glimpse, Maps, Pyramid
from mefuse.host.blend import blend_fine
from mefuse.host.features import describe, glimpse
from mefuse.host.ipl import IPL
from mefuse.host.planes import Plane, Planes
from mefuse.host.pyramid import blend_coarse, build_pyramid, weight_maps
from mefuse.host.refine import refine
from mefuse.memory import available_memory_bytes
from mefuse.models.ipl_config import Region
from mefuse.scratch import Scratch, let_go
from mefuse.slices import Rect
from mefuse.slicework import Span
from mefuse.threads import WhileNeeded, opencv_on_one_thread
from mefuse.weights import Weights

SLICE_BYTES_PER_PX = 32  # of each frame, with all its arithmetic: 45 MB for 640 px and three frames
SLICES_SHARE = 0.5  # of the free memory for slices; the rest is for what comes with them

Energies = Sequence[tuple[Planes, Planes]]


class Network(Protocol):
    """What a network of the host does; see `host.ipl.IPL`."""

    @property
    def overlap_px(self) -> int:
        """Pixels around a region that its maps depend on."""

    def prefill(self, features: Planes, prior: Planes, cache: AttentionCache[Planes]) -> None:
        """Fills the cache from the whole bracket, small."""

    def decode(
        self, features: Planes, prior: Planes, region: Region, cache: AttentionCache[Planes]
    ) -> Maps[Planes]:
        """Maps of one region."""


class HostBackend:
    """A network on the CPU; see `stream.Backend` for what its methods do."""

    device = "cpu"
    slice_px = 640  # three frames and their arithmetic take about 45 MB

    def __init__(self, network: Network) -> None:
        self._network = network
        self._workers = os.cpu_count() or 1

    @staticmethod
    def of(weights: Weights) -> HostBackend:
        """The network that these weights are of.

        Raises:
            WeightsError: the arrays do not fit the config.
        """
        try:
            return HostBackend(IPL(weights.config, weights.arrays))
        except ValueError as err:
            raise weights.misfit(err) from err

    @property
    def overlap_px(self) -> int:
        """Pixels around a region that the network's maps depend on."""
        return self._network.overlap_px

    def fits(self, height: int, width: int, count: int) -> bool:
        """Whether there is room for slices of those sides of so many frames, one per core."""
        free = available_memory_bytes()
        need = height * width * count * SLICE_BYTES_PER_PX * self._workers
        return free is None or need <= free * SLICES_SHARE

    def empty(self, shape: tuple[int, ...], scratch: Scratch) -> Planes:
        """A grid to be filled."""
        return scratch.empty(shape)

    def to_host(self, grid: Planes) -> Planes:
        """The grid itself."""
        return grid

    def of_host(self, grid: Planes) -> Planes:
        """The grid itself."""
        return grid

    def glimpse(self, frames: Sequence[NDArray[Any]]) -> Glimpse[Planes]:
        """What is kept of frames."""
        return glimpse(frames)

    def build_pyramid(self, luma: Planes) -> Pyramid[Planes]:
        """The bands from the grid of 8 px to the top."""
        return build_pyramid(luma)

    def prefill(
        self, seen: Glimpse[Planes], energies: Energies, cache: AttentionCache[Planes]
    ) -> None:
        """Shows the network the whole bracket, small."""
        with _one_thread_each():
            self._network.prefill(*describe(seen, energies), cache)

    def decode(
        self,
        seen: Glimpse[Planes],
        energies: Energies,
        region: Region,
        cache: AttentionCache[Planes],
    ) -> Maps[Planes]:
        """The network's maps of a region."""
        return self._network.decode(*describe(seen, energies), region, cache)

    def blend_coarse(self, pyramid: Pyramid[Planes], maps: Maps[Planes]) -> Plane:
        """The fused luma on the grid of 8 px."""
        return blend_coarse(pyramid, maps)

    def refine(self, coarse: Plane, seen: Glimpse[Planes]) -> Plane:
        """The fused luma in agreement with the frames' structure."""
        return refine(coarse, seen.luma, seen.colour)

    def weight_maps(
        self, energies: Planes, pyramid: Pyramid[Planes], maps: Maps[Planes]
    ) -> NDArray[Any]:
        """How much of the luma each frame gives."""
        return weight_maps(energies, pyramid, maps)

    def blend_fine(
        self,
        frames: Sequence[NDArray[Any]],
        coarse: Plane,
        maps: Maps[Planes],
        *,
        depth: int,
        into: Callable[[NDArray[Any]], None],
    ) -> None:
        """Hands the fused pixels of a region to `into`."""
        into(blend_fine(frames, coarse, maps, depth=depth))

    def is_finite(self, coarse: Plane, maps: Maps[Planes]) -> bool:
        """Whether the coarse bands and the maps are all finite numbers."""
        return all(map(_all_finite, (coarse, *maps.logits, maps.gains)))

    def in_float32(self) -> None:
        """Nothing: this is float32 already."""

    def each(self, work: Callable[[Rect], None], slices: Iterable[Rect]) -> Iterator[None]:
        """Runs `work` on every slice, side by side on all cores."""
        with _one_thread_each(), ThreadPoolExecutor(self._workers) as pool:
            yield from pool.map(work, slices)

    def spans(self) -> list[Span]:
        """Nothing: the slices' own time is all there is."""
        return []


@cache
def _libraries() -> ThreadpoolController:
    """The libraries that numpy has loaded; looking for them takes some milliseconds."""
    return ThreadpoolController()


@contextmanager
def _on_one_thread() -> Iterator[None]:
    with opencv_on_one_thread(), _libraries().limit(limits=1, user_api="blas"):
        yield


# OpenCV and numpy's BLAS on one thread: more inside each slice would only contend.
_one_thread_each = WhileNeeded(_on_one_thread)


def _all_finite(planes: Planes) -> bool:
    """Whether planes (..., h, w) are all finite numbers; large ones plane by plane."""
    for place in np.ndindex(planes.shape[:-2]):
        if not np.isfinite(planes[place]).all():
            return False
        let_go(planes)
    return True
