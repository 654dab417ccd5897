"""The still place of a bracket, looked up at any place of the scene, strip by strip."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mefuse.synth.places import Place
from mefuse.synth.shots import View

_FLOOR = 1e-5  # of radiance, before the logarithm


class Canvas:
    """The still place, looked up in scene coordinates; its radiance stays float16."""

    def __init__(self, place: Place, size: tuple[int, int]) -> None:
        self._radiance, self._margin, self._size = place.radiance, place.margin, size

    def strip(self, top: int, bottom: int) -> Tensor:
        """Rows of the reference's view, (3, h, W)."""
        margin = self._margin
        rows, columns = slice(top + margin, bottom + margin), slice(margin, margin + self._size[1])
        return self._radiance[:, rows, columns].float()

    def __call__(self, y: Tensor, x: Tensor) -> Tensor:
        """Radiance (3, h, w) at places (h, w), by cubic interpolation."""
        height, width = self._radiance.shape[1:]
        rows = y * self._size[0] + (self._margin - 0.5)
        columns = x * self._size[0] + (self._margin - 0.5)
        top, bottom = _span(rows, height)
        left, right = _span(columns, width)
        band = self._radiance[:, top:bottom, left:right].float()
        # In logarithms, or the curve through a bright edge would swing below zero beside it.
        band.add_(_FLOOR).log_()
        v = (rows - (top - 0.5)) * (2 / (bottom - top)) - 1
        u = (columns - (left - 0.5)) * (2 / (right - left)) - 1
        found = F.grid_sample(
            band[None], torch.stack((u, v), -1)[None],
            mode="bicubic", padding_mode="border", align_corners=False,
        )[0]  # fmt: skip
        return found.exp_()


def _span(places: Tensor, count: int) -> tuple[int, int]:
    """First and last row, or column, that a cubic look-up at these places needs."""
    first = int(np.clip(int(places.min()) - 2, 0, count - 4))
    return first, int(np.clip(int(places.max()) + 4, first + 4, count))


def strip_view(size: tuple[int, int], top: int, bottom: int) -> View:
    """The view of some rows of a reference of (height, width) `size`."""
    pixel = 1 / size[0]
    return View(top * pixel, 0.0, pixel, bottom - top, size[1])
