"""Luma from coarse to fine: what DeepFuse and LCNDR see of frames, level by level.

Both networks were published for one scale. Here the same weights serve every level of a Laplacian
pyramid of full depth: at each the network sees the frames' bands at equal contrast and gives the
fused band, from the top down to the pixels. This file makes what it sees, in torch, differentiable,
for a whole picture or for a part of it. It knows no network, no slice and no file.

Values are 0..1, display-referred. Letters in shape comments: B brackets, N frames.

Source: Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code", 1983; Prabhakar et al.,
"DeepFuse", ICCV 2017, arXiv 1712.07384 (luma by a network, colour by its distance from gray). That
the networks work on levels, and on bands of equal contrast, is this project's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from mefuse.blend import enlarge, halve, luma_chroma, within_gamut
from mefuse.cache import AttentionCache

Cache = AttentionCache[Tensor]

REACH_PX = 3  # local strength: mean square over 7 x 7 px of a level
STRENGTH_FLOOR = (0.45 / 255) ** 2  # mean square: below half a grey level is no detail
MOST_GAIN = 1.5  # what makes up for a mean's lost strength, at most
UNLIKE_LUMA = 0.15  # difference of local mean luma from which frames are of two exposures
VIEW_PX = 2 + 2 * REACH_PX  # what a view needs around itself: a mean of coarser luma, enlarged
DEEPEST = 5  # levels from here on look alike to a network: pictures of any size have them


@dataclass(frozen=True, slots=True)
class View:
    """What a network sees of one level, or of a region of it."""

    bands: Tensor  # (B, N, h, w) over the local strength: the strongest frame's is about one
    luma: Tensor  # (B, N, h, w) the frames' luma, 0..1
    so_far: Tensor  # (B, h, w) fused luma of all coarser levels
    power: Tensor  # (B, N, h, w) log of the local mean square of bands, the strongest about 0
    base: Tensor  # (B, h, w) a first fused band: joined by the bands' power
    strength: Tensor  # (B, h, w) what bands and base were divided by
    unlike: Tensor  # (B, h, w) 0..1: how far the frames differ in exposure here
    depth: float  # which level: 0 the finest, 1 the fifth and all coarser ones


class LevelNetwork(Protocol):
    """A network that fuses bands; see `models.deepfuse.DeepFuse`, `models.lcndr.LCNDR`."""

    @property
    def overlap_px(self) -> int:
        """Pixels of a level around a region that its fused band depends on, beyond the view's."""

    def prefill(self, luma: Tensor, cache: Cache) -> None:
        """Fills the cache from the whole bracket, small: luma (B, N, h, w)."""

    def decode(self, view: View, cache: Cache) -> Tensor:
        """The fused band of a view, over its strength: (B, h, w)."""


def smaller(luma: Tensor) -> Tensor:
    """Half size, odd sides rounded up: (..., h, w)."""
    height, width = luma.shape[-2:]
    if height % 2 or width % 2:
        flat = luma.reshape(1, -1, height, width)
        flat = F.pad(flat, (0, width % 2, 0, height % 2), mode="replicate")
        luma = flat.reshape(*luma.shape[:-2], *flat.shape[-2:])
    return halve(luma)


def build_levels(luma: Tensor) -> list[Tensor]:
    """Luma (B, N, h, w) at full, half, ... size, until a side is 1 px."""
    levels = [luma]
    while min(levels[-1].shape[-2:]) > 1:
        levels.append(smaller(levels[-1]))
    return levels


def view_of(luma: Tensor, coarser: Tensor, fused: Tensor, *, index: int) -> View:
    """What a network sees of a level, or of a region that starts on an even row and column.

    Args:
        luma: (B, N, h, w) the frames at this level.
        coarser: (B, N, h/2, w/2) the same at the next coarser one.
        fused: (B, h/2, w/2) fused luma of the next coarser level.
        index: which level; 0 is the finest.
    """
    height, width = luma.shape[-2:]
    bands = luma - enlarge(coarser, 2)[..., :height, :width]
    powers = _local_mean(bands.square()) + STRENGTH_FLOOR
    strongest = powers.amax(1, keepdim=True)
    strength = strongest.sqrt()
    bands, power = bands / strength, torch.log(powers / strongest)
    depth = min(index, DEEPEST) / DEEPEST
    return View(
        bands,
        luma,
        enlarge(fused, 2)[..., :height, :width],
        power,
        joined(bands, 2 * (1 - depth) * power, strength[:, 0], depth=depth),
        strength[:, 0],
        _unlike(coarser, height, width),
        depth,
    )


def joined(bands: Tensor, logits: Tensor, strength: Tensor, *, depth: float) -> Tensor:
    """Bands (B, N, h, w) of a view joined by weight maps, as strong as the strongest: (B, h, w).

    A mean of bands that differ is weaker than each. It is made up for, on fine levels only: on
    coarse ones it would drive the picture out of its bounds.

    Args:
        bands: over the local strength.
        logits: (B, N, h, w); weights are their softmax over frames.
        strength: (B, h, w) the local strength.
        depth: of the view.
    """
    mean = (torch.softmax(logits, 1) * bands).sum(1)
    power = _local_mean((mean * strength).square()[:, None])[:, 0] + STRENGTH_FLOOR
    lost = strength.square() / power
    return mean * (lost ** (0.5 * (1 - depth))).clamp(1, MOST_GAIN)


def fuse_levels(
    network: LevelNetwork, luma: Tensor, cache: Cache, *, finest_px: int | None = None
) -> Tensor:
    """Fused luma (B, H, W) of whole pictures (B, N, H, W), not clipped.

    Args:
        network: gives the bands.
        luma: of the frames.
        cache: filled by the network's prefill.
        finest_px: of the finest level, fuse only a square of that side in the middle and leave
            what a view's base says elsewhere: training saves most of its time so. None: all of it.
    """
    levels = build_levels(luma)
    fused = levels[-1].mean(1)
    for index in reversed(range(len(levels) - 1)):
        view = view_of(levels[index], levels[index + 1], fused, index=index)
        if index == 0 and finest_px is not None:
            band = _middle_decoded(network, view, cache, finest_px + 2 * network.overlap_px)
        else:
            band = network.decode(view, cache)
        fused = view.so_far + view.strength * band
    return fused


def power_shares(levels: Sequence[Tensor]) -> Tensor:
    """How much each frame gives where, by the power of its bands: (B, N, h, w), sums to 1.

    Of the second of the levels of luma that are given, or of the first there is: what `View.base`
    starts from. A network moves it, and where it has no weights this is all there is to tell.
    """
    if len(levels) == 1:
        return torch.full_like(levels[0], 1 / levels[0].shape[1])
    at = min(1, len(levels) - 2)
    view = view_of(levels[at], levels[at + 1], levels[at + 1].mean(1), index=at + 1)
    return torch.softmax(2 * view.power, 1)


def fuse_chroma(chroma: Tensor) -> Tensor:
    """Chroma of frames weighted by its distance from gray: (B, N, 2, h, w) -> (B, 2, h, w).

    Source: DeepFuse, eq. 5; gray where all frames are gray.
    """
    distance = chroma.abs()
    mean: Tensor = (distance * chroma).sum(1) / distance.sum(1).clamp_min(1e-6)
    return mean


def fuse_brackets(
    network: LevelNetwork, detail: Tensor, small: Tensor, *, finest_px: int | None = None
) -> tuple[Tensor, Tensor]:
    """Fused luma (B, H, W) and chroma (B, 2, H, W) of frames, as training needs them.

    The chroma is reduced to what its luma can show, as the fused file's is: the loss would else see
    a gray that clipped colours have moved, and press luma away from black and white.

    Args:
        network: gives the bands.
        detail: (B, N, 3, H, W) what is fused.
        small: (B, N, 3, h, w) the whole brackets, small, for the prefill.
        finest_px: see `fuse_levels`.
    """
    cache: Cache = AttentionCache(
        bits=32, budget_bytes=2**40
    )  # not quantised: it has to have a gradient
    luma, chroma = luma_chroma(detail)
    network.prefill(luma_chroma(small)[0], cache)
    fused = fuse_levels(network, luma, cache, finest_px=finest_px)
    return fused, within_gamut(fused, fuse_chroma(chroma))


def _unlike(coarser: Tensor, height: int, width: int) -> Tensor:
    """How far the frames differ in mean luma around a place: (B, h, w), 0..1, smooth.

    What a network decides counts that much, so that frames of one exposure are joined by their
    power alone: a frame repeated comes back, and a focus bracket keeps its light.
    """
    around = _local_mean(coarser)
    spread = enlarge(around.amax(1) - around.amin(1), 2)[..., :height, :width]
    share = (spread / UNLIKE_LUMA).clamp(0, 1)
    return share * share * (3 - 2 * share)


def _local_mean(maps: Tensor) -> Tensor:
    """Mean over 7 x 7 px, borders repeated: (B, C, h, w)."""
    side = 2 * REACH_PX + 1
    padded = F.pad(maps, (REACH_PX,) * 4, mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, (side, 1), 1), (1, side), 1)


def _middle_decoded(network: LevelNetwork, view: View, cache: Cache, side: int) -> Tensor:
    """The band that a network gives in the middle of a view, the view's base around it."""
    height, width = view.base.shape[-2:]
    top, left = max(height - side, 0) // 4 * 2, max(width - side, 0) // 4 * 2
    rows, columns = slice(top, top + side), slice(left, left + side)
    cut = (..., rows, columns)
    part = View(
        view.bands[cut], view.luma[cut], view.so_far[cut], view.power[cut], view.base[cut],
        view.strength[cut], view.unlike[cut], view.depth,
    )  # fmt: skip
    band = view.base.clone()
    band[..., rows, columns] = network.decode(part, cache)
    return band
