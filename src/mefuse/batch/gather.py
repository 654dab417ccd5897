"""Finds the brackets of a batch in files and folders, and never takes its own pictures for frames.

Own pictures are known by where they lie, by the manifest, and, wherever they are, by the name of
the software in their metadata, which grouping itself looks at.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from mefuse.errors import InputError
from mefuse.group.files import find_files


def find_frames(
    paths: Sequence[Path], folder: Path, *, recursive: bool, own: Collection[Path]
) -> list[Path]:
    """The files that may be frames: all that `paths` name, without the batch's own pictures.

    What lies in the output folder is left out, unless that folder or one in it is named itself:
    then only the pictures in `own` are.

    Raises:
        InputError: nothing is left.
        ReadError: a path is not there.
    """
    found = find_files(paths, recursive=recursive)
    left = [path for path in found if not _is_own(path, folder, paths, own)]
    if not left:
        raise InputError(
            f"{paths[0]}: holds nothing but pictures that mefuse made; name the frames' folder"
        )
    return left


def roots_of(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The folders below which the tree is kept: those named, and those of files that are named."""
    absolute = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - keeps links
    return tuple(path if path.is_dir() else path.parent for path in absolute)


def _is_own(path: Path, folder: Path, named: Sequence[Path], own: Collection[Path]) -> bool:
    here = Path(os.path.abspath(path))  # noqa: PTH100 - keeps links
    if here in own:
        return True
    return here.is_relative_to(folder) and not any(
        root.is_relative_to(folder) for root in roots_of(named)
    )
