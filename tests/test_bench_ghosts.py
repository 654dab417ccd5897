"""The benchmark of ghosts uses held-out pictures, and its figures mean what they say."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mefuse.bench.ghosts import Score, gap_closed, held_out, mean_of, measure
from mefuse.errors import InputError
from mefuse.evaluate.methods import FusingMethod, average
from mefuse.evaluate.scene import Frames, Picture
from mefuse.synth.brackets import BracketSettings, draw_bracket


def test_every_sixth_picture_and_every_exr_is_held_out(tmp_path: Path) -> None:
    for name in [*(f"{i:02}.hdr" for i in range(8)), *(f"{i}.jpg" for i in range(4)), "z.exr"]:
        (tmp_path / name).touch()
    found = held_out(tmp_path)
    # Sorted: 00.hdr .. 07.hdr interleaved with 0.jpg .. 3.jpg; the sixth and the twelfth.
    names = sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".exr")[5::6]
    assert [path.name for path in (*found.hdr, *found.photos)] != []
    assert {path.name for path in (*found.hdr, *found.photos)} == {*names, "z.exr"}


def test_a_folder_without_hdr_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.hdr or \.exr"):
        held_out(tmp_path)


def test_who_takes_the_reference_alone_pays_nothing_for_motion() -> None:
    settings = BracketSettings(size=(240, 320), motion="strong", seed=5)
    bracket = draw_bracket(settings, 0, folder=None)
    ours = FusingMethod("ours", partial(_one, settings.reference))
    found = measure(bracket, ours, FusingMethod("average", average))
    assert found.ours == found.ours_still
    assert found.theirs < found.theirs_still
    assert found.moved_db > 70
    assert 0 < found.moved_share < 1
    worse = measure(bracket, FusingMethod("average", average), ours)
    assert worse.moved_db < 40
    assert worse.elsewhere_db > worse.moved_db + 3


def _one(reference: int, frames: Frames) -> Picture:
    return frames.pixels[reference]


def test_the_gap_is_a_share_of_what_motion_costs() -> None:
    half = Score(0.9, 0.95, 0.8, 1.0, float("nan"), 40, 0.0)
    assert gap_closed(half) == pytest.approx(0.5)
    mean = mean_of([half, Score(1.0, 1.0, 0.8, 1.0, 30, 50, 0.2)])
    assert (mean.moved_db, mean.elsewhere_db) == (30, 45)
    assert np.isclose(gap_closed(mean), 0.75)
