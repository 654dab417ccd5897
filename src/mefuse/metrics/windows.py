"""Means over windows of pictures in host memory, by OpenCV: whole windows only.

Ten times faster than torch's for a report, where nothing needs a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Plane = NDArray[np.float64]


def box_of(plane: Plane, size_px: int) -> Plane:
    """Mean over a square: (H, W) -> (H - size + 1, W - size + 1)."""
    return _whole(cv2.blur(plane, (size_px, size_px)), size_px)


def gaussian_of(plane: Plane, size_px: int, sigma_px: float) -> Plane:
    """Mean under a Gaussian window: (H, W) -> (H - size + 1, W - size + 1)."""
    return _whole(cv2.GaussianBlur(plane, (size_px, size_px), sigma_px), size_px)


def box_of_maps(maps: Tensor, size_px: int) -> Tensor:
    """The same of many planes: (..., H, W) -> (..., H', W'), float64 on the CPU."""
    return _each(maps, partial(box_of, size_px=size_px))


def gaussian_of_maps(maps: Tensor, size_px: int, sigma_px: float) -> Tensor:
    """The same of many planes: (..., H, W) -> (..., H', W'), float64 on the CPU."""
    return _each(maps, partial(gaussian_of, size_px=size_px, sigma_px=sigma_px))


def _whole(filtered: object, size_px: int) -> Plane:
    """Without the places where the window reaches beyond the picture."""
    before = size_px // 2
    after = size_px - 1 - before
    plane = np.asarray(filtered, np.float64)
    return plane[before : plane.shape[0] - after, before : plane.shape[1] - after]


def _each(maps: Tensor, average: Callable[[Plane], Plane]) -> Tensor:
    """One plane after the other."""
    planes = np.ascontiguousarray(maps.numpy()).reshape(-1, *maps.shape[-2:])
    averaged = np.stack([average(plane) for plane in planes])
    return torch.from_numpy(averaged).reshape(*maps.shape[:-2], *averaged.shape[-2:])
