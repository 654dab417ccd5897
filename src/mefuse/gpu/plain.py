"""The work on pixels in plain torch: the definition as it stands, on any device of torch's.

What the kernels of `fused.py` are held to, and what runs where they cannot. Frames are
(N, H, W, 3) uint8 or uint16 tensors as stored, H and W multiples of 8. Knows no slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from mefuse import blend, features
from mefuse.grid import Glimpse, Maps

T = TypeVar("T")


class PixelWork(Protocol[T]):
    """What is done on the pixels of a region; `T` is what it holds of them in between."""

    @property
    def bytes_per_px(self) -> int:
        """What it takes of the device at most, per pixel of each frame."""

    def take(self, frames: Tensor) -> T:
        """Takes frames apart."""

    def glimpse(self, taken: T) -> Glimpse[Tensor]:
        """What is kept of frames; see `features.glimpse`."""

    def blend(self, taken: T, coarse: Tensor, maps: Maps[Tensor], *, depth: int) -> Tensor:
        """The fused pixels (H, W, 3) uint8 or uint16; see `blend.blend_fine`."""

    def reduce(self, frames: Tensor, height: int, width: int) -> Tensor:
        """Frames (N, height, width, 3), each pixel the mean of the area that it covers."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Frames as numbers 0..1, (1, N, 3, H, W), and taken apart."""

    rgb: Tensor
    bands: blend.Bands


class PlainWork:
    """See `PixelWork`."""

    bytes_per_px = 256

    def take(self, frames: Tensor) -> Taken:
        """Takes frames apart."""
        rgb = as_floats(frames)
        return Taken(rgb, blend.decompose(rgb))

    def glimpse(self, taken: Taken) -> Glimpse[Tensor]:
        """What is kept of frames."""
        return features.glimpse(taken.rgb, taken.bands)

    def blend(self, taken: Taken, coarse: Tensor, maps: Maps[Tensor], *, depth: int) -> Tensor:
        """The fused pixels."""
        luma, chroma = blend.blend_fine(taken.bands, coarse, maps)
        rgb = blend.to_rgb(luma, blend.within_gamut(luma, chroma))[0].clamp(0, 1)
        rgb = rgb.mul(white_of(depth)).round().to(torch.int32)
        return rgb.permute(1, 2, 0).contiguous().to(pixel_type(depth))

    def reduce(self, frames: Tensor, height: int, width: int) -> Tensor:
        """Frames, smaller."""
        down = _area_shares(frames.shape[1], height, like=frames)
        across = _area_shares(frames.shape[2], width, like=frames)
        small = torch.einsum("ij,njkc->nikc", down, frames.float())
        small = torch.einsum("lk,nikc->nilc", across, small)
        return small.round().to(torch.int32).to(frames.dtype)


def as_floats(frames: Tensor) -> Tensor:
    """Frames (N, H, W, 3) as stored -> (1, N, 3, H, W) float32, 0..1."""
    full_scale = float(torch.iinfo(frames.dtype).max)
    return frames.permute(0, 3, 1, 2).float().div_(full_scale)[None]


def white_of(depth: int) -> int:
    """The largest value of pixels of 8 or 16 bits."""
    return (1 << depth) - 1


def pixel_type(depth: int) -> torch.dtype:
    """The type of pixels of 8 or 16 bits."""
    return torch.uint8 if depth == 8 else torch.uint16


def _area_shares(count: int, fewer: int, *, like: Tensor) -> Tensor:
    """How much each of `count` samples gives to each of `fewer` that cover the same length."""
    start = torch.arange(fewer, dtype=torch.float64, device=like.device)[:, None] * (count / fewer)
    place = torch.arange(count, dtype=torch.float64, device=like.device)
    overlap = torch.minimum(place + 1, start + count / fewer) - torch.maximum(place, start)
    return (overlap.clamp_min(0) * (fewer / count)).float()
