"""What parts gain: of IPL the cache, its bits, the prefill, the refinement; others as trained.

`python -m mefuse.bench.ablation --pictures DIR` fuses validation brackets (pictures that training
never saw, at sizes that take many slices) with IPL's weights that ship and with parts changed, and
prints one JSON object: loss over OpenCV's Mertens, and how much slices matter. `--weights
NAME=FILE` adds networks of any model trained with and without a part, by the recipes in
recipes/ablation; with `--only-weights` they are all that is measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse import weights
from mefuse.aligned import Aligned
from mefuse.cache import AttentionCache, Bits
from mefuse.grid import Glimpse, Maps
from mefuse.host.backend import HostBackend, Network
from mefuse.host.ipl import IPL
from mefuse.host.planes import Plane, Planes
from mefuse.metrics.mef_ssim import gray_plane, measure_mef_ssim
from mefuse.metrics.mef_ssimc import measure_mef_ssimc
from mefuse.models import Fuser, load_fuser
from mefuse.models.ipl_config import Region
from mefuse.stream import PREFILL_PX, NetworkFuser
from mefuse.synth.pictures import load_pictures
from mefuse.train.recipe import Recipe
from mefuse.train.validation import draw_frames

Picture = NDArray[np.uint8]
SLICE_PX = 128  # decoded in regions of 512 px, so that the brackets need several
SIZE_PX = 1024
SEED = 30_000


class Alone:
    """A network without the cache: every region is its own whole bracket."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @property
    def overlap_px(self) -> int:
        """See `host.backend.Network`."""
        return self.network.overlap_px

    def prefill(self, features: Planes, prior: Planes, cache: AttentionCache[Planes]) -> None:
        """Sees nothing."""

    def decode(
        self,
        features: Planes,
        prior: Planes,
        region: Region,
        cache: AttentionCache[Planes],  # noqa: ARG002 - this is the point
    ) -> Maps[Planes]:
        """Decodes a region with what it tells of itself."""
        own: AttentionCache[Planes] = AttentionCache(bits=32, budget_bytes=2**40)
        self.network.prefill(features, prior, own)
        alone = Region.whole(region.height, region.width)
        return self.network.decode(features, prior, alone, own)


class Unrefined(HostBackend):
    """The host without the refinement of the fused luma."""

    def refine(self, coarse: Plane, seen: Glimpse[Planes]) -> Plane:  # noqa: ARG002 - as it came
        """The fused luma as the blend made it."""
        return coarse


class Fusing(Protocol):
    """Something that fuses frames in slices; what is compared here."""

    @property
    def name(self) -> str:
        """What the table calls it."""

    def fuse(self, frames: Sequence[Picture], *, slice_px: int = SLICE_PX) -> Picture:
        """The fused picture of frames that lie as they are."""


@dataclass(frozen=True, slots=True)
class Given:
    """A network of a weights file, run as its model is."""

    name: str
    fuser: Fuser

    @staticmethod
    def parsed(given: str) -> Given:
        """What NAME=FILE says."""
        name, _, file = given.partition("=")
        path = Path(file)
        return Given(name, load_fuser(weights.read(path).model, device="cpu", path=path))

    def fuse(self, frames: Sequence[Picture], *, slice_px: int = SLICE_PX) -> Picture:
        """See `Fusing`."""
        return _fused(self.fuser, frames, slice_px)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run IPL."""

    name: str
    network: Network
    bits: Bits = 8
    prefill_px: int = PREFILL_PX
    backend: type[HostBackend] = HostBackend

    def fuse(self, frames: Sequence[Picture], *, slice_px: int = SLICE_PX) -> Picture:
        """See `Fusing`."""
        fuser = NetworkFuser(
            self.name,
            self.backend(self.network),
            cache_bits=self.bits,
            prefill_px=self.prefill_px,
        )
        return _fused(fuser, frames, slice_px)


def _fused(fuser: Fuser, frames: Sequence[Picture], slice_px: int) -> Picture:
    """Frames fused as they lie, at 8 bits."""
    bracket = Aligned.of(frames, reference=len(frames) // 2, ghost="off")
    fused = fuser.fuse(bracket, depth=8, slice_size=slice_px, on_slice=None)
    return np.asarray(fused.pixels, np.uint8)


def variants(network: Network) -> list[Variant]:
    """The parts that can be changed without training again."""
    found = [Variant("as it ships", network), Variant("without cache", Alone(network))]
    found.append(Variant("without refinement", network, backend=Unrefined))
    bits: tuple[Bits, ...] = (32, 4)
    found += [Variant(f"cache of {b} bits", network, bits=b) for b in bits]
    sizes = (128, 256, 1024)
    return found + [Variant(f"prefill {px} px", network, prefill_px=px) for px in sizes]


def losses(fuse: Callable[[Sequence[Picture]], Picture], brackets: Sequence[Any]) -> Any:
    """1 - MEF-SSIM and 1 - MEF-SSIMc of each bracket: (brackets, 2)."""
    found = []
    for frames in brackets:
        fused = fuse(frames)
        grays = [gray_plane(frame) for frame in frames]
        structure = measure_mef_ssim(grays, [gray_plane(fused)])[0]
        found.append((1 - structure, 1 - measure_mef_ssimc(frames, [fused])[0]))
    return np.array(found)


def _mertens(frames: Sequence[Picture]) -> Picture:
    fused = cv2.createMergeMertens().process(list(frames))
    return np.asarray(np.clip(fused * 255, 0, 255).round(), np.uint8)


def _seams_db(variant: Fusing, frames: Sequence[Picture]) -> float:
    """PSNR between small slices and one for the whole picture, dB; at most 99."""
    parts = variant.fuse(frames).astype(np.float64)
    whole_px = -(-max(frames[0].shape[:2]) // 64) * 64
    error = np.mean((parts - variant.fuse(frames, slice_px=whole_px)) ** 2)
    return 99.0 if error == 0 else min(float(10 * np.log10(255**2 / error)), 99.0)


def measure(found: Sequence[Fusing], brackets: Sequence[Any]) -> dict[str, Any]:
    """Per variant: loss over Mertens's by both measures, and the PSNR between slice sizes."""
    yardstick = losses(_mertens, brackets).mean(0)
    table = {}
    for variant in found:
        ratio = losses(variant.fuse, brackets).mean(0) / yardstick
        table[variant.name] = {
            "structure": round(float(ratio[0]), 4),
            "colour": round(float(ratio[1]), 4),
            "slices_db": round(min(_seams_db(variant, frames) for frames in brackets[:2]), 1),
        }
    return table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.ablation", description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True, help="as the training took them")
    parser.add_argument("--count", type=int, default=6, help="brackets of each kind")
    parser.add_argument("--size", type=int, default=SIZE_PX, help="side of the brackets, px")
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--only-weights", action="store_true", help="leave out what ships")
    given = parser.parse_args()
    every = Recipe().held_out
    held_out = load_pictures(given.pictures)[every - 1 :: every]
    rng = np.random.default_rng(SEED)
    kinds = [kind for _ in range(given.count) for kind in ("pair", "three")]
    drawn = [draw_frames(rng, held_out, kind, given.size) for kind in kinds]
    brackets = [
        [np.asarray(f.permute(1, 2, 0).mul(255).round().byte().numpy()) for f in frames]
        for frames in drawn
    ]
    found: list[Fusing] = [Given.parsed(pair) for pair in given.weights]
    if not given.only_weights:
        shipped = weights.read(weights.find("ipl"))
        found = [*variants(IPL(shipped.config, shipped.arrays)), *found]
    print(json.dumps(measure(found, brackets), indent=2))


if __name__ == "__main__":
    main()
