"""Makers of brackets, jobs and records for the tests of batches; no test of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from helpers import encoded, exposed, exposure_exif, jpeg_with_exif, textured_light
from mefuse.batch.jobs import Job
from mefuse.batch.manifest import VERSION, Record

TIMES = ((1, 200), (1, 50), (2, 25))


def write_bracket(
    folder: Path, number: int, *, size: tuple[int, int] = (96, 128), count: int = 3
) -> list[Path]:
    """A small bracket of files IMG_<number>_<k>.jpg that do not move."""
    folder.mkdir(parents=True, exist_ok=True)
    light = textured_light(*size, seed=number)
    noise = np.random.default_rng(number).random(size).astype(np.float32)
    light = light * (0.7 + 0.6 * cv2.GaussianBlur(noise, (0, 0), 1.0)[..., np.newaxis])
    paths = []
    for k, time in enumerate(TIMES[:count]):
        pixels = exposed(light, float(np.log2(time[0] / time[1] * 50)))
        path = folder / f"IMG_{number:02d}_{k}.jpg"
        jpeg = encoded(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)
        path.write_bytes(jpeg_with_exif(jpeg, exposure_exif(time)))
        paths.append(path)
    return paths


def write_plan(path: Path, brackets: Sequence[Sequence[Path]]) -> Path:
    """A plan file of these brackets."""
    found = [{"frames": [str(frame) for frame in frames]} for frames in brackets]
    path.write_text(json.dumps({"mefuse_plan": 1, "brackets": found}))
    return path


def job_of(folder: Path, name: str, frames: Sequence[Path] = (), **given: Any) -> Job:
    """A job with made-up values where none are given."""
    return Job(1, tuple(frames), given.get("reference"), "", name, folder / name)


def record_of(name: str, *, outcome: str = "fused", sha256: str = "0" * 64, **more: Any) -> Record:
    """A record with made-up values where none are given."""
    is_fused = outcome == "fused"
    return Record(
        {
            "mefuse_manifest": VERSION,
            "outcome": outcome,
            "output": name,
            "started_ns": 1,
            "version": "0",
            "settings": {},
            "weights": None,
            "reference_asked": None,
            "inputs": [],
            "picture": {"bytes": 1, "mtime_ns": 1, "sha256": sha256} if is_fused else None,
            **more,
        }
    )
