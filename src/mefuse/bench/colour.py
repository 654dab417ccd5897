"""Whether fusing keeps colours: hue and chroma of the fused picture beside its best-exposed frame.

`python -m mefuse.bench.colour FOLDER...` takes each folder (or each folder in it) that holds two or
more pictures for a static bracket, fuses it as it lies, and prints one JSON object: per bracket the
median hue difference in degrees and the median chroma ratio over the pixels that the best-exposed
frame neither clips nor shows too gray or dark to have a hue, and both over all brackets.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.colour import in_one_space
from mefuse.discover import find_sources
from mefuse.errors import MefuseError
from mefuse.exposure import luma_small, well_exposed_share
from mefuse.frames import Bracket
from mefuse.fuse import fuse_pixels
from mefuse.read import read_bracket
from mefuse.settings import FuseSettings

Pixels = NDArray[Any]
_PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
_UNCLIPPED = (0.02, 0.98)  # of every channel, as 5 and 250 of 255
_LEAST_CHROMA = 5.0  # of CIELAB: below it a code or two turns the hue by degrees
_LONGEST_PX = 1300  # as the other measures reduce real brackets


def hue_and_chroma(fused: Pixels, frame: Pixels) -> tuple[float, float] | None:
    """Median hue difference in degrees and median chroma ratio of a fused picture to a frame.

    Args:
        fused: (H, W, 3) uint8 or uint16, sRGB.
        frame: the same size and type.

    Returns:
        None where fewer than a hundredth of the frame's pixels have a hue.
    """
    seen, shown = (_unit(picture) for picture in (frame, fused))
    low, high = _UNCLIPPED
    unclipped = ((seen >= low) & (seen <= high)).all(axis=2)
    before, after = (cv2.cvtColor(picture, cv2.COLOR_RGB2Lab)[..., 1:] for picture in (seen, shown))
    chroma, fused_chroma = (np.hypot(ab[..., 0], ab[..., 1]) for ab in (before, after))
    coloured = unclipped & (chroma >= _LEAST_CHROMA)
    if coloured.mean() < 0.01:
        return None
    turn = _hue(after[coloured]) - _hue(before[coloured])
    difference = np.abs((turn + 180) % 360 - 180)
    ratio = fused_chroma[coloured] / chroma[coloured]
    return float(np.median(difference)), float(np.median(ratio))


def _unit(picture: Pixels) -> NDArray[np.float32]:
    return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)


def _hue(ab: Pixels) -> NDArray[np.float64]:
    """Hue angles in degrees of (n, 2) a and b."""
    return np.degrees(np.arctan2(ab[:, 1].astype(np.float64), ab[:, 0]))


def find_brackets(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """The pictures of each bracket among folders and the folders in them."""
    candidates = [*folders, *(inner for outer in folders for inner in sorted(outer.iterdir()))]
    found = {}
    for folder in candidates:
        if folder.is_dir():
            paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _PICTURES)
            if len(paths) > 1:
                found[folder.name] = paths
    return found


def read_reduced(paths: Sequence[Path]) -> list[Pixels]:
    """Frames in one space, reduced."""
    return reduced_frames(in_one_space(read_bracket(find_sources(paths))))


def reduced_frames(bracket: Bracket) -> list[Pixels]:
    """A bracket's pixels, reduced."""
    pixels = [frame.pixels for frame in bracket.frames]
    height, width = pixels[0].shape[:2]
    scale = min(1.0, _LONGEST_PX / max(height, width))
    size = (round(width * scale), round(height * scale))
    return [cv2.resize(p, size, interpolation=cv2.INTER_AREA) if scale < 1 else p for p in pixels]


def measure(paths: Sequence[Path], *, model: str) -> tuple[float, float] | None:
    """Hue difference and chroma ratio of one bracket; see `hue_and_chroma`."""
    frames = read_reduced(paths)
    best = max(frames, key=lambda frame: well_exposed_share(luma_small(frame)))
    settings = FuseSettings(model=model, align=False, crop=False)
    return hue_and_chroma(fuse_pixels(frames, settings=settings), best)


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.colour", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="ipl")
    given = parser.parse_args()
    scores: dict[str, tuple[float, float]] = {}
    failed: dict[str, str] = {}
    for name, paths in find_brackets(given.folders).items():
        try:
            score = measure(paths, model=given.model)
        except MefuseError as error:
            failed[name] = str(error)
            continue
        if score is None:
            failed[name] = "too gray to have hues"
        else:
            scores[name] = score
    hues, chromas = zip(*scores.values(), strict=True) if scores else ((), ())
    result: dict[str, Any] = {
        "brackets": {n: {"hue_degrees": h, "chroma_ratio": c} for n, (h, c) in scores.items()},
        "left_out": failed,
    }
    if scores:
        result["median_hue_degrees"] = float(np.median(hues))
        result["worst_hue_degrees"] = max(hues)
        result["chroma_ratio_range"] = [min(chromas), max(chromas)]
        result["median_chroma_ratio"] = float(np.median(chromas))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
