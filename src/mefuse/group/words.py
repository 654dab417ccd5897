"""Grouping's reasons in words: how a bracket was found, why a file is in none."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low

from mefuse.group.links import BREAK, is_flagged
from mefuse.group.segments import Run
from mefuse.group.shots import Shot

UNDECODABLE = "no exposure in its header, and no pixels that can be decoded"
_FEWEST_OF_A_BURST = 3


def how_found(
    frames: Sequence[Shot], stops: Sequence[float], *, longest_s: float | None, seen: bool
) -> str:
    """Gives in words what made these frames a bracket, and its exposures in EV."""
    middle = median_low(stops)
    evs = ", ".join(_signed(stop - middle) for stop in stops)
    if seen:
        return f"seen in the pixels, EXIF has no exposures: {evs} EV"
    if all(shot.bracketing.position is not None for shot in frames):
        how = "numbered as a series by the camera"
    elif all(is_flagged(shot) for shot in frames):
        how = "bracketing noted by the camera"
    elif len({shot.bias_ev for shot in frames}) == len(frames):
        how = "exposure compensation"
    else:
        how = "exposures"
    pause = "" if longest_s is None else f", pauses up to {longest_s:.2g} s"
    return f"{how}: {evs} EV{pause}"


def _signed(ev: float) -> str:
    """A step in EV, rounded to tenths, without a sign where it is 0."""
    text = f"{ev:+.1f}".removesuffix(".0")
    return "0" if text in ("+0", "-0") else text


def why_left_out(
    shots: Sequence[Shot], run: Run, brackets: Sequence[Sequence[int]], *, size: int | None
) -> list[tuple[int, str]]:
    """Gives the places of the shots in no bracket, each with the reason; `size` was asked for."""
    owner = {i: bracket for bracket in brackets for i in bracket}
    left = [i for i in range(len(shots)) if i not in owner]
    bursts = _bursts(run, left)
    reasons = []
    for i in left:
        twin = _repeated(run, i, owner)
        if twin is not None:
            reasons.append((i, f"repeats the exposure of {shots[twin].path.name}"))
        elif i in bursts:
            reasons.append((i, f"burst of {bursts[i]} frames with one exposure"))
        else:
            reasons.append((i, "single frame" if size is None else f"in no bracket of {size}"))
    return reasons


def _repeated(run: Run, i: int, owner: dict[int, Sequence[int]]) -> int | None:
    """The frame of a bracket right beside shot i that has the same exposure."""
    for neighbour, link in ((i - 1, i - 1), (i + 1, i)):
        if neighbour in owner and run.links[link] != BREAK:
            for twin in owner[neighbour]:
                if abs(run.stops[twin] - run.stops[i]) < run.tolerance.same_ev:
                    return twin
    return None


def _bursts(run: Run, left: Sequence[int]) -> dict[int, int]:
    """For each shot in a burst of equal exposures, the frames of that burst."""
    sizes: dict[int, int] = {}
    group: list[int] = []
    for i in [*left, None]:
        joins = (
            group
            and i is not None
            and i == group[-1] + 1
            and run.links[group[-1]] != BREAK
            and abs(run.stops[i] - run.stops[group[-1]]) < run.tolerance.same_ev
        )
        if group and not joins:
            if len(group) >= _FEWEST_OF_A_BURST:
                sizes |= dict.fromkeys(group, len(group))
            group = []
        if i is not None:
            group.append(i)
    return sizes
