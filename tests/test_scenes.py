"""Synthetic scenes: any rectangle at any size shows the same place; exposures frame the scene."""

import cv2
import numpy as np
import pytest
import torch

from mefuse.synth.scenes import Picture, draw_exposures, draw_scene, load_pictures


@pytest.fixture
def pictures(rng):
    smooth = cv2.resize(rng.uniform(0, 255, (12, 16, 3)), (256, 192)).clip(0, 255)
    photo = torch.from_numpy(smooth.astype(np.uint8)).permute(2, 0, 1)
    light = torch.from_numpy(np.exp2(cv2.resize(rng.normal(0, 2, (8, 12, 3)), (200, 150))))
    return [Picture("photo", photo), Picture("hdr", light.permute(2, 0, 1).half())]


@pytest.mark.parametrize("seed", range(8))
def test_a_detail_shows_what_the_whole_shows_there(pictures, seed):
    scene = draw_scene(np.random.default_rng(seed), pictures, size_px=64, zoom=2.0)
    whole = scene.radiance(0.0, 0.0, 1.0, 128)[:, 32:96, 64:128]
    detail = scene.radiance(0.25, 0.5, 0.5, 64)
    assert detail.shape == (3, 64, 64)
    difference = (torch.log2(detail + 1e-3) - torch.log2(whole + 1e-3)).abs()
    assert difference.mean() < 0.25


def test_scenes_are_repeatable(pictures):
    one, two = (
        draw_scene(np.random.default_rng(4), pictures, size_px=32, zoom=1.0) for _ in range(2)
    )
    assert torch.equal(one.radiance(0, 0, 1, 32), two.radiance(0, 0, 1, 32))


def test_an_extreme_pair_holds_highlights_and_shadows(rng):
    luminance = torch.exp2(torch.linspace(-6, 4, 5000))
    for seed in range(20):
        gains = draw_exposures(np.random.default_rng(seed), luminance, count=2, extreme=True)
        dark, bright = gains.tolist()
        assert bright >= 2 * dark
        assert (luminance * dark > 1.3).float().mean() < 0.1  # highlights survive
        assert (luminance * bright < 0.02).float().mean() < 0.3  # shadows show


def test_a_ladder_steps_evenly(rng):
    gains = draw_exposures(rng, torch.rand(1000), count=5, extreme=False)
    steps = torch.log2(gains).diff()
    assert torch.allclose(steps, steps[0].expand(4), atol=1e-3)
    assert steps[0] > 0.5


def test_pictures_are_loaded_linear_or_as_photographs(tmp_path, rng):
    cv2.imwrite(str(tmp_path / "b.hdr"), rng.uniform(0, 9, (8, 8, 3)).astype(np.float32))
    cv2.imwrite(str(tmp_path / "a.png"), rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    photo, hdr = load_pictures(tmp_path)
    assert (photo.name, photo.is_hdr, hdr.name, hdr.is_hdr) == ("a.png", False, "b.hdr", True)
    assert hdr.pixels.float().mean(0).median().item() == pytest.approx(0.18, rel=0.01)
