"""How much of a frame's fine detail is noise: measured on its own flat places. A leaf.

Blending weighs frames by the energy of their bands, and noise has energy too: in a dark frame it
would count as detail. A noise profile tells per luma what a band holds where the scene shows
nothing. It is measured as pixels are fused, display-referred, so that what the sensor, its ISO,
demosaicing, denoising and JPEG made of the noise is all in it. It knows no file.

Source: Foi, Trimeche, Katkovnik, Egiazarian, "Practical Poissonian-Gaussian noise modeling and
fitting for single-image raw-data", 2008, doi:10.1109/TIP.2008.2001399 (variance a + b x light; here
behind the slope of sRGB's curve, and as the lower envelope of what blocks of the picture hold).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Values = NDArray[np.float64]

BANDS = 3  # the finest ones: what is coarser than 8 px has hardly any noise
NODES = 17
_BLOCK_PX = 16
_MARGIN_PX = 16  # around a strip, so that its bands are those of the whole picture
_STRIP_PX = 64
_SAMPLE_PX = 500_000
_FEWEST_BLOCKS = 12
_QUANTILE = 0.1  # of the blocks of one luma: these show no detail, if any do
# Measured on white noise, per band: its standard deviation, and by how much the quantile falls
# short of it.
_WHITE_SHARES = (0.926, 0.263, 0.116)
_QUANTILE_SHARES = (0.940, 0.875, 0.745)
_MOST_SHARES = (0.926, 0.7, 0.5)  # of noise that demosaicing or denoising has made coarser
_DARKEST, _BRIGHTEST = 0.01, 0.97  # clipping hides noise beyond these
_SCATTER = 1.15  # of a bin's variance
_ABOVE_MODEL = 1.5**2  # a tone curve steeper than sRGB's raises noise that much; more is texture
_CLEAR = 6.0  # standard deviations above black: nearer, black cuts the noise off
_TAPS = np.array([1, 3, 3, 1], np.float32) / 8


@dataclass(frozen=True, slots=True, eq=False)
class NoiseProfile:
    """The noise of one frame.

    `luma` is (NODES,), 0..1, evenly spaced; `bands` is (BANDS, NODES): the standard deviation of
    noise at that luma in the three finest bands of the pyramid (taps 1 3 3 1, bilinear), finest
    first, as a share of full scale.
    """

    luma: Plane
    bands: Plane

    @property
    def sigma(self) -> Plane:
        """(NODES,) standard deviation of white noise that would fill the finest band as much."""
        white: Plane = self.bands[0] / np.float32(_WHITE_SHARES[0])
        return white


def noise_profile(pixels: NDArray[Any]) -> NoiseProfile:
    """Measures the noise of a frame.

    Args:
        pixels: (H, W, 3) uint8 or uint16 RGB, display-referred.

    Returns:
        What its flattest places hold. A frame without any flat place seems noisier than it is; one
        smaller than a block, or without anything between black and white, has no noise.

    Note:
        Half a million pixels are looked at, in strips evenly spread, whatever the size: 10-20 ms.
    """
    lumas, energies = _blocks(pixels)
    nodes = np.linspace(0, 1, NODES)
    finest = _finest(lumas, energies[0], nodes, rounding=1 / np.iinfo(pixels.dtype).max)
    shares = [_share(lumas, energies, band, (nodes, finest)) for band in range(BANDS)]
    table = np.sqrt(finest) * np.array(shares)[:, None]
    return NoiseProfile(nodes.astype(np.float32), table.astype(np.float32))


def _finest(lumas: Plane, energy: Plane, nodes: Values, *, rounding: float) -> Values:
    """The variance of noise in the finest band at each node.

    Each bin of luma bounds it from above, for its flattest blocks may still hold detail. The model
    runs below all bins that say anything, and a bin is believed where it lies little above.
    """
    place = np.round(lumas * (NODES - 1)).astype(np.int64)
    usable = (lumas > _DARKEST) & (lumas < _BRIGHTEST)
    bins = [
        here for node in range(NODES) if (here := usable & (place == node)).sum() >= _FEWEST_BLOCKS
    ]
    at = np.array([lumas[here].mean() for here in bins])
    found = np.array([np.quantile(energy[here], _QUANTILE) for here in bins])
    found /= _QUANTILE_SHARES[0] ** 2
    rounded = (_WHITE_SHARES[0] * rounding) ** 2 / 12
    told = (found > 1.5 * rounded) & (at > _CLEAR * np.sqrt(found)) & (1 - at > np.sqrt(found))
    if not told.any():
        return np.full(NODES, found.min() if found.size else 0.0)
    light, slope = _curve(at[told])
    read, shot = _envelope(light, (_SCATTER * found[told] - rounded) / slope**2)
    light, slope = _curve(nodes)
    model = (read + shot * light) * slope**2 + rounded
    seen: Values = np.interp(nodes, at, found)
    return np.minimum(seen, _ABOVE_MODEL * model)


def _share(lumas: Plane, energies: list[Plane], band: int, finest: tuple[Values, Values]) -> float:
    """The noise of a band as a share of the finest one's, where that shows nothing but noise."""
    expected = np.interp(lumas, *finest)
    flat = (energies[0] < 1.5 * expected) & (lumas > _DARKEST) & (lumas < _BRIGHTEST)
    least, most = (shares[band] / shares[0] for shares in (_WHITE_SHARES, _MOST_SHARES))
    if band == 0 or flat.sum() < _FEWEST_BLOCKS:
        return least
    ratio = np.quantile(energies[band][flat] / expected[flat], _QUANTILE)
    return float(np.clip(np.sqrt(ratio) / _QUANTILE_SHARES[band], least, most))


def _curve(luma: Values) -> tuple[Values, Values]:
    """Linear light of sRGB-encoded luma, and the slope of sRGB's curve there."""
    dark = luma <= 0.04045
    light = np.where(dark, luma / 12.92, ((luma + 0.055) / 1.055) ** 2.4)
    slope = 1.055 / 2.4 * np.maximum(light, 1e-6) ** (1 / 2.4 - 1)
    return light, np.where(dark, 12.92, slope)


def _envelope(light: Values, bounds: Values) -> tuple[float, float]:
    """The largest variance read + shot x light that stays below all bounds, neither negative."""
    candidates = [(bounds.min(), 0.0), (0.0, (bounds / light).min())]
    for i, j in itertools.combinations(range(len(light)), 2):
        shot = (bounds[j] - bounds[i]) / (light[j] - light[i])
        candidates.append((bounds[i] - shot * light[i], shot))
    feasible = [
        (read, shot)
        for read, shot in candidates
        if read >= 0 and shot >= 0 and (read + shot * light <= bounds * (1 + 1e-9)).all()
    ]
    return max(feasible, key=lambda line: float(np.log(line[0] + line[1] * light).sum()))


def _blocks(pixels: NDArray[Any]) -> tuple[Plane, list[Plane]]:
    """Mean luma of blocks of the picture, and their energy in each band."""
    height, width = pixels.shape[:2]
    width -= width % _BLOCK_PX
    step = max(_STRIP_PX, -(-height * width * _STRIP_PX // _SAMPLE_PX))
    tops = range(min(_MARGIN_PX, step) if height > _STRIP_PX else 0, height - _BLOCK_PX + 1, step)
    parts = [_strip(pixels[:, :width], top) for top in tops if width]
    if not parts:
        return np.zeros(0, np.float32), [np.zeros(0, np.float32)] * BANDS
    lumas, *energies = (np.concatenate(found) for found in zip(*parts, strict=True))
    return lumas, list(energies)


def _strip(pixels: NDArray[Any], top: int) -> tuple[Plane, ...]:
    """Mean luma and band energies of the blocks of one strip."""
    start = max(0, top - _MARGIN_PX)
    rows = min(_STRIP_PX, pixels.shape[0] - top) // _BLOCK_PX * _BLOCK_PX
    part = np.ascontiguousarray(pixels[start : top + rows + _MARGIN_PX])
    full = 65535.0 if pixels.dtype == np.uint16 else 255.0
    luma: Any = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    luma = luma.astype(np.float32) / np.float32(full)
    inner = slice(top - start, top - start + rows)
    found = [_block_means(luma[inner], _BLOCK_PX)]
    for band in range(BANDS):
        smaller = _halved(luma)
        size = (luma.shape[1], luma.shape[0])
        detail = luma - cv2.resize(smaller, size, interpolation=cv2.INTER_LINEAR)
        inner = slice((top - start) >> band, ((top - start) + rows) >> band)
        found.append(_block_means(detail[inner] ** 2, _BLOCK_PX >> band))
        luma = smaller
    return tuple(found)


def _halved(plane: Plane) -> Plane:
    """Half size, as the pyramid of blending does it."""
    smooth = cv2.sepFilter2D(
        plane, cv2.CV_32F, _TAPS, _TAPS, anchor=(1, 1), borderType=cv2.BORDER_REPLICATE
    )
    return np.ascontiguousarray(smooth[::2, ::2], np.float32)


def _block_means(plane: Plane, side: int) -> Plane:
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    cells = plane[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(cells.mean(axis=(1, 3)).ravel(), np.float32)
