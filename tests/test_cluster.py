"""A batch on a real Dask cluster: a scheduler and workers, each a process on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_helpers import write_bracket
from mefuse.batch.manifest import MANIFEST, read_manifest

pytest.importorskip("distributed", reason="mefuse[cluster] is not installed")

SLOW_WORKER = """
import sys, time
import mefuse.landing
from distributed.cli.dask_worker import main

finish = mefuse.landing.finish
def slow(file):
    time.sleep(1.0)
    return finish(file)

mefuse.landing.finish = slow
main()
"""


class Cluster:
    """Processes of a cluster on loopback, ended at the end."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"tcp://127.0.0.1:{port}"
        self._folder = folder
        self._environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "DASK_LOGGING__DISTRIBUTED": "error",
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start(
            "-m", "distributed.cli.dask_scheduler",
            "--host", "127.0.0.1", "--port", str(port), "--no-dashboard",
        )  # fmt: skip

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self._folder, env=self._environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._processes.append(process)
        return process

    def worker(self, *, is_slow: bool = False) -> subprocess.Popen[bytes]:
        """Starts a worker of one thread that nobody starts again."""
        how = ("-c", SLOW_WORKER) if is_slow else ("-m", "distributed.cli.dask_worker")
        return self._start(*how, self.url, "--nthreads", "1", "--no-nanny", "--no-dashboard")

    def end(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler with one worker."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.worker()
        yield cluster
    finally:
        cluster.end()


def command(folder: Path, url: str, *more: str) -> list[str]:
    """A batch of the folder's card."""
    return [
        sys.executable, "-m", "mefuse", "batch", str(folder / "card"), "-o", str(folder / "out"),
        "--size", "3", "--model", "mertens", "--json", "--cluster", url, *more,
    ]  # fmt: skip


def run(*arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, capture_output=True, text=True, check=False, timeout=180, **how
    )


def wait_for_part(out: Path, process: subprocess.Popen[str]) -> None:
    """Waits until a worker is writing a picture."""
    end = time.monotonic() + 90
    while not any(path.name.endswith(".part") for path in out.glob(".mefuse-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def outcomes(text: str) -> dict[str, str]:
    lines = [json.loads(line) for line in text.splitlines()]
    return {line["output"]: line["outcome"] for line in lines}


def test_a_worker_that_dies_costs_nothing(tmp_path: Path, cluster: Cluster) -> None:
    names = []
    for number in range(6):
        write_bracket(tmp_path / "card", number)
        names.append(f"IMG_0{number}_0-IMG_0{number}_2.png")
    victim = cluster.worker(is_slow=True)
    out = tmp_path / "out"
    with subprocess.Popen(
        command(tmp_path, cluster.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for_part(out, process)
        victim.kill()  # while a picture is being written, by it or by the other
        said, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    assert outcomes(said) == dict.fromkeys(names, "fused")
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, MANIFEST])
    assert sorted(record.name for record in read_manifest(out)) == names  # none twice
    # The same pictures, and the same manifest, as without a cluster: which has nothing to do.
    local = command(tmp_path, cluster.url)
    local = local[: local.index("--cluster")]
    again = run(*local)
    assert outcomes(again.stdout) == dict.fromkeys(names, "skipped")
    frames = sorted(str(path) for path in (tmp_path / "card").glob("IMG_03_*"))
    single = tmp_path / "single.png"
    run(sys.executable, "-m", "mefuse", "fuse", *frames, "-o", str(single), "--model", "mertens")
    assert (out / names[3]).read_bytes() == single.read_bytes()


def test_a_signal_has_the_workers_clear_away(tmp_path: Path, cluster: Cluster) -> None:
    for number in range(4):
        write_bracket(tmp_path / "card", number)
    slow = cluster.worker(is_slow=True)
    out = tmp_path / "out"
    with subprocess.Popen(
        command(tmp_path, cluster.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for_part(out, process)
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "interrupted\n")
    end = time.monotonic() + 30
    while any(path.name.endswith(".part") for path in out.iterdir()):
        assert time.monotonic() < end
        time.sleep(0.1)
    slow.kill()
    recorded = [record.name for record in read_manifest(out)] if (out / MANIFEST).exists() else []
    pictures = [path.name for path in out.iterdir() if path.name != MANIFEST]
    assert sorted(pictures) == sorted(recorded)


def test_what_is_wrong_is_told(tmp_path: Path, cluster: Cluster) -> None:
    write_bracket(tmp_path / "card", 0)
    no_gpu = run(*command(tmp_path, cluster.url, "--device", "cuda"))
    assert no_gpu.returncode == 1
    assert "no worker offers a GPU" in no_gpu.stderr
    (tmp_path / "card" / "IMG_00_1.jpg").write_bytes(b"no picture")
    broken = run(*command(tmp_path, cluster.url, "--by-folder"))
    assert broken.returncode in (1, 3)
    assert "IMG_00_1.jpg" in broken.stderr
    assert "Traceback" not in broken.stderr


def test_without_a_scheduler_it_says_how_to_start_one(tmp_path: Path) -> None:
    write_bracket(tmp_path / "card", 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    done = run(*command(tmp_path, url))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {url}: no Dask scheduler answers there; start one")
    assert done.stderr.count("\n") == 1


def test_without_dask_it_says_what_to_install(tmp_path: Path) -> None:
    write_bracket(tmp_path / "card", 0)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "distributed.py").write_text("raise ImportError('no module named distributed')\n")
    paths = os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])
    done = run(*command(tmp_path, "tcp://127.0.0.1:1"), env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 1
    assert "pip install 'mefuse[cluster]'" in done.stderr
