"""JPEG XL, through libjxl in imagecodecs.

The encoder here marks every picture as sRGB, so pixels have to come in sRGB.
"""

from __future__ import annotations

import os
from typing import Any

from numpy.typing import NDArray

from mefuse.errors import WriteError
from mefuse.frames import Metadata
from mefuse.write.embed import Embedded, in_jxl

_EFFORT = 4  # of 1..9; 5 and more take longer than fusing does


def encode_jxl(pixels: NDArray[Any], metadata: Metadata, *, quality: int, name: str) -> Embedded:
    """A JPEG XL of uint8 or uint16 sRGB pixels (H, W, 3); lossless at quality 100."""
    import imagecodecs

    try:
        codestream = imagecodecs.jpegxl_encode(
            pixels,
            effort=_EFFORT,
            distance=_distance(quality),
            lossless=quality == 100,
            usecontainer=False,
            numthreads=os.cpu_count() or 1,
        )
    except RuntimeError as err:
        raise WriteError(f"{name}: encoding failed ({err}); try another format") from err
    return in_jxl(bytes(codestream), metadata)


def _distance(quality: int) -> float:
    """Butteraugli distance of a JPEG quality. Source: libjxl, JxlEncoderDistanceFromQuality."""
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09 if quality < 100 else 0.0
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25
