"""`mefuse bench` by the real command, and the brackets that it makes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from mefuse.bench import enlarged, speed
from mefuse.cli import main
from mefuse.cli.bench import _case_line
from mefuse.errors import InputError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mefuse", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_it_measures_a_bracket_that_it_makes_beside_opencv(tmp_path: Path) -> None:
    done = run(
        *("--size", "320x240", "--count", "2", "--repeats", "1", "--warm-up", "0", "--json"),
        *("--folder", str(tmp_path), "--device", "cpu"),
    )
    assert done.returncode == 0, done.stderr
    machine, record = (json.loads(line) for line in done.stdout.splitlines())
    assert machine["cores"] >= 1
    assert set(machine["versions"]) >= {"numpy", "opencv-python"}
    assert (record["size"], record["height"], record["frames"]) == ("320x240", 240, 2)
    assert record["device"] == "cpu"
    assert record["cache_bytes"] > 0
    for kind in ("process", "warm"):
        seconds = record[kind]["seconds"]
        steps = {"read", "align", "ghosts", "fuse", "write", "total", "glimpse", "decode", "blend"}
        assert steps <= set(seconds)
        for spread in seconds.values():
            assert 0 <= spread["lowest"] <= spread["median"] <= spread["highest"]
        assert record[kind]["peak_memory_bytes"] > 2**20
    assert (
        record["process"]["process_s"]["median"] >= record["process"]["seconds"]["total"]["lowest"]
    )
    assert set(record["opencv"]["seconds"]) == {"read", "align", "fuse", "write"}
    assert all(ratio > 0 for ratio in record["ratios"].values())
    assert record["device_peak_bytes"] is None
    assert (tmp_path / "320x240-2-jpg" / "frame_2.jpg").exists()


def test_given_frames_are_a_case_and_a_record_is_a_line(tmp_path: Path) -> None:
    paths = enlarged.write_bracket(tmp_path, height=96, width=128, count=2, format="jpg")
    case = speed.given_case(list(map(str, paths)))
    assert (case.name, case.height, case.width, len(case.paths)) == ("given", 96, 128, 2)
    spread = {"median": 0.5, "lowest": 0.4, "highest": 0.6}
    seconds = dict.fromkeys(("read", "align", "fuse", "write", "total"), spread)
    record = {
        "size": "given", "frames": 2, "height": 1000, "width": 1000, "ratios": None,
        "warm": {"seconds": seconds},
        "process": {"process_s": spread, "peak_memory_bytes": 2**30},
    }  # fmt: skip
    words = _case_line(record).split()
    assert words[:2] == ["given", "2"]
    assert words[-5:] == ["0.500", "1024", "500.0", "not", "run"]
    record["ratios"] = {"fuse": 0.5, "process": 0.8, "memory": 0.9}
    assert _case_line(record).endswith("0.50, 0.80, 0.90")


@pytest.mark.parametrize("arguments", [["--size", "5k"], ["--size", "0x9"], ["--count", "1"]])
def test_what_means_nothing_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *arguments])
    assert ended.value.code == 2


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    case = speed.Case("given", (str(tmp_path / "a.jpg"),) * 2, 9, 9)
    with pytest.raises(InputError, match=r"a\.jpg"):
        speed.measure(case, tmp_path, settings=speed.BenchSettings(repeats=1, warm_up=0))


def test_enlarged_brackets_step_by_exposure_and_are_the_same_in_every_format(
    tmp_path: Path,
) -> None:
    size = {"height": 600, "width": 800}
    paths = enlarged.write_bracket(tmp_path, **size, count=4, format="tif")
    frames = [tifffile.imread(path) for path in paths]
    assert {frame.shape for frame in frames} == {(600, 800, 3)}
    means = [float(frame.mean()) for frame in frames]
    assert means[0] < means[1] < means[2]
    assert means[3] < means[0]
    again = enlarged.write_bracket(tmp_path, **size, count=4, format="tif")
    assert again == paths
    (jpeg, *_) = enlarged.write_bracket(tmp_path / "jpg", **size, count=2, format="jpg")
    other = cv2.imread(str(jpeg))[..., ::-1]
    assert np.abs(other.astype(int) - frames[0]).mean() < 4
