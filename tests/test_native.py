"""The compiled kernels against what they replace: at any size and strides, between guards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mefuse import warp
from mefuse.grid import BANDS, FINE, LOGITS, Glimpse, Maps
from mefuse.host import blend as host_blend
from mefuse.host import features as host_features
from mefuse.host import ipl as host_ipl
from mefuse.host.layers import (
    GELU_CURVE,
    depthwise,
    gelu,
    halved,
    mixed,
    shuffled,
    sigmoid,
    tall,
    wide,
)
from mefuse.native import blend, features, library, network
from mefuse.native import warp as native_warp
from mefuse.slices import Rect

pytestmark = pytest.mark.skipif(
    library.load() is None, reason="there are no kernels here; python hatch_build.py builds them"
)

ODD = st.integers(1, 17)
GRIDS = st.integers(1, 9).map(lambda n: 8 * n)
DTYPES = st.sampled_from([np.uint8, np.uint16])
GUARD = 5  # pixels on every side of an array that nobody may read or write
AROUND = 64  # likewise numbers, where rows follow each other
LAYOUTS = ["whole", "rows apart", "upside down", "mirrored", "colours swapped"]


def _guarded(rng, shape, dtype, layout, fill):
    """Random pixels whose memory lies amid `fill`, laid out as asked."""
    pixels = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    height, width, channels = shape
    if layout == "whole":
        around = np.full(pixels.size + 2 * AROUND, fill, dtype)
        view = around[AROUND:-AROUND].reshape(shape)
    else:
        around = np.full((height + 2 * GUARD, width + 2 * GUARD, channels), fill, dtype)
        view = around[GUARD:-GUARD, GUARD:-GUARD]
    view = {
        "upside down": view[::-1],
        "mirrored": view[:, ::-1],
        "colours swapped": view[..., ::-1],
    }.get(layout, view)
    view[...] = pixels
    return view


def _both_fills(seed, shape, dtype, layout):
    """The same pixels twice, amid zeros and amid the largest codes: who reads beside differs."""
    for fill in (0, np.iinfo(dtype).max):
        yield _guarded(np.random.default_rng(seed), shape, dtype, layout, fill)


def _brackets(seed, count, shape, dtype, layout):
    """The same of a bracket."""
    fills = (_both_fills(seed + n, shape, dtype, layout) for n in range(count))
    return zip(*fills, strict=True)


def _transform(rng):
    matrix = np.eye(3) + rng.normal(0, 0.02, (3, 3))
    matrix[:2, 2] = rng.uniform(-6, 6, 2)
    matrix[2] = *rng.normal(0, 1e-4, 2), 1.0
    return matrix


@settings(max_examples=100, deadline=None)
@given(ODD, ODD, ODD, ODD, DTYPES, st.sampled_from(LAYOUTS), st.integers(0, 9999))
def test_regions_are_warped_as_without_kernels(height, width, rows, columns, dtype, layout, seed):
    rng = np.random.default_rng(seed)
    matrix = _transform(rng)
    rect = Rect(*(int(x) for x in rng.integers(-4, 12, 2)), rows, columns)
    found = []
    for frame in _both_fills(seed, (height, width, 3), dtype, layout):
        part, left, top = warp._part_for(frame, matrix, rect)
        found.append(native_warp.warp(part, matrix, rect, left=left, top=top))
    assert np.array_equal(*found)
    plain = np.empty_like(found[0])
    warp._warp_block(frame, matrix, rect, into=plain)
    # OpenCV adds uint8 with shares of 1/32768, and uint16 in single precision.
    assert np.abs(found[0].astype(int) - plain).max() <= 1


@settings(max_examples=50, deadline=None)
@given(ODD, ODD, DTYPES, st.integers(0, 9999))
def test_a_warp_writes_its_rows_alone(height, width, dtype, seed):
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 255, (11, 13, 3)).astype(dtype)
    room = np.full((height + 2, width + 2 * GUARD, 3), 77, dtype)
    out, matrix = room[1:-1, GUARD:-GUARD], _transform(rng)
    failed = library.load().mefuse_warp(
        frame.ctypes.data, frame.strides[0], 11, 13, 0, 0, frame.itemsize,
        matrix.ctypes.data, 0, 0, height, width, out.ctypes.data, out.strides[0],
    )  # fmt: skip
    assert not failed
    out[...] = 77
    assert (room == 77).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), GRIDS, GRIDS, DTYPES, st.sampled_from(LAYOUTS), st.integers(0, 9999))
def test_a_glimpse_is_that_without_kernels(count, height, width, dtype, layout, seed):
    shape = (height, width, 3)
    found = []
    for frames in _brackets(seed, count, shape, dtype, layout):
        found.append(blend.glimpse(frames))
    plain = host_features._glimpse(frames)
    for part in ("colour", "luma", "energies"):
        one, other, wanted = (getattr(seen, part) for seen in (*found, plain))
        assert np.array_equal(one, other)
        assert np.allclose(one, wanted, rtol=2e-4, atol=2e-6)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 5), GRIDS, GRIDS, DTYPES, st.sampled_from([8, 16]),
    st.sampled_from(LAYOUTS), st.integers(0, 9999),
)  # fmt: skip
def test_pixels_are_blended_as_without_kernels(count, height, width, dtype, depth, layout, seed):
    rng = np.random.default_rng(seed)
    size = (height // 8, width // 8)
    # Maps are parts of larger ones, as slices have them.
    logits = rng.normal(0, 2, (count, LOGITS, size[0] + 2, size[1] + 3)).astype(np.float32)
    gains = rng.uniform(0, 3, (BANDS, size[0] + 2, size[1] + 3)).astype(np.float32)
    maps = Maps(logits[..., 1:-1, 1:-2], gains[..., 1:-1, 1:-2])
    coarse = rng.uniform(0, 1, (size[0], size[1] + 2)).astype(np.float32)[:, 1:-1]
    shape = (height, width, 3)
    found = []
    for frames in _brackets(seed, count, shape, dtype, layout):
        found.append(blend.blend_fine(frames, coarse, maps, depth=depth))
    assert np.array_equal(*found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "load", lambda: None)
        plain = host_blend.blend_fine(frames, coarse, maps, depth=depth)
    assert found[0].dtype == plain.dtype == (np.uint8 if depth == 8 else np.uint16)
    assert np.abs(found[0].astype(int) - plain).max() <= {8: 1, 16: 24}[depth]


def test_there_may_be_more_frames_than_anybody_takes(rng):
    frames = list(rng.integers(0, 255, (70, 8, 8, 3), np.uint8))
    maps = Maps(
        rng.normal(0, 1, (70, LOGITS, 1, 1)).astype(np.float32), np.ones((BANDS, 1, 1), np.float32)
    )
    coarse = np.full((1, 1), 0.5, np.float32)
    found = blend.blend_fine(frames, coarse, maps, depth=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "load", lambda: None)
        plain = host_blend.blend_fine(frames, coarse, maps, depth=8)
    assert np.abs(found.astype(int) - plain).max() <= 1


EVEN = st.integers(1, 9).map(lambda n: 2 * n)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), EVEN, st.integers(1, 9), EVEN, st.integers(1, 4), st.integers(1, 40),
    st.integers(1, 7), st.integers(0, 9999),
)  # fmt: skip
def test_a_block_is_that_without_kernels(count, height, width, across, side, keys, tokens, seed):
    """Of any number of frames, channels (`width`), keys and slices in the cache."""
    rng = np.random.default_rng(seed)

    def drawn(*shape):
        return rng.normal(0, 0.5, shape).astype(np.float32)

    x = drawn(count, height, width, across)
    share = rng.uniform(0.1, 1, (count, height, 1, across)).astype(np.float32)
    share /= share.sum(0)
    query, places = drawn(keys, width), drawn(height // 2, keys, across // 2)
    key, value = drawn(tokens, keys), drawn(width, tokens)
    context = np.empty((count, height // 2, width, across // 2), np.float32)
    for frame, out in zip(x, context, strict=True):
        network.attend(frame, query, places, key, value, out=out)
    for frame, seen in zip(x, context, strict=True):
        wanted = host_ipl._context(halved(query @ frame) + places, key, value)
        assert np.allclose(seen, wanted, atol=1e-5)
    block = network.Block(
        x.copy(), share, context, drawn(width, 3, 3), drawn(width), drawn(count, width, width),
        drawn(2 * width, width), drawn(2 * width, width), drawn(2 * width, 1),
        drawn(width, 2 * width), drawn(width, 1), drawn(count, side, 2 * width, across),
        rng.uniform(0, side - 1, height).astype(np.float32), GELU_CURVE,
    )  # fmt: skip
    network.integrate(block)
    assert np.allclose(block.x, _integrated(x, block), rtol=1e-4, atol=1e-4)


def _integrated(x, block):
    """What `mefuse_integrate` makes of x, from `host.layers`."""
    seen = []
    for n, frame in enumerate(x):
        near = depthwise(frame, block.kernels, block.kernel_bias)
        gelu(near)
        seen.append(
            frame + block.mix[n] @ near + tall(wide(block.context[n]), slice(0, len(frame)))
        )
    mean = sum(frame * part for frame, part in zip(seen, block.share, strict=True))
    found = []
    shares = np.maximum(1 - np.abs(block.rows[:, None] - np.arange(block.cubes.shape[1])), 0)
    for frame, cube in zip(seen, block.cubes, strict=True):
        both = np.ascontiguousarray(block.own @ frame + block.others @ mean + block.meet_bias)
        gelu(both)
        settled = frame + block.settle @ both + block.settle_bias
        gates, shifts = np.split(mixed(shares.astype(np.float32), cube), 2, 1)
        found.append(2 * settled * sigmoid(gates) + shifts)
    return np.stack(found)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 19),
    st.integers(1, 19),
    st.integers(0, 3),
    st.integers(0, 9999),
)
def test_frames_are_described_as_without_kernels(count, height, width, beyond, seed):
    """Of parts of larger grids, whose coarse bands reach `beyond` them."""
    rng = np.random.default_rng(seed)

    def drawn(most, *shape):
        whole = rng.uniform(0, most, (*shape[:-2], shape[-2] + 2, shape[-1] + 3))
        whole[..., ::2, :] *= rng.uniform(0, 1e-3)  # next to nothing as well
        return whole.astype(np.float32)[..., 1:-1, 2:-1]

    seen = Glimpse(
        drawn(1, count, 3, height, width),
        drawn(1.1, count, height, width) - np.float32(0.05),
        drawn(0.02, count, FINE, height, width),
    )
    coarse = []
    for level in range(1, BANDS - FINE + 1):
        size = (-(-height // 2**level) + beyond, -(-width // 2**level) + beyond)
        coarse.append((drawn(0.02, count, *size), drawn(0.04, 1, *size)))
    found, wanted = features.describe(seen, coarse), host_features._describe(seen, coarse)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        assert np.allclose(one, other, rtol=1e-5, atol=2e-5)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 3), EVEN, st.integers(1, 9), EVEN, st.integers(1, 9), st.integers(1, 9),
    st.integers(0, 9999),
)  # fmt: skip
def test_cells_and_maps_are_those_without_kernels(count, height, channels, width, ins, outs, seed):
    rng = np.random.default_rng(seed)

    def drawn(*shape):
        return rng.normal(0, 0.5, shape).astype(np.float32)

    seen, matrix, bias = (
        drawn(count, ins, height, width),
        drawn(channels, 4 * ins),
        drawn(channels, 1),
    )
    cells = network.reduce(seen, matrix, bias, GELU_CURVE)
    pairs = seen.reshape(count, ins, height // 2, 2, width // 2, 2).transpose(0, 2, 1, 3, 5, 4)
    wanted = matrix @ pairs.reshape(count, height // 2, 4 * ins, width // 2) + bias
    gelu(wanted)
    assert np.allclose(cells, wanted, rtol=1e-4, atol=1e-5)
    share = rng.uniform(0.1, 1, (count, height // 2, 1, width // 2)).astype(np.float32)
    heads = network.Heads(
        cells, share / share.sum(0), drawn(count, height, width),
        drawn(4 * outs, channels), drawn(4 * outs, 1), drawn(8, channels), drawn(8, 1),
        rng.uniform(0.5, 9, outs).astype(np.float32), drawn(outs), np.array([3.0], np.float32),
    )  # fmt: skip
    logits, gains = network.decide(heads)
    limits, scale = heads.limits[:, None, None], heads.scale[:, None, None]
    for frame, own, found in zip(cells, heads.prior, logits, strict=True):
        raw = shuffled(heads.frame @ frame + heads.frame_bias)
        assert np.allclose(found, limits * np.tanh(raw / limits) + scale * own, atol=5e-5)
    mean = (cells * heads.share).sum(0)
    raw = shuffled(heads.shared @ mean + heads.shared_bias)
    assert np.allclose(gains, 3 * sigmoid(raw), atol=2e-5)
