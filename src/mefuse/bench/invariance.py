"""What must not change the fused picture: arithmetic, slices, cache, order, empty frames, size.

`python -m mefuse.bench.invariance FRAME...` measures each on one real bracket, with the weights
that ship, on the CPU, and prints one JSON object; PSNR in dB, 99 where two pictures are equal.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse import weights
from mefuse.aligned import Aligned
from mefuse.cache import Bits
from mefuse.discover import find_sources
from mefuse.fuse import fuse_pixels
from mefuse.host.backend import HostBackend
from mefuse.models import Fused
from mefuse.read import read_frame
from mefuse.settings import FuseSettings
from mefuse.stream import Backend, NetworkFuser

Pixels = NDArray[Any]
SLICES_PX = (256, 512, 1024)
AS_THEY_LIE = FuseSettings(align=False)


def psnr(one: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio of two pictures of the same depth, dB, at most 99."""
    error = np.mean((one.astype(np.float64) - other) ** 2)
    peak = np.iinfo(one.dtype).max
    return 99.0 if error == 0 else min(float(10 * np.log10(peak**2 / error)), 99.0)


def _fuse(
    frames: Sequence[Pixels],
    *,
    slice_px: int | None = None,
    bits: Bits = 8,
    depth: int = 16,
    backend: Backend | None = None,
) -> Fused:
    """Fuses frames as they lie, 16 bits out, so that rounding hides nothing."""
    network = backend or HostBackend.of(weights.read(weights.find("ipl")))
    fuser = NetworkFuser("ipl", network, cache_bits=bits)
    return fuser.fuse(
        Aligned.of(
            sorted(frames, key=np.mean), reference=len(frames) // 2, ghost=AS_THEY_LIE.ghost
        ),
        depth=depth,
        slice_size=slice_px,
        on_slice=None,
    )


def _whole_px(frames: Sequence[Pixels]) -> int:
    """Side of a slice that holds the whole picture."""
    return -(-int(max(frames[0].shape[:2])) // 64) * 64


def quality(frames: Sequence[Pixels], *, slice_px: int | None = None) -> dict[str, float]:
    """The fused 8 bits against the definition's: in float32, of the whole, its cache as it is."""
    from mefuse.metrics.mef_ssim import gray_plane, measure_mef_ssim
    from mefuse.torch_backend import TorchBackend

    definition = TorchBackend(weights.load(weights.find("ipl"), model="ipl"), device="cpu")
    whole = _fuse(frames, slice_px=_whole_px(frames), bits=32, depth=8, backend=definition)
    ours = _fuse(frames, slice_px=slice_px, depth=8)
    grays = [gray_plane(frame) for frame in frames]
    found = measure_mef_ssim(grays, [gray_plane(fused.pixels) for fused in (ours, whole)])
    return {"psnr_db": psnr(ours.pixels, whole.pixels), "mef_ssim_apart": abs(found[0] - found[1])}


def slices(frames: Sequence[Pixels]) -> float:
    """The worst PSNR between any two slice sizes, the whole picture among them."""
    sizes = (*SLICES_PX, _whole_px(frames))
    fused = [_fuse(frames, slice_px=size).pixels for size in sizes]
    return min(psnr(one, other) for one, other in itertools.combinations(fused, 2))


def cache_precision(frames: Sequence[Pixels]) -> dict[str, float]:
    """PSNR of a compressed cache against an uncompressed one, per number of bits."""
    exact = _fuse(frames, bits=32).pixels
    bits: tuple[Bits, ...] = (8, 4)
    return {f"int{b}": psnr(_fuse(frames, bits=b).pixels, exact) for b in bits}


def cache_bytes(frames: Sequence[Pixels]) -> dict[str, int]:
    """Bytes of the cache for the bracket enlarged or reduced to 2 and to 50 megapixels."""
    height, width = frames[0].shape[:2]
    sizes = {}
    for megapixels in (2, 50):
        scale = (megapixels * 1e6 / (height * width)) ** 0.5
        size = (round(width * scale), round(height * scale))
        sizes[f"{megapixels} MP"] = _fuse([cv2.resize(f, size) for f in frames]).cache_bytes
    return sizes


def order(frames: Sequence[Pixels]) -> bool:
    """Whether every rotation of the frames and their reverse give the same bytes."""
    first = fuse_pixels(frames)
    orders = [list(frames[i:]) + list(frames[:i]) for i in range(1, len(frames))]
    orders.append(list(reversed(frames)))
    return all(np.array_equal(first, fuse_pixels(other)) for other in orders)


def repeated(frames: Sequence[Pixels]) -> float:
    """The worst PSNR of a frame to the bracket of three times itself."""
    return min(psnr(fuse_pixels([f, f, f], settings=AS_THEY_LIE), f) for f in frames)


def empty_frames(frames: Sequence[Pixels]) -> dict[str, float]:
    """PSNR of the bracket with a black or white frame more to the bracket without."""
    plain = fuse_pixels(frames, settings=AS_THEY_LIE)
    extra = {"black": 0, "white": np.iinfo(frames[0].dtype).max}
    return {
        name: psnr(
            fuse_pixels([*frames, np.full_like(frames[0], value)], settings=AS_THEY_LIE), plain
        )
        for name, value in extra.items()
    }


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.invariance", description=__doc__)
    parser.add_argument("frames", type=Path, nargs="+")
    given = parser.parse_args()
    frames = [read_frame(source).pixels for source in find_sources(given.frames)]
    result = {
        "quality": quality(frames),
        "slices_worst_db": slices(frames),
        "cache_db": cache_precision(frames),
        "cache_bytes": cache_bytes(frames),
        "any_order_same_bytes": order(frames),
        "repeated_worst_db": repeated(frames),
        "empty_frame_db": empty_frames(frames),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
