"""The work on slices: timed, and cut smaller where memory runs out. A leaf.

What a slice gives does not depend on how the picture was cut, so a slice that does not fit into
memory is done in four parts instead, and these in turn. Knows no network and no device.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mefuse.errors import DeviceError
from mefuse.memory import is_out_of_memory
from mefuse.slices import GRID_PX, Rect

Work = Callable[[Rect], None]


@dataclass(frozen=True, slots=True)
class Span:
    """One slice's time: seconds of `time.perf_counter`, and which thread or lane did it."""

    step: str
    start_s: float
    end_s: float
    worker: int
    rect: Rect | None = None  # None: a device's lane, which knows of no slice


class SliceWork:
    """What is done on the slices of one picture.

    Args:
        device: for messages.
        slice_px: side of the slices.
    """

    def __init__(self, device: str, slice_px: int) -> None:
        self._device, self._slice_px = device, slice_px
        self._smallest_px = slice_px
        self._workers: dict[int, int] = {}
        self.spans: list[Span] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know."""
        if self._smallest_px == self._slice_px:
            return ()
        return (
            f"{self._device}: out of memory with slices of {self._slice_px} px, done again with "
            f"slices of {self._smallest_px} px; the picture is the same",
        )

    def of(self, step: str, work: Work) -> Work:
        """The same work, timed under the name of its step, and cut where it does not fit.

        What it returns raises DeviceError where not even the smallest slices fit.
        """

        def run(rect: Rect) -> None:
            start = time.perf_counter()
            self._fitted(work, rect)
            worker = self._workers.setdefault(threading.get_ident(), len(self._workers))
            self.spans.append(Span(step, start, time.perf_counter(), worker, rect))

        return run

    def _fitted(self, work: Work, rect: Rect) -> None:
        """Does the work of a slice, in parts where memory is short."""
        try:
            work(rect)
            return
        except Exception as err:
            if not is_out_of_memory(err):
                raise
            if max(rect.height, rect.width) <= GRID_PX:
                raise DeviceError(
                    f"{self._device}: out of memory, even with slices of {GRID_PX} px; "
                    "close other programs or fuse on another device"
                ) from err
        for part in quarters(rect):  # here, where the error holds no memory any more
            self._smallest_px = min(self._smallest_px, max(part.height, part.width))
            self._fitted(work, part)


@contextmanager
def within_memory(device: str) -> Iterator[None]:
    """Says in words where memory runs out for what cannot be cut.

    Raises:
        DeviceError: the device's memory is too small.
    """
    try:
        yield
    except Exception as err:
        if not is_out_of_memory(err):
            raise
        raise DeviceError(
            f"{device}: out of memory; close other programs or fuse on another device"
        ) from err


def quarters(rect: Rect) -> Iterable[Rect]:
    """The slice in four, or two where it is thin, on the grid."""
    down, across = (-(-side // (2 * GRID_PX)) * GRID_PX for side in (rect.height, rect.width))
    for top in range(rect.top, rect.bottom, down):
        for left in range(rect.left, rect.right, across):
            yield Rect(top, left, min(down, rect.bottom - top), min(across, rect.right - left))
