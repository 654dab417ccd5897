"""Many brackets' scores in a few numbers per method: means, and what they are beside OpenCV's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from statistics import fmean

from mefuse.evaluate.scores import Scores

Table = Sequence[Mapping[str, Scores]]  # per bracket: method -> scores

YARDSTICK = "mertens"  # the method that others are compared with, where it was measured
MEASURES = tuple(field.name for field in fields(Scores))


def summarise(table: Table) -> dict[str, dict[str, float | None]]:
    """Per method the mean of each measure, and how it stands beside mertens.

    A mean is None where nothing was measured. Beside mertens, where that is in the table:

    - `loss_ratio`, `loss_ratio_mef_ssimc`: mean(1 - S) over mertens's, below 1 is better;
    - `worst_difference`: the smallest S - S of mertens over all brackets;
    - `share_not_below`, `share_not_below_mef_ssimc`: of brackets that score mertens's or more;
    - `ghost_gap_closed`: of what motion costs mertens in MEF-SSIM, how much the method wins back.
    """
    names = list(table[0]) if table else []
    return {
        name: {
            "brackets": len(table),
            **{measure: _mean(_column(table, name, measure)) for measure in MEASURES},
            **(_beside(table, name) if YARDSTICK in names else {}),
        }
        for name in names
    }


def _column(table: Table, method: str, measure: str) -> list[float | None]:
    return [getattr(row[method], measure) for row in table]


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean of what was measured."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _beside(table: Table, method: str) -> dict[str, float | None]:
    """One method beside mertens."""
    found: dict[str, float | None] = {}
    for measure, suffix in (("mef_ssim", ""), ("mef_ssimc", "_mef_ssimc")):
        ours = [getattr(row[method], measure) for row in table]
        theirs = [getattr(row[YARDSTICK], measure) for row in table]
        lost = fmean(1 - value for value in theirs)
        found["loss_ratio" + suffix] = fmean(1 - value for value in ours) / lost if lost else None
        found["share_not_below" + suffix] = fmean(
            one >= other for one, other in zip(ours, theirs, strict=True)
        )
    found["worst_difference"] = min(row[method].mef_ssim - row[YARDSTICK].mef_ssim for row in table)
    found["ghost_gap_closed"] = _gap_closed(table, method)
    return found


def _gap_closed(table: Table, method: str) -> float | None:
    """(S - S of mertens) / (S of mertens without motion - S of mertens), of the means."""
    gains, gaps = [], []
    for row in table:
        still = row[YARDSTICK].mef_ssim_still
        if still is not None:
            gains.append(row[method].mef_ssim - row[YARDSTICK].mef_ssim)
            gaps.append(still - row[YARDSTICK].mef_ssim)
    return fmean(gains) / fmean(gaps) if gaps and fmean(gaps) > 0 else None
