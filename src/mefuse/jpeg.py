"""Pixels of a JPEG, and whether its compressed data made sense. A leaf below decode.

The format has no checksum, and decoders go on where its data are damaged, with wrong blocks from
there on. libjpeg counts what did not fit: codes that do not exist, bytes left over or missing. Most
libraries drop that count; TurboJPEG's interface keeps it, and gives the same pixels as OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_OWN_WORDS = "tj"  # what TurboJPEG's own refusals start with; libjpeg's words name what is damaged


@dataclass(frozen=True, slots=True, eq=False)
class Jpeg:
    """Pixels (H, W, 3) uint8, RGB, as stored; `is_sound` unless the decoder had to guess some."""

    pixels: NDArray[np.uint8]
    is_sound: bool


def decode_jpeg(data: bytes) -> Jpeg | None:
    """Decodes a JPEG of one or three components; None where its layout is not TurboJPEG's.

    Raises:
        ValueError: it is damaged so that decoding ends in the middle.

    Note:
        Damage is seen where it leaves codes that cannot be. A single wrong bit often leaves other
        codes that can: of those, the pixels tell and nothing else.
    """
    import simplejpeg

    try:
        return Jpeg(simplejpeg.decode_jpeg(data), is_sound=True)
    except ValueError as error:
        if str(error).startswith(_OWN_WORDS):
            return None
    return Jpeg(simplejpeg.decode_jpeg(data, strict=False), is_sound=False)
