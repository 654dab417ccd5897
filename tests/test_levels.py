"""Levels and the networks on them: exactness of the pyramid, regions, likeness, modules."""

import pytest
import torch

from mefuse.blend import luma_chroma, to_rgb
from mefuse.cache import AttentionCache
from mefuse.levels import (
    VIEW_PX,
    build_levels,
    fuse_brackets,
    fuse_chroma,
    fuse_levels,
    smaller,
    view_of,
)
from mefuse.models.deepfuse import DeepFuse, DeepFuseConfig
from mefuse.models.lcndr import LCNDR, LCNDRConfig


class Base:
    """A network that leaves the base as it is."""

    overlap_px = 0

    def prefill(self, luma, cache):
        """Sees nothing."""

    def decode(self, view, cache):
        """The base."""
        return view.base


def _awake(network):
    torch.manual_seed(6)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network.eval().requires_grad_(False)


def _networks():
    return [
        _awake(DeepFuse(DeepFuseConfig(width=4))),
        _awake(LCNDR(LCNDRConfig(width=4, tokens=3, revision=4))),
    ]


def _luma(count=3, size=(66, 93)):
    generator = torch.Generator().manual_seed(1)
    scene = torch.rand(1, 1, *size, generator=generator)
    gains = torch.tensor([0.2, 0.7, 2.5, 4.0])[:count, None, None]
    return (scene * gains).clamp(0, 1)


def _filled(network, luma):
    cache = AttentionCache(bits=32)
    network.prefill(luma, cache)
    return cache


def test_levels_end_where_a_side_is_one():
    sizes = [tuple(level.shape[-2:]) for level in build_levels(_luma())]
    assert sizes == [(66, 93), (33, 47), (17, 24), (9, 12), (5, 6), (3, 3), (2, 2), (1, 1)]


@pytest.mark.parametrize("network", [Base(), *_networks()], ids=lambda n: type(n).__name__)
def test_a_frame_repeated_comes_back(network):
    luma = _luma(count=2)[:, 1:].expand(-1, 3, -1, -1)
    fused = fuse_levels(network, luma, _filled(network, luma))
    assert (fused - luma[:, 0]).abs().max() < 1e-4


@pytest.mark.parametrize("network", [Base(), *_networks()], ids=lambda n: type(n).__name__)
def test_the_order_of_frames_does_not_matter(network):
    luma = _luma()
    turned = luma[:, [2, 0, 1]]
    one = fuse_levels(network, luma, _filled(network, luma))
    other = fuse_levels(network, turned, _filled(network, turned))
    assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("network", _networks(), ids=lambda n: type(n).__name__)
def test_the_overlap_is_enough_and_no_more_than_a_few_pixels_too_much(network):
    luma = _luma(count=2, size=(128, 128))
    coarser = smaller(luma)
    fused = coarser.mean(1)
    cache = _filled(network, luma)

    def difference(overlap):
        cut, half = slice(64 - overlap, None), slice((64 - overlap) // 2, None)
        whole = network.decode(view_of(luma, coarser, fused, index=0), cache)
        parts = (luma[..., cut, cut], coarser[..., half, half], fused[..., half, half])
        part = network.decode(view_of(*parts, index=0), cache)
        return (whole[..., 64:, 64:] - part[..., overlap:, overlap:]).abs().max()

    enough = VIEW_PX + network.overlap_px
    assert difference(enough + enough % 2) < 1e-5
    assert difference(6) > 1e-4


def test_what_a_network_decides_counts_where_exposures_differ():
    luma = _luma(count=2)
    differ = view_of(luma, smaller(luma), smaller(luma).mean(1), index=0).unlike
    near = luma[:, :1].expand(-1, 2, -1, -1) + 0.002
    alike = view_of(near, smaller(near), smaller(near).mean(1), index=0).unlike
    assert differ.mean() > 0.9
    assert alike.max() < 0.01


def test_the_strongest_frame_gives_the_band():
    luma = _luma(count=2)
    luma[:, 1] = 0.5  # shows nothing
    view = view_of(luma, smaller(luma), smaller(luma).mean(1), index=0)
    assert torch.allclose(view.base, view.bands[:, 0], atol=0.02)
    assert view.power[:, 1].max() < -2 < view.power[:, 0].min()


def test_chroma_is_weighted_by_its_distance_from_gray():
    chroma = torch.zeros(1, 2, 2, 1, 1)
    chroma[0, :, 0, 0, 0] = torch.tensor([0.3, -0.1])
    fused = fuse_chroma(chroma)
    assert fused[0, 0, 0, 0] == pytest.approx((0.3 * 0.3 - 0.1 * 0.1) / 0.4)
    assert fused[0, 1, 0, 0] == 0


def test_training_sees_the_luma_that_a_file_would_hold():
    torch.manual_seed(2)
    detail = torch.rand(1, 3, 3, 64, 64) * torch.tensor([1.0, 0.1, 0.4])[:, None, None]
    luma, chroma = fuse_brackets(Base(), detail, detail)
    kept = to_rgb(luma, chroma).clamp(0, 1)
    assert torch.allclose(luma_chroma(kept)[0], luma.clamp(0, 1), atol=1e-5)
    loose = to_rgb(luma, fuse_chroma(luma_chroma(detail)[1]))
    assert (luma_chroma(loose.clamp(0, 1))[0] - luma.clamp(0, 1)).abs().max() > 0.01


def test_paper_sizes():
    def size(network):
        return sum(weight.numel() for weight in network.parameters())

    # DeepFuse has the paper's 89 k, and weights for three more inputs and one more output.
    assert size(DeepFuse()) == 90_562
    assert size(LCNDR()) == 82_375


@pytest.mark.parametrize("without", ["collaboration", "tokens", "revision"])
def test_each_module_can_be_left_out(without):
    sizes = {"width": 4, "tokens": 3, "revision": 4}
    network = _awake(LCNDR(LCNDRConfig(**{**sizes, without: 0})))
    luma = _luma()
    fused = fuse_levels(network, luma, _filled(network, luma))
    whole = _awake(LCNDR(LCNDRConfig(**sizes)))
    assert sum(w.numel() for w in network.parameters()) < sum(w.numel() for w in whole.parameters())
    other = fuse_levels(whole, luma, _filled(whole, luma))
    assert (fused - other).abs().max() > 1e-3


def test_attention_shows_the_whole_picture():
    network = _awake(LCNDR(LCNDRConfig(width=4, tokens=3, revision=4)))
    luma = _luma()
    here = fuse_levels(network, luma, _filled(network, luma))
    elsewhere = fuse_levels(network, luma, _filled(network, 1 - luma))
    assert (here - elsewhere).abs().max() > 1e-3


def test_the_middle_of_the_finest_level_alone_is_as_the_whole_there():
    network = _networks()[0]
    luma = _luma(size=(128, 128))
    whole = fuse_levels(network, luma, _filled(network, luma))
    middle = fuse_levels(network, luma, _filled(network, luma), finest_px=32)
    rows = slice(64 - 16, 64 + 16)
    assert torch.allclose(whole[..., rows, rows], middle[..., rows, rows], atol=1e-5)
    assert (whole - middle).abs().max() > 1e-3
