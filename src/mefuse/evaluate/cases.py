"""What is to be measured: brackets by name, from a folder or a manifest. Knows no pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mefuse.discover import is_raw
from mefuse.errors import InputError
from mefuse.evaluate.records import field_of, matrix_of, read_json
from mefuse.slices import Rect

Matrix = NDArray[np.float64]
Aligned = Literal["as they lie", "by the report", "by the manifest"]

MANIFEST = "manifest.json"
PICTURES = frozenset((".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp"))


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One bracket to measure.

    `transforms` are per frame (3, 3), from a pixel of the reference to the frame's; None where the
    frames are taken as they lie. `crop` is the part of the reference that is measured; None: all
    that the frames cover. `truth_frames` are the same exposures without motion, at the reference's
    pose; `truth` is a true fused picture; `mask` is white where something moved.
    """

    name: str
    frames: tuple[Path, ...]
    reference: int | None = None
    transforms: tuple[Matrix, ...] | None = None
    crop: Rect | None = None
    aligned: Aligned = "as they lie"
    truth_frames: tuple[Path, ...] = ()
    truth: Path | None = None
    mask: Path | None = None

    def transform_of(self, frame: Path) -> Matrix:
        """The transform of one of the frames."""
        return np.eye(3) if self.transforms is None else self.transforms[self.frames.index(frame)]


def find_cases(root: Path) -> list[Case]:
    """The brackets of a manifest, of a folder that has one, or of a folder of folders.

    In a folder without a manifest every folder below that holds two or more pictures is a bracket,
    named by its path in the folder; camera raw files count where there are no other pictures.

    Raises:
        InputError: there is no bracket, or the manifest is none.
    """
    if root.is_dir() and (root / MANIFEST).is_file():
        root = root / MANIFEST
    if root.is_file():
        return cases_of_manifest(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder or manifest; check its name")
    found = [(folder, _frames_in(folder)) for folder in [root, *_folders_below(root)]]
    cases = [Case(_name(folder, root), frames) for folder, frames in found if len(frames) > 1]
    if not cases:
        raise InputError(f"{root}: no folder in it holds two or more pictures; name another")
    return cases


def cases_of_manifest(path: Path) -> list[Case]:
    """The brackets of a manifest as `mefuse synth` writes it; paths count from its folder.

    Raises:
        InputError: the file is no such manifest.
    """
    brackets = read_json(path)
    if not isinstance(brackets, list) or not brackets:
        raise InputError(f"{path}: is no list of brackets; make it again with mefuse synth")
    return [_case_of(bracket, path) for bracket in brackets]


def case_of_report(path: Path, frames: Sequence[Path], *, name: str) -> Case:
    """The bracket as `mefuse fuse --json` reports it: its frames, aligned and cropped.

    Args:
        path: the report.
        frames: the frames, where they lie elsewhere than the report says; matched by name.
        name: what to call the bracket.

    Raises:
        InputError: the file is no such report, or a frame is not in it.
    """
    report = read_json(path)
    listed = field_of(report, "frames", list, path)
    paths = [Path(field_of(frame, "path", str, path)) for frame in listed]
    matrices = [matrix_of(frame, path) for frame in listed]
    crop = field_of(report, "crop", dict, path)
    sides = [field_of(crop, side, int, path) for side in ("top", "left", "height", "width")]
    here = _found_again(paths, frames, report=path)
    reference = field_of(report, "reference", str, path)
    return Case(
        name,
        tuple(here),
        reference=paths.index(Path(reference)) if Path(reference) in paths else None,
        transforms=tuple(matrices),
        crop=Rect(*sides),
        aligned="by the report",
    )


def _found_again(listed: Sequence[Path], frames: Sequence[Path], *, report: Path) -> list[Path]:
    """Where the report's frames lie now."""
    if not frames:
        return list(listed)
    by_name = {frame.name: frame for frame in frames}
    absent = {path.name for path in listed} ^ set(by_name)
    if absent or len(by_name) != len(frames):
        which = sorted(absent)[0] if absent else "a name that occurs twice"
        raise InputError(f"{report}: does not fit the frames ({which}); give the frames it lists")
    return [by_name[path.name] for path in listed]


def _folders_below(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_dir())


def _frames_in(folder: Path) -> tuple[Path, ...]:
    """The pictures of one folder; its raw files where it has no others."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    pictures = [path for path in files if path.suffix.lower() in PICTURES]
    return tuple(pictures or [path for path in files if is_raw(path)])


def _name(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix() if folder != root else folder.resolve().name


def _case_of(bracket: Mapping[str, Any], path: Path) -> Case:
    """One bracket of a manifest."""
    frames = field_of(bracket, "frames", list, path)
    mask = bracket.get("mask")
    return Case(
        field_of(bracket, "name", str, path),
        tuple(path.parent / field_of(frame, "path", str, path) for frame in frames),
        reference=field_of(bracket, "reference", int, path),
        transforms=tuple(matrix_of(frame, path) for frame in frames),
        aligned="by the manifest",
        truth_frames=tuple(path.parent / name for name in bracket.get("truth", ())),
        mask=path.parent / mask if mask else None,
    )
