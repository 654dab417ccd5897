"""The built-in scene: a furnished room with a bright window, as boxes with surfaces.

Metres; x to the right, y up, z away from the camera. Everything is an axis-aligned box, which the
renderer can place exactly and fast. Knows no light and no picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

Point = tuple[float, float, float]
Colour = tuple[float, float, float]  # linear sRGB reflectance, 0..1

LEFT, RIGHT, HEIGHT, FAR = -2.6, 2.6, 2.7, 5.0  # inside of the room; the camera looks along +z
WINDOW_LOW, WINDOW_HIGH = (-1.7, 0.95), (0.5, 2.35)  # (x, y) of the opening in the far wall
CAMERA: Point = (0.3, 1.35, 0.0)
LAMP: Point = (1.68, 1.62, 4.5)
USUAL = 2007  # seed of the room as `mefuse sample` shows it

WHITE, OAK, WALNUT = (0.72, 0.70, 0.66), (0.42, 0.26, 0.13), (0.16, 0.08, 0.045)
CREAM, SAGE, LINEN = (0.66, 0.59, 0.47), (0.30, 0.36, 0.27), (0.62, 0.56, 0.46)
BRASS, INK = (0.45, 0.33, 0.14), (0.03, 0.03, 0.035)


@dataclass(frozen=True, slots=True)
class Box:
    """One box: corners, the name of its surface, its colour; `seed` varies the pattern."""

    low: Point
    high: Point
    surface: str
    colour: Colour
    seed: int = 0
    blocks_light: bool = True


def build_room(seed: int = USUAL) -> tuple[Box, ...]:
    """All boxes of the scene; another seed has other books and other colours."""
    rng = np.random.default_rng(seed)
    groups = (_shell(), _window(), _desk(rng), _shelf(rng), _sofa(), _table(rng), _details())
    boxes = tuple(box for group in groups for box in group)
    return boxes if seed == USUAL else _repainted(boxes, rng)


def _repainted(boxes: tuple[Box, ...], rng: np.random.Generator) -> tuple[Box, ...]:
    """The same boxes; what had one colour has another, not far from it."""
    paints: dict[Colour, Colour] = {}
    for box in boxes:
        if box.colour not in paints:
            change = np.exp(rng.normal(0, 0.3) + rng.normal(0, 0.12, 3))
            red, green, blue = np.clip(box.colour * change, 0.02, 0.8)
            paints[box.colour] = (float(red), float(green), float(blue))
    return tuple(replace(box, colour=paints[box.colour]) for box in boxes)


def _shell() -> Iterator[Box]:
    """Floor, ceiling, walls with the opening, skirting."""
    (x0, y0), (x1, y1) = WINDOW_LOW, WINDOW_HIGH
    outside = FAR + 0.28
    yield Box((LEFT, -0.1, -0.6), (RIGHT, 0, FAR), "planks", OAK)
    yield Box((LEFT, HEIGHT, -0.6), (RIGHT, HEIGHT + 0.1, FAR), "plaster", WHITE)
    yield Box((LEFT - 0.1, 0, -0.6), (LEFT, HEIGHT, FAR), "plaster", CREAM, seed=1)
    yield Box((RIGHT, 0, -0.6), (RIGHT + 0.1, HEIGHT, FAR), "plaster", SAGE, seed=2)
    yield Box((LEFT, 0, FAR), (x0, HEIGHT, outside), "plaster", CREAM, seed=3)
    yield Box((x1, 0, FAR), (RIGHT, HEIGHT, outside), "plaster", CREAM, seed=3)
    yield Box((x0, 0, FAR), (x1, y0, outside), "plaster", CREAM, seed=3)
    yield Box((x0, y1, FAR), (x1, HEIGHT, outside), "plaster", CREAM, seed=3)
    yield Box((LEFT, 0, FAR - 0.02), (RIGHT, 0.11, FAR), "plain", WHITE)
    yield Box((LEFT, 0, -0.6), (LEFT + 0.02, 0.11, FAR), "plain", WHITE)
    yield Box((RIGHT - 0.02, 0, -0.6), (RIGHT, 0.11, FAR), "plain", WHITE)


def _window() -> Iterator[Box]:
    """Frame, glazing bars, sill, curtains and their rod."""
    (x0, y0), (x1, y1) = WINDOW_LOW, WINDOW_HIGH
    near, far = FAR + 0.12, FAR + 0.17
    for x, half in ((x0, 0.05), (x1, 0.05), (x0 + 0.733, 0.022), (x1 - 0.733, 0.022)):
        yield Box((x - half, y0, near), (x + half, y1, far), "plain", WHITE)
    for y, half in ((y0, 0.05), (y1, 0.05), (y0 + 0.92, 0.016)):
        yield Box((x0, y - half, near), (x1, y + half, far), "plain", WHITE)
    yield Box((x0 - 0.06, y0 - 0.035, FAR - 0.09), (x1 + 0.06, y0, FAR), "plain", WHITE)
    for left, right in ((x0 - 0.42, x0 + 0.02), (x1 - 0.02, x1 + 0.42)):
        yield Box((left, 0.06, FAR - 0.17), (right, 2.5, FAR - 0.11), "curtain", LINEN)
    yield Box((x0 - 0.5, 2.5, FAR - 0.15), (x1 + 0.5, 2.525, FAR - 0.125), "plain", BRASS)


def _legs(low: Point, high: Point, side: float, colour: Colour) -> Iterator[Box]:
    """Four legs under a slab that spans low..high."""
    for x in (low[0] + 0.03, high[0] - 0.03 - side):
        for z in (low[2] + 0.03, high[2] - 0.03 - side):
            yield Box((x, 0, z), (x + side, low[1], z + side), "wood", colour)


def _desk(rng: np.random.Generator) -> Iterator[Box]:
    """A writing desk under the window, with papers and books."""
    low, high = (-1.55, 0.72, 4.12), (0.3, 0.76, 4.78)
    yield Box(low, high, "wood", OAK, seed=4)
    yield Box((-0.55, 0.55, 4.16), (0.26, 0.72, 4.74), "wood", OAK, seed=5)
    yield Box((-0.17, 0.63, 4.145), (-0.11, 0.645, 4.16), "plain", BRASS)
    yield from _legs(low, high, 0.05, OAK)
    yield Box((-0.62, 0.76, 4.22), (-0.34, 0.766, 4.6), "page", WHITE, seed=1)
    yield Box((-0.30, 0.76, 4.25), (-0.02, 0.764, 4.62), "page", WHITE, seed=2)
    yield from _standing_books(rng, (-1.5, 0.76, 4.35), along=0, length=0.55)


def _shelf(rng: np.random.Generator) -> Iterator[Box]:
    """A bookshelf on the right wall: its open side faces -x."""
    near, far, front = 2.35, 4.3, RIGHT - 0.33
    yield Box((RIGHT - 0.02, 0, near), (RIGHT - 0.001, 2.12, far), "wood", WALNUT)
    for z in (near, far - 0.03):
        yield Box((front, 0, z), (RIGHT - 0.02, 2.12, z + 0.03), "wood", WALNUT, seed=6)
    for level in range(7):
        y = 0.06 + level * 0.34
        board = ((front, y, near + 0.03), (RIGHT - 0.02, y + 0.025, far - 0.03))
        yield Box(*board, "wood", WALNUT, seed=7 + level)
        if level < 6:
            start = (front + 0.04, y + 0.025, near + 0.05)
            yield from _standing_books(rng, start, along=2, length=far - near - 0.1)


def _standing_books(
    rng: np.random.Generator, start: Point, *, along: int, length: float
) -> Iterator[Box]:
    """A row of books along x (0) or z (2), with a gap here and there."""
    place = 0.0
    while place < length - 0.05:
        thickness = float(rng.uniform(0.018, 0.052))
        tall, deep = float(rng.uniform(0.19, 0.285)), float(rng.uniform(0.15, 0.22))
        low, high = list(start), list(start)
        low[along] = start[along] + place
        high[along] = low[along] + thickness
        high[1] = start[1] + tall
        high[2 - along] = start[2 - along] + deep
        colour = _cloth(rng)
        yield Box(
            (low[0], low[1], low[2]),
            (high[0], high[1], high[2]),
            "spine",
            colour,
            seed=int(rng.integers(1, 1 << 20)),
            blocks_light=along == 0,
        )
        place += thickness + (float(rng.uniform(0.06, 0.2)) if rng.random() < 0.05 else 0.0015)


def _cloth(rng: np.random.Generator) -> Colour:
    """The colour of a book's cover: mostly muted, now and then bright."""
    palette = (
        (0.34, 0.05, 0.04), (0.05, 0.10, 0.20), (0.06, 0.15, 0.08), (0.50, 0.37, 0.15),
        (0.60, 0.53, 0.40), (0.12, 0.06, 0.04), (0.55, 0.16, 0.05), (0.10, 0.22, 0.25),
        (0.68, 0.66, 0.60), (0.06, 0.06, 0.07),
    )  # fmt: skip
    chosen = np.array(palette[int(rng.integers(len(palette)))]) * rng.uniform(0.8, 1.2)
    return (float(chosen[0]), float(chosen[1]), float(chosen[2]))


def _sofa() -> Iterator[Box]:
    """A sofa along the left wall, with cushions."""
    blue = (0.10, 0.15, 0.20)
    x0, x1, z0, z1 = LEFT + 0.05, LEFT + 0.95, 1.75, 3.75
    yield Box((x0, 0.10, z0), (x1, 0.30, z1), "fabric", blue)
    for z in (z0 + 0.2, (z0 + z1) / 2 + 0.01):
        yield Box((x0 + 0.2, 0.30, z), (x1 + 0.02, 0.45, z + 0.79), "fabric", blue, seed=3)
    yield Box((x0, 0.30, z0), (x0 + 0.22, 0.84, z1), "fabric", blue, seed=1)
    for z in (z0, z1 - 0.2):
        yield Box((x0, 0.30, z), (x1, 0.60, z + 0.2), "fabric", blue, seed=2)
    yield Box((x0 + 0.23, 0.45, 2.05), (x0 + 0.39, 0.83, 2.45), "fabric", (0.55, 0.30, 0.06))
    yield Box((x0 + 0.23, 0.45, 3.05), (x0 + 0.38, 0.80, 3.45), "check", (0.62, 0.55, 0.45))
    for z in (z0 + 0.05, z1 - 0.1):
        yield Box((x1 - 0.1, 0, z), (x1 - 0.05, 0.1, z + 0.05), "wood", WALNUT)


def _table(rng: np.random.Generator) -> Iterator[Box]:
    """A low table on a rug, with a pile of books and a magazine."""
    low, high = (-0.45, 0.37, 2.35), (0.85, 0.41, 3.05)
    yield Box((-1.35, 0, 1.75), (1.65, 0.012, 3.75), "rug", (0.42, 0.10, 0.07))
    yield Box(low, high, "wood", WALNUT, seed=20)
    yield from _legs(low, high, 0.05, WALNUT)
    top = 0.41
    for turn in range(4):
        thick = float(rng.uniform(0.02, 0.04))
        x, z = -0.30 + float(rng.uniform(0, 0.05)), 2.55 + float(rng.uniform(0, 0.04))
        wide, deep = 0.30 - 0.03 * turn, 0.24 - 0.02 * turn
        yield Box((x, top, z), (x + wide, top + thick, z + deep), "cover", _cloth(rng), seed=turn)
        top += thick
    yield Box((0.28, 0.41, 2.48), (0.52, 0.417, 2.80), "page", WHITE, seed=5)
    yield Box((0.53, 0.41, 2.48), (0.77, 0.416, 2.80), "page", WHITE, seed=6)


def _details() -> Iterator[Box]:
    """Pictures on the walls, a floor lamp, a vase."""
    for z0, z1, seed in ((1.9, 2.75, 1), (2.95, 3.45, 2)):
        yield Box((LEFT, 1.25, z0), (LEFT + 0.02, 1.95, z1), "wood", WALNUT, seed=30)
        inner = ((LEFT + 0.001, 1.29, z0 + 0.04), (LEFT + 0.024, 1.91, z1 - 0.04))
        yield Box(*inner, "painting", WHITE, seed=seed)
    yield Box((1.08, 1.18, FAR - 0.025), (1.42, 1.62, FAR), "plain", INK)
    yield Box((1.105, 1.205, FAR - 0.03), (1.395, 1.595, FAR), "painting", WHITE, seed=3)
    x, y, z = LAMP
    yield Box((x - 0.011, 0.02, z - 0.011), (x + 0.011, y - 0.12, z + 0.011), "plain", BRASS)
    yield Box((x - 0.15, 0, z - 0.15), (x + 0.15, 0.02, z + 0.15), "plain", BRASS)
    shade = ((x - 0.17, y - 0.14, z - 0.17), (x + 0.17, y + 0.14, z + 0.17))
    yield Box(*shade, "shade", (1.0, 0.72, 0.42), blocks_light=False)
    yield Box((0.08, 0.76, 4.5), (0.2, 1.0, 4.62), "glaze", (0.08, 0.16, 0.28))
