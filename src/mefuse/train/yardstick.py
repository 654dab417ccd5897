"""What OpenCV's exposure fusion makes of a bracket, to train and validate against."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from mefuse.metrics.mef_ssim import halved
from mefuse.metrics.mef_ssimc import mef_ssimc


def fuse_mertens(frames: Tensor) -> Tensor:
    """OpenCV's exposure fusion of (N, 3, H, W), 0..1: (3, H, W) on the CPU."""
    pictures = [f.permute(1, 2, 0).mul(255).round().byte().cpu().numpy() for f in frames]
    fused = cv2.createMergeMertens().process(pictures)
    return torch.from_numpy(np.ascontiguousarray(fused)).permute(2, 0, 1)


def colour_losses(brackets: Tensor) -> Tensor:
    """1 - MEF-SSIMc at half size of what OpenCV makes of brackets (B, N, 3, H, W), 0..1: (B,)."""
    fused = torch.stack([fuse_mertens(frames) for frames in brackets]).clamp(0, 1)
    scores = mef_ssimc(halved(brackets * 255), halved(fused.to(brackets.device) * 255))
    return 1 - scores
