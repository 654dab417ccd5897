"""Small views of differently exposed frames, made comparable two at a time.

A view is a frame in gray at two sizes. For a pair, the darker one's codes are first mapped to the
brighter one's by matching histograms, so that both clip alike; then both turn into local contrast,
gray less its local mean over its local spread, which no exposure changes. Knows nothing of motion.

Source: Grossberg & Nayar, "Determining the camera response from images: what is knowable?", TPAMI
25(11), 2003, doi:10.1109/TPAMI.2003.1240119 (one scene's histograms differ by exposure alone).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.native import compare as native
from mefuse.overview import factor_of, overview_of, to_frame

Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]

COARSE_PX = 520_000  # 960x540 of a 3840x2160 frame
FINE_PX = 2_080_000  # 1920x1080
CONTRAST_PX = 31  # side of the window of local contrast, px of the view
CONTRAST_FLOOR = 1.5  # codes: contrast below is quantisation and noise
CONTRAST_GAIN = 40.0  # codes per unit of local spread: +-3 spreads fit in 8 bits
FLAT = 128  # the code of no contrast
# Codes at which a frame shows the scene; below it is noise, above clipping.
LIT = np.where(np.arange(256) >= 4, 255, 0).astype(np.uint8)
UNCLIPPED = np.where(np.arange(256) <= 247, 255, 0).astype(np.uint8)
BLACK_REACH_PX = 9  # nothing is trusted this near to black,
WHITE_REACH_PX = 5  # but the outline of a clipped area is, on both of its sides
FEATURES = 600
BAND_ROWS = 32


@dataclass(frozen=True, eq=False)
class Level:
    """A frame's local contrast at one size.

    `contrast` is (h, w) uint8, 128 where flat; `to_full` is (3, 3) and takes its pixels to the
    full-size frame's; `find_seen` gives what `seen` keeps.
    """

    contrast: UInt8
    to_full: Float64
    find_seen: Callable[[], UInt8]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.contrast.shape[0]), int(self.contrast.shape[1])

    @cached_property
    def seen(self) -> UInt8:
        """(h, w) uint8, 255 where the frame shows the scene."""
        return self.find_seen()

    @cached_property
    def corners(self) -> NDArray[np.float32]:
        """(h, w) how well each place can be tracked: the smaller eigenvalue of its gradients."""
        return np.asarray(cv2.cornerMinEigenVal(self.contrast, 5), np.float32)

    def sampled(self, step: int) -> Level:
        """Every so many pixels of it."""
        to_full = self.to_full @ np.diag([step, step, 1.0])
        seen = self.seen[::step, ::step]
        return Level(self.contrast[::step, ::step], to_full, lambda: seen)

    @property
    def scale(self) -> float:
        """Full-size pixels per pixel of this level."""
        return float(self.to_full[0, 0])


@dataclass(frozen=True, eq=False)
class Gray:
    """(h, w) uint8 `codes` of a frame at one size, and (3, 3) `to_full`."""

    codes: UInt8
    to_full: Float64

    def level(self, tones: UInt8 | None = None) -> Level:
        """Local contrast of this gray, after the (256,) table `tones` where given."""
        codes = self.codes if tones is None else _mapped(self.codes, tones)

        def find_seen() -> UInt8:
            unclipped = cv2.dilate(_mapped(codes, UNCLIPPED), _square(WHITE_REACH_PX))
            return np.asarray(cv2.bitwise_and(self._lit, unclipped), np.uint8)

        return Level(_local_contrast(codes), self.to_full, find_seen)

    @cached_property
    def _lit(self) -> UInt8:
        """255 where nothing near is black."""
        return np.asarray(cv2.erode(_mapped(self.codes, LIT), _square(BLACK_REACH_PX)), np.uint8)


@dataclass(frozen=True, eq=False)
class View:
    """All that registration keeps of one frame: a few MB, whatever its size."""

    size: tuple[int, int]
    coarse_gray: Gray
    fine_gray: Gray

    @cached_property
    def coarse(self) -> Level:
        """Local contrast of about 0.5 MP."""
        return self.coarse_gray.level()

    @cached_property
    def fine(self) -> Level:
        """Local contrast of about 2 MP."""
        return self.fine_gray.level()

    @cached_property
    def brightness(self) -> float:
        """Mean gray, 0..255."""
        return float(self.coarse_gray.codes.mean())

    @cached_property
    def ranks(self) -> Float64:
        """(256,) the part of the frame that is darker than each code, rising 0..1."""
        counts = np.bincount(self.coarse_gray.codes.ravel(), minlength=256).astype(np.float64)
        return np.asarray((counts.cumsum() - 0.5 * counts) / counts.sum(), np.float64)

    @cached_property
    def features(self) -> tuple[NDArray[np.float32], UInt8]:
        """Corners (n, 2) in px of the coarse level and their descriptors (n, 32)."""
        detector = cv2.ORB.create(FEATURES, scaleFactor=1.3, nlevels=4, fastThreshold=12)
        found, descriptors = detector.detectAndCompute(self.coarse.contrast, self.coarse.seen)
        if descriptors is None:
            return np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8)
        return np.array([point.pt for point in found], np.float32), np.asarray(descriptors)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two views made comparable: levels of the one and of the other, clipped alike."""

    size: tuple[int, int]
    coarse: tuple[Level, Level]
    fine: tuple[Level, Level]


def view_of(pixels: NDArray[Any], half: NDArray[Any] | None = None) -> View:
    """The view of (H, W, 3) uint8 or uint16 RGB `pixels`; `half` is `overview.half_of` them."""
    fine = _small_gray(pixels, half)
    coarse, to_fine = _shrunk(fine.codes, COARSE_PX)
    view = View(
        size=(int(pixels.shape[0]), int(pixels.shape[1])),
        coarse_gray=Gray(coarse, fine.to_full @ to_fine),
        fine_gray=fine,
    )
    _ = view.features, view.ranks  # here, where the caller may use several threads
    return view


def detail(contrast: UInt8, mask: UInt8) -> NDArray[np.float32]:
    """(h, w) contrast around 0, and 0 where `mask` is 0."""
    return np.asarray(cv2.copyTo(contrast.astype(np.float32) - FLAT, mask), np.float32)


def pair_of(first: View, second: View) -> Pair:
    """The levels of `first` and `second`, the darker one with the tones of the brighter one."""
    if first.brightness <= second.brightness:
        tones = _tones(first, second)
        coarse = first.coarse_gray.level(tones), second.coarse
        fine = first.fine_gray.level(tones), second.fine
    else:
        tones = _tones(second, first)
        coarse = first.coarse, second.coarse_gray.level(tones)
        fine = first.fine, second.fine_gray.level(tones)
    return Pair(first.size, coarse, fine)


def _tones(dark: View, bright: View) -> UInt8:
    """(256,) table that gives `dark` the histogram of `bright`."""
    codes = np.arange(256.0)
    rising = bright.ranks + 1e-9 * codes  # interpolation needs distinct ranks
    return np.asarray(np.rint(np.interp(dark.ranks, rising, codes)), np.uint8)


def _mapped(codes: UInt8, table: UInt8) -> UInt8:
    return np.asarray(cv2.LUT(codes, table), np.uint8)


def _small_gray(pixels: NDArray[Any], half: NDArray[Any] | None) -> Gray:
    small, to_overview = _shrunk(overview_of(pixels), FINE_PX, half)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    if gray.dtype != np.uint8:
        gray = cv2.convertScaleAbs(gray, alpha=255.0 / 65535.0)
    to_full = to_frame(factor_of(pixels.shape)) @ to_overview
    return Gray(np.asarray(gray, np.uint8), to_full)


def _shrunk(
    pixels: NDArray[Any], limit_px: int, half: NDArray[Any] | None = None
) -> tuple[NDArray[Any], Float64]:
    """`pixels` averaged down by a whole factor to about `limit_px`, and the matrix back up.

    From their `half` where that is all of them and lies on the way.
    """
    height, width = pixels.shape[:2]
    factor = max(1, round(float(np.sqrt(height * width / limit_px))))
    small_height, small_width = max(1, height // factor), max(1, width // factor)
    small: NDArray[Any] = pixels
    if half is not None and factor % 2 == height % 2 == width % 2 == 0:
        small = half
    if factor > 1 and small.shape[:2] != (small_height, small_width):
        small = cv2.resize(small, (small_width, small_height), interpolation=cv2.INTER_AREA)
    across, down = width / small_width, height / small_height
    back = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1.0]])
    return small, back


def _local_contrast(codes: UInt8) -> UInt8:
    """(h, w) local contrast of `codes`, by bands of rows that stay in the processor's cache."""
    found = native.contrast(
        codes, window_px=CONTRAST_PX, floor=CONTRAST_FLOOR, gain=CONTRAST_GAIN, flat=FLAT
    )
    if found is not None:
        return found
    window = (CONTRAST_PX, CONTRAST_PX)
    means = np.asarray(cv2.boxFilter(codes, cv2.CV_32F, window), np.float32)
    squares = np.asarray(cv2.sqrBoxFilter(codes, cv2.CV_32F, window), np.float32)
    contrast = np.empty_like(codes)
    for top in range(0, len(codes), BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        mean, spread = means[rows], squares[rows]
        spread -= mean * mean
        np.sqrt(np.maximum(spread, 0.0, out=spread), out=spread)
        spread += CONTRAST_FLOOR
        detail = codes[rows] - mean
        detail /= spread
        detail *= CONTRAST_GAIN
        detail += FLAT + 0.5  # the cast below rounds down
        contrast[rows] = np.clip(detail, 0.0, 255.0, out=detail)
    return contrast


def _square(side: int) -> UInt8:
    return np.ones((side, side), np.uint8)
