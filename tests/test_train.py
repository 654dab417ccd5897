"""Training: a run improves, resumes where it stopped, and leaves weights that load."""

import itertools
import json
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from mefuse import weights
from mefuse.errors import InputError
from mefuse.models.ipl import IPL
from mefuse.models.ipl_config import IPLConfig
from mefuse.synth.pictures import load_pictures
from mefuse.train.data import draw_sample
from mefuse.train.loop import Trainer, fuse_sample, schedule
from mefuse.train.loss import fusion_loss
from mefuse.train.optimiser import optimisers_of, orthogonal
from mefuse.train.recipe import Recipe
from mefuse.train.yardstick import colour_losses

NETWORK = {"width": 8, "blocks": 1, "cells": 3, "key_width": 4, "cube": 4}
RECIPE = Recipe(network=NETWORK, steps=4, brackets=1, size_px=256, validation_every=2, held_out=2)

DEEPFUSE = replace(RECIPE, model="deepfuse", network={"width": 4})
LCNDR = replace(RECIPE, model="lcndr", network={"width": 4, "tokens": 3, "revision": 4})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four small pictures."""
    rng = np.random.default_rng(7)
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(4):
        picture = cv2.resize(rng.uniform(0, 255, (20, 30, 3)), (420, 300)).clip(0, 255)
        grain = rng.normal(0, 6, picture.shape)
        cv2.imwrite(str(folder / f"{i}.png"), (picture + grain).clip(0, 255).astype(np.uint8))
    return folder


def test_a_run_resumes_and_its_weights_load(folder, tmp_path):
    pictures = load_pictures(folder)
    first = Trainer(RECIPE, pictures, tmp_path, "cpu", cases=1)
    for _ in range(2):
        first.train_step()
    first.save_checkpoint()
    second = Trainer(RECIPE, pictures, tmp_path, "cpu", cases=1)
    assert second.step == 2
    score = second.run(pause_after=10)
    assert second.step == RECIPE.steps
    assert 0 < score["three_structure"] < 2
    points = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [p["step"] for p in points] == [3, 4]
    assert "pair_structure" in points[-1]
    weights.save(second.averaged, tmp_path / "w.safetensors", notes={})
    assert weights.load(tmp_path / "w.safetensors").config == IPLConfig(**NETWORK)


@pytest.mark.parametrize("recipe", [RECIPE, DEEPFUSE, LCNDR], ids=lambda recipe: recipe.model)
def test_steps_on_one_bracket_lower_its_loss(folder, tmp_path, recipe):
    trainer = Trainer(recipe, load_pictures(folder), tmp_path, "cpu", cases=1)
    sample = draw_sample(np.random.default_rng(3), trainer.train_pictures, brackets=1, size_px=256)
    losses = []
    for _ in range(6):
        loss = fusion_loss(sample.detail, *fuse_sample(trainer.network, sample), recipe)
        trainer.network.zero_grad()
        loss.total.backward()
        for optimiser in trainer.optimisers:
            optimiser.step()
        losses.append(loss.total.item())
    assert losses[-1] < losses[0]


def test_samples_are_repeatable_and_show_something(folder):
    pictures = load_pictures(folder)
    for seed in range(3):
        one, two = (
            draw_sample(np.random.default_rng(seed), pictures, brackets=2, size_px=128)
            for _ in range(2)
        )
        assert torch.equal(one.detail, two.detail)
        assert torch.equal(one.small, two.small)
        assert one.detail.shape[:1] == (2,)
        assert one.detail.std() > 0.02
        region = one.region
        assert region.top + region.height <= region.whole_height


def test_values_out_of_bounds_cost():
    frames = torch.rand(1, 2, 3, 256, 256)
    luma, chroma = torch.rand(1, 256, 256), torch.zeros(1, 2, 256, 256)
    recipe = Recipe()
    inside = fusion_loss(frames, luma, chroma, recipe)
    outside = fusion_loss(frames, luma * 1.5, chroma, recipe)
    assert inside.bounds == 0
    assert outside.bounds == pytest.approx((luma * 1.5 - 1).clamp_min(0).mean().item(), rel=1e-4)
    measures = recipe.structure * outside.structure + recipe.colour * outside.colour
    wanted = measures + recipe.bounds * outside.bounds
    assert outside.total.item() == pytest.approx(wanted, rel=1e-4)


def test_the_rates_warm_up_and_fall():
    shares = [schedule(Recipe(steps=1000), step) for step in (0, 99, 500, 999)]
    assert shares[0] < shares[2] < shares[1]
    assert shares[3] == pytest.approx(0.02, rel=0.02)


def test_the_rates_fall_with_the_time_where_that_runs_out_first():
    recipe = Recipe(steps=1000)
    assert schedule(recipe, 500, spent=0.2) == schedule(recipe, 500)
    assert schedule(recipe, 500, spent=1.0) == schedule(recipe, 1000)


def test_a_run_pauses_and_ends_when_its_time_is_over(folder, tmp_path, monkeypatch):
    recipe = replace(RECIPE, steps=10_000)
    seconds = itertools.count()  # a clock that a second passes on whenever it is looked at
    monkeypatch.setattr("mefuse.train.loop.time.monotonic", lambda: float(next(seconds)))
    first = Trainer(recipe, load_pictures(folder), tmp_path, "cpu", cases=1, minutes=0.1)
    first.run(pause_after=0)
    assert (first.step, first.spent_s) == (1, 1.0)
    second = Trainer(recipe, load_pictures(folder), tmp_path, "cpu", cases=1, minutes=0.1)
    second.run()
    assert (second.step, second.spent_s) == (6, 6.0)


@pytest.mark.parametrize("shape", [(40, 92), (80, 40), (16, 16)])
def test_a_matrix_is_brought_near_its_orthogonal_one(shape):
    generator = torch.Generator().manual_seed(3)
    matrix = torch.randn(shape, generator=generator)
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.3  # the iteration is coarse: near one, not one
    assert values.max() < 1.3


def test_every_weight_has_one_optimiser():
    network = IPL()
    optimisers = optimisers_of(network, Recipe())
    groups = [[id(w) for g in o.param_groups for w in g["params"]] for o in optimisers]
    assert sorted(groups[0] + groups[1]) == sorted(id(w) for w in network.parameters())
    assert id(network.down.weight) in groups[0]
    assert id(network.frame_head.weight) in groups[1]


def test_a_recipe_with_a_wrong_key_is_refused(tmp_path):
    (tmp_path / "r.toml").write_text("stepz = 3\n")
    with pytest.raises(InputError, match="stepz"):
        Recipe.load(tmp_path / "r.toml")


def test_the_command_trains_and_writes_weights(folder, tmp_path):
    recipe = tmp_path / "tiny.toml"
    table = "\n".join(f"{key} = {value}" for key, value in NETWORK.items())
    recipe.write_text(f"steps = 1\nbrackets = 1\nsize_px = 256\nheld_out = 2\n[network]\n{table}\n")
    output = tmp_path / "ipl.safetensors"
    command = [
        sys.executable, "-m", "mefuse.train", recipe, "--pictures", folder,
        "--run", tmp_path / "run", "-o", output, "--validation-cases", "1",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert weights.load(output).config == IPLConfig(**NETWORK)


def test_colour_lost_beyond_what_opencv_loses_costs_extra():
    frames = torch.rand(2, 2, 3, 256, 256)
    luma, chroma = torch.rand(2, 256, 256), torch.zeros(2, 2, 256, 256)
    recipe = Recipe(colour_excess=0.5, colour_allowed=0.8)
    plain = fusion_loss(frames, luma, chroma, recipe)
    lenient = fusion_loss(frames, luma, chroma, recipe, mertens=torch.tensor([9.0, 9.0]))
    strict = fusion_loss(frames, luma, chroma, recipe, mertens=torch.tensor([0.1, 0.1]))
    assert lenient.total.item() == pytest.approx(plain.total.item())
    more = 0.5 * (plain.colour - 0.08)
    assert strict.total.item() == pytest.approx(plain.total.item() + more, rel=1e-4)


def test_what_opencv_loses_is_nothing_on_equal_frames_and_something_on_others():
    rng = np.random.default_rng(5)
    soft = cv2.resize(rng.uniform(0.3, 0.6, (9, 9, 3)), (96, 96))
    frame = torch.from_numpy(soft).permute(2, 0, 1).float()
    equal = torch.stack((frame, frame))
    apart = torch.stack((frame * 0.2, (frame * 2.5).clamp(0, 1)))
    losses = colour_losses(torch.stack((equal, apart)))
    assert losses[0] < 0.02 < losses[1] < 1


def test_a_recipe_can_ask_for_more_threes(folder):
    pictures = load_pictures(folder)
    drawn = [
        draw_sample(np.random.default_rng(seed), pictures, brackets=1, size_px=64, threes=share)
        for seed in range(12)
        for share in (0.0, 1.0)
    ]
    counts = [sample.detail.shape[1] for sample in drawn]
    assert set(counts[1::2]) == {3}
    assert len(set(counts[::2])) > 1


def test_sizes_are_drawn_by_their_shares():
    recipe = Recipe(size_px=320, sizes={"512": 0.25, "768": 0.25})
    rng = np.random.default_rng(1)
    drawn = np.array([recipe.draw_size(rng) for _ in range(2000)])
    assert set(drawn) == {320, 512, 768}
    assert np.mean(drawn == 320) == pytest.approx(0.5, abs=0.05)
    assert np.mean(drawn == 768) == pytest.approx(0.25, abs=0.04)
    assert Recipe(size_px=320).draw_size(rng) == 320
