"""How a picture is cut into strips of rows, so that a measure needs little memory at any size.

Measures are means over windows. A strip holds whole windows only, each window lies in exactly one
strip, and so sums over strips are the sums over the picture.
"""

from __future__ import annotations

from collections.abc import Iterator

STRIP_PX = 1 << 17  # pixels of a strip over all planes: its float64 moments stay below 0.1 GB


def strips_of(height: int, width: int, *, planes: int, window_px: int) -> Iterator[slice]:
    """Yields the rows of each strip; strips share `window_px` - 1 rows.

    Args:
        height: rows of the picture, at least `window_px`.
        width: columns of the picture.
        planes: how many planes of that size a strip holds.
        window_px: height of the measure's window.
    """
    windows = height - window_px + 1
    step = max(STRIP_PX // (width * planes), 4 * window_px)
    for top in range(0, windows, step):
        yield slice(top, min(top + step, windows) + window_px - 1)


def windows_in(rows: slice, *, window_px: int) -> int:
    """How many rows of windows a strip holds."""
    return int(rows.stop - rows.start) - window_px + 1
