"""How many threads libraries take, which is the process's: set while anybody needs it so. A leaf.

Pictures are fused side by side, by a batch and by programs with threads of their own. Each that set
a number and gave back the one it found would give back another's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import cv2


class WhileNeeded:
    """A change of the process: the first who needs it makes it, the last takes it back.

    Args:
        change: makes the change, and takes it back when it is left.
    """

    def __init__(self, change: Callable[[], AbstractContextManager[object]]) -> None:
        self._change, self._made = change, ExitStack()
        self._lock, self._inside = threading.Lock(), 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Needs it meanwhile; from any thread."""
        with self._lock:
            if self._inside == 0:
                self._made.enter_context(self._change())
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._made.close()


@contextmanager
def _opencv_on_one_thread() -> Iterator[None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


opencv_on_one_thread = WhileNeeded(_opencv_on_one_thread)
