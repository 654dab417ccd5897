"""Tells which share of branches the tests took, and exits 1 below the bar: `make coverage`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

_BAR = 0.95


def main(report: str) -> int:
    """Reads coverage.py's JSON."""
    told = json.loads(Path(report).read_text())
    totals = told["totals"]
    share = totals["covered_branches"] / totals["num_branches"]
    print(
        f"{totals['covered_branches']} of {totals['num_branches']} branches taken: {share:.1%}; "
        f"{totals['covered_lines'] / totals['num_statements']:.1%} of the lines"
    )
    return 0 if share >= _BAR else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
