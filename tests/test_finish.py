"""What users get of a model: its pixels in the natural look, others deep and rendered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mefuse.aligned import Aligned
from mefuse.depth import to_depth
from mefuse.errors import InputError
from mefuse.finish import check_look, fuse_with_look, key_of
from mefuse.look import Rendering, apply_look
from mefuse.models import Fused
from mefuse.settings import LookSettings
from mefuse.slices import Rect

CROP = Rect(4, 8, 96, 128)


class Brighter:
    """A model that gives the reference, half a stop lighter."""

    name = "brighter"
    device = "cpu"

    def __init__(self) -> None:
        self.depths: list[int] = []

    def fuse(
        self,
        bracket: Aligned,
        *,
        depth: int,
        slice_size: int | None,
        on_slice: Callable[[int, int], None] | None,
        keep_weight_maps: bool = False,
        in_bands: bool = False,
    ) -> Fused:
        self.depths.append(depth)
        crop = bracket.crop
        own = bracket.frames[bracket.reference]
        part = to_depth(own[crop.top : crop.bottom, crop.left : crop.right], 16)
        lighter = apply_look(part.copy(), Rendering(exposure_ev=0.5), depth=16)
        return Fused(to_depth(lighter, depth), cache_bytes=7)


@pytest.fixture
def bracket(rng: np.random.Generator) -> Aligned:
    coarse = rng.integers(20, 120, (14, 18, 3), dtype=np.uint8)
    middle = np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)
    return Aligned.of([middle // 2, middle, middle * 2], reference=1, ghost="off", crop=CROP)


@pytest.mark.parametrize("depth", [8, 16])
def test_the_natural_look_is_the_models_own_pixels(bracket: Aligned, depth: int) -> None:
    fuser = Brighter()
    plain = fuser.fuse(bracket, depth=depth, slice_size=None, on_slice=None)
    fused = fuse_with_look(fuser, bracket, look=LookSettings(), depth=depth)
    assert fuser.depths == [depth, depth]
    assert np.array_equal(fused.pixels, plain.pixels)
    assert fused.cache_bytes == 7


def test_other_looks_are_made_of_16_bits(bracket: Aligned) -> None:
    fuser = Brighter()
    fused = fuse_with_look(fuser, bracket, look=LookSettings("vivid"), depth=8)
    assert fuser.depths == [16]
    assert fused.pixels.dtype == np.uint8
    deep = fuse_with_look(fuser, bracket, look=LookSettings("vivid"), depth=16)
    assert np.array_equal(to_depth(deep.pixels, 8), fused.pixels)


def test_a_series_brings_the_picture_to_its_key(bracket: Aligned) -> None:
    fuser = Brighter()
    plain = fuse_with_look(fuser, bracket, look=LookSettings(), depth=16)
    assert key_of(plain, bracket) == pytest.approx(0.5, abs=0.05)
    fused = fuse_with_look(fuser, bracket, look=LookSettings(series_key_ev=-0.2), depth=16)
    assert key_of(fused, bracket) == pytest.approx(-0.2, abs=0.1)


@pytest.mark.parametrize(
    ("look", "says"),
    [
        (LookSettings(exposure_ev=2.5), "exposure 2.5: use a number from -2 to 2"),
        (LookSettings(contrast=-1.1), "contrast -1.1: use a number from -1 to 1"),
        (LookSettings(saturation=float("nan")), "saturation nan: use a number from -1 to 1"),
    ],
)
def test_controls_that_go_too_far_are_refused(
    bracket: Aligned, look: LookSettings, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        check_look(look)
    with pytest.raises(InputError, match=says):
        fuse_with_look(Brighter(), bracket, look=look, depth=8)
    check_look(LookSettings("vivid", 2, -1, 1))
