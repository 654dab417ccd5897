"""Measures alignment on synthetic hand-held brackets whose transforms are known.

    python -m mefuse.bench.alignment --count 100 --seed 1
    python -m mefuse.bench.alignment --count 100 --seed 1 --pictures DIR

A frame's corner error is the mean distance of its four corners under the estimated and the true
transform. Prints its distribution over all frames but the references, how many frames lie worse
than unaligned, and seconds per bracket.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from mefuse.align import align_frames
from mefuse.bench.scenes import PICTURE_SUFFIXES, hand_held_bracket
from mefuse.errors import InputError
from mefuse.transforms import corner_distance_px


@dataclass(frozen=True, slots=True)
class FrameScore:
    """How one frame of one bracket was aligned; distances in px."""

    seed: int
    ev: float
    method: str
    unaligned_px: float
    error_px: float
    residual_px: float | None


@dataclass(frozen=True, slots=True)
class Seconds:
    """What one bracket of `frames` frames took: by the clock, and of all processors together."""

    frames: int
    clock: float
    processor: float


def measure(
    seed: int, size: tuple[int, int], *, pictures: list[Path] | None, moving: int
) -> tuple[list[FrameScore], Seconds]:
    """Scores of every frame but the reference of the bracket of `seed`, and what it took."""
    bracket = hand_held_bracket(seed, size, pictures=pictures, moving=moving)
    began, began_cpu = time.perf_counter(), time.process_time()
    found = align_frames(bracket.frames, reference=bracket.reference, evs=bracket.evs)
    seconds = Seconds(len(found), time.perf_counter() - began, time.process_time() - began_cpu)
    scores = [
        FrameScore(
            seed=seed,
            ev=ev,
            method=alignment.method,
            unaligned_px=corner_distance_px(np.eye(3), true, size),
            error_px=corner_distance_px(alignment.transform, true, size),
            residual_px=alignment.residual_px,
        )
        for alignment, true, ev in zip(found, bracket.transforms, bracket.evs, strict=True)
        if alignment.method != "reference"
    ]
    return scores, seconds


def summary(scores: list[FrameScore], seconds: list[Seconds]) -> dict[str, float | int]:
    """The figures of the bar."""
    errors = np.array([score.error_px for score in scores])
    worse = [score for score in scores if score.error_px > score.unaligned_px + 1e-6]
    return {
        "brackets": len(seconds),
        "frames": len(scores),
        "unaligned_median_px": float(np.median([score.unaligned_px for score in scores])),
        "error_median_px": float(np.median(errors)),
        "error_p95_px": float(np.percentile(errors, 95)),
        "error_max_px": float(errors.max()),
        "worse_than_unaligned": len(worse),
        "bracket_frames_mean": float(np.mean([took.frames for took in seconds])),
        "bracket_seconds_median": float(np.median([took.clock for took in seconds])),
        "processor_seconds_per_frame": float(
            np.median([took.processor / took.frames for took in seconds])
        ),
    }


def pictures_in(folder: Path) -> list[Path]:
    """The photographs of `folder`, by name.

    Raises:
        InputError: there are none.
    """
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise InputError(f"{folder}: holds no pictures; name a folder of photographs")
    return found


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.alignment", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="how many brackets")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first bracket")
    parser.add_argument("--size", type=int, nargs=2, default=(2160, 3840), help="HEIGHT WIDTH, px")
    parser.add_argument("--moving", type=int, default=2, help="things that move in each bracket")
    parser.add_argument("--pictures", type=Path, help="build scenes from this folder's photographs")
    parser.add_argument("--threads", type=int, default=2, help="OpenCV threads")
    parser.add_argument("--frames", action="store_true", help="also one JSON line per frame")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measures, and writes JSON lines to stdout."""
    options = parsed(arguments)
    cv2.setNumThreads(options.threads)
    size = (options.size[0], options.size[1])
    pictures = pictures_in(options.pictures) if options.pictures else None
    scores: list[FrameScore] = []
    seconds: list[Seconds] = []
    for seed in range(options.seed, options.seed + options.count):
        found, took = measure(seed, size, pictures=pictures, moving=options.moving)
        scores.extend(found)
        seconds.append(took)
        if options.frames:
            sys.stdout.writelines(json.dumps(asdict(score)) + "\n" for score in found)
    sys.stdout.write(json.dumps(summary(scores, seconds)) + "\n")


if __name__ == "__main__":
    main()
