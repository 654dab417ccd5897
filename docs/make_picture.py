"""Lays the frames of a bracket in a column beside the fused picture: the README's picture.

python docs/make_picture.py FRAME... FUSED OUTPUT
"""

from __future__ import annotations

import sys

import cv2
import numpy as np

HEIGHT, GAP = 600, 8


def main(arguments: list[str]) -> None:
    """Reads the pictures and writes the strip as JPEG."""
    *names, output = arguments
    *frames, fused = (cv2.imread(name, cv2.IMREAD_COLOR) for name in names)
    each = (HEIGHT - GAP * (len(frames) - 1)) // len(frames)
    column = []
    for frame in frames:
        width = round(frame.shape[1] * each / frame.shape[0])
        column += [_sized(frame, width, each), np.full((GAP, width, 3), 255, np.uint8)]
    left = np.vstack(column[:-1])
    right = _sized(fused, round(fused.shape[1] * left.shape[0] / fused.shape[0]), left.shape[0])
    strip = np.hstack([left, np.full((left.shape[0], GAP, 3), 255, np.uint8), right])
    if not cv2.imwrite(output, strip, [cv2.IMWRITE_JPEG_QUALITY, 90]):
        sys.exit(f"{output}: cannot be written")


def _sized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main(sys.argv[1:])
