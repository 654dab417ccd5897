"""What a user can choose, with the defaults.

The one home of defaults; the command line and the library both take them from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Depth = Literal[8, 10, 12, 16]
OutputProfile = Literal["keep", "srgb", "p3", "adobe-rgb", "prophoto"]
Strip = Literal["gps", "all"]


@dataclass(frozen=True, slots=True)
class FuseSettings:
    """Everything that decides the fused pixels and how they are written."""

    model: str = "ipl"
    reference: int | None = None  # index into the frames as given; None: chosen from the pixels
    align: bool = True
    crop: bool = True
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    slice_size: int | Literal["whole"] | None = None  # px, of 64s; None: chosen by the model
    depth: Depth | None = None  # None: more than 8 where a frame and the format have it
    format: str | None = None  # None: by the output's extension
    quality: int = 95  # of the lossy formats, 1..100
    output_profile: OutputProfile = "keep"  # the reference's, or a standard one
    strip: Strip | None = None  # metadata to leave out: positions, or all
    layers: bool = False  # TIFF: the aligned frames as further pages
    save_aligned: str | None = None  # a folder for the aligned frames
    overwrite: bool = False
