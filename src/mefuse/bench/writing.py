"""Whether writing takes longer than fusing: every format at its default settings, at 4K.

`python -m mefuse.bench.writing [FRAME...]` fuses a bracket (without FRAMEs the built-in room of
3840x2160, three frames) as it lies, writes the fused picture into every format that can be written
here, in one process, and prints one JSON object: seconds of fusing at 8 and 16 bits and of writing
per format and depth, wall clock and processor time, each the least of the repeats, and the ratio to
the fusing of as many bits.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefuse import profiles
from mefuse.bench.enlarged import write_bracket
from mefuse.discover import find_sources
from mefuse.errors import FormatError
from mefuse.frames import Metadata
from mefuse.fuse import fuse_pixels
from mefuse.read import read_bracket
from mefuse.settings import FuseSettings
from mefuse.write import FORMATS, OutputFormat, resolve_format, write_picture

Pixels = NDArray[Any]

HEIGHT, WIDTH, COUNT = 2160, 3840, 3


def cases() -> dict[str, OutputFormat]:
    """What can be written here: every format at its default depth, and at its deepest."""
    found: dict[str, OutputFormat] = {}
    for form in FORMATS.values():
        name = f"a.{form.extensions[0]}"
        for deep in (False, True):
            try:
                made = resolve_format(name, format=None, depth=None, source_is_16_bit=deep)
            except FormatError:
                continue
            found[f"{form.title}, {made.depth} bits"] = made
    return found


def least(work: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Seconds of wall clock and of all processors that some work takes, the least of its runs."""
    wall, busy = [], []
    for _ in range(repeats):
        clock, processor = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - clock)
        busy.append(time.process_time() - processor)
    return {"wall_s": round(min(wall), 3), "processor_s": round(min(busy), 3)}


def measure(
    frames: Sequence[Pixels], folder: Path, *, model: str, repeats: int
) -> tuple[dict[int, dict[str, float]], dict[str, dict[str, float]]]:
    """The least seconds of fusing per depth, and of writing per case with its ratios."""
    fused: dict[int, Pixels] = {}
    fusing: dict[int, dict[str, float]] = {}
    for bits in (8, 16):
        settings = FuseSettings(model=model, align=False, crop=False, depth=bits)
        fused[bits] = fuse_pixels(frames, settings=settings)  # loads and warms up
        fusing[bits] = least(partial(fuse_pixels, frames, settings=settings), repeats)
    writing: dict[str, dict[str, float]] = {}
    for name, form in cases().items():
        bits = 8 if form.depth == 8 else 16
        target = folder / f"fused.{form.name}"
        took = least(partial(_write, fused[bits], target, form), repeats)
        took |= {
            f"ratio_{clock}": round(took[f"{clock}_s"] / fusing[bits][f"{clock}_s"], 2)
            for clock in ("wall", "processor")
        }
        writing[name] = took | {"bytes": float(target.stat().st_size)}
    return fusing, writing


def _write(pixels: Pixels, target: Path, form: OutputFormat) -> None:
    """As `mefuse fuse` writes by default."""
    defaults = FuseSettings()
    write_picture(
        pixels, target, format=form.name, quality=defaults.quality,
        compression=defaults.compression, bits=form.depth,
        metadata=Metadata(icc=profiles.standard("srgb")), overwrite=True,
    )  # fmt: skip


def _frames(paths: Sequence[Path]) -> list[Pixels]:
    return [np.asarray(frame.pixels) for frame in read_bracket(find_sources(paths)).frames]


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.writing", description=__doc__)
    parser.add_argument("frames", type=Path, nargs="*")
    parser.add_argument("--model", default="ipl")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = given.frames or write_bracket(
            folder / "frames", height=HEIGHT, width=WIDTH, count=COUNT, format="jpg"
        )
        fusing, writing = measure(_frames(paths), folder, model=given.model, repeats=given.repeats)
    result = {
        "fusing": fusing,
        "writing": writing,
        "slower_than_the_fuse": [
            case for case, took in writing.items() if took["ratio_processor"] > 1
        ],
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
