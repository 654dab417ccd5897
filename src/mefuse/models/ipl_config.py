"""IPL's sizes, bounds and places: what its two forms share, the torch network and the host's.

Computes nothing and loads nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mefuse.grid import LOGITS
from mefuse.slices import Rect

CELL_PX = 16  # the network's grid
POSITION = 8  # channels of the position code
MAX_RESIDUAL = 8.0  # bound of what the network adds to a log weight of a band
MAX_CHROMA_RESIDUAL = 1.0  # and to that of chroma, so that a clipped hue never wins
LIMITS = (MAX_RESIDUAL,) * (LOGITS - 1) + (MAX_CHROMA_RESIDUAL,)
MAX_GAIN = 4.0  # bound of the power on local energy
# Cells at a region's edge that may differ from the whole picture's: one per DAEM convolution, and
# three per DAEM for the context, which is pooled by two and interpolated.
CELLS_PER_BLOCK = 3


@dataclass(frozen=True, slots=True)
class IPLConfig:
    """Sizes of the network; stored beside its weights."""

    width: int = 40
    blocks: int = 3
    cells: int = 12  # the scanner cuts the small bracket into cells x cells slices; 0: no DAEM
    key_width: int = 16
    cube: int = 16  # side of DRTM's cube; 0: no DRTM

    def to_dict(self) -> dict[str, int]:
        """Plain numbers for a file's metadata."""
        return asdict(self)

    @property
    def overlap_px(self) -> int:
        """Pixels that a region needs around it for its maps to equal the whole picture's."""
        return CELL_PX * (CELLS_PER_BLOCK * self.blocks + 1)


@dataclass(frozen=True, slots=True)
class Region:
    """Where a grid of cells lies in the whole picture: offsets and sizes in cells."""

    top: int
    left: int
    height: int
    width: int
    whole_height: int
    whole_width: int

    @staticmethod
    def whole(height: int, width: int) -> Region:
        """The region that is the whole picture."""
        return Region(0, 0, height, width, height, width)

    @staticmethod
    def of(rect: Rect, whole: Rect) -> Region:
        """The cells of a rectangle of a picture, both in pixels and on the grid of cells."""
        return Region(
            rect.top // CELL_PX,
            rect.left // CELL_PX,
            rect.height // CELL_PX,
            rect.width // CELL_PX,
            whole.height // CELL_PX,
            whole.width // CELL_PX,
        )
