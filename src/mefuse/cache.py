"""AttentionCache: what the network has seen of the whole bracket, compressed, of fixed size.

Prefill writes it, one block per name; every slice reads it. Blocks are quantised per channel to
`bits`. Blocks are numpy's arrays or torch's tensors: the rule is one, and a block stays on its
device. It knows nothing of networks, pictures or slices.

Source: the quantised attention cache of IPL (Chen et al., AAAI 2025, arXiv 2412.11685); bit width
and layout are this project's choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np

from mefuse.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

A = TypeVar("A", "NDArray[np.float32]", "Tensor")

Bits = Literal[4, 8, 32]
BUDGET_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class _Block:
    """One quantised array: integer codes and one scale per channel (dimension 1)."""

    codes: Any
    scale: Any
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return int(self.codes.nbytes + self.scale.nbytes)


class AttentionCache(Generic[A]):
    """Named blocks of keys, values and gates within a fixed budget of bytes.

    Args:
        bits: 8 or 4 for quantised codes, 32 for none (the yardstick of the tests).
        budget_bytes: what all blocks together may take; independent of the picture's size.
    """

    def __init__(self, *, bits: Bits = 8, budget_bytes: int = BUDGET_BYTES) -> None:
        self.bits = bits
        self.budget_bytes = budget_bytes
        self._blocks: dict[str, _Block] = {}

    @property
    def nbytes(self) -> int:
        """Bytes that the blocks take on their device."""
        return sum(block.nbytes for block in self._blocks.values())

    def update(self, name: str, block: A) -> None:
        """Stores `block` (..., channels in dimension 1) under `name`, compressed.

        Raises:
            InputError: the budget does not hold it: too many frames.
        """
        self._blocks[name] = self._compress(block)
        if self.nbytes > self.budget_bytes:
            raise InputError(
                f"the attention cache needs {self.nbytes} bytes of {self.budget_bytes}; "
                "fuse fewer frames at once"
            )

    def read(self, name: str, *, dtype: Any = None) -> A:
        """The block stored under `name`, in its original shape, decompressed.

        `dtype` is one of the block's library, float32 by default; with 32 bits a block stays as it
        came.
        """
        block = self._blocks[name]
        if self.bits == 32:
            exact: A = block.codes  # as it came: training takes its gradient through it
            return exact
        library = _library(block.codes)
        dtype, codes = dtype or library.float32, block.codes
        if self.bits == 4:
            pairs = library.stack((codes & 15, codes >> 4), -1).reshape(-1)
            codes = library.asarray(pairs[: math.prod(block.shape)], dtype=library.int8) - 8
            codes = codes.reshape(block.shape)
        scale = library.asarray(block.scale, dtype=dtype)
        values: A = library.asarray(codes, dtype=dtype) * scale
        return values

    def _compress(self, block: Any) -> _Block:
        """Symmetric quantisation, one scale per entry of dimensions 0 and 1."""
        library, shape = _library(block), tuple(block.shape)
        if self.bits == 32:
            return _Block(block, library.ones(1, dtype=library.float32), shape)
        limit = 2 ** (self.bits - 1) - 1
        block = library.asarray(block, dtype=library.float32)
        peak = library.amax(abs(block), axis=tuple(range(2, len(shape))), keepdims=True)
        scale = peak.clip(1e-8) / limit
        codes = library.asarray((block / scale).round().clip(-limit, limit), dtype=library.int8)
        if self.bits == 4:
            flat = library.asarray(codes.reshape(-1) + 8, dtype=library.uint8)
            flat = library.concatenate((flat, library.zeros_like(flat[: len(flat) % 2])))
            codes = flat[0::2] | (flat[1::2] << 4)
        return _Block(codes, scale, shape)


def _library(array: Any) -> Any:
    """What computes on an array: numpy, or torch, which whoever made a tensor has loaded."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch
