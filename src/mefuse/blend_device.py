"""The arithmetic of `blend.py` on a torch device: frames go up as stored, pixels come back.

Takes what `blend_cpu.py` takes and gives what it gives, so that streaming knows one shape of both.
Knows no network, no slice and no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefuse.blend import Maps, blend_fine, decompose, to_rgb, within_gamut
from mefuse.features import Glimpse, glimpse


class DeviceArithmetic:
    """Takes glimpses and blends on one device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def glimpse_frames(self, frames: Sequence[NDArray[Any]]) -> Glimpse:
        """See `blend_cpu.glimpse_frames`."""
        rgb = self._uploaded(frames)
        return glimpse(rgb, decompose(rgb))

    def blend_frames(
        self, frames: Sequence[NDArray[Any]], coarse: Tensor, maps: Maps, *, depth: int
    ) -> NDArray[Any]:
        """See `blend_cpu.blend_frames`."""
        luma, chroma = blend_fine(decompose(self._uploaded(frames)), coarse, maps)
        full_scale, dtype = (255, np.uint8) if depth == 8 else (65535, np.uint16)
        rgb = to_rgb(luma, within_gamut(luma, chroma))[0].clamp(0, 1).mul(full_scale).round()
        return rgb.permute(1, 2, 0).cpu().numpy().astype(dtype)

    def _uploaded(self, frames: Sequence[NDArray[Any]]) -> Tensor:
        """Frames (h, w, 3) uint8 or uint16 -> (1, N, 3, h, w) float32, 0..1, on the device."""
        full_scale = float(np.iinfo(frames[0].dtype).max)
        stacked = torch.from_numpy(np.stack(frames)).to(self._device)
        return stacked.permute(0, 3, 1, 2).float().div_(full_scale)[None]
