"""Refinement: the fused luma takes the structure that frames show and weights cannot give it.

A band's weights sum to one, so where frames show different contrast, the blend has less than the
best of them. Here the blended luma itself, on the grid of 8 px, is moved so that its patches agree
with those of the frames. What is minimised is the mean over patches of 1 - MEF-SSIM's agreement
and, with a small weight, 1 - MEF-SSIMc's luminance term. For a patch f and its desired structure r

    1 - (2 cov(r, f) + c) / (var r + var f + c) = var(f - r) / (var r + var f + c),

and the same holds for luminance: with the denominators held, least squares. So denominators are
taken from the luma, a few steps of conjugate gradients are made, preconditioned over a pyramid,
and again. Steps are few on purpose: the luma stays near what the network decided.

Patches lie under one Gaussian window, at borders mirrored, which keeps the window's matrix
symmetric. This is the definition; `host/refine.py` computes the same with OpenCV. It knows no
network, no slice and no file.

Source: Ma, Duanmu, Yeganeh, Wang, "Multi-Exposure Image Fusion by Optimizing a Structural
Similarity Index", IEEE TCI 4(1), 2018 (the idea; ours is on the grid, and no gradient ascent); Ma,
Zeng, Wang, IEEE TIP 24(11), 2015, eqs. 3-9 (desired structure); Bramble, Pasciak, Xu, "Parallel
Multilevel Preconditioners", Math. Comp. 55, 1990.

Letters in shape comments: B brackets, N frames, h and w cells of 8 px.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mefuse.blend import enlarge, even, halve
from mefuse.grid import (
    CLIP_END,
    CLIP_SHARE,
    CLIP_START,
    COLOUR_ROOM,
    CONTRAST_FLOOR,
    EXPOSED_SIGMA,
    LEAST_LENGTH,
    LUMINANCE_STABILITY,
    MOST_POWER,
    REFINE_LEAST_CELLS,
    REFINE_LEVELS,
    REFINE_LUMINANCE,
    REFINE_MOST_CELLS,
    REFINE_ROUNDS,
    REFINE_SIGMA,
    REFINE_STEPS,
    REFINE_STRUCTURE,
    REFINE_TAPS,
    ROOM,
    ROOM_WEIGHT,
    STRUCTURE_STABILITY,
)

TINY = 1e-12
NEARLY_ONE = 0.9999  # consistency, whose tangent would leave float32


def refine(coarse: Tensor, luma: Tensor, colour: Tensor) -> Tensor:
    """The fused luma on the grid, in agreement with the frames' structure.

    Args:
        coarse: (B, h, w) from `blend.blend_coarse`.
        luma: (B, N, h, w) of the frames, as the pyramid was built on; 0..1.
        colour: (B, N, 3, h, w) mean RGB of the frames; 0..1.

    Returns:
        (B, h, w), within 0..1; `coarse` itself where a side is too short.
    """
    height, width = coarse.shape[-2:]
    if min(height, width) < REFINE_LEAST_CELLS:
        return coarse
    if height * width > REFINE_MOST_CELLS:
        smaller = halve(even(coarse))
        seen = (halve(even(maps)) for maps in (luma, colour))
        change = refine(smaller, *seen) - smaller
        return coarse + enlarge(change, 2)[..., :height, :width]
    wanted = _Wanted.of(luma, colour)
    for _ in range(REFINE_ROUNDS):
        coarse = (coarse + _LeastSquares.around(coarse, wanted).step()).clamp(0, 1)
    return coarse


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What patches of the fused luma should be."""

    luma: Tensor  # (B, N, h, w)
    mix: Tensor  # (B, N, h, w) what each frame adds to the desired structure
    offset: Tensor  # (B, h, w) the mean of that structure before it is subtracted
    variance: Tensor  # (B, h, w) of the desired structure
    luminance: Tensor  # (B, h, w)
    room: tuple[Tensor, Tensor]  # (B, h, w) each: how dark and how bright it may be

    @staticmethod
    def of(luma: Tensor, colour: Tensor) -> _Wanted:
        """The desired structure and luminance of every patch."""
        means = _window(luma)
        contrast = (_window(luma**2) - means**2).clamp_min(0).sqrt()
        total = luma.sum(1)
        coherent = (_window(total**2) - means.sum(1) ** 2).clamp_min(0).sqrt()
        consistency = (coherent + TINY) / (contrast.sum(1) + TINY)
        power = torch.tan(math.pi / 2 * consistency.clamp(0, NEARLY_ONE)).clamp_max(MOST_POWER)
        largest = contrast.amax(1)
        contrast = contrast + CONTRAST_FLOOR
        share = (contrast / (largest + CONTRAST_FLOOR)[:, None]) ** power[:, None]
        mix = share / share.sum(1, keepdim=True) / contrast
        squared = _variance_of(mix, luma, means)
        gain = largest / squared.sqrt().clamp_min(LEAST_LENGTH)
        mix = mix * gain[:, None]
        exposed = (means - 0.5) ** 2 + (luma.mean((-2, -1), keepdim=True) - 0.5) ** 2
        weight = torch.softmax(exposed / (-2 * EXPOSED_SIGMA**2), 1)
        most = 1 - ROOM - COLOUR_ROOM * _height(luma, colour)
        room = luma.amax(1).clamp_max(ROOM), torch.maximum(luma.amin(1), most)
        offset, luminance = (mix * means).sum(1), (weight * luma).sum(1)
        return _Wanted(luma, mix, offset, gain**2 * squared, luminance, room)


@dataclass(frozen=True, slots=True)
class _LeastSquares:
    """Least squares for a change of the luma, with the denominators of one luma."""

    structure: Tensor  # (B, h, w) weight of a patch
    smoothed: Tensor  # the same under the window: the matrix's diagonal, but for its small part
    anchor: Tensor  # (B, h, w) weight of a cell's own value
    residual: Tensor  # (B, h, w) what the luma lacks

    @staticmethod
    def around(luma: Tensor, wanted: _Wanted) -> _LeastSquares:
        """The problem with the denominators that a luma (B, h, w) has."""
        mean = _window(luma)
        variance = (_window(luma**2) - mean**2).clamp_min(0)
        structure = 1 / (wanted.variance + variance + STRUCTURE_STABILITY)
        squares = luma**2 + wanted.luminance**2 + LUMINANCE_STABILITY
        bright = REFINE_LUMINANCE / squares
        inside = luma.clamp(*wanted.room)
        outside = ROOM_WEIGHT * (inside != luma)
        shown = (_window(structure[:, None] * wanted.mix) * wanted.luma).sum(1)
        shown = shown - _window(structure * wanted.offset)
        smoothed = _window(structure)
        residual = shown - smoothed * luma + _window(structure * mean)
        residual = residual + bright * (wanted.luminance - luma)
        residual = residual + outside * (inside - luma)
        return _LeastSquares(structure, smoothed, bright + outside, residual)

    def step(self) -> Tensor:
        """A few steps of conjugate gradients: what to add to the luma, (B, h, w)."""
        scales = self._scales()
        residual = self.residual
        direction = _preconditioned(residual, scales)
        along = _dot(residual, direction)
        change = torch.zeros_like(residual)
        for step in range(REFINE_STEPS):
            image = self._times(direction)
            length = along / _dot(direction, image).clamp_min(TINY)
            change = change + length * direction
            if step == REFINE_STEPS - 1:
                break
            residual = residual - length * image
            better = _preconditioned(residual, scales)
            before, along = along, _dot(residual, better)
            direction = better + along / before.clamp_min(TINY) * direction
        return change

    def _times(self, x: Tensor) -> Tensor:
        """The matrix of the least squares times a plane."""
        return (self.smoothed + self.anchor) * x - _window(self.structure * _window(x))

    def _scales(self) -> list[Tensor]:
        """What each level of the pyramid is multiplied by: the inverse of its diagonal."""
        structure, anchor = REFINE_STRUCTURE * self.smoothed, self.anchor
        scales = [1 / (structure + anchor)]
        while len(scales) < REFINE_LEVELS and min(structure.shape[-2:]) >= REFINE_LEAST_CELLS:
            structure, anchor = halve(even(structure)), 4 * halve(even(anchor))
            scales.append(1 / (structure + anchor))
        return scales


def _preconditioned(residual: Tensor, scales: list[Tensor]) -> Tensor:
    """The sum over all levels of the residual there, scaled (BPX)."""
    if len(scales) == 1:
        return scales[0] * residual
    height, width = residual.shape[-2:]
    smaller = 4 * halve(F.pad(residual, (0, width % 2, 0, height % 2)))  # enlarge's transpose
    coarser = enlarge(_preconditioned(smaller, scales[1:]), 2)[..., :height, :width]
    return scales[0] * residual + coarser


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Inner product of planes (B, h, w): (B, 1, 1)."""
    return (one * other).sum((-2, -1), keepdim=True)


def _height(luma: Tensor, colour: Tensor) -> Tensor:
    """How much of the room up to white the colour takes, 0..1: (B, h, w).

    How far the largest channel lies above the luma, as a share of that channel; unclipped frames
    know it. A saturated light whose luma rises to white would have to fade.
    """
    peak = colour.amax(2)
    trust = ((CLIP_END - peak) / (CLIP_END - CLIP_START)).clamp(CLIP_SHARE, 1)
    height = (trust * (peak - luma).clamp_min(0)).sum(1)
    return height / ((trust * torch.maximum(peak, luma)).sum(1) + TINY)


def _variance_of(mix: Tensor, luma: Tensor, means: Tensor) -> Tensor:
    """Variance under the window of frames (B, N, h, w) mixed by other shares in every patch."""
    total = torch.zeros_like(mix[:, 0])
    for n in range(luma.shape[1]):
        shared = _window(luma[:, n:] * luma[:, n : n + 1]) - means[:, n:] * means[:, n : n + 1]
        shared[:, 1:] *= 2  # each pair once
        total = total + mix[:, n] * (mix[:, n:] * shared).sum(1)
    return total.clamp_min(0)


def _window(maps: Tensor) -> Tensor:
    """Mean under the Gaussian window, borders mirrored: (..., h, w) -> the same."""
    taps = _taps(maps.dtype, maps.device)
    radius = REFINE_TAPS // 2
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    flat = torch.cat((flat[..., :radius].flip(-1), flat, flat[..., -radius:].flip(-1)), -1)
    flat = F.conv2d(flat, taps[None, None, None, :])
    flat = torch.cat((flat[..., :radius, :].flip(-2), flat, flat[..., -radius:, :].flip(-2)), -2)
    return F.conv2d(flat, taps[None, None, :, None]).reshape(maps.shape)


@functools.cache
def _taps(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The window's taps on a device, made there once: for the host's numbers a GPU would wait."""
    distance = torch.arange(REFINE_TAPS, dtype=dtype, device=device) - REFINE_TAPS // 2
    taps = torch.exp(-(distance**2) / (2 * REFINE_SIGMA**2))
    return taps / taps.sum()
