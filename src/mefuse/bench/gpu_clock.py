"""Time and memory of a device, and brackets to measure with; part of `bench.gpu`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_WARM_UPS = 5
_COPY_BYTES = 2**31  # many times a GPU's cache
_TRANSFER_BYTES = 2**28


class Clock:
    """Measures work on a device by its own events, on torch's CPU by the host's clock."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.is_gpu = device.type == "cuda"

    def card(self) -> dict[str, Any]:
        """What the device says of itself."""
        if not self.is_gpu:
            return {"device": "cpu"}
        seen = torch.cuda.get_device_properties(self.device)
        return {
            "device": seen.name, "device_bytes": seen.total_memory, "cuda": torch.version.cuda,
            "capability": f"{seen.major}.{seen.minor}",
            "multiprocessors": seen.multi_processor_count,
        }  # fmt: skip

    def milliseconds(self, work: Callable[[], object], repeats: int) -> dict[str, float]:
        """Median, lowest and highest of the work's time on the device."""
        if not self.is_gpu:
            return self.spread([_host_ms(work) for _ in range(repeats)])
        for _ in range(_WARM_UPS):
            work()
        torch.cuda.synchronize(self.device)
        marks = [self._mark()]
        for _ in range(repeats):
            work()
            marks.append(self._mark())
        torch.cuda.synchronize(self.device)
        pairs = itertools.pairwise(marks)
        return self.spread([float(one.elapsed_time(other)) for one, other in pairs])

    def spread(self, taken: Sequence[float]) -> dict[str, float]:
        """The median of milliseconds, with the lowest and highest."""
        return {"ms": median(taken), "lowest_ms": min(taken), "highest_ms": max(taken)}

    def bandwidths(self) -> dict[str, float]:
        """Bytes a second of a copy, read and written both counted, and of transfers."""
        size = _COPY_BYTES if self.is_gpu else 2**26
        one = torch.empty(size, dtype=torch.uint8, device=self.device)
        other = torch.empty_like(one)
        found = {"copy_bytes_per_s": 2 * size / self._seconds(lambda: other.copy_(one))}
        if self.is_gpu:
            size = _TRANSFER_BYTES
            host, there = torch.empty(size, dtype=torch.uint8, pin_memory=True), one[:size]
            up = self._seconds(lambda: there.copy_(host, non_blocking=True))
            down = self._seconds(lambda: host.copy_(there, non_blocking=True))
            found |= {"up_bytes_per_s": size / up, "down_bytes_per_s": size / down}
        return found

    def there(self, frames: Sequence[NDArray[Any]]) -> Tensor:
        """Frames on the device: (N, H, W, 3)."""
        return torch.from_numpy(np.stack(frames)).to(self.device)

    def forget_peak(self) -> None:
        """Counts the device's memory anew."""
        if self.is_gpu:
            torch.cuda.synchronize(self.device)
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> tuple[int | None, int | None]:
        """Bytes that tensors held at most since then, and that torch held for them."""
        if not self.is_gpu:
            return None, None
        held = torch.cuda.max_memory_allocated(self.device)
        return held, torch.cuda.max_memory_reserved(self.device)

    def _seconds(self, work: Callable[[], object]) -> float:
        return self.milliseconds(work, 10)["ms"] / 1000

    def _mark(self) -> torch.cuda.Event:
        mark = torch.cuda.Event(enable_timing=True)
        mark.record(torch.cuda.current_stream(self.device))
        return mark


def _host_ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def bracket_of(count: int, height: int, width: int, *, seed: int = 1) -> list[NDArray[np.uint8]]:
    """Frames of a made scene with detail at every scale, two stops apart, clipped at both ends."""
    rng = np.random.default_rng(seed)
    light = np.zeros((height, width, 3), np.float32)
    side, strength = 4, 2.0
    while side < max(height, width):
        rows, columns = (max(2, side * length // max(height, width)) for length in (height, width))
        soft = rng.standard_normal((rows, columns, 3), np.float32)
        light += strength * cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
        side, strength = side * 4, strength / 1.8
    light = np.exp(np.clip(light, -4, 4) * 0.7)
    stops = 2.0 * (np.arange(count) - (count - 1) / 2)
    return [
        (np.clip(0.2 * light * 2.0**stop, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)
        for stop in stops
    ]
