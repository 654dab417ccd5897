"""What a bracket takes in a process that has fused before, as in a batch.

`python -m mefuse.bench.warm FRAME... -o OUT --runs N` loads the model once, fuses the bracket N
times through the pipeline, and prints the report of each run as one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from mefuse.device import peak_device_bytes
from mefuse.fuse import Fusion, load_model
from mefuse.memory import keep_freed
from mefuse.report import FuseReport
from mefuse.settings import FuseSettings


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.warm", description=__doc__)
    parser.add_argument("frames", nargs="+")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", default="ipl")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    keep_freed()  # as the commands do
    settings = FuseSettings(model=given.model, device=given.device, overwrite=True)
    fuser = load_model(settings)
    for _ in range(given.runs):
        fusion = Fusion(given.frames, given.output, settings=settings)
        fusion.read()
        fusion.align()
        fusion.fuse(lambda: fuser)
        fusion.write()
        print(json.dumps(_told(fusion.report())), flush=True)


def _told(report: FuseReport) -> dict[str, Any]:
    """The report, with the time of every slice and what a GPU held at most."""
    return {
        **report.to_json(timeline=True),
        "device_peak_bytes": peak_device_bytes(report.device),
    }


if __name__ == "__main__":
    main()
