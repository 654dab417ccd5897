"""Finding brackets: cards made in code, one trouble of real cards each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import HandHeld
from helpers import encoded, exposed, textured_light
from mefuse.bench import grouping
from mefuse.bench.card import Camera, Exposed, exif_of, with_exif
from mefuse.errors import InputError, ReadError
from mefuse.fuse import fuse_files
from mefuse.group.run import find_brackets
from mefuse.plan import LeftOut, Plan, PlannedBracket
from mefuse.settings import FuseSettings, GroupSettings

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
BLANK = encoded(np.zeros((32, 48, 3), np.uint8), ".jpg")
SILENT = Camera(tells_mode=False)
NOTING = Camera("Canon", "EOS", note="canon")
NUMBERED = Camera("SONY", "ILCE", note="sony", has_fraction=False)


def put(path: Path, shot: Exposed, camera: Camera = NOTING, software: str = "") -> Path:
    """Writes one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(with_exif(BLANK, exif_of(camera, shot, software=software)))
    return path


def series(
    folder: Path,
    evs: Sequence[float],
    *,
    at_s: float = 1e9,
    first: int = 1,
    pause_s: float = 0.3,
    base_s: float = 1 / 64,
    camera: Camera = NOTING,
    prefix: str = "IMG_",
    **more: Any,
) -> list[Path]:
    """Writes frames of these exposures, one after the other."""
    paths = []
    for i, ev in enumerate(evs):
        shot = Exposed(at_s, base_s * 2.0**ev, **{"mode": 2, "bias_ev": ev, **more})
        if more.get("position"):
            shot = replace(shot, position=i + 1)
        paths.append(put(folder / f"{prefix}{first + i:04d}.JPG", shot, camera))
        at_s += shot.exposure_time_s + pause_s
    return paths


def found(folder: Path | Sequence[Path], **settings: Any) -> list[list[str]]:
    """The names of each bracket."""
    return names(plan_of(folder, **settings))


def plan_of(folder: Path | Sequence[Path], **settings: Any) -> Plan:
    paths = [folder] if isinstance(folder, Path) else folder
    return find_brackets(paths, settings=GroupSettings(**settings))


def names(plan: Plan) -> list[list[str]]:
    return [[frame.stem for frame in bracket.frames] for bracket in plan.brackets]


def reasons(plan: Plan) -> dict[str, str]:
    return {left.path.name: left.reason for left in plan.left_out}


def numbered_names(*groups: Iterable[int], prefix: str = "IMG_") -> list[list[str]]:
    return [[f"{prefix}{i:04d}" for i in group] for group in groups]


def test_brackets_that_the_camera_notes(tmp_path: Path) -> None:
    series(tmp_path, (0, -2, 2))
    series(tmp_path, (0, -2, 2), at_s=1e9 + 40, first=4, base_s=1 / 8)
    plan = plan_of(tmp_path)
    assert names(plan) == numbered_names((1, 2, 3), (4, 5, 6))
    assert (
        plan.brackets[0].reason
        == "bracketing noted by the camera: 0, -2, +2 EV, pauses up to 0.3 s"
    )
    assert plan.left_out == ()


def test_numbers_of_a_series_decide_even_at_once(tmp_path: Path) -> None:
    """Four brackets without a pause, whose exposures alone could be cut anywhere."""
    for i in range(4):
        series(tmp_path, (0, -1, 1), at_s=1e9 + i, first=1 + 3 * i, camera=NUMBERED, position=1,
               pause_s=0.1, base_s=1 / 64 * 1.3**i)  # fmt: skip
    plan = plan_of(tmp_path)
    assert names(plan) == numbered_names((1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12))
    assert plan.brackets[0].reason.startswith("numbered as a series by the camera")


def test_a_long_exposure_is_no_pause(tmp_path: Path) -> None:
    series(tmp_path, (-4, -2, 0), base_s=30.0, camera=SILENT, pause_s=1.5)
    series(tmp_path, (-4, -2, 0), base_s=30.0, camera=SILENT, pause_s=1.5, first=4, at_s=1e9 + 200)
    assert found(tmp_path) == numbered_names((1, 2, 3), (4, 5, 6))
    assert found(tmp_path, gap_s=2.0) == numbered_names((1, 2, 3), (4, 5, 6))


def test_dark_frames_after_long_exposures_are_no_pause(tmp_path: Path) -> None:
    at_s = 1e9
    for i, time_s in enumerate((2.0, 8.0, 30.0), 1):
        put(tmp_path / f"IMG_{i:04d}.JPG", Exposed(at_s, time_s, mode=1))
        at_s += 2 * time_s + 2
    assert found(tmp_path, gap_s=3.0) == numbered_names((1, 2, 3))
    assert found(tmp_path) == numbered_names((1, 2, 3))


def test_a_time_lapse_is_cut_by_its_period(tmp_path: Path) -> None:
    """All pauses equal, the light fades, the first frame is a test that fits no period."""
    shot = Exposed(1e9 - 3, 1 / 4, mode=1)
    put(tmp_path / "IMG_0000.JPG", shot)
    series(tmp_path, (0, -2, 2, 0, -2, 2, 0, -2, 2), pause_s=3.0, mode=1, bias_ev=0.0)
    series(tmp_path, (0, -2, 2, 0, -2, 2), at_s=1e9 + 28, first=10, pause_s=3.0, mode=1,
           bias_ev=0.0, base_s=1 / 80)  # fmt: skip
    expected = [range(i, i + 3) for i in (1, 4, 7, 10, 13)]
    plan = plan_of(tmp_path)
    assert names(plan) == numbered_names(*expected)
    assert list(reasons(plan)) == ["IMG_0000.JPG"]


def test_positions_of_a_panorama_are_not_mixed(tmp_path: Path) -> None:
    for i in range(5):
        series(tmp_path, (-2, 0, 2), at_s=1e9 + 2.5 * i, first=1 + 3 * i, camera=SILENT)
    assert found(tmp_path) == numbered_names(*(range(i, i + 3) for i in (1, 4, 7, 10, 13)))


def test_singles_bursts_and_repeats_are_left_out_and_named(tmp_path: Path) -> None:
    put(tmp_path / "IMG_0001.JPG", Exposed(1e9 - 4, 1 / 64, mode=2))  # as the bracket's first
    series(tmp_path, (0, -2, 2), first=2)
    series(tmp_path, (0,) * 5, first=5, at_s=1e9 + 90, mode=0, pause_s=0.1)
    put(tmp_path / "IMG_0010.JPG", Exposed(1e9 + 200, 1 / 20))
    plan = plan_of(tmp_path)
    assert names(plan) == numbered_names((2, 3, 4))
    assert reasons(plan) == {
        "IMG_0001.JPG": "repeats the exposure of IMG_0002.JPG",
        **{f"IMG_{i:04d}.JPG": "burst of 5 frames with one exposure" for i in range(5, 10)},
        "IMG_0010.JPG": "single frame",
    }


def test_a_frame_taken_again_within_a_bracket_counts_once(tmp_path: Path) -> None:
    series(tmp_path, (-2, 0, 0, 2), mode=1, bias_ev=0.0, pause_s=2.0)
    plan = plan_of(tmp_path)
    assert names(plan) == numbered_names((1, 2, 4))
    assert reasons(plan) == {"IMG_0003.JPG": "repeats the exposure of IMG_0002.JPG"}


def test_automatic_exposures_that_follow_the_light_are_no_bracket(tmp_path: Path) -> None:
    for i, time_s in enumerate((1 / 60, 1 / 125, 1 / 250, 1 / 30, 1 / 80, 1 / 1000)):
        shot = Exposed(1e9 + 4 * i, time_s, iso=(50, 64, 80)[i % 3])
        put(tmp_path / f"PXL_{i}.jpg", shot, Camera("Google", "Pixel"))
    assert found(tmp_path) == []


def test_cameras_interleaved_in_time_are_kept_apart(tmp_path: Path) -> None:
    other = replace(NOTING, serial="2")
    for i in range(3):
        series(tmp_path, (0, -2, 2), at_s=1e9 + 20 * i, first=1 + 3 * i)
        series(tmp_path, (0, -2, 2), at_s=1e9 + 20 * i + 0.1, first=1 + 3 * i, camera=other,
               prefix="B_")  # fmt: skip
    plan = plan_of(tmp_path)
    assert sorted(names(plan)) == sorted(
        numbered_names((1, 2, 3), (4, 5, 6), (7, 8, 9))
        + numbered_names((1, 2, 3), (4, 5, 6), (7, 8, 9), prefix="B_")
    )


@pytest.mark.parametrize(
    "change", [{"focal_mm": 35.0}, {"orientation": 6}], ids=["zoomed", "turned"]
)
def test_a_frame_of_another_view_is_left_out(tmp_path: Path, change: dict[str, Any]) -> None:
    series(tmp_path, (0, -2, 2))
    put(tmp_path / "IMG_0004.JPG", Exposed(1e9 + 1.2, 1 / 4, mode=2, bias_ev=4.0, **change))
    assert found(tmp_path) == numbered_names((1, 2, 3))


def test_numbers_of_names_start_again_after_9999(tmp_path: Path) -> None:
    """Within one second of a coarse clock, and from one folder of the card to the next."""
    coarse = replace(NOTING, has_fraction=False)
    for i, name in enumerate(("100CANON/IMG_9998", "100CANON/IMG_9999", "101CANON/IMG_0001")):
        shot = Exposed(1e9, 2.0 ** (i * 2 - 8), mode=2, bias_ev=i * 2 - 2.0)
        put(tmp_path / f"{name}.JPG", shot, coarse)
    assert found(tmp_path, recursive=True) == [["IMG_9998", "IMG_9999", "IMG_0001"]]


def test_frames_of_different_folders_are_different_brackets(tmp_path: Path) -> None:
    series(tmp_path / "one", (0, -2))
    series(tmp_path / "two", (2, 4), at_s=1e9 + 1)
    assert found(tmp_path, recursive=True) == [["IMG_0001", "IMG_0002"]] * 2


def test_raw_and_jpeg_count_once(tmp_path: Path) -> None:
    for jpeg in series(tmp_path, (0, -2, 2)):
        jpeg.with_suffix(".NEF").write_bytes(jpeg.read_bytes()[12:])  # the TIFF structure in it
    plan = plan_of(tmp_path)
    assert {frame.suffix for frame in plan.brackets[0].frames} == {".NEF"}
    assert len(plan.brackets) == 1
    assert reasons(plan)["IMG_0001.JPG"] == "the same exposure as IMG_0001.NEF, which is used"
    assert found(tmp_path, prefer="jpeg") == numbered_names((1, 2, 3))
    assert {p.suffix for p in plan_of(tmp_path, prefer="jpeg").brackets[0].frames} == {".JPG"}


def test_raw_and_jpeg_on_two_cards_count_once(tmp_path: Path) -> None:
    for jpeg in series(tmp_path / "jpeg", (0, -2, 2)):
        (tmp_path / "raw").mkdir(exist_ok=True)
        (tmp_path / "raw" / f"{jpeg.stem}.NEF").write_bytes(jpeg.read_bytes()[12:])
    plan = plan_of(tmp_path, recursive=True)
    assert names(plan) == numbered_names((1, 2, 3))
    assert {frame.suffix for frame in plan.brackets[0].frames} == {".NEF"}


def test_a_name_that_comes_again_another_day_is_no_pair(tmp_path: Path) -> None:
    series(tmp_path, (0, -2, 2))
    for i, jpeg in enumerate(series(tmp_path / "new", (0, -2, 2), at_s=1.1e9), 1):
        (tmp_path / f"IMG_{i:04d}.NEF").write_bytes(jpeg.read_bytes()[12:])
    assert len(plan_of(tmp_path).brackets) == 2


def test_copies_and_own_pictures_are_left_out(tmp_path: Path) -> None:
    paths = series(tmp_path, (0, -2, 2))
    (tmp_path / "IMG_0001-edit.jpg").write_bytes(paths[0].read_bytes())
    put(tmp_path / "fused.jpg", Exposed(1e9, 1 / 64, mode=2), software="mefuse 1.2.3")
    plan = plan_of(tmp_path)
    assert names(plan) == numbered_names((1, 2, 3))
    assert reasons(plan) == {
        "IMG_0001-edit.jpg": "a copy or another version of IMG_0001.JPG",
        "fused.jpg": "was fused by mefuse",
    }


def test_frames_that_mefuse_made_are_frames(tmp_path: Path) -> None:
    for i, time_s in enumerate((1 / 250, 1 / 60, 1 / 15)):
        shot = Exposed(1e9 + i / 2, time_s, mode=2)
        put(tmp_path / f"room_{i}.jpg", shot, software="mefuse sample")
    assert [len(group) for group in found(tmp_path)] == [3]


def test_size_and_gap(tmp_path: Path) -> None:
    series(tmp_path, (0, 2), mode=1, bias_ev=0.0, pause_s=4.0)
    series(tmp_path, (-2, 0, 2), mode=1, bias_ev=0.0, pause_s=4.0, first=3, at_s=1e9 + 300)
    assert found(tmp_path) == numbered_names((3, 4, 5))
    assert found(tmp_path, size=2)[0] == ["IMG_0001", "IMG_0002"]
    plan = plan_of(tmp_path, size=3)
    assert names(plan) == numbered_names((3, 4, 5))
    assert set(reasons(plan).values()) == {"in no bracket of 3"}
    assert found(tmp_path, gap_s=3.0) == []


def test_every_folder_one_bracket(tmp_path: Path) -> None:
    series(tmp_path / "a", (0, 0, 0), mode=0)
    series(tmp_path / "b", (0,))
    plan = plan_of(tmp_path, recursive=True, by_folder=True)
    assert names(plan) == numbered_names((1, 2, 3))
    assert reasons(plan) == {"IMG_0001.JPG": "alone in its folder"}


def test_folders_are_walked_with_care(tmp_path: Path) -> None:
    series(tmp_path / "deep" / "er", (0, -2, 2))
    for hidden in (".trash", "@eaDir"):
        series(tmp_path / hidden, (0, -2, 2))
    put(tmp_path / "deep" / "._IMG_0001.JPG", Exposed(1e9, 1.0))
    (tmp_path / "deep" / "notes.txt").write_text("x")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    assert found(tmp_path, recursive=True) == numbered_names((1, 2, 3))
    with pytest.raises(InputError, match=r"holds no pictures.*--recursive"):
        plan_of(tmp_path)
    with pytest.raises(ReadError, match="nowhere: no such file or folder"):
        plan_of(tmp_path / "nowhere")


def test_a_path_named_twice_counts_once(tmp_path: Path) -> None:
    paths = series(tmp_path, (0, -2, 2))
    (tmp_path / "x").mkdir()
    assert found([*paths, tmp_path, tmp_path / "x" / ".." / "IMG_0001.JPG"]) == numbered_names(
        (1, 2, 3)
    )


def test_what_cannot_be_read_is_left_out_and_told(tmp_path: Path) -> None:
    series(tmp_path, (0, -2, 2))
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "gone")
    paths = [tmp_path, tmp_path / "dangling.jpg"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        paths.append(tmp_path / "pipe.jpg")
    unread: list[LeftOut] = []
    plan = find_brackets(paths, on_unread=unread.append)
    assert names(plan) == numbered_names((1, 2, 3))
    assert {left.path.name for left in unread} >= {"empty.jpg", "dangling.jpg"}
    assert set(unread) <= set(plan.left_out)


def test_without_exif_the_pixels_tell(tmp_path: Path) -> None:
    for scene in range(3):
        light = textured_light(160, 240, seed=scene, stops=5)
        detail = np.random.default_rng(scene).random((40, 60, 1)).repeat(4, 0).repeat(4, 1)
        for i, ev in enumerate((-2, 0, 2)):
            pixels = exposed((light * (0.3 + detail)).astype(np.float32), ev)
            shifted = np.roll(pixels, (2 * i, -3 * i), (0, 1))  # a shaking hand
            (tmp_path / f"scan{scene}{i}.png").write_bytes(encoded(shifted, ".png"))
    (tmp_path / "scan30.png").write_bytes(b"no picture")
    plan = plan_of(tmp_path)
    assert names(plan) == [[f"scan{scene}{i}" for i in range(3)] for scene in range(3)]
    assert plan.brackets[0].reason.startswith("seen in the pixels, EXIF has no exposures: -")
    assert reasons(plan)["scan30.png"].startswith("no exposure in its header, and no pixels")


def test_equal_pictures_without_exif_are_a_burst(tmp_path: Path) -> None:
    pixels = exposed(textured_light(160, 240, stops=5), 0.0)
    for i in range(4):
        (tmp_path / f"a{i}.png").write_bytes(encoded(pixels, ".png"))
    plan = plan_of(tmp_path)
    assert plan.brackets == ()
    assert set(reasons(plan).values()) == {"burst of 4 frames with one exposure"}


def test_damaged_headers_never_fail(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = np.frombuffer(series(tmp_path, (0, -2, 2))[1].read_bytes(), np.uint8)
    for i in range(200):
        data = whole.copy()
        data[rng.integers(2, 700, 8)] = rng.integers(0, 256, 8)
        (tmp_path / f"x{i}.jpg").write_bytes(data[: rng.integers(4, len(data))].tobytes())
    plan = plan_of(tmp_path)
    assert sum(len(b.frames) for b in plan.brackets) + len(plan.left_out) == 203


def test_two_hundred_brackets_of_mixed_kinds(tmp_path: Path) -> None:
    result = grouping.measure(tmp_path, brackets=200, seed=1)
    assert result["brackets"] >= 200
    assert len(result["of_kind"]) >= 13
    assert result["exact_share"] >= 0.99
    assert result["foreign"] == 0


def test_the_measurement_sees_what_is_wrong(tmp_path: Path) -> None:
    truths = {
        Path(name): grouping.Truth("k", scene, place)
        for name, scene, place in (
            ("a", 0, (0, 0.0)), ("b", 0, (0, 2.0)), ("c", 1, (1, 0.0)), ("d", 1, (1, 2.0)),
            ("e", 2, None), ("f", 2, None),
        )
    }  # fmt: skip

    def scored(*groups: str) -> tuple[int, int, int]:
        plan = Plan(tuple(PlannedBracket(tuple(map(Path, group))) for group in groups))
        result = grouping.score(plan, truths)
        return result["exact"], result["foreign"], result["invented"]

    assert scored("ab", "dc") == (2, 0, 0)
    assert scored("ab") == (1, 0, 0)
    assert scored("abc", "d") == (0, 1, 0)
    assert scored("ab", "cd", "ef") == (2, 0, 1)
    assert scored("ac", "bd") == (0, 2, 0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data beside the repository")
def test_real_brackets() -> None:
    folders = {
        "building1_phone_7": 7, "dynamic_ghost_3": 3, "dynamic_pingpong_3": 3,
        "handheld_street_3": 3, "phone12mp_a_4": 4, "static_room_7": 7, "window_12": 12,
    }  # fmt: skip
    plan = plan_of([SHARED / "brackets" / name for name in folders])
    assert {b.frames[0].parent.name: len(b.frames) for b in plan.brackets} == folders
    assert plan.left_out == ()


@pytest.mark.parametrize("ext", ["png", "jpg", "tif", "webp", "avif", "jxl"])
def test_own_pictures_are_known_in_every_format(
    hand_held: HandHeld, tmp_path: Path, ext: str
) -> None:
    fused = tmp_path / f"fused.{ext}"
    fuse_files(hand_held.paths, fused, settings=FuseSettings(model="mertens"))
    plan = find_brackets([*hand_held.paths, fused], settings=GroupSettings())
    assert [bracket.frames for bracket in plan.brackets] == [hand_held.paths]
    assert [(left.path, left.reason) for left in plan.left_out] == [(fused, "was fused by mefuse")]
