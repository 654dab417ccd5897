"""Streaming from coarse to fine: brackets of any size through a network of levels, by slices.

prefill: the network sees the whole bracket, small, once.
halving: slices of the frames leave their luma at half size; coarser levels follow from that.
fusing: from the top down every level is fused slice by slice, the pixels last, with their colour.

A slice of a level is read with the overlap that its arithmetic needs, and the fused luma of the
level above it is there as a whole, so the fused pixels do not depend on the slice size. Of luma,
half size and coarser are held: a third of the bytes of the frames' pixels in float32. It knows no
network by name, no path and no file but the model's weights by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefuse import weights
from mefuse.aligned import Aligned
from mefuse.bands import Bands
from mefuse.blend import luma_chroma, to_rgb, within_gamut
from mefuse.cache import AttentionCache
from mefuse.device import resolve_device
from mefuse.errors import ResultError
from mefuse.levels import (
    VIEW_PX,
    Cache,
    LevelNetwork,
    build_levels,
    fuse_chroma,
    power_shares,
    smaller,
    view_of,
)
from mefuse.models import Fused
from mefuse.slices import Rect, slices_of
from mefuse.torch_backend import uploaded

PREFILL_PX = 256  # longest side of the small bracket: training shows networks 128 to 384 px
SLICE_PX = 512  # a slice of two frames and its arithmetic take about 150 MB


class LevelFuser:
    """A network of levels on its device, ready to fuse brackets of any size.

    Args:
        name: the model's name, for reports.
        network: a `levels.LevelNetwork` in evaluation mode; it is moved to `device`.
        device: where it runs.
    """

    def __init__(self, name: str, network: torch.nn.Module, *, device: torch.device) -> None:
        self.name = name
        self.device = str(device)
        self._device = device
        self._network = cast("LevelNetwork", network.to(device))
        overlap = VIEW_PX + self._network.overlap_px
        self._overlap_px = overlap + overlap % 2  # even, so that it has a half

    @torch.inference_mode()
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
        """Fuses a bracket, in float32 on every device; see `models.Fuser`.

        Raises:
            ResultError: the network gave no numbers.
        """
        size = slice_size or SLICE_PX
        cache: Cache = AttentionCache()
        small = uploaded(bracket.small(PREFILL_PX, multiple_px=2), self._device)
        self._network.prefill(luma_chroma(small)[0], cache)
        sizes = _sizes(bracket.padded)
        slices = [list(slices_of(rect.height, rect.width, size)) for rect in sizes]
        tell = _counter(on_slice, len(slices[0]) + sum(map(len, slices)))
        levels = build_levels(self._halved(bracket, slices[0], tell))
        kept = _weight_maps(bracket, levels) if keep_weight_maps else None
        fused = levels[-1].mean(1)
        for index in reversed(range(1, len(levels))):
            coarser = (levels[index], fused)
            fused = self._fuse_level(
                levels[index - 1], coarser, index, slices=slices[index], cache=cache, tell=tell
            )
        pixels = self._fuse_pixels(
            bracket, (levels[0], fused), depth, slices=slices[0], cache=cache, tell=tell
        )
        if in_bands:
            bands = Bands(pixels.shape, pixels.dtype, lambda: iter([pixels]))
            return Fused(pixels[:0], cache.nbytes, size, kept, bands)
        return Fused(pixels, cache.nbytes, size, kept)

    def _halved(self, bracket: Aligned, slices: Sequence[Rect], tell: Callable[[], None]) -> Tensor:
        """The frames' luma at half size: (1, N, H/2, W/2)."""
        padded = bracket.padded
        shape = (1, len(bracket.frames), padded.height // 2, padded.width // 2)
        whole = torch.empty(shape, device=self._device)
        for rect in slices:
            grown = rect.grown(self._overlap_px, padded)
            luma, _ = luma_chroma(uploaded(bracket.region(grown, keep=True), self._device))
            part = smaller(luma)[(..., *_cut(rect.inside(grown), 2))]
            whole[(..., *_cut(rect, 2))] = part
            tell()
        return whole

    def _fuse_level(
        self,
        luma: Tensor,
        coarser: tuple[Tensor, Tensor],
        index: int,
        *,
        slices: Sequence[Rect],
        cache: Cache,
        tell: Callable[[], None],
    ) -> Tensor:
        """Fused luma (1, h, w) of a level of the frames' luma (1, N, h, w); see `_fuse_part`."""
        whole = Rect(0, 0, luma.shape[-2], luma.shape[-1])
        fused = torch.empty((1, whole.height, whole.width), device=self._device)
        for rect in slices:
            grown = rect.grown(self._overlap_px, whole)
            part = self._fuse_part(luma[(..., *_cut(grown, 1))], coarser, grown, index, cache)
            fused[(..., *_cut(rect, 1))] = part[(..., *_cut(rect.inside(grown), 1))]
            tell()
        return fused

    def _fuse_pixels(
        self,
        bracket: Aligned,
        coarser: tuple[Tensor, Tensor],
        depth: int,
        *,
        slices: Sequence[Rect],
        cache: Cache,
        tell: Callable[[], None],
    ) -> NDArray[Any]:
        """The fused pixels: (H, W, 3) uint8 or uint16."""
        crop, padded = bracket.crop, bracket.padded
        largest, dtype = (255, np.uint8) if depth == 8 else (65535, np.uint16)
        fused = np.empty((crop.height, crop.width, 3), dtype)
        for rect in slices:
            grown = rect.grown(self._overlap_px, padded)
            frames = uploaded(bracket.region(grown), self._device)
            luma = self._fuse_part(luma_chroma(frames)[0], coarser, grown, 0, cache)
            self._check_numbers(luma)
            inner = (..., *_cut(rect.inside(grown), 1))
            rgb = _coloured(luma[inner], frames[inner]).mul_(largest).round_()
            target = fused[rect.top : rect.bottom, rect.left : rect.right]
            pixels = rgb[0].permute(1, 2, 0).cpu().numpy()
            target[...] = pixels[: target.shape[0], : target.shape[1]].astype(dtype)
            tell()
        return fused

    def _check_numbers(self, luma: Tensor) -> None:
        """Refuses what is no number: a level's shows in every finer one, and so in the pixels."""
        if not bool(torch.isfinite(luma).all()):
            raise ResultError(
                f"the model {self.name} gave no numbers for this bracket, nothing was written; "
                "try --model mertens"
            )

    def _fuse_part(
        self,
        luma: Tensor,
        coarser: tuple[Tensor, Tensor],
        rect: Rect,
        index: int,
        cache: Cache,
    ) -> Tensor:
        """Fused luma (1, h, w) of frames (1, N, h, w) at a rectangle of a level.

        `coarser` is the next level's luma of the frames, and its fused luma, both whole.
        """
        cut = (..., *_cut(rect, 2))
        view = view_of(luma, coarser[0][cut], coarser[1][cut], index=index)
        return view.so_far + view.strength * self._network.decode(view, cache)


def load_level_fuser(name: str, *, device: str, path: Path | None = None) -> LevelFuser:
    """The network of that name on a device, with the weights that ship with mefuse or of a file.

    Raises:
        DeviceError: the device is absent.
        WeightsError: the weights are missing or damaged.
    """
    network = weights.load(path or weights.find(name), model=name)
    return LevelFuser(name, network, device=torch.device(resolve_device(device)))


def _weight_maps(bracket: Aligned, levels: Sequence[Tensor]) -> NDArray[np.float32]:
    """How much each frame gives where, of the crop without its padding: (N, h, w)."""
    shares = power_shares(levels)[0].float().cpu().numpy()
    crop, padded = bracket.crop, bracket.padded
    height = -(-crop.height * shares.shape[1] // padded.height)
    width = -(-crop.width * shares.shape[2] // padded.width)
    return np.asarray(shares[:, :height, :width], np.float32)


def _coloured(luma: Tensor, frames: Tensor) -> Tensor:
    """RGB (1, 3, h, w), 0..1, of fused luma and the frames' colour."""
    chroma = fuse_chroma(luma_chroma(frames)[1])
    return to_rgb(luma, within_gamut(luma, chroma)).clamp_(0, 1)


def _sizes(whole: Rect) -> list[Rect]:
    """The levels of a picture, without the top, where a side is 1 px."""
    sizes = []
    while min(whole.height, whole.width) > 1:
        sizes.append(whole)
        whole = Rect(0, 0, -(-whole.height // 2), -(-whole.width // 2))
    return sizes


def _cut(rect: Rect, grid: int) -> tuple[slice, slice]:
    """Rows and columns of a rectangle on a coarser grid, where odd sides are rounded up."""
    return (
        slice(rect.top // grid, -(-rect.bottom // grid)),
        slice(rect.left // grid, -(-rect.right // grid)),
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
