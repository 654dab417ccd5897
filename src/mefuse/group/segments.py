"""Cuts a run of exposures into brackets: the cut with the most evidence. Numbers only.

Every way to cut is weighed by dynamic programming, so that a choice at one place cannot spoil the
rest. It runs twice: the first run finds which patterns recur, the second prefers those, because who
brackets mostly brackets alike. That also decides where a period begins in a time-lapse, whose
pauses are all equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mefuse.group.ladder import MOST_FRAMES, Tolerance, ranks, repeat_bits, shape_bits
from mefuse.group.links import BREAK

Signature = tuple[tuple[int, ...], int]

_FIRST_RUN_BITS = 2.5  # mercy of the first run, which only counts what recurs
_RECURRING_BITS = 10.0  # for a pattern that all frames follow; in proportion for fewer
_ASKED_SIZE_BITS = 6.0


@dataclass(frozen=True, slots=True)
class Run:
    """Exposures of one camera in the order taken; `links` and `numbered` are between neighbours."""

    stops: Sequence[float]
    links: Sequence[float]  # bits for one bracket, BREAK against it
    tolerance: Tolerance
    flagged: Sequence[bool]  # the camera says that it bracketed
    numbered: Sequence[bool]  # the camera's own numbers say that these two belong together
    asked: Sequence[float | None]  # compensation in EV; None where unknown


@dataclass(frozen=True, slots=True)
class Segment:
    """One bracket: the places of its frames, and those of repeats that it does without."""

    frames: tuple[int, ...]
    repeats: tuple[int, ...]
    bits: float
    signature: Signature


def cut(runs: Sequence[Run], *, size: int | None = None) -> list[list[Segment]]:
    """Gives the brackets of several runs of one photographer, those of each run in order.

    Args:
        runs: what recurs is counted over all of them.
        size: frames of every bracket; None: any number from two up.
    """
    candidates = [list(_candidates(run, size)) for run in runs]
    found: Counter[Signature] = Counter()
    for run, segments in zip(runs, candidates, strict=True):
        chosen = _best(len(run.stops), segments, {}, extra_bits=_FIRST_RUN_BITS)
        for segment in chosen:
            found[segment.signature] += len(segment.frames)
    total = sum(len(run.stops) for run in runs)
    favoured = {
        signature: _RECURRING_BITS * frames / total
        for signature, frames in found.items()
        if frames >= 2 * len(signature[0])
    }
    return [
        _best(len(run.stops), segments, favoured, extra_bits=0.0)
        for run, segments in zip(runs, candidates, strict=True)
    ]


def _candidates(run: Run, size: int | None) -> Iterator[Segment]:
    """Every stretch of a run that could be a bracket."""
    for start in range(len(run.stops) - 1):
        kept, repeats, link_bits, free_repeats = [start], [], 0.0, 0
        for at in range(start + 1, min(start + 2 * MOST_FRAMES, len(run.stops))):
            link = run.links[at - 1]
            if link == BREAK or len(kept) == MOST_FRAMES:
                break
            link_bits += link
            equals = [k for k in kept if abs(run.stops[at] - run.stops[k]) < run.tolerance.same_ev]
            if equals:
                # An exposure comes again: taken twice in a row, or numbered as one series by the
                # camera (whose shortest time may be too long for the darkest frames).
                if equals[0] != kept[-1] and not run.numbered[at - 1]:
                    break
                repeats.append(at)
                free_repeats += run.numbered[at - 1]
                continue
            if _is_asked_again(run, kept, at):
                break
            kept.append(at)
            if size is not None and len(kept) > size:
                break
            if size is None or len(kept) == size:
                bits = link_bits + repeat_bits(len(repeats) - free_repeats)
                yield _segment(run, kept, repeats, bits + (_ASKED_SIZE_BITS if size else 0.0))


def _is_asked_again(run: Run, kept: Sequence[int], at: int) -> bool:
    """Whether a camera that changes its compensation is back at one that it had."""
    before = [run.asked[k] for k in kept]
    changes = len({None if ev is None else round(ev, 1) for ev in before}) == len(before) > 1
    now = run.asked[at]
    return (
        changes and now is not None and any(ev is not None and abs(ev - now) < 0.1 for ev in before)
    )


def _segment(run: Run, kept: Sequence[int], repeats: Sequence[int], bits: float) -> Segment:
    stops = [run.stops[i] for i in kept]
    is_flagged = all(run.flagged[i] for i in kept)
    bits += shape_bits(stops, run.tolerance, is_flagged=is_flagged)
    step = (max(stops) - min(stops)) / (len(stops) - 1)
    rounded = round(step / run.tolerance.signature_ev)
    return Segment(tuple(kept), tuple(repeats), bits, (ranks(stops), rounded))


def _best(
    count: int,
    candidates: Sequence[Segment],
    favoured: Mapping[Signature, float],
    *,
    extra_bits: float,
) -> list[Segment]:
    """The choice of segments that do not overlap with the most evidence in all."""
    ending: dict[int, list[Segment]] = {}
    for segment in candidates:
        ending.setdefault(segment.frames[-1] + 1, []).append(segment)
    bits = [0.0] * (count + 1)
    last: list[Segment | None] = [None] * (count + 1)
    for end in range(1, count + 1):
        bits[end] = bits[end - 1]
        for segment in ending.get(end, ()):
            value = segment.bits + favoured.get(segment.signature, 0.0) + extra_bits
            before = bits[segment.frames[0]]
            if value > 0 and before + value > bits[end]:
                bits[end], last[end] = before + value, segment
    chosen, end = [], count
    while end > 0:
        taken = last[end]
        if taken is None:
            end -= 1
        else:
            chosen.append(taken)
            end = taken.frames[0]
    return chosen[::-1]
