"""The values that flow through mefuse: Exposure, Metadata, Source, Frame, Bracket.

Plain frozen records without behaviour beyond derived numbers. They know no file format, no
algorithm and no device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EvSource = Literal["exif", "pixels"]


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the camera recorded of one exposure; None where it recorded nothing usable."""

    exposure_time_s: float | None = None
    f_number: float | None = None
    iso: float | None = None

    @property
    def stops(self) -> float | None:
        """log2 of the exposure, brighter is larger; None when the exposure time is unknown.

        log2(t) - 2 log2(N) + log2(ISO / 100). An unknown aperture or ISO counts as f/1 or
        ISO 100, so only differences within one bracket, where the same fields are known, mean
        anything.
        """
        if not self.exposure_time_s or self.exposure_time_s <= 0:
            return None
        aperture = 2.0 * math.log2(self.f_number) if self.f_number else 0.0
        return math.log2(self.exposure_time_s) - aperture + math.log2((self.iso or 100.0) / 100.0)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Metadata blocks of one frame as stored, for writing: raw bytes, None where absent."""

    exif: bytes | None = None  # TIFF structure, without the "Exif\0\0" header
    icc: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None  # Photoshop's image resources that tell of the photograph


@dataclass(frozen=True, slots=True)
class Source:
    """One frame before decoding: where it lies and what its header says."""

    path: Path
    exposure: Exposure
    is_raw: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One exposure with its pixels.

    `pixels` is (H, W, 3) uint8 or uint16, RGB, full range, upright, in the colour space of
    `metadata.icc` (sRGB where that is None). `stored_icc` is the file's own profile where the
    pixels had to be converted from it to be fused: from linear light and other curves.
    """

    source: Source
    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    metadata: Metadata = field(default_factory=Metadata)
    warnings: tuple[str, ...] = ()
    stored_icc: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Bracket:
    """The frames of one scene, darkest first.

    `evs` are stops relative to the reference, positive is brighter, one per frame.
    """

    frames: tuple[Frame, ...]
    reference: int
    evs: tuple[float, ...]
    ev_source: EvSource
    warnings: tuple[str, ...] = ()
