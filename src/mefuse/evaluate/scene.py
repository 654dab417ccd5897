"""A case's pixels as they are measured: aligned, cropped, 8 bits, and reduced where asked.

Measures are defined for 8 bits, so deeper pictures are rounded first. Knows no method and no
measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.coverage import common_area
from mefuse.discover import find_sources
from mefuse.errors import InputError
from mefuse.evaluate.cases import Case
from mefuse.frames import Bracket
from mefuse.read import read_bracket, read_frame
from mefuse.slices import Rect
from mefuse.warp import warp_region

Picture = NDArray[np.uint8]

SMALLEST_PX = 64  # MEF-SSIM needs 44, its third scale a little more to say anything


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Frames of one bracket on the reference: (H, W, 3) uint8 RGB, darkest first."""

    pixels: tuple[Picture, ...]
    reference: int
    isos: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """The part of the reference that is measured, and how large it may be."""

    whole: tuple[int, int]  # (height, width) of the reference
    crop: Rect
    limit_px: int | None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of what is measured."""
        longest = max(self.crop.height, self.crop.width)
        scale = 1.0 if self.limit_px is None else min(1.0, self.limit_px / longest)
        return round(self.crop.height * scale), round(self.crop.width * scale)

    def cut(self, pixels: NDArray[Any], name: str) -> NDArray[Any]:
        """This part of a picture that is as large as the reference, or as this part.

        Raises:
            InputError: it has another size.
        """
        size = pixels.shape[:2]
        crop = self.crop
        if size == self.whole:
            pixels = pixels[crop.top : crop.bottom, crop.left : crop.right]
        elif size != (crop.height, crop.width):
            raise InputError(_unfit(name, size, self))
        return self.reduced(pixels)

    def reduced(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Pixels of this part, no larger than they may be."""
        height, width = self.size
        if pixels.shape[:2] == (height, width):
            return np.ascontiguousarray(pixels)
        return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A case with its pixels.

    `still` are the frames without motion, where there are some; `truth` is a true picture; `mask`
    is (H, W), true where something moved.
    """

    case: Case
    view: View
    frames: Frames
    still: Frames | None
    truth: Picture | None
    mask: NDArray[np.bool_] | None
    warnings: tuple[str, ...]

    @property
    def motion_free(self) -> Frames:
        """What to measure structure against: the frames without motion, if there are some."""
        return self.still or self.frames


def load_scene(case: Case, *, limit_px: int | None = None) -> Scene:
    """Reads a case.

    Args:
        case: what to read.
        limit_px: longest side of what is measured; None: full resolution.

    Raises:
        InputError: files that do not fit together, or are too small to measure.
        ReadError: a file cannot be read.
        AlignError: frames that share too little of the picture.
    """
    bracket = read_bracket(find_sources(case.frames), reference=case.reference)
    view = _view_of(case, bracket, limit_px)
    frames = _aligned(bracket, view, case)
    warnings = [*bracket.warnings, *(w for frame in bracket.frames for w in frame.warnings)]
    still = None
    if case.truth_frames:
        quiet = read_bracket(find_sources(case.truth_frames), reference=case.reference)
        still = _cut_out(quiet, view)
    truth = None if case.truth is None else view.cut(read_picture(case.truth), str(case.truth))
    return Scene(case, view, frames, still, truth, _mask(case.mask, view), tuple(warnings))


def read_picture(path: Path) -> Picture:
    """One picture, (H, W, 3) uint8 RGB.

    Raises:
        ReadError: it cannot be read.
    """
    (source,) = find_sources([path])
    return in_8_bits(read_frame(source).pixels)


def in_8_bits(pixels: NDArray[Any]) -> Picture:
    """Pixels rounded to 8 bits; 257 codes of 16 bits are one."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _view_of(case: Case, bracket: Bracket, limit_px: int | None) -> View:
    """What is measured of a bracket."""
    whole = bracket.frames[0].size
    crop = case.crop or Rect(0, 0, *whole)
    if case.crop is None and case.transforms is not None:
        crop = common_area(case.transforms, whole)
    if crop.grown(0, Rect(0, 0, *whole)) != crop:
        raise InputError(
            f"{case.name}: its report crops {crop.width}x{crop.height} of frames of "
            f"{whole[1]}x{whole[0]}; give the frames and the report of one fusion"
        )
    view = View(whole, crop, limit_px)
    if min(view.size) < SMALLEST_PX:
        height, width = view.size
        raise InputError(
            f"{case.name}: {width}x{height} is too small to measure; "
            f"give pictures of {SMALLEST_PX} px and more on each side"
        )
    return view


def _aligned(bracket: Bracket, view: View, case: Case) -> Frames:
    """The frames as the reference sees them; each frame's own pixels are let go when read."""
    pixels = [
        view.reduced(in_8_bits(warp_region(f.pixels, case.transform_of(f.source.path), view.crop)))
        for f in bracket.frames
    ]
    isos = tuple(frame.source.exposure.iso for frame in bracket.frames)
    return Frames(tuple(pixels), bracket.reference, isos)


def _cut_out(bracket: Bracket, view: View) -> Frames:
    """Frames that lie on the reference already."""
    pixels = [in_8_bits(view.cut(f.pixels, str(f.source.path))) for f in bracket.frames]
    isos = tuple(frame.source.exposure.iso for frame in bracket.frames)
    return Frames(tuple(pixels), bracket.reference, isos)


def _mask(path: Path | None, view: View) -> NDArray[np.bool_] | None:
    """Where something moved; a reduced pixel counts when it holds any that moved."""
    if path is None:
        return None
    moved: NDArray[np.bool_] = view.cut(read_picture(path), str(path))[..., 0] > 0
    return moved


def _unfit(name: str, size: tuple[int, int], view: View) -> str:
    """What is wrong with a picture of another size, and what to do."""
    measured = f"{size[1]}x{size[0]}, the frames are {view.whole[1]}x{view.whole[0]}"
    if all(side <= full for side, full in zip(size, view.whole, strict=True)):
        return (
            f"{name}: {measured}: it was cropped; fuse it with --no-crop, or --no-align, "
            "or give --report with what mefuse fuse --json printed"
        )
    return f"{name}: {measured}; give the picture that was fused from these frames"
