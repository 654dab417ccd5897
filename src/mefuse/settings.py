"""What a user can choose, with the defaults.

The one home of defaults; the command line and the library both take them from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Depth = Literal[8, 16]
GhostRemoval = Literal["off", "auto", "strong"]


@dataclass(frozen=True, slots=True)
class FuseSettings:
    """Everything that decides the fused pixels and how they are written."""

    model: str = "ipl"
    reference: int | None = None  # index into the frames as given; None: chosen from the pixels
    align: bool = True
    crop: bool = True
    ghost: GhostRemoval = "auto"  # how readily what moved is replaced
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    slice_size: int | Literal["whole"] | None = None  # px, of 64s; None: chosen by the model
    depth: Depth | None = None  # None: 16 where a frame has 16 and the format can, else 8
    format: str | None = None  # None: by the output's extension
    quality: int = 95  # JPEG, 1..100
    overwrite: bool = False
