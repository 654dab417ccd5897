"""What a network sees: bounded, on the grid, and true about whose detail it is."""

import pytest
import torch

from mefuse.blend import build_pyramid, decompose
from mefuse.features import describe, glimpse, sense
from mefuse.grid import BANDS, FEATURES, FINE

SHARES = 8 + BANDS  # first channel that compares the frames' energies
AGREEMENT = 8 + 2 * BANDS  # first channel that says how far the frames agree


def _noise(height, width, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 1, height // 8, width // 8, generator=generator)
    big = torch.nn.functional.interpolate(small, size=(height, width), mode="bilinear")
    grain = torch.rand(1, 1, height, width, generator=generator)
    return (0.85 * big + 0.15 * grain).expand(1, 3, -1, -1)[:, None]


def test_features_are_bounded_and_on_the_grid_of_8_px():
    black = torch.zeros(1, 1, 3, 64, 96)
    rgb = torch.cat((_noise(64, 96), black, black + 1), 1)
    features, prior = sense(rgb, decompose(rgb))
    assert features.shape == (1, 3, FEATURES, 8, 12)
    assert prior.shape == (1, 3, 1, 8, 12)
    assert features.abs().max() < 4
    assert (prior[:, 0] > prior[:, 1]).all()
    assert (prior[:, 0] > prior[:, 2]).all()


def test_a_frame_without_detail_has_no_share_of_it():
    rgb = torch.cat((_noise(64, 64), torch.full((1, 1, 3, 64, 64), 0.5)), 1)
    features, _ = sense(rgb, decompose(rgb))
    shares = features[0, :, SHARES : SHARES + BANDS]
    assert shares[0] == pytest.approx(0.5, abs=0.02)  # all of it: log(1) / 3 + 0.5
    assert shares[1].max() < -0.5


def test_frames_of_one_scene_agree_and_of_two_scenes_do_not():
    scene, other = _noise(64, 64), _noise(64, 64, seed=1)
    same = torch.cat((scene * 0.5, scene), 1)
    different = torch.cat((scene, other), 1)
    agreement = [sense(x, decompose(x))[0][0, 0, AGREEMENT:].mean() for x in (same, different)]
    assert agreement[0] == pytest.approx(1, abs=0.02)
    assert agreement[1] < 0.4


def test_a_part_of_the_picture_is_described_as_in_the_whole():
    rgb = torch.cat((_noise(256, 256), _noise(256, 256, seed=1)), 1)
    seen = glimpse(rgb, decompose(rgb))
    pyramid = build_pyramid(seen.luma)
    everything = slice(0, 32)
    whole, _ = describe(seen, pyramid.within((everything, everything)))
    rows, columns = slice(8, 32), slice(0, 24)
    part = seen.part((rows, columns))
    described, _ = describe(part, pyramid.within((rows, columns)))
    inner = described[..., 4:, :20]  # 32 px from a cut
    assert torch.equal(inner, whole[..., 12:, :20])
    assert part.energies.shape[2] == FINE
