"""The finest bands and the colour of a region: `blend.blend_fine`, finished to pixels.

Values keep the unit of the frames inside. Knows no network and no slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.gamut import to_pixels
from mefuse.grid import (
    CHROMA,
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
    ROOM_FLOOR,
    Maps,
)
from mefuse.host.bands import Colour, fine_bands, full_scale, green_of
from mefuse.host.planes import Plane, Planes, as_plane, enlarge, reduce
from mefuse.native import blend as native

_BLUE, _RED = 1 / 1.772, 1 / 1.402  # chroma per unit of its channel
# Added to every logarithm of energy, which lies in -12.7..0: the frames' shares stay the same, and
# with a gain of at most 4 and logits within 30 no exponential leaves float32.
_MIDDLE_LOG = np.float32(6)


def blend_fine(
    frames: Sequence[NDArray[Any]], coarse: Plane, maps: Maps[Planes], *, depth: int
) -> NDArray[Any]:
    """`blend.blend_fine` for frames in host memory, finished to pixels.

    Args:
        frames: (H, W, 3) uint8 or uint16 each, sides multiples of 8.
        coarse: (H/8, W/8) fused luma.
        maps: the network's maps of the region.
        depth: 8 or 16 bits of the result.

    Returns:
        (H, W, 3) uint8 or uint16, RGB.
    """
    made = native.blend_fine(frames, coarse, maps, depth=depth)
    return _blend_fine(frames, coarse, maps, depth=depth) if made is None else made


def _blend_fine(
    frames: Sequence[NDArray[Any]], coarse: Plane, maps: Maps[Planes], *, depth: int
) -> NDArray[Any]:
    """The same without kernels."""
    full = full_scale(frames[0])
    taken = [Colour.of(frame) for frame in frames]
    lumas = [colour.luma for colour in taken]
    fused = _blend_luma(lumas, coarse * np.float32(full), maps.logits, maps.gains, full=full)
    offsets = _blend_chroma(taken, fused, maps.logits[:, CHROMA], full=full)
    return to_pixels(fused, offsets, full=full, depth=depth)


def _blend_luma(
    lumas: Sequence[Plane], coarse: Plane, logits: Planes, gains: Planes, *, full: float
) -> Plane:
    """Fine bands of lumas (H, W), weighted and joined onto the coarse one (H/8, W/8)."""
    taken = [fine_bands(luma) for luma in lumas]
    fused = coarse
    for level in reversed(range(FINE)):
        factor = GRID >> (level + 1)
        gain = enlarge(gains[level], factor)
        powers = []
        for (_, energies, _), logit in zip(taken, logits[:, level], strict=True):
            score = _log(energies[level], full)
            score *= gain
            score += enlarge(logit, factor)
            powers.append(as_plane(cv2.exp(score)))
        share = as_plane(1 / _sum(powers))
        fused = enlarge(fused, 2)
        for (fine, _, _), power in zip(taken, powers, strict=True):
            cv2.accumulateProduct(enlarge(as_plane(power * share), 2), fine[level], fused)
    return fused


def _log(energy: Plane, full: float) -> Plane:
    """Logarithm of an energy in units of full^2, moved to the middle of its range."""
    logarithm = as_plane(cv2.log(energy + np.float32(ENERGY_FLOOR * full**2)))
    logarithm += _MIDDLE_LOG - np.float32(2 * np.log(full))
    return logarithm


def _sum(planes: Sequence[Plane]) -> Plane:
    total = planes[0].copy()
    for plane in planes[1:]:
        total += plane
    return total


def _blend_chroma(
    frames: Sequence[Colour], fused: Plane, logits: Planes, *, full: float
) -> tuple[Plane, Plane]:
    """Fused chroma as red and blue minus luma: (H, W) each.

    Weights are made at half resolution: by colourfulness, hue and logits, following the luma.
    """
    floor = np.float32(FOLLOW_FLOOR * full)
    target = np.clip(reduce(fused, 2), 0, full)
    room = np.maximum(np.float32(full) - target, np.float32(ROOM_FLOOR * full))
    target += floor
    highest = logits.max(0)
    planes = [(_as_float(frame.red), _as_float(frame.blue), frame.luma) for frame in frames]
    weights, follows = [], []
    for each, logit in zip(planes, logits, strict=True):
        red, blue, own = (reduce(plane, 2) for plane in each)
        peak = as_plane(cv2.max(cv2.max(red, green_of(red, blue, own)), blue))
        weight = _colour_weight(red, blue, own, peak, full)
        weight *= enlarge(np.exp(logit - highest), GRID // 2)
        weights.append(weight)
        peak -= own
        own += floor
        follows.append(_follow(target / own, peak / room))
    share = as_plane(1 / _sum(weights))
    shares = [
        enlarge(as_plane(weight * share * follow), 2)
        for weight, follow in zip(weights, follows, strict=True)
    ]
    red, blue, luma = (_mean(shares, channel) for channel in zip(*planes, strict=True))
    red -= luma
    blue -= luma
    return red, blue


def _as_float(plane: NDArray[Any]) -> Plane:
    return plane.astype(np.float32)


def _mean(shares: Sequence[Plane], planes: Sequence[Plane]) -> Plane:
    """Sum over frames of each one's share of its plane."""
    total = as_plane(cv2.multiply(shares[0], planes[0]))
    for share, plane in zip(shares[1:], planes[1:], strict=True):
        cv2.accumulateProduct(share, plane, total)
    return total


def _colour_weight(red: Plane, blue: Plane, luma: Plane, peak: Plane, full: float) -> Plane:
    """Colourfulness times the trust in the hue: (h, w); `peak` is the largest channel."""
    weight = as_plane(
        cv2.addWeighted(
            cv2.absdiff(blue, luma), _BLUE, cv2.absdiff(red, luma), _RED, CHROMA_FLOOR * full
        )
    )
    slope = 1 / (full * (CLIP_START - CLIP_END))
    hue = peak * np.float32(slope)
    hue -= np.float32(CLIP_END * full * slope)
    weight *= np.clip(hue, CLIP_SHARE, 1, out=hue)
    return weight


def _follow(ratio: Plane, needed: Plane) -> Plane:
    """How colour follows the ratio of fused to own luma: a power above 1, a lower one below.

    Above 1 it rises the less, the more of the room up to white is needed: `needed` of it before.
    """
    logarithm = as_plane(cv2.log(np.clip(ratio, *FOLLOW_LIMITS, out=ratio)))
    bent = np.maximum(logarithm, 0) * np.float32(FOLLOW_UP - FOLLOW_DOWN)
    logarithm *= np.float32(FOLLOW_DOWN)
    logarithm += bent
    change = as_plane(cv2.exp(logarithm))
    before, after = needed**2, (needed * np.maximum(change, 1)) ** 2
    before += 1
    after += 1
    change *= cv2.sqrt(before / after)
    return change
