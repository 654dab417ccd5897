"""Lays the looks of one bracket side by side, each with its options below: docs/looks.jpg.

python docs/make_looks.py FRAME... OUTPUT
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from mefuse import FuseSettings, LookSettings, fuse_files

WIDTH, GAP, LABEL, COLUMNS = 320, 8, 26, 4
LOOKS = {
    "--look natural": LookSettings(),
    "--exposure -1": LookSettings(exposure_ev=-1),
    "--contrast -0.7": LookSettings(contrast=-0.7),
    "--saturation -0.6": LookSettings(saturation=-0.6),
    "--look vivid": LookSettings("vivid"),
    "--exposure 1": LookSettings(exposure_ev=1),
    "--contrast 0.7": LookSettings(contrast=0.7),
    "--saturation 0.6": LookSettings(saturation=0.6),
}


def main(arguments: list[str]) -> None:
    """Fuses the frames once per look and writes the sheet as JPEG."""
    *frames, output = arguments
    with tempfile.TemporaryDirectory() as folder:
        cells = [_cell(frames, look, label, Path(folder)) for label, look in LOOKS.items()]
    rows = [np.hstack(cells[at : at + COLUMNS]) for at in range(0, len(cells), COLUMNS)]
    if not cv2.imwrite(output, np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85]):
        sys.exit(f"{output}: cannot be written")


def _cell(frames: list[str], look: LookSettings, label: str, folder: Path) -> np.ndarray:
    """The fused picture, small, over its label."""
    path = folder / "fused.png"
    fuse_files(frames, path, settings=FuseSettings(look=look, overwrite=True))
    fused = cv2.imread(str(path), cv2.IMREAD_COLOR)
    height = round(fused.shape[0] * WIDTH / fused.shape[1])
    small = cv2.resize(fused, (WIDTH, height), interpolation=cv2.INTER_AREA)
    below = np.full((LABEL, WIDTH, 3), 255, np.uint8)
    cv2.putText(below, label, (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    cell = np.vstack([small, below])
    return cv2.copyMakeBorder(cell, 0, 0, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255))


if __name__ == "__main__":
    main(sys.argv[1:])
