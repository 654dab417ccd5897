"""Fused pixels that cannot be right are refused, right ones never."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import HandHeld
from helpers import exposed, textured_light
from mefuse import fuse
from mefuse.aligned import Aligned
from mefuse.bands import Bands
from mefuse.errors import ResultError
from mefuse.models import Fused
from mefuse.settings import FuseSettings
from mefuse.soundness import check_fused

LIGHT = textured_light(60, 80)
FRAMES = [exposed(LIGHT, ev) for ev in (0, 2, 4)]


def bracket(frames=FRAMES) -> Aligned:
    return Aligned.of(frames, reference=1, ghost="off")


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    ("level", "says"), [(0, "all black"), (0.5, "all one flat tone"), (1, "flat")]
)
def test_black_and_flat_pictures_are_refused(depth: int, level: float, says: str) -> None:
    top, dtype = (255, np.uint8) if depth == 8 else (65535, np.uint16)
    pixels = np.full((60, 80, 3), round(level * top), dtype)
    pixels[3, 4] = top - pixels[3, 4]  # one pixel that is not
    with pytest.raises(ResultError, match=f"out.png: the fused picture is .*{says}"):
        check_fused(Fused(pixels), bracket(), name="out.png")


def test_another_size_is_refused() -> None:
    with pytest.raises(ResultError, match="fusing gave 79x60 pixels instead of 80x60"):
        check_fused(Fused(FRAMES[1][:, 1:]), bracket(), name="out.png")


def test_pictures_of_what_is_dark_or_flat_are_right() -> None:
    for frame in FRAMES:
        check_fused(Fused(frame), bracket(), name="out.png")
    fog = [np.full((60, 80, 3), level, np.uint8) for level in (100, 120, 140)]
    check_fused(Fused(fog[1]), bracket(fog), name="out.png")
    night = [exposed(LIGHT * 0.001, ev) for ev in (0, 1, 2)]
    check_fused(Fused(night[1]), bracket(night), name="out.png")


def test_bands_are_checked_while_they_are_made() -> None:
    good, black = FRAMES[1], np.zeros_like(FRAMES[1])
    for pixels in (good, black):
        bands = Bands(pixels.shape, pixels.dtype, partial(_halves, pixels))
        watched = check_fused(Fused(pixels[:0], bands=bands), bracket(), name="out.tif").bands
        assert watched is not None
        made = watched.make()
        first = next(made)
        assert np.array_equal(first, pixels[:30])
        if pixels is good:
            assert np.array_equal(next(made), pixels[30:])
            assert next(made, None) is None
        else:
            with pytest.raises(ResultError, match="is all black"):
                list(made)


def _halves(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    yield from (pixels[:30], pixels[30:])


class _Broken:
    """A model whose arithmetic went wrong."""

    name, device = "broken", "cpu"

    def fuse(self, bracket: Aligned, *, depth: int, **_: object) -> Fused:
        dtype = np.uint8 if depth == 8 else np.uint16
        return Fused(np.zeros((bracket.crop.height, bracket.crop.width, 3), dtype))


def test_nothing_is_written_of_a_black_picture(
    hand_held: HandHeld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuse, "load_model", lambda _: _Broken())
    with pytest.raises(ResultError, match=r"fused.png: the fused picture is all black"):
        fuse.fuse_files(hand_held.paths, tmp_path / "fused.png")
    with pytest.raises(ResultError, match="all black"):
        fuse.fuse_pixels(hand_held.frames, settings=FuseSettings(align=False))
    assert list(tmp_path.iterdir()) == []
