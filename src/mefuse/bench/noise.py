"""Whether fusing lifts a frame's noise: that of the fused picture beside the best frame's.

`python -m mefuse.bench.noise PICTURES` draws brackets of scenes as training does, photographs each
twice at ISO 3200, and takes the difference of the two fused pictures for their noise. Per 16 px
it is compared with that of the brightest frame that is not clipped there: the best that a
photographer could have taken from one frame. Prints one JSON object: for luma, red and blue minus
luma, the median of the ratio and its 95th percentile, mean and worst over the brackets; at most 1
means that no noise of other frames comes on top. With `--noisy darkest` (or `brightest`) that frame
alone is at ISO 3200, the others at base ISO.

`--real` takes the folders for real brackets, one take of each scene: what fine grain there is in
the flattest fifth of the shadows, fused, beside the same places of the brightest unclipped frame
(`brightest`) and of the best-exposed one (`best_exposed`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.bench.colour import find_brackets, reduced_frames
from mefuse.colour import in_one_space
from mefuse.discover import find_sources
from mefuse.exposure import luma_small, well_exposed_share
from mefuse.finish import fuse_with_look
from mefuse.gamut import LUMA
from mefuse.models import Fuser, load_fuser
from mefuse.read import read_bracket
from mefuse.settings import LookSettings
from mefuse.synth.camera import Camera
from mefuse.synth.pictures import Picture, load_pictures
from mefuse.synth.scenes import draw_exposures, draw_scene

Pixels = NDArray[Any]
Maps = NDArray[np.float64]
SIZE_PX, BLOCK_PX = 448, 16
# A full well of 50,000 electrons at ISO 100 is 1,600 at ISO 3200; 5 electrons of read noise.
ISO_3200 = Camera(read_noise=0.003, shot_noise=0.025)
BASE_ISO = Camera(read_noise=2e-5, shot_noise=0.00045)
_SHADOWS = (0.02, 0.3)  # luma
_FLATTEST = 0.2
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


def grain(pixels: Pixels) -> Maps:
    """Standard deviation of the finest grain in each block of a picture's luma, 0..255.

    Source: Immerkaer, "Fast noise variance estimation", 1996, doi:10.1006/cviu.1996.0060.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6
    found = cv2.filter2D(_planes(pixels)[0], -1, mask)
    return np.sqrt(_blocks(np.asarray(found, np.float64) ** 2))


def shadow_ratios(frames: Sequence[Pixels], fused: Pixels) -> dict[str, float] | None:
    """Grain of a fused picture's flat shadows as a share of its frames'; see the module.

    Returns:
        The median of each ratio; None where there are too few such places.
    """
    lumas = [_planes(frame)[0] for frame in frames]
    best = int(np.argmax([well_exposed_share(luma_small(frame)) for frame in frames]))
    brightness = np.stack([_blocks(luma) for luma in lumas])
    clipped = np.stack([_blocks((f.max(axis=2) >= _CLIPPED).astype(float)) for f in frames])
    usable = clipped < 0.02
    brightest = np.where(usable, brightness, -1).argmax(0)[None]
    low, high = (255 * luma for luma in _SHADOWS)
    dark = usable.any(0) & (brightness[best] >= low) & (brightness[best] <= high)
    if dark.sum() < 50:
        return None
    smooth = cv2.GaussianBlur(lumas[best], (0, 0), 3)
    detail = _blocks(np.asarray(cv2.Laplacian(smooth, -1), np.float64) ** 2)
    flat = dark & (detail <= np.quantile(detail[dark], _FLATTEST))
    grains = np.stack([grain(frame) for frame in frames])
    own = grain(fused)
    lit = np.take_along_axis(grains, brightest, 0)[0]
    ratios = {"brightest": own / np.maximum(lit, _LEAST)}
    ratios["best_exposed"] = own / np.maximum(grains[best], _LEAST)
    return {name: round(float(np.median(ratio[flat])), 3) for name, ratio in ratios.items()}


def draw_twice(
    pictures: Sequence[Picture], seed: int, *, noisy: str = "all"
) -> tuple[list[list[Pixels]], list[float]]:
    """The frames of one scene, photographed twice, darkest first, and their ISOs.

    Every third bracket is an extreme pair.
    """
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, pictures, size_px=SIZE_PX, zoom=1.0)
    radiance = scene.radiance(0, 0, 1, SIZE_PX)
    luminance = (radiance * torch.tensor(LUMA)[:, None, None]).sum(0)
    extreme = seed % 3 == 2
    gains = draw_exposures(rng, luminance, count=2 if extreme else 3, extreme=extreme)
    gains = torch.as_tensor(gains).sort().values
    place = {"darkest": 0, "brightest": len(gains) - 1}.get(noisy)
    loud = [place is None or place == k for k in range(len(gains))]
    twice = []
    for again in (0, 1):
        source = torch.Generator().manual_seed(2 * seed + again)
        taken = (
            (ISO_3200 if is_loud else BASE_ISO).expose(radiance, gains[k : k + 1], noise=source)[0]
            for k, is_loud in enumerate(loud)
        )
        twice.append([_pixels(frame) for frame in taken])
    return twice, [3200.0 if is_loud else 100.0 for is_loud in loud]


def _pixels(frame: torch.Tensor) -> Pixels:
    return np.ascontiguousarray((frame * 255).round().byte().movedim(0, -1).numpy())


def _fused(frames: Sequence[Pixels], isos: Sequence[float], fuser: Fuser) -> Pixels:
    """The frames fused as they lie."""
    bracket = Aligned.of(frames, reference=len(frames) // 2, ghost="off", isos=isos)
    return fuse_with_look(fuser, bracket, look=LookSettings(), depth=16).pixels


def measure_drawn(folder: Path, count: int, *, noisy: str, fuser: Fuser) -> dict[str, Any]:
    """Figures of drawn brackets."""
    pictures = load_pictures(folder)
    figures = []
    for seed in range(count):
        twice, isos = draw_twice(pictures, seed, noisy=noisy)
        ratios = noise_ratios(twice, [_fused(frames, isos, fuser) for frames in twice])
        figures.append([(np.median(ratio), np.quantile(ratio, 0.95)) for ratio in ratios])
    table = np.array(figures)  # brackets, channels, (median, 95th)
    return {
        name: {
            "median": round(float(table[:, at, 0].mean()), 3),
            "median_worst": round(float(table[:, at, 0].max()), 3),
            "p95": round(float(table[:, at, 1].mean()), 3),
            "p95_worst": round(float(table[:, at, 1].max()), 3),
        }
        for at, name in enumerate(CHANNELS)
    }


def measure_real(folders: Sequence[Path], *, fuser: Fuser) -> dict[str, Any]:
    """Figures of real brackets."""
    found: dict[str, dict[str, float] | None] = {}
    for name, paths in find_brackets(folders).items():
        bracket = in_one_space(read_bracket(find_sources(paths)))
        isos = [frame.source.exposure.iso or 0.0 for frame in bracket.frames]
        frames = reduced_frames(bracket)
        found[name] = shadow_ratios(frames, _fused(frames, isos, fuser))
    told = [ratios for ratios in found.values() if ratios is not None]
    medians = {name: float(np.median([r[name] for r in told])) for name in told[0]} if told else {}
    return {"brackets": found, "median": medians}


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.noise", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="of .hdr, .jpg, .png; or brackets")
    parser.add_argument("--brackets", type=int, default=10)
    parser.add_argument("--model", default="ipl")
    parser.add_argument("--noisy", choices=("all", "darkest", "brightest"), default="all")
    parser.add_argument("--real", action="store_true")
    given = parser.parse_args()
    fuser = load_fuser(given.model, device="auto")
    if given.real:
        result = measure_real(given.folders, fuser=fuser)
    else:
        result = measure_drawn(given.folders[0], given.brackets, noisy=given.noisy, fuser=fuser)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
