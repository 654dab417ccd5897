"""Measures how much of what motion costs is won back, on synthetic moving brackets.

    python -m mefuse.bench.ghosts --pictures DIR [--count 40] [--seed 7] [--size 3840x2160]

Brackets are drawn as `mefuse synth` draws them, from pictures that training never sees (of the
sorted list every sixth, which recipes hold out, and every .exr), given their true alignment. S is
MEF-SSIM against the frames without motion. The gap closed is (S of ours - S of OpenCV's) over (S of
OpenCV's without motion - S of OpenCV's); PSNR is between ours with and without motion, where
something moved and elsewhere. Prints a JSON object per bracket, then their means.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.coverage import common_area
from mefuse.evaluate.methods import FusingMethod, load_method
from mefuse.evaluate.scene import Frames
from mefuse.metrics.mef_ssim import gray_plane, measure_mef_ssim
from mefuse.synth.brackets import Bracket, BracketSettings, draw_bracket
from mefuse.synth.pictures import HDR_SUFFIXES, PHOTO_SUFFIXES, PictureFolder
from mefuse.train.recipe import Recipe
from mefuse.warp import warp_region

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Score:
    """Figures of one bracket, or means of many."""

    ours: float  # S
    ours_still: float
    theirs: float
    theirs_still: float
    moved_db: float  # PSNR; nan where nothing moved
    elsewhere_db: float
    moved_share: float


def held_out(folder: Path) -> PictureFolder:
    """The pictures below a folder that training never sees.

    Raises:
        InputError: there is no HDR picture at all.
    """
    PictureFolder.scanned(folder)
    every = Recipe().held_out
    known = {".hdr", ".jpg", ".png"}  # what recipes read
    paths = sorted(path for path in folder.rglob("*") if path.suffix in known)[every - 1 :: every]
    paths += sorted(folder.rglob("*.exr"))
    return PictureFolder(
        hdr=tuple(path for path in paths if path.suffix in HDR_SUFFIXES),
        photos=tuple(path for path in paths if path.suffix in PHOTO_SUFFIXES),
    )


def measure(bracket: Bracket, ours: FusingMethod, theirs: FusingMethod) -> Score:
    """Draws a bracket, fuses it with and without motion, and measures."""
    moving, still, mask = _drawn(bracket)
    made = [method.fuse_frames(frames) for method in (ours, theirs) for frames in (moving, still)]
    wanted = [gray_plane(frame) for frame in still.pixels]
    scores = measure_mef_ssim(wanted, [gray_plane(picture) for picture in made])
    ours_moving, ours_still, theirs_moving, theirs_still = scores
    return Score(
        ours=ours_moving,
        ours_still=ours_still,
        theirs=theirs_moving,
        theirs_still=theirs_still,
        moved_db=_psnr(made[0], made[1], mask),
        elsewhere_db=_psnr(made[0], made[1], ~mask),
        moved_share=float(mask.mean()),
    )


def _drawn(bracket: Bracket) -> tuple[Frames, Frames, NDArray[np.bool_]]:
    """The frames, the same without motion, and where something moved: all on the reference."""
    settings = bracket.settings
    crop = common_area(bracket.transforms, settings.size)
    box = (slice(crop.top, crop.bottom), slice(crop.left, crop.right))
    moving, still = [], []
    for k, transform in enumerate(bracket.transforms):
        frame = _stored(bracket.frame(k), bracket.jpeg_quality)
        moving.append(warp_region(frame, transform, crop))
        at_rest = k == settings.reference  # the reference is its own truth
        truth = frame if at_rest else _stored(bracket.truth(k), bracket.jpeg_quality)
        still.append(np.ascontiguousarray(truth[box]))
    mask = bracket.mask()[box] > 0
    pair = (Frames(tuple(part), settings.reference) for part in (moving, still))
    return next(pair), next(pair), mask


def _stored(pixels: NDArray[np.uint8], quality: int) -> Pixels:
    """What a JPEG file keeps."""
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def _psnr(one: Pixels, other: Pixels, where: NDArray[np.bool_]) -> float:
    if not where.any():
        return float("nan")
    off = one[where].astype(np.float32) - other[where]
    return float(10 * np.log10(255**2 / max(float((off * off).mean()), 1e-3)))


def mean_of(scores: list[Score]) -> Score:
    """Means of all figures."""
    columns = zip(*(asdict(score).values() for score in scores), strict=True)
    return Score(*(float(np.nanmean(column)) for column in columns))


def gap_closed(score: Score) -> float:
    """How much of what motion costs OpenCV's fusion ours does not pay, 1 for all."""
    return (score.ours - score.theirs) / (score.theirs_still - score.theirs)


def main(arguments: list[str] | None = None) -> None:
    """Measures, and writes JSON lines to stdout."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.ghosts", description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True, help="HDR pictures and photographs")
    parser.add_argument("--count", type=int, default=40, help="brackets")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--size", default="3840x2160", help="WxH of the frames")
    parser.add_argument("--motion", default="some", help="some or strong")
    options = parser.parse_args(arguments)
    width, height = (int(side) for side in options.size.split("x"))
    settings = BracketSettings(size=(height, width), motion=options.motion, seed=options.seed)
    pictures = held_out(options.pictures)
    ours, theirs = load_method("ipl"), load_method("mertens")
    assert isinstance(ours, FusingMethod)
    assert isinstance(theirs, FusingMethod)
    scores = []
    for index in range(options.count):
        start = time.process_time()
        bracket = draw_bracket(settings, index, folder=pictures)
        scores.append(measure(bracket, ours, theirs))
        _tell(scores[-1], place=bracket.place.name, processor_s=time.process_time() - start)
    mean = mean_of(scores)
    _tell(mean, brackets=len(scores), gap_closed=gap_closed(mean))


def _tell(score: Score, **more: float | str) -> None:
    line = {**more, **asdict(score)}
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
