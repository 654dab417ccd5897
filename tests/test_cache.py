"""The attention cache: round trips, sizes, budget."""

import numpy as np
import pytest
import torch

from mefuse.cache import AttentionCache
from mefuse.errors import InputError


@pytest.mark.parametrize(("bits", "steps"), [(8, 127), (4, 7)])
@pytest.mark.parametrize("shape", [(2, 3, 5), (3, 4, 7, 9), (1, 1, 1, 1)])
def test_a_block_comes_back_within_half_a_quantisation_step(bits, steps, shape):
    block = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3
    cache = AttentionCache(bits=bits)
    cache.update("a", block)
    peak = block.abs().amax(tuple(range(2, len(shape))), keepdim=True)
    error = (cache.read("a") - block).abs()
    assert (error <= peak / steps * 0.5001 + 1e-7).all()


def test_without_compression_a_block_comes_back_exactly():
    block = torch.randn(2, 3, 4)
    cache = AttentionCache(bits=32)
    cache.update("a", block)
    assert torch.equal(cache.read("a"), block)


def test_int8_takes_a_quarter_and_int4_an_eighth_of_float32():
    block = torch.randn(2, 8, 64, 64)
    sizes = {}
    for bits in (4, 8, 32):
        cache = AttentionCache(bits=bits)
        cache.update("a", block)
        sizes[bits] = cache.nbytes
    assert sizes[8] / sizes[32] == pytest.approx(0.25, abs=0.01)
    assert sizes[4] / sizes[32] == pytest.approx(0.125, abs=0.01)


@pytest.mark.parametrize("bits", [4, 8, 32])
@pytest.mark.parametrize("shape", [(2, 3, 5), (3, 4, 7, 9), (1, 1, 1, 1)])
def test_arrays_and_tensors_give_the_same_codes(rng, bits, shape):
    block = rng.normal(0, 3, shape).astype(np.float32)
    arrays, tensors = AttentionCache(bits=bits), AttentionCache(bits=bits)
    arrays.update("a", block)
    tensors.update("a", torch.from_numpy(block))
    assert arrays.nbytes == tensors.nbytes
    assert arrays.read("a").dtype == np.float32
    assert np.array_equal(arrays.read("a"), tensors.read("a").numpy())


def test_writing_a_name_again_replaces_its_block():
    cache = AttentionCache()
    cache.update("a", torch.ones(1, 1, 64))
    before = cache.nbytes
    cache.update("a", torch.full((1, 1, 64), 2.0))
    assert cache.nbytes == before
    assert torch.allclose(cache.read("a"), torch.full((1, 1, 64), 2.0), atol=0.02)


def test_a_block_over_the_budget_is_refused():
    cache = AttentionCache(budget_bytes=100)
    with pytest.raises(InputError, match="fewer frames"):
        cache.update("a", torch.ones(1, 1, 200))
