"""Which run works at which bracket, so that several runs can share one output folder.

A claim is a lock on one byte of a hidden file, so it ends with its process, however that ends. The
same file is the journal: what is about to get its name is noted there first. Where a run died
between that and its line in the manifest, the next one finds a whole picture and its record.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from mefuse.batch import locks
from mefuse.batch.manifest import Record, Span, append, parse_record, whole_records
from mefuse.errors import WriteError

CLAIMS = ".mefuse-batch"
_PRESENCE = 1 << 40  # the byte that every run has, shared; bytes behind it stand for brackets
_LOCKS_FROM = 1 << 41


class Claims:
    """The claims of this run and the journal of all; used by one thread.

    The file is opened once: closing any handle of it would give all its locks back.
    """

    def __init__(self, folder: Path) -> None:
        """Joins the runs that work in this folder.

        Raises:
            WriteError: the file cannot be made.
        """
        self._path = folder / CLAIMS
        try:
            self._descriptor = self._joined()
        except OSError as err:
            reason = (err.strerror or str(err)).lower()
            raise WriteError(f"{folder}: cannot be written to ({reason}); choose another") from err
        self._journal: dict[str, Span] = {}
        self._read_bytes = 0

    def _joined(self) -> int:
        """The open file with our presence on it; the last run that leaves removes it."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            self.works = locks.lock(descriptor, _PRESENCE, shared=True, wait=True) is not None
            try:
                if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                    return descriptor
            except FileNotFoundError:  # removed between opening and locking
                pass
            os.close(descriptor)

    def take(self, name: str) -> bool:
        """Claims a bracket by its picture's name; False when another run has it."""
        return locks.lock(self._descriptor, _byte(name)) is not False

    def give_back(self, name: str) -> None:
        """Ends a claim."""
        if self.works:
            locks.unlock(self._descriptor, _byte(name))

    def note(self, record: Record) -> None:
        """Notes a record whose picture is about to get its name; on the disk when this returns.

        Raises:
            WriteError: the disk is full or failed.
        """
        line = json.dumps(record.content, allow_nan=False).encode("ascii") + b"\n"
        try:
            append(self._descriptor, line)
        except OSError as err:
            reason = (err.strerror or str(err)).lower()
            raise WriteError(
                f"{self._path}: writing failed ({reason}); make room and run the command again"
            ) from err

    def noted(self, name: str) -> Record | None:
        """The last record noted under this name, by any run since the folder was last left."""
        added = self._read(self._read_bytes, -1)
        self._journal.update(
            (record.name, span) for record, span in whole_records(added, self._read_bytes)
        )
        self._read_bytes += added.rfind(b"\n") + 1
        found = self._journal.get(name)
        return None if found is None else parse_record(self._read(*found))

    def close(self) -> None:
        """Ends all claims; where no other run is here, the file goes too."""
        alone = locks.lock(self._descriptor, _PRESENCE) is not False
        if alone:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _read(self, start: int, size: int) -> bytes:
        """A part of the file, to its end where `size` is -1."""
        os.lseek(self._descriptor, start, os.SEEK_SET)
        if size >= 0:
            return os.read(self._descriptor, size)
        return b"".join(iter(lambda: os.read(self._descriptor, 1 << 20), b""))


def read_journal(folder: Path) -> dict[str, Record]:
    """The last record noted under each name by runs that died; for a look without any claim."""
    try:
        lines = (folder / CLAIMS).read_bytes().splitlines()
    except OSError:  # none has died here
        return {}
    records = [parse_record(line) for line in lines]
    return {record.name: record for record in records if record is not None}


def _byte(name: str) -> int:
    """The byte that stands for a bracket; of a million brackets, hardly two share one."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return _LOCKS_FROM + int.from_bytes(digest[:5], "big")
