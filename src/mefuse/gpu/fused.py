"""The work on pixels in kernels: `plain.py` within rounding, in a fraction of its passes.

Frames as stored are read where they are needed, luma and weights at half size and below lie in
between; nothing of full size is float32 but the fused luma. Knows no slice.
"""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mefuse.gpu.plain import pixel_type, white_of
from mefuse.grid import CHROMA, FINE, GRID, Glimpse, Maps

# Rows and columns of a program's lanes at half size, and its warps of 32: one sample a lane, so
# that what a lane holds of its neighbours stays in registers (at most 99 of them, none spilled).
TILE, WARPS = (8, 32), 8
CELLS = 32  # of 8 px, a program of `mean_colour` has
MOST_OFFSET = 2**31  # kernels count within a frame, or a plane, in 32 bits


@dataclass(frozen=True, slots=True)
class Taken:
    """Frames as stored (N, H, W, 3), their luma and the squares of their bands, level by level.

    Each level's are half the size of that before: (N, H/2, W/2), (N, H/4, W/4), (N, H/8, W/8).
    """

    frames: Tensor
    lumas: tuple[Tensor, ...]
    squares: tuple[Tensor, ...]

    @property
    def unit(self) -> float:
        """What takes values of the frames to 0..1."""
        return 1 / torch.iinfo(self.frames.dtype).max


class FusedWork:
    """See `plain.PixelWork`; frames of less than 715 megapixels.

    Args:
        tile: rows and columns of a program.
    """

    # Per frame: 3 to 6 as stored, twice for what is on its way and once for a recorded graph; luma,
    # squares, weights and chroma's weights at half size; a share of the fused luma and pixels.
    bytes_per_px = 32

    def __init__(self, *, tile: tuple[int, int] = TILE) -> None:
        from mefuse.gpu import blend_kernels, kernels

        self._kernels, self._joining, self._tile = kernels, blend_kernels, tile

    def take(self, frames: Tensor) -> Taken:
        """Takes frames apart."""
        lumas: list[Tensor] = []
        squares: list[Tensor] = []
        unit, source = 1 / torch.iinfo(frames.dtype).max, frames
        count, height, width, _ = frames.shape
        for level in range(FINE):
            rows, columns = height >> (level + 1), width >> (level + 1)
            smaller, square = (_plane(frames, count, rows, columns) for _ in range(2))
            common = (rows, columns, unit, level == 0)
            self._run(self._kernels.halve, smaller.shape, source, smaller, *common)
            self._run(self._kernels.squares, square.shape, source, smaller, square, *common)
            lumas.append(smaller)
            squares.append(square)
            unit, source = 1.0, smaller
        return Taken(frames, tuple(lumas), tuple(squares))

    def glimpse(self, taken: Taken) -> Glimpse[Tensor]:
        """What is kept of frames."""
        luma = taken.lumas[-1]
        count, rows, columns = luma.shape
        energies = _plane(luma, count, FINE, rows, columns)
        for level, square in enumerate(taken.squares):
            self._run(
                self._kernels.pool_energy, luma.shape,
                square, energies[:, level], rows, columns, energies.stride(0), GRID >> (level + 1),
            )  # fmt: skip
        colour = _plane(luma, count, 3, rows, columns)
        where = (-(-columns // CELLS), rows, count)
        with _current(luma):
            self._kernels.mean_colour[where](
                taken.frames, colour, rows, columns, taken.unit, CELLS, num_warps=WARPS
            )
        return Glimpse(colour[None], luma[None], energies[None])

    def blend(self, taken: Taken, coarse: Tensor, maps: Maps[Tensor], *, depth: int) -> Tensor:
        """The fused pixels."""
        luma = coarse[0]
        for level in reversed(range(FINE)):
            luma = self._join(taken, luma, maps, level)
        shares = self._share_colour(taken, luma, maps.logits[0, :, CHROMA].float())
        pixels = torch.empty((*luma.shape, 3), dtype=pixel_type(depth), device=luma.device)
        self._run(
            self._joining.finish, (1, *shares.shape[1:]),
            taken.frames, luma, shares, pixels, *shares.shape, taken.unit, float(white_of(depth)),
        )  # fmt: skip
        return pixels

    def reduce(self, frames: Tensor, height: int, width: int) -> Tensor:
        """Frames, smaller."""
        count, rows, columns, _ = frames.shape
        small = torch.empty((count, height, width, 3), dtype=frames.dtype, device=frames.device)
        down, across = rows / height, columns / width
        self._run(
            self._kernels.reduce_area, small.shape[:3],
            frames, small, rows, columns, height, width, down, across,
            -int(-down // 1) + 1, -int(-across // 1) + 1, 1 / torch.iinfo(frames.dtype).max,
            float(torch.iinfo(frames.dtype).max),
        )  # fmt: skip
        return small

    def _share(self, squares: Tensor, maps: Maps[Tensor], level: int) -> Tensor:
        """Each frame's weight in a band, at half its resolution: (N, rows, columns)."""
        logits, gains = _dense(maps.logits[0, :, level]), _dense(maps.gains[0, level])
        weights = torch.empty_like(squares)
        self._run(
            self._joining.share, (1, *squares.shape[1:]),
            squares, logits, gains, weights, *squares.shape,
            logits.stride(0), logits.stride(1), gains.stride(0), *gains.shape, GRID >> (level + 1),
        )  # fmt: skip
        return weights

    def _join(self, taken: Taken, fused: Tensor, maps: Maps[Tensor], level: int) -> Tensor:
        """A level's fused luma, of the coarser one."""
        weights, fused = self._share(taken.squares[level], maps, level), _dense(fused)
        count, rows, columns = weights.shape
        source = taken.lumas[level - 1] if level else taken.frames
        larger = _plane(fused, 2 * rows, 2 * columns)
        self._run(
            self._joining.join, (1, rows, columns),
            source, taken.lumas[level], weights, fused, larger, count, rows, columns,
            fused.stride(0), 1.0 if level else taken.unit, level == 0,
        )  # fmt: skip
        return larger

    def _share_colour(self, taken: Taken, luma: Tensor, logits: Tensor) -> Tensor:
        """What multiplies each frame's chroma, at half size: (N, rows, columns)."""
        powers = torch.exp(logits - logits.amax(0)).contiguous()
        shares = torch.empty_like(taken.lumas[0])
        self._run(
            self._joining.share_colour, (1, *shares.shape[1:]),
            taken.frames, powers, luma, shares, *shares.shape, taken.unit, *powers.shape[1:],
        )  # fmt: skip
        return shares

    def _run(self, kernel: Any, size: tuple[int, ...], *arguments: Any) -> None:
        """Launches a kernel over planes (n, rows, columns)."""
        (down, across), (count, rows, columns) = self._tile, size
        where = (-(-columns // across), -(-rows // down), count)
        with _current(arguments[0]):
            kernel[where](*arguments, down, across, num_warps=WARPS)


def kernels_run(device: torch.device) -> bool:
    """Whether there is a GPU, and Triton to compile for it."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


def addressable(frames: Tensor) -> bool:
    """Whether kernels can count to the last value of a frame."""
    return frames[0].numel() < MOST_OFFSET


def _plane(like: Tensor, *shape: int) -> Tensor:
    """A plane to be filled."""
    return torch.empty(shape, dtype=torch.float32, device=like.device)


def _dense(grid: Tensor) -> Tensor:
    """A grid (..., h, w) whose samples lie side by side in float32, its rows where they are."""
    grid = grid.float()
    return grid if grid.stride(-1) == 1 else grid.contiguous()


def _current(tensor: Tensor) -> AbstractContextManager[object]:
    """Makes a tensor's GPU the one that Triton launches on."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()
