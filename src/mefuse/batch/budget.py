"""Bounds what a batch holds at once: bytes of decoded frames and fused pictures, not brackets.

Before frames are decoded their size is estimated from their files, afterwards it is known. A
bracket waits until there is room; one alone always goes, however large.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from mefuse.memory import machine_memory_bytes

_SHARE = 4  # of the machine's memory: beside it the fusion itself and the system need theirs
_WITHOUT_KNOWING_BYTES = 2 << 30
_POLL_S = 0.2
# Decoded bytes per byte of file, on the high side of what cameras write: JPEG 0.2 bytes per pixel
# and 3 decoded; raw 1 byte per pixel and 6 decoded; others are hardly compressed.
_GROWTH = {".jpg": 15, ".jpeg": 15, ".webp": 30, ".png": 3, ".tif": 3, ".tiff": 3}
_GROWTH |= dict.fromkeys((".heic", ".heif", ".hif", ".avif", ".jxl"), 30)
_RAW_GROWTH = 6


def default_limit_bytes() -> int:
    """A fourth of the memory that this process may use."""
    memory = machine_memory_bytes()
    return memory // _SHARE if memory else _WITHOUT_KNOWING_BYTES


def estimate_bytes(frames: Sequence[Path]) -> int:
    """About how many bytes these frames take when they are decoded; 0 for what cannot be seen."""
    return sum(_size_of(frame) * _GROWTH.get(frame.suffix.lower(), _RAW_GROWTH) for frame in frames)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # named when it is read
        return 0


class Budget:
    """Bytes that may be held at once, shared by threads."""

    def __init__(self, limit_bytes: int) -> None:
        """Nothing is held yet."""
        self.limit_bytes = limit_bytes
        self.peak_bytes = 0
        self._held = 0
        self._holders = 0
        self._changed = threading.Condition()

    def enter(self, size_bytes: int, *, check: Callable[[], None]) -> None:
        """Waits until there is room for a bracket; `check` is called meanwhile and may raise."""
        with self._changed:
            while self._holders and self._held + size_bytes > self.limit_bytes:
                check()
                self._changed.wait(_POLL_S)
            self._holders += 1
            self._add(size_bytes)

    def change(self, before_bytes: int, after_bytes: int) -> None:
        """A bracket that is in holds another amount now; it is let, for it cannot go back."""
        with self._changed:
            self._add(after_bytes - before_bytes)
            self._changed.notify_all()

    def leave(self, size_bytes: int) -> None:
        """A bracket is done and holds nothing any more."""
        with self._changed:
            self._holders -= 1
            self._add(-size_bytes)
            self._changed.notify_all()

    def _add(self, size_bytes: int) -> None:
        self._held += size_bytes
        self.peak_bytes = max(self.peak_bytes, self._held)
