"""Scenes of high dynamic range: HDR pictures, and photographs under synthetic light.

A scene gives its radiance for any rectangle at any size, so that one scene serves as the whole
bracket, small, and as a region of it in detail. It knows no camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mefuse.synth.pictures import Picture


@dataclass(frozen=True, slots=True)
class Shape:
    """A convex patch of light: where it is, how soft its edge, how many stops it adds."""

    normals: Tensor  # (E, 2)
    offsets: Tensor  # (E,)
    softness: float
    stops: float

    @staticmethod
    def drawn(rng: np.random.Generator, *, stops: float, softness: float) -> Shape:
        """A random triangle to hexagon somewhere in the unit square."""
        edges = int(rng.integers(3, 7))
        angles = rng.uniform(0, 2 * np.pi / edges) + np.arange(edges) * 2 * np.pi / edges
        angles = angles + rng.uniform(-0.3, 0.3, edges)
        normals = np.stack((np.cos(angles), np.sin(angles)), 1)
        reach = rng.uniform(0.05, 0.45) * rng.uniform(0.6, 1.4, edges)
        offsets = normals @ rng.uniform(0, 1, 2) + reach
        return Shape(
            torch.from_numpy(normals).float(), torch.from_numpy(offsets).float(), softness, stops
        )

    def cover(self, y: Tensor, x: Tensor) -> Tensor:
        """How far each place (h, 1), (1, w) lies inside, 0..1: (h, w)."""
        outside: Tensor | None = None
        for (ny, nx), offset in zip(self.normals.tolist(), self.offsets.tolist(), strict=True):
            side = ny * y + nx * x - offset
            outside = side if outside is None else torch.maximum(outside, side)
        assert outside is not None
        return torch.sigmoid(-outside / self.softness)


@dataclass(frozen=True, slots=True)
class Layer:
    """A rectangle of a picture that fills the whole scene, with its own light."""

    picture: Picture
    top: int
    left: int
    side: int
    power: float  # of luminance: above 1 stretches the dynamic range of a photograph
    flip: bool

    def radiance(self, top: float, left: float, side: float, size_px: int) -> Tensor:
        """Linear (3, size, size) of the square at (top, left), all as shares of the scene."""
        if self.flip:
            left = 1 - left - side
        first_row, first_column = self.top + top * self.side, self.left + left * self.side
        span = max(round(side * self.side), 8)
        row = min(max(round(first_row), 0), self.picture.pixels.shape[1] - span)
        column = min(max(round(first_column), 0), self.picture.pixels.shape[2] - span)
        cut = self.picture.pixels[:, row : row + span, column : column + span].float()
        if self.flip:
            cut = cut.flip(2)
        if not self.picture.is_hdr:
            cut = (cut / 255) ** 2.2
        cut = F.interpolate(cut[None], size=(size_px, size_px), mode="bilinear", antialias=True)[
            0
        ].clamp_min(0)
        if self.power != 1.0:
            cut = cut * (cut.mean(0, keepdim=True) + 1e-4) ** (self.power - 1)
        return cut


@dataclass(frozen=True, slots=True)
class Scene:
    """Layers of pictures under patches of light; a window shape parts the first two layers."""

    layers: tuple[Layer, ...]
    window: Shape | None
    lights: tuple[Shape, ...]
    slope: tuple[float, float]  # stops per scene side along y and x
    tint: tuple[float, float, float]

    def radiance(self, top: float, left: float, side: float, size_px: int) -> Tensor:
        """Linear radiance (3, size, size) of the square at (top, left), shares of the scene."""
        first = self.layers[0].radiance(top, left, side, size_px)
        place = (torch.arange(size_px, device=first.device) + 0.5) / size_px * side
        y, x = (place + top)[:, None], (place + left)[None, :]
        light = self.slope[0] * (y - 0.5) + self.slope[1] * (x - 0.5)
        for shape in self.lights:
            light = light + shape.stops * shape.cover(y, x)
        first = first * torch.exp2(light)
        if self.window is not None:
            cover = self.window.cover(y, x)
            second = self.layers[1].radiance(top, left, side, size_px)
            first = first * (1 - cover) + second * cover * 2.0**self.window.stops
        return first * torch.tensor(self.tint, device=first.device)[:, None, None]


def _layer(rng: np.random.Generator, picture: Picture, size_px: int, zoom: float) -> Layer:
    """A square of a picture: at its own size, reduced up to four times, or slightly enlarged."""
    height, width = picture.pixels.shape[1:]
    wanted = size_px * zoom * 2.0 ** rng.uniform(-0.3, 2)
    side = int(np.clip(wanted, 64, min(height, width)))
    power = 1.0 if picture.is_hdr else float(rng.uniform(1.0, 1.7))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    return Layer(picture, top, left, side, power, bool(rng.random() < 0.5))


def draw_scene(
    rng: np.random.Generator, pictures: Sequence[Picture], *, size_px: int, zoom: float
) -> Scene:
    """A scene of which a detail `size_px` wide is 1/zoom of the side."""
    hdr = [p for p in pictures if p.is_hdr]
    photos = [p for p in pictures if not p.is_hdr]
    kind = rng.random()
    pool = hdr if kind < 0.4 and hdr else photos
    layers = [_layer(rng, pool[int(rng.integers(len(pool)))], size_px, zoom)]
    window = None
    if kind > 0.65:
        layers.append(_layer(rng, photos[int(rng.integers(len(photos)))], size_px, zoom))
        window = Shape.drawn(
            rng, stops=rng.uniform(1.5, 6.5), softness=10 ** rng.uniform(-3.3, -1.7)
        )
    count = int(rng.integers(0, 2 if pool is hdr else 4))
    lights = tuple(
        Shape.drawn(rng, stops=rng.uniform(-4, 4), softness=10 ** rng.uniform(-3.3, -0.7))
        for _ in range(count)
    )
    slope = (float(rng.normal(0, 0.8)), float(rng.normal(0, 0.8)))
    red, blue = np.exp2(rng.normal(0, 0.15, 2))
    return Scene(tuple(layers), window, lights, slope, (float(red), 1.0, float(blue)))


def draw_exposures(
    rng: np.random.Generator, luminance: Tensor, *, count: int, extreme: bool
) -> Tensor:
    """Gains of a bracket for a scene's luminance (any shape), darkest first: (count,).

    A ladder steps evenly around the scene's middle. An extreme bracket frames the scene: its
    darkest frame holds the highlights, its brightest the shadows, up to 11 stops apart.
    """
    log = torch.log2(luminance.flatten()[:: max(1, luminance.numel() // 20000)] + 1e-5)
    shares = torch.tensor([0.05, 0.5, 0.97], device=log.device)
    low, middle, high = torch.quantile(log, shares).tolist()
    if extreme:
        dark = float(np.log2(rng.uniform(0.25, 1.2))) - high
        bright = float(np.log2(rng.uniform(0.1, 0.7))) - low
        bright = float(np.clip(max(bright, dark + rng.uniform(1.5, 3)), dark, dark + 11))
        stops = np.linspace(dark, bright, count)
    else:
        step = rng.uniform(0.7, 3.0) if count < 5 else rng.uniform(0.6, 1.7)
        centre = float(np.log2(0.15)) - middle + rng.normal(0, 0.8)
        stops = centre + (np.arange(count) - (count - 1) / 2) * step
    return torch.exp2(torch.from_numpy(stops).float().to(log.device))
