"""How fast, how frugal and how safe a batch is, with the real command in processes of its own.

`python -m mefuse.bench.batch throughput` compares a batch with single `mefuse fuse` calls, `memory`
watches a long batch grow or not, `kills` ends batches at random moments, by SIGKILL or as `--by`
says (Ctrl-C, SIGTERM, a reader that goes away), resumes them and compares every byte of pictures
and frames; `--format` and `--depth` take several, of which each round draws one. Each prints one
JSON object. The brackets are drawn: `--size`, `--count`.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from mefuse.batch.manifest import MANIFEST, read_manifest
from mefuse.landing import sha256_of
from mefuse.plan import Plan, PlannedBracket, save_plan
from mefuse.synth.sample import write_sample
from mefuse.write import FORMATS, NAMES

_MEFUSE = (sys.executable, "-m", "mefuse")
# The same with every TIFF written band by band, as it is made, as very large ones are.
_MEFUSE_IN_BANDS = (
    sys.executable,
    "-c",
    "import mefuse.fuse; mefuse.fuse.BANDS_FROM_PX = 1; from mefuse.__main__ import run; run()",
)
_LATEST = 1.5  # times the seconds of a calm batch: others may be at work, so that it takes longer
_WRITING_S, _LOOK_S = 0.3, 0.002  # how long a picture takes to be written; how often to look
# How a batch is ended: by which signal, and with which exit codes it may then end. A signal that
# comes before Python is up ends it by itself.
ENDS: dict[str, tuple[signal.Signals, tuple[int, ...]]] = {
    "kill": (signal.SIGKILL, (-signal.SIGKILL,)),
    "term": (signal.SIGTERM, (130, -signal.SIGTERM)),
    "int": (signal.SIGINT, (130, -signal.SIGINT)),
    "pipe": (signal.SIGPIPE, (1,)),
}


@dataclass(frozen=True, slots=True)
class Truth:
    """What a batch in one format makes when it is left alone."""

    command: tuple[str, ...]
    seconds: float
    hashes: dict[str, str]


def draw(folder: Path, *, count: int, size: tuple[int, int], drawn: int = 6) -> Path:
    """Writes brackets, so many different ones and copies, and their plan; gives the plan's path."""
    folder.mkdir(parents=True, exist_ok=True)
    different = [
        list(write_sample(folder / f"drawn_{i}", size=size, seed=i + 1, overwrite=True))
        for i in range(min(count, drawn))
    ]
    brackets = []
    for i in range(count):
        frames = []
        for k, source in enumerate(different[i % drawn]):
            frame = folder / f"IMG_{i:04d}_{k}.jpg"
            frame.hardlink_to(source)
            frames.append(frame)
        brackets.append(PlannedBracket(tuple(frames)))
    plan = folder / "plan.json"
    save_plan(Plan(tuple(brackets)), plan)
    return plan


def throughput(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Seconds of single calls over seconds of a batch; the calls half before it and half after.

    `further_s` is what each bracket after the first adds: the batch less one of a single bracket.
    """
    plan = draw(folder, count=options.count, size=options.size, drawn=options.drawn)
    brackets = [item["frames"] for item in json.loads(plan.read_text())["brackets"]]
    half = len(brackets) // 2
    single = _single_calls(brackets[:half], folder, options)
    first = draw(folder / "first", count=1, size=options.size)
    batch_of_one = _timed(_batch(first, folder / "batch of one", options))
    batch = _timed(_batch(plan, folder / "batch", options))
    single += _single_calls(brackets[half:], folder, options)
    records = read_manifest(folder / "batch")
    return {
        "brackets": len(brackets),
        "single_s": round(sum(single), 2),
        "single_median_s": round(statistics.median(single), 2),
        "batch_s": round(batch, 2),
        "further_s": round((batch - batch_of_one) / max(len(brackets) - 1, 1), 3),
        "ratio": round(sum(single) / batch, 3),
        "batch_peak_bytes": max(record.content["peak_memory_bytes"] for record in records),
    }


def _single_calls(
    brackets: list[list[str]], folder: Path, options: argparse.Namespace
) -> list[float]:
    """Seconds of `mefuse fuse` on each bracket."""
    return [
        _timed(
            [*_MEFUSE, "fuse", *frames, "-o", str(folder / "single.png"), "--overwrite", "-q",
             "--model", options.model]
        )
        for frames in brackets
    ]  # fmt: skip


def _timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def _batch(
    plan: Path, output: Path, options: argparse.Namespace, more: Sequence[str] = ()
) -> list[str]:
    """The command line of a batch."""
    mefuse = _MEFUSE_IN_BANDS if options.in_bands else _MEFUSE
    return [*mefuse, "batch", "--plan", str(plan), "-o", str(output), "-q",
            "--name", "{first}.{ext}", "--model", options.model, *more]  # fmt: skip


def memory(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Resident memory after each bracket of a batch: the last ones against the first ones."""
    plan = draw(folder, count=options.count, size=options.size, drawn=options.drawn)
    command = [*_batch(plan, folder / "batch", options), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        sizes = [_resident_bytes(process.pid) for _ in process.stdout]
    if process.returncode != 0 or len(sizes) != options.count:
        raise SystemExit(f"the batch ended with {process.returncode} after {len(sizes)} brackets")
    some = min(50, len(sizes) // 2)
    first, last = statistics.mean(sizes[:some]), statistics.mean(sizes[-some:])
    return {
        "brackets": len(sizes),
        "compared": some,
        "first_bytes": round(first),
        "last_bytes": round(last),
        "ratio": round(last / first, 4),
        "largest_bytes": max(sizes),
    }


def _resident_bytes(pid: int) -> int:
    """What a process holds in memory now; 0 when it has just ended. Linux only."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def kills(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Batches that are ended at a random moment and resumed, against one that was left alone."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    plan = draw(folder, count=options.count, size=options.size, drawn=options.drawn)
    inputs = _frame_hashes(folder)
    truths = list(_truths(plan, folder, options))
    dice, found = random.Random(options.seed), Counter[str]()
    for _ in range(options.rounds):
        output = folder / "killed"
        shutil.rmtree(output, ignore_errors=True)
        how, truth = dice.choice(options.by), dice.choice(truths)
        command = _batch(plan, output, options, truth.command)
        begun = partial(_is_writing, output) if options.while_writing else _at_once
        longest = _WRITING_S if options.while_writing else _LATEST * truth.seconds
        found.update(_ended(how, dice.uniform(0, longest), command, begun=begun))
        found["parts_at_kill"] += len(list(output.glob(".*.part")))
        hashes = {name: sha256_of(path) for name, path in _pictures(output).items()}
        found["broken_after_kill"] += sum(
            truth.hashes.get(name) != sha for name, sha in hashes.items()
        )
        found["done_at_kill"] += len(hashes)
        found["left_by_signal"] += how != "kill" and len(list(output.glob("**/.*")))
        before = {name: path.stat().st_ino for name, path in _pictures(output).items()}
        subprocess.run(command, check=True)
        found.update(_differences(output, truth.hashes, before))
        found["inputs_touched"] += _frame_hashes(folder) != inputs
    calm_s = [round(truth.seconds, 2) for truth in truths]
    return {"brackets": options.count, "rounds": options.rounds, "batch_s": calm_s} | {
        name: found[name]
        for name in (*(f"by_{how}" for how in ENDS), "ended_before", "done_at_kill",
                     "parts_at_kill", "broken_after_kill", "left_by_signal", "wrong_exit_codes",
                     "tracebacks", "inputs_touched", "fused_twice", "missing", "differing",
                     "left_behind")
    }  # fmt: skip


def _truths(plan: Path, folder: Path, options: argparse.Namespace) -> Iterator[Truth]:
    """Batches that are left alone, one of each format and depth that it can hold."""
    for form, depth in product(options.format, options.depth):
        if depth is not None and depth not in FORMATS[form].depths:
            continue
        more = ("--format", form, *(() if depth is None else ("--depth", str(depth))))
        calm = folder / f"calm_{form}_{depth}"
        seconds = _timed(_batch(plan, calm, options, more))
        hashes = {name: sha256_of(path) for name, path in _pictures(calm).items()}
        yield Truth(more, seconds, hashes)


def _pictures(output: Path) -> dict[str, Path]:
    """The fused pictures of a batch, by name."""
    found = output.iterdir() if output.is_dir() else ()
    return {one.name: one for one in found if one.name[0] != "." and one.name != MANIFEST}


def _frame_hashes(folder: Path) -> dict[str, tuple[str, int]]:
    """What the frames hold, and when they were last changed."""
    frames = folder.glob("IMG_*.jpg")
    return {path.name: (sha256_of(path), path.stat().st_mtime_ns) for path in frames}


def _is_writing(output: Path) -> bool:
    return any(output.glob(".*.part"))


def _at_once() -> bool:
    return True


def _ended(
    how: str, seconds: float, command: list[str], *, begun: Callable[[], bool] = _at_once
) -> dict[str, int]:
    """Starts a command and ends it so long after it begun, if it still runs; what was odd."""
    with subprocess.Popen(
        [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None  # they were asked for
        while not begun() and process.poll() is None:
            time.sleep(_LOOK_S)
        time.sleep(seconds)
        was_over = process.poll() is not None
        if how == "pipe":
            process.stdout.close()
        elif not was_over:
            process.send_signal(ENDS[how][0])
        said = process.stderr.read()
    return {
        f"by_{how}": 1,
        "ended_before": int(was_over),
        "wrong_exit_codes": int(process.returncode not in (0, *ENDS[how][1])),
        "tracebacks": int("Traceback" in said),
    }


def _differences(output: Path, truth: dict[str, str], before: dict[str, int]) -> dict[str, int]:
    """How a resumed batch differs from the calm one."""
    pictures = _pictures(output)
    recorded = Counter(record.name for record in read_manifest(output))
    others = {path.name for path in output.iterdir()} - truth.keys() - {MANIFEST}
    again = [name for name, inode in before.items() if pictures[name].stat().st_ino != inode]
    return {
        "missing": len(truth.keys() - pictures.keys()),
        "differing": sum(
            sha256_of(pictures[name]) != truth[name] for name in pictures.keys() & truth.keys()
        ),
        "left_behind": len(others),
        "fused_twice": len(again) + sum(count - 1 for count in recorded.values()),
    }


def picture_size(text: str) -> tuple[int, int]:
    """(height, width) of WIDTHxHEIGHT."""
    width, height = text.split("x")
    return int(height), int(width)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.batch", description=__doc__)
    parser.add_argument("what", choices=("throughput", "memory", "kills"))
    parser.add_argument("--count", type=int, default=10, help="brackets")
    parser.add_argument("--drawn", type=int, default=6, help="different ones among them")
    parser.add_argument(
        "--size", type=picture_size, default=(800, 1200), help="WIDTHxHEIGHT of frames"
    )
    parser.add_argument("--model", default="ipl", help="as for mefuse fuse")
    parser.add_argument("--format", nargs="+", choices=NAMES, default=["png"], help="of pictures")
    parser.add_argument("--depth", nargs="+", type=int, default=[None], help="of pictures")
    parser.add_argument("--in-bands", action="store_true", help="write TIFF as it is made")
    parser.add_argument(
        "--while-writing", action="store_true", help="kill when a picture is being written"
    )
    parser.add_argument("--rounds", type=int, default=20, help="kills")
    parser.add_argument("--by", nargs="+", choices=tuple(ENDS), default=["kill"], help="of them")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measures, and writes a JSON object to stdout."""
    options = parsed(arguments)
    measure = {"throughput": throughput, "memory": memory, "kills": kills}[options.what]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    height, width = options.size
    sys.stdout.write(json.dumps({"what": options.what, "size": f"{width}x{height}"} | found) + "\n")


if __name__ == "__main__":
    main()
