"""Enlarges small radiance far beyond its pixels, and gives it the fine detail that it lacks.

A view into a panorama of 1000 px has about 200 px of its own. Edges are kept sharp step by step,
and the missing octaves come from the fine structure of photographs, or of noise, as strong as the
picture's own finest detail is at each place: smooth walls stay smooth, foliage gets busy. The
detail is plausible, not true, and the same for every exposure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefuse.synth.pictures import Picture

Floats = NDArray[np.float32]

_BAND_ROWS = 256
_RIM = 8  # rows around a band that its filters look at
_PATCH_PX = 192  # small enough that nothing in a photograph is recognised
_CANDIDATES = 6
_PHOTO_PX = 520  # shorter side that photographs are reduced to, not below half
_FLOOR = 1e-5  # of radiance, before the logarithm
_SOFT = 1.7  # enlarged less than that, a picture is sharp as it is
_STAIRS_PX = 0.9  # blur that takes the stairs off oblique edges before they are sharpened
_GAIN, _GRAIN, _LIMIT = 1.8, 0.006, 0.45  # of the detail, natural log; chosen by eye


def enlarged(
    radiance: Floats,
    size: tuple[int, int],
    *,
    own_px: float,
    rng: np.random.Generator,
    photos: Sequence[Picture],
) -> Tensor:
    """Radiance at another size, sharp and detailed.

    Args:
        radiance: (h, w, 3) linear.
        size: (height, width) wanted; its aspect is that of the radiance.
        own_px: how many columns of true detail the radiance has.
        rng: chooses the detail.
        photos: what the detail is taken from; none: noise.

    Returns:
        (3, height, width) float16.
    """
    log = np.asarray(np.log(np.maximum(radiance, _FLOOR)), np.float32)
    missing = size[1] / own_px
    strength = _own_contrast(log) if missing > _SOFT else None
    detail = _detail(size, 0.55 * missing, rng, photos) if strength is not None else None
    while log.shape[1] * 2 < size[1]:
        larger = cv2.resize(log, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        log = _sharpened(np.asarray(cv2.GaussianBlur(larger, (0, 0), _STAIRS_PX), np.float32))
    result = torch.empty((3, *size), dtype=torch.float16)
    for top in range(0, size[0], _BAND_ROWS):
        rows = (top, min(top + _BAND_ROWS, size[0]))
        band = _rows_of(log, size, rows)
        if missing > _SOFT:
            band = _sharpened(band)
        if detail is not None and strength is not None:
            amount = np.clip(_GAIN * _rows_of(strength, size, rows) + _GRAIN, 0, _LIMIT)
            inner = slice(_RIM, _RIM + rows[1] - rows[0])
            band[inner] += (amount[inner] * detail[rows[0] : rows[1]])[..., np.newaxis]
        linear = np.exp(band[_RIM : _RIM + rows[1] - rows[0]])
        result[:, rows[0] : rows[1]] = torch.from_numpy(linear).permute(2, 0, 1).clamp(0, 6e4)
    return result


def _rows_of(small: Floats, size: tuple[int, int], rows: tuple[int, int]) -> Floats:
    """Some rows of the small array enlarged to `size`, with a rim above and below."""
    down, across = small.shape[0] / size[0], small.shape[1] / size[1]
    first = max(0, int((rows[0] - _RIM) * down) - 4)
    last = min(small.shape[0], int((rows[1] + _RIM) * down) + 5)
    matrix = np.array(
        [[across, 0, across / 2 - 0.5],
         [0, down, down * (rows[0] - _RIM + 0.5) - 0.5 - first]]
    )  # fmt: skip
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    count = (size[1], rows[1] - rows[0] + 2 * _RIM)
    edge = cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.warpAffine(small[first:last], matrix, count, flags=flags, borderMode=edge), np.float32
    )


def _sharpened(log: Floats) -> Floats:
    """Steeper edges that never leave the range of their neighbours."""
    kernel = np.ones((3, 3), np.uint8)
    steep = log + 1.6 * (log - cv2.GaussianBlur(log, (0, 0), 1.4))
    return np.asarray(np.clip(steep, cv2.erode(log, kernel), cv2.dilate(log, kernel)), np.float32)


def _own_contrast(log: Floats) -> Floats:
    """How strong the finest detail is around each place, (h, w), natural log.

    A lone edge is no texture: what counts is busy on all sides.
    """
    luma = log.mean(axis=2)
    fine = np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 1.5))
    busy = cv2.erode(cv2.GaussianBlur(fine, (0, 0), 1.5), np.ones((7, 7), np.uint8))
    return np.asarray(cv2.GaussianBlur(busy, (0, 0), 2), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Texture:
    """Fine structure of a photograph, of even strength, and how strong it was, 1/16 of the size."""

    fine: Floats
    strength: Floats

    @staticmethod
    def of(luma: Floats, sigma: float) -> _Texture:
        fine = luma - _smooth(luma, sigma)
        window = 2 * round(3 * sigma) + 1
        spread = cv2.blur(cv2.blur(np.abs(fine), (window, window)), (window, window)) * 1.25
        even = np.asarray(np.clip(fine / (spread + 0.02), -3, 3), np.float32)
        small = cv2.resize(spread, None, fx=1 / 16, fy=1 / 16, interpolation=cv2.INTER_AREA)
        return _Texture(even, np.asarray(small, np.float32))

    def evenness(self, top: int, left: int) -> float:
        """How alike all parts of a patch are, 0..1: a texture is, an object is not."""
        cells = (
            slice(top // 16, (top + _PATCH_PX) // 16),
            slice(left // 16, (left + _PATCH_PX) // 16),
        )
        part = self.strength[cells]
        return float(part.min() / (part.mean() + 0.01))


def _detail(
    size: tuple[int, int], sigma: float, rng: np.random.Generator, photos: Sequence[Picture]
) -> NDArray[np.float16]:
    """A field of fine structure (H, W), deviation about 1: patches that fade into each other."""
    half = _PATCH_PX // 2
    ramp = np.sin(np.pi * (np.arange(_PATCH_PX, dtype=np.float32) + 0.5) / _PATCH_PX)
    window = np.outer(ramp, ramp).astype(np.float32)  # squares of neighbours add up to 1
    total = np.zeros((size[0] + 2 * half, size[1] + 2 * half), np.float16)
    lumas = [_log_luma(photo) for photo in photos] or [_noise(rng)]
    textures = [_Texture.of(luma, max(sigma, 1.0)) for luma in lumas]
    for top in range(0, total.shape[0] - half, half):
        for left in range(0, total.shape[1] - half, half):
            patch = _patch(rng, textures) * window
            place = total[top : top + _PATCH_PX, left : left + _PATCH_PX]
            place += patch[: place.shape[0], : place.shape[1]].astype(np.float16)
    return total[half : half + size[0], half : half + size[1]]


def _patch(rng: np.random.Generator, textures: Sequence[_Texture]) -> Floats:
    """The most even of a few squares of the textures, mirrored by chance."""
    best, chosen = -1.0, textures[0].fine[:_PATCH_PX, :_PATCH_PX]
    for _ in range(_CANDIDATES):
        texture = textures[int(rng.integers(len(textures)))]
        top, left = (int(rng.integers(0, side - _PATCH_PX + 1)) for side in texture.fine.shape)
        even = texture.evenness(top, left)
        if even > best:
            best, chosen = even, texture.fine[top : top + _PATCH_PX, left : left + _PATCH_PX]
    return chosen[:, ::-1] if rng.random() < 0.5 else chosen


def _log_luma(photo: Picture) -> Floats:
    """(H, W) natural log of a photograph's luminance, reduced where it is large, so it is sharp."""
    pixels = photo.pixels.permute(1, 2, 0).numpy()
    factor = max(0.5, _PHOTO_PX / min(pixels.shape[:2]))
    if factor != 1:
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        pixels = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=way)
    luma = pixels.mean(axis=2, dtype=np.float32)
    return np.asarray(2.2 * np.log(luma / 255 + 0.03), np.float32)


def _noise(rng: np.random.Generator) -> Floats:
    """Blobs of all sizes, (1024, 1024)."""
    side = 1024
    total = np.zeros((side, side), np.float32)
    cells, strength = 8, 1.0
    while cells <= side // 2:
        grid = rng.standard_normal((cells, cells), np.float32)
        blobs = cv2.resize(np.abs(grid), (side, side), interpolation=cv2.INTER_CUBIC)
        total += np.float32(strength) * blobs
        cells, strength = cells * 2, strength * 0.85
    return total


def _smooth(plane: Floats, sigma: float) -> Floats:
    """A Gaussian blur; a wide one at a quarter of the size, where it is cheap."""
    if sigma < 4:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)
    small = cv2.resize(plane, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / 4)
    return np.asarray(cv2.resize(small, plane.shape[::-1]), np.float32)
