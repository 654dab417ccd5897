"""The measurement of IPL's parts: variants differ where they should, and only there."""

import numpy as np
import pytest
import torch

from helpers import on_host
from mefuse.bench.ablation import Alone, Variant, measure, variants
from mefuse.models.ipl import IPL
from mefuse.models.ipl_config import IPLConfig

SMALL = {"width": 8, "blocks": 1, "cells": 3, "key_width": 4, "cube": 4}


def _network(**changed):
    torch.manual_seed(4)
    network = IPL(IPLConfig(**{**SMALL, **changed})).eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return on_host(network)


def _bracket(rng, side=704):
    scene = rng.uniform(0, 1, (side, side, 3))
    return [(np.clip(scene * gain, 0, 1) * 255).astype(np.uint8) for gain in (0.3, 3.0)]


def test_without_the_cache_slices_show_and_with_it_they_do_not(rng):
    frames = [_bracket(rng), _bracket(rng)]
    network = _network()
    table = measure([Variant("whole", network), Variant("alone", Alone(network))], frames)
    assert table["whole"]["slices_db"] == 99.0
    assert table["alone"]["slices_db"] < 70
    assert table["whole"]["structure"] > 0


def test_variants_change_what_they_say():
    found = {variant.name: variant for variant in variants(_network())}
    assert found["cache of 4 bits"].bits == 4
    assert found["prefill 128 px"].prefill_px == 128
    assert isinstance(found["without cache"].network, Alone)


@pytest.mark.parametrize(("missing", "part"), [("cells", "daem"), ("cube", "drtm")])
def test_a_network_without_a_part_still_fuses(rng, missing, part):
    network = _network(**{missing: 0})
    assert {None} == {getattr(block, part) for block in network.blocks}
    fused = Variant("without", network).fuse(_bracket(rng, side=128))
    assert fused.std() > 1
