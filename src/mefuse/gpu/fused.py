"""The work on pixels in kernels: `plain.py` within rounding, in a tenth of its passes over memory.

Frames as stored are read where they are needed, luma and weights at half size and below lie in
between; nothing of full size is float32 but the fused luma. Knows no slice.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mefuse.gpu.plain import pixel_type, white_of
from mefuse.grid import BANDS, FINE, GRID, Glimpse, Maps

# Rows and columns of a program's lanes at half size, and its warps of 32: one sample a lane, so that
# what a lane holds of its neighbours stays in registers.
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
    """See `plain.PixelWork`; frames of less than 715 megapixels."""

    # Per frame: 3 or 6 as stored, twice for what is on its way; luma, squares, weights, chroma's
    # weights at half size, a third more for the rest; of the fused luma and pixels a half.
    bytes_per_px = 24

    def __init__(self, *, tile: tuple[int, int] = TILE) -> None:
        """Loads the kernels; `tile` is rows and columns of a program at half size."""
        from mefuse.gpu import kernels

        self._kernels, self._tile = kernels, tile

    def take(self, frames: Tensor) -> Taken:
        """Takes frames apart."""
        lumas: list[Tensor] = []
        squares: list[Tensor] = []
        unit, source = 1 / torch.iinfo(frames.dtype).max, frames
        for level in range(FINE):
            count, rows, columns = len(frames), *(side >> (level + 1) for side in _sides(frames))
            smaller, square = (_plane(frames, count, rows, columns) for _ in range(2))
            where, tile = self._launch(count, rows, columns)
            common = (rows, columns, unit, level == 0, *tile)
            self._kernels.halve[where](source, smaller, *common, num_warps=WARPS)
            self._kernels.squares[where](source, smaller, square, *common, num_warps=WARPS)
            lumas.append(smaller)
            squares.append(square)
            unit, source = 1.0, smaller
        return Taken(frames, tuple(lumas), tuple(squares))

    def glimpse(self, taken: Taken) -> Glimpse[Tensor]:
        """What is kept of frames."""
        frames, count = taken.frames, len(taken.frames)
        rows, columns = (side // GRID for side in _sides(frames))
        energies = _plane(frames, count, FINE, rows, columns)
        where, tile = self._launch(count, rows, columns)
        for level, square in enumerate(taken.squares):
            self._kernels.pool_energy[where](
                square, energies[:, level], rows, columns, energies.stride(0),
                GRID >> (level + 1), *tile, num_warps=WARPS,
            )  # fmt: skip
        colour = _plane(frames, count, 3, rows, columns)
        where = (-(-columns // CELLS), rows, count)
        self._kernels.mean_colour[where](frames, colour, rows, columns, taken.unit, CELLS)
        return Glimpse(colour[None], taken.lumas[-1][None], energies[None])

    def blend(self, taken: Taken, coarse: Tensor, maps: Maps[Tensor], *, depth: int) -> Tensor:
        """The fused pixels."""
        luma = coarse[0]
        for level in reversed(range(FINE)):
            luma = self._join(taken, luma, maps, level)
        shares = self._share_colour(taken, luma, maps.logits[0, :, BANDS + 1].float())
        count, rows, columns = shares.shape
        pixels = torch.empty((*luma.shape, 3), dtype=pixel_type(depth), device=luma.device)
        where, tile = self._launch(1, rows, columns)
        self._kernels.finish[where](
            taken.frames, luma, shares, pixels, count, rows, columns,
            taken.unit, float(white_of(depth)), *tile, num_warps=WARPS,
        )  # fmt: skip
        return pixels

    def _share(self, squares: Tensor, maps: Maps[Tensor], level: int) -> Tensor:
        """Each frame's weight in a band, at half its resolution: (N, rows, columns)."""
        count, rows, columns = squares.shape
        logits, gains = _dense(maps.logits[0, :, level]), _dense(maps.gains[0, level])
        weights = torch.empty_like(squares)
        where, tile = self._launch(1, rows, columns)
        self._kernels.share[where](
            squares, logits, gains, weights, count, rows, columns,
            logits.stride(0), logits.stride(1), gains.stride(0), *gains.shape,
            GRID >> (level + 1), *tile, num_warps=WARPS,
        )  # fmt: skip
        return weights

    def _join(self, taken: Taken, fused: Tensor, maps: Maps[Tensor], level: int) -> Tensor:
        """A level's fused luma, of the coarser one."""
        weights, fused = self._share(taken.squares[level], maps, level), _dense(fused)
        count, rows, columns = weights.shape
        source = taken.lumas[level - 1] if level else taken.frames
        larger = _plane(fused, 2 * rows, 2 * columns)
        where, tile = self._launch(1, rows, columns)
        self._kernels.join[where](
            source, taken.lumas[level], weights, fused, larger, count, rows, columns,
            fused.stride(0), 1.0 if level else taken.unit, level == 0, *tile, num_warps=WARPS,
        )  # fmt: skip
        return larger

    def _share_colour(self, taken: Taken, luma: Tensor, logits: Tensor) -> Tensor:
        """What multiplies each frame's chroma, at half size: (N, rows, columns)."""
        powers = torch.exp(logits - logits.amax(0))
        shares = torch.empty_like(taken.lumas[0])
        count, rows, columns = shares.shape
        where, tile = self._launch(1, rows, columns)
        self._kernels.share_colour[where](
            taken.frames, powers, luma, shares, count, rows, columns, taken.unit,
            *powers.shape[1:], *tile, num_warps=WARPS,
        )  # fmt: skip
        return shares

    def _launch(
        self, count: int, rows: int, columns: int
    ) -> tuple[tuple[int, int, int], tuple[int, int]]:
        """Programs, and the tile of each, for planes of that size."""
        down, across = self._tile
        return (-(-columns // across), -(-rows // down), count), self._tile


def kernels_run(device: torch.device) -> bool:
    """Whether the kernels can run there: on a GPU with Triton, or where that interprets them."""
    if importlib.util.find_spec("triton") is None:
        return False
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


def addressable(frames: Tensor) -> bool:
    """Whether kernels can count to the last value of a frame."""
    return frames[0].numel() < MOST_OFFSET


def _sides(frames: Tensor) -> tuple[int, int]:
    """Height and width of frames (N, H, W, 3)."""
    return frames.shape[1], frames.shape[2]


def _plane(like: Tensor, *shape: int) -> Tensor:
    """A plane to be filled."""
    return torch.empty(shape, dtype=torch.float32, device=like.device)


def _dense(grid: Tensor) -> Tensor:
    """A grid (..., h, w) whose samples lie side by side in float32, its rows where they are."""
    grid = grid.float()
    return grid if grid.stride(-1) == 1 else grid.contiguous()
