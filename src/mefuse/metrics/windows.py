"""Means over windows of pictures in host memory, by OpenCV: whole windows only.

Several times faster than torch's convolutions of single planes, and with a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Plane = NDArray[np.float64]  # float32 in training
Filter = Callable[[Plane], Plane]


def box_of(plane: Plane, size_px: int) -> Plane:
    """Mean over a square: (H, W) -> (H - size + 1, W - size + 1)."""
    return _whole(cv2.blur(plane, (size_px, size_px)), size_px)


def gaussian_of(plane: Plane, size_px: int, sigma_px: float) -> Plane:
    """Mean under a Gaussian window: (H, W) -> (H - size + 1, W - size + 1)."""
    return _whole(cv2.GaussianBlur(plane, (size_px, size_px), sigma_px), size_px)


def box_of_maps(maps: Tensor, size_px: int) -> Tensor:
    """The same of many planes, with a gradient: (..., H, W) -> (..., H', W'), on the CPU."""
    return _mean(maps, partial(box_of, size_px=size_px), size_px)


def gaussian_of_maps(maps: Tensor, size_px: int, sigma_px: float) -> Tensor:
    """The same of many planes, with a gradient: (..., H, W) -> (..., H', W'), on the CPU."""
    return _mean(maps, partial(gaussian_of, size_px=size_px, sigma_px=sigma_px), size_px)


def _whole(filtered: object, size_px: int) -> Plane:
    """Without the places where the window reaches beyond the picture."""
    before = size_px // 2
    after = size_px - 1 - before
    plane: Plane = np.asarray(filtered)
    return plane[before : plane.shape[0] - after, before : plane.shape[1] - after]


class _Mean(torch.autograd.Function):
    """Means over windows; backward gives each mean back to its window, which is symmetric."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, average: Filter, size_px: int) -> Tensor:
        ctx.average, ctx.margin = average, size_px - 1
        return _each(maps, average)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        padded = F.pad(gradients[0], (ctx.margin,) * 4)
        return _each(padded, ctx.average), None, None


def _mean(maps: Tensor, average: Filter, size_px: int) -> Tensor:
    means: Tensor = _Mean.apply(maps, average, size_px)  # type: ignore[no-untyped-call]
    return means


def _each(maps: Tensor, average: Filter) -> Tensor:
    """One plane after the other."""
    planes = np.ascontiguousarray(maps.detach().numpy()).reshape(-1, *maps.shape[-2:])
    averaged = np.stack([average(plane) for plane in planes])
    return torch.from_numpy(averaged).reshape(*maps.shape[:-2], *averaged.shape[-2:])
