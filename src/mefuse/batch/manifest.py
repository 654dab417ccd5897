"""The manifest: one JSON line per finished bracket, in the output folder; see docs/manifest.md.

Lines are only ever appended, each synced before the next bracket counts as done, so a loss of power
costs at most the line that was being written; such a torn line is passed over. Several runs may
append to one manifest.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mefuse.batch import locks
from mefuse.batch.identity import FileIdentity
from mefuse.errors import InputError, WriteError
from mefuse.landing import sync_folder

MANIFEST = "mefuse-manifest.jsonl"
VERSION = 1
FUSED, FAILED = "fused", "failed"
Span = tuple[int, int]  # where a line starts in its file, and how many bytes it has
_LOCKED_BYTE = 1 << 40  # far behind the end: no reader is kept from a line


@dataclass(frozen=True, slots=True)
class Record:
    """One line: `content` is what is written, checked to have what resuming needs."""

    content: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """The picture's place in the output folder."""
        return str(self.content["output"])

    @property
    def is_fused(self) -> bool:
        """Whether there is a picture."""
        return bool(self.content["outcome"] == FUSED)

    @property
    def picture(self) -> FileIdentity:
        """The fused picture as it was written; only where it `is_fused`."""
        return FileIdentity.from_json({"path": self.name, **self.content["picture"]})

    @property
    def inputs(self) -> tuple[FileIdentity, ...]:
        """The frames as they were read."""
        return tuple(FileIdentity.from_json(value) for value in self.content["inputs"])

    @property
    def recorded_ns(self) -> int:
        """When reading began, in nanoseconds since 1970."""
        return int(self.content["started_ns"])


def parse_record(line: bytes | str) -> Record | None:
    """The record of a line; None where the line is torn or no record of this version."""
    try:
        content = json.loads(line)
        if content["mefuse_manifest"] != VERSION or content["outcome"] not in (FUSED, FAILED):
            return None
        record = Record(content)
        if not isinstance(content["output"], str) or record.recorded_ns < 0:
            return None
        if record.is_fused:
            _ = record.picture, record.inputs, content["settings"], content["version"]
    except (ValueError, KeyError, TypeError):
        return None
    return record


def whole_records(lines: bytes, start: int) -> Iterator[tuple[Record, Span]]:
    """The records of complete lines and where each is; what is still being written is left out.

    Args:
        lines: a part of a file that begins with a line.
        start: where in the file that is.
    """
    for line in lines[: lines.rfind(b"\n") + 1].splitlines(keepends=True):
        record = parse_record(line)
        if record is not None:
            yield record, (start, len(line))
        start += len(line)


class Manifest:
    """The records of one output folder: read when opened and by `refresh`, appended by `add`.

    It keeps where the lines are, not the lines: a batch of many thousands has to stay small.
    """

    def __init__(self, folder: Path) -> None:
        """Reads what there is; a missing file is empty.

        Raises:
            InputError: it cannot be read.
        """
        self.path = folder / MANIFEST
        self._read_bytes = 0
        self._fused: dict[str, Span] = {}
        self.refresh()

    def fused(self, name: str) -> Record | None:
        """The last record of a picture that was made under this name.

        Raises:
            InputError: the file cannot be read any more.
        """
        span = self._fused.get(name)
        return None if span is None else parse_record(self._read(*span))

    def pictures(self) -> list[str]:
        """Names of all pictures that were ever made in this folder."""
        return list(self._fused)

    def refresh(self) -> None:
        """Reads what was appended since, by this run or another.

        Raises:
            InputError: it cannot be read.
        """
        added = self._read(self._read_bytes, -1)
        for record, span in whole_records(added, self._read_bytes):
            if record.is_fused:
                self._fused[record.name] = span
        self._read_bytes += added.rfind(b"\n") + 1

    def _read(self, start: int, size: int) -> bytes:
        """A part of the file, to its end where `size` is -1; nothing where there is no file."""
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(size)
        except FileNotFoundError:
            return b""
        except OSError as err:
            reason = (err.strerror or str(err)).lower()
            raise InputError(f"{self.path}: cannot be read ({reason}); check it") from err

    def add(self, record: Record) -> None:
        """Appends a record, on the disk when this returns.

        Raises:
            WriteError: the disk is full or failed.
        """
        line = json.dumps(record.content, allow_nan=False).encode("ascii") + b"\n"
        try:
            is_new = not self.path.exists()
            with self._appending() as descriptor:
                append(descriptor, line)
            if is_new:
                sync_folder(self.path.parent)
        except OSError as err:
            reason = (err.strerror or str(err)).lower()
            raise WriteError(
                f"{self.path}: writing failed ({reason}); make room and run the same command again"
            ) from err
        self.refresh()

    @contextmanager
    def _appending(self) -> Iterator[int]:
        """The file, with no other run writing to it meanwhile."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            locks.lock(descriptor, _LOCKED_BYTE, wait=True)
            yield descriptor
        finally:
            os.close(descriptor)  # and with it the lock


def append(descriptor: int, line: bytes) -> None:
    """Appends a line to an open file and brings it to the disk; what is torn there stays alone.

    Raises:
        OSError: the disk is full or failed.
    """
    end = os.lseek(descriptor, 0, os.SEEK_END)
    if end:
        os.lseek(descriptor, end - 1, os.SEEK_SET)
        if os.read(descriptor, 1) != b"\n":
            line = b"\n" + line
        os.lseek(descriptor, 0, os.SEEK_END)
    if os.write(descriptor, line) != len(line):
        raise OSError(errno.ENOSPC, "no space left on device")
    os.fsync(descriptor)


def read_manifest(folder: Path) -> list[Record]:
    """Every record of a folder's manifest, oldest first; torn lines are passed over.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    path = folder / MANIFEST
    try:
        lines = path.read_bytes().splitlines()
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise InputError(f"{path}: cannot be read ({reason}); name a batch's folder") from err
    return [record for line in lines if (record := parse_record(line)) is not None]
