"""Moving things in scene coordinates: where pixels look, a thing in one frame, a part that sways.

Scene coordinates are (x, y) in picture heights from the top left corner. Tensors only, on any
device; knows no bracket.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class View:
    """A rectangle of the scene as pixels: its corner and the side of a pixel, picture heights."""

    top: float
    left: float
    pixel: float
    height: int
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where in the scene each pixel looks: y and x (h, w); `pixel` is the side of one there."""

    y: Tensor
    x: Tensor
    pixel: float

    @staticmethod
    def of(
        view: View,
        *,
        back: NDArray[np.float64] | None = None,
        device: str | torch.device = "cpu",
    ) -> Places:
        """Places of a view's pixels.

        Args:
            view: which pixels.
            back: (3, 3), takes a place (x, y, 1) that the frame shows to the scene's: the inverse
                of how the camera moved. None: the camera did not move.
            device: where the tensors go.
        """
        rows = (torch.arange(view.height, device=device) + 0.5) * view.pixel + view.top
        columns = (torch.arange(view.width, device=device) + 0.5) * view.pixel + view.left
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        if back is not None:
            (a, b, c), (d, e, f), (g, h, i) = back.tolist()
            depth = g * x + h * y + i
            y, x = (d * x + e * y + f) / depth, (a * x + b * y + c) / depth
        return Places(y, x, view.pixel)

    def within(
        self, top: float, left: float, height: float, width: float
    ) -> tuple[slice, slice] | None:
        """Rows and columns that hold all pixels inside a box of the scene; None for none."""
        # Along a line a homography is monotone, so the extremes are at the ends.
        rows = (self.y[:, (0, -1)].amax(1) > top) & (self.y[:, (0, -1)].amin(1) < top + height)
        columns = (self.x[(0, -1), :].amax(0) > left) & (self.x[(0, -1), :].amin(0) < left + width)
        spans = []
        for inside in (rows, columns):
            found = inside.nonzero()
            if not len(found):
                return None
            spans.append(slice(int(found[0]), int(found[-1]) + 1))
        return spans[0], spans[1]

    def part(self, rows: slice, columns: slice) -> Places:
        """Some of the pixels."""
        return Places(self.y[rows, columns], self.x[rows, columns], self.pixel)


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A moving thing in one frame: its box in the scene, and its pixels, finest first.

    `levels` are (4, h, w): radiance premultiplied by cover, and cover, each half the one before.
    """

    top: float
    left: float
    height: float
    width: float
    levels: tuple[Tensor, ...]
    shadow: tuple[float, float, float] | None = None  # half width, half height, strength

    @staticmethod
    def of(
        pixels: Tensor, *, centre: tuple[float, float], pixel: float,
        shadow: tuple[float, float, float] | None = None,
    ) -> Shot:  # fmt: skip
        """A shot of pixels (4, h, w) whose middle is at (y, x); `pixel` is the side of one."""
        height, width = pixels.shape[1] * pixel, pixels.shape[2] * pixel
        levels = [pixels]
        while min(levels[-1].shape[1:]) >= 16:
            levels.append(F.avg_pool2d(levels[-1][None], 2, ceil_mode=True)[0])
        top, left = centre[0] - height / 2, centre[1] - width / 2
        return Shot(top, left, height, width, tuple(levels), shadow)

    def put(self, radiance: Tensor, places: Places) -> None:
        """Puts the thing before radiance (3, h, w), in place, its shadow first."""
        if self.shadow is not None:
            self._darken(radiance, places, self.shadow)
        span = places.within(self.top, self.left, self.height, self.width)
        if span is None:
            return
        near = places.part(*span)
        texel = self.height / self.levels[0].shape[1]
        level = int(np.clip(np.floor(np.log2(max(places.pixel / texel, 1))), 0,
                            len(self.levels) - 1))  # fmt: skip
        pixels = self.levels[level]
        v = (near.y - self.top) * (2 / self.height) - 1
        u = (near.x - self.left) * (2 / self.width) - 1
        seen = F.grid_sample(
            pixels[None], torch.stack((u, v), -1)[None], mode="bilinear", align_corners=False
        )[0]
        radiance[:, span[0], span[1]] *= 1 - seen[3:]
        radiance[:, span[0], span[1]] += seen[:3]

    def _darken(self, radiance: Tensor, places: Places, shadow: tuple[float, float, float]) -> None:
        """The soft shadow around the foot of the thing."""
        half_width, half_height, strength = shadow
        foot, middle = self.top + 0.94 * self.height, self.left + self.width / 2
        span = places.within(
            foot - 2.5 * half_height, middle - 2.5 * half_width, 5 * half_height, 5 * half_width
        )
        if span is None:
            return
        near = places.part(*span)
        v, u = (near.y - foot) / half_height, (near.x - middle) / half_width
        reach = (1 - (u * u + v * v) / 6.25).clamp_min(0) ** 3
        radiance[:, span[0], span[1]] *= 1 - strength * reach


@dataclass(frozen=True, slots=True, eq=False)
class Sway:
    """A soft-edged ellipse of the scene that sways in waves: leaves in the wind, water.

    `waves` is (J, 6): wave numbers along y and x, angular speed per s, phase, swing along y and x.
    `share` (1, h, w) 0..1, over the whole scene, says what can sway; None: everything.
    """

    centre: tuple[float, float]
    reach: tuple[float, float]
    waves: NDArray[np.float64]
    share: Tensor | None = None
    aspect: float = 1.0  # of the scene, width over height

    def box(self) -> tuple[float, float, float, float]:
        """top, left, height and width of the ellipse."""
        (y, x), (ry, rx) = self.centre, self.reach
        return y - ry, x - rx, 2 * ry, 2 * rx

    def shift(self, y: Tensor, x: Tensor, *, start_s: float, end_s: float) -> tuple[Tensor, Tensor]:
        """How far places (y, x) have moved between two moments, each (h, w)."""
        v, u = (y - self.centre[0]) / self.reach[0], (x - self.centre[1]) / self.reach[1]
        window = (1 - v * v - u * u).clamp_min(0) ** 2
        if self.share is not None:
            grid = torch.stack((x * (2 / self.aspect) - 1, y * 2 - 1), -1)[None]
            found = F.grid_sample(
                self.share[None], grid, padding_mode="border", align_corners=False
            )
            window = window * found[0, 0]
        down, right = torch.zeros_like(y), torch.zeros_like(x)
        for ky, kx, speed, phase, swing_y, swing_x in self.waves.tolist():
            # sin(a + e) - sin(a + s), with one sine for each place instead of two.
            swung = 2 * math.sin(speed * (end_s - start_s) / 2)
            middle = phase + speed * (end_s + start_s) / 2
            moved = torch.cos(ky * y + kx * x + middle).mul_(swung)
            down += swing_y * moved
            right += swing_x * moved
        return window * down, window * right
