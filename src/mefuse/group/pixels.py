"""Grouping of files whose headers tell no exposure: what they show, and how bright they are.

Small gray pictures are decoded, neighbours in the order of names are compared in a way that does
not mind exposure or a shaking hand, and the step between them is estimated. Imported only when such
files come, because it loads OpenCV.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse import containers, decode
from mefuse.errors import MefuseError, ReadError
from mefuse.exposure import Luma, estimate_evs, luma_small
from mefuse.frames import Exposure, Source
from mefuse.group.links import BREAK
from mefuse.group.shots import Shot
from mefuse.raw.files import read_header

_LONGEST_PX = 96
_BLUR_PX = 6.0  # what is larger is light, not content
_SHIFT_PX = 4  # of 96: how far a hand moves between frames
_DARKEST, _BRIGHTEST = 0.008, 0.985  # what lies between tells of the scene, noise averaged out
_LEAST_SHARED = 0.08  # of the pixels have to be exposed in both
# Correlation of detail. In real brackets of three and more frames neighbours reach 0.58 to 1.0 (one
# pair of 81: 0.26), pictures of other scenes at most 0.32.
_SAME_SCENE, _OTHER_SCENE = 0.5, 0.38
_SAME_BITS, _LIKELY_BITS, _UNKNOWN_BITS = 6.0, 1.5, -2.0
_THREADS = 2


def with_raw_exposure(shot: Shot) -> Shot:
    """Gives a raw file's shot with the exposure that LibRaw finds, for formats without EXIF."""
    try:
        header = read_header(Source(shot.path, Exposure(), is_raw=True))
    except ReadError:
        return shot
    return replace(shot, exposure=header.source.exposure)


def read_lumas(shots: Sequence[Shot]) -> list[Luma | None]:
    """Gives a small gray picture of each file, (h, w) float32, 0..1; None where that fails."""
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(_luma, (shot.path for shot in shots)))


def _luma(path: Path) -> Luma | None:
    try:
        data = path.read_bytes()
        if containers.kind_of(data[: containers.HEADER_BYTES]) == "jpeg":
            # An eighth of the size comes almost free.
            buffer = np.frombuffer(data, np.uint8)
            small = cv2.imdecode(buffer, cv2.IMREAD_REDUCED_COLOR_8)
            if small is not None and max(small.shape) >= _LONGEST_PX:
                return luma_small(small[..., ::-1], _LONGEST_PX)
        return luma_small(decode.decode(data, str(path)).pixels, _LONGEST_PX)
    except (MefuseError, OSError, cv2.error):
        return None


def relative_stops(lumas: Sequence[Luma]) -> list[float]:
    """Gives exposures in EV relative to the first, each step estimated from two neighbours."""
    stops = [0.0]
    for one, other in itertools.pairwise(lumas):
        before, after = estimate_evs([one, other]) if one.shape == other.shape else (0.0, 0.0)
        stops.append(stops[-1] + after - before)
    return stops


def link_bits(lumas: Sequence[Luma]) -> list[float]:
    """Gives the evidence, in bits, for each picture and the next showing one scene; or BREAK.

    A dark and a bright frame may share no exposed pixel; then the frame before them decides.
    """
    bits: list[float] = []
    for i, (one, other) in enumerate(itertools.pairwise(lumas)):
        alike = _likeness(one, other)
        if (alike is None or alike < _SAME_SCENE) and i and bits[-1] != BREAK:
            alike = _larger(alike, _likeness(lumas[i - 1], other))
        bits.append(_bits(alike))
    return bits


def _bits(alike: float | None) -> float:
    if alike is None:
        return _UNKNOWN_BITS
    if alike >= _SAME_SCENE:
        return _SAME_BITS
    return _LIKELY_BITS if alike >= _OTHER_SCENE else BREAK


def _larger(one: float | None, other: float | None) -> float | None:
    known = [x for x in (one, other) if x is not None]
    return max(known) if known else None


def _likeness(one: Luma, other: Luma) -> float | None:
    """The correlation of two pictures' detail at the best shift; None where they share too little.

    Detail is the logarithm without its soft part, so that a factor of exposure falls out.
    """
    if one.shape != other.shape:
        return -1.0
    exposed = [((x > _DARKEST) & (x < _BRIGHTEST)).astype(np.float32) for x in (one, other)]
    if float(np.mean(exposed[0] * exposed[1])) < _LEAST_SHARED:
        return None
    details = [_detail(x, mask) for x, mask in zip((one, other), exposed, strict=True)]
    return max(
        _correlation(details[0], exposed[0], _shifted(details[1], y, x), _shifted(exposed[1], y, x))
        for y in range(-_SHIFT_PX, _SHIFT_PX + 1)
        for x in range(-_SHIFT_PX, _SHIFT_PX + 1)
    )


def _detail(luma: Luma, exposed: Luma) -> Luma:
    """The logarithm minus its local mean over exposed pixels; 0 elsewhere."""
    logs = np.log2(np.maximum(luma, _DARKEST))
    weight = cv2.GaussianBlur(exposed, (0, 0), _BLUR_PX)
    soft = cv2.GaussianBlur(logs * exposed, (0, 0), _BLUR_PX) / np.maximum(weight, 1e-3)
    detail = (logs - soft) * exposed
    return np.asarray(np.clip(detail, -1.0, 1.0), np.float32)  # a lamp must not outweigh the room


def _shifted(plane: Luma, y: int, x: int) -> Luma:
    return np.roll(plane, (y, x), (0, 1))


def _correlation(
    one: NDArray[np.float32],
    one_mask: NDArray[np.float32],
    other: NDArray[np.float32],
    other_mask: NDArray[np.float32],
) -> float:
    """Correlation over what both show."""
    a, b = one * other_mask, other * one_mask
    size = float(np.vdot(a, a) * np.vdot(b, b))
    return float(np.vdot(a, b)) / size**0.5 if size > 0 else 0.0
