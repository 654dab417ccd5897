"""MEF-SSIMc against a direct per-patch computation; it sees brightness and colour."""

import numpy as np
import pytest
import torch

from mefuse.metrics.mef_ssimc import measure_mef_ssimc, mef_ssimc


def _patchwise(frames, fused):
    """Straight from the paper: (N, 3, H, W) and (3, H, W), 0..255."""
    scores = []
    whole = np.exp(-((frames.mean((1, 2, 3)) / 255 - 0.5) ** 2) / (2 * 0.2**2))
    for row in range(frames.shape[2] - 7):
        for column in range(frames.shape[3] - 7):
            patches = frames[:, :, row : row + 8, column : column + 8]
            patch = fused[:, row : row + 8, column : column + 8]
            means = patches.mean((1, 2, 3))
            share = whole * np.exp(-((means / 255 - 0.5) ** 2) / (2 * 0.2**2))
            luminance = (share * means).sum() / share.sum()
            best = patches[patches.var((1, 2, 3)).argmax()]
            covariance = ((best - best.mean()) * (patch - patch.mean())).mean()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            light = (2 * luminance * patch.mean() + c1) / (luminance**2 + patch.mean() ** 2 + c1)
            scores.append(light * (2 * covariance + c2) / (best.var() + patch.var() + c2))
    return np.mean(scores)


@pytest.fixture
def bracket(rng):
    scene = rng.uniform(0, 1, (3, 24, 20))
    return np.stack([np.clip(scene * gain, 0, 1) * 255 for gain in (0.4, 1.0, 2.5)])


def test_it_equals_the_patchwise_computation(bracket):
    fused = bracket.mean(0)
    score = mef_ssimc(torch.from_numpy(bracket)[None], torch.from_numpy(fused)[None]).item()
    assert score == pytest.approx(_patchwise(bracket, fused), abs=1e-9)


def test_a_darker_or_a_gray_picture_scores_less(bracket):
    frames, fused = torch.from_numpy(bracket)[None], torch.from_numpy(bracket[1])[None]
    score = mef_ssimc(frames, fused)
    assert mef_ssimc(frames, fused - 60) < score - 0.05
    assert mef_ssimc(frames, fused.mean(1, keepdim=True).expand_as(fused)) < score - 0.05


def test_the_report_equals_the_loss_for_several_pictures_at_once(rng):
    frames = rng.integers(0, 256, (3, 40, 50, 3)).astype(np.uint8)
    pictures = [frames.mean(0).astype(np.uint8), frames[0]]
    planes = torch.from_numpy(frames).permute(0, 3, 1, 2).double()[None]
    exact = [
        mef_ssimc(planes, torch.from_numpy(picture).permute(2, 0, 1).double()[None]).item()
        for picture in pictures
    ]
    assert measure_mef_ssimc(list(frames), pictures) == pytest.approx(exact, abs=1e-9)
