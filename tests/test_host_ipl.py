"""The host's IPL against the torch network, for every shape that a config can give it."""

import numpy as np
import pytest
import torch

from helpers import on_host
from mefuse import weights
from mefuse.cache import AttentionCache
from mefuse.errors import WeightsError
from mefuse.grid import FEATURES
from mefuse.host.backend import HostBackend
from mefuse.models.ipl import IPL
from mefuse.models.ipl_config import IPLConfig, Region

pytestmark = pytest.mark.usefixtures("arithmetic")

SMALL = {"width": 8, "blocks": 2, "cells": 3, "key_width": 4, "cube": 4}


def _network(**changed):
    torch.manual_seed(3)
    network = IPL(IPLConfig(**{**SMALL, **changed})).eval().requires_grad_(False)
    for parameter in network.parameters():  # far from its start, where residuals are near zero
        parameter.data += 0.2 * torch.randn_like(parameter)
    return network


def _seen(rng, frames, height, width):
    features = rng.normal(0, 1, (frames, FEATURES, height, width)).astype(np.float32)
    return features, rng.normal(0, 1, (frames, height, width)).astype(np.float32)


def _tensors(features, prior):
    return torch.from_numpy(features)[None], torch.from_numpy(prior)[None, :, None]


def _compare(network, small, seen, region, bits=32):
    """Largest differences of logits and gains, and the bytes of both caches."""
    caches = AttentionCache(bits=bits), AttentionCache(bits=bits)
    host = on_host(network)
    network.prefill(*_tensors(*small), caches[0])
    host.prefill(*small, caches[1])
    wanted = network.decode(*_tensors(*seen), region, caches[0])
    ours = host.decode(*seen, region, caches[1])
    assert wanted.logits.std() > 0.3
    return (
        np.abs(ours.logits - wanted.logits[0].numpy()).max(),
        np.abs(ours.gains - wanted.gains[0].numpy()).max(),
        [cache.nbytes for cache in caches],
    )


@pytest.mark.parametrize("changed", [{}, {"cells": 0}, {"cube": 0}, {"blocks": 1, "width": 40}])
@pytest.mark.parametrize("frames", [1, 3])
def test_it_computes_what_torch_computes(rng, changed, frames):
    small, seen = _seen(rng, frames, 16, 20), _seen(rng, frames, 24, 40)
    region = Region(4, 8, 12, 20, 30, 50)
    logits, gains, sizes = _compare(_network(**changed), small, seen, region)
    assert logits < 1e-3
    assert gains < 1e-3
    assert sizes[0] == sizes[1]


def test_the_shipped_weights_compute_what_torch_computes(rng):
    network = weights.load(weights.find("ipl"))
    small, seen = _seen(rng, 3, 32, 44), _seen(rng, 3, 40, 64)
    logits, gains, sizes = _compare(network, small, seen, Region(0, 0, 20, 32, 40, 32))
    assert logits < 1e-2  # noise is nothing that it learned, and it amplifies rounding there
    assert gains < 1e-2
    # A compressed cache may round a few codes the other way; strong noise amplifies that.
    small, seen = [(0.3 * features, 0.3 * prior) for features, prior in (small, seen)]
    logits, gains, sizes = _compare(network, small, seen, Region(0, 0, 20, 32, 40, 32), bits=8)
    assert logits < 0.1
    assert sizes[0] == sizes[1]


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path):
    network = _network()
    network.config = IPLConfig()
    weights.save(network, tmp_path / "w.safetensors", notes={})
    with pytest.raises(WeightsError, match=r"w\.safetensors: does not fit"):
        HostBackend.of(weights.read(tmp_path / "w.safetensors"))
