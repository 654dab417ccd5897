"""Motion between frames: nothing at the reference's moment, the same at every size, a true mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from mefuse.synth.motion import Motion, Still, changed, grown, seen
from mefuse.synth.movers import KINDS, Clock, Stage, draw_motion, greenery, surroundings
from mefuse.synth.shots import Places, Shot, Sway, View

SIDE = 192
WHOLE = View(0.0, 0.0, 1 / SIDE, SIDE, SIDE)
CLOCK = Clock.of([0.005, 0.02, 0.08], reference=1, pause_s=0.3)


def _radiance(seed: int = 0) -> torch.Tensor:
    noise = torch.from_numpy(np.random.default_rng(seed).random((1, 3, 24, 24), np.float32))
    return F.interpolate(noise, size=(SIDE, SIDE), mode="bicubic")[0].clamp_min(0.01)


def _motion(seed: int, radiance: torch.Tensor, amount: float = 1.5, **extra: object) -> Motion:
    stage = Stage(surroundings(radiance), 1.0, 0.45, SIDE)
    rng = np.random.default_rng(seed)
    return draw_motion(rng, stage, clock=CLOCK, photos=[], amount=amount, **extra)  # type: ignore[arg-type]


def sampler(radiance: Tensor, view: View) -> Still:
    """The still scene from its radiance (3, H, W) in a view; what lies outside repeats the edge."""

    def still(y: Tensor, x: Tensor) -> Tensor:
        v = (y - view.top) * (2 / (view.height * view.pixel)) - 1
        u = (x - view.left) * (2 / (view.width * view.pixel)) - 1
        grid = torch.stack((u, v), -1)[None]
        found = F.grid_sample(
            radiance[None], grid, mode="bicubic", padding_mode="border", align_corners=False
        )[0]
        return found.clamp_min(0)

    return still


def moved(
    radiance: Tensor,
    view: View,
    *,
    motion: Motion,
    poses: Sequence[NDArray[np.float64] | None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Every frame's radiance of a still scene in which things move.

    Args:
        radiance: (3, H, W), linear, the still scene in `view`.
        view: which part of the scene that is.
        motion: what moves; it knows how many frames there are.
        poses: per frame how the camera moved, (3, 3) scene place -> the frame's; None: not.

    Returns:
        Radiance per frame (N, 3, H, W), and where any differs from the reference (H, W) bool, as
        the reference's pose shows it.
    """
    still, device = sampler(radiance, view), radiance.device
    at_rest = Places.of(view, device=device)
    moments = range(len(motion.start_s))
    unposed = [seen(radiance, still, at_rest, motion=motion, frame=k) for k in moments]
    white = torch.quantile(
        radiance.mean(0).flatten()[:: max(1, radiance[0].numel() // 20000)], 0.99
    )
    mask = changed(unposed[motion.reference], unposed, white=float(white))
    frames = []
    for k, pose in enumerate(poses or [None] * len(unposed)):
        if pose is None:
            frames.append(unposed[k])
            continue
        places = Places.of(view, back=np.asarray(np.linalg.inv(pose), np.float64), device=device)
        base = still(places.y, places.x)
        frames.append(seen(base, still, places, motion=motion, frame=k))
    return torch.stack(frames), mask


def test_without_motion_every_frame_is_the_scene() -> None:
    radiance = _radiance()
    frames, mask = moved(radiance, WHOLE, motion=_motion(1, radiance, amount=0.0))
    assert torch.equal(frames, radiance.expand(3, -1, -1, -1))
    assert not mask.any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_moves_something_and_the_mask_tells_where(kind: str) -> None:
    radiance = _radiance()
    motion = _motion(4, radiance, kinds=(kind,))
    frames, mask = moved(radiance, WHOLE, motion=motion)
    differs = (frames != frames[1]).any(1).any(0)
    assert 0.001 < mask.float().mean() < 0.9
    assert not (mask & ~differs).any()
    alike = (frames - frames[1]).abs() <= 0.02 * torch.maximum(frames, frames[1]) + 1e-4
    assert alike[:, :, ~mask].all()


def test_what_sways_is_at_rest_at_the_references_moment() -> None:
    radiance = _radiance()
    motion = _motion(2, radiance, amount=3.0, kinds=("water",))
    assert motion.sways and not motion.things
    frames, mask = moved(radiance, WHOLE, motion=motion)
    assert torch.equal(frames[motion.reference], radiance)
    assert mask.any()


def test_the_whole_small_and_a_detail_show_the_same_things() -> None:
    radiance = torch.full((3, SIDE, SIDE), 0.2)
    motion = _motion(7, radiance, amount=2.0)
    side, corner = 2 * SIDE, 0.25
    detail, _ = moved(
        torch.full((3, side // 2, side // 2), 0.2),
        View(corner, corner, 1 / side, side // 2, side // 2), motion=motion,
    )  # fmt: skip
    whole, _ = moved(radiance, WHOLE, motion=motion)
    first = round(corner * SIDE)
    part = whole[:, :, first : first + SIDE // 2, first : first + SIDE // 2]
    reduced = F.avg_pool2d(detail, 2)
    still = (part - 0.2).square().mean()
    assert still > 1e-4
    assert (part - reduced).square().mean() < 0.05 * still


def test_strips_are_parts_of_the_whole() -> None:
    radiance = _radiance()
    motion, still = _motion(5, radiance), sampler(radiance, WHOLE)
    pose = np.array([[0.999, 0.01, 0.004], [-0.01, 0.999, -0.003], [0.002, 0.001, 1.0]])
    places = Places.of(WHOLE, back=pose)
    whole = seen(still(places.y, places.x), still, places, motion=motion, frame=2)
    strip = Places.of(View(64 / SIDE, 0.0, 1 / SIDE, 40, SIDE), back=pose)
    part = seen(still(strip.y, strip.x), still, strip, motion=motion, frame=2)
    assert torch.allclose(part, whole[:, 64:104], atol=1e-4)


def test_poses_move_what_a_frame_sees() -> None:
    radiance = _radiance()
    motion = _motion(1, radiance, amount=0.0)
    shift = np.array(
        [[1, 0, 5 / SIDE], [0, 1, 0], [0, 0, 1.0]]
    )  # the scene lies 5 px further right
    frames, mask = moved(radiance, WHOLE, motion=motion, poses=[None, None, shift])
    assert torch.allclose(frames[2][:, :, 5:], radiance[:, :, :-5], atol=1e-4)
    assert not mask.any()


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-0.2, 1.1), st.floats(-0.2, 1.1), st.floats(0.02, 0.6), st.floats(0.02, 0.6),
    st.floats(-0.05, 0.05), st.floats(-0.03, 0.03),
)  # fmt: skip
def test_boxes_are_found_whole(
    top: float, left: float, height: float, width: float, roll: float, tilt: float
) -> None:
    back = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0],
                     [tilt, -tilt, 1]])  # fmt: skip
    places = Places.of(View(0.0, 0.0, 1 / 40, 40, 50), back=back)
    inside = (places.y > top) & (places.y < top + height)
    inside &= (places.x > left) & (places.x < left + width)
    span = places.within(top, left, height, width)
    if span is None:
        assert not inside.any()
        return
    inside[span] = False
    assert not inside.any()


def test_a_shot_covers_and_casts_a_shadow() -> None:
    pixels = torch.ones(4, 20, 10)
    pixels[:3] = 0.7
    shot = Shot.of(pixels, centre=(0.5, 0.5), pixel=1 / 100, shadow=(0.1, 0.03, 0.5))
    radiance = torch.full((3, 100, 100), 0.3)
    shot.put(radiance, Places.of(View(0.0, 0.0, 1 / 100, 100, 100)))
    assert torch.allclose(radiance[:, 42:58, 47:53], torch.tensor(0.7))
    assert (radiance[:, 61, 50] < 0.25).all() and (radiance[:, 10, 10] == 0.3).all()


def test_sway_keeps_to_its_ellipse_and_to_what_is_green() -> None:
    waves = np.array([[20.0, 10.0, 5.0, 0.3, 0.01, 0.02]])
    places = Places.of(WHOLE)
    free = Sway((0.5, 0.5), (0.2, 0.3), waves)
    down, right = free.shift(places.y, places.x, start_s=0.0, end_s=0.4)
    outside = ((places.y - 0.5) / 0.2) ** 2 + ((places.x - 0.5) / 0.3) ** 2 >= 1
    assert not down[outside].any() and not right[outside].any()
    assert 0 < right.abs().max() <= 0.04
    green = torch.zeros(1, 10, 10)
    green[:, :, 6:] = 1
    held = Sway((0.5, 0.5), (0.2, 0.3), waves, green)
    down, _ = held.shift(places.y, places.x, start_s=0.0, end_s=0.4)
    assert not down[:, : SIDE // 2].any() and down[:, SIDE * 7 // 10 :].any()
    still, _ = free.shift(places.y, places.x, start_s=0.4, end_s=0.4)
    assert not still.any()


def test_light_on_things_is_that_of_their_surroundings() -> None:
    radiance = torch.full((3, 60, 120), 0.05)
    radiance[:, :, 60:] = 5.0
    stage = Stage(surroundings(radiance), 2.0, 0.5, 60)
    dark, bright = stage.light_at(0.5, 0.3), stage.light_at(0.5, 1.7)
    assert (bright > 5 * dark).all()
    assert 0.05 / 0.22 < dark.mean() < bright.mean() < 5.0 / 0.22


def test_greenery_is_green() -> None:
    radiance = torch.full((3, 90, 90), 0.2)
    radiance[1, :45] = 0.4
    green = greenery(radiance)[0]
    assert green[10:35].min() == 1 and not green[55:].any()


def test_masks_grow_by_what_is_asked() -> None:
    mask = torch.zeros(30, 40, dtype=torch.bool)
    mask[10, 20] = True
    assert torch.equal(grown(mask, by_px=0), mask)
    assert grown(mask, by_px=3).sum() == 49
    reference = torch.full((3, 30, 40), 0.5)
    frame = reference.clone()
    frame[0, 4, 5] *= 1.05
    frame[0, 6, 7] *= 1.005
    found = changed(reference, [frame], white=1.0)
    assert found.nonzero().tolist() == [[4, 5]]


def test_crowds_are_larger_than_quiet_streets() -> None:
    stage = Stage(surroundings(_radiance()), 1.0, 0.45, height_px=20)

    def count(amount: float, seed: int) -> int:
        rng = np.random.default_rng(seed)
        kinds = ("people", "cars")
        motion = draw_motion(rng, stage, clock=CLOCK, photos=[], amount=amount, kinds=kinds)
        return len(motion.things)

    quiet = [count(0.3, seed) for seed in range(8)]
    crowded = [count(3.0, seed) for seed in range(8)]
    assert sum(crowded) > 2 * sum(quiet) > 0
