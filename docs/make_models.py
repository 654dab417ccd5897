"""Lays what every model makes of one bracket side by side, names below: docs/models.jpg.

python docs/make_models.py FRAME... OUTPUT
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from mefuse import FuseSettings, fuse_files
from mefuse.models import MODELS

WIDTH, GAP, LABEL = 360, 8, 26


def main(arguments: list[str]) -> None:
    """Fuses the frames once per model and writes the strip as JPEG."""
    *frames, output = arguments
    with tempfile.TemporaryDirectory() as folder:
        cells = [_cell(frames, name, Path(folder)) for name in MODELS]
    if not cv2.imwrite(output, np.hstack(cells), [cv2.IMWRITE_JPEG_QUALITY, 88]):
        sys.exit(f"{output}: cannot be written")


def _cell(frames: list[str], name: str, folder: Path) -> np.ndarray:
    """The fused picture, small, over its model's name."""
    path = folder / "fused.png"
    fuse_files(frames, path, settings=FuseSettings(model=name, overwrite=True))
    fused = cv2.imread(str(path), cv2.IMREAD_COLOR)
    height = round(fused.shape[0] * WIDTH / fused.shape[1])
    small = cv2.resize(fused, (WIDTH, height), interpolation=cv2.INTER_AREA)
    below = np.full((LABEL, WIDTH, 3), 255, np.uint8)
    cv2.putText(below, name, (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    cell = np.vstack([small, below])
    return cv2.copyMakeBorder(cell, 0, 0, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255))


if __name__ == "__main__":
    main(sys.argv[1:])
