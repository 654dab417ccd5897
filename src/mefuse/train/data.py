"""Training brackets, made as they are needed: scenes under light, through a camera.

Nothing is read from disk but the source pictures; every bracket is drawn from the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mefuse.models.ipl_config import CELL_PX, Region
from mefuse.synth.camera import Camera
from mefuse.synth.motion import moved
from mefuse.synth.movers import Clock, Stage, draw_motion, surroundings
from mefuse.synth.pictures import Picture
from mefuse.synth.scenes import Scene, draw_exposures, draw_scene
from mefuse.synth.shots import View

COUNTS = (2, 3, 4, 5, 7)
COUNT_SHARES = (0.42, 0.38, 0.08, 0.08, 0.04)  # pairs and threes are what people shoot most
SMALL_PX = (128, 192, 256, 384)
LONGEST_S = 0.25  # of the brightest frame, where things move


@dataclass(frozen=True, slots=True)
class Truth:
    """What the detail of moving brackets would be if nothing moved."""

    detail: Tensor  # (B, N, 3, H, W) 0..1: each exposure of what the reference sees
    mask: Tensor  # (B, H, W) bool: where a frame differs from the reference by motion
    reference: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Brackets of one shape: a detail to fuse, and the whole bracket, small, for the prefill."""

    detail: Tensor  # (B, N, 3, H, W) 0..1
    small: Tensor  # (B, N, 3, h, w) 0..1
    region: Region  # of the detail in the whole, in cells
    moving: Truth | None = None  # where things move between the frames; None: nowhere

    def to(self, device: str) -> Sample:
        """The same on a device, without the truth about motion."""
        return Sample(self.detail.to(device), self.small.to(device), self.region)


def draw_sample(
    rng: np.random.Generator,
    pictures: Sequence[Picture],
    *,
    brackets: int,
    size_px: int,
    motion: float = 0.0,
) -> Sample:
    """Draws brackets with one number of frames and one zoom.

    Args:
        rng: draws everything.
        pictures: what scenes, and things that move, are made of.
        brackets: how many.
        size_px: side of the detail.
        motion: how probable it is that things move between the frames.
    """
    count = int(rng.choice(COUNTS, p=COUNT_SHARES))
    extreme = count == 2 and rng.random() < 0.85
    zoom = 1.0 if rng.random() < 0.5 else float(2.0 ** rng.uniform(0, 2.5))
    small_px = int(rng.choice(SMALL_PX))
    side = 1.0 / zoom
    top, left = (rng.uniform(0, 1 - side, 2)).tolist()
    photos: Sequence[Picture] | None = None
    reference = (count - 1) // 2
    if motion > 0 and rng.random() < motion:
        photos = [picture for picture in pictures if not picture.is_hdr]
        reference = int(rng.integers(count)) if rng.random() < 0.3 else reference
    drawn: list[tuple[Tensor, ...]] = []
    while len(drawn) < brackets:
        scene = draw_scene(rng, pictures, size_px=size_px, zoom=zoom)
        kind, place, sizes = (count, extreme), (top, left, side), (size_px, small_px)
        bracket: tuple[Tensor, ...]
        if photos is None:
            bracket = _draw_bracket(rng, scene, kind, place=place, sizes=sizes)
        else:
            bracket = _draw_moving_bracket(
                rng, scene, kind, place=place, sizes=sizes, photos=photos, reference=reference
            )
        if _shows_something(bracket[0]):
            drawn.append(bracket)
    details, smalls, *moving = (torch.stack(part) for part in zip(*drawn, strict=True))
    cells = size_px // CELL_PX
    whole = round(cells * zoom)
    region = Region(
        min(round(top * whole), whole - cells), min(round(left * whole), whole - cells),
        cells, cells, whole, whole,
    )  # fmt: skip
    truth = Truth(moving[0], moving[1], reference) if moving else None
    return Sample(details, smalls, region, truth)


def _shows_something(frames: Tensor) -> bool:
    """Whether a fifth of the places are well exposed in at least one frame."""
    luma = frames.mean(1)
    return ((luma > 0.1) & (luma < 0.9)).any(0).float().mean().item() > 0.2


def _draw_bracket(
    rng: np.random.Generator,
    scene: Scene,
    kind: tuple[int, bool],
    *,
    place: tuple[float, float, float],
    sizes: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """One bracket: frames of the detail (N, 3, H, W) and of the whole, small (N, 3, h, w)."""
    (top, left, side), (size_px, small_px), (count, extreme) = place, sizes, kind
    camera = Camera.drawn(rng)
    small_radiance = scene.radiance(0.0, 0.0, 1.0, small_px)
    gains = draw_exposures(rng, small_radiance.mean(0), count=count, extreme=extreme)
    noise = torch.Generator(device=gains.device).manual_seed(int(rng.integers(2**31)))
    detail = camera.expose(scene.radiance(top, left, side, size_px), gains, noise=noise)
    if side == 1.0 and small_px <= size_px:
        size = (small_px, small_px)
        return detail, F.interpolate(detail, size=size, mode="bilinear", antialias=True)
    return detail, camera.expose(small_radiance, gains, noise=noise)


def _draw_moving_bracket(
    rng: np.random.Generator,
    scene: Scene,
    kind: tuple[int, bool],
    *,
    place: tuple[float, float, float],
    sizes: tuple[int, int],
    photos: Sequence[Picture],
    reference: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Frames of the detail and of the whole, the detail without motion, and its motion mask."""
    (top, left, side), (size_px, small_px), (count, extreme) = place, sizes, kind
    camera = Camera.drawn(rng)
    still = scene.radiance(0.0, 0.0, 1.0, small_px)
    gains = draw_exposures(rng, still.mean(0), count=count, extreme=extreme)
    open_s = LONGEST_S * 2.0 ** rng.uniform(-3, 0) * (gains / gains.max()).cpu()
    clock = Clock.of(open_s.tolist(), reference=reference, pause_s=rng.uniform(0.1, 0.5))
    stage = Stage(surroundings(still), 1.0, None, round(size_px / side))
    amount = float(2.0 ** rng.uniform(-1, 2))
    motion = draw_motion(rng, stage, clock=clock, photos=photos, amount=amount)
    seed = int(rng.integers(2**31))
    view = View(top, left, side / size_px, size_px, size_px)
    radiance, mask = moved(scene.radiance(top, left, side, size_px), view, motion=motion)
    whole = View(0.0, 0.0, 1 / small_px, small_px, small_px)

    def exposed(radiance: Tensor) -> Tensor:
        # The same noise each time, so that a frame and its truth differ by motion alone.
        noise = torch.Generator(device=gains.device).manual_seed(seed)
        return camera.expose(radiance, gains, noise=noise)

    small = exposed(moved(still, whole, motion=motion)[0])
    return exposed(radiance), small, exposed(radiance[reference]), mask
