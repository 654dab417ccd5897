"""The arithmetic of `blend.py` for frames in host memory, in OpenCV's vector primitives.

Plain float32 without gradients, one region at a time, several times faster on a processor
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

from mefuse.blend import (
    BANDS,
    CHROMA_FLOOR,
    CLIP_END,
    CLIP_SHARE,
    CLIP_START,
    ENERGY_FLOOR,
    FINE,
    FOLLOW_DOWN,
    FOLLOW_FLOOR,
    FOLLOW_LIMITS,
    FOLLOW_UP,
    GRID,
    LUMA,
    Maps,
)
from mefuse.features import Glimpse

Plane = NDArray[np.float32]

_BLUE, _RED = 1.772, 1.402  # what one unit of chroma adds to its channel
_GREEN = (-LUMA[2] * _BLUE / LUMA[1], -LUMA[0] * _RED / LUMA[1])  # and to green
_HUE_SLOPE = np.float32(1 / (CLIP_END - CLIP_START))
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


def _channels(frame: NDArray[Any]) -> tuple[list[Plane], Plane]:
    """Red, green, blue and luma of a frame (H, W, 3) uint8 or uint16, 0..1."""
    scale = np.float32(1 / np.iinfo(frame.dtype).max)
    channels = []
    for channel in cv2.split(frame):
        plane = channel.astype(np.float32)
        plane *= scale
        channels.append(plane)
    luma = cv2.addWeighted(channels[0], LUMA[0], channels[1], LUMA[1], 0.0)
    return channels, _plane(cv2.scaleAdd(channels[2], LUMA[2], luma))


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


def _decompose(frame: NDArray[Any]) -> _Bands:
    """Takes a frame (H, W, 3) uint8 or uint16 apart; values 0..1."""
    (red, green, blue), luma = _channels(frame)
    fine, energies, smallest = _fine_bands(luma)
    peak = _plane(cv2.max(cv2.max(red, green), blue))
    blue = _plane(cv2.addWeighted(blue, 1 / _BLUE, luma, -1 / _BLUE, 0.0))
    red = _plane(cv2.addWeighted(red, 1 / _RED, luma, -1 / _RED, 0.0))
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


def glimpse_frames(frames: Sequence[NDArray[Any]]) -> Glimpse:
    """`features.glimpse` of frames (H, W, 3) uint8 or uint16 whose sides are multiples of 8."""
    lumas, energies, colours = [], [], []
    for frame in frames:
        channels, luma = _channels(frame)
        _, energy, smallest = _fine_bands(luma)
        lumas.append(smallest)
        energies.append(np.stack([_reduce(e, GRID >> (i + 1)) for i, e in enumerate(energy)]))
        colours.append(np.stack([_reduce(channel, GRID) for channel in channels]))
    kept = (torch.from_numpy(np.stack(planes))[None] for planes in (colours, lumas, energies))
    return Glimpse(*kept)


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
    taken = [_decompose(frame) for frame in frames]
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
    """Blue and red difference, weighted by colourfulness, hue and logits, following the luma."""
    highest = logits.max(0)
    target = np.clip(_reduce(fused, 2), 0, 1) + np.float32(FOLLOW_FLOOR)
    weights = []
    for bands, logit in zip(taken, logits, strict=True):
        weight = np.abs(_reduce(bands.blue, 2)) + np.abs(_reduce(bands.red, 2))
        weight += np.float32(CHROMA_FLOOR)
        weight *= _enlarge(np.exp(logit - highest), GRID // 2)
        hue = (np.float32(CLIP_END) - _reduce(bands.peak, 2)) * _HUE_SLOPE
        weights.append(weight * np.clip(hue, CLIP_SHARE, 1))
    total = np.sum(weights, axis=0)
    blue, red = np.zeros_like(fused), np.zeros_like(fused)
    for bands, weight in zip(taken, weights, strict=True):
        ratio = target / (_reduce(bands.whole, 2) + np.float32(FOLLOW_FLOOR))
        # Two powers by one exponential: x^up above 1, x^down below.
        logarithm = _plane(cv2.log(np.clip(ratio, *FOLLOW_LIMITS)))
        bent = np.maximum(logarithm, 0) * np.float32(FOLLOW_UP)
        bent += np.minimum(logarithm, 0) * np.float32(FOLLOW_DOWN)
        follow = _plane(cv2.exp(bent))
        share = _enlarge(weight / total * follow, 2)
        blue += share * bands.blue
        red += share * bands.red
    return blue, red


def _gamut_share(luma: Plane, blue: Plane, red: Plane) -> Plane:
    """How much of the chroma fits between 0 and 1 around the luma; see `blend.within_gamut`."""
    to_red, to_blue = red * np.float32(_RED), blue * np.float32(_BLUE)
    to_green = _plane(cv2.addWeighted(blue, _GREEN[0], red, _GREEN[1], 0.0))
    above = cv2.max(cv2.max(to_red, to_blue), to_green)
    below = -cv2.min(cv2.min(to_red, to_blue), to_green)
    luma = np.clip(luma, 0, 1)
    tiny = np.float32(1e-6)
    share = cv2.min((1 - luma) / np.maximum(above, tiny), luma / np.maximum(below, tiny))
    return _plane(np.clip(share, 0, 1))


def _to_pixels(luma: Plane, blue: Plane, red: Plane, depth: int) -> NDArray[Any]:
    """RGB, its chroma within the gamut; OpenCV rounds and clips as it converts."""
    full, kind = (255.0, cv2.CV_8U) if depth == 8 else (65535.0, cv2.CV_16U)
    share = _gamut_share(luma, blue, red)
    blue *= share
    red *= share
    green = cv2.addWeighted(luma, full, blue, _GREEN[0] * full, 0.0)
    channels = (
        cv2.addWeighted(luma, full, red, _RED * full, 0.0, dtype=kind),
        cv2.addWeighted(green, 1.0, red, _GREEN[1] * full, 0.0, dtype=kind),
        cv2.addWeighted(luma, full, blue, _BLUE * full, 0.0, dtype=kind),
    )
    return np.asarray(cv2.merge(channels))
