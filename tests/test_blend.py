"""Bands and colour: what is taken apart comes together again; weights do what they say."""

import pytest
import torch

from mefuse.blend import (
    blend_coarse,
    blend_fine,
    build_pyramid,
    decompose,
    enlarge,
    halve,
    luma_chroma,
    to_rgb,
    within_gamut,
)
from mefuse.grid import BANDS, LOGITS, Maps


def _picture(height, width, *, frames=1, seed=0):
    """Smooth noise (1, N, 3, H, W), 0..1."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(frames, 3, height // 8, width // 8, generator=generator)
    grain = torch.rand(frames, 3, height, width, generator=generator)
    big = torch.nn.functional.interpolate(small, size=(height, width), mode="bilinear")
    return (0.85 * big + 0.15 * grain)[None]


def _maps(frames, height, width, *, logits=None, gain=1.0):
    """Maps for a picture of that size; `logits` per frame, the same for every band and place."""
    values = torch.zeros(frames) if logits is None else torch.tensor(logits)
    shape = (1, frames, LOGITS, height // 8, width // 8)
    return Maps(
        values[None, :, None, None, None].expand(shape).clone(),
        torch.full((1, BANDS, height // 8, width // 8), gain),
    )


def _fuse(rgb, maps):
    bands = decompose(rgb)
    return to_rgb(*blend_fine(bands, blend_coarse(build_pyramid(bands.luma), maps), maps))


def test_luma_and_chroma_give_the_colour_back():
    rgb = _picture(16, 24)
    assert torch.allclose(to_rgb(*luma_chroma(rgb)), rgb, atol=1e-6)


def test_colours_out_of_reach_fade_but_keep_their_luma_and_hue():
    luma = torch.tensor([[0.9, 0.5, 0.02]])
    chroma = torch.tensor([[[-0.3, 0.1, 0.2]], [[0.3, 0.05, -0.2]]])
    fitted = within_gamut(luma, chroma)
    rgb = to_rgb(luma, fitted)
    assert rgb.min() > -1e-6
    assert rgb.max() < 1 + 1e-6
    assert torch.allclose(luma_chroma(rgb)[0], luma, atol=1e-6)
    assert torch.equal(fitted[:, 0, 1], chroma[:, 0, 1])
    assert torch.allclose(fitted[0] * chroma[1], fitted[1] * chroma[0], atol=1e-7)
    assert fitted.abs().sum() < chroma.abs().sum()


def test_luma_of_gray_is_its_value_and_its_chroma_nothing():
    luma, chroma = luma_chroma(torch.full((1, 1, 3, 8, 8), 0.3))
    assert torch.allclose(luma, torch.tensor(0.3))
    assert chroma.abs().max() < 1e-6


def test_halving_and_enlarging_keep_a_flat_picture_and_its_mean():
    assert torch.allclose(enlarge(halve(torch.full((2, 8, 8), 0.7)), 2), torch.tensor(0.7))
    picture = torch.rand(1, 64, 64)
    assert halve(picture).mean().item() == pytest.approx(picture.mean().item(), abs=0.01)


@pytest.mark.parametrize("size", [(64, 64), (128, 192), (64, 448)])
def test_one_frame_or_equal_frames_come_back(size):
    rgb = _picture(*size)
    equal = rgb.expand(1, 3, 3, *size)
    assert torch.allclose(_fuse(rgb, _maps(1, *size)), rgb[:, 0], atol=1e-5)
    maps = _maps(3, *size, logits=[0.5, -1.0, 0.2], gain=2.0)
    assert torch.allclose(_fuse(equal, maps), rgb[:, 0], atol=1e-5)


def test_a_frame_with_all_the_weight_comes_back():
    rgb = _picture(128, 128, frames=2)
    fused = _fuse(rgb, _maps(2, 128, 128, logits=[0.0, 60.0], gain=0.0))
    assert torch.allclose(fused, rgb[:, 1], atol=1e-5)


def test_the_order_of_frames_does_not_matter():
    rgb = _picture(128, 64, frames=3)
    one = _fuse(rgb, _maps(3, 128, 64, logits=[0.1, 0.7, -0.4]))
    other = _fuse(rgb[:, [2, 0, 1]], _maps(3, 128, 64, logits=[-0.4, 0.1, 0.7]))
    assert torch.allclose(one, other, atol=1e-6)


def test_detail_is_taken_from_the_frame_that_has_it():
    detailed = _picture(128, 128)
    flat = torch.full_like(detailed, 0.5)
    rgb = torch.cat((detailed, flat), 1)
    fused = _fuse(rgb, _maps(2, 128, 128, gain=2.0))
    bands, wanted = decompose(fused[:, None]), decompose(detailed)
    error = (bands.fine[0] - wanted.fine[0]).square().mean()
    assert error < 0.01 * wanted.fine[0].square().mean()


def test_colour_is_taken_from_the_frame_that_has_it():
    red = torch.tensor([0.8, 0.2, 0.2])[None, None, :, None, None].expand(1, 1, 3, 64, 64)
    gray = torch.full_like(red, 0.95)
    fused = _fuse(torch.cat((red, gray), 1), _maps(2, 64, 64))
    _, chroma = luma_chroma(fused)
    _, wanted = luma_chroma(red[:, 0])
    assert (chroma / wanted).mean().item() > 0.9


def test_a_clipped_channel_does_not_decide_the_hue():
    kept, clipped = ([0.7, 0.5, 0.3], [1.0, 0.95, 0.55])  # the same orange, two stops apart
    frames = [
        torch.tensor(rgb)[None, None, :, None, None].expand(1, 1, 3, 64, 64)
        for rgb in (kept, clipped)
    ]
    bands = decompose(torch.cat(frames, 1))
    _, chroma = blend_fine(bands, torch.full((1, 8, 8), 0.6), _maps(2, 64, 64))
    blue, red = chroma.mean((0, 2, 3)).tolist()
    _, own = luma_chroma(frames[0][:, 0])
    _, wrong = luma_chroma(frames[1][:, 0])
    hue, true, false = (
        torch.atan2(torch.tensor(r), torch.tensor(b)).item()
        for b, r in ((blue, red), own.mean((0, 2, 3)).tolist(), wrong.mean((0, 2, 3)).tolist())
    )
    assert abs(hue - true) < 0.3 * abs(false - true)


def test_the_colour_of_a_lifted_frame_follows_its_luma():
    dark = torch.tensor([0.20, 0.14, 0.08])[None, None, :, None, None].expand(1, 1, 3, 64, 64)
    clipped = torch.ones_like(dark)
    rgb = torch.cat((dark, clipped), 1)
    bands = decompose(rgb)
    coarse = torch.full((1, 8, 8), 0.6)
    maps = _maps(2, 64, 64, logits=[60.0, 0.0])
    luma, chroma = blend_fine(bands, coarse, maps)
    _, own = luma_chroma(dark[:, 0])
    assert luma.mean().item() == pytest.approx(0.6, abs=0.01)
    grey = 0.299 * 0.20 + 0.587 * 0.14 + 0.114 * 0.08
    needed = (0.20 - grey) / (1 - 0.6)  # of the room up to white
    risen = 3**0.85
    wanted = risen * ((1 + needed**2) / (1 + (risen * needed) ** 2)) ** 0.5
    assert (chroma / own).mean().item() == pytest.approx(wanted, rel=0.01)


def test_a_lifted_colour_that_fills_the_gamut_already_hardly_rises():
    strong = torch.tensor([0.10, 0.55, 0.65])[None, None, :, None, None].expand(1, 1, 3, 64, 64)
    bands = decompose(torch.cat((strong, torch.ones_like(strong)), 1))
    coarse = torch.full((1, 8, 8), 0.85)
    _, chroma = blend_fine(bands, coarse, _maps(2, 64, 64, logits=[60.0, 0.0]))
    _, own = luma_chroma(strong[:, 0])
    rises = (chroma / own).mean().item()  # its luma is doubled
    assert 1 <= rises < 1.2
