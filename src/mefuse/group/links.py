"""What speaks for and against two neighbouring shots being of one bracket: time, camera, intent.

Evidence in bits, as in ladder.py. It knows no files: shots come in the order in which they were
taken.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from mefuse.group.shots import Shot

BREAK = -math.inf

LONGEST_GAP_S = 60.0
# Evidence by the pause between the end of one exposure and the start of the next, up to so long.
_GAP_BITS = ((1.0, 3.0), (3.0, 2.0), (10.0, 0.5), (30.0, 0.0), (LONGEST_GAP_S, -1.0))
# A pause that stands out among its neighbours: that of the walk to the next room.
_PAUSE_S, _FINE_PAUSE_S = 1.5, 0.4  # added to pauses: for clocks of whole seconds, and finer ones
_BREAK_GAP_S, _BREAK_RATIO, _NOTABLE_RATIO = 8.0, 3.0, 1.5
_UNKNOWN_GAP_BITS, _NEXT_NAME_BITS = -1.0, 1.5
_LONG_EXPOSURE_S = 1.0  # from here on cameras take a dark frame, as long again

_FLAGGED_BITS, _BIAS_BITS, _MANUAL_BITS = 3.0, 4.0, 1.0
_AUTOMATIC_BITS, _UNKNOWN_MODE_BITS = -2.5, -0.5  # exposure changed because the light did
_NUMBERED_BITS, _NUMBER_LEFT_OUT_BITS = 6.0, 1.0
_APERTURE_BITS, _ISO_BITS = -3.0, -1.5
_FOCAL_TOLERANCE = 0.02
_BIAS_EV, _BIAS_TOLERANCE_EV = 0.25, 0.75
_OTHER_LIGHT_EV, _OTHER_LIGHT_BITS = 1.2, -5.0  # more or less than asked: metered anew elsewhere


@dataclass(frozen=True, slots=True)
class Pause:
    """The time between two exposures, in seconds: from the end of one to the start of the next.

    `least_s` is what it was at least. Clocks that resolve a second only are given the benefit of
    it; after a long exposure the time of a dark frame of the same length is no pause, nor is the
    time of the next exposure where a camera's clock notes its end.
    """

    least_s: float
    most_s: float


def pauses(shots: Sequence[Shot]) -> list[Pause | None]:
    """Gives the pause between each shot and the next; None where a time is missing."""
    return [_pause(one, other) for one, other in itertools.pairwise(shots)]


def _pause(one: Shot, other: Shot) -> Pause | None:
    if one.taken_s is None or other.taken_s is None:
        return None
    lasting = one.exposure.exposure_time_s or 0.0
    next_lasting = other.exposure.exposure_time_s or 0.0
    most_s = max(0.0, other.taken_s - one.taken_s - lasting)
    clock_s = max(one.clock_s, other.clock_s)
    pause = max(0.0, most_s - (clock_s if clock_s >= 1 else 0.0))
    busy = sum(t for t in (lasting, next_lasting) if t >= _LONG_EXPOSURE_S)
    return Pause(pause if pause <= _PAUSE_S else max(_PAUSE_S, pause - busy), most_s)


def link_bits(shots: Sequence[Shot], *, gap_s: float | None = None) -> list[float]:
    """Gives the evidence for each shot and the next being of one bracket; BREAK forbids it.

    Args:
        shots: of one camera, in the order taken, exposures known.
        gap_s: the longest pause that a bracket may have; then the length of a pause within it
            says nothing. None: judged from the pauses.
    """
    gaps = pauses(shots)
    bits = []
    for i, (one, other) in enumerate(itertools.pairwise(shots)):
        numbers = _number_bits(one, other)
        if numbers == BREAK or not _fits(one, other):
            bits.append(BREAK)
        elif gap_s is not None:
            gap = gaps[i]
            within = gap is None or gap.least_s <= gap_s
            bits.append(numbers + _intent_bits(one, other) + 1.0 if within else BREAK)
        else:
            time = _gap_bits(gaps, i, one, other)
            bits.append(numbers + _intent_bits(one, other) + time)
    return bits


def is_flagged(shot: Shot) -> bool:
    """Tells whether the camera says that it was bracketing."""
    return shot.bracketing.is_on or shot.mode == "bracket"


def _fits(one: Shot, other: Shot) -> bool:
    """Whether the zoom stood still and the camera did not change between bracketing and not."""
    if one.focal_mm and other.focal_mm:
        ratio = one.focal_mm / other.focal_mm
        if abs(ratio - 1) > _FOCAL_TOLERANCE:
            return False
    return is_flagged(one) == is_flagged(other)


def _number_bits(one: Shot, other: Shot) -> float:
    """Evidence of the numbers in a series that some cameras note."""
    before, after = one.bracketing.position, other.bracketing.position
    if before is None or after is None:
        return 0.0
    if after <= before or before == one.bracketing.length:
        return BREAK
    return _NUMBERED_BITS if after == before + 1 else _NUMBER_LEFT_OUT_BITS


def _gap_bits(gaps: Sequence[Pause | None], i: int, one: Shot, other: Shot) -> float:
    """Evidence of the pause after shot i, by itself and beside those before and after it."""
    gap = gaps[i]
    if gap is None:
        return _NEXT_NAME_BITS if _is_next_name(one, other) else _UNKNOWN_GAP_BITS
    bits = next((bits for longest, bits in _GAP_BITS if gap.least_s <= longest), BREAK)
    near = (gaps[j] for j in (i - 1, i + 1) if 0 <= j < len(gaps))
    beside = [other_gap.most_s for other_gap in near if other_gap is not None]
    if not beside:
        return bits
    if gap.least_s > _BREAK_GAP_S and _ratio(gap, beside, _PAUSE_S) >= _BREAK_RATIO:
        return BREAK
    ratio = _ratio(gap, beside, _PAUSE_S if max(one.clock_s, other.clock_s) >= 1 else _FINE_PAUSE_S)
    return bits - 2 * math.log2(ratio) if ratio > _NOTABLE_RATIO else bits


def _ratio(gap: Pause, beside: Sequence[float], floor_s: float) -> float:
    """How much longer a pause is than the shorter one beside it; both a little longer."""
    return (gap.least_s + floor_s) / (min(beside) + floor_s)


def _is_next_name(one: Shot, other: Shot) -> bool:
    """Whether the numbers in two file names follow each other."""
    numbers = [file_number(shot) for shot in (one, other)]
    return numbers[0] is not None and numbers[1] is not None and numbers[1] - numbers[0] == 1


def file_number(shot: Shot) -> int | None:
    """The last number in a file's name."""
    digits = "".join(c if c.isascii() and c.isdigit() else " " for c in shot.path.stem).split()
    return int(digits[-1]) if digits else None


def _intent_bits(one: Shot, other: Shot) -> float:
    """Evidence that the photographer, not the light, changed the exposure."""
    bits = 0.0
    if one.exposure.f_number and other.exposure.f_number:
        same = abs(math.log2(one.exposure.f_number / other.exposure.f_number)) < 0.1
        bits += 0.0 if same else _APERTURE_BITS
    if one.exposure.iso and other.exposure.iso:
        bits += 0.0 if one.exposure.iso == other.exposure.iso else _ISO_BITS
    unasked = _unasked_ev(one, other)
    if unasked is not None and unasked > _OTHER_LIGHT_EV:
        return bits + _OTHER_LIGHT_BITS
    if is_flagged(one) and is_flagged(other):
        return max(bits, -1.5) + _FLAGGED_BITS
    if unasked is not None and unasked <= _BIAS_TOLERANCE_EV:
        return max(bits, -1.5) + _BIAS_BITS
    modes = {one.mode, other.mode}
    if modes == {"manual"}:
        return bits + _MANUAL_BITS
    return bits + (_UNKNOWN_MODE_BITS if None in modes else _AUTOMATIC_BITS)


def asked_ev(shot: Shot) -> float | None:
    """The compensation that the camera was asked for, or that it chose for its bracket."""
    noted = shot.bracketing.offset_ev
    return shot.bias_ev if noted is None else noted


def _unasked_ev(one: Shot, other: Shot) -> float | None:
    """How far the exposure changed beyond the compensation; None where that did not change."""
    asked, other_asked = asked_ev(one), asked_ev(other)
    stops, other_stops = one.exposure.stops, other.exposure.stops
    if asked is None or other_asked is None or stops is None or other_stops is None:
        return None
    change = other_asked - asked
    return abs(other_stops - stops - change) if abs(change) >= _BIAS_EV else None
