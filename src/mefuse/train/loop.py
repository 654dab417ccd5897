"""The training loop: draw, fuse, score, step; checkpoints that resume; curves as JSON lines."""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import time
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from mefuse import landing
from mefuse.models import load_config_type, load_network_type
from mefuse.models.ipl_config import Region
from mefuse.synth.pictures import Picture, load_pictures
from mefuse.train.data import Sample
from mefuse.train.feed import feed
from mefuse.train.loss import fusion_loss
from mefuse.train.optimiser import optimisers_of
from mefuse.train.recipe import Recipe
from mefuse.train.validation import CASES, Validation
from mefuse.weights import load, save

log = logging.getLogger("mefuse.train")


class Trainable(Protocol):
    """What training asks of a network, beside being a torch module."""

    def fuse_whole(
        self, detail: Tensor, small: Tensor, region: Region, *, finest_px: int | None
    ) -> tuple[Tensor, Tensor]:
        """Fused luma and chroma of a sample's parts; see `models.ipl.IPL.fuse_whole`."""


def fuse_sample(
    network: nn.Module, sample: Sample, *, finest_px: int | None = None
) -> tuple[Tensor, Tensor]:
    """Fused luma (B, H, W) and chroma (B, 2, H, W) of a sample; the cache is not quantised."""
    trainable = cast("Trainable", network)
    return trainable.fuse_whole(sample.detail, sample.small, sample.region, finest_px=finest_px)


def schedule(recipe: Recipe, step: int, *, spent: float = 0.0) -> float:
    """Share of the peak rates: linear warm-up, then a cosine to 2 %.

    The cosine ends with the steps, or with the time: `spent` is the share of it that has passed.
    """
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(step / recipe.steps, spent))))
    return warm * (0.02 + 0.98 * cosine)


class Trainer:
    """One run: network, averaged network, optimiser and the random state, all in a checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        pictures: list[Picture],
        folder: Path,
        device: str,
        *,
        cases: int = CASES,
        workers: int = 0,
        minutes: float = math.inf,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.device = recipe, folder, device
        self.train_pictures = [
            p for i, p in enumerate(pictures) if i % recipe.held_out != recipe.held_out - 1
        ]
        kind = load_network_type(recipe.model)
        config = load_config_type(recipe.model)(**recipe.network)
        self.network: nn.Module = kind(config).to(device)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self.optimisers = optimisers_of(self.network, recipe)
        self.rng = np.random.default_rng(recipe.seed)
        held_out = pictures[recipe.held_out - 1 :: recipe.held_out]
        self.validation = Validation.drawn(held_out, size_px=recipe.size_px, cases=cases)
        self.step = 0
        self.limit_s, self.spent_s = minutes * 60, 0.0
        self.checkpoint = folder / "checkpoint.pt"
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._resume()
        seed = (recipe.seed, self.step)
        self.samples = feed(self.train_pictures, recipe, seed=seed, workers=workers)

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        for optimiser, kept in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.step, self.spent_s = int(state["step"]), float(state["spent_s"])
        self.rng = np.random.default_rng([self.recipe.seed, self.step])
        log.info("resumed at step %d", self.step)

    def start_from(self, network: nn.Module) -> None:
        """Takes over the weights of a network of the recipe's sizes."""
        for own in (self.network, self.averaged):
            own.load_state_dict(network.state_dict())

    def save_checkpoint(self) -> None:
        """Writes everything that a later run needs to go on from here."""
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "spent_s": self.spent_s,
        }
        with landing.replacing(self.checkpoint, overwrite=True) as file:
            torch.save(state, file)

    def _fuse(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """A sample fused by the averaged network."""
        return fuse_sample(self.averaged, sample.to(self.device))

    def train_step(self) -> dict[str, float]:
        """One step; returns what the curve keeps of it."""
        recipe, sample = self.recipe, next(self.samples).to(self.device)
        part = schedule(recipe, self.step, spent=self.spent_s / self.limit_s)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = optimiser.defaults["lr"] * part
        luma, chroma = fuse_sample(self.network, sample, finest_px=recipe.finest_px or None)
        loss = fusion_loss(sample.detail, luma, chroma, recipe, mertens=sample.mertens)
        self.network.zero_grad(set_to_none=True)
        loss.total.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), recipe.gradient_limit)
        if torch.isfinite(norm):
            for optimiser in self.optimisers:
                optimiser.step()
        self._average()
        self.step += 1
        return {
            "step": self.step, "loss": loss.total.item(), "structure": loss.structure,
            "colour": loss.colour, "bounds": loss.bounds, "norm": norm.item(),
        }  # fmt: skip

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        pairs = zip(self.averaged.parameters(), self.network.parameters(), strict=True)
        for kept, now in pairs:
            kept.lerp_(now, 1 - decay)

    def run(self, pause_after: float = math.inf) -> dict[str, float]:
        """Trains to the end of the recipe or of the time, or for so many minutes.

        Returns:
            The last score.
        """
        started, before = time.monotonic(), self.spent_s
        score: dict[str, float] = {}
        with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as curve:
            while self.step < self.recipe.steps and self.spent_s < self.limit_s:
                point = self.train_step()
                passed = time.monotonic() - started
                self.spent_s = before + passed
                if self.step % self.recipe.validation_every == 0:
                    score = self.validation.score(self._fuse)
                    point |= score
                    self.save_checkpoint()
                    log.info("%s %.0f s", json.dumps(point), self.spent_s)
                curve.write(json.dumps(point) + "\n")
                curve.flush()
                if passed > pause_after * 60:
                    break
        self.save_checkpoint()
        return self.validation.score(self._fuse)


def main() -> None:
    """Command line of the training."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.train", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--pictures", type=Path, required=True, help="folder of .hdr, .jpg, .png")
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoint and curve")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the weights file")
    parser.add_argument("--start", type=Path, help="weights to start from instead of random ones")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, help="processes that draw samples; 1 on the CPU")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of all runs together")
    parser.add_argument("--pause-after", type=float, default=math.inf, help="minutes of this run")
    parser.add_argument("--validation-cases", type=int, default=CASES, help="per kind")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = Recipe.load(given.recipe)
    workers = int(given.device == "cpu") if given.workers is None else given.workers
    pictures = load_pictures(given.pictures, device="cpu" if workers else given.device)
    trainer = Trainer(
        recipe, pictures, given.run, given.device,
        cases=given.validation_cases, workers=workers, minutes=given.minutes,
    )  # fmt: skip
    if given.start is not None and trainer.step == 0:
        trainer.start_from(load(given.start))
    score = trainer.run(given.pause_after)
    notes = {"recipe": given.recipe.name, "steps": str(trainer.step)}
    notes |= {name: f"{value:.4f}" for name, value in score.items()}
    save(trainer.averaged, given.output, notes=notes)
    log.info("%s %s", given.output, json.dumps(score))
