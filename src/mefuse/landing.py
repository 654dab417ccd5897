"""Puts files in their place in one piece, and so that they survive a loss of power. A leaf.

A file is written under a private name beside its target, synced, given its name in one step, and
then the folder is synced. The private name tells whose target it is, so that what a dead process
left behind can be found and removed.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mefuse.errors import MefuseError, OutputExistsError, WriteError

_asking_mask = threading.Lock()


def check_target(path: Path, overwrite: bool) -> None:
    """Checks that a file can be put at `path`, before any work is done.

    Raises:
        OutputExistsError: it exists and `overwrite` is False.
        WriteError: it is a folder, a device or a pipe, its folder is missing or not writable, or
            no file can have its name.
    """
    try:
        _check_place(path, overwrite)
    except OSError as err:
        if isinstance(err, MefuseError):
            raise
        raise unwritable(path, err) from err


def check_apart(path: Path, kept: Iterable[Path], *, what: str = "one of the frames") -> None:
    """Refuses to put a file where one lies that has to stay, whatever name or link it goes by.

    Args:
        path: where the file is to be put.
        kept: what has to stay.
        what: any of these is, for the message.

    Raises:
        WriteError: it is one of them.
    """
    known = _identity(path)
    if known is not None and any(_identity(one) == known for one in kept):
        raise WriteError(f"{path}: is {what}, and is never replaced; name another")


def _identity(path: Path) -> tuple[int, int] | None:
    """What all names of one file have in common; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check_place(path: Path, overwrite: bool) -> None:
    folder = path.parent
    if path.is_dir():
        raise WriteError(f"{path}: is a folder; name a file in it")
    if path.exists() and not path.is_file():  # a rename would take a device's or a pipe's place
        raise WriteError(f"{path}: is no regular file; name another, or - for standard output")
    if os.path.lexists(path) and not overwrite:  # a link to nowhere has the name, too
        raise OutputExistsError(f"{path}: exists already; choose another name, or give --overwrite")
    if not folder.is_dir():
        raise WriteError(f"{path}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WriteError(f"{path}: folder {folder} is not writable; choose another")


@contextmanager
def replacing(target: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A new file that takes the target's place when all went well, and vanishes otherwise.

    What a process that was killed left of the same target is cleared away first.

    Raises:
        OutputExistsError: the name is taken at the end and `overwrite` is False.
        WriteError: it cannot be made or stored.
    """
    temporary = temporary_for(target)
    _clear_dead(target)
    try:
        with _opened(temporary) as file:
            yield file
            _sync(file)
        put(temporary, target, overwrite=overwrite)
    except OSError as err:
        if isinstance(err, MefuseError):
            raise
        raise unwritable(target, err) from err
    finally:
        temporary.unlink(missing_ok=True)


def temporary_for(target: Path) -> Path:
    """A new private name beside a target; of one length, however long the target's own name is."""
    return target.with_name(f"{_prefix(target)}{secrets.token_hex(6)}.part")


def open_new(path: Path) -> io.BufferedRandom:
    """A new file, readable by its owner alone until `put` gives it its name.

    Raises:
        WriteError: it cannot be made.
    """
    try:
        return _opened(path)
    except OSError as err:
        raise unwritable(path, err) from err


def finish(file: io.BufferedRandom) -> tuple[int, str]:
    """Brings a written file to the disk; returns its size in bytes and its SHA-256.

    Raises:
        WriteError: the disk is full or failed.
    """
    try:
        _sync(file)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest
    except OSError as err:
        raise unwritable(Path(str(file.name)), err) from err


def put(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Gives a finished file its name, in one step, and syncs the folder.

    Raises:
        OutputExistsError: the name is taken and `overwrite` is False.
        WriteError: it cannot be stored.
    """
    try:
        temporary.chmod(_mode_for(target))
        _rename(temporary, target, overwrite=overwrite)
        sync_folder(target.parent)
    except FileExistsError as err:
        raise OutputExistsError(
            f"{target}: exists already; choose another name, or give --overwrite"
        ) from err
    except OSError as err:
        raise unwritable(target, err) from err


def sync_folder(folder: Path) -> None:
    """Brings a folder's list of names to the disk, where the system can."""
    if os.name == "nt":  # Windows opens no folders, and journals names by itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear_leftovers(target: Path) -> None:
    """Removes private files that were to become `target`; for who knows that nobody makes it now.

    Raises:
        OSError: the folder may not be entered, or a file not be removed.
    """
    for path in _leftovers(target):
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _leftovers(target: Path) -> list[Path]:
    """Private files that were, or are, to become `target`."""
    wanted = re.compile(re.escape(_prefix(target)) + r"[0-9a-f]{12}\.part")
    try:
        with os.scandir(target.parent) as entries:
            return [Path(one.path) for one in entries if _is_private(one, wanted)]
    except FileNotFoundError:
        return []


def _is_private(entry: os.DirEntry[str], wanted: re.Pattern[str]) -> bool:
    return wanted.fullmatch(entry.name) is not None and entry.is_file(follow_symlinks=False)


def _clear_dead(target: Path) -> None:
    """Removes private files of a target that nobody writes any more, where that can be told."""
    with suppress(OSError):  # none is in the way of a new one
        for path in _leftovers(target):
            with path.open("r+b") as file:
                is_dead = _is_held_by_us(file)
            if is_dead:
                path.unlink()


def _opened(path: Path) -> io.BufferedRandom:
    file = open(  # noqa: SIM115  it is closed by whom it is given to
        path, "x+b", opener=lambda name, flags: os.open(name, flags, 0o600)
    )
    _is_held_by_us(file)  # from now on, until it is closed or this process dies
    return file


def _is_held_by_us(file: io.BufferedRandom) -> bool:
    """Takes hold of a private file; False where another has it, or nothing can be held."""
    if sys.platform == "win32":
        return True  # a file that is open cannot be removed there
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync(file: io.BufferedRandom) -> None:
    file.flush()
    os.fsync(file.fileno())


def _prefix(target: Path) -> str:
    """What the private names of a target start with."""
    return f".mefuse-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}-"


def _rename(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(target)
        return
    try:
        target.hardlink_to(temporary)  # fails if the name is taken, in one step
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if target.exists():
            raise FileExistsError(target) from None
        temporary.replace(target)
        return
    temporary.unlink()


def _mode_for(target: Path) -> int:
    """The permissions of the file to be replaced, or what the user's mask gives a new one."""
    if target.exists():
        return target.stat().st_mode & 0o777
    with _asking_mask:  # of two threads that ask at once, one would give the other's back
        mask = os.umask(0o077)  # it can only be read by setting it: to the most private meanwhile
        os.umask(mask)
    return 0o666 & ~mask


def unwritable(path: Path, err: OSError) -> WriteError:
    """The error of a file that cannot be stored, in one sentence."""
    reason = (err.strerror or str(err)).lower()
    return WriteError(f"{path}: writing failed ({reason}); make room or choose another place")
