"""MEF-SSIM: how much of the frames' local structure a fused picture keeps (gray, 3 scales).

The convention of the authors' MATLAB program 1.0. One implementation serves the report (float64)
and, being differentiable in the fused picture, the training loss (float32). It ignores luminance:
read it beside MEF-SSIMc. Knows no file.

Source: Ma, Zeng, Wang, "Perceptual Quality Assessment for Multi-Exposure Image Fusion",
IEEE TIP 24(11), 2015, doi:10.1109/TIP.2015.2442920.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mefuse.metrics.strips import strips_of, windows_in
from mefuse.metrics.windows import box_of_maps, gaussian_of_maps

GRAY = (0.298936, 0.587043, 0.114021)  # MATLAB's rgb2gray
SCALES = 3
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001)  # first three of Wang et al., "Multi-scale SSIM", 2003
PATCH_PX = 11
SIGMA_PX = 1.5  # of the window under which a patch is compared
STABILITY = (0.03 * 255.0) ** 2
MAX_POWER = 10.0
CENTRE = 127.5  # subtracted before squaring, so that float32 moments keep their digits


def gray(rgb: Tensor, *, rounded: bool = True) -> Tensor:
    """Gray of RGB pictures: (..., 3, H, W) 0..255 -> (..., H, W) 0..255."""
    weights = torch.tensor(GRAY, dtype=rgb.dtype, device=rgb.device)
    luma = (rgb * weights[:, None, None]).sum(-3)
    return luma.round() if rounded else luma


def box_mean(maps: Tensor, size_px: int) -> Tensor:
    """Mean over a square of `size_px`, valid area only: (..., H, W) -> (..., H', W')."""
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    flat = F.avg_pool2d(F.avg_pool2d(flat, (size_px, 1), 1), (1, size_px), 1)
    return flat.reshape(*maps.shape[:-2], *flat.shape[-2:])


def _gaussian_mean(maps: Tensor) -> Tensor:
    """Mean under the 11-tap Gaussian window of sigma 1.5, valid area only."""
    taps = torch.arange(PATCH_PX, dtype=maps.dtype, device=maps.device) - PATCH_PX // 2
    kernel = torch.exp(-(taps**2) / (2 * SIGMA_PX**2))
    kernel = kernel / kernel.sum()
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    flat = F.conv2d(F.conv2d(flat, kernel[None, None, :, None]), kernel[None, None, None, :])
    return flat.reshape(*maps.shape[:-2], *flat.shape[-2:])


@dataclass(frozen=True, slots=True)
class _Windows:
    """How means over windows are taken: of patches, and of the window that compares them."""

    box: Callable[[Tensor], Tensor]
    gaussian: Callable[[Tensor], Tensor]


_BY_TORCH = _Windows(partial(box_mean, size_px=PATCH_PX), _gaussian_mean)
_BY_OPENCV = _Windows(
    partial(box_of_maps, size_px=PATCH_PX),
    partial(gaussian_of_maps, size_px=PATCH_PX, sigma_px=SIGMA_PX),
)


@dataclass(frozen=True, slots=True)
class _Reference:
    """What one scale needs to know of the frames; computed once per bracket."""

    frames: Tensor  # (B, N, H, W), centred
    means: Tensor  # (B, N, H', W') Gaussian means
    mix: Tensor  # (B, N, H', W') what each frame adds to the reference structure
    variance: Tensor  # (B, H', W') Gaussian variance of the reference structure


def _cross_moments(frames: Tensor, means: Tensor, average: Callable[[Tensor], Tensor]) -> Tensor:
    """Covariances of all pairs of frames under one window: (B, N, N, H', W')."""
    count = frames.shape[1]
    rows = []
    for i in range(count):
        products = average(frames[:, i : i + 1] * frames[:, i:])
        rows.append(products - means[:, i : i + 1] * means[:, i:])
    full = frames.new_empty(frames.shape[0], count, count, *means.shape[-2:])
    for i, row in enumerate(rows):
        full[:, i, i:] = row
        full[:, i:, i] = row
    return full


@torch.no_grad()
def _reference_of(frames: Tensor, windows: _Windows) -> _Reference:
    """The desired structure of every patch, after eqs. 3-9 of the paper."""
    pixels = float(PATCH_PX**2)
    covariance = _cross_moments(frames, windows.box(frames), windows.box)
    energy = (pixels * torch.diagonal(covariance, dim1=1, dim2=2).movedim(-1, 1)).clamp_min(0)
    norms = energy.sqrt()  # (B, N, H', W')
    eps = torch.finfo(frames.dtype).eps
    coherent = (pixels * covariance.sum((1, 2))).clamp_min(0).sqrt()
    consistency = ((coherent + eps) / (norms.sum(1) + eps)).clamp(0, 1)
    power = torch.tan(math.pi / 2 * consistency).clamp(0, MAX_POWER)
    power = torch.where(consistency > 1 - 10 * eps, MAX_POWER, power)
    contrast = norms + 0.001
    share = (contrast / PATCH_PX) ** power[:, None] + eps
    share = share / share.sum(1, keepdim=True)
    mix = share / contrast
    length = torch.einsum("bihw,bjhw,bijhw->bhw", mix, mix, covariance) * pixels
    largest = contrast.amax(1)
    mix = mix * (largest / length.clamp_min(1e-12).sqrt())[:, None]
    means = windows.gaussian(frames)
    windowed = _cross_moments(frames, means, windows.gaussian)
    variance = torch.einsum("bihw,bjhw,bijhw->bhw", mix, mix, windowed)
    return _Reference(frames, means, mix, variance)


def _quality(reference: _Reference, fused: Tensor, windows: _Windows) -> Tensor:
    """Mean structural agreement at one scale: (B,)."""
    mean = windows.gaussian(fused)
    variance = windows.gaussian(fused**2) - mean**2
    shared = windows.gaussian(fused[:, None] * reference.frames)
    shared = shared - mean[:, None] * reference.means
    covariance = (reference.mix * shared).sum(1)
    quality = (2 * covariance + STABILITY) / (reference.variance + variance + STABILITY)
    return quality.mean((-2, -1))


def halved(maps: Tensor) -> Tensor:
    """Mean over 2x2, every second pixel, as MATLAB's imfilter 'symmetric' and 1:2:end leave it."""
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    flat = F.pad(flat, (0, 1, 0, 1), mode="replicate")
    flat = F.avg_pool2d(flat, 2, 2)
    return flat.reshape(*maps.shape[:-2], *flat.shape[-2:])


def mef_ssim_scales(frames: Tensor, fused: Tensor, *, scales: int = SCALES) -> Tensor:
    """MEF-SSIM of each scale, finest first.

    Args:
        frames: (B, N, H, W) gray, 0..255, at least 44 px on the shorter side.
        fused: (B, H, W) gray, 0..255; gradients flow through it.
        scales: how many scales, each half the size of the one before.

    Returns:
        (B, scales), at most 1.
    """
    frames, fused = frames - CENTRE, fused - CENTRE
    windows = _BY_OPENCV if frames.device.type == "cpu" else _BY_TORCH
    scores = []
    for scale in range(scales):
        if scale:
            frames, fused = halved(frames), halved(fused)
        scores.append(_quality(_reference_of(frames, windows), fused, windows))
    return torch.stack(scores, 1)


def combined(scores: Tensor) -> Tensor:
    """MEF-SSIM from its three scales, a product of powers: (B, 3) -> (B,)."""
    weights = torch.tensor(SCALE_WEIGHTS, dtype=scores.dtype, device=scores.device)
    return (scores.clamp_min(1e-6) ** (weights / weights.sum())).prod(1)


def mef_ssim(frames: Tensor, fused: Tensor) -> Tensor:
    """MEF-SSIM over three scales, (B,); arguments as for `mef_ssim_scales`."""
    return combined(mef_ssim_scales(frames, fused))


def gray_plane(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rounded gray of one picture: (H, W, 3) uint8 RGB -> (H, W) uint8."""
    height, width = pixels.shape[:2]
    plane = np.empty((height, width), np.uint8)
    for rows in strips_of(height, width, planes=3, window_px=1):
        part = torch.from_numpy(np.array(pixels[rows])).permute(2, 0, 1)  # own: may be read-only
        plane[rows] = gray(part.double()).numpy()
    return plane


@torch.inference_mode()
def measure_mef_ssim(
    frames: Sequence[NDArray[np.uint8]], fused: Sequence[NDArray[np.uint8]]
) -> list[float]:
    """MEF-SSIM of several fused pictures of one bracket, strip by strip.

    Args:
        frames: (H, W) gray each, at least 44 px on the shorter side.
        fused: (H, W) gray each.

    Returns:
        One score per fused picture; what `mef_ssim` gives, in float64.

    Note:
        The bracket's own moments, which take most of the time, are computed once for all.
    """
    count = len(frames)
    planes = [torch.from_numpy(np.ascontiguousarray(plane)) for plane in (*frames, *fused)]
    scores = []
    for scale in range(SCALES):
        if scale:  # exact in float32: quarters and sixteenths of whole numbers
            planes = [halved(plane.float()) for plane in planes]
        scores.append(_mean_quality(planes[:count], planes[count:]))
    return [float(score) for score in combined(torch.stack(scores, 1))]


def _mean_quality(frames: Sequence[Tensor], fused: Sequence[Tensor]) -> Tensor:
    """Structural agreement at one scale, (len(fused),): the mean over all strips."""
    height, width = frames[0].shape
    total = torch.zeros(len(fused), dtype=torch.float64)
    for rows in strips_of(height, width, planes=len(frames), window_px=PATCH_PX):
        reference = _reference_of(_centred(frames, rows)[None], _BY_OPENCV)
        quality = _quality(reference, _centred(fused, rows), _BY_OPENCV)
        total += quality * windows_in(rows, window_px=PATCH_PX)
    return total / (height - PATCH_PX + 1)


def _centred(planes: Sequence[Tensor], rows: slice) -> Tensor:
    """Rows of several planes, (len(planes), h, W) float64."""
    return torch.stack([plane[rows] for plane in planes]).double() - CENTRE
