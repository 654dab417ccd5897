"""Streaming of levels: slices equal the whole and the definition; order and count are free."""

import numpy as np
import pytest
import torch

from mefuse.aligned import Aligned
from mefuse.blend import to_rgb, within_gamut
from mefuse.level_stream import LevelFuser, load_level_fuser
from mefuse.levels import fuse_brackets
from mefuse.models.deepfuse import DeepFuse, DeepFuseConfig
from mefuse.models.lcndr import LCNDR, LCNDRConfig
from mefuse.slices import Rect
from mefuse.synth.sample import make_sample

CPU = torch.device("cpu")


def _awake(network):
    """A network whose weights matter as those of a trained one do."""
    torch.manual_seed(5)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["deepfuse", "lcndr"])
def network(request):
    if request.param == "deepfuse":
        return _awake(DeepFuse(DeepFuseConfig(width=4)))
    return _awake(LCNDR(LCNDRConfig(width=4, tokens=3, revision=4)))


@pytest.fixture(scope="module")
def room():
    """The darkest and the brightest frame of the built-in scene, more than 512 px wide."""
    darkest, *_, brightest = make_sample(528, 576, seed=1)
    return [frame.pixels for frame in (darkest, brightest)]


def _frames(rng, height, width, *, count=3, dtype=np.uint8):
    texture = rng.uniform(0, 1, (height, width, 3))
    light = 4.0 ** np.sin(np.arange(width) / 40)[None, :, None]
    top = np.iinfo(dtype).max
    gains = 4.0 ** np.arange(count) / 8
    return [(np.clip(texture * light * g, 0, 1) ** 0.45 * top).astype(dtype) for g in gains]


def _fuse(network, frames, *, size=None, depth=8, **how):
    fuser = LevelFuser("test", network, device=CPU)
    bracket = Aligned.of(frames, reference=0, ghost="off", **how)
    return fuser.fuse(bracket, depth=depth, slice_size=size, on_slice=None)


def _psnr(one, other):
    top = np.iinfo(one.dtype).max
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return 10 * np.log10(top**2 / max(error, 1e-12))


@pytest.mark.parametrize("size", [64, 128])
def test_slices_equal_the_whole(rng, network, size):
    frames = _frames(rng, 140, 200, dtype=np.uint16)
    whole = _fuse(network, frames, size=1024, depth=16).pixels
    assert _psnr(_fuse(network, frames, size=size, depth=16).pixels, whole) > 85


@pytest.mark.parametrize("name", ["deepfuse", "lcndr"])
def test_slices_of_the_room_equal_the_whole_with_the_weights_that_ship(room, name):
    fuser = load_level_fuser(name, device="cpu")
    whole, *sliced = (
        fuser.fuse(
            Aligned.of(room, reference=0, ghost="off"), depth=16, slice_size=size, on_slice=None
        ).pixels
        for size in (640, 512, 256)
    )
    for pixels in sliced:
        assert _psnr(pixels, whole) > 70


def test_streaming_is_what_training_saw(rng, network):
    frames = _frames(rng, 128, 192)
    rgb = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float().div(255)[None]
    luma, chroma = fuse_brackets(network, rgb, rgb)
    whole = to_rgb(luma, within_gamut(luma, chroma))[0].clamp(0, 1).mul(255).round()
    # The cache is quantised here and not there.
    streamed = _fuse(network, frames, size=64).pixels
    assert _psnr(whole.permute(1, 2, 0).byte().numpy(), streamed) > 45


def test_slices_of_warped_and_cropped_frames_equal_the_whole(rng, network):
    frames = _frames(rng, 150, 170, count=2)
    turned = np.array([[0.999, 0.01, 3.3], [-0.01, 1.001, -2.6], [1e-6, 0, 1]])
    how = {"transforms": [np.eye(3), turned], "crop": Rect(7, 9, 131, 143)}
    whole = _fuse(network, frames, size=512, **how).pixels
    assert whole.shape == (131, 143, 3)
    assert _psnr(_fuse(network, frames, size=64, **how).pixels, whole) > 60


def test_the_order_of_frames_does_not_matter(rng, network):
    frames = _frames(rng, 96, 128)
    other = _fuse(network, [frames[i] for i in (2, 0, 1)], depth=16).pixels
    assert _psnr(_fuse(network, frames, depth=16).pixels, other) > 85


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (65, 63)])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_size_and_count(rng, network, size, count):
    frames = _frames(rng, *size, count=count)
    pixels = _fuse(network, frames, depth=16).pixels
    assert pixels.shape == (*size, 3)
    assert pixels.dtype == np.uint16


def test_progress_counts_every_slice_once(rng, network):
    seen = []
    LevelFuser("test", network, device=CPU).fuse(
        Aligned.of(_frames(rng, 128, 192), reference=0, ghost="off"),
        depth=8,
        slice_size=64,
        on_slice=lambda done, total: seen.append((done, total)),
    )
    # 6 halved, 1 each of levels of 2, 4, 8, 16, 32 px, 2 of half size, 6 of the pixels
    assert seen == [(i + 1, 19) for i in range(6 + 5 + 2 + 6)]


def test_weight_maps_tell_who_gives_what(rng, network):
    texture = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    left, right = texture.copy(), texture.copy()
    left[:, 48:] = right[:, :48] = 128
    bracket = Aligned.of([left, right], reference=0, ghost="off")
    kept = (
        LevelFuser("test", network, device=CPU)
        .fuse(bracket, depth=8, slice_size=None, on_slice=None, keep_weight_maps=True)
        .weight_maps
    )
    assert kept.shape[0] == 2
    assert np.allclose(kept.sum(0), 1)
    middle = kept.shape[2] // 2
    assert kept[0, :, : middle - 4].mean() > 0.9 > 0.1 > kept[0, :, middle + 4 :].mean()
