"""What the fused picture's file says of itself: the reference's metadata, corrected. A leaf.

Joins the corrections of EXIF and XMP, the line of history, the new thumbnail and the profile that
the pixels are in. It knows no container.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse import exif_copy, iptc, xmp
from mefuse.bands import Bands
from mefuse.depth import to_depth
from mefuse.frames import Frame, Metadata
from mefuse.words import readable

Strip = Literal["gps", "all"]

_THUMBNAIL_PX = (160, 120)  # DCF 2.0, 3.3.5
_THUMBNAIL_QUALITY = 80
_MOST_NAMES = 9


@dataclass(frozen=True, slots=True)
class Making:
    """How the fused picture was made."""

    version: str
    model: str
    names: Sequence[str]  # of the frames' files, without folders
    aligned: bool = False  # one of the frames, aligned but not fused

    @property
    def software(self) -> str:
        """The program and its version."""
        return f"mefuse {self.version}"

    @property
    def note(self) -> str:
        """One line of history."""
        if self.aligned:
            return f"aligned with {len(self.names)} frames, not fused"
        # A name may hold what no XML can: bytes that are no UTF-8, control characters.
        listed = ", ".join(map(readable, self.names[:_MOST_NAMES]))
        more = ", ..." if len(self.names) > _MOST_NAMES else ""
        return f"fused by model {self.model} from {len(self.names)} frames: {listed}{more}"


def metadata_of_fused(
    reference: Frame,
    pixels: NDArray[Any] | Bands,
    *,
    making: Making,
    icc: bytes | None,
    is_srgb: bool,
    strip: Strip | None,
) -> Metadata:
    """Gives the metadata for the fused picture's file.

    Args:
        reference: whose metadata it is.
        pixels: (H, W, 3) uint8 or uint16, fused; for its size and the thumbnail, which a picture in
            bands has not.
        making: for the history.
        icc: the profile that the pixels are in.
        is_srgb: whether that is sRGB.
        strip: "gps" leaves positions and places out, "all" everything but the profile.
    """
    if strip == "all":
        return Metadata(icc=icc)
    height, width = pixels.shape[:2]
    without_gps = strip == "gps"
    small = None if isinstance(pixels, Bands) else thumbnail(pixels)
    block = exif_copy.finished(
        reference.metadata.exif,
        exif_copy.Corrections(width, height, making.software, is_srgb, small, without_gps),
        exposure=reference.source.exposure,
    )
    corrections = xmp.Corrections(width, height, making.software, making.note, without_gps)
    told = iptc.finished(reference.metadata.iptc, strip_gps=without_gps)
    return Metadata(block, icc, xmp.finished(reference.metadata.xmp, corrections), told)


def thumbnail(pixels: NDArray[Any]) -> bytes:
    """A small JPEG of a picture (H, W, 3), at most 160 x 120."""
    height, width = pixels.shape[:2]
    scale = min(1.0, _THUMBNAIL_PX[0] / width, _THUMBNAIL_PX[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = to_depth(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), 8)
    flags = (cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY)
    encoded: NDArray[np.uint8] = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), flags
    )[1]
    return encoded.tobytes()
