"""Whether two pictures show one place, and points that both show: for a series. A leaf.

Scale-invariant features and one homography between small pictures: enough for a turned, moved or
zoomed camera, and for a camera that stood still. It renders nothing and knows no bracket.

Source: Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 60(2), 2004,
doi:10.1023/B:VISI.0000029664.99615.94 (features and the ratio of the two nearest).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FEATURES = 800
RATIO = 0.75  # of the nearest to the second nearest descriptor; Lowe's is 0.8
REACH_PX = 3.0  # of a match from where the homography has it
FEWEST_MATCHES = 16  # that agree; chosen with a margin, false ones were not counted
FEWEST_SHARE = 0.3  # of the matches, that agree
SAMPLES = 1024  # points compared per pair, at most
FEWEST_SAMPLES = 64
STILL_SHARE = 0.02  # of the diagonal, by which corners of pictures from one place move at most
BLUR_PX = 3.0  # of the points compared: what is a pixel off still compares the same surface
MARGIN_PX = 8  # from borders, which blurring and fusing bend
TELLING = (0.03, 0.97)  # of luma: neither noise nor clipped
TRIMMED = 0.1  # of the points, at either end: what moved between the two pictures


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A small picture with what is recognised in it; `pixels` are (h, w, 3) uint16, RGB."""

    pixels: NDArray[np.uint16]
    points: NDArray[np.float32]
    descriptors: NDArray[np.float32]

    @staticmethod
    def of(pixels: NDArray[np.uint16]) -> Picture:
        """A picture to be compared; a few hundred px a side are enough."""
        gray = cv2.cvtColor(cv2.convertScaleAbs(pixels, alpha=1 / 257), cv2.COLOR_RGB2GRAY)
        found, descriptors = cv2.SIFT.create(FEATURES).detectAndCompute(gray, None)
        points = np.array([point.pt for point in found], np.float32).reshape(-1, 2)
        if descriptors is None:
            descriptors = np.empty((0, 128), np.float32)
        # Hellinger's distance instead of Euclid's (Arandjelovic & Zisserman, CVPR 2012).
        shares = descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-6)
        soft = np.asarray(cv2.GaussianBlur(pixels, (0, 0), BLUR_PX), np.uint16)
        return Picture(soft, points, np.sqrt(shares).astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Points that two pictures share: `points` are (S, 2, 3) uint16, RGB in one and in the other.

    `is_still` tells that the camera did not move in between.
    """

    points: NDArray[np.uint16]
    is_still: bool


def find_shared(one: Picture, other: Picture) -> Shared | None:
    """What two pictures share; None where they show different places, or too little of one."""
    transform = _transform(one, other)
    if transform is None:
        return None
    height, width = one.pixels.shape[:2]
    rows, columns = np.mgrid[MARGIN_PX : height - MARGIN_PX, MARGIN_PX : width - MARGIN_PX]
    here = np.stack((columns.ravel(), rows.ravel()), 1).astype(np.float64)
    there = _moved(here, transform)
    limits = np.array(other.pixels.shape[1::-1]) - 1 - MARGIN_PX
    inside = np.all((there >= MARGIN_PX) & (there <= limits), axis=1)
    pairs = np.stack((_at(one, here[inside]), _at(other, there[inside])), 1)
    pairs = _comparable(pairs)
    if len(pairs) < FEWEST_SAMPLES:
        return None
    some = np.linspace(0, len(pairs) - 1, min(SAMPLES, len(pairs))).round().astype(int)
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    moved_px = np.linalg.norm(_moved(corners, transform) - corners, axis=1).max()
    is_still = one.pixels.shape == other.pixels.shape and moved_px <= STILL_SHARE * np.hypot(
        height, width
    )
    return Shared(np.asarray(pairs[some], np.uint16), bool(is_still))


def _transform(one: Picture, other: Picture) -> NDArray[np.float64] | None:
    """The homography from one picture to another; None where too few points agree on one."""
    if min(len(one.points), len(other.points)) < FEWEST_MATCHES:
        return None
    likeness = one.descriptors @ other.descriptors.T
    nearest = np.argpartition(-likeness, 1, axis=1)[:, :2]
    two = np.sort(np.take_along_axis(likeness, nearest, 1), 1)
    far, near = np.sqrt(np.maximum(2 - 2 * two, 0)).T
    back = likeness.argmax(0)
    best = likeness.argmax(1)
    good = (near < RATIO * far) & (back[best] == np.arange(len(best)))
    if good.sum() < FEWEST_MATCHES:
        return None
    found, agree = cv2.findHomography(
        one.points[good], other.points[best[good]], cv2.USAC_MAGSAC, REACH_PX, maxIters=2000
    )
    if found is None or agree.sum() < max(FEWEST_MATCHES, FEWEST_SHARE * good.sum()):
        return None
    height, width = one.pixels.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    depths = corners @ found[2, :2] + found[2, 2]
    area = cv2.contourArea(_moved(corners, found).astype(np.float32), oriented=True)
    ratio = area / (height * width)
    is_plausible = (depths * depths[0] > 0).all() and 0.05 < ratio < 20
    return np.asarray(found, np.float64) if is_plausible else None


def _comparable(pairs: NDArray[Any]) -> NDArray[Any]:
    """The pairs that tell of the rendering: lit, unclipped, and not of what moved."""
    light = pairs.astype(np.float32).mean(-1) / 65535
    kept = pairs[np.all((light > TELLING[0]) & (light < TELLING[1]), axis=1)]
    if len(kept) == 0:
        return kept
    light = kept.astype(np.float32).mean(-1)
    change = np.log(light[:, 1] / light[:, 0])
    low, high = np.quantile(change, (TRIMMED, 1 - TRIMMED))
    some: NDArray[Any] = kept[(change >= low) & (change <= high)]
    return some


def _moved(points: NDArray[np.float64], transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where (P, 2) points go."""
    projected = np.column_stack((points, np.ones(len(points)))) @ transform.T
    return np.asarray(projected[:, :2] / projected[:, 2:], np.float64)


def _at(picture: Picture, points: NDArray[np.float64]) -> NDArray[np.uint16]:
    """(P, 3) pixels nearest to (P, 2) points; the picture is soft already."""
    columns, rows = points.round().astype(int).T
    return np.asarray(picture.pixels[rows, columns])
