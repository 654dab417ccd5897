"""`mefuse evaluate` as a user runs it: output, streams, exit codes, messages."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from conftest import HandHeld
from helpers import encoded, exposed, textured_light
from mefuse.cli import main

EVALUATE = [sys.executable, "-m", "mefuse", "evaluate"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The real command."""
    return subprocess.run(
        [*EVALUATE, *arguments], capture_output=True, timeout=120, check=False, text=True
    )


def invoke(*arguments: str) -> Result:
    """The same in this process: for what does not depend on real streams."""
    return CliRunner().invoke(main, ["evaluate", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two brackets of two frames, and fused pictures of both."""
    root = tmp_path / "brackets"
    (tmp_path / "mine").mkdir()
    for name, seed in (("day", 1), ("night", 2)):
        (root / name).mkdir(parents=True)
        frames = [exposed(textured_light(seed=seed, stops=4), ev) for ev in (-1.0, 1.0)]
        for index, pixels in enumerate(frames):
            (root / name / f"{index}.png").write_bytes(encoded(pixels, ".png"))
        mean = np.mean(frames, axis=0).astype(np.uint8)
        (tmp_path / "mine" / f"{name}.png").write_bytes(encoded(mean, ".png"))
    return root


def fused_of(folder: Path, name: str) -> str:
    return str(folder.parent / "mine" / f"{name}.png")


def frames_of(folder: Path, name: str) -> list[str]:
    return [str(folder / name / f"{index}.png") for index in range(2)]


def test_one_picture_is_shown_in_a_table(folder: Path) -> None:
    done = run(fused_of(folder, "day"), *frames_of(folder, "day"), "--with", "mertens")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("MEF-SSIM", "MEF-SSIMd", "Q^AB/F", "fused", "mertens", "128x96", "full resol"):
        assert word in done.stdout
    assert "PSNR" not in done.stdout  # nothing to measure it against


def test_json_is_one_object(folder: Path) -> None:
    done = run("--brackets", str(folder), "--with", "mertens", "--with", "average", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    found = json.loads(done.stdout)
    assert set(found) == {"limit_px", "summary", "brackets", "failures"}
    assert [bracket["bracket"] for bracket in found["brackets"]] == ["day", "night"]
    means = found["summary"]["average"]
    scores = [bracket["scores"]["average"]["mef_ssim"] for bracket in found["brackets"]]
    assert means["mef_ssim"] == pytest.approx(sum(scores) / 2)
    assert means["loss_ratio"] > 1
    assert found["brackets"][0]["size"] == {"height": 96, "width": 128}


def test_csv_has_a_row_per_bracket_and_method(folder: Path, tmp_path: Path) -> None:
    mine = ["--method", f"mine={folder.parent / 'mine'}", "--with", "average"]
    done = run("--brackets", str(folder), *mine, "--csv", "-")
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["bracket"], row["method"]) for row in rows] == [
        (bracket, method) for bracket in ("day", "night") for method in ("average", "mine")
    ]
    assert 0 < float(rows[0]["mef_ssim"]) < 1
    assert rows[0]["psnr_db"] == ""
    target = tmp_path / "scores.csv"
    again = invoke("--brackets", str(folder), *mine, "--csv", str(target))
    assert again.exit_code == 0
    assert target.read_text() == done.stdout
    assert "mine" in again.stdout  # the table is still printed
    refused = invoke("--brackets", str(folder), *mine, "--csv", str(target))
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert (
        invoke("--brackets", str(folder), *mine, "--csv", str(target), "--overwrite").exit_code == 0
    )


def test_verbose_shows_each_bracket(folder: Path) -> None:
    arguments = ("--brackets", str(folder), "--with", "average", "--limit-px", "100")
    brief, full = invoke(*arguments), invoke(*arguments, "-v")
    assert "night" not in brief.stdout
    assert "night" in full.stdout
    assert "100x75" in full.stdout
    for done in (brief, full):
        said = " ".join(done.stdout.split())
        assert "Means over 2 brackets" in said
        assert "reduced to at most 100 px" in said


def test_without_a_choice_all_methods_of_mefuse_are_compared(folder: Path) -> None:
    found = json.loads(invoke("--brackets", str(folder / "day"), "--json").stdout)
    assert list(found["summary"]) == ["ipl", "deepfuse", "lcndr", "mertens", "average"]


def test_truth_and_mask(folder: Path, tmp_path: Path) -> None:
    fused, frames = fused_of(folder, "day"), frames_of(folder, "day")
    mask = tmp_path / "mask.png"
    half = np.zeros((96, 128), np.uint8)
    half[:48] = 255
    mask.write_bytes(encoded(half, ".png"))
    done = invoke(fused, *frames, "--truth", frames[1], "--mask", str(mask), "--json")
    scores = json.loads(done.stdout)["summary"]["fused"]
    assert 5 < scores["psnr_moved_db"] < 40
    assert 0 < scores["ghost_share"] <= 1
    assert scores["ssim"] < 1
    same = invoke(fused, *frames, "--truth", fused, "--json")
    assert json.loads(same.stdout)["summary"]["fused"]["psnr_db"] == 100


def test_a_report_of_the_fusion(hand_held: HandHeld, tmp_path: Path) -> None:
    output, report = tmp_path / "fused.png", tmp_path / "fused.json"
    fuse = ["fuse", *hand_held.names, "-o", str(output), "--model", "mertens", "--json"]
    report.write_text(CliRunner().invoke(main, fuse).stdout)
    plain = invoke(str(output), *hand_held.names)
    assert plain.exit_code == 1
    assert plain.stderr.count("\n") == 1
    assert "--report" in plain.stderr
    done = invoke(str(output), "--report", str(report), "--with", "mertens", "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["brackets"][0]["scores"]["fused"] == found["brackets"][0]["scores"]["mertens"]
    assert found["brackets"][0]["aligned"] == "by the report"


def test_a_part_that_fails_exits_3_and_all_exits_1(folder: Path) -> None:
    (folder / "day" / "0.png").write_bytes(b"nothing that is a picture")
    part = run("--brackets", str(folder), "--with", "average", "--json")
    assert part.returncode == 3
    assert part.stderr.startswith("Error: ")
    assert str(folder / "day" / "0.png") in part.stderr
    found = json.loads(part.stdout)
    assert [bracket["bracket"] for bracket in found["brackets"]] == ["night"]
    assert [failure["bracket"] for failure in found["failures"]] == ["day"]
    (folder / "night" / "0.png").write_bytes(b"nothing either")
    none = invoke("--brackets", str(folder), "--with", "average", "--json")
    assert none.exit_code == 1
    assert none.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Give FUSED"),
        (["fused.png"], "FRAMES too"),
        (["f.png", "a.png", "--brackets", "x"], "finds its own pictures"),
        (["--brackets", "x", "--truth", "t.png"], "leave --truth out"),
        (["f.png", "a.png", "b.png", "--mask", "m.png"], "--mask needs --truth"),
        (["f.png", "a.png", "b.png", "--method", "a=b"], "--method needs --brackets"),
        (["--brackets", "x", "--method", "nonsense"], "NAME=DIR"),
        (["--brackets", "x", "--json", "--csv", "-"], "both write to standard output"),
        (["--brackets", "x", "--limit-px", "10"], "--limit-px"),
        (["--brackets", "x", "--with", "magic"], "--with"),
    ],
)
def test_usage_errors_exit_2(arguments: list[str], says: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_failures_exit_1_with_one_line(folder: Path) -> None:
    mine = folder.parent / "mine"
    for arguments, says in (
        ([fused_of(folder, "day"), "absent.png", "b.png"], "absent.png"),
        ([fused_of(folder, "day"), frames_of(folder, "day")[0]], "at least two frames"),
        (["--brackets", str(folder), "--method", "a=absent"], "absent: is no folder"),
        (["--brackets", str(folder), "--method", f"a={mine}", "--method", f"a={mine}"], "two"),
        (["--brackets", str(folder), "--brackets", str(folder)], "has the name of another"),
    ):
        done = invoke(*arguments)
        assert done.exit_code == 1, arguments
        assert done.stderr.startswith("Error: ")
        assert says in done.stderr
        assert done.stderr.count("\n") == 1
