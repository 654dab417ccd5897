"""Contact sheets: what they show is what was decided, and it fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import HandHeld
from helpers import encoded, write_cfa_dng
from mefuse.clock import Clock
from mefuse.contact.anatomy import Anatomy, dissect
from mefuse.contact.draw import _drawable, draw_sheet
from mefuse.contact.panels import Panel, Row, rows_of
from mefuse.contact.run import write_sheet
from mefuse.errors import FormatError, InputError, OutputExistsError
from mefuse.read import bracket_of_pixels
from mefuse.settings import FuseSettings, LookSettings

MERTENS = FuseSettings(model="mertens")


def anatomy_of(hand_held: HandHeld, **settings: object) -> Anatomy:
    chosen = FuseSettings(**{"model": "mertens", **settings})  # type: ignore[arg-type]
    return dissect(bracket_of_pixels(hand_held.frames), settings=chosen, clock=Clock())


@pytest.mark.parametrize("model", ["ipl", "mertens"])
def test_weights_of_all_frames_make_one(hand_held: HandHeld, model: str) -> None:
    maps = anatomy_of(hand_held, model=model).fused.weight_maps
    assert maps is not None
    assert maps.shape[0] == 3
    assert np.allclose(maps.sum(0), 1, atol=1e-4)
    assert maps.min() >= 0


@pytest.mark.parametrize("model", ["ipl", "mertens"])
def test_a_clipped_part_gets_its_weight_from_who_shows_it(model: str) -> None:
    rng = np.random.default_rng(1)
    scene = cv2.GaussianBlur(rng.random((256, 256, 3)).astype(np.float32), (0, 0), 2)
    scene = (scene - scene.min()) / np.ptp(scene) * 160 + 40
    left, right = scene.copy(), scene.copy()
    left[:, 128:] = 255
    right[:, :128] = 0
    frames = [np.rint(part).astype(np.uint8) for part in (right, left)]
    settings = FuseSettings(model=model, align=False, reference=0, ghost="off")
    anatomy = dissect(bracket_of_pixels(frames, reference=0), settings=settings, clock=Clock())
    maps = anatomy.fused.weight_maps
    assert maps is not None
    darker, brighter = maps[:, :, : maps.shape[2] * 3 // 8], maps[:, :, maps.shape[2] * 5 // 8 :]
    shows = [frame.pixels[:, :64].mean() > 1 for frame in anatomy.bracket.frames].index(True)
    assert darker[shows].mean() > 0.75
    assert brighter[1 - shows].mean() > 0.8


def test_maps_cost_nothing_that_is_not_asked_for(hand_held: HandHeld) -> None:
    from mefuse.fuse import fuse_pixels

    anatomy = anatomy_of(hand_held, model="ipl")
    plain = fuse_pixels(hand_held.frames)
    assert np.array_equal(anatomy.fused.pixels, plain), "asking changes no pixel"


def test_a_sheet_has_a_row_of_each_kind(hand_held: HandHeld) -> None:
    rows = rows_of(anatomy_of(hand_held), enlargement=10)
    assert [row.title.split(":")[0] for row in rows] == [
        "frames, as they lie on the reference", "weights", "ghosts",
    ]  # fmt: skip
    assert all(len(row.panels) == 3 for row in rows)
    frames = [panel.lines[0] for panel in rows[0].panels]
    assert frames[1].endswith("0 EV, reference")
    assert 20 < float(frames[0].split("moved ")[1].removesuffix(" px")) < 80, "px of the files"
    shares = [int(panel.lines[0].removeprefix("gives ")[:-1]) for panel in rows[1].panels]
    assert 98 <= sum(shares) <= 102


@pytest.mark.parametrize(("ghost", "said"), [("off", "not replaced"), ("auto", "replaced by")])
def test_what_moved_is_marked(hand_held: HandHeld, ghost: str, said: str) -> None:
    frames = [frame.copy() for frame in hand_held.frames]
    frames[2][90:150, 60:100] = (250, 20, 20)
    anatomy = dissect(
        bracket_of_pixels(frames, reference=1),
        settings=FuseSettings(model="mertens", reference=1, ghost=ghost),  # type: ignore[arg-type]
        clock=Clock(),
    )
    row = rows_of(anatomy, enlargement=1)[2]
    assert said in row.title
    assert "moved" in row.panels[2].lines[0]
    assert row.panels[1].lines == ("decides what is where",)
    crop, marked = anatomy.aligned.crop, row.panels[2].pixels
    inside = marked[100 - crop.top : 140 - crop.top, 70 - crop.left : 90 - crop.left]
    assert (inside == (255, 140, 0)).all(-1).mean() > 0.8
    assert (marked[:40] == (255, 140, 0)).all(-1).mean() < 0.05


@pytest.mark.parametrize("count", [2, 5, 9])
@pytest.mark.parametrize("width", [320, 1600])
@pytest.mark.parametrize("shape", [(300, 450), (450, 300)])
def test_everything_stays_on_the_sheet(count: int, width: int, shape: tuple[int, int]) -> None:
    white = np.full((*shape, 3), 255, np.uint8)
    line = "a very long name of a frame that no cell can hold.jpg"
    row = Row("row " * 200, tuple(Panel(white, (line, line)) for _ in range(count)))
    pixels = draw_sheet(
        [row], Panel(white, (line * 9,)), title="t" * 500, subtitle="s" * 500, width_px=width
    )
    assert pixels.shape[1] == width
    margin = round(width / 60) - 2
    for edge in (pixels[:, :margin], pixels[:, -margin:], pixels[:margin], pixels[-margin:]):
        assert (edge == 32).all(), "nothing in the margins"
    result = pixels[pixels.shape[0] // 2 :]
    assert (result == 255).any()


@pytest.mark.parametrize(("count", "lines"), [(1, 1), (7, 1), (8, 2), (12, 2), (15, 3)])
def test_many_panels_stand_in_several_lines(count: int, lines: int) -> None:
    row = Row("frames", (Panel(np.full((64, 64, 3), 255, np.uint8), ()),) * count)
    black = Panel(np.zeros((10, 1000, 3), np.uint8), ())
    pixels = draw_sheet([row], black, title="", subtitle="", width_px=1600)
    side = (1600 - 2 * 27 - (-(-count // lines) - 1) * 12) // -(-count // lines)
    white = int((pixels == 255).all(-1).sum())
    assert white == pytest.approx(count * side**2, rel=0.02), "all are there, in their full width"


def test_the_result_has_the_look_that_was_chosen(hand_held: HandHeld, tmp_path: Path) -> None:
    pixels = {}
    for name, settings in (
        ("plain", MERTENS),
        ("lighter", replace(MERTENS, look=LookSettings(exposure_ev=1))),
    ):
        target = tmp_path / f"{name}.png"
        write_sheet(hand_held.names, target, settings=settings, width_px=320)
        sheet = cv2.imread(str(target))
        assert sheet is not None
        pixels[name] = sheet
    lighter, plain = pixels["lighter"], pixels["plain"]
    result = -plain.shape[0] // 4
    assert lighter[result:].mean() > plain[result:].mean() + 10, "the look is on the sheet"
    beyond = replace(MERTENS, look=LookSettings(exposure_ev=9))
    with pytest.raises(InputError, match="exposure 9"):
        write_sheet(hand_held.names, tmp_path / "x.png", settings=beyond)


def test_texts_are_drawn_in_letters_that_are_there() -> None:
    assert _drawable("\u22482.0 \u2212 3 × é ü ☃ 写…") == "~2.0 - 3 x e u ? ?..."


def test_the_sheet_is_a_picture(hand_held: HandHeld, tmp_path: Path) -> None:
    target = tmp_path / "sheet.png"
    summary = write_sheet(hand_held.names, target, settings=MERTENS, width_px=800)
    pixels = cv2.imread(str(target))
    assert pixels is not None
    assert pixels.shape[:2] == summary.size
    assert summary.frame_size == hand_held.frames[0].shape[:2]
    assert summary.size[1] == 800
    assert set(summary.seconds) == {"read", "align", "ghosts", "fuse", "write", "total"}
    with pytest.raises(OutputExistsError):
        write_sheet(hand_held.names, target, settings=MERTENS)


def test_large_frames_are_reduced_before_anything(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    scene = cv2.resize(rng.random((60, 90, 3)).astype(np.float32), (3600, 2400))
    paths = []
    for k, gain in enumerate((60, 200)):
        path = tmp_path / f"{k}.jpg"
        path.write_bytes(encoded((scene * gain).astype(np.uint8), ".jpg"))
        paths.append(path)
    summary = write_sheet(paths, tmp_path / "x.jpg", settings=MERTENS, width_px=600)
    assert summary.frame_size == (2400, 3600)
    assert summary.size[0] < 1200


def test_frames_of_different_sizes_are_refused(hand_held: HandHeld, tmp_path: Path) -> None:
    double = tmp_path / "double.jpg"
    double.write_bytes(encoded(cv2.resize(hand_held.frames[0], None, fx=8, fy=8), ".jpg"))
    single = tmp_path / "single.jpg"
    single.write_bytes(encoded(cv2.resize(hand_held.frames[0], None, fx=16, fy=16), ".jpg"))
    with pytest.raises(InputError, match=r"single.jpg: 5120x3840, the first is 2560x1920; resize"):
        write_sheet([double, single], tmp_path / "x.png", settings=MERTENS, width_px=320)
    with pytest.raises(InputError, match="at least two frames"):
        write_sheet([double], tmp_path / "x.png", settings=MERTENS)
    with pytest.raises(FormatError):
        write_sheet([double, single], tmp_path / "x.txt", settings=MERTENS)
    assert not list(tmp_path.glob("x.*"))


def test_raw_files_are_developed_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    light = cv2.resize(rng.random((12, 16, 3)).astype(np.float32), (800, 600))
    light = (0.05 + 0.9 * light) * (0.8 + 0.2 * rng.random((600, 800, 1)).astype(np.float32))
    paths = []
    for k, time in enumerate(((1, 8), (1, 2))):
        path = tmp_path / f"{k}.dng"
        write_cfa_dng(path, light, exposure_time=time)
        paths.append(path)
    summary = write_sheet(paths, tmp_path / "x.png", settings=MERTENS, width_px=640)
    assert summary.frame_size == (600, 800)
