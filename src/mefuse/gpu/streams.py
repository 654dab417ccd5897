"""Frames to the device and pixels back, beside the computing: three lanes, two buffers each way.

While one slice is computed, the next one's frames go up and the one before it comes down. Lanes
wait for each other by events on the device; the host waits only for a buffer that it is about to
fill or to read, which is two slices behind. Knows no network and no slice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UP, COMPUTE, DOWN = LANES = ("upload", "kernels", "download")
BUFFERS = 2
_TYPES = {1: torch.uint8, 2: torch.uint16}  # by bytes per channel
Into = Callable[[NDArray[Any]], None]


class Event(Protocol):
    """A place in a lane; made by `Lanes.mark`."""

    def synchronize(self) -> None:
        """Waits on the host until the lane is past it."""


class Lanes(Protocol):
    """Queues of work on a device, each in order, side by side with the others."""

    def on(self, lane: str) -> AbstractContextManager[object]:
        """Where torch's work goes meanwhile."""

    def mark(self, lane: str) -> Event:
        """Where a lane's work stands now."""

    def wait(self, lane: str, event: Event) -> None:
        """Has a lane wait for an event, the host not."""

    def seconds(self, event: Event) -> float:
        """When an event was, as `time.perf_counter` counts; the host has waited for it."""

    def pinned(self, size: int) -> Tensor:
        """Host memory of so many bytes that a device reads and writes by itself."""

    def memory(self, size: int) -> Tensor:
        """Device memory of so many bytes."""


class CudaLanes:
    """See `Lanes`. Computing happens on the stream that is current when this is made."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._streams = {
            UP: torch.cuda.Stream(device),
            COMPUTE: torch.cuda.current_stream(device),
            DOWN: torch.cuda.Stream(device),
        }
        self._start = self.mark(COMPUTE)
        self._start.synchronize()
        self._start_s = time.perf_counter()

    def on(self, lane: str) -> AbstractContextManager[object]:
        """Where torch's work goes meanwhile."""
        return torch.cuda.stream(self._streams[lane])

    def mark(self, lane: str) -> torch.cuda.Event:
        """Where a lane's work stands now."""
        event = torch.cuda.Event(enable_timing=True)
        event.record(self._streams[lane])
        return event

    def wait(self, lane: str, event: Event) -> None:
        """Has a lane wait for an event."""
        assert isinstance(event, torch.cuda.Event)
        self._streams[lane].wait_event(event)

    def seconds(self, event: Event) -> float:
        """When an event was."""
        assert isinstance(event, torch.cuda.Event)
        return self._start_s + float(self._start.elapsed_time(event)) / 1000

    def pinned(self, size: int) -> Tensor:
        """Page-locked host memory."""
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def memory(self, size: int) -> Tensor:
        """Device memory."""
        return torch.empty(size, dtype=torch.uint8, device=self._device)


class _Now:
    """An event of a lane that is never behind."""

    def __init__(self) -> None:
        self.at_s = time.perf_counter()

    def synchronize(self) -> None:
        """Nothing to wait for."""


class HostLanes:
    """See `Lanes`: torch's CPU, where all is done at once."""

    def on(self, lane: str) -> AbstractContextManager[object]:  # noqa: ARG002
        """Here."""
        return nullcontext()

    def mark(self, lane: str) -> _Now:  # noqa: ARG002
        """Now."""
        return _Now()

    def wait(self, lane: str, event: Event) -> None:
        """Nothing to wait for."""

    def seconds(self, event: Event) -> float:
        """When an event was."""
        assert isinstance(event, _Now)
        return event.at_s

    def pinned(self, size: int) -> Tensor:
        """Host memory."""
        return torch.empty(size, dtype=torch.uint8)

    def memory(self, size: int) -> Tensor:
        """Host memory, for there is no other."""
        return torch.empty(size, dtype=torch.uint8)


def lanes_of(device: torch.device) -> Lanes:
    """The lanes of a device."""
    return CudaLanes(device) if device.type == "cuda" else HostLanes()


@dataclass(slots=True)
class _Buffers:
    """Host and device memory of one transfer, and when each was last used."""

    host: Tensor | None = None
    device: Tensor | None = None
    moved: Event | None = None  # the transfer is over
    free: Event | None = None  # the device's memory is not needed any more
    into: Into | None = None  # who waits for what came down
    shape: tuple[int, ...] = ()
    dtype: Any = None


@dataclass(frozen=True, slots=True)
class Interval:
    """What a lane did, between two events."""

    lane: str
    start: Event
    end: Event


@dataclass(slots=True)
class Conveyor:
    """Carries frames up and pixels down, in turn through two buffers each."""

    lanes: Lanes
    intervals: list[Interval] = field(default_factory=list)
    _begun: Event | None = None  # computing on the frames of the last upload
    _up: list[_Buffers] = field(default_factory=lambda: [_Buffers() for _ in range(BUFFERS)])
    _down: list[_Buffers] = field(default_factory=lambda: [_Buffers() for _ in range(BUFFERS)])

    def upload(self, frames: Sequence[NDArray[Any]]) -> Tensor:
        """Frames (H, W, 3) as stored, to the device: (N, H, W, 3) on the computing lane.

        The tensor is overwritten by the upload after the next one.
        """
        self._leave()
        slot = self._up.pop(0)
        self._up.append(slot)
        if slot.moved is not None:
            slot.moved.synchronize()  # the host's buffer is still being read, two slices behind
        shape, dtype = (len(frames), *frames[0].shape), frames[0].dtype
        self._fit(slot, math.prod(shape) * dtype.itemsize)
        assert slot.host is not None
        assert slot.device is not None
        room = slot.host[: math.prod(shape) * dtype.itemsize]
        there = slot.device[: len(room)]
        if slot.free is not None:
            self.lanes.wait(UP, slot.free)
        start = self.lanes.mark(UP)
        each = len(room) // len(frames)
        for at, frame in zip(range(0, len(room), each), frames, strict=True):
            copied(frame, room[at : at + each].numpy().view(dtype).reshape(frame.shape))
            with self.lanes.on(UP):  # while the next frame is staged
                there[at : at + each].copy_(room[at : at + each], non_blocking=True)
        slot.moved = self.lanes.mark(UP)
        self.intervals.append(Interval(UP, start, slot.moved))
        self.lanes.wait(COMPUTE, slot.moved)
        self._begun = self.lanes.mark(COMPUTE)
        return there.view(_TYPES[dtype.itemsize]).view(shape)

    def download(self, pixels: Tensor, into: Into) -> None:
        """Pixels from the computing lane to the host.

        `into` is called with them, soon or in `flush`; its array is overwritten later on.
        """
        slot = self._down.pop(0)
        self._down.append(slot)
        self._deliver(slot)
        size = pixels.numel() * pixels.element_size()
        self._fit(slot, size)
        assert slot.host is not None
        assert slot.device is not None
        if slot.free is not None:
            self.lanes.wait(COMPUTE, slot.free)
        # A copy of its own: what computed the pixels may compute the next ones in the same place.
        staged = slot.device[:size]
        staged.copy_(pixels.reshape(-1).view(torch.uint8), non_blocking=True)
        self.lanes.wait(DOWN, self.lanes.mark(COMPUTE))
        start = self.lanes.mark(DOWN)
        with self.lanes.on(DOWN):
            slot.host[:size].copy_(staged, non_blocking=True)
        slot.moved = slot.free = self.lanes.mark(DOWN)
        self.intervals.append(Interval(DOWN, start, slot.moved))
        slot.into, slot.shape = into, tuple(pixels.shape)
        slot.dtype = np.dtype(np.uint8 if pixels.element_size() == 1 else np.uint16)

    def flush(self) -> None:
        """Waits for all that is on its way down."""
        self._leave()
        for slot in self._down:
            self._deliver(slot)

    def forget(self) -> None:
        """Lets go of what is on its way down, after a failure: nobody waits for it any more."""
        for slot in self._down:
            slot.into = None

    def told(self) -> list[tuple[str, float, float, int]]:
        """What the lanes did since this was last asked for: name, start, end, number of the lane.

        Seconds as of `time.perf_counter`. Waits for all of it.
        """
        marked, self.intervals = self.intervals, []
        for interval in marked:
            interval.end.synchronize()
        when = self.lanes.seconds
        return [(i.lane, when(i.start), when(i.end), LANES.index(i.lane)) for i in marked]

    def _leave(self) -> None:
        """The frames of the last upload are not needed by what is computed from here on."""
        if self._begun is not None:
            done = self._up[-1].free = self.lanes.mark(COMPUTE)
            self.intervals.append(Interval(COMPUTE, self._begun, done))
            self._begun = None

    def _deliver(self, slot: _Buffers) -> None:
        """Hands over what a buffer holds, if it is for anybody."""
        into, slot.into = slot.into, None
        if into is None:
            return
        assert slot.moved is not None
        assert slot.host is not None
        slot.moved.synchronize()
        size = math.prod(slot.shape) * slot.dtype.itemsize
        into(slot.host[:size].numpy().view(slot.dtype).reshape(slot.shape))

    def _fit(self, slot: _Buffers, size: int) -> None:
        """Buffers of at least that many bytes; smaller ones are let go of, once they are free."""
        if slot.host is not None and len(slot.host) >= size:
            return
        if slot.free is not None:
            slot.free.synchronize()
        slot.host = slot.device = slot.moved = slot.free = None
        slot.host, slot.device = self.lanes.pinned(size), self.lanes.memory(size)
        slot.free = self.lanes.mark(COMPUTE)  # which may still be at what was there before


def copied(source: NDArray[Any], target: NDArray[Any]) -> None:
    """Copies an array into another; by torch, which has all cores do it, where it takes them."""
    if source.flags.writeable and min(source.strides) >= 0:
        torch.from_numpy(target).copy_(torch.from_numpy(source))
    else:
        np.copyto(target, source)
