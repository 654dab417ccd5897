"""Renders the built-in scene: boxes, surfaces and light -> linear radiance.

A pinhole camera that looks along z, so the sight of an axis-aligned box separates into columns,
rows and depth, and visibility costs two outer operations per box.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.synth.light import (
    SUN_DIRECTION,
    SUN_IRRADIANCE,
    Face,
    FaceLight,
    LightMap,
    light_faces,
    visible_faces,
)
from mefuse.synth.outdoors import outdoors
from mefuse.synth.room import CAMERA, Box, build_room
from mefuse.synth.surfaces import GLOWING, SURFACES

Floats = NDArray[np.float32]

_FOCAL = 0.80  # focal length over the width of a 3:2 picture: 64 degrees across
_HORIZON = 0.47  # where the horizon lies, from the top: a shifted lens keeps uprights upright
_OVERSAMPLING = 2
_BAND_ROWS = 96


@dataclass(frozen=True, slots=True)
class Framing:
    """Which part of the picture to show, enlarged: `right` and `down` move it, in pictures."""

    zoom: float = 1.0
    right: float = 0.0
    down: float = 0.0

    @property
    def horizon(self) -> float:
        """Where the horizon lies in the part shown, from its top."""
        return self.zoom * _HORIZON + 0.5 * (1 - self.zoom) - self.zoom * self.down

    @property
    def middle(self) -> float:
        """Where the camera's axis lies in the part shown, from its left."""
        return 0.5 - self.right * self.zoom


WHOLE = Framing()


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """Lines of sight of a band: slopes (x over z) by column and (y over z) by row."""

    slope_x: Floats
    slope_y: Floats


def render_room(
    height: int,
    width: int,
    *,
    framing: Framing = WHOLE,
    oversampling: int = _OVERSAMPLING,
    seed: int | None = None,
) -> Floats:
    """The scene as (height, width, 3) float32 linear sRGB radiance; the sky is near 6.

    Args:
        height: px.
        width: px.
        framing: which part of the picture.
        oversampling: lines of sight per px and axis.
        seed: of other books and colours; None: the usual ones.

    Note:
        About 15 s of processor time for 1800x1200, shared by all processors.
    """
    boxes = build_room() if seed is None else build_room(seed)
    lights = light_faces(boxes)
    focal = _FOCAL * max(width, 1.5 * height) * oversampling * framing.zoom
    columns = np.arange(width * oversampling) + 0.5 - width * oversampling * framing.middle
    radiance = np.empty((height, width, 3), np.float32)

    def fill(top: int) -> None:
        bottom = min(top + _BAND_ROWS, height)
        rows = np.arange(top * oversampling, bottom * oversampling) + 0.5
        rows -= framing.horizon * height * oversampling
        view = _View((columns / focal).astype(np.float32), (-rows / focal).astype(np.float32))
        band = _render_band(view, boxes, lights)
        size = (width, bottom - top)
        cv2.resize(band, size, dst=radiance[top:bottom], interpolation=cv2.INTER_AREA)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(0, height, _BAND_ROWS)))
    return _with_glare(radiance)


def _with_glare(radiance: Floats) -> Floats:
    """A little of the bright spreads over the rest, as in any lens."""
    longest = max(radiance.shape[:2])
    small = cv2.resize(radiance, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    veil = sum(
        share * cv2.GaussianBlur(small, (0, 0), spread * longest / 4)
        for share, spread in ((0.02, 0.004), (0.008, 0.03))
    )
    spread_out = cv2.resize(np.asarray(veil, np.float32), (radiance.shape[1], radiance.shape[0]))
    return np.asarray(radiance * 0.975 + spread_out, np.float32)


def _render_band(
    view: _View, boxes: Sequence[Box], lights: dict[tuple[int, Face], FaceLight]
) -> Floats:
    """Some rows of the picture, oversampled."""
    depth, owner = _visibility(view, boxes)
    band = np.zeros((*depth.shape, 3), np.float32)
    for index in np.unique(owner[owner >= 0]).tolist():
        box = boxes[index]
        mine = owner == index
        left, top, width, height = cv2.boundingRect(mine.view(np.uint8))
        part = (slice(top, top + height), slice(left, left + width))
        near = _View(view.slope_x[part[1]], view.slope_y[part[0]])
        for face in visible_faces(box):
            on_face = mine[part] & _entered_by(near, depth[part], box, face)
            if on_face.any():
                known = np.where(on_face, depth[part], 1).astype(np.float32)
                band[part][on_face] = _shade(near, known, box, face, lights[index, face])[on_face]
    outside = owner < 0
    if outside.any():
        rows = np.flatnonzero(outside.any(axis=1))
        span = slice(rows[0], rows[-1] + 1)
        seen = outdoors(*np.meshgrid(view.slope_x, view.slope_y[span]))
        band[span][outside[span]] = seen[outside[span]]
    return band


def _crossing(slope: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """Depths at which lines of sight of this slope enter and leave a slab."""
    with np.errstate(divide="ignore"):
        one, other = low / slope, high / slope
    return np.minimum(one, other), np.maximum(one, other)


def _visibility(view: _View, boxes: Sequence[Box]) -> tuple[Floats, NDArray[np.int16]]:
    """The depth z of what each line of sight meets first, and whose it is (-1: the outdoors)."""
    shape = (len(view.slope_y), len(view.slope_x))
    depth = np.full(shape, np.inf, np.float32)
    owner = np.full(shape, -1, np.int16)
    for index, box in enumerate(boxes):
        low, high = np.subtract(box.low, CAMERA), np.subtract(box.high, CAMERA)
        near_x, far_x = _crossing(view.slope_x, low[0], high[0])
        near_y, far_y = _crossing(view.slope_y, low[1], high[1])
        columns = np.flatnonzero(np.maximum(near_x, low[2]) < np.minimum(far_x, high[2]))
        rows = np.flatnonzero(np.maximum(near_y, low[2]) < np.minimum(far_y, high[2]))
        if not len(columns) or not len(rows):
            continue
        part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        enter = np.maximum(np.maximum(near_x[part[1]], near_y[part[0], np.newaxis]), low[2])
        leave = np.minimum(np.minimum(far_x[part[1]], far_y[part[0], np.newaxis]), high[2])
        hit = (enter < leave) & (enter > 0.05) & (enter < depth[part])
        depth[part][hit] = enter[hit]
        owner[part][hit] = index
    return depth, owner


def _entered_by(view: _View, depth: Floats, box: Box, face: Face) -> NDArray[np.bool_]:
    """Where lines of sight meet the box through this face."""
    place = (box.high if face.is_high else box.low)[face.axis] - CAMERA[face.axis]
    if face.axis == 2:
        return np.isclose(depth, place, rtol=1e-5)
    slope = view.slope_x[np.newaxis] if face.axis == 0 else view.slope_y[:, np.newaxis]
    with np.errstate(divide="ignore"):
        return np.asarray(np.isclose(depth, np.float32(place) / slope, rtol=1e-5))


def _shade(view: _View, depth: Floats, box: Box, face: Face, light: FaceLight) -> Floats:
    """Radiance of a face at these depths along the lines of sight."""
    place = (
        depth * view.slope_x + np.float32(CAMERA[0]),
        depth * view.slope_y[:, np.newaxis] + np.float32(CAMERA[1]),
        depth + np.float32(CAMERA[2]),
    )
    u, v = (place[axis] for axis in face.plane_axes)
    colour = SURFACES[box.surface](u, v, box)
    if box.surface in GLOWING:
        return colour
    irradiance = _lit(light.soft, u, v)
    if light.sun is not None:
        square_on = SUN_IRRADIANCE * np.float32(face.normal @ SUN_DIRECTION)
        irradiance += _lit(light.sun, u, v)[..., np.newaxis] * square_on
    return np.asarray(colour * irradiance / np.float32(np.pi), np.float32)


def _lit(light: LightMap, u: Floats, v: Floats) -> Floats:
    """The light map at places (u, v) of its face, interpolated."""
    rows, columns = light.values.shape[:2]
    x = (u - light.low[0]) * np.float32(columns / (light.high[0] - light.low[0])) - np.float32(0.5)
    y = (v - light.low[1]) * np.float32(rows / (light.high[1] - light.low[1])) - np.float32(0.5)
    return np.asarray(
        cv2.remap(light.values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
