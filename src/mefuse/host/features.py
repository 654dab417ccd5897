"""What a network sees of frames: `features.glimpse` and `features.describe`.

Knows no network and no slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.gamut import LUMA
from mefuse.grid import (
    AGREEMENT_LIMIT,
    BANDS,
    CLIPPED_ABOVE,
    CLIPPED_BELOW,
    CLIPPED_SLOPE,
    ENERGY_FLOOR,
    EXPOSED_FLOOR,
    EXPOSED_VARIANCE,
    FEATURES,
    FINE,
    GRID,
    LUMA_FLOOR,
    SATURATION_FLOOR,
    Glimpse,
)
from mefuse.host.bands import Colour, fine_bands, full_scale, green_of
from mefuse.host.planes import Plane, Planes, as_plane, enlarge, reduce
from mefuse.native import blend as native
from mefuse.native import features as native_features

_OWN = 8  # features that a frame has without the others
_LOGS, _SHARES, _AGREEMENT = (slice(_OWN, _OWN + BANDS), slice(_OWN + BANDS, _OWN + 2 * BANDS),
                              slice(_OWN + 2 * BANDS, FEATURES))  # fmt: skip


def glimpse(frames: Sequence[NDArray[Any]]) -> Glimpse[Planes]:
    """The glimpse of frames (H, W, 3) uint8 or uint16 whose sides are multiples of 8."""
    seen = native.glimpse(frames)
    return _glimpse(frames) if seen is None else seen


def _glimpse(frames: Sequence[NDArray[Any]]) -> Glimpse[Planes]:
    """The same without kernels."""
    unit = np.float32(1 / full_scale(frames[0]))
    lumas, energies, colours = [], [], []
    for frame in frames:
        taken = Colour.of(frame)
        _, energy, smallest = fine_bands(taken.luma)
        lumas.append(smallest)
        energies.append(np.stack([reduce(e, GRID >> (i + 1)) for i, e in enumerate(energy)]))
        planes = (taken.red.astype(np.float32), taken.blue.astype(np.float32), taken.luma)
        red, blue, luma = (reduce(reduce(plane, 2), GRID // 2) for plane in planes)
        colours.append(np.stack((red, green_of(red, blue, luma), blue)))
    return Glimpse(np.stack(colours) * unit, np.stack(lumas) * unit, np.stack(energies) * unit**2)


def describe(
    seen: Glimpse[Planes], coarse: Sequence[tuple[Planes, Planes]]
) -> tuple[Planes, Planes]:
    """What the network sees of frames, on a grid of 8 px; see `features.describe`.

    Returns:
        features (N, FEATURES, h, w), about -1..1; prior (N, h, w), the log of the classic weight.
    """
    told = native_features.describe(seen, coarse)
    return _describe(seen, coarse) if told is None else told


def _describe(
    seen: Glimpse[Planes], coarse: Sequence[tuple[Planes, Planes]]
) -> tuple[Planes, Planes]:
    """The same without kernels."""
    count, height, width = seen.luma.shape
    features = np.empty((count, FEATURES, height, width), np.float32)
    prior = np.empty((count, height, width), np.float32)
    for n in range(count):
        prior[n] = _describe_own(seen.colour[n], seen.luma[n], features[n])
        prior[n] += _log(np.sqrt(seen.energies[n].sum(0) + np.float32(ENERGY_FLOOR)))
    _compare(seen.energies, coarse, features)
    return features, prior


def _describe_own(colour: Planes, luma: Plane, features: Planes) -> Plane:
    """Fills a frame's own features; gives its prior without the contrast."""
    red, green, blue = colour
    gray = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    exposed = -(((colour - np.float32(0.5)) ** 2).sum(0)) / np.float32(2 * EXPOSED_VARIANCE)
    saturation = colour.std(0)
    np.subtract(luma * 2, 1, out=features[0])
    features[1] = _log(np.maximum(luma, 0) + np.float32(LUMA_FLOOR)) / 2 + 1
    np.multiply(blue - gray, np.float32(4 / 1.772), out=features[2])
    np.multiply(red - gray, np.float32(4 / 1.402), out=features[3])
    np.multiply(saturation, 4, out=features[4])
    features[5] = exposed / 4 + 1
    for place, beyond in (
        (6, colour.max(0) - np.float32(CLIPPED_ABOVE)),
        (7, np.float32(CLIPPED_BELOW) - colour.min(0)),
    ):
        np.clip(beyond * np.float32(CLIPPED_SLOPE), 0, 1, out=features[place])
    prior: Plane = np.maximum(exposed, np.float32(EXPOSED_FLOOR))
    prior += _log(saturation + np.float32(SATURATION_FLOOR))
    return prior


def _compare(fine: Planes, coarse: Sequence[tuple[Planes, Planes]], features: Planes) -> None:
    """Fills energies of every band, their share among the frames, and how far the frames agree."""
    count, _, height, width = features.shape
    for band in range(BANDS):
        if band < FINE:
            energies = fine[:, band] + np.float32(ENERGY_FLOOR)
        else:
            factor = 2 << (band - FINE)
            own, together = (
                np.stack([enlarge(e, factor)[:height, :width] for e in each])
                for each in coarse[band - FINE]
            )
            energies = own + np.float32(ENERGY_FLOOR)
            in_phase = np.sqrt(energies).sum(0) ** 2
            agreement = (together[0] + np.float32(ENERGY_FLOOR)) / in_phase
            np.clip(agreement, 0, AGREEMENT_LIMIT, out=agreement)
            features[:, _AGREEMENT.start + band - FINE] = agreement * 2 - 1
        total = _log(energies.sum(0))
        for n in range(count):
            logarithm = _log(energies[n])
            features[n, _LOGS.start + band] = (logarithm + 8) / 4
            features[n, _SHARES.start + band] = (logarithm - total) / 3 + np.float32(0.5)


def _log(plane: Plane) -> Plane:
    """Natural logarithm, by OpenCV's vector code."""
    return as_plane(cv2.log(plane))
