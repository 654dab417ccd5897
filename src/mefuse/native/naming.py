"""Where the kernels lie, and which sources they are of. A leaf that the build loads by its path."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
PATH = Path(__file__).with_name(f"kernels{_SUFFIX}")


def sources_hash(folder: Path) -> int:
    """A checksum of all that kernels are built of."""
    files = sorted([*folder.glob("*.c"), *folder.glob("*.h")])
    return zlib.crc32(b"".join(file.read_bytes().replace(b"\r\n", b"\n") for file in files))
