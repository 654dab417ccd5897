"""Recipe: everything that decides a training run, read from a TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from mefuse.errors import InputError


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run. A recipe file's keys are these names; what it leaves out stays default."""

    model: str = "ipl"
    network: dict[str, int] = field(default_factory=dict)
    seed: int = 1
    steps: int = 6000
    brackets: int = 3  # per step
    size_px: int = 320  # side of the detail that is fused
    # Other sides of the detail and their shares of the steps, with brackets for an equal area.
    sizes: dict[str, float] = field(default_factory=dict)
    threes: float = 0.0  # share of the steps that is given to three frames, beside what is drawn
    finest_px: int = 0  # side of what networks of levels fuse at the finest one; 0: all of it
    uses: int = 1  # how often each sample drawn is used
    learning_rate: float = 2e-3  # of AdamW: biases, scales, the last layers
    matrix_rate: float = 0.01  # of Muon: the matrices that mix channels
    weight_decay: float = 1e-4
    warmup_steps: int = 100
    gradient_limit: float = 0.5
    average: float = 0.995  # decay of the averaged weights, which are the ones kept
    structure: float = 1.0  # weight of 1 - MEF-SSIM
    colour: float = 0.25  # weight of 1 - MEF-SSIMc: structure, brightness and colour together
    colour_excess: float = 0.0  # weight of what that loses beyond the share of OpenCV's below
    colour_allowed: float = 1.0
    bounds: float = 2.0  # weight of what lies outside 0..1
    validation_every: int = 500
    held_out: int = 6  # every sixth picture is for validation only

    def draw_size(self, rng: np.random.Generator) -> int:
        """The side of a step's detail, px."""
        if not self.sizes:
            return self.size_px
        sides = [self.size_px, *map(int, self.sizes)]
        others = list(self.sizes.values())
        return int(rng.choice(sides, p=[1 - sum(others), *others]))

    @staticmethod
    def load(path: Path) -> Recipe:
        """Reads a recipe.

        Raises:
            InputError: a key that no recipe has.
        """
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Recipe)}
        unknown = sorted(set(table) - known)
        if unknown:
            raise InputError(f"{path}: unknown key {unknown[0]}; a recipe has {sorted(known)}")
        return Recipe(**table)
