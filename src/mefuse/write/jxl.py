"""JPEG XL, through libjxl in imagecodecs.

The encoder at hand embeds no profile: it marks 8 bits as sRGB and 16 bits as linear light of
sRGB's primaries. So pixels have to come in sRGB, and 16-bit ones are made linear here.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefuse import colour, profiles
from mefuse.errors import WriteError
from mefuse.frames import Metadata
from mefuse.write.embed import Embedded, in_jxl

_EFFORT = 4  # of 1..9; 5 and more take longer than fusing does


def encode_jxl(pixels: NDArray[Any], metadata: Metadata, *, quality: int, name: str) -> Embedded:
    """A JPEG XL of uint8 or uint16 sRGB pixels (H, W, 3); lossless at quality 100."""
    import imagecodecs

    if pixels.dtype == np.uint16:
        linear = profiles.standard("srgb", linear=True)
        pixels = colour.converted(pixels, source=None, target=linear)
    try:
        encoded = imagecodecs.jpegxl_encode(
            pixels,
            effort=_EFFORT,
            distance=_distance(quality),
            lossless=quality == 100,
            usecontainer=True,
            numthreads=os.cpu_count() or 1,
        )
    except RuntimeError as err:
        raise WriteError(f"{name}: encoding failed ({err}); try another format") from err
    return in_jxl(bytes(encoded), metadata)


def _distance(quality: int) -> float:
    """Butteraugli distance of a JPEG quality. Source: libjxl, JxlEncoderDistanceFromQuality."""
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09 if quality < 100 else 0.0
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25
