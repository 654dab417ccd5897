"""`mefuse batch --series`: measured as a whole, fused in parts, redone when it changes."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from helpers import encoded, exposure_exif, jpeg_with_exif
from mefuse.batch.jobs import Shard
from mefuse.batch.local import LocalEngine
from mefuse.batch.manifest import read_manifest
from mefuse.batch.prepare import Batch, BatchRequest, prepare
from mefuse.batch.series import Measuring
from mefuse.errors import InputError, MefuseError
from mefuse.settings import FuseSettings, GroupSettings

MERTENS = FuseSettings(model="mertens")
BATCH = [sys.executable, "-m", "mefuse", "batch", "--model", "mertens", "--size", "3"]
STEP, WIDTH = 48, 192
EVS = (0.8, 0.0, -0.4, 0.3)


def _write_view(folder: Path, number: int, light: np.ndarray, ev: float) -> list[Path]:
    """A bracket of three frames around `ev`, as a camera writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, step in enumerate((-2, 0, 2)):
        shown = np.clip(light * 2.0 ** (ev + step), 0, 1) ** (1 / 2.2) * 255
        jpeg = encoded(shown.astype(np.uint8), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)
        exif = exposure_exif((1, round(200 / 2.0 ** (step + ev))))
        paths.append(folder / f"IMG_{number}_{k}.jpg")
        paths[-1].write_bytes(jpeg_with_exif(jpeg, exif))
    return paths


@pytest.fixture
def panorama(tmp_path: Path) -> Path:
    """Four views of a room that overlap by three quarters, each metered anew."""
    rng = np.random.default_rng(3)
    light = rng.uniform(0.02, 0.12, (36, 84, 3)).repeat(4, 0).repeat(4, 1)
    light[30:110, 200:320] *= 20  # a window
    for number, ev in enumerate(EVS):
        _write_view(tmp_path / "pano", number, light[:, number * STEP :][:, :WIDTH], ev)
    return tmp_path / "pano"


def _prepared(panorama: Path, out: Path, **how: Any) -> Batch:
    request = BatchRequest(
        out,
        paths=(panorama,),
        fuse=how.pop("fuse", MERTENS),
        group=GroupSettings(size=3),
        series=Measuring(jobs=2),
        **how,
    )
    return prepare(request)


def _fused(batch: Batch) -> dict[str, bytes]:
    """The pictures of a batch that is run now."""
    assert batch.run(LocalEngine(batch.request.fuse)).count("failed") == 0
    return {job.name: job.target.read_bytes() for job in batch.jobs}


def _mean_step(pictures: dict[str, bytes]) -> float:
    """Mean step of gray between neighbours in what both show, of 255."""
    decoded = [
        cv2.imdecode(np.frombuffer(pictures[name], np.uint8), cv2.IMREAD_COLOR).astype(float)
        for name in sorted(pictures)
    ]
    steps = [
        abs(first[:, STEP:].mean() - second[:, :-STEP].mean())
        for first, second in pairwise(decoded)
    ]
    return float(np.mean(steps))


def test_neighbours_match_and_what_is_done_is_skipped(panorama: Path, tmp_path: Path) -> None:
    command = [*BATCH, "--no-align", str(panorama), "-o"]
    for out, option in (("alone", []), ("series", ["--series"])):
        done = subprocess.run(
            [*command, str(tmp_path / out), *option], capture_output=True, check=False, timeout=120
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    pictures = [
        {path.name: path.read_bytes() for path in (tmp_path / out).glob("*.png")}
        for out in ("alone", "series")
    ]
    alone, together = (_mean_step(part) for part in pictures)
    assert alone > 5
    assert together < 0.2 * alone
    looks = [one.content["settings"]["look"] for one in read_manifest(tmp_path / "series")]
    assert len({look["series_key_ev"] for look in looks}) > 1
    again = subprocess.run(
        [*command, str(tmp_path / "series"), "--series", "--json"],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    outcomes = [json.loads(line)["outcome"] for line in again.stdout.splitlines()]
    assert outcomes == ["skipped"] * 4
    without = subprocess.run(
        [*command, str(tmp_path / "series")], capture_output=True, check=False, timeout=120
    )
    assert without.returncode == 1
    assert without.stderr.count(b"was fused with other settings (look)") == 4


def test_every_part_comes_to_the_series_of_the_whole(panorama: Path, tmp_path: Path) -> None:
    whole = _fused(_prepared(panorama, tmp_path / "whole"))
    parts: dict[str, bytes] = {}
    for number in (1, 2, 3):
        batch = _prepared(panorama, tmp_path / "parts", shard=Shard(number, 3))
        assert len(batch.jobs) < 4
        parts |= _fused(batch)
    assert parts == whole


def test_a_series_that_changed_is_told_and_redone_when_asked(
    panorama: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _fused(_prepared(panorama, out))
    assert [d.action for _, d in _prepared(panorama, out).decisions()] == ["skip"] * 4
    for path in panorama.glob("IMG_0_*"):
        path.unlink()
    told = [decision for _, decision in _prepared(panorama, out).decisions()]
    assert [one.action for one in told] == ["refuse"] * 3
    assert all("fused with other settings (look)" in one.reason for one in told)
    asked = FuseSettings(model="mertens", overwrite=True)
    redone = [decision.action for _, decision in _prepared(panorama, out, fuse=asked).decisions()]
    assert redone == ["replace"] * 3


def test_a_bracket_that_cannot_be_read_fails_alone(panorama: Path, tmp_path: Path) -> None:
    (panorama / "IMG_1_1.jpg").write_bytes((panorama / "IMG_1_1.jpg").read_bytes()[:2000])
    batch = _prepared(panorama, tmp_path / "out")
    summary = batch.run(LocalEngine(MERTENS))
    assert (summary.count("fused"), summary.count("failed")) == (3, 1)
    (failed,) = (one for one in summary.outcomes if one.kind == "failed")
    assert "IMG_1_1.jpg" in failed.message


def test_progress_is_told_and_a_stop_ends_the_measuring(panorama: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    request = BatchRequest(
        tmp_path / "out", paths=(panorama,), fuse=MERTENS, group=GroupSettings(size=3),
        series=Measuring(on_measured=lambda done, total: told.append((done, total))),
    )  # fmt: skip
    prepare(request)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _ = _prepared_with(panorama, tmp_path / "out", Measuring(on_measured=stop))
    assert not (tmp_path / "out").exists()


def _prepared_with(panorama: Path, out: Path, measuring: Measuring) -> Batch:
    return prepare(
        BatchRequest(
            out, paths=(panorama,), fuse=MERTENS, group=GroupSettings(size=3), series=measuring
        )
    )


def test_a_model_that_cannot_be_loaded_is_told_at_once(panorama: Path, tmp_path: Path) -> None:
    with pytest.raises(MefuseError, match="nothing"):
        _prepared(panorama, tmp_path / "out", fuse=FuseSettings(model="nothing"))


def test_what_grows_is_no_series(panorama: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [*BATCH, str(panorama), "-o", str(tmp_path / "out"), "--series", "--watch"],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"--series measures all brackets before it fuses one" in done.stderr
    from mefuse.batch.watch import WatchSettings

    with pytest.raises(InputError, match="watch first"):
        _prepared(panorama, tmp_path / "out", watch=WatchSettings())
