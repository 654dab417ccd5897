"""Streaming: a bracket of any size through a network, slice by slice. Where numpy meets torch.

prefill: the whole bracket, small, goes through the network once and fills the attention cache.
sense: slices of the frames become features on a grid of 8 px.
decode: slices of the features become maps, with the cache as the only view of the whole.
blend: bands from 1/8 up are joined for the whole picture, then slice by slice the finest ones.

Every slice is read with the overlap that its arithmetic needs, so the fused pixels do not depend
on the slice size. It knows no path and no file but the model's weights by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mefuse import weights
from mefuse.blend import (
    BANDS,
    FEATURES,
    GRID,
    LOGITS,
    OVERLAP_PX,
    Maps,
    blend_coarse,
    blend_fine,
    decompose,
    sense,
    to_rgb,
)
from mefuse.cache import AttentionCache, Bits
from mefuse.device import resolve_device
from mefuse.models import Fused
from mefuse.models.ipl import IPL, Region
from mefuse.slices import GRID_PX, Rect, slices_of
from mefuse.warp import warp_region

PREFILL_PX = 512  # longest side of the small bracket: enough to see the scene, 0.02 s on two cores
SLICE_PX = 1024  # a slice of three frames and its arithmetic take about 200 MB


@dataclass(frozen=True, slots=True, eq=False)
class _Bracket:
    """Aligned frames, read region by region, in a picture padded to the grid."""

    frames: Sequence[NDArray[Any]]
    transforms: Sequence[NDArray[np.float64]]
    crop: Rect
    device: torch.device

    @property
    def padded(self) -> Rect:
        """The fused picture, its sides rounded up to the grid."""
        height, width = (
            -(-side // GRID_PX) * GRID_PX for side in (self.crop.height, self.crop.width)
        )
        return Rect(0, 0, height, width)

    def region(self, rect: Rect) -> Tensor:
        """Frames at `rect` of the padded picture: (1, N, 3, h, w), 0..1; borders repeated."""
        inside = Rect(0, 0, self.crop.height, self.crop.width)
        part = rect.grown(0, inside)
        place = Rect(part.top + self.crop.top, part.left + self.crop.left, part.height, part.width)
        frames = [
            warp_region(frame, transform, place)
            for frame, transform in zip(self.frames, self.transforms, strict=True)
        ]
        pixels = self._to_tensor(frames)
        below, right = rect.height - part.height, rect.width - part.width
        if below or right:
            pixels = F.pad(pixels[0], (0, right, 0, below), mode="replicate")[None]
        return pixels

    def small(self) -> Tensor:
        """The whole picture, reduced to at most PREFILL_PX, sides a multiple of 32 px."""
        crop = self.crop
        scale = min(1.0, PREFILL_PX / max(crop.height, crop.width))
        height, width = (
            max(round(side * scale / 32), 2) * 32 for side in (crop.height, crop.width)
        )
        to_reference = _scaling(crop.width / width, crop.height / height)
        to_reference[:2, 2] += crop.left, crop.top
        frames = []
        for frame, transform in zip(self.frames, self.transforms, strict=True):
            rows = max(round(frame.shape[0] * height / crop.height), 1)
            columns = max(round(frame.shape[1] * width / crop.width), 1)
            reduced = cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA)
            to_small = _scaling(columns / frame.shape[1], rows / frame.shape[0])
            matrix = to_small @ transform @ to_reference
            frames.append(warp_region(reduced, matrix, Rect(0, 0, height, width)))
        return self._to_tensor(frames)

    def _to_tensor(self, frames: Sequence[NDArray[Any]]) -> Tensor:
        """Frames (h, w, 3) uint8 or uint16 -> (1, N, 3, h, w) float32, 0..1, on the device."""
        full_scale = float(np.iinfo(frames[0].dtype).max)
        stacked = torch.from_numpy(np.stack(frames)).to(self.device)
        return stacked.permute(0, 3, 1, 2).float().div_(full_scale)[None]


def _scaling(x: float, y: float) -> NDArray[np.float64]:
    """Scales pixel areas: the matrix for pixel centres at integers."""
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]], dtype=np.float64)


class NetworkFuser:
    """A network on its device, ready to fuse brackets of any size.

    Args:
        name: the model's name, for reports.
        network: in evaluation mode; it is moved to `device`, in half precision on a GPU.
        device: where it runs.
        cache_bits: 8, or 32 for a cache that is not compressed.
    """

    def __init__(
        self, name: str, network: IPL, *, device: torch.device, cache_bits: Bits = 8
    ) -> None:
        self.name = name
        self.device = str(device)
        self._device = device
        self._dtype = torch.float16 if device.type == "cuda" else torch.float32
        self._network = network.to(device, self._dtype)
        self._cache_bits: Bits = cache_bits

    @torch.inference_mode()
    def fuse(
        self,
        frames: Sequence[NDArray[Any]],
        *,
        transforms: Sequence[NDArray[np.float64]],
        crop: Rect,
        reference: int,  # noqa: ARG002 - this network treats all frames alike
        depth: int,
        slice_size: int | None,
        on_slice: Callable[[int, int], None] | None,
    ) -> Fused:
        """Fuses a bracket; see `models.Fuser`."""
        bracket = _Bracket(frames, transforms, crop, self._device)
        size = slice_size or SLICE_PX
        slices = list(slices_of(bracket.padded.height, bracket.padded.width, size))
        tell = _counter(on_slice, 3 * len(slices))
        cache = AttentionCache(bits=self._cache_bits)
        small = bracket.small()
        self._network.prefill(*self._sensed(small), cache)
        features, prior, luma = self._sense(bracket, slices, tell)
        maps = self._decode(features, prior, slices, cache, tell)
        del features, prior
        coarse = blend_coarse(luma, maps)
        pixels = self._blend(bracket, slices, (coarse, maps), depth, tell)
        return Fused(pixels, cache.nbytes, size)

    def _sensed(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Features and prior in the network's precision."""
        features, prior = sense(rgb, decompose(rgb))
        return features.to(self._dtype), prior.to(self._dtype)

    def _sense(
        self, bracket: _Bracket, slices: Sequence[Rect], tell: Callable[[], None]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features, prior and luma of the whole picture on the grid of 8 px."""
        height, width = bracket.padded.height // GRID, bracket.padded.width // GRID
        like = {"device": self._device, "dtype": self._dtype}
        count = len(bracket.frames)
        features = torch.empty(1, count, FEATURES, height, width, **like)  # type: ignore[call-overload]
        prior = torch.empty(1, count, 1, height, width, **like)  # type: ignore[call-overload]
        luma = torch.empty(1, count, height, width, device=self._device)
        for rect, grown in _with_overlap(slices, bracket.padded, OVERLAP_PX):
            rgb = bracket.region(grown)
            bands = decompose(rgb)
            seen, classic = sense(rgb, bands)
            here, inner = _cut(rect, GRID), _cut(_within(rect, grown), GRID)
            features[(..., *here)] = seen[(..., *inner)]
            prior[(..., *here)] = classic[(..., *inner)]
            luma[(..., *here)] = bands.luma[(..., *inner)]
            tell()
        return features, prior, luma

    def _decode(
        self,
        features: Tensor,
        prior: Tensor,
        slices: Sequence[Rect],
        cache: AttentionCache,
        tell: Callable[[], None],
    ) -> Maps:
        """The network's maps of the whole picture, slice by slice."""
        height, width = features.shape[-2:]
        logits = torch.empty(1, features.shape[1], LOGITS, height, width, device=self._device)
        gains = torch.empty(1, BANDS, height, width, device=self._device)
        whole = Rect(0, 0, height * GRID, width * GRID)
        for rect, grown in _with_overlap(slices, whole, self._network.overlap_px):
            region = Region.of(grown, whole)
            cut = _cut(grown, GRID)
            maps = self._network.decode(features[(..., *cut)], prior[(..., *cut)], region, cache)
            here, inner = _cut(rect, GRID), _cut(_within(rect, grown), GRID)
            logits[(..., *here)] = maps.logits[(..., *inner)].float()
            gains[(..., *here)] = maps.gains[(..., *inner)].float()
            tell()
        return Maps(logits, gains)

    def _blend(
        self,
        bracket: _Bracket,
        slices: Sequence[Rect],
        decided: tuple[Tensor, Maps],
        depth: int,
        tell: Callable[[], None],
    ) -> NDArray[Any]:
        """The fused pixels, slice by slice: (H, W, 3) uint8 or uint16."""
        coarse, maps = decided
        full_scale, dtype = (255, np.uint8) if depth == 8 else (65535, np.uint16)
        fused = np.empty((bracket.crop.height, bracket.crop.width, 3), dtype)
        for rect, grown in _with_overlap(slices, bracket.padded, OVERLAP_PX):
            cut = _cut(grown, GRID)
            part = Maps(maps.logits[(..., *cut)], maps.gains[(..., *cut)])
            bands = decompose(bracket.region(grown))
            luma, chroma = blend_fine(bands, coarse[(..., *cut)], part)
            rgb = to_rgb(luma, chroma)[0].clamp_(0, 1).mul_(full_scale).round_()
            target = fused[rect.top : rect.bottom, rect.left : rect.right]
            inner = _within(rect, grown)
            rows = slice(inner.top, inner.top + target.shape[0])
            columns = slice(inner.left, inner.left + target.shape[1])
            target[...] = rgb[:, rows, columns].permute(1, 2, 0).cpu().numpy()
            tell()
        return fused


def load_network_fuser(name: str, *, device: str) -> NetworkFuser:
    """The network of that name with the weights that ship with mefuse.

    Raises:
        DeviceError: the device is absent.
        WeightsError: the weights are missing or damaged.
    """
    return NetworkFuser(
        name, weights.load(weights.find(name)), device=torch.device(resolve_device(device))
    )


def _with_overlap(
    slices: Sequence[Rect], whole: Rect, overlap_px: int
) -> Iterator[tuple[Rect, Rect]]:
    """Each slice, and the same with its overlap, rounded up to the grid."""
    margin = -(-overlap_px // GRID_PX) * GRID_PX
    for rect in slices:
        yield rect, rect.grown(margin, whole)


def _within(rect: Rect, outer: Rect) -> Rect:
    """`rect` in the coordinates of `outer`."""
    return Rect(rect.top - outer.top, rect.left - outer.left, rect.height, rect.width)


def _cut(rect: Rect, grid: int) -> tuple[slice, slice]:
    """Rows and columns of a rectangle on a coarser grid."""
    return (
        slice(rect.top // grid, rect.bottom // grid),
        slice(rect.left // grid, rect.right // grid),
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
