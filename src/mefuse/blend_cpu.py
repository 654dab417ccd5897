"""The arithmetic of `blend.py` for frames in host memory, in OpenCV's vector primitives.

Plain float32 without gradients, one region at a time, an order of magnitude faster on a processor
than the same in torch. `blend.py` is the definition; a test holds the two together. Knows no
network, no slice and no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mefuse import blend
from mefuse.blend import (
    BANDS,
    CHROMA_FLOOR,
    CLIP_END,
    CLIP_SHARE,
    CLIP_START,
    ENERGY_FLOOR,
    FINE,
    FOLLOW_FLOOR,
    FOLLOW_LIMITS,
    FOLLOW_POWER,
    GRID,
    LUMA,
    Maps,
)

Plane = NDArray[np.float32]

# Rows: luma, blue and red difference, as `blend.luma_chroma`.
_TO_YCC = np.array(
    [
        LUMA,
        [-LUMA[0] / 1.772, -LUMA[1] / 1.772, (1 - LUMA[2]) / 1.772],
        [(1 - LUMA[0]) / 1.402, -LUMA[1] / 1.402, -LUMA[2] / 1.402],
    ],
    dtype=np.float32,
)
_BINOMIAL = np.array([0.25, 0.5, 0.25], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Bands:
    """One frame taken apart; see `blend.Bands`."""

    fine: list[Plane]
    energies: list[Plane]
    luma: Plane
    whole: Plane
    peak: Plane
    blue: Plane
    red: Plane


def _plane(values: NDArray[Any]) -> Plane:
    """The float32 that OpenCV gives for float32, as its annotations do not say."""
    return np.asarray(values, dtype=np.float32)


def _unit(frame: NDArray[Any]) -> Plane:
    """A frame, uint8 or uint16, as float32, 0..1."""
    return _plane(np.multiply(frame, np.float32(1 / np.iinfo(frame.dtype).max), dtype=np.float32))


def _halve(plane: Plane) -> Plane:
    """Half size with the taps 1 3 3 1: a binomial blur, then the mean of 2 x 2."""
    blurred = cv2.sepFilter2D(plane, -1, _BINOMIAL, _BINOMIAL, borderType=cv2.BORDER_REPLICATE)
    return _reduce(_plane(blurred), 2)


def _reduce(plane: Plane, factor: int) -> Plane:
    """Mean over factor x factor."""
    size = (plane.shape[1] // factor, plane.shape[0] // factor)
    return _plane(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


def _enlarge(plane: Plane, factor: int) -> Plane:
    """Bilinear, on pixel areas."""
    size = (plane.shape[1] * factor, plane.shape[0] * factor)
    return _plane(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR))


def _decompose(pixels: Plane) -> _Bands:
    """Takes a frame (H, W, 3), 0..1, apart."""
    luma, blue, red = (_plane(p) for p in cv2.split(cv2.transform(pixels, _TO_YCC)))
    fine, energies, smallest = _fine_bands(luma)
    channels = cv2.split(pixels)
    peak = _plane(cv2.max(cv2.max(channels[0], channels[1]), channels[2]))
    return _Bands(fine, energies, smallest, luma, peak, blue, red)


def _fine_bands(luma: Plane) -> tuple[list[Plane], list[Plane], Plane]:
    """Fine bands of a luma plane, their energies, and what is left at 1/8."""
    fine: list[Plane] = []
    energies: list[Plane] = []
    for _ in range(FINE):
        smaller = _halve(luma)
        band = luma - _enlarge(smaller, 2)
        squares = _reduce(band * band, 2)
        energies.append(_plane(cv2.blur(squares, (3, 3), borderType=cv2.BORDER_REPLICATE)))
        fine.append(band)
        luma = smaller
    return fine, energies, luma


def sense_frames(frames: Sequence[NDArray[Any]]) -> tuple[torch.Tensor, ...]:
    """`blend.sense` for frames (H, W, 3) uint8 or uint16 whose sides are multiples of 8.

    Returns:
        features (1, N, FEATURES, H/8, W/8), prior (1, N, 1, H/8, W/8), luma (1, N, H/8, W/8).
    """
    lumas, energies, colours = [], [], []
    for frame in frames:
        pixels = _unit(frame)
        luma = _plane(cv2.transform(pixels, _TO_YCC[:1]))
        _, energy, smallest = _fine_bands(luma)
        lumas.append(smallest)
        energies.append([_reduce(e, GRID >> (i + 1)) for i, e in enumerate(energy)])
        colours.append(_reduce(pixels, GRID))
    left = torch.from_numpy(np.stack(lumas))[None]
    small = torch.from_numpy(np.stack(colours)).permute(0, 3, 1, 2)[None]
    pooled = [torch.from_numpy(np.stack(level))[None] for level in zip(*energies, strict=True)]
    return *blend.describe(small, left, pooled), left


def blend_frames(
    frames: Sequence[NDArray[Any]], coarse: torch.Tensor, maps: Maps, *, depth: int
) -> NDArray[Any]:
    """`blend.blend_fine` for frames in host memory, finished to pixels.

    Args:
        frames: (H, W, 3) uint8 or uint16 each, sides multiples of 8.
        coarse: (1, H/8, W/8) fused luma.
        maps: the network's maps of the region.
        depth: 8 or 16 bits of the result.

    Returns:
        (H, W, 3) uint8 or uint16, RGB.
    """
    taken = [_decompose(_unit(frame)) for frame in frames]
    logits, gains = maps.logits[0].numpy(), maps.gains[0].numpy()
    luma = coarse[0].numpy()
    for level in reversed(range(FINE)):
        factor = GRID >> (level + 1)
        gain = _enlarge(gains[level], factor)
        scores = [
            _enlarge(logits[k, level], factor) + gain * _log(bands.energies[level])
            for k, bands in enumerate(taken)
        ]
        luma = _enlarge(luma, 2)
        for weight, bands in zip(_softmax(scores), taken, strict=True):
            luma += _enlarge(weight, 2) * bands.fine[level]
    blue, red = _blend_chroma(taken, luma, logits[:, BANDS + 1])
    return _to_pixels(luma, blue, red, depth)


def _log(energy: Plane) -> Plane:
    return _plane(cv2.log(energy + np.float32(ENERGY_FLOOR)))


def _softmax(scores: list[Plane]) -> list[Plane]:
    """Shares of each score, summing to one."""
    highest = scores[0]
    for score in scores[1:]:
        highest = np.maximum(highest, score)
    powers = [_plane(cv2.exp(score - highest)) for score in scores]
    total = powers[0].copy()
    for power in powers[1:]:
        total += power
    return [power / total for power in powers]


def _blend_chroma(taken: Sequence[_Bands], fused: Plane, logits: Plane) -> tuple[Plane, Plane]:
    """Blue and red difference, weighted by colourfulness and logits, following the luma."""
    highest = logits.max(0)
    target = np.clip(fused, 0, 1) + np.float32(FOLLOW_FLOOR)
    total, blue, red = (np.zeros_like(fused) for _ in range(3))
    for bands, logit in zip(taken, logits, strict=True):
        weight = np.abs(bands.blue)
        weight += np.abs(bands.red)
        weight += np.float32(CHROMA_FLOOR)
        weight *= _enlarge(np.exp(logit - highest), GRID)
        hue = (np.float32(CLIP_END) - bands.peak) * np.float32(1 / (CLIP_END - CLIP_START))
        weight *= np.clip(hue, CLIP_SHARE, 1, out=hue)
        total += weight
        ratio = target / (bands.whole + np.float32(FOLLOW_FLOOR))
        np.clip(ratio, *FOLLOW_LIMITS, out=ratio)
        weight *= _plane(cv2.pow(ratio, FOLLOW_POWER))
        blue += weight * bands.blue
        red += weight * bands.red
    blue /= total
    red /= total
    return blue, red


def _gamut_share(luma: Plane, blue: Plane, red: Plane) -> Plane:
    """How much of the chroma fits between 0 and 1 around the luma; see `blend.within_gamut`."""
    added = (red * np.float32(1.402), blue * np.float32(1.772))
    green = (added[0] * np.float32(-LUMA[0]) + added[1] * np.float32(-LUMA[2])) / np.float32(
        LUMA[1]
    )
    above = np.maximum(np.maximum(added[0], added[1]), green)
    below = -np.minimum(np.minimum(added[0], added[1]), green)
    luma = np.clip(luma, 0, 1)
    share = np.minimum(
        (1 - luma) / np.maximum(above, np.float32(1e-6)), luma / np.maximum(below, np.float32(1e-6))
    )
    return _plane(np.clip(share, 0, 1, out=share))


def _to_pixels(luma: Plane, blue: Plane, red: Plane, depth: int) -> NDArray[Any]:
    """Clipped and rounded RGB."""
    full_scale, dtype = (255.0, np.uint8) if depth == 8 else (65535.0, np.uint16)
    to_rgb = (np.linalg.inv(_TO_YCC.astype(np.float64)) * full_scale).astype(np.float32)
    share = _gamut_share(luma, blue, red)
    blue *= share
    red *= share
    rgb = _plane(cv2.transform(cv2.merge((luma, blue, red)), to_rgb))
    rgb += np.float32(0.5)
    np.clip(rgb, 0, full_scale + 0.49, out=rgb)
    return rgb.astype(dtype)
