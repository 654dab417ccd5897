"""Writes sets of synthetic brackets: frames, their truth, motion masks and a manifest.

    DIR/manifest.json
    DIR/0001/frame_1.jpg ...         what a camera saw, darkest first
    DIR/0001/truth/frame_1.jpg ...   the same exposures at the reference's moment and pose
    DIR/0001/truth/mask.png          where something moved, white

Paths in the manifest are relative to it. Brackets may be made by several processes; the bytes do
not depend on how many.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from mefuse import landing
from mefuse.errors import WriteError
from mefuse.frames import Metadata
from mefuse.synth.brackets import F_NUMBER, Bracket, BracketSettings, draw_bracket
from mefuse.synth.pictures import PictureFolder
from mefuse.synth.tags import ExposedBy, exif_block, tiff_tags
from mefuse.write import check_target, write_picture

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class SetSettings:
    """How many brackets, where from, and how they are made."""

    bracket: BracketSettings
    count: int = 1
    pictures: Path | None = None
    jobs: int = 1
    overwrite: bool = False


def write_set(folder: Path, *, settings: SetSettings) -> Iterator[Path]:
    """Makes and writes brackets; yields each one's folder when it is complete.

    Args:
        folder: where; made when it is missing.
        settings: what.

    Raises:
        InputError: the folder of pictures has no HDR picture.
        DependencyError: an .exr, and the package that reads it is not installed.
        ReadError: a picture cannot be decoded.
        WriteError: something cannot be written, or exists already.
    """
    pictures = PictureFolder.scanned(settings.pictures) if settings.pictures else None
    _make_folder(folder)
    check_target(folder / MANIFEST, settings.overwrite)
    entries = []
    for index, entry in enumerate(_made(folder, settings, pictures)):
        entries.append(entry)
        yield folder / _name(index)
    text = json.dumps(entries, indent=1) + "\n"
    _store(folder / MANIFEST, text.encode("utf-8"), overwrite=settings.overwrite)


def _made(
    folder: Path, settings: SetSettings, pictures: PictureFolder | None
) -> Iterator[dict[str, Any]]:
    """The manifest's entries, in order, as brackets are finished."""
    indices = range(settings.count)
    if settings.jobs == 1:
        for index in indices:
            with _one_thread():
                entry = _write_bracket(folder, settings, pictures, index)
            yield entry
        return
    # spawn: forking a process that has run torch can hang.
    pool = ProcessPoolExecutor(
        min(settings.jobs, settings.count), get_context("spawn"), initializer=_start_worker
    )
    with pool:
        yield from pool.map(
            _write_bracket, repeat(folder), repeat(settings), repeat(pictures), indices
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Computes on one thread: where torch cuts work up for more, the last bits change."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    _start_worker()
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _start_worker() -> None:
    """Each process computes on one thread: the processes are the parallelism."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _write_bracket(
    folder: Path, settings: SetSettings, pictures: PictureFolder | None, index: int
) -> dict[str, Any]:
    """Makes and writes one bracket; returns its entry in the manifest."""
    name = _name(index)
    _make_folder(folder / name / "truth")
    bracket = draw_bracket(settings.bracket, index, folder=pictures)
    frames, truths = [], []
    reference = settings.bracket.reference
    for k, (time, ev, transform) in enumerate(
        zip(bracket.times_s, bracket.evs, bracket.transforms, strict=True)
    ):
        file = f"frame_{k + 1}.{'jpg' if settings.bracket.depth == 8 else 'tif'}"
        path, truth = f"{name}/{file}", f"{name}/truth/{file}"
        pixels = bracket.frame(k)
        _write_frame(folder / path, pixels, bracket, k, settings.overwrite)
        # The reference is its own truth.
        pixels = pixels if k == reference else bracket.truth(k)
        _write_frame(folder / truth, pixels, bracket, k, settings.overwrite)
        del pixels
        frames.append(
            {
                "path": path,
                "exposure_time_s": float(time),
                "ev": ev,
                "transform": transform.tolist(),
            }
        )
        truths.append(truth)
    mask = f"{name}/truth/mask.png"
    _write_mask(folder / mask, bracket.mask(), settings.overwrite)
    height, width = settings.bracket.size
    camera = {**asdict(_as_used(bracket)), "f_number": float(F_NUMBER), "iso": bracket.iso}
    return {
        "name": name, "place": bracket.place.name, "size": {"height": height, "width": width},
        "reference": reference, "frames": frames, "truth": truths, "mask": mask,
        "moving": _moving(bracket), "camera": camera,
        "seed": settings.bracket.seed, "index": index,
    }  # fmt: skip


def _as_used(bracket: Bracket) -> Any:
    """The camera with the quality that its JPEGs really have."""
    quality = bracket.jpeg_quality if bracket.settings.depth == 8 else None
    return replace(bracket.camera, jpeg_quality=quality)


def _moving(bracket: Bracket) -> dict[str, int]:
    """How much moves in the bracket."""
    return {"things": len(bracket.motion.things), "warps": len(bracket.motion.sways)}


def _name(index: int) -> str:
    return f"{index + 1:04d}"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise WriteError(f"{folder}: cannot be made ({err.strerror}); choose another") from err


def _write_frame(
    path: Path, pixels: NDArray[Any], bracket: Bracket, k: int, overwrite: bool
) -> None:
    """One frame with its EXIF."""
    by = ExposedBy("synthetic", bracket.times_s[k], F_NUMBER, bracket.iso)
    if pixels.dtype == np.uint8:
        block = exif_block(by, size=bracket.settings.size)
        write_picture(
            pixels, path, format="jpeg", quality=bracket.jpeg_quality,
            metadata=Metadata(exif=block), overwrite=overwrite,
        )  # fmt: skip
        return
    with landing.replacing(path, overwrite=overwrite) as file:
        tifffile.imwrite(
            file, pixels, photometric="rgb", compression="zlib", compressionargs={"level": 1},
            predictor=True, rowsperstrip=64, metadata=None, software=False,
            extratags=tiff_tags(by),
        )  # fmt: skip


def _write_mask(path: Path, mask: NDArray[np.uint8], overwrite: bool) -> None:
    done, encoded = cv2.imencode(".png", mask, (cv2.IMWRITE_PNG_COMPRESSION, 6))
    if not done:
        raise WriteError(f"{path}: encoding failed; try another size")
    _store(path, encoded.tobytes(), overwrite=overwrite)


def _store(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Puts a small file in one piece."""
    with landing.replacing(path, overwrite=overwrite) as file:
        file.write(content)
