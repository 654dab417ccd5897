"""The IPL network: regions equal the whole, frames are interchangeable, everything is used."""

import pytest
import torch

from mefuse.cache import AttentionCache
from mefuse.grid import BANDS, FEATURES, LOGITS
from mefuse.models.ipl import IPL
from mefuse.models.ipl_config import IPLConfig, Region

CONFIG = IPLConfig(width=8, blocks=2, cells=3, key_width=4, cube=4)


@pytest.fixture
def network():
    torch.manual_seed(3)
    network = IPL(CONFIG).eval()
    for parameter in network.parameters():  # far from its start, where residuals are near zero
        parameter.data += 0.2 * torch.randn_like(parameter)
    return network


def _seen(frames, height, width, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(1, frames, FEATURES, height, width, generator=generator)
    return features, torch.randn(1, frames, 1, height, width, generator=generator)


def _prefilled(network, features, prior):
    cache = AttentionCache(bits=32)
    network.prefill(features, prior, cache)
    return cache


@torch.no_grad()
def test_a_region_with_overlap_gives_the_maps_of_the_whole(network):
    features, prior = _seen(2, 64, 96)
    cache = _prefilled(network, *_seen(2, 16, 24, seed=1))
    whole = network.decode(features, prior, Region.whole(32, 48), cache)
    margin = -(-network.overlap_px // 32) * 2  # cells, even
    top, left, height, width = 12, 20, 4, 8
    grown = Region(
        max(top - margin, 0), max(left - margin, 0),
        min(top + height + margin, 32) - max(top - margin, 0),
        min(left + width + margin, 48) - max(left - margin, 0), 32, 48,
    )  # fmt: skip
    rows = slice(2 * grown.top, 2 * (grown.top + grown.height))
    columns = slice(2 * grown.left, 2 * (grown.left + grown.width))
    part = network.decode(features[..., rows, columns], prior[..., rows, columns], grown, cache)
    y, x = 2 * (top - grown.top), 2 * (left - grown.left)
    inner = part.logits[..., y : y + 2 * height, x : x + 2 * width]
    wanted = whole.logits[..., 2 * top : 2 * (top + height), 2 * left : 2 * (left + width)]
    assert torch.allclose(inner, wanted, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 5, 9])
def test_any_number_of_frames_in_any_order(network, frames):
    features, prior = _seen(frames, 16, 24)
    order = torch.randperm(frames, generator=torch.Generator().manual_seed(frames))
    region = Region.whole(8, 12)
    maps = network.decode(features, prior, region, _prefilled(network, features, prior))
    assert maps.logits.shape == (1, frames, LOGITS, 16, 24)
    assert maps.gains.shape == (1, BANDS, 16, 24)
    features, prior = features[:, order], prior[:, order]
    other = network.decode(features, prior, region, _prefilled(network, features, prior))
    assert torch.allclose(other.logits, maps.logits[:, order], atol=1e-4)
    assert torch.allclose(other.gains, maps.gains, atol=1e-4)


@torch.no_grad()
def test_the_cache_changes_the_maps_and_its_size_ignores_the_picture(network):
    features, prior = _seen(2, 16, 16)
    region = Region.whole(8, 8)
    one = _prefilled(network, *_seen(2, 16, 16, seed=1))
    other = _prefilled(network, *_seen(2, 48, 64, seed=2))
    assert one.nbytes == other.nbytes
    first = network.decode(features, prior, region, one).logits
    second = network.decode(features, prior, region, other).logits
    assert (first - second).abs().max() > 0.01


def test_every_parameter_has_a_gradient(network):
    features, prior = _seen(2, 16, 16)
    cache = _prefilled(network, features, prior)
    maps = network.decode(features, prior, Region.whole(8, 8), cache)
    (maps.logits.square().sum() + maps.gains.square().sum()).backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
