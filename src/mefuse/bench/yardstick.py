"""The yardstick of `mefuse bench`: what a plain OpenCV script takes for the same bracket.

`python -m mefuse.bench.yardstick FRAME... -o OUT.png` reads, aligns with AlignMTB, fuses with
MergeMertens and writes a PNG, all with OpenCV's defaults, and prints seconds and memory as JSON. It
imports nothing of mefuse but the reading of its own peak memory.
"""

from __future__ import annotations

import argparse
import json
import time

import cv2
import numpy as np

from mefuse.memory import peak_memory_bytes


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.yardstick", description=__doc__)
    parser.add_argument("frames", nargs="+")
    parser.add_argument("-o", "--output", required=True)
    given = parser.parse_args()
    marks = [time.perf_counter()]
    frames = [np.asarray(cv2.imread(path)) for path in given.frames]
    marks.append(time.perf_counter())
    cv2.createAlignMTB().process(frames, frames)
    marks.append(time.perf_counter())
    blended = np.asarray(cv2.createMergeMertens().process(frames), np.float32)
    marks.append(time.perf_counter())
    cv2.imwrite(given.output, np.clip(blended * 255, 0, 255).astype(np.uint8))
    marks.append(time.perf_counter())
    steps = ("read", "align", "fuse", "write")
    seconds = {step: marks[i + 1] - marks[i] for i, step in enumerate(steps)}
    print(json.dumps({"seconds": seconds, "peak_memory_bytes": peak_memory_bytes()}))


if __name__ == "__main__":
    main()
