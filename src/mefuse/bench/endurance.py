"""How a batch bears what disks and days do to it: full disks, and a thousand brackets on end.

`python -m mefuse.bench.endurance full-disk` runs batches on a small file system of its own that
fills up at `--count` points, frees it and resumes; every picture is compared with one made in
peace. Needs Linux and `unshare`. `soak` fuses `--count` brackets in one process, one in ten of them
damaged, and fits a line to the memory held. Each prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from mefuse.batch.local import LocalEngine
from mefuse.batch.manifest import MANIFEST
from mefuse.batch.outcome import Outcome
from mefuse.batch.prepare import BatchRequest, prepare
from mefuse.batch.run import Hooks
from mefuse.bench.batch import draw
from mefuse.bench.damage import Kind, kinds, mutated
from mefuse.landing import sha256_of
from mefuse.plan import Plan, PlannedBracket, load_plan, save_plan
from mefuse.settings import FuseSettings

_WARM = 0.2  # of a soak's brackets, before memory is expected to be flat
_IN_TEN = 10
# A file system of so many kB, a batch into it, what is there then copied out, room made, resumed.
_ON_SMALL_DISK = """
mount -t tmpfs -o size="$1"k none "$2" || exit 99
shift; at="$1"; kept="$2"; shift 2
"$@" --output "$at/out" >/dev/null 2>"$kept.said"; echo $? > "$kept.code"
mkdir "$kept"; cp -a "$at/out/." "$kept/" 2>/dev/null
mount -o remount,size=1g "$at"
"$@" --output "$at/out" >/dev/null 2>&1; echo $? > "$kept.resumed"
mkdir "$kept.after"; cp -a "$at/out/." "$kept.after/"
"""


def full_disk(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Batches on disks of random sizes, against one that had room."""
    plan = draw(folder / "frames", count=options.brackets, size=(120, 160))
    inputs = _hashes(folder / "frames")
    command = [
        *(sys.executable, "-m", "mefuse", "batch", "--plan", str(plan), "--model", "mertens"),
        *("--format", "png", "--quiet"),
    ]
    calm = folder / "calm"
    subprocess.run([*command, "--output", str(calm)], check=True)
    truth = _hashes(calm)
    needed = sum(path.stat().st_size for path in calm.iterdir()) // 1024
    dice, found = random.Random(options.seed), Counter[str]()
    mount = folder / "disk"
    mount.mkdir()
    for i in range(options.count):
        size, kept = dice.randint(4, needed), folder / f"kept_{i}"
        script = ["unshare", "-Urm", "sh", "-c", _ON_SMALL_DISK, "sh", str(size), str(mount)]
        subprocess.run([*script, str(kept), *command], check=True)
        found.update(_after_full_disk(kept, truth))
        found["inputs_touched"] += _hashes(folder / "frames") != inputs
        for path in folder.glob("kept_*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return {"points": options.count, "brackets": options.brackets} | {
        name: found[name]
        for name in ("told", "tracebacks", "whole_when_full", "broken_when_full", "missing_after",
                     "differing_after", "left_behind_after", "inputs_touched")
    }  # fmt: skip


def _after_full_disk(kept: Path, truth: dict[str, str]) -> dict[str, int]:
    """What a batch left when its disk was full, and when it was resumed with room."""
    said = Path(f"{kept}.said").read_text()
    code = int(Path(f"{kept}.code").read_text())
    full, after = _hashes(kept), _hashes(Path(f"{kept}.after"))
    others = {path.name for path in Path(f"{kept}.after").iterdir()} - truth.keys() - {MANIFEST}
    return {
        "told": int(code in (1, 3) and "no space left" in said),
        "tracebacks": int("Traceback" in said),
        "whole_when_full": sum(truth[name] == sha for name, sha in full.items()),
        "broken_when_full": sum(truth[name] != sha for name, sha in full.items()),
        "missing_after": len(truth.keys() - after.keys()),
        "differing_after": sum(truth[name] != sha for name, sha in after.items()),
        "left_behind_after": len(others),
    }


def _hashes(folder: Path) -> dict[str, str]:
    """Names and hashes of the pictures in a folder."""
    files = [*folder.glob("*.png"), *folder.glob("*.jpg")]
    return {path.name: sha256_of(path) for path in files}


def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Brackets on end in this process, one in ten bad: memory, open files, and who was named."""
    plan, bad = _with_bad_ones(folder / "frames", options.count, options.seed)
    batch = prepare(
        BatchRequest(folder / "out", plan=load_plan(plan), fuse=FuseSettings(model=options.model))
    )
    held: list[tuple[int, int]] = []
    ends: Counter[str] = Counter()

    def note(outcome: Outcome) -> None:
        is_bad = outcome.job.frames[0].parent.name in bad
        named = any(str(frame) in outcome.message for frame in outcome.job.frames)
        ends[f"{'bad' if is_bad else 'good'} {outcome.kind}"] += 1
        ends["bad not named"] += is_bad and outcome.kind == "failed" and not named
        held.append((_resident_bytes(), len(list(Path("/proc/self/fd").iterdir()))))

    start = time.monotonic()
    summary = batch.run(LocalEngine(batch.request.fuse, jobs=3), Hooks(on_outcome=note))
    sizes = np.array(held, np.float64)[round(_WARM * len(held)) :]
    slope = np.polyfit(np.arange(len(sizes)), sizes[:, 0], 1)[0]
    return {
        "brackets": len(held),
        "interrupted": summary.is_interrupted,
        "ends": dict(ends),
        "slope_bytes_a_bracket": round(float(slope)),
        "first_bytes": round(sizes[0, 0]),
        "last_bytes": round(sizes[-1, 0]),
        "largest_bytes": round(sizes[:, 0].max()),
        "files_open": [int(sizes[:, 1].min()), int(sizes[:, 1].max())],
        "seconds": round(time.monotonic() - start, 1),
    }


def _with_bad_ones(folder: Path, count: int, seed: int) -> tuple[Path, set[str]]:
    """Writes brackets of all kinds, each in a folder, and their plan; which of them are bad."""
    dice, made = random.Random(seed), [kind for kind in kinds() if kind.extension != "dng"]
    brackets, bad = [], set()
    for i in range(count):
        kind, name = made[i % len(made)], f"b{i:04d}"
        frames = kind.frames
        if i % _IN_TEN == _IN_TEN - 1:
            frames = _damaged(kind, dice)
            bad.add(name)
        (folder / name).mkdir(parents=True)
        paths = [folder / name / f"{name}_{k}.{kind.extension}" for k in range(len(frames))]
        for path, data in zip(paths, frames, strict=True):
            path.write_bytes(data)
        brackets.append(PlannedBracket(tuple(paths)))
    plan = folder / "plan.json"
    save_plan(Plan(tuple(brackets)), plan)
    return plan, bad


def _damaged(kind: Kind, dice: random.Random) -> tuple[bytes, ...]:
    """The frames with one cut short or otherwise damaged; some damage may do no harm."""
    at = dice.randrange(len(kind.frames))
    data = kind.frames[at]
    hurt = data[: len(data) // 3] if dice.random() < 0.5 else mutated(data, dice, other=data)
    return (*kind.frames[:at], hurt, *kind.frames[at + 1 :])


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.endurance", description=__doc__)
    parser.add_argument("what", choices=("full-disk", "soak"))
    parser.add_argument("--count", type=int, help="points (20), or brackets of a soak (1000)")
    parser.add_argument("--brackets", type=int, default=4, help="of each batch on a full disk")
    parser.add_argument("--model", default="ipl", help="of a soak")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    given.count = given.count or (20 if given.what == "full-disk" else 1000)
    return given


def main(arguments: list[str] | None = None) -> None:
    """Measures, and writes a JSON object to stdout."""
    options = parsed(arguments)
    with tempfile.TemporaryDirectory() as name:
        measure = full_disk if options.what == "full-disk" else soak
        found = measure(options, Path(name).resolve())
    sys.stdout.write(json.dumps({"what": options.what} | found) + "\n")


if __name__ == "__main__":
    main()
