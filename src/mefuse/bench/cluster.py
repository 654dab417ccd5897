"""How much faster two workers of a Dask cluster are than one, each on a core of its own.

`python -m mefuse.bench.cluster --count 12` starts a scheduler and workers of one thread on this
machine, fuses the same brackets with one worker and with two, and prints a JSON object. Seconds are
from the first bracket's begin to the last one's end; `ratio` is of these, and only true on an idle
machine of two cores. What bounds it also shows on a busy one: processor seconds of the workers and
of the others (client and scheduler, which share the two cores), and the part of their time that
workers stood in line for a core. `bound` is the ratio that processor seconds allow when nobody
else wants a core: of the busier worker's, or of half of everybody's. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mefuse.batch.manifest import read_manifest
from mefuse.bench.batch import draw, picture_size

_WARMING = 4  # brackets fused before, so that every worker has loaded the model
_MODULES = {"scheduler": "distributed.cli.dask_scheduler", "worker": "distributed.cli.dask_worker"}


@dataclass(frozen=True, slots=True)
class Used:
    """What a batch took, in seconds: of the clock, of processors, and of waiting for one."""

    clock_s: float
    workers_s: tuple[float, ...]
    others_s: float
    queued_s: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster: its address, and its processes by what they are."""

    url: str
    scheduler: int
    workers: tuple[int, ...]


@contextlib.contextmanager
def cluster(workers: int, folder: Path) -> Iterator[Cluster]:
    """A scheduler with so many workers, each held to one core."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"tcp://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        here = ("--host", "127.0.0.1", "--port", str(port))
        scheduler = stack.enter_context(_started("scheduler", folder, *here))
        options = (url, "--nthreads", "1", "--no-nanny", "--death-timeout", "30")
        started = [
            stack.enter_context(_started("worker", folder, *options, core=core))
            for core in range(workers)
        ]
        yield Cluster(url, scheduler, tuple(started))


@contextlib.contextmanager
def _started(kind: str, folder: Path, *options: str, core: int | None = None) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", _MODULES[kind], "--no-dashboard", *options],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def use_of(workers: int, folder: Path, plans: Sequence[Path], model: str) -> Used:
    """What the last plan takes, after the others have had every worker load the model."""
    folder.mkdir()
    with cluster(workers, folder) as running:
        for number, plan in enumerate(plans):
            command = [
                sys.executable, "-m", "mefuse", "batch", "--plan", str(plan), "-q",
                "-o", str(folder / f"out_{number}"), "--model", model, "--cluster", running.url,
            ]  # fmt: skip
            before = [_processor_s(pid) for pid in (*running.workers, running.scheduler)]
            children = os.times()
            subprocess.run(command, check=True)
            # Here, for children that have ended: later the cluster's own processes are among them.
            client_s = sum(os.times()[2:4]) - sum(children[2:4])
            after = [_processor_s(pid) for pid in (*running.workers, running.scheduler)]
    ran = [one[0] - other[0] for one, other in zip(after, before, strict=True)]
    queued = [one[1] - other[1] for one, other in zip(after, before, strict=True)]
    records = [record.content for record in read_manifest(folder / f"out_{len(plans) - 1}")]
    begin = min(datetime.fromisoformat(content["started"]) for content in records)
    end = max(datetime.fromisoformat(content["finished"]) for content in records)
    clock_s = (end - begin).total_seconds()
    return Used(clock_s, tuple(ran[:-1]), ran[-1] + client_s, sum(queued[:-1]))


def _processor_s(pid: int) -> tuple[float, float]:
    """Seconds that all threads of a process ran, and that they waited for a core."""
    ran = waited = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            times = (task / "schedstat").read_text().split()
            ran, waited = ran + int(times[0]), waited + int(times[1])
    return ran / 1e9, waited / 1e9


def summary(one: Used, two: Used, *, count: int) -> dict[str, Any]:
    """The figures of both runs."""
    bound = sum(one.workers_s) / max(*two.workers_s, (sum(two.workers_s) + two.others_s) / 2)
    return {
        "brackets": count,
        "one_s": round(one.clock_s, 2),
        "two_s": round(two.clock_s, 2),
        "ratio": round(one.clock_s / two.clock_s, 3),
        "bound": round(bound, 3),
        "one_processor_s_per_bracket": round(sum(one.workers_s) / count, 3),
        "two_processor_s_per_bracket": round(sum(two.workers_s) / count, 3),
        "others_processor_s_per_bracket": round(two.others_s / count, 3),
        "one_queued_share": round(one.queued_s / (sum(one.workers_s) + one.queued_s), 3),
        "two_queued_share": round(two.queued_s / (sum(two.workers_s) + two.queued_s), 3),
        "two_workers_s": [round(seconds, 2) for seconds in two.workers_s],
    }


def main(arguments: list[str] | None = None) -> None:
    """Measures, and writes a JSON object to stdout."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.cluster", description=__doc__)
    parser.add_argument("--count", type=int, default=12, help="brackets")
    parser.add_argument("--size", type=picture_size, default=(800, 1200), help="WIDTHxHEIGHT")
    parser.add_argument("--model", default="ipl", help="as for mefuse fuse")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and take the cluster along
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plans = [
            draw(folder / f"brackets_{count}", count=count, size=options.size)
            for count in (_WARMING, options.count)
        ]
        one, two = (
            use_of(workers, folder / str(workers), plans, options.model) for workers in (1, 2)
        )
    sys.stdout.write(json.dumps(summary(one, two, count=options.count)) + "\n")


if __name__ == "__main__":
    main()
