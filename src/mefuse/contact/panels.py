"""What a contact sheet shows of a fused bracket: pictures with what is to be said of each.

Frames as they lie on the reference, how much each gives where, what moved in it, and the result.
Knows no file and draws no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.contact.anatomy import Anatomy
from mefuse.ghosts import Ghosts
from mefuse.words import ev_words, exposure_words, readable

Bytes = NDArray[np.uint8]

_DIMMED = 0.35  # of a frame behind the marks of what moved
_LEAST_TOLD = 0.0005  # share of a frame; less would be told as 0.0%
_MARK = (255, 140, 0)  # RGB of what moved: orange is rare enough in photographs


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """A picture, (h, w, 3) uint8 RGB, and the lines below it; the first one is the strongest."""

    pixels: Bytes
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Panels side by side, one per frame, darkest first, under a title."""

    title: str
    panels: tuple[Panel, ...]


def rows_of(anatomy: Anatomy, *, enlargement: float) -> list[Row]:
    """Gives the rows of a sheet: frames, weight maps, and what moved.

    Args:
        anatomy: the bracket, fused while it was reduced.
        enlargement: how many times larger the files' own frames are.
    """
    seen = _as_seen(anatomy.aligned)
    rows = [Row("frames, as they lie on the reference", _frames(anatomy, seen, enlargement))]
    if anatomy.fused.weight_maps is not None:
        rows.append(Row("weights: how much each gives", _weights(anatomy.fused.weight_maps, seen)))
    if anatomy.moved is not None:
        done = "replaced by what the reference shows" if anatomy.is_replaced else "not replaced"
        panels = _motion(anatomy.moved, anatomy.aligned.reference, seen)
        rows.append(Row(f"ghosts: what moved, {done}", panels))
    return rows


def _as_seen(aligned: Aligned) -> list[Bytes]:
    """The frames as they lie on the reference, with whatever moved in them."""
    still = Aligned(aligned.frames, aligned.transforms, aligned.crop, aligned.reference)
    return [np.asarray(frame, np.uint8) for frame in still.whole()]


def _frames(anatomy: Anatomy, seen: Sequence[Bytes], enlargement: float) -> tuple[Panel, ...]:
    panels = []
    bracket = anatomy.bracket
    for index, pixels in enumerate(seen):
        source = bracket.frames[index].source
        estimated = "\u2248 " if bracket.ev_source == "pixels" else ""
        moved = anatomy.alignments[index].shift_px * enlargement
        place = "reference" if index == bracket.reference else f"moved {moved:.1f} px"
        lines = (
            f"{estimated}{ev_words(bracket.evs[index])}, {place}",
            exposure_words(source.exposure),
            readable(source.path.name),
        )
        panels.append(Panel(pixels, tuple(line for line in lines if line)))
    return tuple(panels)


def _weights(maps: NDArray[Any], seen: Sequence[Bytes]) -> tuple[Panel, ...]:
    """Weight maps: white where a frame gives all."""
    panels = []
    for weights, frame in zip(maps, seen, strict=True):
        gray = cv2.convertScaleAbs(_fitted(np.asarray(weights, np.float32), frame), alpha=255)
        panels.append(Panel(_three(gray), (f"gives {float(weights.mean()):.0%}",)))
    return tuple(panels)


def _motion(moved: Ghosts, reference: int, seen: Sequence[Bytes]) -> tuple[Panel, ...]:
    """Frames, dimmed and gray, with a mark on what moved in them."""
    panels = []
    for index, (ghost, frame) in enumerate(zip(moved.found, seen, strict=True)):
        marked = _three(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)).astype(np.float32) * _DIMMED
        said = "nothing moved" if index != reference else "decides what is where"
        if ghost is not None:
            cover = _fitted(ghost.cover, frame)[..., np.newaxis].astype(np.float32) / 255
            marked += cover * (np.array(_MARK, np.float32) - marked)
            said = f"{ghost.share:.1%} moved" if ghost.share >= _LEAST_TOLD else "a trace moved"
        panels.append(Panel(np.asarray(np.rint(marked), np.uint8), (said,)))
    return tuple(panels)


def _fitted(plane: NDArray[Any], frame: Bytes) -> NDArray[Any]:
    """A map brought to the size of a frame."""
    size = (frame.shape[1], frame.shape[0])
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR))


def _three(gray: NDArray[Any]) -> Bytes:
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
