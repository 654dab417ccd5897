"""Optimisers of a training run: Muon for the weights that mix channels, AdamW for the rest.

Muon replaces the momentum of a matrix by the nearest matrix with equal singular values, so that
every direction of it learns at the same pace. The small networks here learn in a third of the
steps that AdamW needs (docs/experiments.md).

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024
(kellerjordan.github.io/posts/muon), with its coefficients of the Newton-Schulz iteration.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mefuse.train.recipe import Recipe

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
MIXED_CHANNELS = 12  # a filter over fewer values (one channel, 3x3) is no mixing


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix (m, n) with its singular values brought near one."""
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    one, two, three = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = one * x + (two * square + three * square @ square) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Steps of one size along every direction of a matrix; convolutions count as (out, rest)."""

    def __init__(self, params: Iterable[Tensor], *, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the orthogonalised momentum of the gradients."""
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                momentum.mul_(MOMENTUM).add_(weight.grad)
                ahead = (weight.grad + MOMENTUM * momentum).flatten(1)
                scale = max(1.0, ahead.shape[0] / ahead.shape[1]) ** 0.5
                weight.add_(orthogonal(ahead).view_as(weight), alpha=-group["lr"] * scale)


def optimisers_of(network: nn.Module, recipe: Recipe) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices that mix channels inside the network, AdamW for all else.

    A network that has only one kind of weights gets one optimiser.
    """
    mixing: list[Tensor] = []
    rest: list[Tensor] = []
    for name, weight in network.named_parameters():
        inside = "head" not in name
        is_matrix = weight.ndim >= 2 and weight[0].numel() >= MIXED_CHANNELS
        (mixing if inside and is_matrix else rest).append(weight)
    found: list[torch.optim.Optimizer] = []
    if mixing:
        found.append(Muon(mixing, lr=recipe.matrix_rate))
    if rest:
        decay = recipe.weight_decay
        found.append(torch.optim.AdamW(rest, lr=recipe.learning_rate, weight_decay=decay))
    return tuple(found)
