"""Streaming: a bracket of any size through a network, slice by slice.

prefill: the whole bracket, small, goes through the network once and fills the attention cache.
glimpse: slices of the frames leave little on a grid of 8 px; a pyramid grows on their luma.
decode: slices of that become features and maps, with the cache as the only view of the whole.
blend: bands from 1/8 up are joined for the whole picture, then slice by slice the finest ones.

A backend computes: numpy and OpenCV on the CPU, torch on a GPU. Every slice is read with the
overlap that its arithmetic needs, so the fused pixels do not depend on the slice size. It knows no
file but the model's weights by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mefuse import weights
from mefuse.aligned import Aligned
from mefuse.cache import AttentionCache, Bits
from mefuse.device import resolve_device
from mefuse.grid import (
    BANDS,
    COARSE_OVERLAP_PX,
    FINE,
    GRID,
    LOGITS,
    OVERLAP_PX,
    Cut,
    Glimpse,
    Maps,
    Pyramid,
    everything,
)
from mefuse.host.backend import HostBackend
from mefuse.models import Fused
from mefuse.models.ipl_config import Region
from mefuse.slices import GRID_PX, Rect, even_slices_of, slices_of
from mefuse.trust import ColourTrust

PREFILL_PX = 512  # longest side of the small bracket: enough to see the scene, 0.02 s on two cores
SLICE_PX = 512  # a slice of three frames and its arithmetic take about 30 MB
PREFILL_MULTIPLE_PX = 32  # its sides: two cells of the network, pooled by two
DECODE_FACTOR = 5  # features are 64 times fewer than pixels, and need a wider overlap

Array = Any  # of the backend: numpy's on the CPU, torch's on a GPU


class Backend(Protocol):
    """A network and the arithmetic around it on one device; arrays stay on it.

    Grids are (..., h, w), their leading dimensions as `grid.py` tells them.
    """

    @property
    def device(self) -> str:
        """What it runs on: "cpu" or "cuda:N"."""

    @property
    def overlap_px(self) -> int:
        """Pixels around a region that the network's maps depend on."""

    def empty(self, shape: tuple[int, ...]) -> Array:
        """A grid to be filled."""

    def to_host(self, grid: Array) -> NDArray[np.float32]:
        """A grid (..., h, w) of one bracket, in host memory."""

    def of_host(self, grid: NDArray[np.float32]) -> Array:
        """The inverse of `to_host`."""

    def glimpse(self, frames: Sequence[NDArray[Any]]) -> Glimpse[Array]:
        """What is kept of frames (H, W, 3) uint8 or uint16, sides multiples of 8."""

    def build_pyramid(self, luma: Array) -> Pyramid[Array]:
        """The bands from the grid of 8 px to the top."""

    def prefill(
        self,
        seen: Glimpse[Array],
        energies: Sequence[tuple[Array, Array]],
        cache: AttentionCache[Array],
    ) -> None:
        """Shows the network the whole bracket, small: fills the cache."""

    def decode(
        self,
        seen: Glimpse[Array],
        energies: Sequence[tuple[Array, Array]],
        region: Region,
        cache: AttentionCache[Array],
    ) -> Maps[Array]:
        """The network's maps of a region, from its glimpse and its part of the pyramid."""

    def blend_coarse(self, pyramid: Pyramid[Array], maps: Maps[Array]) -> Array:
        """The fused luma on the grid of 8 px."""

    def weight_maps(
        self, energies: Array, pyramid: Pyramid[Array], maps: Maps[Array]
    ) -> NDArray[Any]:
        """How much of the luma each frame gives: (N, h, w) float32 in host memory."""

    def blend_fine(
        self, frames: Sequence[NDArray[Any]], coarse: Array, maps: Maps[Array], *, depth: int
    ) -> NDArray[Any]:
        """The fused pixels (H, W, 3) of a region of that depth, from frames as for `glimpse`."""

    def each(self, work: Callable[[Rect], None], slices: Iterable[Rect]) -> Iterator[None]:
        """Runs `work` on every slice, in any order; yields when one more is done."""


class NetworkFuser:
    """A network on its device, ready to fuse brackets of any size.

    Args:
        name: the model's name, for reports.
        backend: the network on its device.
        cache_bits: 8 or 4, or 32 for a cache that is not compressed.
        prefill_px: longest side of the whole bracket, small, that fills the cache.
    """

    def __init__(
        self, name: str, backend: Backend, *, cache_bits: Bits = 8, prefill_px: int = PREFILL_PX
    ) -> None:
        self.name = name
        self.device = backend.device
        self._backend = backend
        self._cache_bits: Bits = cache_bits
        self._prefill_px = prefill_px

    def fuse(
        self,
        bracket: Aligned,
        *,
        depth: int,
        slice_size: int | None,
        on_slice: Callable[[int, int], None] | None,
        keep_weight_maps: bool = False,
    ) -> Fused:
        """Fuses a bracket; see `models.Fuser`."""
        size = slice_size or SLICE_PX
        whole = (bracket.padded.height, bracket.padded.width)
        slices = list(slices_of(*whole, size))
        wide = list(even_slices_of(*whole, size * DECODE_FACTOR))
        tell = _counter(on_slice, 2 * len(slices) + len(wide))
        cache: AttentionCache[Array] = AttentionCache(bits=self._cache_bits)
        self._prefill(bracket, cache)
        seen = self._glimpse(bracket, slices, tell)
        pyramid = self._backend.build_pyramid(seen.luma)
        maps = self._decode(seen, pyramid, wide, cache, tell)
        self._trust_colours(maps, seen, bracket)
        coarse = self._backend.blend_coarse(pyramid, maps)
        kept = None
        if keep_weight_maps:
            kept = self._backend.weight_maps(seen.energies, pyramid, maps)
        del seen, pyramid
        pixels = self._blend(bracket, slices, (coarse, maps), depth, tell)
        return Fused(pixels, cache.nbytes, size, kept)

    def _prefill(self, bracket: Aligned, cache: AttentionCache[Array]) -> None:
        """Shows the network the whole bracket, small."""
        small = bracket.small(self._prefill_px, multiple_px=PREFILL_MULTIPLE_PX)
        seen = self._backend.glimpse(small)
        energies = self._backend.build_pyramid(seen.luma).within(everything(seen.luma))
        self._backend.prefill(seen, energies, cache)

    def _glimpse(
        self, bracket: Aligned, slices: Sequence[Rect], tell: Callable[[], None]
    ) -> Glimpse[Array]:
        """What is kept of the whole picture, on the grid of 8 px."""
        count = len(bracket.frames)
        shape = (bracket.padded.height // GRID, bracket.padded.width // GRID)
        whole = Glimpse(
            self._backend.empty((count, 3, *shape)),
            self._backend.empty((count, *shape)),
            self._backend.empty((count, FINE, *shape)),
        )

        def glimpse_slice(rect: Rect) -> None:
            grown = rect.grown(OVERLAP_PX, bracket.padded)
            here, inner = _cut(rect), _cut(_within(rect, grown))
            part = self._backend.glimpse(bracket.region(grown, keep=True))
            whole.colour[(..., *here)] = part.colour[(..., *inner)]
            whole.luma[(..., *here)] = part.luma[(..., *inner)]
            whole.energies[(..., *here)] = part.energies[(..., *inner)]

        for _ in self._backend.each(glimpse_slice, slices):
            tell()
        return whole

    def _decode(
        self,
        seen: Glimpse[Array],
        pyramid: Pyramid[Array],
        slices: Sequence[Rect],
        cache: AttentionCache[Array],
        tell: Callable[[], None],
    ) -> Maps[Array]:
        """The network's maps of the whole picture, slice by slice."""
        count, *shape = seen.luma.shape[-3:]
        maps = Maps(
            self._backend.empty((count, LOGITS, *shape)), self._backend.empty((BANDS, *shape))
        )
        whole = Rect(0, 0, shape[0] * GRID, shape[1] * GRID)
        overlap = -(-(self._backend.overlap_px + COARSE_OVERLAP_PX) // GRID_PX) * GRID_PX

        def decode_slice(rect: Rect) -> None:
            grown = rect.grown(overlap, whole)
            here, inner, cut = _cut(rect), _cut(_within(rect, grown)), _cut(grown)
            part = self._backend.decode(
                seen.part(cut), pyramid.within(cut), Region.of(grown, whole), cache
            )
            maps.logits[(..., *here)] = part.logits[(..., *inner)]
            maps.gains[(..., *here)] = part.gains[(..., *inner)]

        for _ in self._backend.each(decode_slice, slices):
            tell()
        return maps

    def _trust_colours(self, maps: Maps[Array], seen: Glimpse[Array], bracket: Aligned) -> None:
        """Adds to the log weights of chroma how far each frame's colour is trusted."""
        luma = self._backend.to_host(seen.luma)
        finest = self._backend.to_host(seen.energies[..., 0, :, :])
        step = 1 / np.iinfo(bracket.frames[0].dtype).max
        added = ColourTrust.of(luma, finest, rounding=step).log_weights(luma)
        maps.logits[..., BANDS + 1, :, :] += self._backend.of_host(added)

    def _blend(
        self,
        bracket: Aligned,
        slices: Sequence[Rect],
        decided: tuple[Array, Maps[Array]],
        depth: int,
        tell: Callable[[], None],
    ) -> NDArray[Any]:
        """The fused pixels, slice by slice: (H, W, 3) uint8 or uint16."""
        coarse, maps = decided
        dtype = np.uint8 if depth == 8 else np.uint16
        fused = np.empty((bracket.crop.height, bracket.crop.width, 3), dtype)

        def blend_slice(rect: Rect) -> None:
            grown = rect.grown(OVERLAP_PX, bracket.padded)
            cut = _cut(grown)
            pixels = self._backend.blend_fine(
                bracket.region(grown), coarse[(..., *cut)], maps.part(cut), depth=depth
            )
            target = fused[rect.top : rect.bottom, rect.left : rect.right]
            inner = _within(rect, grown)
            rows = slice(inner.top, inner.top + target.shape[0])
            target[...] = pixels[rows, inner.left : inner.left + target.shape[1]]

        for _ in self._backend.each(blend_slice, slices):
            tell()
        return fused


def load_network_fuser(name: str, *, device: str, path: Path | None = None) -> NetworkFuser:
    """The network of that name on a device, with the weights that ship with mefuse or of a file.

    Raises:
        DeviceError: the device is absent.
        WeightsError: the weights are missing or damaged.
    """
    file = path or weights.find(name)
    there = resolve_device(device)
    if there == "cpu":
        return NetworkFuser(name, HostBackend.of(weights.read(file)))
    from mefuse.torch_backend import TorchBackend

    return NetworkFuser(name, TorchBackend(weights.load(file), device=there))


def _within(rect: Rect, outer: Rect) -> Rect:
    """`rect` in the coordinates of `outer`."""
    return Rect(rect.top - outer.top, rect.left - outer.left, rect.height, rect.width)


def _cut(rect: Rect) -> Cut:
    """Rows and columns of a rectangle on the grid of 8 px."""
    return (
        slice(rect.top // GRID, rect.bottom // GRID),
        slice(rect.left // GRID, rect.right // GRID),
    )


def _counter(on_slice: Callable[[int, int], None] | None, total: int) -> Callable[[], None]:
    """A function that reports one slice more at each call."""
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if on_slice is not None:
            on_slice(done, total)

    return tell
