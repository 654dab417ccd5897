"""AttentionCache: what the network has seen of the whole bracket, compressed, of fixed size.

Prefill writes it, one block per name; every slice reads it. Blocks are quantised per channel to
`bits`. It knows nothing of networks, pictures or slices: only tensors and bytes.

Source: the quantised attention cache of IPL (Chen et al., AAAI 2025, arXiv 2412.11685); bit width
and layout are this project's choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mefuse.errors import InputError

Bits = Literal[4, 8, 32]
BUDGET_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class _Block:
    """One quantised tensor: integer codes and one scale per channel (dimension 1)."""

    codes: Tensor
    scale: Tensor
    shape: torch.Size

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.scale.nbytes


class AttentionCache:
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

    def update(self, name: str, block: Tensor) -> None:
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

    def read(self, name: str, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """The block stored under `name`, decompressed to `dtype`, in its original shape."""
        block = self._blocks[name]
        codes = block.codes
        if self.bits == 4:
            codes = torch.stack((codes & 15, codes >> 4), -1).flatten().to(torch.int8) - 8
            codes = codes[: block.shape.numel()].reshape(block.shape)
        return codes.to(dtype) * block.scale.to(dtype)

    def _compress(self, block: Tensor) -> _Block:
        """Symmetric quantisation, one scale per entry of dimensions 0 and 1."""
        if self.bits == 32:
            return _Block(block, torch.ones((), device=block.device), block.shape)
        limit = 2 ** (self.bits - 1) - 1
        peak = block.float().abs().amax(tuple(range(2, block.dim())), keepdim=True)
        scale = peak.clamp_min(1e-8) / limit
        codes = (block / scale).round().clamp(-limit, limit).to(torch.int8)
        if self.bits == 4:
            flat = codes.flatten() + 8
            flat = torch.nn.functional.pad(flat, (0, flat.numel() % 2))
            codes = flat[0::2].to(torch.uint8) | (flat[1::2].to(torch.uint8) << 4)
        return _Block(codes, scale.to(torch.float32), block.shape)
