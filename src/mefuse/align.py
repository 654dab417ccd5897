"""Brings the frames of a bracket together: one transform per frame, never warped copies.

Neighbours in exposure share most, so each frame is registered to its neighbour towards the
reference, the links are joined, and the result is refined against the reference itself where the
two share well-exposed texture. Comes after reading, before slices are warped; knows no files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.errors import InputError
from mefuse.overview import halves_of
from mefuse.registration import LADDER, Registration, register
from mefuse.transforms import Float64, corner_distance_px, is_plausible
from mefuse.views import View, view_of

Method = Literal["reference", "homography", "affine", "translation", "none"]

MIN_SIDE_PX = 48  # smaller frames show too little to measure motion by
LINK_SURE_PX = 0.4  # how far a joined link may be off, px of a 2 MP view (measured: 0.05..0.3)


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """How one frame lies to the reference.

    `transform` is (3, 3) and takes a pixel (x, y, 1) of the reference to the frame's, both upright
    and full size, pixel centres at integers. `shift_px` is the mean displacement of the four
    corners. `residual_px` is the misregistration left: the median over points kept out of the
    estimate, with the noise of measuring them; None where nothing could be measured. `method` is
    the model used; "none" leaves the frame as it is, because it did not move or shares too little.
    """

    transform: Float64
    shift_px: float
    residual_px: float | None
    method: Method


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A frame with a known transform from the reference."""

    index: int
    transform: Float64
    method: Method
    residual_px: float


def align_frames(
    pixels: Sequence[NDArray[Any]],
    *,
    reference: int,
    evs: Sequence[float] | None = None,
    halves: Sequence[NDArray[Any]] | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> tuple[Alignment, ...]:
    """One alignment per frame, in the order given.

    Args:
        pixels: (H, W, 3) uint8 or uint16 RGB each, of one size; 2 frames or more.
        reference: index of the frame that the others align to.
        evs: stops per frame, to tell neighbours; None goes by brightness.
        halves: `overview.half_of` each frame, where that was made already.
        on_frame: called with each frame's index when it is done, from any thread.

    Raises:
        InputError: fewer than two frames, sizes that differ, or a reference that is not there.

    Note: frames with a side below 48 px are left as they are. The same pixels give the same
        result, in whatever order the frames come.
    """
    _check(pixels, reference, evs)
    if min(pixels[reference].shape[:2]) < MIN_SIDE_PX:
        return tuple(_untouched(reference=index == reference) for index in range(len(pixels)))
    report = on_frame or (lambda _: None)
    with ThreadPoolExecutor(max_workers=max(1, cv2.getNumThreads())) as pool:
        views = list(pool.map(view_of, pixels, halves or halves_of(pixels)))
    order = _by_exposure(views, evs)
    rank = order.index(reference)
    home = _Placed(reference, np.eye(3), "reference", 0.0)
    results: dict[int, _Placed | None] = {reference: home}
    report(reference)

    def place_all(side: Sequence[int]) -> None:
        placed = [home]  # outward from the reference
        for index in side:
            results[index] = found = _place(index, placed, views)
            if found is not None:
                placed.append(found)
            report(index)

    with ThreadPoolExecutor(2, thread_name_prefix="align") as pool:
        list(pool.map(place_all, (order[:rank][::-1], order[rank + 1 :])))
    size = views[reference].size
    return tuple(_alignment(results[index], size) for index in range(len(pixels)))


def _check(pixels: Sequence[NDArray[Any]], reference: int, evs: Sequence[float] | None) -> None:
    if len(pixels) < 2:
        raise InputError(f"{len(pixels)} frame cannot be aligned; give at least two")
    if not 0 <= reference < len(pixels):
        raise InputError(f"reference {reference} is none of the {len(pixels)} frames")
    if evs is not None and len(evs) != len(pixels):
        raise InputError(f"{len(evs)} exposures for {len(pixels)} frames; give one each")
    shape = pixels[reference].shape
    for index, frame in enumerate(pixels):
        if frame.shape != shape:
            raise InputError(
                f"frame {index + 1} is {frame.shape[1]}x{frame.shape[0]}, the reference is"
                f" {shape[1]}x{shape[0]}; leave it out or give frames of one size"
            )


def _by_exposure(views: Sequence[View], evs: Sequence[float] | None) -> list[int]:
    """Indices of the frames, darkest first, whatever their order; equals by what they show."""
    stops = evs if evs is not None else [0.0] * len(views)

    def rank(index: int) -> tuple[float, float, bytes]:
        view = views[index]
        return stops[index], view.brightness, view.coarse.contrast.tobytes()

    return sorted(range(len(views)), key=rank)


def _place(index: int, placed: Sequence[_Placed], views: Sequence[View]) -> _Placed | None:
    """Links frame `index` to the nearest frame of `placed` that it shares enough with."""
    home = placed[0]
    for anchor in reversed(placed):
        link = register(views[anchor.index], views[index])
        if link is None:
            continue
        if anchor is home:
            return _Placed(index, link.transform, link.model, link.residual_px)
        return _joined(index, anchor, link, views, home.index)
    return None


def _joined(
    index: int, anchor: _Placed, link: Registration, views: Sequence[View], reference: int
) -> _Placed | None:
    """`link` after its anchor's transform, refined against the reference where that is possible."""
    joined = link.transform @ anchor.transform
    joined = joined / joined[2, 2]
    view = views[reference]
    if not is_plausible(joined, view.size):
        return None
    sure_px = LINK_SURE_PX * view.fine.scale
    direct = register(view, views[index], guess=joined, sure_px=sure_px)
    if direct is not None:
        return _Placed(index, direct.transform, direct.model, direct.residual_px)
    residual_px = float(np.hypot(anchor.residual_px, link.residual_px))
    return _Placed(index, joined, _higher(anchor.method, link.model), residual_px)


def _higher(first: Method, second: Method) -> Method:
    """The model that a transform of one after the other has."""
    return max(first, second, key=("reference", "none", *LADDER).index)


def _untouched(*, reference: bool) -> Alignment:
    if reference:
        return Alignment(np.eye(3), 0.0, 0.0, "reference")
    return Alignment(np.eye(3), 0.0, None, "none")


def _alignment(placed: _Placed | None, size: tuple[int, int]) -> Alignment:
    if placed is None:
        return _untouched(reference=False)
    shift_px = corner_distance_px(placed.transform, np.eye(3), size)
    return Alignment(placed.transform, shift_px, placed.residual_px, placed.method)
