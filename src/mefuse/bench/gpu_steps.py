"""What each step of a picture on a device takes by itself; part of `bench.gpu`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from mefuse.aligned import small_size
from mefuse.bench.gpu_clock import Clock, bracket_of
from mefuse.cache import AttentionCache
from mefuse.gpu import trust
from mefuse.gpu.graphs import graphs_of
from mefuse.grid import everything
from mefuse.models.ipl_config import Region
from mefuse.stream import PREFILL_MULTIPLE_PX, PREFILL_PX
from mefuse.torch_backend import TorchBackend


@torch.inference_mode()
def steps_of(
    backend: TorchBackend, clock: Clock, size: tuple[int, int], *, count: int, repeats: int
) -> Iterator[dict[str, Any]]:
    """Milliseconds of each step, recorded as a graph of its own; of the steps of `resident`."""
    height, width = (-(-side // 64) * 64 for side in size)
    frames = clock.there(bracket_of(count, height, width))
    work = backend.work_on(frames)
    small = small_size(*size, longest_px=PREFILL_PX, multiple_px=PREFILL_MULTIPLE_PX)

    def timed(name: str, step: Callable[[], Any]) -> dict[str, Any]:
        graphs = graphs_of(clock.device, seen_before=0, most=1)
        found = clock.milliseconds(lambda: graphs.run(name, step, ()), repeats)
        return {"name": f"step: {name}", **found, "not_recorded": list(graphs.failed.values())}

    reduced = work.reduce(frames, *small)
    shown = work.glimpse(work.take(reduced))
    grid = everything(shown.luma)
    energies = backend.build_pyramid(shown.luma).within(grid)
    cache: AttentionCache[torch.Tensor] = AttentionCache()
    backend.prefill(shown, energies, cache)
    taken = work.take(frames)
    seen = work.glimpse(taken)
    pyramid, grid = backend.build_pyramid(seen.luma), everything(seen.luma)
    region = Region.whole(seen.luma.shape[-2] // 2, seen.luma.shape[-1] // 2)
    maps = backend.decode(seen, pyramid.within(grid), region, cache)
    coarse = backend.blend_coarse(pyramid, maps)
    energy = seen.energies[0, :, 0]
    yield timed("reduce", lambda: work.reduce(frames, *small))
    yield timed("prefill", lambda: backend.prefill(shown, energies, AttentionCache()))
    yield timed("take apart", lambda: work.take(frames))
    yield timed("glimpse", lambda: work.glimpse(taken))
    yield timed("pyramid", lambda: backend.build_pyramid(seen.luma))
    yield timed("decode", lambda: backend.decode(seen, pyramid.within(grid), region, cache))
    yield timed("trust", lambda: trust.log_weights(seen.luma[0], energy, rounding=1 / 255))
    yield timed("coarse bands", lambda: backend.blend_coarse(pyramid, maps))
    yield timed("refine", lambda: backend.refine(coarse, seen))
    yield timed("blend", lambda: work.blend(taken, coarse, maps, depth=8))
