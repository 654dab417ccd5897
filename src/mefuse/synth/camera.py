"""A camera: scene radiance to frames, through exposure, noise, response, 8 bits and JPEG.

Everything is tensor arithmetic on the radiance's device, drawn from one generator. It knows no
file and no scene.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Quantisation tables of ITU-T T.81 (JPEG), annex K, at quality 50.
_LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99), (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)  # fmt: skip
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera's response, noise and compression."""

    gamma: float = 2.2
    contrast: float = 0.3  # share of a smooth S-curve, 0..1
    shoulder: float = 0.0  # 0: hard clipping; 1: a soft exponential shoulder
    read_noise: float = 0.001  # standard deviation in linear full scale
    shot_noise: float = 0.002  # standard deviation at linear full scale
    jpeg_quality: int | None = None

    @staticmethod
    def drawn(rng: np.random.Generator) -> Camera:
        """A camera such as photographers own, drawn at random."""
        iso = 2.0 ** rng.uniform(-5.5, 2.5)
        return Camera(
            gamma=rng.uniform(1.8, 2.5),
            contrast=rng.uniform(0, 0.8),
            shoulder=float(rng.random() < 0.4) * rng.uniform(0.2, 1),
            read_noise=0.0007 * iso,
            shot_noise=0.0025 * math.sqrt(iso),
            jpeg_quality=int(rng.integers(80, 100)) if rng.random() < 0.7 else None,
        )

    def expose(self, radiance: Tensor, gains: Tensor, *, noise: torch.Generator) -> Tensor:
        """Frames of one scene.

        Args:
            radiance: (3, H, W) or (N, 3, H, W), linear, at least 0; H, W multiples of 16 for JPEG.
            gains: (N,) factors on the radiance, one per frame; 1.0 is clipped.
            noise: the source of the sensor's noise.

        Returns:
            (N, 3, H, W), 0..1 in steps of 1/255, display-referred.
        """
        light = radiance * gains[:, None, None, None]
        grain = torch.randn(light.shape, generator=noise, device=light.device)
        spread = (self.read_noise**2 + self.shot_noise**2 * light.clamp(0, 4)).sqrt()
        display = self.response((light + grain * spread).clamp_min(0))
        frames = (display * 255).round() / 255
        return frames if self.jpeg_quality is None else jpeg(frames, quality=self.jpeg_quality)

    def response(self, light: Tensor) -> Tensor:
        """Display-referred values 0..1 of linear light (any shape), at least 0; 1.0 is clipped."""
        if self.shoulder > 0:
            soft = 1 - torch.exp(-light * 1.4)
            light = (1 - self.shoulder) * light.clamp_max(1) + self.shoulder * soft
        display = light.clamp(0, 1) ** (1 / self.gamma)
        smooth = display * display * (3 - 2 * display)
        return (1 - self.contrast) * display + self.contrast * smooth


def _dct(device: torch.device) -> Tensor:
    """The orthonormal 8-point DCT as a matrix."""
    k, n = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    matrix = torch.cos(torch.pi * (2 * n + 1) * k / 16) / 2
    matrix[0] /= math.sqrt(2)
    return matrix.to(device)


def _quantised(plane: Tensor, table: tuple[tuple[int, ...], ...], quality: int) -> Tensor:
    """A plane (..., H, W), centred on 0, through block DCT and quantisation."""
    scale = (5000 / quality if quality < 50 else 200 - 2 * quality) / 100
    steps = (torch.tensor(table, dtype=plane.dtype, device=plane.device) * scale).round()
    steps = steps.clamp_min(1)
    dct = _dct(plane.device)
    blocks: Tensor = plane.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-3, -2)
    codes = (dct @ blocks @ dct.T / steps).round() * steps
    blocks = dct.T @ codes @ dct
    return blocks.transpose(-3, -2).flatten(-4, -3).flatten(-2, -1)


def jpeg(frames: Tensor, *, quality: int) -> Tensor:
    """What JPEG (4:2:0) leaves of frames: (N, 3, H, W) 0..1, H and W multiples of 16."""
    matrix = torch.tensor(_TO_YCC, dtype=frames.dtype, device=frames.device)
    ycc = torch.einsum("ij,njhw->nihw", matrix, frames * 255)
    luma = _quantised(ycc[:, 0] - 128, _LUMA_TABLE, quality) + 128
    chroma = _quantised(F.avg_pool2d(ycc[:, 1:], 2), _CHROMA_TABLE, quality)
    chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear")
    ycc = torch.cat((luma[:, None], chroma), 1)
    rgb = torch.einsum("ij,njhw->nihw", torch.linalg.inv(matrix), ycc)
    return (rgb.round() / 255).clamp(0, 1)
