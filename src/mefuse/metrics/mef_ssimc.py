"""MEF-SSIMc: MEF-SSIM's successor for colour, which also sees brightness. One scale.

Differentiable in the fused picture. Knows no file.

Source: Ma, Duanmu, Yeganeh, Wang, "Multi-Exposure Image Fusion by Optimizing a Structural
Similarity Index", IEEE TCI 4(1), 2018, doi:10.1109/TCI.2017.2786138.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefuse.metrics.mef_ssim import box_mean
from mefuse.metrics.strips import strips_of, windows_in
from mefuse.metrics.windows import box_of_maps

PATCH_PX = 8
C1 = (0.01 * 255.0) ** 2
C2 = (0.03 * 255.0) ** 2
SIGMA_GLOBAL = 0.2
SIGMA_LOCAL = 0.2


@torch.no_grad()
def _desired_luminance(whole: Tensor, means: Tensor) -> Tensor:
    """Mean of the frames' patch means, well exposed ones and frames counting more: (B, H', W').

    `whole` are the means of whole frames, (B, N).
    """
    whole = whole[:, :, None, None] / 255.0
    local = means / 255.0
    exponent = (local - 0.5) ** 2 / (2 * SIGMA_LOCAL**2)
    exponent = exponent + (whole - 0.5) ** 2 / (2 * SIGMA_GLOBAL**2)
    share = torch.exp(-exponent)
    return (share * means).sum(1) / share.sum(1)


def mef_ssimc(frames: Tensor, fused: Tensor) -> Tensor:
    """MEF-SSIMc of a fused colour picture.

    Args:
        frames: (B, N, 3, H, W) RGB, 0..255.
        fused: (B, 3, H, W) RGB, 0..255; gradients flow through it.

    Returns:
        (B,), at most 1.
    """
    mean = box_of_maps if frames.device.type == "cpu" else box_mean
    box = partial(mean, size_px=PATCH_PX)
    return _quality(frames, fused, whole=frames.mean((-3, -2, -1)), box=box)


def _quality(
    frames: Tensor, fused: Tensor, *, whole: Tensor, box: Callable[[Tensor], Tensor]
) -> Tensor:
    """MEF-SSIMc of a part of a bracket, (B,); `whole` are the means of whole frames, (B, N)."""
    means = box(frames.mean(-3))  # (B, N, H', W')
    variances = box((frames**2).mean(-3)) - means**2
    strongest = variances.argmax(1, keepdim=True)
    mean = box(fused.mean(-3))
    variance = box((fused**2).mean(-3)) - mean**2
    shared = box((frames * fused[:, None]).mean(-3)) - means * mean[:, None]
    covariance = shared.gather(1, strongest.expand(len(shared), -1, -1, -1))[:, 0]
    desired = variances.gather(1, strongest)[:, 0]
    structure = (2 * covariance + C2) / (variance + desired + C2)
    luminance = _desired_luminance(whole, means)
    brightness = (2 * luminance * mean + C1) / (luminance**2 + mean**2 + C1)
    return (structure * brightness).mean((-2, -1))


@torch.inference_mode()
def measure_mef_ssimc(
    frames: Sequence[NDArray[np.uint8]], fused: Sequence[NDArray[np.uint8]]
) -> list[float]:
    """MEF-SSIMc of several fused pictures of one bracket, strip by strip.

    Args:
        frames: (H, W, 3) RGB each.
        fused: (H, W, 3) RGB each.

    Returns:
        One score per fused picture; what `mef_ssimc` gives, in float64.
    """
    height, width = frames[0].shape[:2]
    whole = torch.tensor([[float(frame.mean()) for frame in frames]], dtype=torch.float64)
    total = torch.zeros(len(fused), dtype=torch.float64)
    planes = 3 * (len(frames) + len(fused))
    box = partial(box_of_maps, size_px=PATCH_PX)
    for rows in strips_of(height, width, planes=planes, window_px=PATCH_PX):
        parts = _stacked(frames, rows)[None], _stacked(fused, rows)
        quality = _quality(*parts, whole=whole, box=box)
        total += quality * windows_in(rows, window_px=PATCH_PX)
    return [float(score) for score in total / (height - PATCH_PX + 1)]


def _stacked(pictures: Sequence[NDArray[np.uint8]], rows: slice) -> Tensor:
    """Rows of several pictures, (len(pictures), 3, h, W) float64."""
    planes = np.stack([np.moveaxis(picture[rows], 2, 0) for picture in pictures])
    return torch.from_numpy(planes.astype(np.float64))
