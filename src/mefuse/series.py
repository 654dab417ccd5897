"""One rendering for a series of brackets: a panorama, a time-lapse, one house.

A model decides for each bracket by itself how light it comes out, so neighbours differ where one
of them holds a window. Their keys, by how many stops each is lighter than its reference, are
measured small before anything is fused at full size; the mean is the key of all, given to
`LookSettings.series_key_ev`.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.errors import InputError
from mefuse.finish import key_of
from mefuse.frames import Bracket
from mefuse.models import Fuser
from mefuse.overview import overview_of

MEASURED_PX = 640  # longest side; how light a picture is does not show more in more pixels


def measure_bracket(bracket: Bracket, fuser: Fuser) -> float:
    """The key in which a bracket will come out: fused small, frames as they lie, without any look.

    Args:
        bracket: as it was read.
        fuser: the model that will fuse it.

    Note:
        Takes a tenth of a second beside the reading. For a long series a few brackets, evenly
        spread, tell as much as all.
    """
    frames = [_reduced(frame.pixels) for frame in bracket.frames]
    aligned = Aligned.of(frames, reference=bracket.reference, ghost="off")
    return key_of(fuser.fuse(aligned, depth=16, slice_size=None, on_slice=None), aligned)


def shared_key(keys_ev: Sequence[float]) -> float:
    """The key that the brackets of a series share: the mean of theirs, in stops.

    Raises:
        InputError: there is none.
    """
    if not keys_ev:
        raise InputError("a series needs at least one bracket; name some")
    return fmean(keys_ev)


def _reduced(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels at no more than MEASURED_PX."""
    pixels = overview_of(pixels)
    height, width = pixels.shape[:2]
    scale = min(1.0, MEASURED_PX / max(height, width))
    if scale == 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
