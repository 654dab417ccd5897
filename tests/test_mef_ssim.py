"""MEF-SSIM against a direct per-patch computation, and against its authors' own program."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mefuse.metrics.mef_ssim import (
    box_mean,
    gray,
    gray_plane,
    halved,
    measure_mef_ssim,
    mef_ssim,
    mef_ssim_scales,
)

GOLDEN = Path(__file__).parents[2] / "shared" / "data" / "golden"


def _patchwise(frames, fused):
    """One scale, patch by patch, straight from the paper's equations."""
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / np.outer(taps, taps).sum()
    scores = []
    for row in range(frames.shape[1] - 10):
        for column in range(frames.shape[2] - 10):
            patches = frames[:, row : row + 11, column : column + 11]
            centred = patches - patches.mean((1, 2), keepdims=True)
            norms = np.sqrt((centred**2).sum((1, 2)))
            agreement = np.linalg.norm(centred.sum(0)) / norms.sum()
            power = min(math.tan(math.pi / 2 * min(agreement, 1)), 10)
            contrast = norms + 0.001
            share = (contrast / 11) ** power
            structure = np.tensordot(share / share.sum() / contrast, centred, 1)
            structure *= contrast.max() / np.linalg.norm(structure)
            patch = fused[row : row + 11, column : column + 11]
            one = structure - (window * structure).sum()
            two = patch - (window * patch).sum()
            covariance = (window * one * two).sum()
            variances = (window * one**2).sum() + (window * two**2).sum()
            constant = (0.03 * 255) ** 2
            scores.append((2 * covariance + constant) / (variances + constant))
    return np.mean(scores)


@pytest.fixture
def bracket(rng):
    scene = cv2.GaussianBlur(rng.uniform(0, 1, (60, 64)), (0, 0), 2)
    scene = (scene - scene.min()) / np.ptp(scene)
    frames = np.stack([np.clip(scene * gain, 0, 1) ** 0.5 for gain in (0.4, 1.0, 2.5)])
    noise = rng.normal(0, 0.01, frames.shape)
    return np.round(np.clip(frames + noise, 0, 1) * 255)


def test_the_finest_scale_equals_the_patchwise_computation(bracket):
    fused = np.round(bracket.mean(0))
    scores = mef_ssim_scales(torch.from_numpy(bracket)[None], torch.from_numpy(fused)[None])
    assert scores[0, 0].item() == pytest.approx(_patchwise(bracket, fused), abs=1e-6)


def test_float32_agrees_with_float64(bracket):
    frames, fused = torch.from_numpy(bracket)[None], torch.from_numpy(bracket.mean(0))[None]
    exact, single = mef_ssim(frames, fused), mef_ssim(frames.float(), fused.float())
    assert single.item() == pytest.approx(exact.item(), abs=2e-5)


def test_it_rewards_structure_and_ignores_brightness(bracket):
    frames = torch.from_numpy(bracket)[None]
    average = frames.mean(1)
    flat = torch.full_like(average, 128.0)
    assert mef_ssim(frames, average) > mef_ssim(frames, flat) + 0.2
    shifted = mef_ssim(frames, average * 0.5 + 60)
    assert mef_ssim(frames, average * 0.5 + 10).item() == pytest.approx(shifted.item(), abs=1e-9)


def test_the_report_equals_the_loss_for_several_pictures_at_once(bracket):
    frames = torch.from_numpy(bracket)[None]
    pictures = [bracket.mean(0).round(), bracket[1]]
    exact = [mef_ssim(frames, torch.from_numpy(picture)[None]).item() for picture in pictures]
    found = measure_mef_ssim(
        list(bracket.astype(np.uint8)), [picture.astype(np.uint8) for picture in pictures]
    )
    assert found == pytest.approx(exact, abs=1e-9)


def test_gradients_reach_the_fused_picture(bracket):
    fused = torch.from_numpy(bracket.mean(0))[None].requires_grad_()
    mef_ssim(torch.from_numpy(bracket)[None], fused).sum().backward()
    assert torch.isfinite(fused.grad).all()
    assert fused.grad.abs().max() > 0


def test_halving_averages_two_by_two_and_repeats_an_odd_border():
    maps = torch.arange(15.0).reshape(1, 3, 5)
    assert halved(maps)[0].tolist() == [[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]]


def test_box_mean_is_the_mean_of_each_window():
    maps = torch.rand(2, 3, 12, 13)
    assert torch.allclose(box_mean(maps, 11)[1, 2, 1, 2], maps[1, 2, 1:12, 2:13].mean())


def test_a_gray_plane_is_rounded_gray(rng):
    pixels = rng.integers(0, 256, (90, 33, 3)).astype(np.uint8)
    exact = gray(torch.from_numpy(pixels).permute(2, 0, 1).double()).numpy()
    assert np.array_equal(gray_plane(pixels), exact)


def test_pixels_that_must_not_be_written_are_measured_without_a_warning(rng):
    pixels = rng.integers(0, 256, (24, 24, 3), np.uint8)
    wanted = gray_plane(pixels)
    pixels.flags.writeable = False  # as those of a TIFF file
    assert np.array_equal(gray_plane(pixels), wanted)


def _read_golden(name):
    pixels = cv2.cvtColor(cv2.imread(str(GOLDEN / name)), cv2.COLOR_BGR2RGB)
    return gray(torch.from_numpy(pixels).permute(2, 0, 1).double())


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the authors' own scores are not at hand")
def test_it_agrees_with_the_authors_program():
    for case in json.loads((GOLDEN / "mef_ssim.json").read_text())["cases"]:
        frames = torch.stack([_read_golden(name) for name in case["frames"]])[None]
        fused = _read_golden(case["fused"])[None]
        assert mef_ssim(frames, fused).item() == pytest.approx(case["mef_ssim"], abs=1e-4)
        planes = [plane.numpy().astype(np.uint8) for plane in (*frames[0], fused[0])]
        (reported,) = measure_mef_ssim(planes[:-1], planes[-1:])
        assert reported == pytest.approx(case["mef_ssim"], abs=1e-4)
        scales = mef_ssim_scales(frames, fused)[0].tolist()
        assert scales == pytest.approx(case["scales"], abs=1e-4)
