"""Frames and pixels on their lanes: nothing is read before it is there, or written too soon."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from mefuse.gpu.streams import COMPUTE, DOWN, LANES, UP, Conveyor, HostLanes, lanes_of


class Mark:
    """An event of the fake device."""

    def __init__(self, device: FakeDevice, lane: str) -> None:
        self._device, self.lane, self.passed = device, lane, False

    def synchronize(self) -> None:
        while not self.passed:
            self._device.step(self.lane)


class FakeDevice:
    """Lanes that do nothing until they must, in a random order that only events hold together.

    Torch's copies run at once; so a lane's copies are kept by `on` and done by `step`.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.queues: dict[str, deque[tuple[str, object]]] = {lane: deque() for lane in LANES}
        self.order: list[str] = []
        self._lane = COMPUTE

    @contextmanager
    def on(self, lane: str) -> Iterator[None]:
        before, self._lane = self._lane, lane
        yield
        self._lane = before

    def mark(self, lane: str) -> Mark:
        mark = Mark(self, lane)
        self.queues[lane].append(("mark", mark))
        return mark

    def wait(self, lane: str, event: Mark) -> None:
        self.queues[lane].append(("wait", event))

    def seconds(self, event: Mark) -> float:
        assert event.passed
        return 0.0

    def pinned(self, size: int) -> torch.Tensor:
        return torch.full((size,), 255, dtype=torch.uint8)

    def memory(self, size: int) -> torch.Tensor:
        return torch.full((size,), 255, dtype=torch.uint8)

    def later(self, work: Callable[[], object]) -> None:
        self.queues[self._lane].append(("work", work))

    def step(self, wanted: str) -> None:
        """One thing of any lane that can go on; of another than the wanted one where there is."""
        ready = [lane for lane in LANES if self.queues[lane] and not self._blocked(lane)]
        others = [lane for lane in ready if lane != wanted]
        lane = self._random.choice(others if others and self._random.random() < 0.5 else ready)
        kind, what = self.queues[lane].popleft()
        if kind == "mark":
            what.passed = True
        elif kind == "work":
            self.order.append(lane)
            what()

    def _blocked(self, lane: str) -> bool:
        kind, what = self.queues[lane][0]
        return kind == "wait" and not what.passed


@pytest.fixture
def late_copies(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], FakeDevice]:
    """A fake device whose non-blocking copies happen when their lane comes to them."""
    real = torch.Tensor.copy_

    def made(seed: int) -> FakeDevice:
        device = FakeDevice(seed)

        def copy_(self, source, non_blocking=False):
            if not non_blocking:
                return real(self, source)
            device.later(lambda: real(self, source))
            return self

        monkeypatch.setattr(torch.Tensor, "copy_", copy_)
        return device

    return made


def _fused(conveyor: Conveyor, device: FakeDevice, slices: list[list[np.ndarray]]) -> list:
    """Each slice's frames, inverted on the computing lane, in one place as a replayed graph's."""
    found: list = [None] * len(slices)
    place = torch.zeros(1, dtype=torch.uint8)

    for k, frames in enumerate(slices):
        there = conveyor.upload(frames)
        place = torch.zeros_like(there) if place.shape != there.shape else place
        device.later(lambda there=there, place=place: place.fill_(0).add_(255 - there))

        def into(pixels: np.ndarray, k: int = k) -> None:
            assert found[k] is None
            found[k] = pixels.copy()

        conveyor.download(place, into)
    conveyor.flush()
    return found


@pytest.mark.parametrize("seed", range(12))
def test_every_slice_comes_back_whatever_the_lanes_order(rng, late_copies, seed):
    device = late_copies(seed)
    slices = [
        [rng.integers(0, 256, (4 + k % 3, 5, 3), dtype=np.uint8) for _ in range(3)]
        for k in range(9)
    ]
    conveyor = Conveyor(device)
    found = _fused(conveyor, device, slices)
    for frames, pixels in zip(slices, found, strict=True):
        assert np.array_equal(pixels, 255 - np.stack(frames))
    told = conveyor.told()
    assert [lane for lane, *_ in told].count(UP) == 9
    assert [lane for lane, *_ in told].count(COMPUTE) == 9
    assert [lane for lane, *_ in told].count(DOWN) == 9
    assert conveyor.told() == []


def test_the_lanes_do_overlap(rng, late_copies):
    slices = [[rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)] for _ in range(20)]
    overlapping = 0
    for seed in range(8):
        device = late_copies(seed)
        _fused(Conveyor(device), device, slices)
        ups = [i for i, lane in enumerate(device.order) if lane == UP]
        downs = [i for i, lane in enumerate(device.order) if lane == DOWN]
        overlapping += ups[1] < downs[0]  # the second slice went up before the first came down
    assert overlapping > 0


@pytest.mark.parametrize("lane", [UP, COMPUTE, DOWN])
def test_without_one_lanes_waiting_slices_are_lost(rng, late_copies, lane):
    slices = [[rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)] for _ in range(9)]
    wrong = 0
    for seed in range(12):
        device = late_copies(seed)
        wait = device.wait
        device.wait = lambda at, event, wait=wait: None if at == lane else wait(at, event)
        found = _fused(Conveyor(device), device, slices)
        wrong += any(
            not np.array_equal(pixels, 255 - np.stack(frames))
            for frames, pixels in zip(slices, found, strict=True)
        )
    assert wrong > 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_asked_of_the_host(rng, dtype):
    """Arrays of all kinds: views, not to be written, upside down; nothing is left behind."""
    whole = rng.integers(0, np.iinfo(dtype).max, (20, 30, 3), dtype=dtype)
    whole.flags.writeable = False
    conveyor = Conveyor(HostLanes())
    for frames in ([whole[2:9, 3:11], whole[9:2:-1, 3:11].copy()], [whole[::-1], whole]):
        there = conveyor.upload(frames)
        assert there.shape == (2, *frames[0].shape)
        assert np.array_equal(there.numpy(), np.stack(frames))
    seen: list = []
    conveyor.download(there, seen.append)
    conveyor.forget()
    conveyor.flush()
    assert seen == []
    conveyor.download(there, lambda pixels: seen.append(pixels.copy()))
    conveyor.flush()
    conveyor.flush()
    (pixels,) = seen
    assert np.array_equal(pixels, np.stack([whole[::-1], whole]))


def test_a_device_without_room_leaves_the_conveyor_whole(rng):
    frames = [rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)]

    class Full(HostLanes):
        full = True

        def memory(self, size: int) -> torch.Tensor:
            if self.full:
                raise MemoryError
            return super().memory(size)

    lanes = Full()
    conveyor = Conveyor(lanes)
    for _ in range(5):
        with pytest.raises(MemoryError):
            conveyor.upload(frames)
    lanes.full = False
    for _ in range(3):
        assert np.array_equal(conveyor.upload(frames).numpy(), np.stack(frames))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_nothing_waits_but_for_its_own_buffer(rng):
    device = torch.device("cuda")
    conveyor = Conveyor(lanes_of(device))
    slices = [[rng.integers(0, 256, (300, 500, 3), dtype=np.uint8)] for _ in range(7)]
    found: list = []
    conveyor.upload(slices[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for frames in slices:
            there = conveyor.upload(frames)
            conveyor.download(255 - there, lambda pixels: found.append(pixels.copy()))
        conveyor.flush()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(np.array_equal(p, 255 - np.stack(f)) for p, f in zip(found, slices, strict=True))
