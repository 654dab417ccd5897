"""Whether files stay as they are while they are read: a copy may still be running. A leaf."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mefuse.errors import ReadError


class Known(Protocol):
    """A file as it was: its size, and when it was last changed, in nanoseconds since 1970."""

    @property
    def path(self) -> str:
        """Where it is."""

    @property
    def bytes(self) -> int:
        """Its size."""

    @property
    def mtime_ns(self) -> int:
        """When it was last changed."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file does."""

    path: str
    bytes: int
    mtime_ns: int


def stamps_of(paths: Iterable[Path]) -> tuple[Stamp, ...]:
    """The files as they are now.

    Raises:
        ReadError: one is gone.
    """
    return tuple(_stamp_of(path) for path in paths)


def check_unchanged(files: Iterable[Known]) -> None:
    """Refuses files that were changed since they were looked at.

    Raises:
        ReadError: one was changed, or is gone.
    """
    for known in files:
        now = _stamp_of(Path(known.path))
        if (now.bytes, now.mtime_ns) != (known.bytes, known.mtime_ns):
            raise ReadError(
                f"{known.path}: was changed while it was read; wait until it is complete"
            )


def _stamp_of(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError as err:
        raise ReadError(f"{path}: vanished while it was read; copy it again") from err
    return Stamp(str(path), status.st_size, status.st_mtime_ns)
