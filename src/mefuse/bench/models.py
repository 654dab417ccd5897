"""What each model costs: time, speed and peak memory of `mefuse fuse` on one bracket.

`python -m mefuse.bench.models FRAME...` fuses the frames as they lie with each model, each time in
a process of its own as a user would, and prints one JSON object: seconds of fusing (median and
all), megapixels a second, processor seconds of the whole command a megapixel (on a busy machine
the one that can be trusted), peak memory, parameters, and speed beside OpenCV's in the same run.
In this process: how alike slices of 256 and 512 px and the whole are, and the seconds of fusing
the frames at 512x384, the size of DeepFuse's published time, by a model that is warm.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from mefuse import weights
from mefuse.aligned import Aligned
from mefuse.bench.invariance import Pixels, psnr
from mefuse.discover import find_sources
from mefuse.errors import InputError
from mefuse.models import MODELS, Fuser, find_model, load_fuser
from mefuse.read import read_frame

SLICES_PX = (256, 512)  # and the whole, on frames reduced to
COMPARED_PX = 768
PUBLISHED = (512, 384)  # width, height; 0.07 s on the paper's GPU
YARDSTICK = "mertens"  # the model whose speed others are told beside


def measure(frames: Sequence[Path], model: str, *, device: str, repeats: int) -> dict[str, Any]:
    """One model on one bracket.

    Raises:
        InputError: the command failed; its message is passed on.
    """
    reports = [_fused(frames, model, device) for _ in range(repeats)]
    seconds = [report["seconds"]["fuse"] for report, _ in reports]
    processor_s = min(took for _, took in reports)
    megapixels = reports[0][0]["size"]["height"] * reports[0][0]["size"]["width"] / 1e6
    weights_name = find_model(model).weights_name
    return {
        "device": reports[0][0]["device"],
        "parameters": None if weights_name is None else weights.describe(weights_name).parameters,
        "fuse_s": round(statistics.median(seconds), 4),
        "all_fuse_s": [round(second, 4) for second in seconds],
        "megapixels_per_s": round(megapixels / statistics.median(seconds), 2),
        "processor_s": round(processor_s, 4),
        "processor_s_per_megapixel": round(processor_s / megapixels, 2),
        "peak_memory_mib": round(max(r["peak_memory_bytes"] for r, _ in reports) / 2**20),
    }


def in_process(
    frames: Sequence[Path], model: str, *, device: str, repeats: int
) -> dict[str, float]:
    """What is measured of one model in this process: likeness of slices, seconds when warm."""
    pixels = [read_frame(source).pixels for source in find_sources(frames)]
    fuser = load_fuser(model, device=device)
    return {
        "slices_db": _slices_db(fuser, pixels),
        "warm_512x384_s": _warm_s(fuser, pixels, repeats),
    }


def _slices_db(fuser: Fuser, pixels: Sequence[Pixels]) -> float:
    """The worst PSNR between slices of 256 and 512 px and the whole, 16 bits; 99 where equal."""
    scale = min(1.0, COMPARED_PX / max(pixels[0].shape[:2]))
    small = [cv2.resize(p, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for p in pixels]
    bracket = Aligned.of(small, reference=0, ghost="off")
    fused = [
        fuser.fuse(bracket, depth=16, slice_size=size, on_slice=None).pixels
        for size in (*SLICES_PX, -(-COMPARED_PX // 64) * 64)
    ]
    return round(min(psnr(one, other) for one, other in itertools.combinations(fused, 2)), 1)


def _warm_s(fuser: Fuser, pixels: Sequence[Pixels], repeats: int) -> float:
    """Least seconds of fusing the frames at the published size, after one run that warms up."""
    small = [cv2.resize(p, PUBLISHED, interpolation=cv2.INTER_AREA) for p in pixels]
    bracket = Aligned.of(small, reference=0, ghost="off")
    took = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        fuser.fuse(bracket, depth=8, slice_size=None, on_slice=None)
        took.append(time.perf_counter() - start)
    return round(min(took[1:]), 4)


def beside_yardstick(table: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Times of each model over OpenCV's in the same run; empty where OpenCV's was not measured."""
    yardstick = table.get(YARDSTICK)
    if yardstick is None:
        return {}
    return {
        model: {key: round(found[key] / yardstick[key], 2) for key in ("fuse_s", "processor_s")}
        for model, found in table.items()
    }


def _fused(frames: Sequence[Path], model: str, device: str) -> tuple[dict[str, Any], float]:
    """The report of one run of the command, and its processor seconds."""
    before = os.times()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "mefuse", "fuse", *map(str, frames), "-o", f"{folder}/fused.jpg",
            "--no-align", "--model", model, "--device", device, "--json",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{model}: {done.stderr.strip()}")
    after = os.times()
    busy_s = after.children_user - before.children_user
    busy_s += after.children_system - before.children_system
    return json.loads(done.stdout), busy_s


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.models", description=__doc__)
    parser.add_argument("frames", type=Path, nargs="+")
    parser.add_argument("--model", action="append", choices=list(MODELS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    names = given.model or list(MODELS)
    table = {
        model: measure(given.frames, model, device=given.device, repeats=given.repeats)
        for model in names
    }
    for model in names:
        if find_model(model).is_network:
            table[model] |= in_process(
                given.frames, model, device=given.device, repeats=given.repeats
            )
    print(json.dumps({**table, "beside_mertens": beside_yardstick(table)}, indent=1))


if __name__ == "__main__":
    main()
