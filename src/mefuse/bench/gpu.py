"""What a GPU takes and gives: `python -m mefuse.bench.gpu --output FILE`.

Equality first, of kernels, streams and graphs with the definition and with the CPU; then time and
memory against the bars, beside the floor that the bytes moved set at the bandwidth measured in the
same run. Needs torch, Triton, numpy, OpenCV, safetensors and the weights, no file and no click.
Takes about three minutes; prints a table and writes one object of JSON a line.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mefuse import weights
from mefuse.aligned import Aligned
from mefuse.bench import gpu_equality
from mefuse.bench.gpu_clock import Clock, bracket_of
from mefuse.bench.gpu_steps import steps_of
from mefuse.bench.speed import machine
from mefuse.device import resolve_device
from mefuse.errors import DeviceError
from mefuse.gpu.graphs import Graphs
from mefuse.resident import ResidentFuser
from mefuse.stream import NetworkFuser
from mefuse.torch_backend import TorchBackend

Record = dict[str, Any]
BAR_MS, BAR_HOST_MS = 2.0, 5.0  # 4K on the device, and from host memory to host memory
BAR_BYTES, BAR_LARGE_BYTES = 2**30, 2 * 2**30  # of the device, at 4K and at 256 megapixels


@dataclass(frozen=True, slots=True)
class Asked:
    """What to measure."""

    device: str
    size: tuple[int, int]
    large: tuple[int, int]
    equality: tuple[int, int]
    count: int
    repeats: int


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.gpu", description=__doc__)
    parser.add_argument("--output", type=Path, help="where to write the records")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu to try this out")
    parser.add_argument("--size", default="3840x2160", help="of the frames that are timed")
    parser.add_argument("--large", default="16384x16384", help="of those that are streamed")
    parser.add_argument("--equality", default="1664x1088", help="of those compared; by 64")
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=50)
    given = parser.parse_args()
    try:
        device = resolve_device(given.device)
    except DeviceError as err:
        parser.exit(1, f"Error: {err}\n")
    asked = Asked(
        device, _size(given.size), _size(given.large),
        _size(given.equality), given.count, given.repeats,
    )  # fmt: skip
    records = []
    for record in measure(asked):
        records.append(record)
        print(_line(record), flush=True)
    if given.output is not None:
        given.output.write_text("".join(json.dumps(record) + "\n" for record in records))
    failed = [r["name"] for r in records if r.get("passed") is False]
    print(f"not met: {', '.join(failed)}" if failed else "all met")


def measure(asked: Asked) -> Iterator[Record]:
    """Everything, one record each; a name says what, `passed` whether a bar is met."""
    clock = Clock(torch.device(asked.device))
    network = weights.load(weights.find("ipl"), model="ipl")
    yield {"name": "machine", **machine(), **clock.card()}
    bandwidth = clock.bandwidths()
    yield {"name": "bandwidth", **bandwidth}
    yield from gpu_equality.checks(network, asked.device, asked.equality)
    backend = TorchBackend(network, device=asked.device)
    yield from _resident(backend, asked, clock, bandwidth["copy_bytes_per_s"])
    yield from _variants(network, asked, clock)
    yield from steps_of(backend, clock, asked.size, count=asked.count, repeats=asked.repeats)
    yield from _host_to_host(backend, asked, clock)
    del backend
    yield from _streamed(network, asked, clock)


def _resident(
    backend: TorchBackend, asked: Asked, clock: Clock, bytes_per_s: float
) -> Iterator[Record]:
    """A picture on the device: time, the floor by bytes, and the memory of the device."""
    clock.forget_peak()
    frames = clock.there(bracket_of(asked.count, *asked.size))
    given, pixels = frames.numel(), frames[0].numel()
    # Every frame is read to decide and once more to be blended; what is decided is small.
    floor_ms = 1000 * (2 * given + pixels) / bytes_per_s
    for compiled in (False, True) if clock.is_gpu else (False,):
        fuser = ResidentFuser(backend, compiled=compiled)
        found = clock.milliseconds(partial(fuser.fuse, frames), asked.repeats)
        yield {
            "name": "on the device, compiled" if compiled else "on the device",
            "size": asked.size, "frames": asked.count, **found,
            "floor_ms": floor_ms, "over_floor": found["ms"] / floor_ms,
            "pictures_per_s": 1000 / found["ms"], "graphs": len(fuser.graphs.recorded),
            "not_recorded": list(fuser.graphs.failed.values()),
            "bar_ms": BAR_MS, "passed": found["ms"] <= BAR_MS,
        }  # fmt: skip
        if not compiled:
            yield _memory("memory on the device", clock, BAR_BYTES)


def _variants(network: torch.nn.Module, asked: Asked, clock: Clock) -> Iterator[Record]:
    """The same without graphs, without kernels, without both: what each is worth."""
    frames = clock.there(bracket_of(asked.count, *asked.size))
    repeats = max(asked.repeats // 5, 1)
    for kernels in (True, False) if clock.is_gpu else (False,):
        backend = TorchBackend(network, device=asked.device, kernels=kernels)
        for graphs in (None, Graphs(None)):
            if kernels and graphs is None:
                continue  # that is the one measured above
            fuser = ResidentFuser(backend, graphs=graphs)
            found = clock.milliseconds(partial(fuser.fuse, frames), repeats)
            made = "kernels" if kernels else "plain torch"
            how = made + (", recorded" if graphs is None else ", not recorded")
            yield {"name": f"on the device: {how}", **found}


def _host_to_host(backend: TorchBackend, asked: Asked, clock: Clock) -> Iterator[Record]:
    """From arrays to an array."""
    frames = bracket_of(asked.count, *asked.size)
    fuser = ResidentFuser(backend)
    out = fuser.fuse_arrays(frames)
    taken = []
    for _ in range(asked.repeats):
        start = time.perf_counter()
        fuser.fuse_arrays(frames, out=out)
        taken.append(1000 * (time.perf_counter() - start))
    found = clock.spread(taken)
    yield {"name": "host to host", **found, "bar_ms": BAR_HOST_MS,
           "passed": found["ms"] <= BAR_HOST_MS}  # fmt: skip


def _streamed(network: torch.nn.Module, asked: Asked, clock: Clock) -> Iterator[Record]:
    """A picture in slices: time, what the lanes did side by side, memory."""
    backend = TorchBackend(network, device=asked.device)
    frames = _large_bracket(asked)
    bracket = Aligned.of(frames, reference=asked.count // 2, ghost="off")
    fuser = NetworkFuser("ipl", backend)
    clock.forget_peak()
    for turn in ("streamed, first", "streamed"):
        start = time.perf_counter()
        fused = fuser.fuse(bracket, depth=8, slice_size=None, on_slice=None)
        taken = time.perf_counter() - start
        assert fused.work is not None
        lanes = _lanes(fused.work.spans)
        yield {
            "name": turn, "size": asked.large, "frames": asked.count, "ms": 1000 * taken,
            "ms_per_mp": 1000 * taken / (asked.large[0] * asked.large[1] / 1e6),
            "slice_px": fused.slice_size, "lanes_ms": lanes, "warnings": list(fused.warnings),
        }  # fmt: skip
    yield _memory("memory of streaming", clock, BAR_LARGE_BYTES)


def _large_bracket(asked: Asked) -> list[NDArray[np.uint8]]:
    """A large bracket, of a smaller one side by side with itself: made in seconds."""
    height, width = asked.large
    part = bracket_of(asked.count, min(height, 2048), min(width, 2048))
    again = [-(-height // len(part[0])), -(-width // len(part[0][0])), 1]
    return [np.tile(frame, again)[:height, :width].copy() for frame in part]


def _lanes(spans: Any) -> dict[str, float]:
    """Milliseconds that each lane was busy, and that slices took on the host."""
    busy: dict[str, float] = {}
    for span in spans:
        busy[span.step] = busy.get(span.step, 0.0) + 1000 * (span.end_s - span.start_s)
    return busy


def _memory(name: str, clock: Clock, bar: int) -> Record:
    """What was held of the device at most since `forget_peak`."""
    held, reserved = clock.peak()
    return {"name": name, "bytes": held, "reserved_bytes": reserved, "bar_bytes": bar,
            "passed": None if held is None else held <= bar}  # fmt: skip


def _size(text: str) -> tuple[int, int]:
    """(height, width) of WIDTHxHEIGHT."""
    width, height = text.split("x")
    return int(height), int(width)


def _line(record: Record) -> str:
    """A record for people."""
    verdict = {True: "met", False: "NOT MET", None: ""}[record.get("passed")]
    told = {k: v for k, v in record.items() if k not in ("name", "passed", "versions")}
    return f"{record['name']:44} {verdict:8} " + ", ".join(
        f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in told.items()
    )


if __name__ == "__main__":
    main()
