"""The same inputs, options and version give the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from batch_helpers import write_bracket, write_plan
from conftest import HandHeld
from helpers import exposed, textured_light
from mefuse import weights
from mefuse.aligned import Aligned
from mefuse.batch.local import LocalEngine
from mefuse.batch.prepare import BatchRequest, prepare
from mefuse.fuse import fuse_files
from mefuse.plan import load_plan
from mefuse.settings import FuseSettings
from mefuse.stream import NetworkFuser, load_network_fuser
from mefuse.torch_backend import TorchBackend

TOLERANCE_DB, TOLERANCE_CODES = 48.0, 3.0  # as docs/trust.md says; codes are those of 8 bits


@pytest.mark.parametrize("extension", ["png", "tiff"])
def test_bytes_depend_on_no_order_thread_slice_or_batch(
    hand_held: HandHeld, tmp_path: Path, extension: str
) -> None:
    made = {
        name: tmp_path / f"{name}.{extension}" for name in ("first", "turned", "slices", "again")
    }
    threads = cv2.getNumThreads()
    try:
        fuse_files(hand_held.paths, made["first"])
        fuse_files(hand_held.paths[::-1], made["turned"])
        cv2.setNumThreads(1)
        fuse_files(hand_held.paths, made["slices"], settings=FuseSettings(slice_size=64))
        fuse_files(hand_held.paths, made["again"], settings=FuseSettings(slice_size="whole"))
    finally:
        cv2.setNumThreads(threads)
    plan = load_plan(write_plan(tmp_path / "plan.json", [hand_held.paths]))
    fuse = FuseSettings(format=extension)
    batch = prepare(BatchRequest(tmp_path / "batch", plan=plan, fuse=fuse))
    batch.run(LocalEngine(fuse, jobs=2))
    (picture,) = (tmp_path / "batch").glob(f"*.{extension}")
    wanted = made["first"].read_bytes()
    assert {path.name for path in [*made.values(), picture] if path.read_bytes() != wanted} == set()


def by_command(frames: list[str], output: Path, *options: str, threads: int) -> bytes:
    """The bytes that the real command writes, with so many threads in every library."""
    libraries = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    environment = os.environ | {f"{name}_NUM_THREADS": str(threads) for name in libraries}
    environment["OPENCV_FOR_THREADS_NUM"] = str(threads)
    environment["OMP_WAIT_POLICY"] = "passive"  # others may want the cores that it would spin on
    command = [sys.executable, "-m", "mefuse", "fuse", *frames, "-o", str(output), "--overwrite"]
    subprocess.run([*command, *options], env=environment, check=True, timeout=300)
    return output.read_bytes()


@pytest.mark.parametrize("model", ["ipl", "mertens"])
def test_the_command_gives_the_same_bytes_on_any_number_of_threads(
    hand_held: HandHeld, tmp_path: Path, model: str
) -> None:
    made = [
        by_command(names, tmp_path / "fused.jpg", "--model", model, threads=threads)
        for names, threads in ((hand_held.names, 1), (hand_held.names[::-1], 3))
    ]
    assert made[0] == made[1]


@pytest.mark.parametrize("model", ["deepfuse", "lcndr"])
def test_networks_in_torch_give_the_same_bytes_on_as_many_threads(
    tmp_path: Path, model: str
) -> None:
    """One thread and several may differ by a code here and there: sums come in another order."""
    names = [str(path) for path in write_bracket(tmp_path, 1)]
    pictures = {
        threads: by_command(names, tmp_path / f"{threads}.png", "--model", model, threads=threads)
        for threads in (1, 2)
    }
    again = by_command(names, tmp_path / "again.png", "--model", model, threads=2)
    assert again == pictures[2]
    one, two = (cv2.imread(str(tmp_path / f"{threads}.png")).astype(int) for threads in (1, 2))
    assert np.abs(one - two).max() <= 1


@pytest.mark.parametrize("half", [False, True], ids=["float32", "half precision"])
def test_the_cpu_and_a_gpu_agree_within_a_tolerance(half: bool) -> None:
    """A GPU runs what torch runs here; the CPU what has been written for it."""
    frames = [exposed(textured_light(240, 320, stops=8.0), ev) for ev in (-2.5, 0.0, 2.5)]
    network = weights.load(weights.find("ipl"), model="ipl")
    fusers = (
        load_network_fuser("ipl", device="cpu"),
        NetworkFuser("ipl", TorchBackend(network, device="cpu", half=half)),
    )
    ours, theirs = (
        fuser.fuse(
            Aligned.of(frames, reference=1, ghost="off"),
            depth=16, slice_size=None, on_slice=None,
        ).pixels.astype(np.float64) / 65535
        for fuser in fusers
    )  # fmt: skip
    difference = np.abs(ours - theirs)
    assert 10 * np.log10(1 / np.mean(difference**2)) > TOLERANCE_DB
    assert difference.max() < TOLERANCE_CODES / 255
