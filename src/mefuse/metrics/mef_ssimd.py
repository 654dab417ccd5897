"""MEF-SSIMd: MEF-SSIM for scenes in which something moves. Gray, one scale.

Where all frames show the same structure, a fused picture is compared with what all frames give
together. Where they do not, it may follow any one frame: it is compared with each of them, shown in
the contrast of the brightness of the others, and the frame that suits the whole picture best
counts. A ghost follows no frame. Knows no file.

Source: Fang, Zhu, Ma, Wang, Li, "Perceptual Evaluation for Multi-Exposure Image Fusion of Dynamic
Scenes", IEEE TIP 29, 2020, doi:10.1109/TIP.2019.2940677. Constants are those of the authors'
program. Like that program, and unlike MEF-SSIM, the structure wanted where something moves is
the one frame's own; its pseudo-exposures decide the contrast.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.metrics.strips import strips_of
from mefuse.metrics.windows import box_of, gaussian_of

Plane = NDArray[np.uint8]
Map = NDArray[np.float64]

PATCH_PX = 11
SIGMA_PX = 1.5  # of the window under which a patch is compared
STABILITY = (0.03 * 255.0) ** 2
POWER = 4  # how much the frame with more contrast counts
CONSISTENT = 0.5  # least correlation of two frames where nothing moved
DISK_PX = 11  # radius; what is consistent over less is chance
CENTRE = 127.5  # subtracted before squaring, which keeps digits
_FLOOR = 0.001  # keeps the contrast of flat patches from zero
_box = partial(box_of, size_px=PATCH_PX)
_gaussian = partial(gaussian_of, size_px=PATCH_PX, sigma_px=SIGMA_PX)


def measure_mef_ssimd(frames: Sequence[Plane], fused: Sequence[Plane]) -> list[float]:
    """MEF-SSIMd of several fused pictures of one bracket.

    Args:
        frames: (H, W) gray each, darkest first, aligned.
        fused: (H, W) gray each.

    Returns:
        One score per fused picture, at most 1: the mean of the static and of the moving part's
        quality, or the only one's where there is but one.
    """
    static = static_area(frames)
    pseudo = [_pseudo_exposures(frames, reference) for reference in range(len(frames))]
    count = int(static.sum())
    total = np.zeros(len(fused))
    moving = np.zeros((len(frames), len(fused)))
    height, width = frames[0].shape
    planes = len(frames) * (len(frames) + 1)
    for rows in strips_of(height, width, planes=planes, window_px=PATCH_PX):
        part = [_centred(frame[rows]) for frame in frames]
        shown = [_windowed(_centred(picture[rows])) for picture in fused]
        still = static[rows.start : rows.stop - PATCH_PX + 1]
        if still.any():
            total += _sums(_joint_structure(part), shown, where=still)
        if not still.all():
            for reference, others in enumerate(pseudo):
                wanted = _single_structure(part[reference], [_centred(o[rows]) for o in others])
                moving[reference] += _sums(wanted, shown, where=~still)
    if count == static.size:
        return [float(score) for score in total / count]
    best = (moving / (static.size - count)).max(0)
    return [float(score) for score in (best if count == 0 else (total / count + best) / 2)]


def static_area(frames: Sequence[Plane]) -> NDArray[np.bool_]:
    """Where the structure of all pairs of frames agrees: (H - 10, W - 10), per patch."""
    height, width = (side - PATCH_PX + 1 for side in frames[0].shape)
    y, x = np.mgrid[-DISK_PX : DISK_PX + 1, -DISK_PX : DISK_PX + 1]
    disk = (x**2 + y**2 <= DISK_PX**2).astype(np.uint8)
    area = np.ones((height, width), np.uint8)
    for one, other in combinations(frames, 2):
        consistent = np.empty_like(area)
        for rows in strips_of(*frames[0].shape, planes=2, window_px=PATCH_PX):
            agreement = _agreement(_centred(one[rows]), _centred(other[rows]))
            consistent[rows.start : rows.stop - PATCH_PX + 1] = agreement >= CONSISTENT
        area &= cv2.morphologyEx(consistent, cv2.MORPH_OPEN, disk)
    return area.astype(bool)


def matched(plane: Plane, other: Plane) -> Plane:
    """`plane` through the monotone curve that gives it the histogram of `other`.

    A level becomes the lowest level of `other` whose rank reaches the middle of its own pixels'
    ranks; of black and white, which may be clipped, the upper end.
    """
    counts = np.bincount(plane.ravel(), minlength=256).astype(np.float64)
    ranks = counts.cumsum()
    ranks[1:-1] -= counts[1:-1] / 2
    reached = np.bincount(other.ravel(), minlength=256).cumsum()
    curve = np.minimum(np.searchsorted(reached, ranks), 255).astype(np.uint8)
    return np.asarray(cv2.LUT(plane, curve), np.uint8)


def _pseudo_exposures(frames: Sequence[Plane], reference: int) -> list[Plane]:
    """The reference as each of the other frames would have exposed it."""
    return [matched(frames[reference], f) for i, f in enumerate(frames) if i != reference]


def _centred(plane: Plane) -> Map:
    return plane.astype(np.float64) - CENTRE


def _agreement(one: Map, other: Map) -> Map:
    """Correlation of two frames' patches, kept near 1 where both are flat."""
    mean, mean_other = _box(one), _box(other)
    covariance = _box(one * other) - mean * mean_other
    variances = (_box(one**2) - mean**2).clip(0) * (_box(other**2) - mean_other**2).clip(0)
    return np.asarray((covariance + STABILITY) / (np.sqrt(variances) + STABILITY))


def _contrast(plane: Map) -> Map:
    """Norm of each patch without its mean."""
    deviation = np.sqrt((_box(plane**2) - _box(plane) ** 2).clip(0))
    return np.asarray(deviation * PATCH_PX + _FLOOR)


class _Structure:
    """A wanted structure: a mix of frames, patch by patch; its moments under the window."""

    def __init__(self, planes: Sequence[Map], mix: Sequence[Map]) -> None:
        self._planes, self._mix = planes, mix
        self._means = [_gaussian(plane) for plane in planes]
        self.variance = _mixed_variance(planes, mix, self._means, gaussian=True)

    def covariance(self, fused: Map, mean: Map) -> Map:
        """With a fused picture whose windowed mean is `mean`."""
        total = np.zeros_like(mean)
        for plane, mix, own in zip(self._planes, self._mix, self._means, strict=True):
            total += mix * (_gaussian(plane * fused) - own * mean)
        return total


def _mixed_variance(
    planes: Sequence[Map], mix: Sequence[Map], means: Sequence[Map], *, gaussian: bool
) -> Map:
    """Variance of a mix of planes, from the moments of all pairs."""
    average = _gaussian if gaussian else _box
    total = np.zeros_like(means[0])
    for i, one in enumerate(planes):
        for j in range(i, len(planes)):
            covariance = average(one * planes[j]) - means[i] * means[j]
            total += (1.0 if i == j else 2.0) * mix[i] * mix[j] * covariance
    return total


def _joint_structure(frames: Sequence[Map]) -> _Structure:
    """What all frames give together: the stronger count more, in the strongest's contrast."""
    contrasts = [_contrast(frame) for frame in frames]
    mix = [(contrast**POWER + _FLOOR) / contrast for contrast in contrasts]
    variance = _mixed_variance(frames, mix, [_box(frame) for frame in frames], gaussian=False)
    norm = np.sqrt(variance.clip(0)) * PATCH_PX
    gain = _gain(np.maximum.reduce(contrasts), norm)
    return _Structure(frames, [part * gain for part in mix])


def _single_structure(frame: Map, others: Sequence[Map]) -> _Structure:
    """One frame's own structure, in the largest contrast of its pseudo-exposures."""
    contrast = _contrast(frame)
    largest = np.maximum.reduce([contrast, *(_contrast(other) for other in others)])
    return _Structure([frame], [_gain(largest, contrast - _FLOOR)])


def _gain(largest: Map, norm: Map) -> Map:
    """Brings a norm to `largest`; a flat patch stays flat."""
    return np.divide(largest, norm, out=np.zeros_like(norm), where=norm > 1e-6)


def _windowed(fused: Map) -> tuple[Map, Map, Map]:
    """A fused picture with its mean and variance under the window."""
    mean = _gaussian(fused)
    return fused, mean, _gaussian(fused**2) - mean**2


def _sums(
    wanted: _Structure, shown: Sequence[tuple[Map, Map, Map]], *, where: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Sum of each fused picture's quality over the patches of one kind."""
    sums = []
    for fused, mean, variance in shown:
        quality = 2 * wanted.covariance(fused, mean) + STABILITY
        quality /= wanted.variance + variance + STABILITY
        sums.append(quality[where].sum())
    return np.array(sums)
