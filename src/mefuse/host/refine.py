"""The refinement of `refine.py` in host memory, by OpenCV. Runs once per bracket, on the grid."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

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
from mefuse.host.planes import Plane, Planes, as_plane, enlarge, halve
from mefuse.scratch import let_go

TINY = np.float32(1e-12)
NEARLY_ONE = 0.9999  # consistency, whose tangent would leave float32


def refine(coarse: Plane, luma: Planes, colour: Planes) -> Plane:
    """`refine.refine` of one bracket.

    Args:
        coarse: (h, w) from `blend_coarse`.
        luma: (N, h, w) of the frames, 0..1.
        colour: (N, 3, h, w) of the frames, 0..1.

    Returns:
        (h, w), within 0..1; `coarse` itself where a side is too short.
    """
    height, width = coarse.shape
    if min(height, width) < REFINE_LEAST_CELLS:
        return coarse
    if height * width > REFINE_MOST_CELLS:
        smaller = _halved(coarse)
        change = refine(smaller, _all_halved(luma), _all_halved(colour)) - smaller
        return as_plane(coarse + enlarge(change, 2)[:height, :width])
    wanted = _Wanted.of(luma, colour)
    for _ in range(REFINE_ROUNDS):
        coarse = as_plane(coarse + _LeastSquares.around(coarse, wanted).step())
        np.clip(coarse, 0, 1, out=coarse)
    return coarse


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What patches of the fused luma should be; see `refine._Wanted`."""

    luma: Planes  # (N, h, w)
    mix: Sequence[Plane]  # of each frame (h, w)
    offset: Plane  # (h, w)
    variance: Plane  # (h, w)
    luminance: Plane  # (h, w)
    room: tuple[Plane, Plane]  # (h, w) each

    @staticmethod
    def of(luma: Planes, colour: Planes) -> _Wanted:
        """The desired structure and luminance of every patch."""
        means = [_window(plane) for plane in luma]
        contrast = [_deviation(plane, mean) for plane, mean in zip(luma, means, strict=True)]
        coherent = _deviation(as_plane(luma.sum(0)), _sum(means))
        consistency = (coherent + TINY) / (_sum(contrast) + TINY)
        power = np.tan(np.clip(consistency, 0, NEARLY_ONE) * np.float32(math.pi / 2))
        np.minimum(power, np.float32(MOST_POWER), out=power)
        largest = np.maximum.reduce(contrast)
        contrast = [plane + np.float32(CONTRAST_FLOOR) for plane in contrast]
        most = largest + np.float32(CONTRAST_FLOOR)
        shares = [as_plane(cv2.exp(power * cv2.log(plane / most))) for plane in contrast]
        total = _sum(shares)
        mix = [share / (total * plane) for share, plane in zip(shares, contrast, strict=True)]
        squared = _variance_of(mix, luma, means)
        gain = largest / np.maximum(np.sqrt(squared), np.float32(LEAST_LENGTH))
        mix = [plane * gain for plane in mix]
        offset = _sum([plane * mean for plane, mean in zip(mix, means, strict=True)])
        darkest = np.minimum(luma.max(0), np.float32(ROOM))
        most = 1 - ROOM - np.float32(COLOUR_ROOM) * _height(luma, colour)
        brightest = np.maximum(luma.min(0), most)
        return _Wanted(
            luma, mix, offset, gain * gain * squared, _luminance(luma, means), (darkest, brightest)
        )


@dataclass(frozen=True, slots=True)
class _LeastSquares:
    """Least squares for a change of the luma; see `refine._LeastSquares`."""

    structure: Plane
    diagonal: Plane  # of the matrix, but for the part that the window takes away
    scales: Sequence[Plane]
    residual: Plane

    @staticmethod
    def around(luma: Plane, wanted: _Wanted) -> _LeastSquares:
        """The problem with the denominators that a luma (h, w) has."""
        mean = _window(luma)
        variance = as_plane(np.maximum(_window(luma * luma) - mean * mean, 0))
        structure = as_plane(1 / (wanted.variance + variance + np.float32(STRUCTURE_STABILITY)))
        squares = luma * luma + wanted.luminance * wanted.luminance
        bright = np.float32(REFINE_LUMINANCE) / (squares + np.float32(LUMINANCE_STABILITY))
        inside = np.clip(luma, *wanted.room)
        outside = np.float32(ROOM_WEIGHT) * (inside != luma)
        smoothed = _window(structure)
        residual = _window(structure * (mean - wanted.offset)) - smoothed * luma
        for mix, plane in zip(wanted.mix, wanted.luma, strict=True):
            cv2.accumulateProduct(_window(structure * mix), plane, residual)
        residual += bright * (wanted.luminance - luma)
        residual += outside * (inside - luma)
        anchor = bright + outside
        return _LeastSquares(structure, smoothed + anchor, _scales(smoothed, anchor), residual)

    def step(self) -> Plane:
        """A few steps of conjugate gradients: what to add to the luma, (h, w)."""
        residual = self.residual
        direction = _preconditioned(residual, self.scales)
        along = _dot(residual, direction)
        change = np.zeros_like(residual)
        for step in range(REFINE_STEPS):
            image = self._times(direction)
            length = along / max(_dot(direction, image), TINY)
            change += length * direction
            if step == REFINE_STEPS - 1:
                break
            residual = residual - length * image
            better = _preconditioned(residual, self.scales)
            before, along = along, _dot(residual, better)
            direction *= along / max(before, TINY)
            direction += better
        return change

    def _times(self, x: Plane) -> Plane:
        """The matrix of the least squares times a plane."""
        return self.diagonal * x - _window(self.structure * _window(x))


def _luminance(luma: Planes, means: Sequence[Plane]) -> Plane:
    """The luminance that MEF-SSIMc wants: well exposed patches and frames count more."""
    slope = np.float32(-1 / (2 * EXPOSED_SIGMA**2))
    half = np.float32(0.5)
    weights = [
        as_plane(cv2.exp(slope * ((mean - half) ** 2 + (plane.mean() - half) ** 2)))
        for plane, mean in zip(luma, means, strict=True)
    ]
    total = np.zeros_like(weights[0])
    for weight, plane in zip(weights, luma, strict=True):
        cv2.accumulateProduct(weight, plane, total)
    total /= _sum(weights)
    return total


def _height(luma: Planes, colour: Planes) -> Plane:
    """How much of the room up to white the colour takes, 0..1; see `refine._height`."""
    trusted, height = np.full_like(luma[0], TINY), np.zeros_like(luma[0])
    for plane, channels in zip(luma, colour, strict=True):
        peak = channels.max(0)
        trust = np.clip((CLIP_END - peak) / (CLIP_END - CLIP_START), CLIP_SHARE, 1)
        height += trust * np.maximum(peak - plane, 0)
        trusted += trust * np.maximum(peak, plane)
    return as_plane(height / trusted)


def _variance_of(mix: Sequence[Plane], luma: Planes, means: Sequence[Plane]) -> Plane:
    """Variance under the window of frames mixed by other shares in every patch."""
    total = np.zeros_like(means[0])
    for i in range(len(mix)):
        for j in range(i, len(mix)):
            shared = _window(luma[i] * luma[j]) - means[i] * means[j]
            total += mix[i] * mix[j] * shared * np.float32(1 if i == j else 2)  # each pair once
    return np.maximum(total, 0, out=total)


def _scales(structure: Plane, anchor: Plane) -> list[Plane]:
    """What each level of the pyramid is multiplied by: the inverse of its diagonal."""
    structure = structure * np.float32(REFINE_STRUCTURE)
    scales = [as_plane(1 / (structure + anchor))]
    while len(scales) < REFINE_LEVELS and min(structure.shape) >= REFINE_LEAST_CELLS:
        structure, anchor = _halved(structure), 4 * _halved(anchor)
        scales.append(as_plane(1 / (structure + anchor)))
    return scales


def _preconditioned(residual: Plane, scales: Sequence[Plane]) -> Plane:
    """The sum over all levels of the residual there, scaled (BPX)."""
    scaled: Plane = scales[0] * residual
    if len(scales) == 1:
        return scaled
    height, width = residual.shape
    smaller = 4 * halve(_bordered(residual, cv2.BORDER_CONSTANT))  # the transpose of enlarge
    scaled += enlarge(_preconditioned(smaller, scales[1:]), 2)[:height, :width]
    return scaled


def _dot(one: Plane, other: Plane) -> np.float32:
    """Inner product of two planes."""
    return np.float32(np.vdot(one, other))


def _deviation(plane: Plane, mean: Plane) -> Plane:
    """Standard deviation under the window of a plane whose mean is given."""
    return np.sqrt(np.maximum(_window(plane * plane) - mean * mean, 0))


def _window(plane: Plane) -> Plane:
    """Mean under the Gaussian window, borders mirrored."""
    taps = _taps()
    return as_plane(cv2.sepFilter2D(plane, -1, taps, taps, borderType=cv2.BORDER_REFLECT))


@functools.cache
def _taps() -> Plane:
    distance = np.arange(REFINE_TAPS, dtype=np.float32) - REFINE_TAPS // 2
    taps = np.exp(-(distance**2) / (2 * REFINE_SIGMA**2))
    return as_plane(taps / taps.sum())


def _halved(plane: Plane) -> Plane:
    """Half size, odd sides made even by their last row or column."""
    return halve(_bordered(plane, cv2.BORDER_REPLICATE))


def _all_halved(planes: Planes) -> Planes:
    """Planes (..., h, w) at half size; large ones plane by plane."""
    height, width = (-(-side // 2) for side in planes.shape[-2:])
    halves = np.empty((*planes.shape[:-2], height, width), np.float32)
    for place in np.ndindex(planes.shape[:-2]):
        halves[place] = _halved(planes[place])
        let_go(planes)
    return halves


def _bordered(plane: Plane, kind: int) -> Plane:
    """One row or column more where a side is odd."""
    height, width = plane.shape
    return as_plane(cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, kind, value=0))


def _sum(planes: Sequence[Plane]) -> Plane:
    total: Plane = planes[0].copy()
    for plane in planes[1:]:
        total += plane
    return total
