"""The bands from 1/8 of the picture to the top: `blend.build_pyramid` and `blend.blend_coarse`.

Runs once per bracket, on the grid of 8 px of the whole picture. Knows no network and no slice.
"""

from __future__ import annotations

import cv2
import numpy as np

from mefuse.grid import BANDS, ENERGY_FLOOR, FINE, Maps, Pyramid
from mefuse.host.planes import Plane, Planes, as_plane, energy_of, enlarge, halve, reduce


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
        band = luma - _enlarged(smaller)
        if len(energies) < BANDS - FINE:
            energies.append(np.stack([energy_of(plane) for plane in band]))
            together.append(energy_of(as_plane(band.sum(0)))[np.newaxis])
        bands.append(band)
        luma = smaller
    return Pyramid(tuple(bands), tuple(sizes), tuple(energies), tuple(together), luma)


def blend_coarse(pyramid: Pyramid[Planes], maps: Maps[Planes]) -> Plane:
    """Joins all bands from the 1/8 grid to the top of the pyramid: the fused luma (h, w) at 1/8."""
    share = _softmax(maps.logits[:, BANDS])  # deep bands
    logits, gains = maps.logits[:, FINE:BANDS], maps.gains[FINE:BANDS]
    blended = []
    for level, band in enumerate(pyramid.bands):
        share = _even(share)
        if level < len(pyramid.energies):  # a band with weights of its own
            logits, gains = _pooled(_even(logits)), _pooled(_even(gains))
            weights = _enlarged(
                _band_weights(pyramid.energies[level], logits[:, level], gains[level])
            )
        else:
            weights = share
        blended.append((weights * band).sum(0))
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
    share = _softmax(maps.logits[:, BANDS])  # deep bands
    for level, energy in enumerate(pyramid.energies):
        logits, gains = _pooled(_even(logits)), _pooled(_even(gains))
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
    """Mean over 2 x 2 of planes (..., h, w) with even sides: rows of one never meet the next's."""
    height, width = planes.shape[-2:]
    flat = reduce(np.ascontiguousarray(planes).reshape(-1, width), 2)
    return flat.reshape(*planes.shape[:-2], height // 2, width // 2)


def _softmax(scores: Planes) -> Planes:
    """Shares that sum to one over frames (N, h, w)."""
    scores = scores - scores.max(0)
    shares = as_plane(cv2.exp(scores.reshape(len(scores), -1))).reshape(scores.shape)
    shares /= shares.sum(0)
    return shares
