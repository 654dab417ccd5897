"""Samples for training: drawn ahead by processes of their own, each used as often as told.

Without such processes they are drawn where the pictures are, a GPU for example.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mefuse.synth.pictures import Picture
from mefuse.train.data import Sample, draw_sample
from mefuse.train.recipe import Recipe

AHEAD = 8  # samples that wait for their use
POOL = 32  # samples among which the next one is chosen, where each is used more than once


class Draws(IterableDataset[Sample]):
    """An endless stream of samples, decided by the recipe and the seed."""

    def __init__(self, pictures: Sequence[Picture], recipe: Recipe, seed: tuple[int, ...]) -> None:
        super().__init__()
        self.pictures, self.recipe, self.seed = pictures, recipe, seed

    def __iter__(self) -> Iterator[Sample]:
        torch.set_num_threads(1)
        worker = get_worker_info()
        seed = self.seed if worker is None else (*self.seed, worker.id)
        recipe, rng = self.recipe, np.random.default_rng(seed)
        while True:
            size_px = recipe.draw_size(rng)
            equal_area = recipe.brackets * (recipe.size_px / size_px) ** 2
            brackets = max(1, round(equal_area))
            measured = recipe.colour_excess > 0
            yield draw_sample(
                rng, self.pictures, brackets=brackets, size_px=size_px, measured=measured,
                threes=recipe.threes,
            )  # fmt: skip


def feed(
    pictures: Sequence[Picture], recipe: Recipe, *, seed: tuple[int, ...], workers: int
) -> Iterator[Sample]:
    """Samples without end, each `recipe.uses` times and never twice in a row.

    They are drawn by so many processes, by turns, from pictures on the CPU; with 0 workers here,
    from pictures anywhere.
    """
    drawn = Draws(pictures, recipe, seed)
    stream: Iterator[Sample] = iter(drawn)
    if workers:
        loader = DataLoader(drawn, batch_size=None, num_workers=workers, prefetch_factor=AHEAD)
        stream = iter(loader)
    return _repeated(stream, recipe.uses, np.random.default_rng((*seed, 1)))


def _repeated(stream: Iterator[Sample], uses: int, rng: np.random.Generator) -> Iterator[Sample]:
    """Each of the stream's samples `uses` times, mixed with its neighbours."""
    if uses == 1:
        yield from stream
        return
    pool: list[tuple[Sample, int]] = []
    while True:
        while len(pool) < POOL:
            pool.append((next(stream), uses))
        index = int(rng.integers(len(pool)))
        sample, left = pool[index]
        pool[index] = (sample, left - 1)
        if left == 1:
            pool.pop(index)
        yield sample
