"""Whether a fused picture can be right, asked before it is written. A leaf.

A network whose numbers overflowed, or a fault of a device, gives black or one flat tone where the
frames show a scene. Knows pixels and what they were made of; no file and no model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.errors import ResultError

_SAMPLE_PX = 250_000
_FLAT, _SHOWS_SOMETHING = 0.01, 0.10  # spread of tones as shares of full scale; chosen by eye
_SMALL_PX = 256


def check_fused(pixels: NDArray[Any], bracket: Aligned, *, name: str) -> None:
    """Refuses fused pixels of another size than was to be fused, black or flat ones.

    Args:
        pixels: (H, W, 3) uint8 or uint16.
        bracket: what they were made of.
        name: of the output, for messages.

    Raises:
        ResultError: they cannot be a picture of this bracket.

    Note: looks at every n-th row and column; at the frames only where these are flat.
    """
    crop = bracket.crop
    if pixels.shape != (crop.height, crop.width, 3):
        raise ResultError(
            f"{name}: fusing gave {pixels.shape[1]}x{pixels.shape[0]} pixels instead of "
            f"{crop.width}x{crop.height}, nothing was written; please report it"
        )
    if _spread(pixels) >= _FLAT:
        return
    if max(_spread(frame) for frame in bracket.small(_SMALL_PX, multiple_px=1)) < _SHOWS_SOMETHING:
        return
    looks = (
        "black" if float(pixels.mean()) < _FLAT * np.iinfo(pixels.dtype).max else "one flat tone"
    )
    raise ResultError(
        f"{name}: the fused picture is all {looks}, though the frames are not, and was not "
        "written; try --device cpu or --model mertens"
    )


def _spread(pixels: NDArray[Any]) -> float:
    """How far dark and light tones lie apart, 0..1 of full scale."""
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / _SAMPLE_PX) ** 0.5))
    low, high = np.percentile(pixels[::step, ::step], (0.5, 99.5))
    return float(high - low) / np.iinfo(pixels.dtype).max
