"""What training minimises: lost structure, wrong brightness and colour, values out of bounds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mefuse.blend import to_rgb
from mefuse.metrics.mef_ssim import combined, gray, halved, mef_ssim_scales
from mefuse.metrics.mef_ssimc import mef_ssimc
from mefuse.train.recipe import Recipe

FINEST_PX = 128


@dataclass(frozen=True, slots=True)
class Loss:
    """The sum to minimise and its parts, means over the brackets."""

    total: Tensor
    structure: float  # 1 - MEF-SSIM
    colour: float  # 1 - MEF-SSIMc
    bounds: float  # mean of what lies outside 0..1


def fusion_loss(
    frames: Tensor,
    luma: Tensor,
    chroma: Tensor,
    recipe: Recipe,
    *,
    mertens: Tensor | None = None,
) -> Loss:
    """Loss of fused luma (B, H, W) and chroma (B, 2, H, W), 0..1, for frames (B, N, 3, H, W).

    The finest scale, 7 % of MEF-SSIM and most of its cost, is measured in the middle of the
    picture only, and the colour at half size. What the colour loses beyond a share of what OpenCV's
    fusion loses, `mertens` (B,), counts extra.
    """
    rgb = to_rgb(luma, chroma)
    outside = (rgb - rgb.clamp(0, 1)).abs().mean((1, 2, 3))
    clipped = rgb.clamp(0, 1) * 255  # the measures see what a file would hold
    frames = frames * 255
    structure = 1 - _structure(gray(frames), gray(clipped, rounded=False))
    colour = 1 - mef_ssimc(halved(frames), halved(clipped))
    total = recipe.structure * structure + recipe.colour * colour + recipe.bounds * outside
    if mertens is not None:
        excess = (colour - recipe.colour_allowed * mertens).clamp_min(0)
        total = total + recipe.colour_excess * excess
    one, two, three = torch.stack((structure, colour, outside)).detach().mean(1).tolist()
    return Loss(total.mean(), one, two, three)


def _structure(frames: Tensor, fused: Tensor) -> Tensor:
    """MEF-SSIM, its finest scale from a part of the picture: (B,)."""
    height, width = fused.shape[-2:]
    rows = slice(height // 2 - FINEST_PX // 2, height // 2 + FINEST_PX // 2)
    columns = slice(width // 2 - FINEST_PX // 2, width // 2 + FINEST_PX // 2)
    finest = mef_ssim_scales(frames[..., rows, columns], fused[..., rows, columns], scales=1)
    coarser = mef_ssim_scales(halved(frames), halved(fused), scales=2)
    return combined(torch.cat((finest, coarser), 1))
