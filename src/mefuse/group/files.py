"""Which files are looked at: those named, and the pictures in folders. It opens none of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mefuse.discover import RAW_EXTENSIONS
from mefuse.errors import InputError, ReadError

PICTURE_EXTENSIONS = RAW_EXTENSIONS | {"jpg", "jpeg", "jpe", "png", "tif", "tiff", "webp", "bmp"}
PICTURE_EXTENSIONS |= {"heic", "heif", "hif", "avif", "jxl"}
# Thumbnails that storage boxes put beside pictures; names with a dot in front are passed over too
# (trash, AppleDouble files, caches).
_FOREIGN_FOLDERS = {"@eadir", "#recycle", "lost+found", "__macosx"}


def find_files(paths: Sequence[Path], *, recursive: bool) -> list[Path]:
    """Gives the named files, and the pictures in the named folders, each once.

    Files keep the order in which they are named; those of a folder come in natural order of their
    names. A file that is named itself is taken whatever its extension.

    Raises:
        ReadError: a path is not there, or a folder cannot be read.
        InputError: nothing was found.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        try:
            files = _in_folder(path, recursive=recursive) if path.is_dir() else [path]
            for file in files:
                found.setdefault(Path(os.path.abspath(file)), file)  # noqa: PTH100 - keeps links
        except (OSError, ValueError) as err:
            reason = (getattr(err, "strerror", None) or str(err)).lower()
            raise ReadError(f"{path}: cannot be read ({reason}); check its permissions") from err
        if not path.is_dir() and not os.path.lexists(path):
            raise ReadError(f"{path}: no such file or folder; check its name")
    if not found:
        more = "" if recursive else ", or add --recursive for the folders in it"
        raise InputError(f"{paths[0]}: holds no pictures; name another folder{more}")
    return list(found.values())


def _in_folder(folder: Path, *, recursive: bool) -> Iterator[Path]:
    """The pictures of a folder, its own first, then those of the folders in it."""
    entries = sorted(folder.iterdir(), key=lambda entry: natural_key(entry.name))
    folders = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.suffix.lower().lstrip(".") in PICTURE_EXTENSIONS and entry.is_file():
            yield entry
        elif recursive and entry.is_dir() and not entry.is_symlink():  # links could run in circles
            folders += [entry] if entry.name.lower() not in _FOREIGN_FOLDERS else []
    for inner in folders:
        yield from _in_folder(inner, recursive=True)


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts names and paths as people do: a.jpg, a2.jpg, a10.jpg, capitals or not."""
    stem, extension = os.path.splitext(name.lower())  # noqa: PTH122 - a text, no path
    parts = [*re.split(r"(\d+)", stem, flags=re.ASCII), "", extension]
    key = [(int(part or 0), "") if i % 2 else (0, part) for i, part in enumerate(parts)]
    return (*key, (0, name))
