"""MEF-SSIMc: MEF-SSIM's successor for colour, which also sees brightness. One scale.

Differentiable in the fused picture. Knows no file.

Source: Ma, Duanmu, Yeganeh, Wang, "Multi-Exposure Image Fusion by Optimizing a Structural
Similarity Index", IEEE TCI 4(1), 2018, doi:10.1109/TCI.2017.2786138.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from mefuse.metrics.mef_ssim import box_mean

PATCH_PX = 8
C1 = (0.01 * 255.0) ** 2
C2 = (0.03 * 255.0) ** 2
SIGMA_GLOBAL = 0.2
SIGMA_LOCAL = 0.2


@torch.no_grad()
def _desired_luminance(frames: Tensor, means: Tensor) -> Tensor:
    """Mean of the frames' patch means, well exposed ones and frames counting more: (B, H', W')."""
    whole = frames.mean((-3, -2, -1))[:, :, None, None] / 255.0
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
    box = partial(box_mean, size_px=PATCH_PX)
    means = box(frames.mean(-3))  # (B, N, H', W')
    variances = box((frames**2).mean(-3)) - means**2
    strongest = variances.argmax(1, keepdim=True)
    mean = box(fused.mean(-3))
    variance = box((fused**2).mean(-3)) - mean**2
    shared = box((frames * fused[:, None]).mean(-3)) - means * mean[:, None]
    covariance = shared.gather(1, strongest)[:, 0]
    desired = variances.gather(1, strongest)[:, 0]
    structure = (2 * covariance + C2) / (variance + desired + C2)
    luminance = _desired_luminance(frames, means)
    brightness = (2 * luminance * mean + C1) / (luminance**2 + mean**2 + C1)
    return (structure * brightness).mean((-2, -1))
