"""The arithmetic of `blend.py` for frames in host memory, in OpenCV's vector primitives.

Plain float32 without gradients, one region at a time, several times faster on a processor
than the same in torch. `blend.py` is the definition; a test holds the two together. Knows no
network, no slice and no file.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    Maps,
)
from mefuse.features import Glimpse
from mefuse.gamut import to_pixels

Plane = NDArray[np.float32]

_BLUE, _RED = 1 / 1.772, 1 / 1.402  # chroma per unit of its channel
_BINOMIAL = np.array([0.25, 0.5, 0.25], dtype=np.float32)
# Added to every logarithm of energy, which lies in -12.7..0: the frames' shares stay the same, and
# with a gain of at most 4 and logits within 30 no exponential leaves float32.
_MIDDLE_LOG = np.float32(6)


def _plane(values: NDArray[Any]) -> Plane:
    """The float32 that OpenCV gives for float32, as its annotations do not say."""
    return np.asarray(values, dtype=np.float32)


def _luma(frame: NDArray[Any]) -> Plane:
    """Luma (H, W) of RGB (H, W, 3), not rounded; OpenCV's coefficients are `gamut.LUMA`."""
    return _plane(cv2.cvtColor(frame.astype(np.float32), cv2.COLOR_RGB2GRAY))


def _halve(plane: Plane) -> Plane:
    """Half size with the taps 1 3 3 1: a binomial blur, then the mean of 2 x 2."""
    blurred = cv2.sepFilter2D(plane, -1, _BINOMIAL, _BINOMIAL, borderType=cv2.BORDER_REPLICATE)
    return _reduce(_plane(blurred), 2)


def _reduce(plane: Plane, factor: int) -> Plane:
    """Mean over factor x factor, of one channel or three."""
    size = (plane.shape[1] // factor, plane.shape[0] // factor)
    return _plane(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


def _enlarge(plane: Plane, factor: int) -> Plane:
    """Bilinear, on pixel areas."""
    size = (plane.shape[1] * factor, plane.shape[0] * factor)
    return _plane(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR))


def _fine_bands(luma: Plane) -> tuple[list[Plane], list[Plane], Plane]:
    """Fine bands of a luma plane, their energies, and what is left at 1/8."""
    fine: list[Plane] = []
    energies: list[Plane] = []
    for _ in range(FINE):
        smaller = _halve(luma)
        band = _plane(cv2.subtract(luma, _enlarge(smaller, 2)))
        squares = _reduce(_plane(cv2.multiply(band, band)), 2)
        energies.append(_plane(cv2.blur(squares, (3, 3), borderType=cv2.BORDER_REPLICATE)))
        fine.append(band)
        luma = smaller
    return fine, energies, luma


def _half_colour(frame: NDArray[Any]) -> NDArray[Any]:
    """Colour (H, W, 3) at half size, rounded as it is stored: weights and features need no more."""
    size = (frame.shape[1] // 2, frame.shape[0] // 2)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def glimpse_frames(frames: Sequence[NDArray[Any]]) -> Glimpse:
    """`features.glimpse` of frames (H, W, 3) uint8 or uint16 whose sides are multiples of 8."""
    unit = np.float32(1 / np.iinfo(frames[0].dtype).max)
    lumas, energies, colours = [], [], []
    for frame in frames:
        _, energy, smallest = _fine_bands(_luma(frame))
        lumas.append(smallest)
        energies.append(np.stack([_reduce(e, GRID >> (i + 1)) for i, e in enumerate(energy)]))
        colour = _reduce(_half_colour(frame).astype(np.float32), GRID // 2)
        colours.append(colour.transpose(2, 0, 1))
    return Glimpse(
        torch.from_numpy(np.stack(colours) * unit)[None],
        torch.from_numpy(np.stack(lumas) * unit)[None],
        torch.from_numpy(np.stack(energies) * unit**2)[None],
    )


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

    Note:
        Values are in units of the frames inside, which saves scaling every pixel of each.
    """
    full = float(np.iinfo(frames[0].dtype).max)
    lumas = [_luma(frame) for frame in frames]
    logits, gains = maps.logits[0].numpy(), maps.gains[0].numpy()
    coarse_luma = coarse[0].numpy() * np.float32(full)
    fused = _blend_luma(lumas, coarse_luma, logits, gains, full=full)
    offsets = _blend_chroma(frames, lumas, fused, logits[:, BANDS + 1])
    return to_pixels(fused, offsets, full=full, depth=depth)


def _blend_luma(
    lumas: Sequence[Plane], coarse: Plane, logits: Plane, gains: Plane, *, full: float
) -> Plane:
    """Fine bands of lumas (H, W), weighted and joined onto the coarse one (H/8, W/8)."""
    taken = [_fine_bands(luma) for luma in lumas]
    fused = coarse
    for level in reversed(range(FINE)):
        factor = GRID >> (level + 1)
        gain = _enlarge(gains[level], factor)
        powers = []
        for (_, energies, _), logit in zip(taken, logits[:, level], strict=True):
            score = _log(energies[level], full)
            score *= gain
            score += _enlarge(logit, factor)
            powers.append(_plane(cv2.exp(score)))
        share = _plane(1 / _sum(powers))
        fused = _enlarge(fused, 2)
        for (fine, _, _), power in zip(taken, powers, strict=True):
            cv2.accumulateProduct(_enlarge(_plane(power * share), 2), fine[level], fused)
    return fused


def _log(energy: Plane, full: float) -> Plane:
    """Logarithm of an energy in units of full^2, moved to the middle of its range."""
    logarithm = _plane(cv2.log(energy + np.float32(ENERGY_FLOOR * full**2)))
    logarithm += _MIDDLE_LOG - np.float32(2 * np.log(full))
    return logarithm


def _sum(planes: Sequence[Plane]) -> Plane:
    total = planes[0].copy()
    for plane in planes[1:]:
        total += plane
    return total


def _blend_chroma(
    frames: Sequence[NDArray[Any]], lumas: Sequence[Plane], fused: Plane, logits: Plane
) -> tuple[Plane, Plane]:
    """Fused chroma as red and blue minus luma: (H, W) each.

    Weights are made at half resolution: by colourfulness, hue and logits, following the luma.
    """
    full = float(np.iinfo(frames[0].dtype).max)
    floor = np.float32(FOLLOW_FLOOR * full)
    target = np.clip(_reduce(fused, 2), 0, full) + floor
    highest = logits.max(0)
    weights, follows = [], []
    for frame, luma, logit in zip(frames, lumas, logits, strict=True):
        own = _reduce(luma, 2)
        weight = _colour_weight(_half_colour(frame), own, full)
        weight *= _enlarge(np.exp(logit - highest), GRID // 2)
        weights.append(weight)
        own += floor
        follows.append(_follow(target / own))
    share = _plane(1 / _sum(weights))
    red, blue, mean = (np.zeros_like(fused) for _ in range(3))
    for frame, luma, weight, follow in zip(frames, lumas, weights, follows, strict=True):
        plane = _enlarge(_plane(weight * share * follow), 2)
        cv2.accumulateProduct(plane, frame[..., 0].astype(np.float32), red)
        cv2.accumulateProduct(plane, frame[..., 2].astype(np.float32), blue)
        cv2.accumulateProduct(plane, luma, mean)
    red -= mean
    blue -= mean
    return red, blue


def _colour_weight(colour: NDArray[Any], luma: Plane, full: float) -> Plane:
    """Colourfulness times the trust in the hue of RGB (h, w, 3) of that luma: (h, w)."""
    red, green, blue = (plane.astype(np.float32) for plane in cv2.split(colour))
    weight = _plane(
        cv2.addWeighted(
            cv2.absdiff(blue, luma), _BLUE, cv2.absdiff(red, luma), _RED, CHROMA_FLOOR * full
        )
    )
    slope = 1 / (full * (CLIP_START - CLIP_END))
    hue = _plane(cv2.max(cv2.max(red, green), blue))
    hue *= np.float32(slope)
    hue -= np.float32(CLIP_END * full * slope)
    weight *= np.clip(hue, CLIP_SHARE, 1, out=hue)
    return weight


def _follow(ratio: Plane) -> Plane:
    """How colour follows the ratio of fused to own luma: a power above 1, a lower one below."""
    logarithm = _plane(cv2.log(np.clip(ratio, *FOLLOW_LIMITS, out=ratio)))
    bent = np.maximum(logarithm, 0) * np.float32(FOLLOW_UP - FOLLOW_DOWN)
    logarithm *= np.float32(FOLLOW_DOWN)
    logarithm += bent
    return _plane(cv2.exp(logarithm))
