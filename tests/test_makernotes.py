"""Bracketing in maker notes: six makers in both byte orders, damage, and real files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mefuse import exif
from mefuse.bench.card import Camera, Exposed, Note, exif_of
from mefuse.group.shots import read_shots
from mefuse.makernotes import Bracketing, read_bracketing

MAKES: dict[str, str] = {
    "canon": "Canon",
    "nikon": "NIKON CORPORATION",
    "sony": "SONY",
    "panasonic": "Panasonic",
    "olympus": "OLYMPUS CORPORATION",
    "om": "OM Digital Solutions",
    "fuji": "FUJIFILM",
}
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def noted(block: bytes, make: str) -> Bracketing:
    tiff = exif.TiffReader(io.BytesIO(block))
    return read_bracketing(tiff, tiff.subdirectory(exif.EXIF_IFD).get(exif.MAKER_NOTE), make=make)


def block_of(note: Note, *, order: str = "<", **shot: object) -> bytes:
    camera = Camera(MAKES[note], "Model", note=note, order=order)  # type: ignore[arg-type]
    return exif_of(camera, Exposed(1e9, 0.01, **shot))  # type: ignore[arg-type]


def test_every_layout_is_tried() -> None:
    assert set(MAKES) == set(get_args(Note)) - {""}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("note", ["canon", "nikon"])
def test_makers_that_note_the_offset(note: Note, order: str) -> None:
    block = block_of(note, order=order, mode=2, bias_ev=-2.0)
    assert noted(block, MAKES[note]) == Bracketing(is_on=True, offset_ev=-2.0)
    assert noted(block_of(note, order=order), MAKES[note]) == Bracketing(is_on=False)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("note", ["sony", "panasonic", "olympus", "om", "fuji"])
def test_makers_that_number_the_frames(note: Note, order: str) -> None:
    block = block_of(note, order=order, mode=2, position=3)
    assert noted(block, MAKES[note]) == Bracketing(is_on=True, position=3)
    assert noted(block_of(note, order=order), MAKES[note]) == Bracketing(is_on=False)


def test_canons_thirds_of_a_stop() -> None:
    for eighths, ev in ((0x0C, 1 / 3), (0x14, 2 / 3), (0x2C, 4 / 3), (-0x14, -2 / 3)):
        block = block_of("canon", mode=2, bias_ev=eighths / 32)
        assert noted(block, "Canon").offset_ev == pytest.approx(ev)


def test_a_note_of_another_maker_says_nothing() -> None:
    for note in ("nikon", "panasonic", "olympus", "fuji"):
        for make in ("NIKON", "Panasonic", "OLYMPUS", "FUJIFILM", "PENTAX", ""):
            if not MAKES[note].upper().startswith(make.upper()) or not make:
                assert noted(block_of(note, mode=2, position=2), make) == Bracketing()


@settings(deadline=None)
@given(st.sampled_from(sorted(MAKES)), st.data())
def test_damage_gives_missing_values_and_no_error(note: Note, data: st.DataObject) -> None:
    block = bytearray(block_of(note, mode=2, position=2))
    for _ in range(data.draw(st.integers(1, 6))):
        block[data.draw(st.integers(8, len(block) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(8, len(block)))
    noted(bytes(block[:cut]), MAKES[note])


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data beside the repository")
def test_real_files() -> None:
    folder = SHARED / "brackets" / "dynamic_ghost_3"
    shots = read_shots(sorted(folder.iterdir()))
    assert [shot.bracketing for shot in shots if not isinstance(shot, Exception)] == [
        Bracketing(is_on=True, offset_ev=ev) for ev in (0.0, -2.0, 2.0)
    ]
    for name in ("static_a6400_5/DSC04140.JPG", "../exif/Olympus_PEN_E-P3.jpg",
                 "../exif/Nikon_D1X.jpg"):  # fmt: skip
        (shot,) = read_shots([SHARED / "brackets" / name])
        assert not isinstance(shot, Exception)
        assert shot.bracketing == Bracketing(is_on=False)
