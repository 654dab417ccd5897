"""Weight maps and ghost masks lie where the picture lies."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import HandHeld
from helpers import exposed, textured_light
from mefuse import maps
from mefuse.aligned import Aligned
from mefuse.errors import OutputExistsError, WriteError
from mefuse.fuse import fuse_files
from mefuse.ghosts import Ghost, Ghosts
from mefuse.maps import Maps
from mefuse.models import Fused, load_fuser
from mefuse.response import map_levels
from mefuse.settings import FuseSettings
from mefuse.slices import Rect

SIZE = (90, 150)
STEMS = ("01_a", "02_b")


def _bracket() -> Aligned:
    """Two frames, of which the first has a ghost in its upper left quarter."""
    light = textured_light(*SIZE)
    frames = [exposed(light, ev) for ev in (-2.0, 1.0)]
    levels = map_levels(frames[1], frames[0])
    cover = np.zeros((45, 75), np.uint8)
    cover[:22, :37] = 255
    drift = np.zeros((12, 19, 3), np.float32)
    ghosts = Ghosts((Ghost(1, levels, cover, drift, drift), None), (0,), 2)
    return Aligned(frames, [np.eye(3)] * 2, Rect(0, 0, *SIZE), 1, ghosts)


def _saved(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in folder.iterdir()}


def test_maps_of_the_padded_grid_and_masks_fit_the_picture(tmp_path: Path) -> None:
    bracket = _bracket()
    weights = np.zeros((2, 16, 24), np.float32)  # of the padded 128x192, in cells of 8 px
    weights[0, :, :9] = 1.0
    weights[1] = 1 - weights[0]
    fused = Fused(np.zeros((*SIZE, 3), np.uint8), weight_maps=weights)
    found = Maps.of(fused, bracket)
    assert found is not None
    found.save(tmp_path / "maps", STEMS, overwrite=False)
    saved = _saved(tmp_path / "maps")
    assert set(saved) == {f"{stem}.{kind}.png" for stem in STEMS for kind in ("weights", "ghost")}
    assert all(plane.shape == SIZE and plane.dtype == np.uint8 for plane in saved.values())
    first = saved["01_a.weights.png"]
    assert (first[:, :66] == 255).all()
    assert (first[:, 78:] == 0).all()
    assert np.abs(first.astype(int) + saved["02_b.weights.png"] - 255).max() <= 1
    assert (saved["01_a.ghost.png"][:42, :72] == 255).all()
    assert (saved["01_a.ghost.png"][46:] == 0).all()
    assert not saved["02_b.ghost.png"].any()
    with pytest.raises(OutputExistsError):
        found.save(tmp_path / "maps", STEMS, overwrite=False)


def test_without_weight_maps_there_is_nothing_to_save() -> None:
    assert Maps.of(Fused(np.zeros((*SIZE, 3), np.uint8)), _bracket()) is None


def test_very_large_maps_are_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "LONGEST_PX", 75)
    Maps(np.ones((2, *SIZE), np.float32), 1, None, SIZE).save(tmp_path, STEMS, overwrite=False)
    saved = _saved(tmp_path)
    assert set(saved) == {"01_a.weights.png", "02_b.weights.png"}  # ghosts were not looked for
    assert all(plane.shape == (45, 75) and (plane == 255).all() for plane in saved.values())


@pytest.mark.parametrize("model", ["mertens", "ipl"])
def test_models_keep_weight_maps_when_asked(model: str) -> None:
    bracket = _bracket()
    fuser = load_fuser(model, device="cpu")
    fused = fuser.fuse(bracket, depth=8, slice_size=None, on_slice=None, keep_weight_maps=True)
    plain = fuser.fuse(bracket, depth=8, slice_size=None, on_slice=None)
    assert plain.weight_maps is None
    assert np.array_equal(plain.pixels, fused.pixels)
    weights = fused.weight_maps
    assert weights is not None
    assert weights.shape[0] == 2
    assert np.abs(weights.sum(0) - 1).max() < 1e-3
    found = Maps.of(fused, bracket)
    assert found is not None
    assert found.cell_px == {"mertens": 1, "ipl": 8}[model]


def test_where_maps_cannot_be_saved_there_is_no_picture(
    hand_held: HandHeld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise WriteError("maps: writing failed (no space left on device); make room")

    monkeypatch.setattr(Maps, "save", fails)
    settings = FuseSettings(model="mertens", save_maps=str(tmp_path / "maps"))
    with pytest.raises(WriteError, match="no space left"):
        fuse_files(hand_held.paths, tmp_path / "fused.png", settings=settings)
    assert not (tmp_path / "fused.png").exists()
