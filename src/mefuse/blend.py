"""Bands, weights and colour: how the network's maps turn frames into the fused picture.

Luma is blended per frequency band, over the full depth of the picture, chroma by its own rule.
`decompose` takes frames apart, `sense` makes what a network looks at, `blend_coarse` joins the
bands from 1/8 resolution to the top for the whole picture, `blend_fine` the three finest of one
region. All is differentiable. It knows no network, no slice and no file.

Values are 0..1, display-referred; luma and chroma are full-range BT.601, as in JPEG. Pyramids
halve with the taps 1 3 3 1 and double bilinearly, both on pixel areas (not on pixel corners), so
that a picture cut on the grid gives the same bands as the whole.

Source: Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code", 1983; Mertens, Kautz,
Van Reeth, "Exposure Fusion", 2007 (the classic weight); Prabhakar et al., "DeepFuse", 2017 (chroma
weighted by its distance from gray).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mefuse.gamut import LUMA
from mefuse.grid import (
    BANDS,
    CHROMA,
    CHROMA_FLOOR,
    CLIP_END,
    CLIP_SHARE,
    CLIP_START,
    DEEP,
    ENERGY_FLOOR,
    FINE,
    FOLLOW_DOWN,
    FOLLOW_FLOOR,
    FOLLOW_LIMITS,
    FOLLOW_UP,
    GRID,
    ROOM_FLOOR,
    Maps,
    Pyramid,
)


def luma_chroma(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 3, H, W) RGB -> luma (..., H, W) and chroma (..., 2, H, W), chroma in -0.5..0.5."""
    red, green, blue = rgb.unbind(-3)
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    chroma = torch.stack(((blue - luma) / 1.772, (red - luma) / 1.402), -3)
    return luma, chroma


def to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """Inverse of `luma_chroma`; not clipped."""
    blue_difference, red_difference = chroma.unbind(-3)
    red = luma + 1.402 * red_difference
    blue = luma + 1.772 * blue_difference
    green = (luma - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.stack((red, green, blue), -3)


def within_gamut(luma: Tensor, chroma: Tensor) -> Tensor:
    """Chroma (..., 2, H, W) reduced where its RGB would leave 0..1: luma and hue are kept."""
    neutral = torch.zeros_like(luma)
    offsets = to_rgb(neutral, chroma)  # what chroma adds to each channel
    luma = luma.clamp(0, 1)
    above, below = offsets.amax(-3), -offsets.amin(-3)
    share = torch.minimum((1 - luma) / above.clamp_min(1e-6), luma / below.clamp_min(1e-6))
    return chroma * share.clamp(0, 1).unsqueeze(-3)


def halve(maps: Tensor) -> Tensor:
    """Half size: (..., 2h, 2w) -> (..., h, w), taps 1 3 3 1."""
    taps = _taps(maps.dtype, maps.device)
    flat = F.pad(maps.reshape(-1, 1, *maps.shape[-2:]), (1, 1, 1, 1), mode="replicate")
    flat = F.conv2d(flat, taps[None, None, :, None], stride=(2, 1))
    flat = F.conv2d(flat, taps[None, None, None, :], stride=(1, 2))
    return flat.reshape(*maps.shape[:-2], *flat.shape[-2:])


@functools.cache
def _taps(dtype: torch.dtype, device: torch.device) -> Tensor:
    """1 3 3 1 on a device, made there once: for numbers from the host a GPU would wait."""
    with torch.inference_mode(False):  # training may take gradients through it
        distance = (torch.arange(4, dtype=dtype, device=device) - 1.5).abs()
        return (2 - distance) / 4


def enlarge(maps: Tensor, factor: int) -> Tensor:
    """Bilinear: (..., h, w) -> (..., factor h, factor w)."""
    if factor == 1:
        return maps
    flat = maps.reshape(1, -1, *maps.shape[-2:])
    flat = F.interpolate(flat, scale_factor=factor, mode="bilinear", align_corners=False)
    return flat.reshape(*maps.shape[:-2], *flat.shape[-2:])


def mean_pool(maps: Tensor, factor: int) -> Tensor:
    """Mean over factor x factor."""
    if factor == 1:
        return maps
    flat = F.avg_pool2d(maps.reshape(1, -1, *maps.shape[-2:]), factor)
    return flat.reshape(*maps.shape[:-2], *flat.shape[-2:])


def _energy(band: Tensor) -> Tensor:
    """Local energy of a band at half its resolution: mean square over a tent of about 8 px."""
    squares = F.avg_pool2d((band * band).reshape(-1, 1, *band.shape[-2:]), 2)
    squares = F.pad(squares, (1, 1, 1, 1), mode="replicate")
    squares = F.avg_pool2d(squares, 3, stride=1)
    return squares.reshape(*band.shape[:-2], *squares.shape[-2:])


@dataclass(frozen=True, slots=True)
class Bands:
    """Frames taken apart: three fine bands and the rest, colour aside."""

    fine: tuple[Tensor, ...]  # (B, N, H, W), (B, N, H/2, W/2), (B, N, H/4, W/4)
    energies: tuple[Tensor, ...]  # local energy of each, at half its resolution
    luma: Tensor  # (B, N, H/8, W/8)
    whole: Tensor  # (B, N, H, W) luma before it was taken apart
    peak: Tensor  # (B, N, H/2, W/2) the largest of the three channels at half size
    chroma: Tensor  # (B, N, 2, H, W)


def decompose(rgb: Tensor) -> Bands:
    """Takes frames (B, N, 3, H, W), 0..1, apart; H and W are multiples of 8."""
    luma, chroma = luma_chroma(rgb)
    whole, fine, energies = luma, [], []
    for _ in range(FINE):
        smaller = halve(luma)
        band = luma - enlarge(smaller, 2)
        fine.append(band)
        energies.append(_energy(band))
        luma = smaller
    return Bands(tuple(fine), tuple(energies), luma, whole, mean_pool(rgb, 2).amax(2), chroma)


def build_pyramid(luma: Tensor) -> Pyramid[Tensor]:
    """Takes luma (B, N, h, w) on the grid of 8 px apart, to the top."""
    sizes: list[tuple[int, int]] = []
    bands: list[Tensor] = []
    energies: list[Tensor] = []
    together: list[Tensor] = []
    while min(luma.shape[-2:]) > 1:
        sizes.append((luma.shape[-2], luma.shape[-1]))
        luma = even(luma)
        smaller = halve(luma)
        band = luma - enlarge(smaller, 2)
        if len(energies) < BANDS - FINE:
            energies.append(_energy(band))
            together.append(_energy(band.sum(1, keepdim=True)))
        bands.append(band)
        luma = smaller
    return Pyramid(tuple(bands), tuple(sizes), tuple(energies), tuple(together), luma)


def _band_weights(energy: Tensor, logits: Tensor, gain: Tensor) -> Tensor:
    """Softmax over frames of gain x log energy + logits, all (B, N, h, w) but gain (B, h, w)."""
    return torch.softmax(gain[:, None] * torch.log(energy + ENERGY_FLOOR) + logits, 1)


def even(maps: Tensor) -> Tensor:
    """One row or column more, repeated, where a side is odd."""
    height, width = maps.shape[-2:]
    if height % 2 == 0 and width % 2 == 0:
        return maps
    flat = F.pad(
        maps.reshape(1, -1, height, width), (0, width % 2, 0, height % 2), mode="replicate"
    )
    return flat.reshape(*maps.shape[:-2], *flat.shape[-2:])


def blend_coarse(pyramid: Pyramid[Tensor], maps: Maps[Tensor]) -> Tensor:
    """Joins all bands from the 1/8 grid to the top of the pyramid.

    Args:
        pyramid: of the whole picture.
        maps: the network's maps of the whole picture, on the grid of 8 px.

    Returns:
        (B, h, w) the fused luma at 1/8.
    """
    share = torch.softmax(maps.logits[:, :, DEEP], 1)  # deep bands
    logits, gains = maps.logits[:, :, FINE:BANDS], maps.gains[:, FINE:BANDS]
    blended = []
    for level, band in enumerate(pyramid.bands):
        share = even(share)
        if level < len(pyramid.energies):  # a band with weights of its own
            logits, gains = mean_pool(even(logits), 2), mean_pool(even(gains), 2)
            energy = pyramid.energies[level]
            weights = enlarge(_band_weights(energy, logits[:, :, level], gains[:, level]), 2)
        else:
            weights = share
        blended.append((weights * band).sum(1))
        share = halve(share)
    fused = (share * pyramid.top).sum(1)
    for band, (height, width) in zip(reversed(blended), reversed(pyramid.sizes), strict=True):
        fused = (enlarge(fused, 2) + band)[..., :height, :width]
    return fused


def weight_maps(energies: Tensor, pyramid: Pyramid[Tensor], maps: Maps[Tensor]) -> Tensor:
    """How much of the luma each frame gives, for people to look at: the mean over all bands.

    Args:
        energies: (B, N, FINE, h, w) of the fine bands, on the grid of 8 px.
        pyramid: of the whole picture.
        maps: the network's maps of the whole picture.

    Returns:
        (B, N, h, w), summing to 1 over frames.
    """
    height, width = maps.logits.shape[-2:]
    weights = [
        _band_weights(energies[:, :, i], maps.logits[:, :, i], maps.gains[:, i])
        for i in range(FINE)
    ]
    logits, gains = maps.logits[:, :, FINE:BANDS], maps.gains[:, FINE:BANDS]
    share = torch.softmax(maps.logits[:, :, DEEP], 1)  # deep bands
    for level, energy in enumerate(pyramid.energies):
        logits, gains = mean_pool(even(logits), 2), mean_pool(even(gains), 2)
        coarse = _band_weights(energy, logits[:, :, level], gains[:, level])
        weights.append(enlarge(coarse, 2 << level)[..., :height, :width])
        share = halve(even(share))
    weights.append(enlarge(share, 1 << len(pyramid.energies))[..., :height, :width])
    return torch.stack(weights).mean(0)


def blend_fine(bands: Bands, coarse: Tensor, maps: Maps[Tensor]) -> tuple[Tensor, Tensor]:
    """Joins the three finest bands of a region onto the fused coarse luma, and the chroma.

    Args:
        bands: the region's frames taken apart.
        coarse: (B, H/8, W/8) from `blend_coarse`, cut to the region.
        maps: the network's maps, cut to the region.

    Returns:
        Fused luma (B, H, W) and chroma (B, 2, H, W), not clipped.
    """
    fused = coarse
    for level in reversed(range(FINE)):
        factor = GRID >> (level + 1)
        logits = enlarge(maps.logits[:, :, level], factor)
        gain = enlarge(maps.gains[:, level], factor)
        weights = enlarge(_band_weights(bands.energies[level], logits, gain), 2)
        fused = enlarge(fused, 2) + (weights * bands.fine[level]).sum(1)
    return fused, _blend_chroma(bands, fused, maps.logits[:, :, CHROMA])


def _blend_chroma(bands: Bands, fused: Tensor, logits: Tensor) -> Tensor:
    """Mean over frames, weighted by colourfulness, hue and the network's logits: (B, 2, H, W).

    Weights are made at half resolution and interpolated, as those of the bands.
    """
    whole, target = mean_pool(bands.whole, 2), mean_pool(fused[:, None], 2)
    powers = enlarge(torch.exp(logits - logits.amax(1, keepdim=True)), GRID // 2)
    hue = ((CLIP_END - bands.peak) / (CLIP_END - CLIP_START)).clamp(CLIP_SHARE, 1)
    colourfulness = mean_pool(bands.chroma, 2).abs().sum(2)  # B, N, H/2, W/2
    weights = powers * hue * (colourfulness + CHROMA_FLOOR)
    weights = weights / weights.sum(1, keepdim=True)
    target = target.clamp(0, 1)
    ratio = ((target + FOLLOW_FLOOR) / (whole + FOLLOW_FLOOR)).clamp(*FOLLOW_LIMITS)
    needed = (bands.peak - whole) / (1 - target).clamp_min(ROOM_FLOOR)  # of what is left to white
    lifted = ratio**FOLLOW_UP
    lifted = lifted * ((1 + needed**2) / (1 + (needed * lifted) ** 2)).sqrt()
    weights = weights * torch.where(ratio > 1, lifted, ratio**FOLLOW_DOWN)
    return (enlarge(weights, 2)[:, :, None] * bands.chroma).sum(1)
