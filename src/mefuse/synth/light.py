"""Light in the scene: a map of irradiance for every face that can be seen, and direct sun.

Irradiance is gathered on a coarse grid per face from samples of the window (sky and land outside),
the lamp and the patch that the sun draws on the floor, each with its shadow, plus an ambient term
that corners lose; the sun's own shadows on a fine one. Units are relative: a clear sky sends out
about 6.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefuse.synth.room import CAMERA, FAR, LAMP, WINDOW_HIGH, WINDOW_LOW, Box

Floats = NDArray[np.float32]

_TOWARDS_SUN = np.array([-0.36, 0.52, 0.78], np.float32)
SUN_DIRECTION = _TOWARDS_SUN / np.linalg.norm(_TOWARDS_SUN)
SUN_IRRADIANCE = np.array([30.0, 25.0, 18.0], np.float32)  # on a face square to it, indoors
SKY_COLOUR = np.array([4.6, 5.4, 6.6], np.float32)
LAND_COLOUR = np.array([0.7, 0.9, 0.35], np.float32)
LAMP_POWER = np.array([1.5, 0.95, 0.45], np.float32)
AMBIENT = np.array([0.20, 0.18, 0.15], np.float32)
FLOOR_REFLECTANCE = np.array([0.34, 0.21, 0.12], np.float32)
_CELL_M, _SUN_CELL_M = 0.1, 0.012
_PANE_Z = FAR + 0.14
_CORNER_REACH_M = 0.7
_OFFSET_M = 0.004  # a point starts this far in front of its face, so that it does not shade itself


@dataclass(frozen=True, slots=True)
class Face:
    """One side of a box: its axis (0 x, 1 y, 2 z) and whether it is the high side."""

    axis: int
    is_high: bool

    @property
    def plane_axes(self) -> tuple[int, int]:
        """The axes of u and v on it: v is the height on upright faces, z on level ones."""
        return ((2, 1), (0, 2), (0, 1))[self.axis]

    @property
    def normal(self) -> Floats:
        """Unit vector out of the box."""
        out = np.zeros(3, np.float32)
        out[self.axis] = 1 if self.is_high else -1
        return out


@dataclass(frozen=True, slots=True, eq=False)
class LightMap:
    """Values (rows along v, columns along u, ...) at the centres of cells that tile a face."""

    values: Floats
    low: tuple[float, float]
    high: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class FaceLight:
    """Light on one face: soft irradiance (..., 3), and the sun's share 0..1 where it comes in."""

    soft: LightMap
    sun: LightMap | None


def visible_faces(box: Box) -> Iterator[Face]:
    """The faces that the camera can see, hidden or not by other boxes."""
    for axis in range(3):
        if box.high[axis] < CAMERA[axis]:
            yield Face(axis, is_high=True)
        elif box.low[axis] > CAMERA[axis]:
            yield Face(axis, is_high=False)


def light_faces(boxes: Sequence[Box]) -> dict[tuple[int, Face], FaceLight]:
    """The light on every visible face, by the box's index and the face."""
    blockers = Blockers(boxes)
    keys = [(index, face) for index, box in enumerate(boxes) for face in visible_faces(box)]
    grids = [_cell_centres(boxes[index], face, _CELL_M) for index, face in keys]
    points = [
        grid.reshape(-1, 3) + face.normal * _OFFSET_M
        for grid, (_, face) in zip(grids, keys, strict=True)
    ]
    normals = [
        np.broadcast_to(face.normal, place.shape)
        for place, (_, face) in zip(points, keys, strict=True)
    ]
    light = _irradiance(np.concatenate(points), np.concatenate(normals), blockers)
    ends = np.cumsum([len(place) for place in points])[:-1]
    lit = {}
    for (index, face), grid, values in zip(keys, grids, np.split(light, ends), strict=True):
        soft = _on_face(boxes[index], face, values.reshape(grid.shape))
        lit[index, face] = FaceLight(soft, _sun_map(boxes[index], face, blockers))
    return lit


def _on_face(box: Box, face: Face, values: Floats) -> LightMap:
    """Values of a face's cells, with where the face lies."""
    u, v = face.plane_axes
    return LightMap(values, (box.low[u], box.low[v]), (box.high[u], box.high[v]))


def _cell_centres(box: Box, face: Face, side_m: float) -> Floats:
    """Points on a face, (rows, columns, 3)."""
    u, v = face.plane_axes
    along = [_centres(box.low[axis], box.high[axis], side_m) for axis in (u, v)]
    grid = np.empty((len(along[1]), len(along[0]), 3), np.float32)
    grid[..., u] = along[0]
    grid[..., v] = along[1][:, np.newaxis]
    grid[..., face.axis] = box.high[face.axis] if face.is_high else box.low[face.axis]
    return grid


def _centres(low: float, high: float, side_m: float) -> Floats:
    count = max(2, int(np.ceil((high - low) / side_m)))
    return np.asarray(low + (np.arange(count) + 0.5) * (high - low) / count, np.float32)


class Blockers:
    """The boxes that throw shadows, as arrays for many rays at once."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        """Takes the boxes that block light."""
        blocking = [box for box in boxes if box.blocks_light]
        self._low = np.array([box.low for box in blocking], np.float32)
        self._high = np.array([box.high for box in blocking], np.float32)

    def reached(self, points: Floats, steps: Floats, *, until: float = 1.0) -> NDArray[np.bool_]:
        """Whether the way from each point along its step is free, up to `until`: (N,)."""
        free = np.ones(len(points), bool)
        if not len(points):
            return free
        ends = points + steps * np.float32(until)
        low_end = np.minimum(points.min(axis=0), ends.min(axis=0))
        high_end = np.maximum(points.max(axis=0), ends.max(axis=0))
        near = ((self._low < high_end) & (self._high > low_end)).all(axis=1)
        # A ray within a slab's plane gives 0 times infinity; fmin and fmax pass over that NaN.
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1 / steps
            for low, high in zip(self._low[near], self._high[near], strict=True):
                enter = np.zeros(len(points), np.float32)
                leave = np.full(len(points), until, np.float32)
                for axis in range(3):
                    one = (low[axis] - points[:, axis]) * inverse[:, axis]
                    other = (high[axis] - points[:, axis]) * inverse[:, axis]
                    np.fmax(enter, np.fmin(one, other), out=enter)
                    np.fmin(leave, np.fmax(one, other), out=leave)
                free &= enter >= leave
        return free


def _irradiance(points: Floats, normals: Floats, blockers: Blockers) -> Floats:
    """Irradiance at points without direct sun, (N, 3)."""
    light = AMBIENT * _openness(points, normals, blockers)[:, np.newaxis]
    (x0, y0), (x1, y1) = WINDOW_LOW, WINDOW_HIGH
    columns, rows = 5, 4
    area = (x1 - x0) * (y1 - y0) / (columns * rows)
    towards_room = np.array([0, 0, -1], np.float32)
    for x in x0 + (np.arange(columns) + 0.5) * (x1 - x0) / columns:
        for y in y0 + (np.arange(rows) + 0.5) * (y1 - y0) / rows:
            pane = np.array([x, y, _PANE_Z], np.float32)
            form = _form(points, normals, pane, towards_room, blockers) * area
            rise = (pane[1] - points[:, 1]) / np.linalg.norm(pane - points, axis=1)
            sky = np.clip(0.5 + 4 * rise, 0, 1)[:, np.newaxis]
            light += form[:, np.newaxis] * (sky * SKY_COLOUR + (1 - sky) * LAND_COLOUR)
            light += _from_sun_patch(points, normals, pane, blockers, area)
    lamp = _form(points, normals, np.array(LAMP, np.float32), None, blockers)
    return np.asarray(light + lamp[:, np.newaxis] * LAMP_POWER, np.float32)


def _from_sun_patch(
    points: Floats, normals: Floats, pane: Floats, blockers: Blockers, area: float
) -> Floats:
    """Light that the floor throws back where the sun through this part of the window falls."""
    patch = pane - SUN_DIRECTION * (pane[1] / SUN_DIRECTION[1])
    patch[1] = 0.02
    up = np.array([0, 1, 0], np.float32)
    lit_area = area * SUN_DIRECTION[2] / SUN_DIRECTION[1]
    radiance = FLOOR_REFLECTANCE * SUN_IRRADIANCE * SUN_DIRECTION[1] / np.float32(np.pi)
    form = _form(points, normals, patch, up, blockers) * lit_area
    return np.asarray(form[:, np.newaxis] * radiance, np.float32)


def _form(
    points: Floats, normals: Floats, source: Floats, facing: Floats | None, blockers: Blockers
) -> Floats:
    """What of a small source arrives at each point, per its area and radiance: (N,).

    `facing` is the normal of a flat source; None: it shines to all sides.
    """
    steps = source - points
    squared = np.maximum((steps * steps).sum(axis=1), 0.15)  # a near source is not a point
    received = (steps * normals).sum(axis=1)
    sent = np.sqrt(squared) if facing is None else -(steps @ facing)
    form = np.maximum(received, 0) * np.maximum(sent, 0) / (squared * squared)
    lit = np.flatnonzero(form > 1e-5)
    form[lit] *= blockers.reached(points[lit], steps[lit], until=0.98)
    return np.asarray(form, np.float32)


def _openness(points: Floats, normals: Floats, blockers: Blockers) -> Floats:
    """The part of the hemisphere over each point that nothing near covers: (N,) 0..1."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    directions = np.concatenate([corners / np.sqrt(np.float32(3)), np.eye(3), -np.eye(3)])
    total, covered = np.zeros(len(points), np.float32), np.zeros(len(points), np.float32)
    for direction in directions.astype(np.float32):
        cosine = np.maximum(normals @ direction, 0)
        total += cosine
        towards = np.flatnonzero(cosine > 0)
        steps = np.broadcast_to(direction * np.float32(_CORNER_REACH_M), (len(towards), 3))
        covered[towards] += cosine[towards] * ~blockers.reached(points[towards], steps)
    return np.asarray(1 - 0.75 * covered / total, np.float32)


def _sun_map(box: Box, face: Face, blockers: Blockers) -> LightMap | None:
    """The share of the sun that reaches each cell of a face, soft at its edges; None for none."""
    if face.normal @ SUN_DIRECTION <= 0:
        return None
    grid = _cell_centres(box, face, _SUN_CELL_M)
    points = grid.reshape(-1, 3) + face.normal * np.float32(_OFFSET_M)
    share = np.zeros(len(points), np.float32)
    for sideways, upwards in ((0, 0), (0.006, 0.002), (-0.006, -0.002), (0.002, -0.006)):
        step = SUN_DIRECTION + np.array([sideways, upwards, 0], np.float32)
        through, way = _through_window(points, step)
        share[through] += 0.25 * blockers.reached(points[through], way[:, np.newaxis] * step)
    return _on_face(box, face, share.reshape(grid.shape[:2])) if share.any() else None


def _through_window(points: Floats, step: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Indices of the points whose way along `step` leads through the opening, and how far it is."""
    way = (FAR + 0.3 - points[:, 2]) / step[2]
    at_pane = points + ((_PANE_Z - points[:, 2]) / step[2])[:, np.newaxis] * step
    (x0, y0), (x1, y1) = WINDOW_LOW, WINDOW_HIGH
    x, y = at_pane[:, 0], at_pane[:, 1]
    inside = np.flatnonzero((x > x0) & (x < x1) & (y > y0) & (y < y1) & (way > 0))
    return inside, np.asarray(way[inside], np.float32)
