"""Draws docs/cost.svg: what a megapixel costs, over the size of the picture.

`python docs/make_cost.py BENCH.jsonl... OUT.svg` takes what `mefuse bench --json` printed; of every
size the three-frame bracket, in a process that has fused before. A line that `mefuse fuse --json`
printed goes as well, for sizes that take too long to be fused often. "slices" is glimpse, decode
and blend: of large TIFFs the last is done while the picture is written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from math import log10
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 320, 70, 50, 30
MEGAPIXELS = (1.0, 2000.0)
STEPS = {"total": "#1b6ca8", "slices": "#d1495b"}
SLICES = ("glimpse", "decode", "blend")


def read_costs(paths: list[str]) -> dict[str, list[tuple[float, float]]]:
    """Per step, (megapixels, milliseconds of a megapixel), by size."""
    found: dict[str, list[tuple[float, float]]] = {step: [] for step in STEPS}
    for path in paths:
        for line in Path(path).read_text().splitlines():
            for step, megapixels, seconds in _costs_in(json.loads(line)):
                found[step].append((megapixels, 1000 * seconds / megapixels))
    return {step: sorted(points) for step, points in found.items()}


def _costs_in(record: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Step, megapixels and seconds, of a bracket of three frames; nothing of other lines."""
    frames = record.get("frames")
    if "warm" in record and frames == 3:
        seconds = {step: told["median"] for step, told in record["warm"]["seconds"].items()}
        size = record
    elif isinstance(frames, list) and len(frames) == 3:
        seconds, size = record["seconds"], record["size"]
    else:
        return
    megapixels = size["height"] * size["width"] / 1e6
    yield "total", megapixels, seconds["total"]
    if all(step in seconds for step in SLICES):
        yield "slices", megapixels, sum(seconds[step] for step in SLICES)


def draw(costs: dict[str, list[tuple[float, float]]]) -> str:
    """The plot: sizes on a logarithmic axis, costs on a linear one from 0."""
    most = 1.2 * max((cost for points in costs.values() for _, cost in points), default=1.0)
    low, high = map(log10, MEGAPIXELS)

    def place(megapixels: float, cost: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - 20) * (log10(megapixels) - low) / (high - low)
        return round(x, 1), round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * cost / most, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for megapixels in (2, 8, 33, 100, 250, 1000):
        x, y = place(megapixels, 0)
        parts.append(f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{y + 18}" text-anchor="middle">{megapixels}</text>')
    for share in range(5):
        x, y = place(MEGAPIXELS[0], most * share / 4)
        parts.append(f'<line x1="{x}" y1="{y}" x2="{WIDTH - 20}" y2="{y}" stroke="#ddd"/>')
        label = f"{most * share / 4:.0f}"
        parts.append(f'<text x="{x - 6}" y="{y + 4}" text-anchor="end">{label}</text>')
    for number, (step, points) in enumerate(costs.items()):
        line = " ".join("{},{}".format(*place(*point)) for point in points)
        colour = STEPS[step]
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in points:
            x, y = place(*point)
            parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + 20 + 90 * number}" y="20" fill="{colour}">{step}</text>')
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">megapixels of a frame</text>'
        f'<text x="16" y="{HEIGHT / 2}" transform="rotate(-90 16 {HEIGHT / 2})" '
        'text-anchor="middle">ms per megapixel, three frames</text></svg>'
    )
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    *sources, target = sys.argv[1:]
    Path(target).write_text(draw(read_costs(sources)))
