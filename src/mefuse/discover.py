"""Finds the frames that a user named and reads their exposures: the first step.

Only headers are read here, no pixels: thousands of files take seconds. It imports no picture
library. RAW formats that keep their exposure in no TIFF structure (Canon CRW) are told later,
when they are read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from mefuse import containers, exif
from mefuse.errors import ReadError
from mefuse.frames import Exposure, Source

RAW_EXTENSIONS = frozenset(
    (
        *("3fr", "ari", "arw", "bay", "cr2", "cr3", "crw", "dcr", "dcs", "dng", "erf"),
        *("fff", "gpr", "iiq", "k25", "kdc", "mef", "mos", "mrw", "nef", "nrw", "orf"),
        *("ori", "pef", "ptx", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
    )
)


def is_raw(path: str | Path) -> bool:
    """Tells by its extension whether a file is a camera's raw file."""
    return Path(path).suffix.lower().lstrip(".") in RAW_EXTENSIONS


def find_sources(paths: Sequence[str | Path]) -> list[Source]:
    """Checks that every path is a file that can be a frame, and reads its exposure.

    Returns:
        One Source per path, in the order given. Missing or broken EXIF gives an empty Exposure.

    Raises:
        ReadError: a path is missing, a folder, no regular file, empty or not readable.
    """
    return [_find_source(Path(path)) for path in paths]


def _find_source(path: Path) -> Source:
    """The source of one path."""
    try:
        status = path.stat()
        _check_kind(path, status)
        with path.open("rb") as file:
            start = containers.find_exif(file)
            exposure = Exposure() if start is None else exif.read_exposure(file, start)
    except FileNotFoundError as err:
        raise ReadError(f"{path}: no such file; {_advice(path)}") from err
    except PermissionError as err:
        raise ReadError(f"{path}: may not be read; check its permissions") from err
    except ReadError:
        raise
    except (OSError, ValueError) as err:  # ValueError: a name with a NUL byte
        raise ReadError(f"{path}: cannot be opened ({_reason(err)}); check the file") from err
    return Source(path, exposure, is_raw(path))


def _advice(path: Path) -> str:
    """What to do about a file that is not there; a shell leaves a pattern that nothing matches."""
    if any(sign in path.name for sign in "*?["):
        return "nothing matches this pattern, or it was given in quotes"
    return "check its name"


def _check_kind(path: Path, status: os.stat_result) -> None:
    """Refuses what cannot be a frame before it is opened: opening a FIFO would wait for ever."""
    if stat.S_ISDIR(status.st_mode):
        raise ReadError(
            f"{path}: is a folder; name the frames in it, or fuse all its brackets by mefuse batch"
        )
    if not stat.S_ISREG(status.st_mode):
        raise ReadError(f"{path}: is not a regular file; copy its content to a file")
    if status.st_size == 0:
        raise ReadError(f"{path}: is empty; copy it again from the camera, or leave it out")


def _reason(err: OSError | ValueError) -> str:
    return (getattr(err, "strerror", None) or str(err)).lower()
