"""Measures the look of fused pictures beside the best-exposed frame.

    python -m mefuse.bench.look FOLDER [--model ipl|mertens] [--px 640] [--brackets]

Every folder of frames in FOLDER is a bracket, taken as it lies. The best-exposed frame is the one
with most luma near the middle. Local contrast and chroma are taken where it is neither clipped nor
black. Prints a JSON object; with --brackets also one per bracket before it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.evaluate.cases import find_cases
from mefuse.evaluate.scene import Frames, load_scene
from mefuse.finish import fuse_with_look
from mefuse.gamut import LUMA
from mefuse.models import Fuser, load_fuser
from mefuse.settings import LookSettings

LOCAL_SHARE = 64  # side of a window of local contrast, as a part of the longest side
CLIPPED, BLACK = 245, 8


@dataclass(frozen=True, slots=True)
class Look:
    """Figures of one picture, in parts of full scale."""

    black: float  # first percentile of luma
    white: float  # 99th
    mean: float
    contrast: float  # standard deviation of luma
    local_contrast: float  # mean standard deviation in windows
    chroma: float  # mean distance from gray


def measure_look(pixels: NDArray[Any], inside: NDArray[np.bool_]) -> Look:
    """Figures of a picture; local contrast and chroma where `inside` is true."""
    luma, chroma = _planes(pixels)
    side = max(luma.shape) // LOCAL_SHARE * 2 + 1
    variance = cv2.blur(luma * luma, (side, side)) - cv2.blur(luma, (side, side)) ** 2
    return Look(
        black=float(np.percentile(luma, 1)),
        white=float(np.percentile(luma, 99)),
        mean=float(luma.mean()),
        contrast=float(luma.std()),
        local_contrast=float(np.sqrt(np.maximum(variance, 0))[inside].mean()),
        chroma=float(np.hypot(*chroma)[inside].mean()),
    )


def best_exposed(frames: Sequence[NDArray[Any]]) -> int:
    """Index of the frame with most luma near the middle."""
    scores = [np.exp(-((_planes(frame)[0] - 0.5) ** 2) / 0.08).mean() for frame in frames]
    return int(np.argmax(scores))


def _planes(pixels: NDArray[Any]) -> tuple[NDArray[Any], tuple[NDArray[Any], NDArray[Any]]]:
    """Luma, and blue and red difference, in parts of full scale."""
    rgb = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    luma = rgb @ np.array(LUMA, np.float32)
    return luma, ((rgb[..., 2] - luma) / 1.772, (rgb[..., 0] - luma) / 1.402)


def measure(frames: Frames, fuser: Fuser) -> dict[str, dict[str, float]]:
    """All figures of one bracket."""
    best = frames.pixels[best_exposed(frames.pixels)]
    inside = (best.max(-1) < CLIPPED) & (best.min(-1) > BLACK)
    bracket = Aligned.of(frames.pixels, reference=frames.reference, ghost="off")
    fused = fuse_with_look(fuser, bracket, look=LookSettings(), depth=16)
    return {
        "best_exposed": asdict(measure_look(best, inside)),
        "fused": asdict(measure_look(fused.pixels, inside)),
    }


def summary(found: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means over brackets, and the median of fused over best-exposed."""
    means = {
        part: {
            name: round(float(np.mean([one[part][name] for one in found])), 4)
            for name in found[0][part]
        }
        for part in found[0]
    }
    ratios = {
        name: round(
            float(np.median([o["fused"][name] / (o["best_exposed"][name] + 1e-3) for o in found])),
            3,
        )
        for name in found[0]["fused"]
    }
    return {"brackets": len(found), **means, "median_ratio": ratios}


def main(arguments: list[str] | None = None) -> None:
    """Measures, and writes JSON lines to stdout."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.look", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+", help="folders of brackets, or one bracket")
    parser.add_argument("--model", default="ipl")
    parser.add_argument("--px", type=int, default=640, help="longest side that is measured")
    parser.add_argument("--brackets", action="store_true", help="also one line per bracket")
    options = parser.parse_args(arguments)
    fuser = load_fuser(options.model, device="auto")
    found = []
    for case in (case for folder in options.folder for case in find_cases(folder)):
        found.append(measure(load_scene(case, limit_px=options.px).frames, fuser))
        if options.brackets:
            sys.stdout.write(json.dumps({"bracket": case.name, **found[-1]}) + "\n")
    sys.stdout.write(json.dumps(summary(found)) + "\n")


if __name__ == "__main__":
    main()
