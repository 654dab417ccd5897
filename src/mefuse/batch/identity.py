"""What a file was when it was fused: path, size, time and hash; and whether it is the same now.

Size and time are enough where they have not changed; hashes decide where they have.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mefuse.errors import ReadError
from mefuse.landing import sha256_of

# A file that changes within its file system's resolution of time may keep its time: 2 s on FAT.
_UNSETTLED_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """One file: `mtime_ns` is when it was last changed, in nanoseconds since 1970."""

    path: str
    bytes: int
    mtime_ns: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """As JSON's types."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FileIdentity:
        """The reverse of `to_json`; KeyError and TypeError where it is not one."""
        return cls(*(value[name] for name in ("path", "bytes", "mtime_ns", "sha256")))


def identify(path: Path) -> FileIdentity:
    """Reads a file's identity.

    Raises:
        ReadError: it cannot be read.
    """
    try:
        status = path.stat()
        return FileIdentity(str(path), status.st_size, status.st_mtime_ns, sha256_of(path))
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise ReadError(f"{path}: cannot be read ({reason}); check the file") from err


def is_same(path: Path, known: FileIdentity, *, recorded_ns: int) -> bool:
    """Whether a file still has the bytes that it had when it was recorded.

    Args:
        path: the file now; False where it cannot be read.
        known: what it was.
        recorded_ns: when that was; a file changed just before may have been changed again within
            one tick of its file system, so its hash decides.
    """
    try:
        status = path.stat()
        if status.st_size != known.bytes:
            return False
        settled = status.st_mtime_ns < recorded_ns - _UNSETTLED_NS
        if settled and str(path) == known.path and status.st_mtime_ns == known.mtime_ns:
            return True
        return sha256_of(path) == known.sha256
    except OSError:
        return False
