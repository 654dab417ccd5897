"""What moves between the frames of a bracket, and how each frame sees it: tensors only.

Moving things live in scene coordinates, (x, y) in picture heights from the top left corner, so a
small view of the whole and a detail of it show the same things. Things pass in front of the still
scene as `Shot`s, one per frame; leaves and water sway as local warps of it. At the reference's
moment nothing is displaced. Runs on the device of the radiance; knows no file and no camera.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Still = Callable[[Tensor, Tensor], Tensor]
"""The still scene: places y, x (h, w) -> linear radiance (3, h, w)."""

CHANGED = 0.02  # share of the radiance that two frames must differ by to count as moved
_DARK = 2e-3  # of the brightest percent of the scene: less than this no frame shows


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

    def _darken(
        self, radiance: Tensor, places: Places, shadow: tuple[float, float, float]
    ) -> None:
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
    """

    centre: tuple[float, float]
    reach: tuple[float, float]
    waves: NDArray[np.float64]

    def box(self) -> tuple[float, float, float, float]:
        """top, left, height and width of the ellipse."""
        (y, x), (ry, rx) = self.centre, self.reach
        return y - ry, x - rx, 2 * ry, 2 * rx

    def shift(self, y: Tensor, x: Tensor, *, start_s: float, end_s: float) -> tuple[Tensor, Tensor]:
        """How far places (y, x) have moved between two moments, each (h, w)."""
        v, u = (y - self.centre[0]) / self.reach[0], (x - self.centre[1]) / self.reach[1]
        window = (1 - v * v - u * u).clamp_min(0) ** 2
        down, right = torch.zeros_like(y), torch.zeros_like(x)
        for ky, kx, speed, phase, swing_y, swing_x in self.waves.tolist():
            angle = ky * y + kx * x + phase
            moved = torch.sin(angle + speed * end_s) - torch.sin(angle + speed * start_s)
            down += swing_y * moved
            right += swing_x * moved
        return window * down, window * right


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Everything that moves in one bracket, per frame.

    `things[t][k]` is thing t in frame k, far things first. Frame k is open from `start_s[k]` for
    `open_s[k]` seconds.
    """

    things: tuple[tuple[Shot, ...], ...]
    sways: tuple[Sway, ...]
    start_s: tuple[float, ...]
    open_s: tuple[float, ...]
    reference: int

    def middle_s(self, frame: int) -> float:
        """The middle of a frame's exposure."""
        return self.start_s[frame] + self.open_s[frame] / 2


def seen(base: Tensor, still: Still, places: Places, *, motion: Motion, frame: int) -> Tensor:
    """What a frame sees: the scene at its moment.

    Args:
        base: (3, h, w) radiance of the still scene at the places.
        still: the same at any place, for what sways.
        places: where the pixels look.
        motion: what moves.
        frame: whose moment.

    Returns:
        (3, h, w) linear radiance; a new tensor.
    """
    radiance = base.clone()
    if frame != motion.reference:
        for sway in motion.sways:
            span = places.within(*sway.box())
            if span is not None:
                near = places.part(*span)
                radiance[:, span[0], span[1]] = _swayed(still, near, motion, frame)
    for shots in motion.things:
        shots[frame].put(radiance, places)
    return radiance


def _swayed(still: Still, places: Places, motion: Motion, frame: int) -> Tensor:
    """Radiance of the still scene, swayed; the mean over three moments of the exposure."""
    total: Tensor | None = None
    now = motion.middle_s(motion.reference)
    for share in (1 / 6, 1 / 2, 5 / 6):
        moment = motion.start_s[frame] + share * motion.open_s[frame]
        y, x = places.y, places.x
        for sway in motion.sways:
            down, right = sway.shift(places.y, places.x, start_s=now, end_s=moment)
            y, x = y + down, x + right
        part = still(y, x)
        total = part if total is None else total + part
    assert total is not None
    return total / 3


def changed(reference: Tensor, frames: Sequence[Tensor], *, white: float) -> Tensor:
    """Where any frame's radiance differs from the reference's: (h, w) bool.

    Args:
        reference: (3, h, w), linear.
        frames: the same scene at other moments, from the reference's pose.
        white: what counts as bright in this scene; far below it nothing is seen.
    """
    mask = torch.zeros(reference.shape[1:], dtype=torch.bool, device=reference.device)
    for frame in frames:
        limit = CHANGED * torch.maximum(frame, reference) + CHANGED * _DARK * white
        mask |= ((frame - reference).abs() > limit).any(0)
    return mask


def grown(mask: Tensor, *, by_px: int) -> Tensor:
    """A mask (h, w) that reaches `by_px` further to all sides."""
    if by_px < 1:
        return mask
    side = 2 * by_px + 1
    wide = F.max_pool2d(mask[None, None].float(), (1, side), 1, (0, by_px))
    return F.max_pool2d(wide, (side, 1), 1, (by_px, 0))[0, 0] > 0


def sampler(radiance: Tensor, view: View) -> Still:
    """The still scene from its radiance (3, H, W) in a view; what lies outside repeats the edge."""

    def still(y: Tensor, x: Tensor) -> Tensor:
        v = (y - view.top) * (2 / (view.height * view.pixel)) - 1
        u = (x - view.left) * (2 / (view.width * view.pixel)) - 1
        grid = torch.stack((u, v), -1)[None]
        found = F.grid_sample(
            radiance[None], grid, mode="bicubic", padding_mode="border", align_corners=False
        )[0]
        return found.clamp_min(0)

    return still


def moved(
    radiance: Tensor,
    view: View,
    *,
    motion: Motion,
    poses: Sequence[NDArray[np.float64] | None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Every frame's radiance of a still scene in which things move: for training.

    Args:
        radiance: (3, H, W), linear, the still scene in `view`.
        view: which part of the scene that is.
        motion: what moves; it knows how many frames there are.
        poses: per frame how the camera moved, (3, 3) scene place -> the frame's; None: not.

    Returns:
        Radiance per frame (N, 3, H, W), and where any differs from the reference (H, W) bool, as
        the reference's pose shows it.
    """
    still, device = sampler(radiance, view), radiance.device
    at_rest = Places.of(view, device=device)
    moments = range(len(motion.start_s))
    unposed = [seen(radiance, still, at_rest, motion=motion, frame=k) for k in moments]
    white = torch.quantile(radiance.mean(0).flatten()[:: max(1, radiance[0].numel() // 20000)], 0.99)
    mask = changed(unposed[motion.reference], unposed, white=float(white))
    frames = []
    for k, pose in enumerate(poses or [None] * len(unposed)):
        if pose is None:
            frames.append(unposed[k])
            continue
        places = Places.of(view, back=np.linalg.inv(pose), device=device)
        base = still(places.y, places.x)
        frames.append(seen(base, still, places, motion=motion, frame=k))
    return torch.stack(frames), mask
