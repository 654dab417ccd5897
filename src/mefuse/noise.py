"""How much noise a frame holds, by luma: measured on its own flat places. A leaf.

It is measured as pixels are fused, display-referred, so that what the sensor, its ISO, demosaicing,
denoising, JPEG and warping made of the noise is all in it, and on what blending keeps of frames
anyway, so that it costs no pass over pixels. It knows no file.

Source: Foi, Trimeche, Katkovnik, Egiazarian, "Practical Poissonian-Gaussian noise modeling and
fitting for single-image raw-data", 2008, doi:10.1109/TIP.2008.2001399 (variance a + b x light; here
behind the slope of sRGB's curve, and as the lower envelope of what blocks of the picture hold).
"""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Values = NDArray[np.float64]

NODES = 17
BLOCK_CELLS = 2  # a block of 16 px
MOST_BLOCKS = 20_000
FEWEST_BLOCKS = 12
QUANTILE = 0.1  # of the blocks of one luma: these show no detail, if any do
# Measured on white noise: its standard deviation in the finest band, and by how much the quantile
# falls short of it.
WHITE_SHARE = 0.926
QUANTILE_SHARE = 0.948
DARKEST, BRIGHTEST = 0.01, 0.97  # clipping hides noise beyond these
SCATTER = 1.15  # of a bin's variance
ABOVE_MODEL = 1.5**2  # a tone curve steeper than sRGB's raises noise that much; more is texture
CLEAR = 6.0  # standard deviations above black: nearer, black cuts the noise off


def noise_profile(luma: Plane, energy: Plane, *, rounding: float) -> Plane:
    """Measures the noise of a frame.

    Args:
        luma: (h, w) display-referred, 0..1, on the grid of 8 px.
        energy: (h, w) mean local energy of the finest band there.
        rounding: the step between two neighbouring values of a pixel.

    Returns:
        (NODES,) standard deviation of the white noise that would fill the finest band as much as
        the flattest places do, at luma 0..1 evenly spaced. A frame without any flat place seems
        noisier than it is; one without anything between black and white has no noise.
    """
    lumas, energies = (_blocks(plane) for plane in (luma, energy))
    nodes = np.linspace(0, 1, NODES)
    variance = _variance(lumas, energies, nodes, rounding=rounding)
    sigma: Plane = (np.sqrt(variance) / WHITE_SHARE).astype(np.float32)
    return sigma


def _blocks(plane: Plane) -> Plane:
    """Means of blocks of cells, some of them where there are many, in one row."""
    height, width = (max(side // BLOCK_CELLS, 1) for side in plane.shape)
    step = -(-height * width // MOST_BLOCKS)
    small: Any = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)[::step].ravel()


def _variance(lumas: Plane, energy: Plane, nodes: Values, *, rounding: float) -> Values:
    """The variance of noise in the finest band at each node.

    Each bin of luma bounds it from above, for its flattest blocks may still hold detail. The model
    runs below all bins that say anything, and a bin is believed where it lies little above.
    """
    place = np.round(lumas * (NODES - 1)).astype(np.int64)
    usable = (lumas > DARKEST) & (lumas < BRIGHTEST)
    bins = [
        here for node in range(NODES) if (here := usable & (place == node)).sum() >= FEWEST_BLOCKS
    ]
    at = np.array([lumas[here].mean() for here in bins], np.float64)
    found = np.array([np.quantile(energy[here], QUANTILE) for here in bins], np.float64)
    found /= QUANTILE_SHARE**2
    rounded = (WHITE_SHARE * rounding) ** 2 / 12
    told = (found > 1.5 * rounded) & (at > CLEAR * np.sqrt(found)) & (1 - at > np.sqrt(found))
    if not told.any():
        return np.full(NODES, found.min() if found.size else 0.0)
    light, slope = _curve(at[told])
    read, shot = _envelope(light, (SCATTER * found[told] - rounded) / slope**2)
    light, slope = _curve(nodes)
    model = (read + shot * light) * slope**2 + rounded
    seen: Values = np.interp(nodes, at, found)
    return np.minimum(seen, ABOVE_MODEL * model)


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
