"""The grid of 8 px: what is kept of frames on it, what a network decides on it, and its constants.

Two forms of the arithmetic share this file: the definition in torch (`blend.py`, `features.py`) and
the one of host memory (`host/`), in numpy and OpenCV. Arrays are tensors in one and numpy's in the
other; the shapes below leave out the brackets (B) that tensors have in front. Computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

A = TypeVar("A")  # numpy array or torch tensor
Cut = tuple[slice, slice]  # rows and columns

BANDS = 6  # bands with weights of their own; deeper ones share one weight map
FINE = 3  # bands blended region by region; 2**FINE is the grid of features and maps
DEEP, CHROMA = BANDS, BANDS + 1  # places among a frame's log weights, behind those of its bands
LOGITS = CHROMA + 1
GRID = 2**FINE
FEATURES = 8 + 2 * BANDS + BANDS - FINE  # channels that a network sees per frame
# What a glimpse and the fine bands need around a region to be independent of it: 8 px each for the
# interpolated weights, the energy's tent and the interpolated band, 7 for the halving.
OVERLAP_PX = 32
COARSE_OVERLAP_PX = 32  # around a part of a pyramid's energies: half a sample of the coarsest
ENERGY_FLOOR = 3e-6  # (0.45 / 255)^2: energy below half a grey level is no detail
CHROMA_FLOOR = 0.02  # about five grey levels: grey pixels average instead of following noise
# A pixel with a clipped channel has lost its hue (white turns yellow, yellow green): its chroma
# counts less and less from 0.7 on, yet still decides where every frame is clipped.
CLIP_START, CLIP_END, CLIP_SHARE = 0.7, 0.95, 0.01
# Where the fusion lifts a frame's luma, its colour follows by FOLLOW_UP of their ratio, where it
# lowers it by FOLLOW_DOWN. With 1 saturation is kept exactly, and with it the noise of dark frames
# and dull colours in what is lowered; with 0 lifted highlights stay grey, and rings show where one
# frame's colour takes over from another's. Chosen by eye, and by MEF-SSIMc.
FOLLOW_UP, FOLLOW_DOWN = 0.85, 0.4
FOLLOW_LIMITS = (0.4, 3.0)
FOLLOW_FLOOR = 0.05
# A colour that takes the share s of what its luma leaves up to white counts s / sqrt(1 + s^2) where
# it is lifted: else strong colours come out garish in the light, beside others that the gamut has
# made pale. It bends gently, so that no ring shows where one frame's colour takes over.
ROOM_FLOOR = 1e-6
# Features: where channels count as clipped, how far the classic weight's exposedness reaches
# (Mertens et al.), and floors of logarithms. Chosen so that features lie about in -1..1.
CLIPPED_ABOVE, CLIPPED_BELOW, CLIPPED_SLOPE = 0.92, 0.08, 12.5
EXPOSED_VARIANCE, EXPOSED_FLOOR = 0.2**2, -8.0
LUMA_FLOOR, SATURATION_FLOOR = 0.01, 0.02
AGREEMENT_LIMIT = 1.2
# Refinement of the fused luma on the grid. Patches are compared under a Gaussian of five cells, as
# MEF-SSIM compares 11 px at a quarter of the size; luminance counts enough to keep brightness
# where MEF-SSIMc wants it. Weight, steps and window chosen on a quarter of the static brackets.
REFINE_TAPS = 5
REFINE_SIGMA = 0.75
REFINE_LUMINANCE = 0.05  # weight of luminance beside that of structure
REFINE_ROUNDS, REFINE_STEPS = 3, 3
REFINE_LEVELS = 5  # of the preconditioner
REFINE_STRUCTURE = 0.5  # of its diagonal: what is left of a wave that the window averages
REFINE_LEAST_CELLS = 8  # a side below: nothing to refine
REFINE_MOST_CELLS = 2**20  # a larger grid, of 67 megapixels and more, is refined at half its size
STRUCTURE_STABILITY, LUMINANCE_STABILITY = 0.03**2, 0.01**2  # as in MEF-SSIM and MEF-SSIMc
MOST_POWER = 10.0  # of contrast, where frames agree
CONTRAST_FLOOR = 0.1 / 255  # a tenth of a grey level is no structure
LEAST_LENGTH = 0.5  # frames that contradict each other are not amplified more than twofold
COLOUR_ROOM = 0.5  # share of what a colour takes up to white that luma leaves to it
ROOM, ROOM_WEIGHT = 0.02, 200.0  # kept at black and white, unless all frames are there
EXPOSED_SIGMA = 0.2  # of luminance, as in MEF-SSIMc


@dataclass(frozen=True, slots=True)
class Glimpse(Generic[A]):
    """What is kept of frames until a network has decided; values 0..1, display-referred."""

    colour: A  # (N, 3, h, w) mean RGB
    luma: A  # (N, h, w) of the pyramid
    energies: A  # (N, FINE, h, w) mean local energy of each fine band

    def part(self, cut: Cut) -> Glimpse[A]:
        """The glimpse of a part of the grid."""
        return Glimpse(_cut(self.colour, cut), _cut(self.luma, cut), _cut(self.energies, cut))


@dataclass(frozen=True, slots=True)
class Maps(Generic[A]):
    """What a network decides.

    A band's weight of a frame is the softmax over frames of gain x log(local energy) + logit.
    """

    logits: A  # (N, LOGITS, h, w) log weights: bands, deep bands, chroma
    gains: A  # (BANDS, h, w) powers on the local energy

    def part(self, cut: Cut) -> Maps[A]:
        """The maps of a part of the grid."""
        return Maps(_cut(self.logits, cut), _cut(self.gains, cut))


@dataclass(frozen=True, slots=True)
class Pyramid(Generic[A]):
    """Luma of the whole picture from the grid of 8 px to the top.

    The coarsest bands, beyond BANDS, share one weight map; the first ones have their own.
    """

    bands: tuple[A, ...]  # (N, h, w), (N, h/2, w/2), ... odd sides rounded up to even
    sizes: tuple[tuple[int, int], ...]  # of each band before rounding
    energies: tuple[A, ...]  # of bands FINE..BANDS, (N, h/2, w/2), ...
    together: tuple[A, ...]  # the same of the sum of all frames: (1, h/2, w/2), ...
    top: A  # (N, 1 or more, 1 or more) what is left

    def within(self, cut: Cut) -> tuple[tuple[A, A], ...]:
        """Energies, each frame's and together, of a part of the grid; it starts on 64 px."""
        parts = []
        for level, pair in enumerate(zip(self.energies, self.together, strict=True), start=1):
            y, x = (slice(side.start >> level, -(-side.stop >> level)) for side in cut)
            parts.append((_cut(pair[0], (y, x)), _cut(pair[1], (y, x))))
        return tuple(parts)


def everything(grid: Any) -> Cut:
    """All rows and columns of a grid (..., h, w)."""
    return slice(0, grid.shape[-2]), slice(0, grid.shape[-1])


def _cut(grid: A, cut: Cut) -> A:
    """Rows and columns of a grid (..., h, w)."""
    values: Any = grid
    part: A = values[(..., *cut)]
    return part
