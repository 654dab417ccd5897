"""Whether a wide-gamut bracket keeps its look: fused as it is and converted, or converted first.

`python -m mefuse.bench.wide FOLDER...` takes each folder (or each folder in it) that holds two or
more pictures for a static bracket and fuses it twice, as 16-bit TIFF files and as users do: in
Display P3 with sRGB as the output's profile, and converted to sRGB before. It prints one JSON
object: the mean CIEDE2000 difference of the two fused pictures per bracket and over all, once with
the numbers of the files read as Display P3, so that many colours lie outside of sRGB and are
clipped (`vivid`), once with the colours of the files (`plain`). `--profile` takes another profile.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefuse import profiles
from mefuse.bench.colour import find_brackets, read_reduced
from mefuse.colour import converted
from mefuse.depth import to_depth
from mefuse.discover import find_sources
from mefuse.errors import MefuseError
from mefuse.frames import Metadata
from mefuse.fuse import fuse_files
from mefuse.metrics.delta_e import delta_e
from mefuse.read import read_frame
from mefuse.settings import FuseSettings
from mefuse.write import write_picture

Pixels = NDArray[Any]


def difference(
    frames: Sequence[Pixels], icc: bytes, folder: Path, *, model: str
) -> tuple[float, float]:
    """CIEDE2000 between the two routes to one fused picture in sRGB: mean and 99th percentile.

    Args:
        frames: (H, W, 3) uint16 each, in the profile `icc`.
        icc: a wide profile.
        folder: for files; what it holds is replaced.
        model: that fuses.
    """
    first = [converted(frame, source=icc, target=None) for frame in frames]
    after = _fused(frames, icc, folder, model)
    before = _fused(first, None, folder, model)
    found = delta_e(after, before)
    return float(found.mean()), float(np.quantile(found, 0.99))


def _fused(frames: Sequence[Pixels], icc: bytes | None, folder: Path, model: str) -> Pixels:
    """The bracket fused from files into a file in sRGB, and read again."""
    paths = []
    for number, pixels in enumerate(frames):
        paths.append(folder / f"{number}.tif")
        write_picture(
            pixels, paths[-1], format="tiff", quality=95, metadata=Metadata(icc=icc),
            overwrite=True, compression="none",
        )  # fmt: skip
    output = folder / "fused.tif"
    settings = FuseSettings(
        model=model, align=False, crop=False, depth=16, overwrite=True, output_profile="srgb"
    )
    fuse_files(paths, output, settings=settings)
    return read_frame(*find_sources([output])).pixels


def measure(paths: Sequence[Path], icc: bytes, *, model: str) -> dict[str, dict[str, float]]:
    """Both kinds of one bracket."""
    frames = [to_depth(frame, 16) for frame in read_reduced(paths)]
    kinds = {
        "vivid": frames,
        "plain": [converted(frame, source=None, target=icc) for frame in frames],
    }
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, pixels in kinds.items():
            mean, worst = difference(pixels, icc, Path(folder), model=model)
            found[kind] = {"mean": round(mean, 3), "p99": round(worst, 2)}
    return found


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.wide", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="ipl")
    parser.add_argument("--profile", choices=("p3", "adobe-rgb", "prophoto"), default="p3")
    given = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    failed: dict[str, str] = {}
    for name, paths in find_brackets(given.folders).items():
        try:
            found[name] = measure(paths, profiles.standard(given.profile), model=given.model)
        except MefuseError as error:
            failed[name] = str(error)
    result: dict[str, Any] = {"brackets": found, "left_out": failed}
    for kind in ("vivid", "plain") if found else ():
        means = [bracket[kind]["mean"] for bracket in found.values()]
        result[kind] = {
            "mean": round(float(np.mean(means)), 3),
            "worst": max(means),
            "above_half": sum(mean > 0.5 for mean in means),
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
