"""Brackets that may not show one scene: a warning, or a refusal where that was asked for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from conftest import HandHeld
from helpers import encoded
from mefuse.cli import main
from mefuse.errors import AlignError
from mefuse.fuse import fuse_files
from mefuse.settings import FuseSettings

QUICK = FuseSettings(model="mertens")
STRICT = FuseSettings(model="mertens", strict=True)


@pytest.fixture
def mixed(hand_held: HandHeld, tmp_path: Path) -> list[str]:
    """A bracket in which another scene got."""
    noise = np.random.default_rng(11).random((240, 320, 3)).astype(np.float32)
    other = cv2.GaussianBlur(noise, (0, 0), 2.0)
    other = (255 * (other - other.min()) / (other.max() - other.min())).astype(np.uint8)
    path = tmp_path / "other.png"
    path.write_bytes(encoded(other, ".png"))
    return [*hand_held.names[:2], str(path)]


def test_another_scene_is_warned_of(mixed: list[str], tmp_path: Path) -> None:
    report = fuse_files(mixed, tmp_path / "fused.png", settings=QUICK)
    assert any("other.png: could not be aligned" in warning for warning in report.warnings)


def test_of_several_such_frames_brackets_are_thought_of(
    mixed: list[str], tmp_path: Path, rng: np.random.Generator
) -> None:
    third = cv2.GaussianBlur(rng.random((240, 320, 3)).astype(np.float32), (0, 0), 3.0)
    path = tmp_path / "third.png"
    path.write_bytes(encoded((255 * third).astype(np.uint8), ".png"))
    settings = FuseSettings(model="mertens", reference=1)
    report = fuse_files([*mixed, path], tmp_path / "fused.png", settings=settings)
    together, *each = report.warnings
    assert together.startswith("2 of 4 frames do not fit the reference; if these are several")
    assert [sum(name in one for one in each) for name in ("other.png", "third.png")] == [1, 1]


@pytest.mark.parametrize("align", [True, False])
def test_strict_refuses_another_scene(mixed: list[str], tmp_path: Path, align: bool) -> None:
    settings = FuseSettings(model="mertens", strict=True, align=align, reference=1)
    with pytest.raises(
        AlignError, match=r"other.png: could not be aligned: refused with --strict; "
    ):
        fuse_files(mixed, tmp_path / "fused.png", settings=settings)
    assert not (tmp_path / "fused.png").exists()


def test_strict_fuses_what_is_right_and_changes_no_pixel(
    hand_held: HandHeld, tmp_path: Path
) -> None:
    for name, settings in (("a.png", QUICK), ("b.png", STRICT)):
        fuse_files(hand_held.paths, tmp_path / name, settings=settings)
    first, second = (cv2.imread(str(tmp_path / name)) for name in ("a.png", "b.png"))
    assert np.array_equal(first, second)


def test_strict_by_command_also_in_a_batch(mixed: list[str], tmp_path: Path) -> None:
    output = str(tmp_path / "fused.png")
    done = CliRunner().invoke(
        main, ["fuse", *mixed, "-o", output, "--model", "mertens", "--strict"]
    )
    assert done.exit_code == 1
    assert "refused with --strict" in done.stderr
    plan = tmp_path / "plan.json"
    frames = ", ".join(f'"{name}"' for name in mixed)
    plan.write_text(f'{{"mefuse_plan": 1, "brackets": [{{"frames": [{frames}]}}]}}')
    folder = tmp_path / "batch"
    done = CliRunner().invoke(
        main,
        [
            "batch",
            "--plan",
            str(plan),
            "-o",
            str(folder),
            "--model",
            "mertens",
            "--strict",
            "--json",
        ],
    )
    assert done.exit_code == 1
    assert "refused with --strict" in done.stdout
    assert not list(folder.glob("*.png"))
