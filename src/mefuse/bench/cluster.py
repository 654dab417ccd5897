"""How much faster two workers of a Dask cluster are than one, each on a core of its own.

`python -m mefuse.bench.cluster --count 12` starts a scheduler and workers of one thread on this
machine, fuses the same brackets with one worker and with two, and prints a JSON object. Seconds are
from the first bracket's begin to the last one's end. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from mefuse.batch.manifest import read_manifest
from mefuse.bench.batch import draw, picture_size

_MODULES = {"scheduler": "distributed.cli.dask_scheduler", "worker": "distributed.cli.dask_worker"}


@contextlib.contextmanager
def cluster(workers: int, folder: Path) -> Iterator[str]:
    """A scheduler with so many workers, each held to one core; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"tcp://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        here = ("--host", "127.0.0.1", "--port", str(port))
        stack.enter_context(_started("scheduler", folder, *here))
        for core in range(workers):
            options = (url, "--nthreads", "1", "--no-nanny")
            stack.enter_context(_started("worker", folder, *options, core=core))
        yield url


@contextlib.contextmanager
def _started(kind: str, folder: Path, *options: str, core: int | None = None) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", _MODULES[kind], "--no-dashboard", *options],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    try:
        yield
    finally:
        process.kill()
        process.wait()


def seconds_with(workers: int, folder: Path, options: argparse.Namespace) -> float:
    """Seconds of a batch, after another one that has every worker load the model."""
    folder.mkdir()
    with cluster(workers, folder) as url:
        for count in (2 * workers, options.count):
            brackets = folder / f"brackets_{count}"
            plan = draw(brackets, count=count, size=options.size)
            command = [
                sys.executable, "-m", "mefuse", "batch", "--plan", str(plan), "-q",
                "-o", str(brackets / "out"), "--model", options.model, "--cluster", url,
            ]  # fmt: skip
            subprocess.run(command, check=True)
    records = [record.content for record in read_manifest(brackets / "out")]
    begin = min(datetime.fromisoformat(content["started"]) for content in records)
    end = max(datetime.fromisoformat(content["finished"]) for content in records)
    return (end - begin).total_seconds()


def main(arguments: list[str] | None = None) -> None:
    """Measures, and writes a JSON object to stdout."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.cluster", description=__doc__)
    parser.add_argument("--count", type=int, default=12, help="brackets")
    parser.add_argument("--size", type=picture_size, default=(800, 1200), help="WIDTHxHEIGHT")
    parser.add_argument("--model", default="ipl", help="as for mefuse fuse")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        one, two = (
            seconds_with(workers, Path(folder) / str(workers), options) for workers in (1, 2)
        )
    found = {"brackets": options.count, "one_s": round(one, 2), "two_s": round(two, 2)}
    sys.stdout.write(json.dumps({**found, "ratio": round(one / two, 3)}) + "\n")


if __name__ == "__main__":
    main()
