"""Puts a file in its place whole or not at all.

It is written beside the target under a private name, then renamed: what stood under the name stays
until the new file is complete and safe on the disk. It knows no picture.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mefuse.errors import OutputExistsError, WriteError


def check_target(path: Path, overwrite: bool) -> None:
    """Checks that a file can be put at `path`, before any work is done.

    Raises:
        OutputExistsError: it exists and `overwrite` is False.
        WriteError: it is a folder, or its folder is missing or not writable.
    """
    folder = path.parent
    if path.is_dir():
        raise WriteError(f"{path}: is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path}: exists already; choose another name or ask to overwrite")
    if not folder.is_dir():
        raise WriteError(f"{path}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WriteError(f"{path}: folder {folder} is not writable; choose another")


@contextmanager
def replacing(target: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A new file that takes the target's place when all went well, and vanishes otherwise."""
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_mode_for(target))
        _put(temporary, target, overwrite=overwrite)
    except OSError as err:
        if isinstance(err, WriteError):
            raise
        raise WriteError(
            f"{target}: writing failed ({reason(err)}); make room or choose another place"
        ) from err
    finally:
        temporary.unlink(missing_ok=True)


def _put(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Gives the finished file its name; never over a file that came meanwhile, unless asked."""
    if overwrite:
        temporary.replace(target)
        return
    try:
        target.hardlink_to(temporary)  # fails if the name is taken, in one step
    except FileExistsError as err:
        raise OutputExistsError(
            f"{target}: exists already; choose another name or ask to overwrite"
        ) from err
    except OSError:  # a file system without links
        check_target(target, overwrite)
        temporary.replace(target)


def _mode_for(target: Path) -> int:
    """The permissions of the file to be replaced, or what the user's mask gives a new one."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0o077)  # it can only be read by setting it: to the most private, for a moment
    os.umask(mask)
    return 0o666 & ~mask


def reason(err: OSError) -> str:
    """What the system says of an error, in a sentence's small letters."""
    return (err.strerror or str(err)).lower()
