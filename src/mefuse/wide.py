"""What a network sees of frames that are not in sRGB: it learned with sRGB alone. A leaf.

Colours of a wide profile look pale in its own numbers, and clipped ones not clipped. Decisions are
therefore made on what the frames would be in sRGB, on the grid of 8 px, while the pixels that are
blended stay in their profile. So a bracket in Display P3 comes out as it would in sRGB, with the
colours that sRGB has not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mefuse.colour import converted, same_colours
from mefuse.gamut import LUMA
from mefuse.grid import CHROMA_FLOOR, CLIP_END, CLIP_SHARE, CLIP_START

Planes = NDArray[np.float32]

_BLUE, _RED = 1 / 1.772, 1 / 1.402  # chroma per unit of its channel


def is_wide(icc: bytes | None) -> bool:
    """Whether pixels in this profile look other to a network than in sRGB."""
    return not same_colours(icc, None)


def in_srgb(colour: Planes, icc: bytes | None) -> tuple[Planes, Planes]:
    """Gives colours in sRGB, and what that changes in the weights of their chroma.

    Args:
        colour: (N, 3, h, w) 0..1, mean RGB on the grid, in the profile.
        icc: the profile.

    Returns:
        (N, 3, h, w) 0..1, sRGB, clipped as a conversion of the frames would be; (N, h, w) to be
        added to the log weights of chroma.
    """
    count, _, height, width = colour.shape
    codes = np.rint(np.clip(colour, 0, 1) * np.float32(65535)).astype(np.uint16)
    rows = np.moveaxis(codes, 1, -1).reshape(count * height, width, 3)
    moved = converted(rows, source=icc, target=None).reshape(count, height, width, 3)
    seen = np.ascontiguousarray(np.moveaxis(moved, -1, 1), np.float32) / np.float32(65535)
    return seen, log_weight(seen) - log_weight(colour)


def log_weight(colour: Planes) -> Planes:
    """The part of the log weight of chroma that `blend` reads from the pixels themselves.

    Args:
        colour: (N, 3, h, w) 0..1.
    """
    red, green, blue = (colour[:, channel] for channel in range(3))
    luma = np.float32(LUMA[0]) * red + np.float32(LUMA[1]) * green + np.float32(LUMA[2]) * blue
    colourful = np.abs(blue - luma) * np.float32(_BLUE) + np.abs(red - luma) * np.float32(_RED)
    unclipped = (np.float32(CLIP_END) - colour.max(1)) / np.float32(CLIP_END - CLIP_START)
    trust = np.clip(unclipped, np.float32(CLIP_SHARE), 1)
    weight: Planes = np.log((colourful + np.float32(CHROMA_FLOOR)) * trust)
    return weight
