"""A bracket whose frames lie on a GPU, fused there in one go: no slices, no wait, one launch.

For pipelines that decode or photograph into a GPU's memory, and pictures that fit into it. The
steps are those of `stream.NetworkFuser` on a bracket that lies as it is, and so are the pixels.
It knows no file, no alignment and no ghosts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefuse.aligned import small_size
from mefuse.cache import AttentionCache, Bits
from mefuse.errors import InputError, ResultError
from mefuse.gpu import trust
from mefuse.gpu.graphs import Graphs, graphs_of
from mefuse.gpu.streams import Conveyor, copied, lanes_of
from mefuse.grid import CHROMA, FINE, Glimpse, Maps, everything
from mefuse.models.ipl_config import Region
from mefuse.slices import GRID_PX
from mefuse.stream import PREFILL_MULTIPLE_PX, PREFILL_PX
from mefuse.torch_backend import TorchBackend


class ResidentFuser:
    """A network on its device, ready to fuse whole pictures that lie there; for one thread.

    Args:
        backend: the network on its device.
        cache_bits: 8 or 4, or 32 for a cache that is not compressed.
        graphs: how work is recorded; None: on a GPU, the last size that came.
        compiled: whether torch.compile joins the network's hundreds of small steps into fewer; the
            first picture of a size then waits for the compiler, a minute or so.
    """

    def __init__(
        self,
        backend: TorchBackend,
        *,
        cache_bits: Bits = 8,
        graphs: Graphs | None = None,
        compiled: bool = False,
    ) -> None:
        self._backend = backend
        self._cache_bits: Bits = cache_bits
        device = torch.device(backend.device)
        self.graphs = graphs or graphs_of(device, seen_before=0, most=1)
        self._conveyor = Conveyor(lanes_of(device))
        self._decide_with = self._decide
        if compiled:
            self._decide_with = torch.compile(self._decide, dynamic=False, fullgraph=True)

    @torch.inference_mode()
    def fuse(self, frames: Tensor, *, depth: int = 8) -> tuple[Tensor, Tensor]:
        """Fuses frames on the device; the host need not wait for anything.

        Args:
            frames: (N, H, W, 3) uint8 or uint16, RGB, without gaps, darkest first.
            depth: 8 or 16 bits of the result.

        Returns:
            (H, W, 3) uint8 or uint16, which holds until the next call, and whether all went well:
            () bool, False where half precision overflowed and the pixels are none.

        Raises:
            InputError: the picture is smaller than what the network is shown of it.
        """
        if max(frames.shape[1:3]) < PREFILL_PX:
            raise InputError(
                f"frames of {frames.shape[2]}x{frames.shape[1]} px are too small to be fused in "
                f"one go; they need a side of {PREFILL_PX} px, use fuse_pixels"
            )
        fused: tuple[Tensor, Tensor] = self.graphs.run(
            f"whole to {depth} bits", partial(self._fuse, depth=depth), (frames,)
        )
        return fused

    @torch.inference_mode()
    def fuse_arrays(
        self,
        frames: Sequence[NDArray[Any]],
        *,
        depth: int = 8,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """The same from host memory to host memory.

        Args:
            frames: (H, W, 3) uint8 or uint16 each, darkest first.
            depth: 8 or 16 bits of the result.
            out: (H, W, 3) of that depth, to be filled and given back: new memory takes as long as
                the way from the device. None: a new array.

        Raises:
            InputError: as `fuse`.
            ResultError: not even float32 gave numbers.
        """
        fused = out
        if fused is None:
            fused = np.empty(frames[0].shape, np.uint8 if depth == 8 else np.uint16)
        self._conveyor.forget()
        pixels, went_well = self.fuse(self._conveyor.upload(frames), depth=depth)
        self._conveyor.download(pixels, partial(copied, target=fused))
        self._conveyor.flush()
        self._conveyor.told()
        if bool(went_well):
            return fused
        deeper = self._backend.in_float32()
        if deeper is None:
            raise ResultError("the network gave no numbers for these frames; try --model mertens")
        again = ResidentFuser(deeper, cache_bits=self._cache_bits)
        return again.fuse_arrays(frames, depth=depth, out=fused)

    def _fuse(self, frames: Tensor, *, depth: int) -> tuple[Tensor, Tensor]:
        """All steps, one after the other; see `stream.NetworkFuser.fuse`."""
        height, width = frames.shape[1:3]
        small = small_size(height, width, longest_px=PREFILL_PX, multiple_px=PREFILL_MULTIPLE_PX)
        work = self._backend.work_on(frames)
        shown = work.glimpse(work.take(work.reduce(frames, *small)))
        taken = work.take(_padded(frames))
        step = 1 / torch.iinfo(frames.dtype).max
        coarse, maps = self._decide_with(shown, work.glimpse(taken), step)
        pixels = work.blend(taken, coarse, maps, depth=depth)
        parts = (coarse, maps.logits, maps.gains)
        went_well = torch.stack([torch.isfinite(part).all() for part in parts]).all()
        return pixels[:height, :width].contiguous(), went_well

    def _decide(
        self, shown: Glimpse[Tensor], seen: Glimpse[Tensor], step: float
    ) -> tuple[Tensor, Maps[Tensor]]:
        """The coarse bands and the maps, from the bracket small and the whole picture's glimpse."""
        backend = self._backend
        cache: AttentionCache[Tensor] = AttentionCache(bits=self._cache_bits)
        energies = backend.build_pyramid(shown.luma).within(everything(shown.luma))
        backend.prefill(shown, energies, cache)
        pyramid, grid = backend.build_pyramid(seen.luma), everything(seen.luma)
        region = Region.whole(seen.luma.shape[-2] // 2, seen.luma.shape[-1] // 2)
        found = backend.decode(seen, pyramid.within(grid), region, cache)
        maps = Maps(found.logits.float(), found.gains.float())
        added = trust.log_weights(seen.luma[0], seen.energies[0, :, 0], rounding=step)
        maps.logits[0, :, CHROMA] += added
        added = trust.fine_log_weights(seen.colour[0], seen.energies[0])
        maps.logits[0, :, :FINE] += added[:, None]
        coarse = backend.blend_coarse(pyramid, maps)
        return backend.refine(coarse, seen), maps


def _padded(frames: Tensor) -> Tensor:
    """Frames (N, H, W, 3), their borders repeated until the sides are on the grid of slices."""
    for side in (1, 2):
        missing = -frames.shape[side] % GRID_PX
        if missing:
            border = frames.narrow(side, frames.shape[side] - 1, 1)
            shape = list(frames.shape)
            shape[side] = missing
            frames = torch.cat((frames, border.expand(shape)), side)
    return frames.contiguous()
