"""Work that comes again on tensors of the same shapes, recorded once and replayed as one launch.

A GPU is done with a small slice before the host has asked for its second kernel; a recorded graph
is asked for at once. What cannot be recorded is done as before, and why is kept. Knows nothing of
what the work is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mefuse.memory import is_out_of_memory

Work = Callable[..., Any]
Replay = Callable[[], object]
Capture = Callable[[Callable[[], Any]], tuple[Any, Replay]]  # what the work gives, and its replay

WARM_UPS = 2  # libraries choose their kernels, and Triton compiles, before a graph is recorded
SEEN_BEFORE = 2  # times a shape has come; a picture's corners are not worth a graph
MOST_GRAPHS = 4  # each holds its inputs and results


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A graph: the tensors it reads, what it gives, always in the same place."""

    inputs: tuple[Tensor, ...]
    result: Any
    replay: Replay


class Graphs:
    """Recorded work by name; the oldest is let go of when there are too many.

    Args:
        capture: records work and gives its result; None: nothing is ever recorded.
        seen_before: how often work is done plainly before it is recorded.
        most: graphs that are kept.
    """

    def __init__(
        self,
        capture: Capture | None,
        *,
        seen_before: int = SEEN_BEFORE,
        most: int = MOST_GRAPHS,
    ) -> None:
        self._capture, self._seen_before, self._most = capture, seen_before, most
        self._seen: dict[Hashable, int] = {}
        self._recorded: OrderedDict[Hashable, _Recorded] = OrderedDict()
        self.failed: dict[Hashable, str] = {}  # work that cannot be recorded, and why

    @property
    def recorded(self) -> tuple[Hashable, ...]:
        """The names of the work that is replayed."""
        return tuple(self._recorded)

    def run(self, name: str, work: Work, inputs: Sequence[Tensor]) -> Any:
        """`work(*inputs)`, which depends on nothing else but its name.

        What it gives may lie where the next run of any work puts its own: use it before that.
        """
        key = (name, *((tuple(tensor.shape), tensor.dtype) for tensor in inputs))
        if self._capture is None or key in self.failed:
            return work(*inputs)
        found = self._recorded.get(key)
        if found is None:
            self._seen[key] = self._seen.get(key, 0) + 1
            if self._seen[key] <= self._seen_before:
                return work(*inputs)
            found = self._record(key, work, inputs)
            if found is None:
                return work(*inputs)
        self._recorded.move_to_end(key)
        for place, tensor in zip(found.inputs, inputs, strict=True):
            place.copy_(tensor, non_blocking=True)
        found.replay()
        return found.result

    def _record(self, key: Hashable, work: Work, inputs: Sequence[Tensor]) -> _Recorded | None:
        """The graph of some work; None where it cannot be recorded."""
        assert self._capture is not None
        while len(self._recorded) >= self._most:
            oldest, _ = self._recorded.popitem(last=False)
            self._seen[oldest] = 0  # else shapes that come in turn are recorded each time
        places = tuple(torch.empty_like(tensor).copy_(tensor) for tensor in inputs)
        try:
            result, replay = self._capture(lambda: work(*places))
        except RuntimeError as err:
            if is_out_of_memory(err):
                raise
            self.failed[key] = str(err).splitlines()[0]
            return None
        self._recorded[key] = _Recorded(places, result, replay)
        return self._recorded[key]


def graphs_of(
    device: torch.device, *, seen_before: int = SEEN_BEFORE, most: int = MOST_GRAPHS
) -> Graphs:
    """Graphs where a device has them."""
    if device.type != "cuda":
        return Graphs(None)
    return Graphs(_CudaCapture(device), seen_before=seen_before, most=most)


class _CudaCapture:
    """Records work as CUDA graphs, which share the memory that they need in between."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], Any]) -> tuple[Any, Replay]:
        """What the work gives in its first replay and all later ones, and how to replay it."""
        with torch.cuda.device(self._device):
            here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
            aside.wait_stream(here)
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    work()
            here.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # Other threads may allocate meanwhile: a batch reads and writes beside the fusing.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                result = work()
        return result, graph.replay
