"""A bracket's frames as the reference sees them, read region by region: what models fuse.

Frames are warped when a region is asked for, and what moved in them is replaced, so that every
model sees frames that agree. Knows no file, no network and no slice size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.ghost_search import find_ghosts
from mefuse.ghosts import Ghosts
from mefuse.overview import factor_of, halved, overview_of
from mefuse.settings import GhostRemoval
from mefuse.slices import GRID_PX, Rect
from mefuse.warp import warp_region

Matrix = NDArray[np.float64]

KEEP_BYTES = 256 * 2**20  # regions kept to be asked for again; beyond it, they are warped again
# Longest side of the frames in which ghosts are looked for: half of 4K. A quarter finds the same
# people and misses leaves.
REDUCED_PX = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Aligned frames, ready to be fused.

    `frames` are (H, W, 3) uint8 or uint16 each, the same size and dtype, as they were read: arrays,
    or what is sliced like one and read region by region;
    `transforms` per frame (3, 3), take a pixel of the reference to the frame's; `crop` is the part
    of the reference to fuse, `reference` an index. `ghosts` is what moved, None: leave it. `icc` is
    the profile that all frames are in, None: sRGB; `isos` what each was taken at, where known;
    `halves` are `overview.half_of` them, where these were made already, until they have served.
    """

    frames: Sequence[NDArray[Any]]
    transforms: Sequence[Matrix]
    crop: Rect
    reference: int
    ghosts: Ghosts | None = None
    icc: bytes | None = None
    isos: Sequence[float | None] = ()
    halves: list[NDArray[Any]] = field(default_factory=list)
    _kept: dict[Rect, list[NDArray[Any]]] = field(default_factory=dict)

    @staticmethod
    def of(
        frames: Sequence[NDArray[Any]],
        *,
        reference: int,
        ghost: GhostRemoval,
        transforms: Sequence[Matrix] | None = None,
        crop: Rect | None = None,
        icc: bytes | None = None,
        isos: Sequence[float | None] = (),
        halves: Sequence[NDArray[Any]] = (),
    ) -> Aligned:
        """Aligned frames with their ghosts found.

        Args:
            frames: (H, W, 3) uint8 or uint16 each, the same size and dtype, darkest first.
            reference: index of the frame that decides what is where.
            ghost: how readily what moved is replaced.
            transforms: from the reference's pixels to each frame's; None: they lie as they are.
            crop: the part of the reference to fuse; None: all of it.
            icc: the profile that all frames are in; None: sRGB.
            isos: what each frame was taken at.
            halves: `overview.half_of` each frame, where that was made already.
        """
        height, width = frames[0].shape[:2]
        still = Aligned(
            frames,
            [np.eye(3)] * len(frames) if transforms is None else transforms,
            Rect(0, 0, height, width) if crop is None else crop,
            reference,
            icc=icc,
            isos=isos,
            halves=list(halves),
        )
        if ghost == "off" or len(frames) < 2:
            return still
        factor = still._factor()
        reduced = [still._reduced(k, factor) for k in range(len(frames))]
        ghosts = find_ghosts(reduced, reference=reference, amount=ghost, factor=factor)
        return replace(still, ghosts=ghosts)

    @property
    def ghost_shares(self) -> tuple[float, ...]:
        """Per frame, the share of the crop where something moved and was replaced, 0..1."""
        found = [None] * len(self.frames) if self.ghosts is None else self.ghosts.found
        return tuple(0.0 if ghost is None else ghost.share for ghost in found)

    @property
    def padded(self) -> Rect:
        """The fused picture, its sides rounded up to the grid of slices."""
        height = -(-self.crop.height // GRID_PX) * GRID_PX
        width = -(-self.crop.width // GRID_PX) * GRID_PX
        return Rect(0, 0, height, width)

    def region(self, rect: Rect, *, keep: bool = False) -> list[NDArray[Any]]:
        """Frames at `rect` of the crop, which may reach into the padding: (h, w, 3) each.

        What lies beyond the crop repeats its border. With `keep` the region is held, while there is
        room, until it is asked for once more. Views of the frames may be among them: do not write.
        """
        frames = self._kept.pop(rect, None) or self._corrected(rect)
        each = sum(frame.nbytes for frame in frames)
        held = all(isinstance(frame, np.ndarray) for frame in self.frames)
        if keep and held and (len(self._kept) + 1) * each <= KEEP_BYTES:
            self._kept[rect] = frames
        return frames

    def rest(self) -> None:
        """Lets go of what frames that are read by regions hold in memory; no region changes."""
        for frame in self.frames:
            if not isinstance(frame, np.ndarray):
                frame.rest()

    def whole(self) -> list[NDArray[Any]]:
        """The whole crop of all frames: (h, w, 3) each."""
        return self.region(Rect(0, 0, self.crop.height, self.crop.width))

    def frame(self, k: int) -> NDArray[Any]:
        """One frame's whole crop as it was aligned, with all that moved in it: (h, w, 3)."""
        return warp_region(self.frames[k], self.transforms[k], self.crop)

    def small(self, longest_px: int, *, multiple_px: int = 1) -> list[NDArray[Any]]:
        """The whole crop, reduced to at most `longest_px`, sides a multiple of `multiple_px`."""
        crop = self.crop
        height, width = small_size(
            crop.height, crop.width, longest_px=longest_px, multiple_px=multiple_px
        )
        to_reference = _scaling(crop.width / width, crop.height / height)
        to_reference[:2, 2] += crop.left, crop.top
        frames = []
        for k, (frame, transform) in enumerate(zip(self.frames, self.transforms, strict=True)):
            most = max(crop.height, crop.width) // (longest_px * factor_of(frame.shape))
            seen, factor = _halved(overview_of(frame), most, self._half(k))
            factor *= factor_of(frame.shape)
            seen_height, seen_width = seen.shape[0] * factor, seen.shape[1] * factor
            rows = max(round(seen_height * height / crop.height), 1)
            columns = max(round(seen_width * width / crop.width), 1)
            reduced = cv2.resize(seen, (columns, rows), interpolation=cv2.INTER_AREA)
            to_small = _scaling(columns / seen_width, rows / seen_height)
            matrix = to_small @ transform @ to_reference
            frames.append(warp_region(reduced, matrix, Rect(0, 0, height, width)))
        self.halves.clear()  # the last who needs them, before slices need the memory
        return frames if self.ghosts is None else self.ghosts.correct_small(frames)

    def _corrected(self, rect: Rect) -> list[NDArray[Any]]:
        """Frames at `rect`, warped, with what moved replaced."""
        part = rect.grown(0, Rect(0, 0, self.crop.height, self.crop.width))
        place = Rect(part.top + self.crop.top, part.left + self.crop.left, part.height, part.width)
        frames = [
            warp_region(frame, transform, place)
            for frame, transform in zip(self.frames, self.transforms, strict=True)
        ]
        if self.ghosts is not None:
            frames = self.ghosts.correct(frames, part)
        below, right = rect.height - part.height, rect.width - part.width
        if below or right:
            frames = [
                np.pad(frame, ((0, below), (0, right), (0, 0)), mode="edge") for frame in frames
            ]
        return frames

    def _factor(self) -> int:
        """The power of two that brings the crop to at most REDUCED_PX.

        Of two, because enlarging by it gives the same bytes for a part as for the whole.
        """
        factor = factor_of(self.frames[0].shape)
        while max(self.crop.height, self.crop.width) > REDUCED_PX * factor:
            factor *= 2
        return factor

    def _half(self, k: int) -> NDArray[Any] | None:
        """One frame's overview at half size, where that was made already."""
        return self.halves[k] if self.halves else None

    def _reduced(self, k: int, factor: int) -> NDArray[np.uint8]:
        """One frame's crop at 1/factor, 8 bits; its grid starts at the crop's corner."""
        frame, crop = overview_of(self.frames[k]), self.crop
        rest = factor // factor_of(self.frames[k].shape)
        rows, columns = (max(side // rest, 1) for side in frame.shape[:2])
        half = self._half(k) if rest % 2 == 0 else None
        step, seen = (rest, frame) if half is None else (rest // 2, half)
        inside = seen[: rows * step, : columns * step]
        small = cv2.resize(inside, (columns, rows), interpolation=cv2.INTER_AREA)
        if small.dtype == np.uint16:
            small = cv2.convertScaleAbs(small, alpha=1 / 257)
        to_reference = _scaling(factor, factor)
        to_reference[:2, 2] += crop.left, crop.top
        matrix = _scaling(1 / factor, 1 / factor) @ self.transforms[k] @ to_reference
        size = (-(-crop.width // factor), -(-crop.height // factor))
        if np.allclose(matrix, np.eye(3), atol=1e-9) and small.shape[1::-1] == size:
            return np.asarray(small)
        # Linear and of the whole at once, unlike `warp_region`: nothing of this is fused.
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpPerspective(small, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE),
            np.uint8,
        )


def _halved(frame: NDArray[Any], most: int, half: NDArray[Any] | None) -> tuple[NDArray[Any], int]:
    """The frame at 1/2, 1/4, ..., at most at 1/most and not below twice that, and by how much.

    OpenCV halves ten times faster than it reduces by other factors.
    """
    factor = 1
    while 4 * factor <= most and min(frame.shape[:2]) > 1:
        frame = half if half is not None and factor == 1 else halved(frame)
        factor *= 2
    return frame, factor


def small_size(
    height: int, width: int, *, longest_px: int, multiple_px: int = 1
) -> tuple[int, int]:
    """The size of a picture reduced to at most `longest_px`, sides a multiple of `multiple_px`."""
    scale = min(1.0, longest_px / max(height, width)) / multiple_px
    small = (max(round(side * scale), 2) * multiple_px for side in (height, width))
    return next(small), next(small)


def _scaling(x: float, y: float) -> Matrix:
    """Scales pixel areas: the matrix for pixel centres at integers."""
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]], dtype=np.float64)
