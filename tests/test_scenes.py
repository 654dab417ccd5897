"""The synthetic brackets that alignment is measured on: truth, exposure, repeatability."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mefuse.bench import alignment
from mefuse.bench.scenes import hand_held_bracket
from mefuse.errors import InputError
from mefuse.transforms import corner_distance_px

SIZE = (240, 360)


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second, other = (hand_held_bracket(seed, SIZE, moving=1) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first.frames, second.frames, strict=True))
    assert not np.array_equal(first.frames[0], other.frames[0])


def test_transforms_tell_where_things_are() -> None:
    bracket = hand_held_bracket(3, (640, 960), evs=(0.0, 0.0))
    reference, frame = bracket.frames
    pull = bracket.transforms[1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    back = cv2.warpPerspective(frame, pull, (960, 640), flags=flags)
    inner = np.s_[80:-80, 80:-80]
    aligned = np.abs(back[inner].astype(int) - reference[inner]).mean()
    unaligned = np.abs(frame[inner].astype(int) - reference[inner]).mean()
    assert aligned < 0.7 * unaligned


def test_brighter_frames_are_brighter_and_clip() -> None:
    bracket = hand_held_bracket(3, SIZE, evs=(-4.0, 0.0, 4.0))
    means = [frame.mean() for frame in bracket.frames]
    assert means[0] < means[1] < means[2]
    assert (bracket.frames[2] == 255).mean() > 0.2 > (bracket.frames[0] == 255).mean()
    assert (bracket.frames[0].max(axis=2) < 8).mean() > 0.01


def test_motion_stays_within_what_the_bar_names() -> None:
    size = (2160, 3840)
    reach = [
        corner_distance_px(np.eye(3), t, size) * 3840 / 480
        for seed in range(6)
        for t in hand_held_bracket(seed, (270, 480)).transforms
    ]
    assert max(reach) > 10.0
    still = hand_held_bracket(1, SIZE, still=True)
    assert all(np.allclose(t, np.eye(3)) for t in still.transforms)


def test_photographs_make_scenes_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "photograph.png"
    cv2.imwrite(str(path), rng.integers(0, 255, (60, 80, 3), np.uint8))
    bracket = hand_held_bracket(1, SIZE, pictures=alignment.pictures_in(tmp_path))
    assert {frame.shape for frame in bracket.frames} == {(*SIZE, 3)}


def test_what_cannot_make_a_scene_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        alignment.pictures_in(tmp_path)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        hand_held_bracket(1, SIZE, pictures=[broken])
    with pytest.raises(InputError, match="0 EV"):
        hand_held_bracket(1, SIZE, evs=(1.0, 2.0))


def test_the_bench_measures_every_frame(capsys: pytest.CaptureFixture[str]) -> None:
    threads = cv2.getNumThreads()
    try:
        alignment.main(["--count", "1", "--seed", "2", "--size", "480", "720", "--frames"])
    finally:
        cv2.setNumThreads(threads)
    *frames, total = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert total["brackets"] == 1 and total["frames"] == len(frames) >= 1
    errors = [frame["error_px"] for frame in frames]
    assert total["error_median_px"] == pytest.approx(np.median(errors))
    assert total["error_max_px"] == pytest.approx(max(errors))
    assert total["worse_than_unaligned"] == 0
