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
from mefuse.synth.pictures import Picture
from mefuse.synth.scenes import Scene, draw_exposures, draw_scene
from mefuse.train.yardstick import colour_losses

COUNTS = (2, 3, 4, 5, 7)
COUNT_SHARES = (0.42, 0.38, 0.08, 0.08, 0.04)  # pairs and threes are what people shoot most
SMALL_PX = (128, 192, 256, 384)
LARGE_PX = 512


@dataclass(frozen=True, slots=True)
class Sample:
    """Brackets of one shape: a detail to fuse, and the whole bracket, small, for the prefill."""

    detail: Tensor  # (B, N, 3, H, W) 0..1
    small: Tensor  # (B, N, 3, h, w) 0..1
    region: Region  # of the detail in the whole, in cells
    mertens: Tensor | None = None  # (B,) what OpenCV loses on the detail; `yardstick.colour_losses`

    def to(self, device: str) -> Sample:
        """The same on a device."""
        mertens = None if self.mertens is None else self.mertens.to(device)
        return Sample(self.detail.to(device), self.small.to(device), self.region, mertens)


def draw_sample(
    rng: np.random.Generator,
    pictures: Sequence[Picture],
    *,
    brackets: int,
    size_px: int,
    measured: bool = False,
    threes: float = 0.0,
) -> Sample:
    """Draws brackets with one number of frames and one zoom.

    Args:
        rng: draws everything.
        pictures: what scenes are made of.
        brackets: how many.
        size_px: side of the detail; from LARGE_PX on without zoom, beyond it three frames at most.
        measured: whether OpenCV's loss is wanted.
        threes: this share has three frames whatever is drawn; of the rest COUNT_SHARES decide.
    """
    count = int(rng.choice(COUNTS, p=COUNT_SHARES))
    if threes and rng.random() < threes:
        count = 3
    if size_px > LARGE_PX:
        count = min(count, 3)
    extreme = count == 2 and rng.random() < 0.85
    zoom = 1.0 if rng.random() < 0.5 or size_px >= LARGE_PX else float(2.0 ** rng.uniform(0, 2.5))
    small_px = int(rng.choice(SMALL_PX))
    side = 1.0 / zoom
    top, left = (rng.uniform(0, 1 - side, 2)).tolist()
    drawn: list[tuple[Tensor, Tensor]] = []
    while len(drawn) < brackets:
        scene = draw_scene(rng, pictures, size_px=size_px, zoom=zoom)
        bracket = _draw_bracket(
            rng, scene, (count, extreme), place=(top, left, side), sizes=(size_px, small_px)
        )
        if _shows_something(bracket[0]):
            drawn.append(bracket)
    details, smalls = (torch.stack(part) for part in zip(*drawn, strict=True))
    cells = size_px // CELL_PX
    whole = round(cells * zoom)
    region = Region(
        min(round(top * whole), whole - cells), min(round(left * whole), whole - cells),
        cells, cells, whole, whole,
    )  # fmt: skip
    return Sample(details, smalls, region, colour_losses(details) if measured else None)


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
