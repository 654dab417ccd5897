"""Which part of the reference every frame covers: exact geometry on integer pixels. Pure numpy.

A frame covers a pixel of the reference where its transform lands inside the frame. That is a
convex region bounded by straight lines, so the largest rectangle in it is a concave search.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefuse.errors import AlignError
from mefuse.slices import Rect

Float64 = NDArray[np.float64]

SPARE_PX = 1.0  # kept inside each frame's border, for interpolation
MIN_AREA = 0.25  # of the picture; less is no photograph of the same view
LEVEL_SLOPE = 1e-12  # a line this level moves less than a millionth of a pixel over any picture
CANDIDATES = 33  # tops and bottoms tried per round of the search


def common_area(
    transforms: Sequence[Float64],
    size: tuple[int, int],
    *,
    names: Sequence[str] | None = None,
) -> Rect:
    """The largest upright rectangle of the reference in which every frame has pixels.

    Args:
        transforms: (3, 3) each, from a pixel of the reference to the frame's; the identity covers
            everything.
        size: (height, width) of the reference and of every frame.
        names: what messages call each frame.

    Raises:
        AlignError: less than a quarter of the picture remains.

    Note: exact on integer pixels up to one row or column of the optimum; well below 1 ms per frame.
    """
    area = _largest(transforms, size)
    whole = size[0] * size[1]
    if area is None or area.height * area.width < MIN_AREA * whole:
        worst = min(range(len(transforms)), key=lambda k: _alone(transforms[k], size))
        name = names[worst] if names else f"frame {worst + 1} of {len(transforms)}"
        raise AlignError(
            f"{name}: covers too little of the reference, all frames together less than"
            f" {MIN_AREA:.0%}; leave it out, or fuse with --no-crop"
        )
    return area


def covers(transform: Float64, area: Rect, size: tuple[int, int]) -> bool:
    """True where every pixel of `area` lands inside a frame of (height, width) `size`."""
    if np.array_equal(transform, np.eye(3)):
        return area.grown(0, Rect(0, 0, *size)) == area
    lines = _lines(transform, size)
    x = np.array([area.left, area.right - 1, area.right - 1, area.left], np.float64)
    y = np.array([area.top, area.top, area.bottom - 1, area.bottom - 1], np.float64)
    return bool((lines @ np.stack([x, y, np.ones(4)]) >= 0).all())


def _alone(transform: Float64, size: tuple[int, int]) -> int:
    area = _largest([transform], size)
    return area.height * area.width if area else 0


def _largest(transforms: Sequence[Float64], size: tuple[int, int]) -> Rect | None:
    """The largest rectangle by a search over tops and bottoms that narrows to single rows."""
    height, width = size
    moving = [_lines(t, size) for t in transforms if not np.array_equal(t, np.eye(3))]
    if not moving:
        return Rect(0, 0, height, width)
    lines = np.concatenate(moving)
    top_range, bottom_range = (0, height - 1), (0, height - 1)
    while True:
        tops = np.unique(np.linspace(*top_range, CANDIDATES).astype(np.int64))
        bottoms = np.unique(np.linspace(*bottom_range, CANDIDATES).astype(np.int64))
        top, bottom = (grid.ravel() for grid in np.meshgrid(tops, bottoms))
        left, right = _columns(lines, top, bottom, width)
        areas = np.maximum(right - left + 1, 0) * np.maximum(bottom - top + 1, 0)
        best = int(areas.argmax())
        found = Rect(
            int(top[best]), int(left[best]), int(bottom[best] - top[best] + 1),
            int(right[best] - left[best] + 1),
        )  # fmt: skip
        steps = _step(top_range), _step(bottom_range)
        if areas[best] <= 0 and max(steps) <= 1:
            return None
        if max(steps) <= 1:
            return found
        top_range = _around(int(top[best]), steps[0], height)
        bottom_range = _around(int(bottom[best]), steps[1], height)


def _step(limits: tuple[int, int]) -> int:
    """The spacing, rounded up, of CANDIDATES values over `limits`."""
    return -(-(limits[1] - limits[0]) // (CANDIDATES - 1))


def _around(centre: int, step: int, height: int) -> tuple[int, int]:
    """Two steps on either side: the optimum of a concave function lies within one."""
    return max(centre - 2 * step, 0), min(centre + 2 * step, height - 1)


def _lines(transform: Float64, size: tuple[int, int]) -> Float64:
    """(5, 3) lines (a, b, c): the frame covers (x, y) where a x + b y + c >= 0 for all."""
    across, down, depth = transform / transform[2, 2]
    last_x, last_y = size[1] - 1 - SPARE_PX, size[0] - 1 - SPARE_PX
    return np.stack(
        [
            across - SPARE_PX * depth,
            last_x * depth - across,
            down - SPARE_PX * depth,
            last_y * depth - down,
            depth,
        ]
    )


def _columns(
    lines: Float64, top: NDArray[np.int64], bottom: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last column (n,) covered over the whole of rows `top`..`bottom` (n,)."""
    left, right = np.zeros(len(top)), np.full(len(top), width - 1.0)
    for a, b, c in lines:
        rest = np.minimum(b * top, b * bottom) + c  # the worse of both rows
        if a > LEVEL_SLOPE:
            left = np.maximum(left, -rest / a)
        elif a < -LEVEL_SLOPE:
            right = np.minimum(right, rest / -a)
        else:
            right = np.where(rest >= 0, right, -1.0)
    # Rounding may place a border pixel a hair outside: the margin is far below SPARE_PX.
    return np.ceil(left - 1e-9).astype(np.int64), np.floor(right + 1e-9).astype(np.int64)
