"""A small draughtsman: solid-looking things from round cones, on a transparent canvas.

Everything is tensor arithmetic on the device of the texture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Point = tuple[float, float]  # (x, y), y down, in heights of the thing
MARGIN = 0.04  # of the height, free on every side


@dataclass(frozen=True, slots=True)
class Cone:
    """A limb: from one point to another, with a radius at each; `wide` stretches it sideways."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float
    colour: Sequence[float]
    wide: float = 1.0
    cloth: float = 0.0  # how much of the texture shows


class Canvas:
    """Draws cones back to front on an empty cut-out of the given height."""

    def __init__(self, height_px: int, aspect: float, texture: Tensor, light: Point) -> None:
        """Takes the height of the thing, its width over its height, and where light comes from."""
        self._step = 1 / height_px
        rows, columns = (round(height_px * (side + 2 * MARGIN)) for side in (1.0, aspect))
        device = texture.device
        self._left, self._top = -columns * self._step / 2, -MARGIN
        self.pixels = torch.zeros(4, rows, columns, device=device)
        self._y = (torch.arange(rows, device=device) + 0.5) * self._step + self._top
        self._x = (torch.arange(columns, device=device) + 0.5) * self._step + self._left
        size = (rows, columns)
        self._texture = F.interpolate(texture[None], size=size, mode="bilinear")[0]
        self._light = light

    def draw(self, cone: Cone) -> None:
        """Puts one cone over what is there."""
        part = self._window(cone)
        if part is None:
            return
        rows, columns = part
        (ax, ay), (bx, by) = cone.start, cone.end
        px = (self._x[columns][None, :] - ax) / cone.wide
        py = self._y[rows][:, None] - ay
        dx, dy = (bx - ax) / cone.wide, by - ay
        along = ((px * dx + py * dy) / max(dx * dx + dy * dy, 1e-9)).clamp(0, 1)
        radius = cone.start_radius + (cone.end_radius - cone.start_radius) * along
        nx, ny = (px - along * dx) / radius, (py - along * dy) / radius
        squared = nx * nx + ny * ny
        cover = (0.5 + (1 - squared.sqrt()) * radius / (1.6 * self._step)).clamp(0, 1)
        facing = (1 - squared).clamp_min(0).sqrt()
        lambert = (nx * self._light[0] + ny * self._light[1] + facing * 0.55).clamp_min(0)
        shade = (0.45 + 0.85 * lambert) * (0.72 + 0.28 * facing)
        cloth = 1 + cone.cloth * (self._texture[:, rows, columns] - 1)
        colour = torch.tensor(cone.colour, device=shade.device)[:, None, None] * shade * cloth
        self._put(rows, columns, colour, cover)

    def _window(self, cone: Cone) -> tuple[slice, slice] | None:
        """Rows and columns that the cone touches; None for none."""
        reach = max(cone.start_radius, cone.end_radius) + 2 * self._step
        spans = []
        for axis, low, count in ((1, self._top, self.pixels.shape[1]),
                                 (0, self._left, self.pixels.shape[2])):  # fmt: skip
            wide = reach * (cone.wide if axis == 0 else 1.0)
            ends = sorted((cone.start[axis], cone.end[axis]))
            first = max(0, math.floor((ends[0] - wide - low) / self._step))
            last = min(count, math.ceil((ends[1] + wide - low) / self._step))
            if first >= last:
                return None
            spans.append(slice(first, last))
        return spans[0], spans[1]

    def _put(self, rows: slice, columns: slice, colour: Tensor, cover: Tensor) -> None:
        below = self.pixels[:, rows, columns]
        above = torch.cat((colour * cover, cover[None]))
        self.pixels[:, rows, columns] = above + below * (1 - cover)
