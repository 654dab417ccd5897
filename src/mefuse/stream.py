"""Streaming: a bracket of any size through a network, slice by slice. Where numpy meets torch.

prefill: the whole bracket, small, goes through the network once and fills the attention cache.
glimpse: slices of the frames leave little on a grid of 8 px; a pyramid grows on their luma.
decode: slices of that become features and maps, with the cache as the only view of the whole.
blend: bands from 1/8 up are joined for the whole picture, then slice by slice the finest ones.

Every slice is read with the overlap that its arithmetic needs, so the fused pixels do not depend
on the slice size. It knows no path and no file but the model's weights by name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefuse import blend_cpu, weights
from mefuse.aligned import Aligned
from mefuse.bands import Bands
from mefuse.blend import (
    BANDS,
    COARSE_OVERLAP_PX,
    FINE,
    GRID,
    LOGITS,
    OVERLAP_PX,
    Maps,
    Pyramid,
    blend_coarse,
    build_pyramid,
)
from mefuse.blend_device import DeviceArithmetic
from mefuse.cache import AttentionCache, Bits
from mefuse.device import resolve_device
from mefuse.features import Glimpse, describe
from mefuse.models import Fused
from mefuse.models.ipl import Region
from mefuse.scratch import Scratch
from mefuse.slices import GRID_PX, Rect, slices_of
from mefuse.slicework import SliceWork

PREFILL_PX = 512  # longest side of the small bracket: enough to see the scene, 0.02 s on two cores
SLICE_PX = 512  # a slice of three frames and its arithmetic take about 30 MB
PREFILL_MULTIPLE_PX = 32  # its sides: two cells of the network, pooled by two
BAND_BYTES = 64 * 2**20  # of a band of the fused picture: 21 megapixels of 8 bits
REST_SLICES = 32  # after so many, arrays in files give their memory back
DECODE_FACTOR = 4  # features are 64 times fewer than pixels, and need a wider overlap


class Arithmetic(Protocol):
    """`blend.py` for one kind of device: the module `blend_cpu`, or a `DeviceArithmetic`."""

    def glimpse_frames(self, frames: Sequence[NDArray[Any]]) -> Glimpse:
        """What is kept of frames."""

    def blend_frames(
        self, frames: Sequence[NDArray[Any]], coarse: Tensor, maps: Maps, *, depth: int
    ) -> NDArray[Any]:
        """Fused pixels of frames."""


class Network(Protocol):
    """What streaming asks of a network; see `models.ipl.IPL`."""

    @property
    def overlap_px(self) -> int:
        """Pixels around a region that its maps depend on."""

    def prefill(self, features: Tensor, prior: Tensor, cache: AttentionCache) -> None:
        """Fills the cache from the whole bracket, small."""

    def decode(
        self, features: Tensor, prior: Tensor, region: Region, cache: AttentionCache
    ) -> Maps:
        """Maps of one region."""


class NetworkFuser:
    """A network on its device, ready to fuse brackets of any size.

    Args:
        name: the model's name, for reports.
        network: in evaluation mode; it is moved to `device`.
        device: where it runs.
        cache_bits: 8 or 4, or 32 for a cache that is not compressed.
        prefill_px: longest side of the whole bracket, small, that fills the cache.
        half: whether the network computes in half precision; None: on a GPU. Bands never do.
    """

    def __init__(
        self,
        name: str,
        network: torch.nn.Module,
        *,
        device: torch.device,
        cache_bits: Bits = 8,
        prefill_px: int = PREFILL_PX,
        half: bool | None = None,
    ) -> None:
        self.name = name
        self.device = str(device)
        self._device = device
        half = device.type == "cuda" if half is None else half
        self._dtype = torch.float16 if half else torch.float32
        self._network: Network = network.to(device, self._dtype)  # type: ignore[assignment]
        self._cache_bits: Bits = cache_bits
        self._prefill_px = prefill_px
        self._arithmetic: Arithmetic = (
            blend_cpu if device.type == "cpu" else DeviceArithmetic(device)
        )
        self._workers = (os.cpu_count() or 1) if device.type == "cpu" else 1

    @torch.inference_mode()
    def fuse(
        self,
        bracket: Aligned,
        *,
        depth: int,
        slice_size: int | None,
        on_slice: Callable[[int, int], None] | None,
        in_bands: bool = False,
    ) -> Fused:
        """Fuses a bracket; see `models.Fuser`."""
        size = slice_size or SLICE_PX
        whole = (bracket.padded.height, bracket.padded.width)
        slices = list(slices_of(*whole, size))
        wide = list(slices_of(*whole, size * DECODE_FACTOR))
        run = _Run(SliceWork(self.device, size), on_slice, 2 * len(slices) + len(wide))
        cache = AttentionCache(bits=self._cache_bits)
        self._prefill(bracket, cache)
        seen = self._glimpse(bracket, slices, run)
        pyramid = build_pyramid(seen.luma)
        maps = self._decode(seen, pyramid, wide, cache, run)
        coarse = blend_coarse(pyramid, maps)
        del seen, pyramid
        dtype = np.dtype(np.uint8 if depth == 8 else np.uint16)
        bands = Bands(
            (bracket.crop.height, bracket.crop.width, 3),
            dtype,
            lambda: self._blend(bracket, slices, (coarse, maps), dtype, run),
        )
        if in_bands:
            return Fused(np.empty((0, 0, 3), dtype), cache.nbytes, size, bands, run.work)
        return Fused(bands.whole(), cache.nbytes, size, work=run.work)

    def _prefill(self, bracket: Aligned, cache: AttentionCache) -> None:
        """Shows the network the whole bracket, small."""
        small = bracket.small(self._prefill_px, multiple_px=PREFILL_MULTIPLE_PX)
        seen = self._arithmetic.glimpse_frames(small)
        energies = build_pyramid(seen.luma).within(*_whole(seen.luma))
        features, prior = describe(seen, energies)
        self._network.prefill(features.to(self._dtype), prior.to(self._dtype), cache)

    def _glimpse(self, bracket: Aligned, slices: Sequence[Rect], run: _Run) -> Glimpse:
        """What is kept of the whole picture, on the grid of 8 px."""
        count, shape = (
            len(bracket.frames),
            (bracket.padded.height // GRID, bracket.padded.width // GRID),
        )
        whole = Glimpse(
            self._empty(run, (1, count, 3, *shape)),
            self._empty(run, (1, count, *shape)),
            self._empty(run, (1, count, FINE, *shape)),
        )

        def glimpse_slice(rect: Rect) -> None:
            grown = rect.grown(OVERLAP_PX, bracket.padded)
            here, inner = _cut(rect, GRID), _cut(_within(rect, grown), GRID)
            part = self._arithmetic.glimpse_frames(bracket.region(grown, keep=True))
            whole.colour[(..., *here)] = part.colour[(..., *inner)]
            whole.luma[(..., *here)] = part.luma[(..., *inner)]
            whole.energies[(..., *here)] = part.energies[(..., *inner)]

        for _ in self._each(run.work.of("glimpse", glimpse_slice), slices):
            run.tell()
        return whole

    def _decode(
        self,
        seen: Glimpse,
        pyramid: Pyramid,
        slices: Sequence[Rect],
        cache: AttentionCache,
        run: _Run,
    ) -> Maps:
        """The network's maps of the whole picture, slice by slice."""
        count, *shape = seen.luma.shape[1:]
        logits = self._empty(run, (1, count, LOGITS, *shape))
        gains = self._empty(run, (1, BANDS, *shape))
        whole = Rect(0, 0, shape[0] * GRID, shape[1] * GRID)
        overlap = -(-(self._network.overlap_px + COARSE_OVERLAP_PX) // GRID_PX) * GRID_PX

        def decode_slice(rect: Rect) -> None:
            grown = rect.grown(overlap, whole)
            here, inner = _cut(rect, GRID), _cut(_within(rect, grown), GRID)
            rows, columns = _cut(grown, GRID)
            part = Glimpse(
                *(x[..., rows, columns] for x in (seen.colour, seen.luma, seen.energies))
            )
            features, prior = describe(part, pyramid.within(rows, columns))
            maps = self._network.decode(
                features.to(self._dtype), prior.to(self._dtype), Region.of(grown, whole), cache
            )
            logits[(..., *here)] = maps.logits[(..., *inner)]
            gains[(..., *here)] = maps.gains[(..., *inner)]

        decode = run.work.of("decode", decode_slice)
        for rect in slices:
            decode(rect)
            run.tell()
        return Maps(logits, gains)

    def _blend(
        self,
        bracket: Aligned,
        slices: Sequence[Rect],
        decided: tuple[Tensor, Maps],
        dtype: np.dtype[Any],
        run: _Run,
    ) -> Iterator[NDArray[Any]]:
        """The fused pixels, slice by slice, in bands of full rows: (h, W, 3) uint8 or uint16."""
        coarse, maps = decided
        height, width = bracket.crop.height, bracket.crop.width
        for rows in _bands_of(slices, BAND_BYTES // (3 * dtype.itemsize * width)):
            first = rows[0].top
            band = np.empty((min(rows[-1].bottom, height) - first, width, 3), dtype)

            def blend_slice(rect: Rect, band: NDArray[Any] = band, first: int = first) -> None:
                grown = rect.grown(OVERLAP_PX, bracket.padded)
                cut = (..., *_cut(grown, GRID))
                part = Maps(maps.logits[cut], maps.gains[cut])
                pixels = self._arithmetic.blend_frames(
                    bracket.region(grown), coarse[cut], part, depth=dtype.itemsize * 8
                )
                target = band[rect.top - first : rect.bottom - first, rect.left : rect.right]
                inner = _within(rect, grown)
                down = slice(inner.top, inner.top + target.shape[0])
                target[...] = pixels[down, inner.left : inner.left + target.shape[1]]

            for _ in self._each(run.work.of("blend", blend_slice), rows):
                run.tell()
            yield band

    def _each(self, work: Callable[[Rect], None], slices: Iterable[Rect]) -> Iterator[None]:
        """Runs `work` on every slice, on all cores where the slices' arithmetic is the CPU's."""
        if self._workers == 1:
            yield from map(work, slices)
            return
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # slices run side by side; threads inside each would only contend
        try:
            with ThreadPoolExecutor(self._workers) as pool:
                yield from pool.map(torch.inference_mode()(work), slices)
        finally:
            cv2.setNumThreads(threads)

    def _empty(self, run: _Run, shape: tuple[int, ...]) -> Tensor:
        if self._device.type == "cpu":
            return torch.from_numpy(run.scratch.empty(shape))
        return torch.empty(shape, dtype=torch.float32, device=self._device)


def load_network_fuser(name: str, *, device: str) -> NetworkFuser:
    """The network of that name with the weights that ship with mefuse.

    Raises:
        DeviceError: the device is absent.
        WeightsError: the weights are missing or damaged.
    """
    return NetworkFuser(
        name, weights.load(weights.find(name)), device=torch.device(resolve_device(device))
    )


def _within(rect: Rect, outer: Rect) -> Rect:
    """`rect` in the coordinates of `outer`."""
    return Rect(rect.top - outer.top, rect.left - outer.left, rect.height, rect.width)


def _whole(grid: Tensor) -> tuple[slice, slice]:
    """All rows and columns of a grid."""
    return slice(0, grid.shape[-2]), slice(0, grid.shape[-1])


def _cut(rect: Rect, grid: int) -> tuple[slice, slice]:
    """Rows and columns of a rectangle on a coarser grid."""
    return (
        slice(rect.top // grid, rect.bottom // grid),
        slice(rect.left // grid, rect.right // grid),
    )


def _bands_of(slices: Sequence[Rect], most_rows: int) -> Iterator[Sequence[Rect]]:
    """Slices of one picture, in bands of full rows: of at most so many, or one row of slices."""
    start = 0
    for at, rect in enumerate(slices):
        if rect.top > slices[start].top and rect.bottom - slices[start].top > most_rows:
            yield slices[start:at]
            start = at
    yield slices[start:]


class _Run:
    """One bracket on its way: what its slices took, its large arrays, and whom to tell."""

    def __init__(
        self, work: SliceWork, on_slice: Callable[[int, int], None] | None, total: int
    ) -> None:
        self.work, self.scratch = work, Scratch()
        self._on_slice, self._done, self._total = on_slice, 0, total

    def tell(self) -> None:
        """Reports one slice more."""
        self._done += 1
        if self._done % REST_SLICES == 0:
            self.scratch.rest()
        if self._on_slice is not None:
            self._on_slice(self._done, self._total)
