"""Focus brackets of a photograph: frames that are sharp in different places, and the truth.

A scene of two distances: a soft-edged mask says what is near. Each frame is sharp at one distance
and blurred by the disk of an open lens at the other, in linear light. Knows no network.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Plane = NDArray[np.float32]

GAMMA = 2.2
DISK_PX = (2.0, 7.0)  # radius of the blur
CLOUDS = (2, 5)  # of near and far places along the shorter side


class FocusBracket(NamedTuple):
    """`frames` are (H, W, 3) uint8 RGB, `truth` is sharp everywhere."""

    frames: list[Bytes]
    truth: Bytes


def focus_bracket(rng: np.random.Generator, picture: Bytes) -> FocusBracket:
    """Two frames of a photograph (H, W, 3) uint8 RGB, focused near and far."""
    radius = float(rng.uniform(*DISK_PX))
    near = _blurred(_places(rng, picture.shape[:2]), max(1.5, radius / 2))[..., None]
    sharp = (picture / np.float32(255)) ** GAMMA
    soft = _blurred(sharp.astype(np.float32), radius)
    frames = [_coded(share * sharp + (1 - share) * soft) for share in (near, 1 - near)]
    return FocusBracket(frames, picture)


def breathed(frame: Bytes, scale: float) -> Bytes:
    """The same frame as a lens shows it that magnifies with its focus: scaled about its middle."""
    height, width = frame.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0.0, scale)
    return np.asarray(
        cv2.warpAffine(
            frame, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        ),
        np.uint8,
    )


def _places(rng: np.random.Generator, size: tuple[int, int]) -> Plane:
    """Which places are near: blobs of 0 and 1, about half each."""
    cells = int(rng.integers(CLOUDS[0], CLOUDS[1] + 1)) + 2
    clouds = cv2.resize(
        rng.standard_normal((cells, cells)), (size[1], size[0]), interpolation=cv2.INTER_CUBIC
    )
    return np.asarray(clouds > np.median(clouds), np.float32)


def _blurred(plane: NDArray[Any], radius: float) -> Plane:
    """Mean over a disk with an anti-aliased rim."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1)
    kernel = (disk / disk.sum()).astype(np.float32)
    return np.asarray(
        cv2.filter2D(plane, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT), np.float32
    )


def _coded(linear: Plane) -> Bytes:
    """Linear light as 8-bit codes."""
    return np.asarray(np.rint(255 * np.clip(linear, 0, 1) ** (1 / GAMMA)), np.uint8)
