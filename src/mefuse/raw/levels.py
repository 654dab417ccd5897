"""Where a sensor saturates, measured on its own pixels. Knows no file.

The white level that a file or LibRaw's table states is often higher than what the sensor reaches
(measured: 4095 stated, 3820 reached). Then a clipped pixel is no white: its channels, each scaled
by its white balance, part, and clipped light turns magenta. A bracket's brightest frame shows the
true level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import rawpy
from numpy.typing import NDArray

# As a share of the highest value: a plateau is what piles up within the first of these, against
# what lies between the first and the second. Saturation differs from pixel to pixel by 1-3 %.
_PLATEAU, _BELOW = 0.96, 0.92
_PILED_UP = 4.0  # times as many; a scene's histogram falls off towards its highest values
_FEWEST_SHARE = 2e-4
_HOT_SHARE = 2e-5  # of pixels above "the highest value": hot ones
_LEAST = 0.75  # of the nominal level; lower than that sensors do not saturate
_SAME_LEVEL = 0.03
_EDGE = 10.0  # percentile of the plateau taken as its level: nearly all that clips lies above
_SAMPLE_PX = 2_000_000


def saturation_level(raw: rawpy.RawPy) -> int | None:
    """Gives the value, black included, at which all colours of a sensor clip.

    A plateau at one level in every colour is what only saturation makes: a white wall gives each
    colour a value of its own. None where the picture shows no such plateau, and for files that
    hold no mosaic of colours, of which none can turn magenta.

    Note:
        Unpacks the file; then 10-20 ms on a sample of two million pixels.
    """
    pattern = raw.raw_pattern
    if raw.num_colors < 3 or pattern is None or raw.raw_image_visible is None:
        return None
    colours = raw.color_desc.decode("ascii", "replace")
    levels = [
        _plateau(np.concatenate(values), highest=int(raw.white_level))
        for values in _by_colour(raw.raw_image_visible, pattern, colours).values()
    ]
    found = [level for level in levels if level is not None]
    if len(found) < len(levels) or min(found) < (1 - _SAME_LEVEL) * max(found):
        return None
    return min(found)


def _by_colour(
    mosaic: NDArray[Any], pattern: NDArray[Any], colours: str
) -> dict[str, list[NDArray[Any]]]:
    """A sample of the mosaic's values, per colour; whole cells of the pattern, evenly spread."""
    rows, columns = pattern.shape
    step = max(1, round((mosaic.size / _SAMPLE_PX) ** 0.5))
    values: dict[str, list[NDArray[Any]]] = {}
    for row in range(rows):
        for column in range(columns):
            part = mosaic[row :: rows * step, column :: columns * step]
            values.setdefault(colours[pattern[row, column]], []).append(part.ravel())
    return values


def _plateau(values: NDArray[Any], *, highest: int) -> int | None:
    """The lower edge of the values' plateau, None where they have none."""
    counts = np.bincount(np.minimum(values, highest), minlength=highest + 1)
    above = np.cumsum(counts[::-1])[::-1]  # pixels at or above a value
    top = int(np.flatnonzero(above > _HOT_SHARE * values.size)[-1])
    edge, below = int(_PLATEAU * top), int(_BELOW * top)
    piled, near = above[edge], above[below] - above[edge]
    if top < _LEAST * highest or piled < max(_FEWEST_SHARE * values.size, _PILED_UP * near):
        return None
    return edge + int(np.searchsorted(np.cumsum(counts[edge:]), _EDGE / 100 * piled))
