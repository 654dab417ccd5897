"""What each model costs: time, speed and peak memory of `mefuse fuse` on one bracket.

`python -m mefuse.bench.models FRAME...` fuses the frames as they lie with each model, each time in
a process of its own as a user would, and prints one JSON object: seconds of fusing (median and
all), megapixels a second, peak memory, parameters.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mefuse import weights
from mefuse.errors import InputError
from mefuse.models import MODELS, find_model


def measure(frames: Sequence[Path], model: str, *, device: str, repeats: int) -> dict[str, Any]:
    """One model on one bracket.

    Raises:
        InputError: the command failed; its message is passed on.
    """
    reports = [_fused(frames, model, device) for _ in range(repeats)]
    seconds = [report["seconds"]["fuse"] for report in reports]
    pixels = reports[0]["size"]["height"] * reports[0]["size"]["width"]
    weights_name = find_model(model).weights_name
    return {
        "device": reports[0]["device"],
        "parameters": None if weights_name is None else weights.describe(weights_name).parameters,
        "fuse_s": round(statistics.median(seconds), 2),
        "all_fuse_s": [round(second, 2) for second in seconds],
        "megapixels_per_s": round(pixels / 1e6 / statistics.median(seconds), 2),
        "peak_memory_mib": round(max(r["peak_memory_bytes"] for r in reports) / 2**20),
    }


def _fused(frames: Sequence[Path], model: str, device: str) -> dict[str, Any]:
    """The report of one run of the command."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "mefuse", "fuse", *map(str, frames), "-o", f"{folder}/fused.jpg",
            "--no-align", "--model", model, "--device", device, "--json",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{model}: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.models", description=__doc__)
    parser.add_argument("frames", type=Path, nargs="+")
    parser.add_argument("--model", action="append", choices=list(MODELS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    table = {
        model: measure(given.frames, model, device=given.device, repeats=given.repeats)
        for model in given.model or MODELS
    }
    print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
