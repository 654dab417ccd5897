"""What was decided about a bracket, as gray pictures: weight maps and ghost masks.

Called when the fused picture is delivered, where these were asked for. It decides nothing and
knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.errors import WriteError
from mefuse.ghosts import Ghosts, enlarged
from mefuse.landing import replacing
from mefuse.models import Fused
from mefuse.slices import Rect

LONGEST_PX = 4096  # of a map: to look at, and 16 MB at most while it is written


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Weight maps (N, h, w) float32, a pixel of them `cell_px` of the picture, and what moved."""

    weights: NDArray[np.float32]
    cell_px: int
    ghosts: Ghosts | None
    size: tuple[int, int]  # (height, width) of the picture

    @staticmethod
    def of(fused: Fused, bracket: Aligned) -> Maps | None:
        """The maps of a bracket; None where its weight maps were not kept."""
        if fused.weight_maps is None:
            return None
        height, width = bracket.crop.height, bracket.crop.width
        rows = fused.weight_maps.shape[1]
        # Networks tell of the padded picture, on a grid; others of the picture, pixel by pixel.
        cell_px = 1 if rows == height else bracket.padded.height // rows
        weights = np.asarray(fused.weight_maps, np.float32)
        return Maps(weights, cell_px, bracket.ghosts, (height, width))

    def save(self, folder: Path, stems: Sequence[str], *, overwrite: bool) -> None:
        """Writes each frame's maps as PNG, white for all: STEM.weights.png and STEM.ghost.png.

        Args:
            folder: is made if it is not there.
            stems: what to call the frames' files, one each.
            overwrite: whether files may be replaced.

        Raises:
            OutputExistsError: a file exists already.
            WriteError: the folder or a file cannot be made.
        """
        _make(folder)
        whole = Rect(0, 0, *self.size)
        for k, stem in enumerate(stems):
            codes = cv2.convertScaleAbs(self.weights[k], alpha=255)
            share = enlarged(np.asarray(codes), self.cell_px, whole)
            _write(share, folder / f"{stem}.weights.png", overwrite=overwrite)
            if self.ghosts is not None:
                cover = self.ghosts.cover(k, whole)
                _write(cover, folder / f"{stem}.ghost.png", overwrite=overwrite)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as err:
        raise WriteError(f"{folder}: cannot be made; name another folder") from err


def _write(plane: NDArray[Any], path: Path, *, overwrite: bool) -> None:
    """A gray picture, (H, W) uint8, reduced where it is very large."""
    height, width = plane.shape
    scale = min(1.0, LONGEST_PX / max(height, width))
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        plane = np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))
    done, encoded = cv2.imencode(".png", plane)
    if not done:
        raise WriteError(f"{path}: cannot be encoded as PNG; leave the maps out")
    with replacing(path, overwrite=overwrite) as file:
        file.write(encoded.tobytes())
