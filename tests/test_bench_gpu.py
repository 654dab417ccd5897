"""The measurement of a GPU runs through on torch's CPU, without what a bare machine lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MISSING = ("click", "rich", "rawpy", "imagecodecs", "tifffile", "OpenEXR", "skimage", "imageio")
PROGRAM = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {MISSING!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from mefuse.bench.gpu import main
main()
"""


def test_everything_is_measured_and_told(tmp_path: Path) -> None:
    output = tmp_path / "gpu.jsonl"
    sizes = ["--size", "512x128", "--large", "200x150", "--equality", "512x128"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--device", "cpu", *sizes, "--repeats", "1", "--count",
         "2", "--output", str(output)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    records = {r["name"]: r for r in map(json.loads, output.read_text().splitlines())}
    assert done.stdout.count("\n") == len(records) + 1
    equal = {name: r["passed"] for name, r in records.items() if name.startswith("equal: ")}
    assert len(equal) >= 7
    assert all(equal.values())
    steps = [name for name in records if name.startswith("step: ")]
    assert len(steps) == 10
    assert all(records[name]["ms"] > 0 for name in steps)
    device = records["on the device"]
    assert device["floor_ms"] > 0
    assert device["passed"] == (device["ms"] <= device["bar_ms"])
    assert {"host to host", "streamed", "memory of streaming", "bandwidth"} <= set(records)
    assert set(records["streamed"]["lanes_ms"]) >= {"upload", "kernels", "download", "blend"}


def test_a_machine_without_a_gpu_is_told_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mefuse.bench.gpu", "--device", "cuda:63"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("Error: cuda:63: ")
