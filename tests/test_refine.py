"""The refinement of the fused luma: what it is by its own definition, and what it must never do."""

import pytest
import torch

import mefuse.refine as refinement
from mefuse.metrics.mef_ssim import mef_ssim
from mefuse.refine import _LeastSquares, _preconditioned, _Wanted, refine

SIZE = (72, 104)


def scene(rng, size=SIZE):
    """Luma (1, 3, h, w) of three exposures of a scene with structure at several scales."""
    height, width = size
    light = torch.zeros(1, 1, height, width)
    for cells in (3, 9, 27):
        drawn = torch.from_numpy(rng.uniform(-1, 1, (1, 1, cells, cells))).float()
        light = light + torch.nn.functional.interpolate(drawn, size, mode="bicubic")
    stops = torch.tensor([-2.0, 0.0, 2.0])[None, :, None, None]
    return (0.3 * 2 ** (2 * light + stops)).clamp(0, 1)


def refined(coarse, luma):
    """The refinement of frames without colour."""
    return refine(coarse, luma, gray(luma))


def gray(luma):
    return luma[:, :, None].expand(-1, -1, 3, -1, -1)


def score(luma, fused):
    return float(mef_ssim(luma * 255, fused * 255))


def test_it_agrees_better_with_the_frames_than_the_blend(rng):
    luma = scene(rng)
    blended = luma.mean(1)
    made = refined(blended, luma)
    before, after = score(luma, blended), score(luma, made)
    assert 1 - after < 0.6 * (1 - before), (before, after)


def test_each_step_lowers_what_is_minimised(rng):
    luma = scene(rng)
    wanted, fused = _Wanted.of(luma, gray(luma)), luma.mean(1)
    problem = _LeastSquares.around(fused, wanted)
    change = problem.step()

    def energy(x):  # of the least squares, but for a constant
        return float((x * problem._times(x) / 2 - x * problem.residual).sum())

    assert energy(change) < 0
    assert energy(change) < energy(change / 2)
    assert energy(change) < energy(change * 1.5)


def test_matrix_and_preconditioner_are_symmetric_and_positive(rng):
    luma = scene(rng, (9, 13))
    problem = _LeastSquares.around(luma.mean(1), _Wanted.of(luma, gray(luma)))
    scales = problem._scales()
    assert len(scales) > 1
    basis = torch.eye(9 * 13).reshape(-1, 9, 13)
    one = _LeastSquares(
        *(part.expand(9 * 13, -1, -1) for part in (problem.structure, problem.smoothed)),
        problem.anchor,
        problem.residual,
    )
    for matrix in (one._times(basis), _preconditioned(basis, scales)):
        flat = matrix.reshape(9 * 13, -1)
        assert torch.allclose(flat, flat.T, rtol=1e-4, atol=1e-4 * float(flat.abs().max()))
        assert float(torch.linalg.eigvalsh((flat + flat.T).double() / 2)[0]) > 0


def test_frames_that_are_all_alike_stay_as_they_are(rng):
    luma = scene(rng)[:, 1:2].expand(-1, 3, -1, -1)
    assert float((refined(luma[:, 0], luma) - luma[:, 0]).abs().max()) < 0.002


def test_the_order_of_the_frames_changes_nothing(rng):
    luma = scene(rng)
    blended = luma.mean(1)
    turned = refined(blended, luma.flip(1))
    assert torch.allclose(refined(blended, luma), turned, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_flat_frames_give_numbers_within_range(value):
    luma = torch.full((1, 2, 16, 24), value)
    made = refined(luma.mean(1), luma)
    assert torch.isfinite(made).all()
    assert float((made - value).abs().max()) < 1e-4


def test_frames_that_contradict_each_other_are_not_torn(rng):
    first = torch.from_numpy(rng.uniform(0, 1, (1, 1, 40, 40))).float()
    luma = torch.cat((first, 1 - first), 1)
    made = refined(luma.mean(1), luma)
    assert float((made - 0.5).abs().mean()) < 0.3


def test_what_is_not_finite_stays_so(rng):
    luma = scene(rng)
    blended = luma.mean(1)
    blended[0, 3, 3] = torch.nan
    assert not torch.isfinite(refined(blended, luma)).all()


def test_a_bright_colour_keeps_its_room(rng):
    luma = scene(rng).clamp(0.3, 1)
    cyan = luma[:, :, None] * torch.tensor([0.4, 1.2, 1.3])[:, None, None]
    without, withal = refined(luma.mean(1), luma), refine(luma.mean(1), luma, cyan.clamp(0, 1))
    bright = without > 0.9
    assert bright.any()
    assert float(withal[bright].mean()) < float(without[bright].mean()) - 0.03


@pytest.mark.parametrize("size", [(7, 40), (1, 1), (40, 7)])
def test_short_sides_are_left_alone(rng, size):
    luma = torch.from_numpy(rng.uniform(0, 1, (1, 2, *size))).float()
    blended = luma.mean(1)
    assert refined(blended, luma) is blended


def test_a_large_grid_is_refined_at_half_its_size(rng, monkeypatch):
    luma = scene(rng, (61, 87))
    blended = luma.mean(1)
    whole = refined(blended, luma)
    monkeypatch.setattr(refinement, "REFINE_MOST_CELLS", 61 * 87 - 1)
    halved = refined(blended, luma)
    assert halved.shape == whole.shape
    assert score(luma, halved) > score(luma, blended)
    assert not torch.equal(halved, whole)
