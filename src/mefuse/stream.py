"""Streaming: a bracket of any size through a network, slice by slice.

prefill: the whole bracket, small, goes through the network once and fills the attention cache.
glimpse: slices of the frames leave little on a grid of 8 px; a pyramid grows on their luma.
decode: slices of that become features and maps, with the cache as the only view of the whole.
blend: bands from 1/8 up are joined and refined for the whole picture, then come the finest ones.

A backend computes: numpy and OpenCV on the CPU, torch on a GPU. Every slice is read with the
overlap that its arithmetic needs, so the fused pixels do not depend on the slice size. It knows no
file but the model's weights by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mefuse import weights
from mefuse.aligned import Aligned
from mefuse.bands import Bands
from mefuse.cache import AttentionCache, Bits
from mefuse.device import resolve_device
from mefuse.errors import ResultError
from mefuse.grid import (
    BANDS,
    CHROMA,
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
from mefuse.rules import add_trust, as_learned, refined
from mefuse.scratch import Scratch
from mefuse.slices import GRID_PX, Rect, even_slices_of, slices_of
from mefuse.slicework import SliceWork, Span

PREFILL_PX = 512  # longest side of the small bracket: enough to see the scene, 0.02 s on two cores
PREFILL_MULTIPLE_PX = 32  # its sides: two cells of the network, pooled by two
BAND_BYTES = 64 * 2**20  # of a band of the fused picture: 21 megapixels of 8 bits
REST_SLICES = 32  # after so many, arrays in files give their memory back
OVERFLOWED = "half precision overflowed, fused again in float32"
DECODE_FACTOR = 4  # features are 64 times fewer than pixels, and need a wider overlap
DECODE_PX = 4096  # beyond, a wider slice saves no overlap worth its memory

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

    @property
    def slice_px(self) -> int:
        """The largest side of slices that pays."""

    def fits(self, height: int, width: int, count: int) -> bool:
        """Whether there is room for slices of those sides of so many frames, as many as at once."""

    def empty(self, shape: tuple[int, ...], scratch: Scratch) -> Array:
        """A grid to be filled; in host memory, of what `scratch` gives."""

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

    def refine(self, coarse: Array, seen: Glimpse[Array]) -> Array:
        """That luma, in agreement with the structure of the frames' (N, h, w)."""

    def weight_maps(
        self, energies: Array, pyramid: Pyramid[Array], maps: Maps[Array]
    ) -> NDArray[Any]:
        """How much of the luma each frame gives: (N, h, w) float32 in host memory."""

    def blend_fine(
        self,
        frames: Sequence[NDArray[Any]],
        coarse: Array,
        maps: Maps[Array],
        *,
        depth: int,
        into: Callable[[NDArray[Any]], None],
    ) -> None:
        """Hands the fused pixels (H, W, 3) of a region of that depth, of frames as for `glimpse`.

        `into` is called with them before `each` ends; they are overwritten later on.
        """

    def is_finite(self, coarse: Array, maps: Maps[Array]) -> bool:
        """Whether the coarse bands and the maps are all finite numbers."""

    def in_float32(self) -> Backend | None:
        """The same network in float32; None where it computes in that already."""

    def each(self, work: Callable[[Rect], None], slices: Iterable[Rect]) -> Iterator[None]:
        """Runs `work` on every slice, in any order; yields when one more is done."""

    def spans(self) -> list[Span]:
        """What a device did beside the host since this was last asked for."""


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
        in_bands: bool = False,
    ) -> Fused:
        """Fuses a bracket; see `models.Fuser`."""
        size = slice_size or self._fitting_px(bracket)
        whole = (bracket.padded.height, bracket.padded.width)
        slices = list(slices_of(*whole, size))
        wide = list(even_slices_of(*whole, max(size, min(size * DECODE_FACTOR, DECODE_PX))))
        total = 2 * len(slices) + len(wide)
        run = _Run(SliceWork(self.device, size), on_slice, total, icc=bracket.icc)
        cache: AttentionCache[Array] = AttentionCache(bits=self._cache_bits)
        self._backend.spans()  # of a picture that failed
        self._prefill(bracket, cache)
        seen = self._glimpse(bracket, slices, run)
        bracket.rest()
        run.scratch.rest()
        pyramid = self._backend.build_pyramid(seen.luma)
        maps = self._decode(seen, pyramid, wide, cache, run)
        add_trust(maps, seen, bracket, self._backend)
        coarse = self._backend.blend_coarse(pyramid, maps)
        coarse = refined(coarse, seen, bracket.icc, self._backend)
        if not self._backend.is_finite(coarse, maps):
            again = self._in_float32()
            fused = again.fuse(
                bracket, depth=depth, slice_size=slice_size, on_slice=on_slice,
                keep_weight_maps=keep_weight_maps, in_bands=in_bands,
            )  # fmt: skip
            return replace(fused, warnings=(*fused.warnings, OVERFLOWED))
        weigh = self._backend.weight_maps
        kept = weigh(seen.energies, pyramid, maps) if keep_weight_maps else None
        del seen, pyramid
        run.scratch.rest()
        dtype = np.dtype(np.uint8 if depth == 8 else np.uint16)
        shape = (bracket.crop.height, bracket.crop.width, 3)
        decided = (coarse, maps)
        bands = Bands(shape, dtype, lambda: self._blend(bracket, slices, decided, dtype, run))
        if in_bands:
            return Fused(np.empty((0, 0, 3), dtype), cache.nbytes, size, kept, bands, run.work)
        return Fused(bands.whole(), cache.nbytes, size, kept, work=run.work)

    def _fitting_px(self, bracket: Aligned) -> int:
        """The slices' side for a bracket, by what is free on the device."""
        size, whole = self._backend.slice_px, bracket.padded
        while size > GRID_PX:
            height, width = (min(size + 2 * OVERLAP_PX, s) for s in (whole.height, whole.width))
            if self._backend.fits(height, width, len(bracket.frames)):
                break
            size = max(size // (2 * GRID_PX), 1) * GRID_PX
        return size

    def _in_float32(self) -> NetworkFuser:
        """The same network without half precision, whose numbers end at 65,504.

        Raises:
            ResultError: it was float32 that gave no numbers.
        """
        deeper = self._backend.in_float32()
        if deeper is None:
            raise ResultError(
                f"the model {self.name} gave no numbers for this bracket, nothing was written; "
                "try --model mertens"
            )
        return NetworkFuser(
            self.name, deeper, cache_bits=self._cache_bits, prefill_px=self._prefill_px
        )

    def _prefill(self, bracket: Aligned, cache: AttentionCache[Array]) -> None:
        """Shows the network the whole bracket, small."""
        small = bracket.small(self._prefill_px, multiple_px=PREFILL_MULTIPLE_PX)
        seen = self._backend.glimpse(small)
        energies = self._backend.build_pyramid(seen.luma).within(everything(seen.luma))
        shown, _ = as_learned(seen, bracket.icc, self._backend)
        self._backend.prefill(shown, energies, cache)

    def _glimpse(self, bracket: Aligned, slices: Sequence[Rect], run: _Run) -> Glimpse[Array]:
        """What is kept of the whole picture, on the grid of 8 px."""
        count = len(bracket.frames)
        shape = (bracket.padded.height // GRID, bracket.padded.width // GRID)
        whole = Glimpse(
            self._backend.empty((count, 3, *shape), run.scratch),
            self._backend.empty((count, *shape), run.scratch),
            self._backend.empty((count, FINE, *shape), run.scratch),
        )

        def glimpse_slice(rect: Rect) -> None:
            grown = rect.grown(OVERLAP_PX, bracket.padded)
            here, inner = _cut(rect), _cut(rect.inside(grown))
            part = self._backend.glimpse(bracket.region(grown, keep=True))
            whole.colour[(..., *here)] = part.colour[(..., *inner)]
            whole.luma[(..., *here)] = part.luma[(..., *inner)]
            whole.energies[(..., *here)] = part.energies[(..., *inner)]

        for _ in self._backend.each(run.work.of("glimpse", glimpse_slice), slices):
            run.tell()
        return whole

    def _decode(
        self,
        seen: Glimpse[Array],
        pyramid: Pyramid[Array],
        slices: Sequence[Rect],
        cache: AttentionCache[Array],
        run: _Run,
    ) -> Maps[Array]:
        """The network's maps of the whole picture, slice by slice."""
        count, *shape = seen.luma.shape[-3:]
        maps = Maps(
            self._backend.empty((count, LOGITS, *shape), run.scratch),
            self._backend.empty((BANDS, *shape), run.scratch),
        )
        whole = Rect(0, 0, shape[0] * GRID, shape[1] * GRID)
        overlap = -(-(self._backend.overlap_px + COARSE_OVERLAP_PX) // GRID_PX) * GRID_PX

        def decode_slice(rect: Rect) -> None:
            grown = rect.grown(overlap, whole)
            here, inner, cut = _cut(rect), _cut(rect.inside(grown)), _cut(grown)
            shown, added = as_learned(seen.part(cut), run.icc, self._backend)
            part = self._backend.decode(shown, pyramid.within(cut), Region.of(grown, whole), cache)
            maps.logits[(..., *here)] = part.logits[(..., *inner)]
            if added is not None:
                maps.logits[(..., CHROMA, *here)] += added[(..., *inner)]
            maps.gains[(..., *here)] = part.gains[(..., *inner)]

        for _ in self._backend.each(run.work.of("decode", decode_slice), slices):
            run.scratch.rest()  # these slices are wide: each passes over much of the maps
            run.tell()
        return maps

    def _blend(
        self,
        bracket: Aligned,
        slices: Sequence[Rect],
        decided: tuple[Array, Maps[Array]],
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
                cut = _cut(grown)
                target = band[rect.top - first : rect.bottom - first, rect.left : rect.right]
                inner = rect.inside(grown)

                def put(pixels: NDArray[Any]) -> None:
                    down = slice(inner.top, inner.top + target.shape[0])
                    target[...] = pixels[down, inner.left : inner.left + target.shape[1]]

                self._backend.blend_fine(
                    bracket.region(grown),
                    coarse[(..., *cut)],
                    maps.part(cut),
                    depth=dtype.itemsize * 8,
                    into=put,
                )

            for _ in self._backend.each(run.work.of("blend", blend_slice), rows):
                run.tell()
            run.work.spans.extend(self._backend.spans())
            yield band


def load_network_fuser(name: str, *, device: str, path: Path | None = None) -> NetworkFuser:
    """The network of that name on a device, with the weights that ship with mefuse or of a file.

    Raises:
        DeviceError: the device is absent.
        WeightsError: the weights are missing or damaged.
    """
    file = path or weights.find(name)
    there = resolve_device(device)
    if there == "cpu":
        return NetworkFuser(name, HostBackend.of(weights.read(file, model=name)))
    from mefuse.torch_backend import TorchBackend

    return NetworkFuser(name, TorchBackend(weights.load(file, model=name), device=there))


def _cut(rect: Rect) -> Cut:
    """Rows and columns of a rectangle on the grid of 8 px."""
    return (
        slice(rect.top // GRID, rect.bottom // GRID),
        slice(rect.left // GRID, rect.right // GRID),
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
    """One bracket on its way: its profile, what its slices took, its large arrays, whom to tell."""

    def __init__(
        self,
        work: SliceWork,
        on_slice: Callable[[int, int], None] | None,
        total: int,
        *,
        icc: bytes | None,
    ) -> None:
        self.work, self.scratch, self.icc = work, Scratch(), icc
        self._on_slice, self._done, self._total = on_slice, 0, total

    def tell(self) -> None:
        """Reports one slice more."""
        self._done += 1
        if self._done % REST_SLICES == 0:
            self.scratch.rest()
        if self._on_slice is not None:
            self._on_slice(self._done, self._total)
