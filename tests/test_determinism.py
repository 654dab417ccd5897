"""The same inputs, options and version give the same bytes."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from batch_helpers import write_plan
from conftest import HandHeld
from mefuse.batch.local import LocalEngine
from mefuse.batch.prepare import BatchRequest, prepare
from mefuse.fuse import fuse_files
from mefuse.plan import load_plan
from mefuse.settings import FuseSettings


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
