"""What moves between the frames of a bracket, and how each frame sees it: tensors only.

Moving things live in scene coordinates, (x, y) in picture heights from the top left corner, so a
small view of the whole and a detail of it show the same things. Things pass in front of the still
scene as `Shot`s, one per frame; leaves and water sway as local warps of it. At the reference's
moment nothing is displaced. Runs on the device of the radiance; knows no file and no camera.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mefuse.synth.shots import Places, Shot, Sway

Still = Callable[[Tensor, Tensor], Tensor]
"""The still scene: places y, x (h, w) -> linear radiance (3, h, w)."""

CHANGED = 0.02  # share of the radiance that two frames must differ by to count as moved
_LONG_S = 0.03  # of an exposure: waves of 8 rad/s that swing 4 px blur by a px
_DARK = 2e-3  # of the brightest percent of the scene: less than this no frame shows


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
    """Radiance of the still scene, swayed; of a long exposure the mean over three moments."""
    total: Tensor | None = None
    now = motion.middle_s(motion.reference)
    shares = (1 / 6, 1 / 2, 5 / 6) if motion.open_s[frame] > _LONG_S else (1 / 2,)
    for share in shares:
        moment = motion.start_s[frame] + share * motion.open_s[frame]
        y, x = places.y, places.x
        for sway in motion.sways:
            if places.within(*sway.box()) is None:
                continue
            down, right = sway.shift(places.y, places.x, start_s=now, end_s=moment)
            y, x = y + down, x + right
        part = still(y, x)
        total = part if total is None else total + part
    assert total is not None
    return total / len(shares)


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
