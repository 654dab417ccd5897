"""A network sees frames of a wide profile as they would be in sRGB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers import exposed, textured_light
from mefuse import colour, profiles
from mefuse.aligned import Aligned
from mefuse.bench.wide import difference
from mefuse.grid import GRID
from mefuse.host.features import glimpse
from mefuse.host.planes import reduce
from mefuse.metrics.delta_e import delta_e
from mefuse.stream import load_network_fuser
from mefuse.wide import in_srgb, is_wide, log_weight

P3 = profiles.standard("p3")
RNG = np.random.default_rng(0)
VIVID = RNG.integers(0, 65536, (64, 64, 3), dtype=np.uint16)
SMOOTH = np.repeat(np.repeat(VIVID[::16, ::16], 16, 0), 16, 1)  # even within each cell of the grid


def test_only_other_colours_than_srgbs_are_converted() -> None:
    assert is_wide(P3)
    assert is_wide(profiles.standard("prophoto"))
    assert not is_wide(None)
    assert not is_wide(profiles.standard("srgb"))


def test_colours_are_those_of_converted_frames() -> None:
    seen, _ = in_srgb(glimpse([SMOOTH]).colour, P3)
    expected = glimpse([colour.converted(SMOOTH, source=P3, target=None)]).colour
    assert np.abs(seen - expected).max() < 2e-3


def test_log_weights_are_those_of_the_blend() -> None:
    from mefuse.host.blend import _colour_weight

    red, green, blue = (np.float32(SMOOTH[..., i]) for i in range(3))
    luma = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    peak = np.maximum(np.maximum(red, green), blue)
    weight = _colour_weight(red, blue, luma, peak, 65535.0)
    expected = np.log(reduce(weight / 65535, GRID))
    planes = np.stack([reduce(p / np.float32(65535), GRID) for p in (red, green, blue)])
    assert np.abs(log_weight(planes[None])[0] - expected).max() < 2e-3


def frames(saturation: float) -> list[NDArray[Any]]:
    """A bracket of a textured scene with strong colours."""
    light = textured_light(160, 224, stops=7.0)
    tint = 1 + saturation * np.sin(np.arange(224) / 9)[None, :, None] * np.array([1.0, -0.4, -0.8])
    return [exposed(np.float32(light * tint), ev, depth=16) for ev in (-3, 0, 2)]


def test_both_routes_to_srgb_meet(tmp_path: Path) -> None:
    mean, _ = difference(frames(0.4), P3, tmp_path, model="ipl")
    assert mean <= 0.5


def test_the_profile_changes_what_is_decided() -> None:
    fuser = load_network_fuser("ipl", device="cpu")
    wide = frames(0.5)
    first = [colour.converted(frame, source=P3, target=None) for frame in wide]

    def fused(pixels: list[NDArray[Any]], icc: bytes | None, size: int = 512) -> NDArray[Any]:
        bracket = Aligned.of(pixels, reference=1, ghost="off", icc=icc)
        return fuser.fuse(bracket, depth=16, slice_size=size, on_slice=None).pixels

    expected = fused(first, None)
    told = colour.converted(fused(wide, P3), source=P3, target=None)
    untold = colour.converted(fused(wide, None), source=P3, target=None)
    assert delta_e(told, expected).mean() < 0.8 * delta_e(untold, expected).mean()
    sliced, whole = fused(wide, P3, 128).astype(int), fused(wide, P3)
    assert np.abs(sliced - whole).max() <= 4
    srgb = profiles.standard("srgb")
    assert np.array_equal(fused(first, srgb), expected)
