"""Weights files: a round trip keeps everything; damage is refused in one sentence."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mefuse import weights
from mefuse.errors import WeightsError
from mefuse.models import MODELS
from mefuse.models.ipl import IPL
from mefuse.models.ipl_config import IPLConfig

RECIPES = Path(__file__).parents[1] / "recipes"
CONFIG = IPLConfig(width=8, blocks=1, cells=3, key_width=4, cube=4)


def test_saved_weights_load_as_they_were(tmp_path):
    network = IPL(CONFIG)
    weights.save(network, tmp_path / "w.safetensors", notes={"steps": "7"})
    loaded = weights.load(tmp_path / "w.safetensors")
    assert loaded.config == CONFIG
    assert not loaded.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.is_network])
def test_the_shipped_weights_are_described_and_small(name):
    about = weights.describe(name)
    assert about.bytes <= 8 * 2**20
    assert about.parameters == sum(p.numel() for p in weights.load(weights.find(name)).parameters())
    assert len(about.sha256) == 64
    assert about.notes["recipe"].startswith(f"{name}-")
    assert (RECIPES / about.notes["recipe"]).is_file()


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.is_network])
def test_every_weights_file_has_a_card_that_is_of_it(name):
    cards = (RECIPES.parent / "weights" / "README.md").read_text().split("\n---\n")
    (card,) = [card for card in cards if f"| file | `{name}.safetensors` |" in card]
    about = weights.describe(name)
    assert f"`{about.sha256}`" in card
    assert f"| bytes | {about.bytes:,} |" in card
    assert f"{about.parameters:,} parameters" in card
    for part in ("| licence |", "recipes/", "docs/curves/", "MEF-SSIMc"):
        assert part in card
    curves = set(re.findall(r"\(\.\./(docs/curves/[\w.-]+|recipes/[\w.-]+)\)", card))
    assert len(curves) >= 2
    assert all((RECIPES.parent / file).is_file() for file in curves)


def test_weights_of_another_model_are_refused(tmp_path):
    weights.save(IPL(CONFIG), tmp_path / "w.safetensors", notes={})
    assert weights.load(tmp_path / "w.safetensors", model="ipl").config == CONFIG
    with pytest.raises(WeightsError, match="weights of ipl; give weights of lcndr"):
        weights.load(tmp_path / "w.safetensors", model="lcndr")


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    weights.save(IPL(CONFIG), path, notes={})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"w\.safetensors"):
        weights.load(path)


def test_a_foreign_file_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="not a weights file"):
        weights.load(tmp_path / "w.safetensors")


def test_tensors_that_do_not_fit_the_config_are_refused(tmp_path):
    network = IPL(CONFIG)
    network.config = IPLConfig()
    weights.save(network, tmp_path / "w.safetensors", notes={})
    with pytest.raises(WeightsError, match="does not fit"):
        weights.load(tmp_path / "w.safetensors")


def test_missing_weights_are_named():
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        weights.find("nowhere")
