"""The bands from 1/8 of the picture to the top: `blend.build_pyramid` and `blend.blend_coarse`.

Runs once per bracket, on the grid of 8 px of the whole picture. Knows no network and no slice.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from mefuse.grid import BANDS, DEEP, ENERGY_FLOOR, FINE, Maps, Pyramid
from mefuse.host.planes import Plane, Planes, as_plane, energy_of, enlarge, halve, reduce
from mefuse.scratch import let_go


def build_pyramid(luma: Planes) -> Pyramid[Planes]:
    """Takes luma (N, h, w) on the grid of 8 px apart, to the top."""
    sizes: list[tuple[int, int]] = []
    bands: list[Planes] = []
    energies: list[Planes] = []
    together: list[Planes] = []
    while min(luma.shape[-2:]) > 1:
        sizes.append((luma.shape[-2], luma.shape[-1]))
        luma = _even(luma)
        smaller = np.stack([halve(plane) for plane in luma])
        band = np.empty_like(luma)
        for out, plane, half in zip(band, luma, smaller, strict=True):
            np.subtract(plane, enlarge(half, 2), out=out)
        if len(energies) < BANDS - FINE:
            energies.append(np.stack([energy_of(plane) for plane in band]))
            together.append(energy_of(as_plane(band.sum(0)))[np.newaxis])
        bands.append(band)
        luma = smaller
    return Pyramid(tuple(bands), tuple(sizes), tuple(energies), tuple(together), luma)


def blend_coarse(pyramid: Pyramid[Planes], maps: Maps[Planes]) -> Plane:
    """Joins all bands from the 1/8 grid to the top of the pyramid: the fused luma (h, w) at 1/8."""
    share = _softmax(maps.logits[:, DEEP])  # deep bands
    logits, gains = maps.logits[:, FINE:BANDS], maps.gains[FINE:BANDS]
    blended = []
    for level, band in enumerate(pyramid.bands):
        share = _even(share)
        if level < len(pyramid.energies):  # a band with weights of its own
            logits, gains = _pooled(logits), _pooled(gains)
            weights = _band_weights(pyramid.energies[level], logits[:, level], gains[level])
            blended.append(_sum((enlarge(plane, 2) for plane in weights), band))
        else:
            blended.append(_sum(share, band))
        share = np.stack([halve(plane) for plane in share])
    fused: Plane = (share * pyramid.top).sum(0)
    for band, (height, width) in zip(reversed(blended), reversed(pyramid.sizes), strict=True):
        fused = (enlarge(fused, 2) + band)[:height, :width]
    return fused


def weight_maps(energies: Planes, pyramid: Pyramid[Planes], maps: Maps[Planes]) -> Planes:
    """How much of the luma each frame gives, see `blend.weight_maps`: (N, h, w)."""
    height, width = maps.logits.shape[-2:]
    weights = [_band_weights(energies[:, i], maps.logits[:, i], maps.gains[i]) for i in range(FINE)]
    logits, gains = maps.logits[:, FINE:BANDS], maps.gains[FINE:BANDS]
    share = _softmax(maps.logits[:, DEEP])  # deep bands
    for level, energy in enumerate(pyramid.energies):
        logits, gains = _pooled(logits), _pooled(gains)
        coarse = _band_weights(energy, logits[:, level], gains[level])
        weights.append(_enlarged(coarse, 2 << level)[..., :height, :width])
        share = np.stack([halve(plane) for plane in _even(share)])
    weights.append(_enlarged(share, 1 << len(pyramid.energies))[..., :height, :width])
    return as_plane(np.mean(weights, 0))


def _band_weights(energies: Planes, logits: Planes, gain: Plane) -> Planes:
    """Softmax over frames of gain x log energy + logits, all (N, h, w) but gain (h, w)."""
    return _softmax(np.log(energies + np.float32(ENERGY_FLOOR)) * gain + logits)


def _even(planes: Planes) -> Planes:
    """One row or column more, repeated, where a side is odd."""
    height, width = planes.shape[-2:]
    if height % 2 == 0 and width % 2 == 0:
        return planes
    more = [(0, 0)] * (planes.ndim - 2) + [(0, height % 2), (0, width % 2)]
    return np.pad(planes, more, mode="edge")


def _enlarged(planes: Planes, factor: int = 2) -> Planes:
    """Each plane (n, h, w) larger by `factor`."""
    return np.stack([enlarge(plane, factor) for plane in planes])


def _pooled(planes: Planes) -> Planes:
    """Mean over 2 x 2 of planes (..., h, w), odd sides made even; large ones plane by plane."""
    height, width = (-(-side // 2) for side in planes.shape[-2:])
    pooled = np.empty((*planes.shape[:-2], height, width), np.float32)
    for place in np.ndindex(planes.shape[:-2]):
        pooled[place] = reduce(_even(planes[place]), 2)
        let_go(planes)
    return pooled


def _sum(weights: Iterable[Plane], planes: Planes) -> Plane:
    """Planes (N, h, w), each times its weights, added; weights come one after the other."""
    total = np.zeros(planes.shape[1:], np.float32)
    for weight, plane in zip(weights, planes, strict=True):
        total += weight * plane
    return total


def _softmax(scores: Planes) -> Planes:
    """Shares that sum to one over frames (N, h, w)."""
    shares: Planes = scores - scores.max(0)
    let_go(scores)
    flat = shares.reshape(len(shares), -1)
    cv2.exp(flat, flat)
    shares /= shares.sum(0)
    return shares
