"""Whether a fused picture can be right, asked before it is written. A leaf.

A network whose numbers overflowed, or a fault of a device, gives black or one flat tone where the
frames show a scene. Knows pixels and what they were made of; no file and no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.bands import Bands
from mefuse.errors import ResultError
from mefuse.models import Fused

_SAMPLE_PX = 250_000
_FLAT, _SHOWS_SOMETHING = 0.01, 0.10  # spread of tones as shares of full scale; chosen by eye
_SMALL_PX = 256


def check_fused(fused: Fused, bracket: Aligned, *, name: str) -> Fused:
    """Refuses a fused picture of another size than was to be fused, a black or a flat one.

    A picture in bands is looked at while they are made: what comes back refuses after its last.

    Args:
        fused: the picture.
        bracket: what it was made of.
        name: of the output, for messages.

    Raises:
        ResultError: it cannot be a picture of this bracket.

    Note: looks at every n-th row and column; at the frames only where these are flat.
    """
    shape = fused.pixels.shape if fused.bands is None else fused.bands.shape
    crop = bracket.crop
    if shape != (crop.height, crop.width, 3):
        raise ResultError(
            f"{name}: fusing gave {shape[1]}x{shape[0]} pixels instead of "
            f"{crop.width}x{crop.height}, nothing was written; please report it"
        )
    step = max(1, int((shape[0] * shape[1] / _SAMPLE_PX) ** 0.5))
    if fused.bands is not None:
        return replace(fused, bands=_watched(fused.bands, bracket, step, name))
    _check_tones(fused.pixels[::step, ::step], bracket, name)
    return fused


def _watched(bands: Bands, bracket: Aligned, step: int, name: str) -> Bands:
    """The same bands; once all are made, their tones are checked."""

    def make() -> Iterator[NDArray[Any]]:
        seen = []
        for band in bands.make():
            seen.append(band[::step, ::step].copy())
            yield band
        _check_tones(np.concatenate(seen), bracket, name)

    return replace(bands, make=make)


def _check_tones(sample: NDArray[Any], bracket: Aligned, name: str) -> None:
    """Refuses a sample of pixels that is black or flat where the frames are not."""
    if _spread(sample) >= _FLAT:
        return
    if max(_spread(frame) for frame in bracket.small(_SMALL_PX, multiple_px=1)) < _SHOWS_SOMETHING:
        return
    is_black = float(sample.mean()) < _FLAT * np.iinfo(sample.dtype).max
    looks = "black" if is_black else "one flat tone"
    raise ResultError(
        f"{name}: the fused picture is all {looks}, though the frames are not, and was not "
        "written; try --device cpu or --model mertens"
    )


def _spread(pixels: NDArray[Any]) -> float:
    """How far dark and light tones lie apart, 0..1 of full scale."""
    low, high = np.percentile(pixels, (0.5, 99.5))
    return float(high - low) / np.iinfo(pixels.dtype).max
