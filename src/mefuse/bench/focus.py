"""How well models fuse focus brackets, with the weights that ship, not trained for it.

`python -m mefuse.bench.focus --pictures DIR` makes pairs that are sharp in different places from
photographs that training never saw, fuses them as they lie, and prints one JSON object: per method
the mean PSNR to the picture that is sharp everywhere, and by how much it is above the frames' mean.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefuse.evaluate import AVERAGE
from mefuse.evaluate.methods import FusingMethod, load_method
from mefuse.evaluate.scene import Frames
from mefuse.models import MODELS
from mefuse.synth.focus import FocusBracket, focus_bracket
from mefuse.synth.pictures import Picture, load_pictures
from mefuse.train.recipe import Recipe

Bytes = NDArray[np.uint8]
SEED = 40_000


def psnr(fused: Bytes, truth: Bytes) -> float:
    """Peak signal-to-noise ratio over all channels, dB, at most 99."""
    error = np.mean((fused.astype(np.float64) - truth) ** 2)
    return 99.0 if error == 0 else min(float(10 * np.log10(255**2 / error)), 99.0)


def brackets_of(pictures: Sequence[Picture], count: int) -> list[FocusBracket]:
    """Focus brackets of photographs that training leaves out, each photograph in turn."""
    rng = np.random.default_rng(SEED)
    every = Recipe().held_out
    photos = [picture for picture in pictures[every - 1 :: every] if not picture.is_hdr]
    shown = [photos[i % len(photos)].pixels.permute(1, 2, 0).cpu().numpy() for i in range(count)]
    return [focus_bracket(rng, np.ascontiguousarray(pixels, np.uint8)) for pixels in shown]


def measure(brackets: Sequence[FocusBracket], methods: Sequence[str]) -> Mapping[str, object]:
    """Per method the mean PSNR, and the mean and least gain over the frames' mean, dB."""
    found: dict[str, list[float]] = {}
    for name in (AVERAGE, *methods):
        method = load_method(name, device="cpu")
        assert isinstance(method, FusingMethod)
        found[name] = [psnr(_fused(method, bracket), bracket.truth) for bracket in brackets]
    plain = np.array(found[AVERAGE])
    table = {}
    for name, values in found.items():
        gain = np.array(values) - plain
        table[name] = {
            "psnr_db": round(float(np.mean(values)), 2),
            "above_mean_db": round(float(gain.mean()), 2),
            "least_db": round(float(gain.min()), 2),
        }
    return table


def _fused(method: FusingMethod, bracket: FocusBracket) -> Bytes:
    return method.fuse_frames(Frames(tuple(bracket.frames), reference=0))


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.focus", description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True, help="as the training took them")
    parser.add_argument("--count", type=int, default=12)
    given = parser.parse_args()
    brackets = brackets_of(load_pictures(given.pictures), given.count)
    print(json.dumps(measure(brackets, tuple(MODELS)), indent=1))


if __name__ == "__main__":
    main()
