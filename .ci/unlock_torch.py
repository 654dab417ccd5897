"""Takes torch and what only its GPU builds need out of a lock file: `make lock`.

Which build of torch fits is decided by the machine; its other dependencies stay locked.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_NAME = re.compile(r"^([\w.-]+)==")
_OF_A_MACHINE = re.compile(r"^(torch|triton|nvidia-.*|cuda-.*)$")


def without_torch(lock: str) -> str:
    """The lock file's text without those packages, their hashes and their origins."""
    kept, keeps = [], True
    for line in lock.splitlines(keepends=True):
        if (found := _NAME.match(line)) is not None:
            keeps = _OF_A_MACHINE.match(found[1]) is None
        if keeps:
            kept.append(line)
    return "".join(kept)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(without_torch(path.read_text()))
