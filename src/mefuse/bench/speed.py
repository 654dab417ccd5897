"""`mefuse bench`: what every step, the whole process and its memory take, beside plain OpenCV.

Every measurement is a process of its own, the real command; what it takes is what it reports. The
yardstick runs in turn with it, so that other work on the machine meets both. Bracket sizes and
counts are free; frames are made here or given.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from mefuse import __version__
from mefuse.bench.enlarged import write_bracket
from mefuse.errors import InputError
from mefuse.memory import available_memory_bytes, machine_memory_bytes

SIZES = {  # (height, width)
    "1080p": (1080, 1920),
    "4k": (2160, 3840),
    "8k": (4320, 7680),
    "100mp": (8192, 12288),
}
SLICE_STEPS = ("glimpse", "decode", "blend")
# MergeMertens holds this much per pixel and frame, measured; where there is less it is left out.
_YARDSTICK_BYTES_PER_PX = 60
_LIBRARIES = ("numpy", "opencv-python", "torch", "imagecodecs", "tifffile")

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One bracket to measure."""

    name: str
    paths: tuple[str, ...]
    height: int
    width: int

    @property
    def megapixels(self) -> float:
        """Of one frame."""
        return self.height * self.width / 1e6


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """How to measure."""

    repeats: int = 5
    warm_up: int = 1  # runs before those that count
    model: str = "ipl"
    device: str = "auto"
    yardstick: bool = True
    output_format: str = "png"  # what is written


def make_cases(
    folder: Path,
    sizes: Sequence[tuple[str, tuple[int, int]]],
    counts: Iterable[int],
    *,
    format: str,
) -> Iterator[Case]:
    """Brackets of every size and count, made when their turn comes.

    Args:
        folder: for the frames; those that are there already are taken.
        sizes: names and (height, width).
        counts: numbers of frames.
        format: "jpg" or "tif", which has tiles from 64 megapixels.
    """
    for count in counts:
        for name, (height, width) in sizes:
            paths = write_bracket(
                folder / f"{name}-{count}-{format}",
                height=height, width=width, count=count, format=format,
            )  # fmt: skip
            yield Case(name, tuple(map(str, paths)), height, width)


def given_case(paths: Sequence[str]) -> Case:
    """The bracket of given files."""
    from mefuse.discover import find_sources
    from mefuse.read import read_frame

    height, width = read_frame(find_sources(paths)[0], by_regions=True).size
    return Case("given", tuple(paths), height, width)


def measure(case: Case, folder: Path, *, settings: BenchSettings) -> Record:
    """One bracket: the whole command, the warm pipeline and the yardstick, each several times.

    Raises:
        InputError: a command failed, as that says.
    """
    output = str(folder / f"fused.{settings.output_format}")
    common = ["--model", settings.model, "--device", settings.device]
    fuse = ["-m", "mefuse", "fuse", *case.paths, "-o", output, *common]
    fuse += ["--json", "--profile", "--overwrite", "--quiet"]
    yardstick = ["-m", "mefuse.bench.yardstick", *case.paths, "-o", str(folder / "yardstick.png")]
    runs: list[Record] = []
    others: list[Record] = []
    with_yardstick = settings.yardstick and _yardstick_fits(case)
    for turn in range(settings.warm_up + settings.repeats):
        pair = _run(fuse)[0], _run(yardstick)[0] if with_yardstick else None
        if turn >= settings.warm_up:
            runs.append(pair[0])
            others += [] if pair[1] is None else [pair[1]]
    count = str(settings.warm_up + settings.repeats)
    warm = _run(["-m", "mefuse.bench.warm", *case.paths, "-o", output, *common, "--runs", count])
    return {
        "size": case.name, "height": case.height, "width": case.width, "frames": len(case.paths),
        "format": Path(case.paths[0]).suffix.lstrip("."), "output": settings.output_format,
        "model": runs[0]["model"], "device": runs[0]["device"],
        "cache_bytes": runs[0]["cache_bytes"],
        "process": _summary(runs),
        "warm": _summary(warm[settings.warm_up :]),
        "device_peak_bytes": warm[-1]["device_peak_bytes"],
        "opencv": _summary(others) if others else None,
        "ratios": _ratios(runs, warm[settings.warm_up :], others) if others else None,
    }  # fmt: skip


def machine() -> Record:
    """What was measured on, with what, and how busy it was."""
    return {
        "mefuse": __version__,
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": machine_memory_bytes(),
        "load": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "versions": {name: _version(name) for name in _LIBRARIES},
    }


def _run(arguments: Sequence[str]) -> list[Record]:
    """Runs a module in a process of its own; the JSON lines that it prints, with its time."""
    before, start = os.times(), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    wall_s, after = time.perf_counter() - start, os.times()
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"{arguments[1]} failed and said nothing"]
        raise InputError(said[-1].removeprefix("Error: "))
    processor_s = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    records: list[Record] = [json.loads(line) for line in done.stdout.splitlines()]
    for record in records:
        record |= {"process_s": wall_s, "processor_s": processor_s}
    return records


def _summary(runs: Sequence[Record]) -> Record:
    """Median, lowest and highest of the steps' seconds, the process's time and memory."""
    steps = [step for step in runs[0]["seconds"] if step != "total"]
    seconds = {step: _spread(run["seconds"][step] for run in runs) for step in steps}
    if "total" in runs[0]["seconds"]:
        seconds["total"] = _spread(run["seconds"]["total"] for run in runs)
    for step in SLICE_STEPS:
        spans = [_wall_of(step, run.get("timeline", ())) for run in runs]
        if all(span > 0 for span in spans):
            seconds[step] = _spread(spans)
    return {
        "seconds": seconds,
        "process_s": _spread(run["process_s"] for run in runs),
        "processor_s": _spread(run["processor_s"] for run in runs),
        "peak_memory_bytes": max((run["peak_memory_bytes"] or 0) for run in runs) or None,
    }


def _wall_of(step: str, timeline: Iterable[Record]) -> float:
    """Seconds from the first to the last slice of a kind; 0 without any."""
    spans = [(e["start_s"], e["end_s"]) for e in timeline if e["step"] == step and e["rect"]]
    return max(end for _, end in spans) - min(start for start, _ in spans) if spans else 0.0


def _ratios(
    runs: Sequence[Record], warm: Sequence[Record], others: Sequence[Record]
) -> dict[str, float]:
    """Against the yardstick, by medians: below 1 is better."""

    def ratio(one: Callable[[Record], float], own: Sequence[Record]) -> float:
        return round(median(map(one, own)) / median(map(one, others)), 3)

    found = {step: ratio(lambda r, s=step: r["seconds"][s], warm)  # type: ignore[misc]
             for step in ("read", "align", "fuse", "write")}  # fmt: skip
    return found | {
        "process": ratio(lambda r: r["process_s"], runs),
        "processor": ratio(lambda r: r["processor_s"], runs),
        "memory": ratio(lambda r: r["peak_memory_bytes"] or 0.0, runs),
    }


def _spread(values: Iterable[float]) -> dict[str, float]:
    found = sorted(values)
    return {
        "median": round(median(found), 4),
        "lowest": round(found[0], 4),
        "highest": round(found[-1], 4),
    }


def _yardstick_fits(case: Case) -> bool:
    """Whether there is memory enough for OpenCV's float pyramids."""
    free = available_memory_bytes()
    need = case.height * case.width * len(case.paths) * _YARDSTICK_BYTES_PER_PX
    return free is None or need < free


def _processor() -> str:
    """The processor's name, as the system tells it."""
    names = Path("/proc/cpuinfo")
    lines = names.read_text().splitlines() if names.exists() else []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the source tree that this runs from; None outside one."""
    here = Path(__file__).resolve().parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=False)
    except OSError:  # no git
        return None
    return done.stdout.strip() or None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
