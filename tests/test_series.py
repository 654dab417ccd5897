"""A series of brackets: neighbours that show the same place show it equally light."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mefuse.aligned import Aligned
from mefuse.errors import InputError
from mefuse.finish import fuse_with_look
from mefuse.frames import Bracket, Exposure, Frame, Source
from mefuse.models import Fused
from mefuse.models.mertens import MertensFuser
from mefuse.series import MEASURED_PX, measure_bracket, shared_key
from mefuse.settings import LookSettings

HEIGHT, WIDTH, STEP = 192, 256, 64


@pytest.fixture(scope="module")
def panorama() -> list[np.ndarray]:
    """Three exposures (192, 512, 3) of a dim room with a bright window on the right."""
    rng = np.random.default_rng(3)
    light = rng.uniform(0.02, 0.12, (HEIGHT // 4, 128)).repeat(4, 0).repeat(4, 1)
    light[40:150, 330:480] *= 30
    tint = np.array([1.0, 0.9, 0.75])
    exposed = [light[..., np.newaxis] * tint * gain for gain in (0.5, 2.0, 8.0)]
    return [(np.clip(x, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8) for x in exposed]


def _views(panorama: list[np.ndarray]) -> list[Bracket]:
    """Brackets of views that overlap by three quarters."""
    return [
        Bracket(
            tuple(
                Frame(Source(Path("x.png"), Exposure()), frame[:, left : left + WIDTH])
                for frame in panorama
            ),
            reference=1,
            evs=(-2.0, 0.0, 2.0),
            ev_source="pixels",
        )
        for left in range(0, panorama[0].shape[1] - WIDTH + 1, STEP)
    ]


def _mean_step(brackets: list[Bracket], look: LookSettings) -> float:
    """How much lighter or darker neighbours show what both show: mean difference of 0..255."""
    fused = []
    for bracket in brackets:
        frames = [np.ascontiguousarray(frame.pixels) for frame in bracket.frames]
        aligned = Aligned.of(frames, reference=1, ghost="off")
        pixels = fuse_with_look(MertensFuser(), aligned, look=look, depth=8).pixels
        fused.append(pixels.astype(np.float64))
    steps = [abs((b[:, :-STEP] - a[:, STEP:]).mean()) for a, b in pairwise(fused)]
    return float(np.mean(steps))


def test_neighbours_match(panorama: list[np.ndarray]) -> None:
    brackets = _views(panorama)
    keys_ev = [measure_bracket(bracket, MertensFuser()) for bracket in brackets]
    assert max(keys_ev) - min(keys_ev) > 0.2  # the window darkens what it comes into
    alone = _mean_step(brackets, LookSettings())
    together = _mean_step(brackets, LookSettings(series_key_ev=shared_key(keys_ev)))
    assert alone > 2
    assert together < 0.4 * alone


def test_a_large_bracket_is_measured_small(panorama: list[np.ndarray]) -> None:
    small = _views(panorama)[0]
    pixels = [frame.pixels.repeat(5, 0).repeat(5, 1) for frame in small.frames]
    frames = tuple(Frame(Source(Path("x.png"), Exposure()), each) for each in pixels)
    sizes = []

    class Watched(MertensFuser):
        def fuse(self, bracket: Aligned, **how: Any) -> Fused:
            sizes.append((bracket.crop.height, bracket.crop.width))
            return super().fuse(bracket, **how)

    key_ev = measure_bracket(Bracket(frames, 1, small.evs, "pixels"), Watched())
    assert sizes == [(480, MEASURED_PX)]
    assert 0 < key_ev < 2


def test_the_shared_key_is_the_mean() -> None:
    assert shared_key([0.5, 1.0, 1.5]) == pytest.approx(1.0)
    with pytest.raises(InputError, match="at least one bracket"):
        shared_key([])
