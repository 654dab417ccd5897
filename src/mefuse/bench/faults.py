"""What bad input does: thousands of damaged files through the whole pipeline.

`python -m mefuse.bench.faults --count 2000` damages frames of small brackets in every format, and
those of `--seeds`, and fuses each bracket in a process that is watched. It prints one JSON object:
how many were refused and how many read, and what must not be: errors that are no sentences, ends
of the process, hangs, files left by refused brackets, and the most memory that a refused one took.
`--keep DIR` keeps the files that did harm. Linux only.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mefuse.bench.damage import Kind, kinds, mutated
from mefuse.errors import MefuseError
from mefuse.memory import peak_memory_bytes

LONGEST_S = 10.0  # of processor time that one bracket may take
MOST_BYTES = 1 << 30  # that a refused bracket may take
_WAIT_S = 120.0  # on a busy machine, until a process counts as hung
_CLEAR_PEAK = "5"  # what /proc/self/clear_refs takes for: begin to measure the peak anew


@dataclass(frozen=True, slots=True)
class Case:
    """A bracket of which one frame was damaged."""

    kind: str
    frames: tuple[Path, ...]
    damaged: Path


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a bracket ended: "fused", "refused", or "traceback", "crash", "hang"."""

    end: str
    message: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    left_behind: tuple[str, ...] = ()


def fuse_case(case: Case) -> Verdict:
    """Fuses a bracket into its own folder and tells how it ended, what it left and what it took."""
    from mefuse.fuse import fuse_files
    from mefuse.settings import FuseSettings, RawSettings

    before = set(case.damaged.parent.iterdir())
    output = case.damaged.parent / "fused.png"
    settings = FuseSettings(
        model="mertens", align=False, crop=False, raw=RawSettings(demosaic="ppg")
    )
    _clear_peak()
    end, message, start = "fused", "", time.process_time()
    try:
        fuse_files(case.frames, output, settings=settings)
    except MefuseError as error:
        end, message = "refused", str(error)
        if not _is_one_sentence(message):
            end = "traceback"
    except Exception:  # what is looked for here
        end, message = "traceback", traceback.format_exc()
    seconds = time.process_time() - start
    made = set(case.damaged.parent.iterdir()) - before
    left = tuple(sorted(path.name for path in made if end != "fused" or path != output))
    for path in made:
        path.unlink()
    return Verdict(end, message, seconds, peak_memory_bytes() or 0, left)


def _is_one_sentence(message: str) -> bool:
    return "\n" not in message and ": " in message and "Traceback" not in message


def _clear_peak() -> None:
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text(_CLEAR_PEAK)


class Watched:
    """A process that fuses cases, watched: one that dies or hangs is replaced."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def verdict(self, case: Case) -> Verdict:
        """How the case ended."""
        try:
            self._ours.send(case)
            if self._ours.poll(_WAIT_S):
                found: Verdict = self._ours.recv()
                return found
            end = "hang"
        except (EOFError, BrokenPipeError):
            end = "crash"
        self.close()
        code = self._process.exitcode
        self._start()
        return Verdict(end, f"exit code {code}")

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()
        self._ours.close()


def _serve(connection: Connection) -> None:
    """Fuses what comes until the other side is gone."""
    import cv2

    cv2.setNumThreads(1)
    while True:
        try:
            case = connection.recv()
        except EOFError:
            return
        connection.send(fuse_case(case))


def damaged_cases(folder: Path, *, count: int, seed: int, seeds: list[Path]) -> Iterator[Case]:
    """Cases in turn over all kinds, each written when it is asked for and then replaced."""
    dice = random.Random(seed)
    brackets = [*kinds(), *(_seed_kind(path) for path in seeds)]
    for i in range(count):
        kind = brackets[i % len(brackets)]
        yield write_case(folder, kind, dice, other=dice.choice(brackets).frames[0])


def write_case(folder: Path, kind: Kind, dice: random.Random, *, other: bytes) -> Case:
    """Writes a bracket with one damaged frame, sometimes under a wrong extension."""
    for path in folder.glob("frame_*"):
        path.unlink()
    at = dice.randrange(len(kind.frames))
    extensions = [kind.extension] * 15 + ["jpg", "tif", "dng", "png"]
    paths = []
    for i, data in enumerate(kind.frames):
        path = folder / f"frame_{i}.{dice.choice(extensions) if i == at else kind.extension}"
        path.write_bytes(mutated(data, dice, other=other) if i == at else data)
        paths.append(path)
    return Case(kind.name, tuple(paths), paths[at])


def _seed_kind(path: Path) -> Kind:
    """A real file, given twice: once whole, once damaged."""
    data = path.read_bytes()
    return Kind(path.name, path.suffix.lstrip("."), (data, data))


@dataclass(slots=True)
class Tally:
    """How cases ended."""

    ends: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    harmful: list[dict[str, Any]] = field(default_factory=list)
    slowest_s: float = 0.0
    largest_refused_bytes: int = 0

    def add(self, case: Case, verdict: Verdict) -> bool:
        """Counts one; tells whether it did harm."""
        self.ends[verdict.end] += 1
        self.by_kind.setdefault(case.kind, Counter())[verdict.end] += 1
        self.slowest_s = max(self.slowest_s, verdict.seconds)
        if verdict.end == "refused":
            self.largest_refused_bytes = max(self.largest_refused_bytes, verdict.peak_bytes)
        if is_harmful(verdict):
            number = self.ends.total()
            self.harmful.append({"case": number, "kind": case.kind, **asdict(verdict)})
        return is_harmful(verdict)

    def told(self) -> dict[str, Any]:
        """As plain values."""
        too_long = sum(one["seconds"] > LONGEST_S for one in self.harmful)
        return {
            "files": self.ends.total(),
            "refused": self.ends["refused"],
            "read": self.ends["fused"],
            "tracebacks": self.ends["traceback"],
            "crashes": self.ends["crash"],
            "hangs": self.ends["hang"] + too_long,
            "left_behind": sum(bool(one["left_behind"]) for one in self.harmful),
            "largest_refused_bytes": self.largest_refused_bytes,
            "slowest_s": round(self.slowest_s, 2),
            "by_kind": self.by_kind,
            "harmful": self.harmful,
        }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Runs the cases, until Ctrl-C, and counts how they end."""
    tally, watched = Tally(), Watched()
    with tempfile.TemporaryDirectory() as name:
        cases = damaged_cases(
            Path(name), count=options.count, seed=options.seed, seeds=options.seeds
        )
        try:
            for case in cases:
                if tally.add(case, watched.verdict(case)):
                    _keep(case, options.keep, len(tally.harmful))
        except KeyboardInterrupt:
            sys.stderr.write("interrupted; what was done until here:\n")
        finally:
            watched.close()
    return {"seed": options.seed} | tally.told()


def is_harmful(verdict: Verdict) -> bool:
    """Whether this must not be."""
    return (
        verdict.end not in ("fused", "refused")
        or verdict.seconds > LONGEST_S
        or bool(verdict.left_behind)
        or (verdict.end == "refused" and verdict.peak_bytes > MOST_BYTES)
    )


def _keep(case: Case, folder: Path | None, number: int) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03}_{case.kind}_{case.damaged.name}").write_bytes(
            case.damaged.read_bytes()
        )


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.faults", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="damaged files")
    parser.add_argument("--seed", type=int, default=1, help="of the damage")
    parser.add_argument(
        "--seeds", type=Path, nargs="*", default=[], help="real files to damage too"
    )
    parser.add_argument("--keep", type=Path, help="folder for files that did harm")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measures, writes a JSON object to stdout, and exits 1 where something did harm."""
    found = measure(parsed(arguments))
    sys.stdout.write(json.dumps(found) + "\n")
    sys.exit(1 if found["harmful"] else 0)


if __name__ == "__main__":
    main()
