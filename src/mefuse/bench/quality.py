"""Quality on real brackets: mean loss of MEF-SSIM and MEF-SSIMc beside OpenCV's Mertens.

`python -m mefuse.bench.quality FOLDER... [--weights FILE] [--limit-px 1300]`: every folder below
that holds two or more pictures is a bracket. Frames are taken as they are, without alignment, and
reduced where their longest side is larger. Prints one line per bracket and a summary; `--json`
writes all of it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mefuse import weights
from mefuse.device import resolve_device
from mefuse.discover import find_sources
from mefuse.metrics.mef_ssim import gray, mef_ssim
from mefuse.metrics.mef_ssimc import mef_ssimc
from mefuse.models import Fuser, load_fuser
from mefuse.read import read_frame
from mefuse.slices import Rect
from mefuse.stream import NetworkFuser

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True)
class Score:
    """One bracket's measures, ours and OpenCV's."""

    bracket: str
    frames: int
    ours: float
    mertens: float
    ours_colour: float
    mertens_colour: float


def brackets_below(folder: Path) -> list[Path]:
    """Folders that hold at least two pictures, in order of name."""
    folders = [folder, *sorted(p for p in folder.rglob("*") if p.is_dir())]
    return [f for f in folders if len(_pictures(f)) > 1]


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)


def reduced_frames(folder: Path, *, limit_px: int) -> list[NDArray[np.uint8]]:
    """The bracket's frames: (H, W, 3) uint8 RGB, at most `limit_px` on the longest side."""
    frames = []
    for source in find_sources(_pictures(folder)):
        frame: NDArray[Any] = read_frame(source).pixels
        scale = limit_px / max(frame.shape)
        if scale < 1:
            size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
            frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
        frames.append(frame.astype(np.uint8))
    return frames


def fuse_with(fuser: Fuser, frames: Sequence[NDArray[np.uint8]]) -> NDArray[Any]:
    """Fuses frames as they are."""
    height, width = frames[0].shape[:2]
    fused = fuser.fuse(
        frames,
        transforms=[np.eye(3)] * len(frames),
        crop=Rect(0, 0, height, width),
        reference=len(frames) // 2,
        depth=8,
        slice_size=None,
        on_slice=None,
    )
    return fused.pixels


def measure(frames: Sequence[NDArray[np.uint8]], fused: NDArray[Any]) -> tuple[float, float]:
    """MEF-SSIM and MEF-SSIMc of an 8-bit fused picture."""
    stacked = torch.from_numpy(np.stack([*frames, fused])).permute(0, 3, 1, 2).double()
    bracket, result = stacked[:-1][None], stacked[-1:]
    return mef_ssim(gray(bracket), gray(result)).item(), mef_ssimc(bracket, result).item()


def score_bracket(folder: Path, fuser: Fuser, mertens: Fuser, *, limit_px: int) -> Score:
    """Measures one bracket with both models."""
    frames = reduced_frames(folder, limit_px=limit_px)
    ours, ours_colour = measure(frames, fuse_with(fuser, frames))
    theirs, theirs_colour = measure(frames, fuse_with(mertens, frames))
    name = f"{folder.parent.name}/{folder.name}"
    return Score(name, len(frames), ours, theirs, ours_colour, theirs_colour)


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """Means, loss ratios and the worst difference to OpenCV."""
    table = np.array(
        [[s.ours, s.mertens, s.ours_colour, s.mertens_colour] for s in scores], dtype=np.float64
    )
    ours, theirs, colour, their_colour = table.T
    return {
        "brackets": len(scores),
        "ours": ours.mean(),
        "mertens": theirs.mean(),
        "loss_ratio": (1 - ours).mean() / (1 - theirs).mean(),
        "worst_difference": (ours - theirs).min(),
        "colour_ours": colour.mean(),
        "colour_mertens": their_colour.mean(),
        "colour_loss_ratio": (1 - colour).mean() / (1 - their_colour).mean(),
        "colour_share_not_below": (colour >= their_colour).mean(),
    }


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.quality", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="ipl")
    parser.add_argument("--weights", type=Path, help="another weights file than the one shipped")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--limit-px", type=int, default=1300)
    parser.add_argument("--json", type=Path, help="file to write all scores to")
    given = parser.parse_args()
    fuser: Fuser = load_fuser(given.model, device=given.device)
    if given.weights:
        network = weights.load(given.weights)
        fuser = NetworkFuser("ipl", network, device=torch.device(resolve_device(given.device)))
    mertens = load_fuser("mertens", device="cpu")
    scores = []
    for folder in [f for root in given.folders for f in brackets_below(root)]:
        score = score_bracket(folder, fuser, mertens, limit_px=given.limit_px)
        scores.append(score)
        print(
            f"{score.bracket:40s} {score.frames} {score.ours:.4f} {score.mertens:.4f} "
            f"{score.ours - score.mertens:+.4f}  c {score.ours_colour:.4f} "
            f"{score.mertens_colour:.4f}",
            flush=True,
        )
    print(json.dumps(summary(scores), indent=1))
    if given.json:
        result = {"summary": summary(scores), "brackets": [asdict(s) for s in scores]}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
