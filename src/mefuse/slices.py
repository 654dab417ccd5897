"""Rectangles of the output and how a picture is cut into them: pure geometry, no files, no torch.

Slices start at multiples of `GRID_PX`, so that every slice sees the same pyramid and network grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

GRID_PX = 64  # the coarsest grid that a slice must sit on: 16 px network cells, pooled and halved


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle in pixels: rows top..top+height, columns left..left+width."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """One past the last row."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """One past the last column."""
        return self.left + self.width

    def grown(self, margin_px: int, within: Rect) -> Rect:
        """This rectangle with `margin_px` more on each side, cut to `within`."""
        top = max(self.top - margin_px, within.top)
        left = max(self.left - margin_px, within.left)
        bottom = min(self.bottom + margin_px, within.bottom)
        right = min(self.right + margin_px, within.right)
        return Rect(top, left, bottom - top, right - left)

    def inside(self, outer: Rect) -> Rect:
        """This rectangle in the coordinates of `outer`."""
        return Rect(self.top - outer.top, self.left - outer.left, self.height, self.width)


def slices_of(height: int, width: int, size_px: int) -> Iterator[Rect]:
    """Yields the slices of a (height, width) picture, row by row; they tile it without overlap.

    Raises:
        ValueError: `size_px` is not a positive multiple of `GRID_PX`.
    """
    if size_px <= 0 or size_px % GRID_PX:
        raise ValueError(f"slice size {size_px} is not a positive multiple of {GRID_PX}")
    for top in range(0, height, size_px):
        for left in range(0, width, size_px):
            yield Rect(top, left, min(size_px, height - top), min(size_px, width - left))


def even_slices_of(height: int, width: int, size_px: int) -> Iterator[Rect]:
    """Yields slices as `slices_of`, of nearly equal sides, at most `size_px`: no thin last ones.

    Where slices need a wide overlap, a thin one costs nearly as much as a whole one.
    """
    for row in _even_cuts(height, size_px):
        for column in _even_cuts(width, size_px):
            yield Rect(row.start, column.start, row.stop - row.start, column.stop - column.start)


def _even_cuts(side: int, size_px: int) -> Iterator[slice]:
    """Cuts of a side, at multiples of `GRID_PX`."""
    count = -(-side // size_px)
    step = -(-side // count // GRID_PX) * GRID_PX
    for start in range(0, side, step):
        yield slice(start, min(start + step, side))
