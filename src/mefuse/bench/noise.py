"""Whether fusing lifts a frame's noise: that of the fused picture beside the best frame's.

`python -m mefuse.bench.noise PICTURES` draws brackets of scenes as training does, photographs each
twice at ISO 3200, and takes the difference of the two fused pictures for their noise. Per 16 px
it is compared with that of the brightest frame that is not clipped there: the best that a
photographer could have taken from one frame. Prints one JSON object: for luma, red and blue minus
luma, the median of the ratio and its 95th percentile, mean and worst over the brackets; at most 1
means that no noise of other frames comes on top.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mefuse.fuse import fuse_pixels
from mefuse.gamut import LUMA
from mefuse.settings import FuseSettings
from mefuse.synth.camera import Camera
from mefuse.synth.pictures import Picture, load_pictures
from mefuse.synth.scenes import draw_exposures, draw_scene

Pixels = NDArray[Any]
Maps = NDArray[np.float64]
SIZE_PX, BLOCK_PX = 448, 16
# A full well of 50,000 electrons at ISO 100 is 1,600 at ISO 3200; 5 electrons of read noise.
ISO_3200 = Camera(read_noise=0.003, shot_noise=0.025)
_CLIPPED = 250
_LEAST = 0.3  # grey levels: rounding
CHANNELS = ("luma", "red", "blue")


def noise_ratios(frames: Sequence[Sequence[Pixels]], fused: Sequence[Pixels]) -> list[Maps]:
    """Noise of a fused picture as a share of the best frame's, where one is not clipped.

    Args:
        frames: the frames of each of two brackets that differ by their noise alone, uint8.
        fused: the two fused pictures, uint8 or uint16.

    Returns:
        For luma, red and blue minus luma: the ratio of each block, in one row.
    """
    brightness = np.stack([_blocks(_planes(frame)[0]) for frame in frames[0]])
    clipped = np.stack([_blocks((f.max(axis=2) >= _CLIPPED).astype(float)) for f in frames[0]])
    usable = clipped < 0.02
    best = np.where(usable, brightness, -1).argmax(0)[None]
    seen = usable.any(0)
    own = _noise(*fused)
    each = [_noise(one, other) for one, other in zip(*frames, strict=True)]
    ratios = []
    for channel, noise in enumerate(own):
        of_frames = np.stack([noises[channel] for noises in each])
        reference = np.take_along_axis(of_frames, best, 0)[0]
        ratios.append((noise / np.maximum(reference, _LEAST))[seen])
    return ratios


def _planes(pixels: Pixels) -> list[Maps]:
    """Luma, and red and blue minus it, 0..255."""
    scaled = pixels * (255 / np.iinfo(pixels.dtype).max)
    luma = scaled @ np.array(LUMA)
    return [luma, scaled[..., 0] - luma, scaled[..., 2] - luma]


def _noise(one: Pixels, other: Pixels) -> list[Maps]:
    """Standard deviation of noise in each block of two pictures of one scene."""
    pairs = zip(_planes(one), _planes(other), strict=True)
    return [np.sqrt(_blocks((a - b) ** 2) / 2) for a, b in pairs]


def _blocks(plane: Maps) -> Maps:
    rows, columns = (side // BLOCK_PX for side in plane.shape)
    cells = plane[: rows * BLOCK_PX, : columns * BLOCK_PX]
    mean: Maps = cells.reshape(rows, BLOCK_PX, columns, BLOCK_PX).mean((1, 3))
    return mean


def draw_twice(pictures: Sequence[Picture], seed: int) -> list[list[Pixels]]:
    """The frames of one scene, photographed twice; every third bracket is an extreme pair."""
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, pictures, size_px=SIZE_PX, zoom=1.0)
    radiance = scene.radiance(0, 0, 1, SIZE_PX)
    luminance = (radiance * torch.tensor(LUMA)[:, None, None]).sum(0)
    extreme = seed % 3 == 2
    gains = draw_exposures(rng, luminance, count=2 if extreme else 3, extreme=extreme)
    taken = (
        ISO_3200.expose(radiance, gains, noise=torch.Generator().manual_seed(2 * seed + again))
        for again in (0, 1)
    )
    return [[_pixels(frame) for frame in frames] for frames in taken]


def _pixels(frame: torch.Tensor) -> Pixels:
    return np.ascontiguousarray((frame * 255).round().byte().movedim(0, -1).numpy())


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.noise", description=__doc__)
    parser.add_argument("pictures", type=Path, help="folder of .hdr, .jpg, .png")
    parser.add_argument("--brackets", type=int, default=10)
    parser.add_argument("--model", default="ipl")
    given = parser.parse_args()
    settings = FuseSettings(model=given.model, align=False, crop=False, depth=16)
    pictures = load_pictures(given.pictures)
    figures = []
    for seed in range(given.brackets):
        frames = draw_twice(pictures, seed)
        fused = [fuse_pixels(one, settings=settings) for one in frames]
        ratios = noise_ratios(frames, fused)
        figures.append([(np.median(ratio), np.quantile(ratio, 0.95)) for ratio in ratios])
    table = np.array(figures)  # brackets, channels, (median, 95th)
    result = {
        name: {
            "median": round(float(table[:, at, 0].mean()), 3),
            "median_worst": round(float(table[:, at, 0].max()), 3),
            "p95": round(float(table[:, at, 1].mean()), 3),
            "p95_worst": round(float(table[:, at, 1].max()), 3),
        }
        for at, name in enumerate(CHANNELS)
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
