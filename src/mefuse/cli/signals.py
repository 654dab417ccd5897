"""Ctrl-C, SIGTERM, SIGHUP: at once before anything is begun, at a safe moment in a batch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Ctrl-C, the end of a job, the end of a terminal (which Windows does not have).
_NUMBERS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Stop:
    """Whether the user wants the command to end; `asked` is set by the first signal."""

    def __init__(self) -> None:
        """Signals interrupt at once until `deferred`."""
        self.asked = threading.Event()
        self._is_deferred = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within it a first signal only sets `asked`; a second one interrupts at once."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False

    def receive(self, _number: int, _frame: FrameType | None) -> None:
        """Takes a signal."""
        if not self._is_deferred or self.asked.is_set():
            raise KeyboardInterrupt
        self.asked.set()


@contextmanager
def stopping() -> Iterator[Stop]:
    """Takes these signals, and gives them back at the end; in the main thread alone.

    A signal that the command was started to ignore, as `nohup` and job control do, stays ignored.
    """
    stop = Stop()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _NUMBERS:
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN:
                before[number] = handler
                signal.signal(number, stop.receive)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
