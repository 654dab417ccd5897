"""Draws what moves in a bracket: which things, where, how fast, and in what light.

Speeds and sizes are those of the street: an adult of 1.75 m at 1.4 m/s seen from eye level, cars,
twigs in a breeze. It fills a `Motion`, which renders itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mefuse.synth import cutouts
from mefuse.synth.cones import MARGIN
from mefuse.synth.motion import Motion
from mefuse.synth.pictures import Picture
from mefuse.synth.shots import Shot, Sway

Floats = NDArray[np.float64]
Kind = Literal["people", "cars", "things", "leaves", "water"]
KINDS: tuple[Kind, ...] = ("people", "cars", "things", "leaves", "water")
_EYE_LEVEL = 0.86  # 1.5 m over 1.75 m: how far below the horizon feet stand, in body heights
_REFLECTANCE = 0.22  # of an average place, by which its radiance tells its light
_LARGEST_PX = 1100  # of a drawn thing: finer than its own detail
_GREEN_CELLS = 90
_LIGHT_CELLS = 6  # along the height: what counts as the same surroundings


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What has to be known of a scene to place things in it.

    `light` is `surroundings(...)` of the whole scene, `aspect` its width over its height, `horizon`
    the height of eye level (None: drawn), `height_px` how finely it will be seen, `smallest` the
    height of a person far off, `green` the `greenery(...)` of the scene (None: all may sway).
    """

    light: Tensor
    aspect: float
    horizon: float | None
    height_px: int
    smallest: float = 0.15
    green: Tensor | None = None

    def light_at(self, y: float, x: float) -> Tensor:
        """Irradiance (3, 1, 1) on a thing at a place."""
        grid = torch.tensor([[[[2 * x / self.aspect - 1, 2 * y - 1]]]], device=self.light.device)
        found = F.grid_sample(
            self.light[None], grid.float(), padding_mode="border", align_corners=False
        )
        return torch.exp(found[0])


def surroundings(radiance: Tensor) -> Tensor:
    """The light on things in a scene, (3, h, w), log: from the whole scene's radiance, small.

    Geometric means of large cells, drawn half way towards the scene's own, since a thing is lit by
    more than what is behind it.
    """
    log = torch.log(radiance + 1e-4)
    cells = (_LIGHT_CELLS, max(2, round(_LIGHT_CELLS * radiance.shape[2] / radiance.shape[1])))
    local = F.adaptive_avg_pool2d(log, cells)
    return 0.5 * local + 0.5 * local.mean((1, 2), keepdim=True) - math.log(_REFLECTANCE)


def greenery(radiance: Tensor) -> Tensor:
    """How much each place of a scene is leaves or grass, (1, h, w) 0..1, small and soft."""
    cells = (_GREEN_CELLS, max(2, round(_GREEN_CELLS * radiance.shape[2] / radiance.shape[1])))
    red, green, blue = F.adaptive_avg_pool2d(radiance, cells).split(1)
    excess = green / torch.maximum(red, blue).clamp_min(1e-6) - 1.03
    return F.avg_pool2d((excess * 12).clamp(0, 1), 5, 1, 2, count_include_pad=False)


@dataclass(frozen=True, slots=True)
class Clock:
    """When the frames of a bracket are open, seconds."""

    start_s: tuple[float, ...]
    open_s: tuple[float, ...]
    reference: int

    @staticmethod
    def of(open_s: Sequence[float], *, reference: int, pause_s: float) -> Clock:
        """Frames one after another, with a pause between them."""
        starts, now = [], 0.0
        for seconds in open_s:
            starts.append(now)
            now += seconds + pause_s
        return Clock(tuple(starts), tuple(open_s), reference)

    def since_reference_s(self, frame: int) -> float:
        """From the middle of the reference's exposure to the middle of this one."""
        middles = [self.start_s[k] + self.open_s[k] / 2 for k in (frame, self.reference)]
        return middles[0] - middles[1]


def draw_motion(
    rng: np.random.Generator,
    stage: Stage,
    *,
    clock: Clock,
    photos: Sequence[Picture],
    amount: float,
    kinds: Sequence[Kind] = KINDS,
) -> Motion:
    """Things that move through a scene while a bracket is taken.

    Args:
        rng: what they are and where.
        stage: the scene.
        clock: when the frames are open.
        photos: what things are cut out of; none: they are coloured with noise.
        amount: 0 none, 1 a quiet street, 3 a crowd in the wind.
        kinds: which of them.
    """
    if stage.horizon is None:
        stage = replace(stage, horizon=float(rng.uniform(0.3, 0.5)))
    maker = _Maker(rng, stage, clock, photos)
    counts = {kind: int(rng.poisson(amount * mean)) for kind, mean in _USUAL.items()}
    if amount > 0 and not sum(counts[kind] for kind in kinds):
        counts[kinds[int(rng.integers(len(kinds)))]] = 1
    counts = {kind: min(8, count) if kind in kinds else 0 for kind, count in counts.items()}
    standing = [maker.walker() for _ in range(counts["people"])]
    standing += [maker.car() for _ in range(counts["cars"])]
    standing.sort(key=lambda shots: shots[clock.reference].top + shots[clock.reference].height)
    flying = [maker.piece(rng.uniform(0.05, 0.16)) for _ in range(counts["things"])]
    for _ in range(counts["leaves"]):
        flying += maker.leafage()
    sways = [sway for _ in range(counts["leaves"]) if (sway := maker.foliage())]
    sways += [maker.water() for _ in range(counts["water"])]
    return Motion(
        tuple(standing + flying), tuple(sways), clock.start_s, clock.open_s, clock.reference
    )


_USUAL: dict[Kind, float] = {"people": 1.7, "cars": 0.4, "things": 0.4, "leaves": 0.9, "water": 0.3}


class _Maker:
    """Makes one moving thing at a time."""

    def __init__(
        self, rng: np.random.Generator, stage: Stage, clock: Clock, photos: Sequence[Picture]
    ) -> None:
        self._rng, self._stage, self._clock, self._photos = rng, stage, clock, photos
        self._frames = range(len(clock.start_s))
        self._device = stage.light.device

    def _size_px(self, height: float) -> int:
        return int(np.clip(round(height * self._stage.height_px), 8, _LARGEST_PX))

    def _shots(
        self, drawn: Sequence[Tensor], height: float, *, at: tuple[float, float],
        speed: tuple[float, float], shadow: tuple[float, float, float] | None = None,
        own: Sequence[tuple[float, float]] | None = None,
    ) -> tuple[Shot, ...]:  # fmt: skip
        """One shot per frame of a thing that passes `at` (y, x) at the reference's moment."""
        pixel = height * (1 + 2 * MARGIN) / drawn[0].shape[1]
        bias = float(2.0 ** self._rng.normal(0, 0.4))
        shots = []
        for k in self._frames:
            passed = self._clock.since_reference_s(k)
            down, right = own[k] if own else (0.0, 0.0)
            centre = (at[0] + speed[0] * passed + down, at[1] + speed[1] * passed + right)
            # Beyond one picture height of path nothing is left to see of a thing.
            path = np.clip(np.array(speed) * self._clock.open_s[k], -1, 1) / pixel
            pixels = cutouts.blurred(drawn[k], float(path[0]), float(path[1]))
            light = torch.ones(4, 1, 1, device=self._device)
            light[:3] = self._stage.light_at(*centre) * bias
            shots.append(Shot.of(pixels * light, centre=centre, pixel=pixel, shadow=shadow))
        return tuple(shots)

    def _foot(self, height: float, below_eye: float) -> float:
        """Where a standing thing meets the ground."""
        assert self._stage.horizon is not None
        return self._stage.horizon + below_eye * height * float(self._rng.uniform(0.95, 1.1))

    def walker(self) -> tuple[Shot, ...]:
        """A person who walks."""
        rng = self._rng
        height = min(1.3, float(self._stage.smallest * 2.0 ** rng.uniform(0, 1.9)))
        turned = float(rng.choice((-1, 1)) * rng.uniform(0.2, 1))
        pace_hz = rng.uniform(0.8, 1.1)
        start = rng.uniform(0, 2 * np.pi)
        phases = [
            start + 2 * np.pi * pace_hz * self._clock.since_reference_s(k) for k in self._frames
        ]
        drawn = cutouts.walker(
            rng, self._photos, self._size_px(height),
            phases=phases, turned=turned, device=self._device,
        )  # fmt: skip
        at = (self._foot(height, _EYE_LEVEL) - height / 2, self._across())
        speed = (0.0, 0.85 * pace_hz * turned * height)
        shadow = (0.13 * height, 0.025 * height, float(rng.uniform(0.2, 0.6)))
        return self._shots(drawn, height, at=at, speed=speed, shadow=shadow)

    def _across(self) -> float:
        return float(self._rng.uniform(0.05, 0.95) * self._stage.aspect)

    def car(self) -> tuple[Shot, ...]:
        """A car that drives past."""
        rng = self._rng
        height = float(rng.uniform(0.1, 0.22))
        drawn = cutouts.car(rng, self._photos, self._size_px(height), device=self._device)
        at = (self._foot(height, 1.0) - height / 2, self._across())
        speed = (0.0, float(rng.choice((-1, 1)) * rng.uniform(0.8, 4)) * height)
        shadow = (1.4 * height, 0.08 * height, 0.7)
        return self._shots([drawn] * len(self._frames), height, at=at, speed=speed, shadow=shadow)

    def piece(self, height: float) -> tuple[Shot, ...]:
        """A cut-out of a photograph that flies or is carried past."""
        rng = self._rng
        drawn = cutouts.piece(rng, self._photos, self._size_px(height), device=self._device)
        at = (float(rng.uniform(0.1, 0.9)), self._across())
        angle, pace = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.6)
        speed = (float(0.5 * pace * math.sin(angle)), float(pace * math.cos(angle)))
        return self._shots([drawn] * len(self._frames), height, at=at, speed=speed)

    def leafage(self) -> list[tuple[Shot, ...]]:
        """Twigs that hang into the picture, or leaves that the wind carries."""
        rng = self._rng
        if rng.random() < 0.3:
            return [self.piece(float(rng.uniform(0.008, 0.025))) for _ in range(rng.integers(3, 9))]
        root = self._across()
        return [self._twig(root + float(rng.normal(0, 0.12))) for _ in range(rng.integers(2, 5))]

    def _twig(self, x: float) -> tuple[Shot, ...]:
        rng = self._rng
        height, wind = float(rng.uniform(0.2, 0.5)), rng.uniform(0.02, 0.12)
        speed, phase = rng.uniform(2, 6), rng.uniform(0, 2 * np.pi)
        swings = [
            float(wind * np.sin(phase + speed * self._clock.since_reference_s(k)))
            for k in self._frames
        ]
        drawn = cutouts.twig(
            rng, self._photos, self._size_px(height),
            swings=swings, leaves=int(rng.integers(14, 34)), device=self._device,
        )  # fmt: skip
        tip_speed = float(wind * speed * np.cos(phase) * height * 0.5)
        at = (height / 2 - float(rng.uniform(0.0, 0.3)) * height, x)
        # The swing itself is drawn; its speed only blurs, so the way it would add is taken off.
        own = [(0.0, -tip_speed * self._clock.since_reference_s(k)) for k in self._frames]
        return self._shots(drawn, height, at=at, speed=(0.0, tip_speed), own=own)

    def foliage(self) -> Sway | None:
        """Part of the scene that moves like leaves: short waves all ways; None without green."""
        rng, green = self._rng, self._stage.green
        centre = (float(rng.uniform(0.1, 0.8)), self._across())
        if green is not None:
            found = (green[0] > 0.5).nonzero()
            if not len(found):
                return None
            row, column = found[int(rng.integers(len(found)))].tolist()
            centre = (
                (row + 0.5) / green.shape[1],
                (column + 0.5) / green.shape[2] * self._stage.aspect,
            )
        reach = (float(rng.uniform(0.1, 0.3)), float(rng.uniform(0.12, 0.45)))
        numbers = rng.normal(0, 1, (4, 2))
        numbers *= (2 * np.pi / rng.uniform(0.03, 0.15, (4, 1))) / np.linalg.norm(
            numbers, axis=1, keepdims=True
        )
        swings = rng.normal(0, 1, (4, 2)) * rng.uniform(0.0006, 0.002)
        waves = self._waves(numbers, swings, rng.uniform(3, 12, 4))
        return Sway(centre, reach, waves, green, self._stage.aspect)

    def water(self) -> Sway:
        """Part of the lower half that moves like water: long flat waves towards us."""
        rng = self._rng
        assert self._stage.horizon is not None
        centre = (min(0.95, self._stage.horizon + float(rng.uniform(0.15, 0.45))), self._across())
        reach = (float(rng.uniform(0.12, 0.25)), float(rng.uniform(0.4, 1.0)))
        lengths = np.stack([rng.uniform(0.012, 0.05, 5), rng.uniform(0.1, 0.4, 5)], axis=1)
        numbers = 2 * np.pi / lengths * rng.choice((-1, 1), (5, 2))
        swings = rng.normal(0, 1, (5, 2)) * (0.0015, 0.0008)
        return Sway(centre, reach, self._waves(numbers, swings, rng.uniform(2, 8, 5)))

    def _waves(self, numbers: Floats, swings: Floats, speeds: Floats) -> Floats:
        phases = self._rng.uniform(0, 2 * np.pi, (len(speeds), 1))
        return np.concatenate((numbers, speeds[:, None], phases, swings), axis=1)
