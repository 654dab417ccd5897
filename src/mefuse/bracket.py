"""Puts frames together into a Bracket, in an order that depends on their pixels alone. A leaf.

Checks that frames fit together, leaves out those that show nothing, brings them to one depth,
decides which exposures to believe, sorts, and chooses the reference. It knows no file.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mefuse.errors import InputError
from mefuse.exposure import (
    Luma,
    camera_stops,
    contradicts,
    emptiness,
    estimate_evs,
    well_exposed_share,
)
from mefuse.frames import Bracket, EvSource, Frame


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A frame with its small gray picture and its place among the frames as given."""

    frame: Frame
    luma: Luma
    given: int

    @property
    def name(self) -> str:
        return str(self.frame.source.path)


def assemble(
    frames: Sequence[Frame], *, lumas: Sequence[Luma], reference: int | None = None
) -> Bracket:
    """Gives the bracket of these frames, darkest first.

    Frames that are all black or all white are left out. Without a `reference` the middle frame by
    exposure is taken; of two middle ones, the one with more well-exposed pixels.

    Args:
        frames: one or more, in any order.
        lumas: the small gray picture of each, from `exposure.luma_small`.
        reference: index into `frames`.

    Returns:
        A Bracket that does not depend on the order of `frames`. Exposures come from EXIF where
        every frame has them and the pixels do not contradict them, otherwise from the pixels.

    Raises:
        InputError: different sizes, an empty reference, or nothing but empty frames.
    """
    seen = [
        _Seen(frame, luma, i) for i, (frame, luma) in enumerate(zip(frames, lumas, strict=True))
    ]
    _check_sizes(seen, reference)
    seen, left_out = _without_empty(seen, reference)
    seen, promoted = _in_one_depth(seen)
    stops, ev_source = _stops(seen)
    order = _canonical_order(seen, stops)
    seen, stops = [seen[i] for i in order], [stops[i] for i in order]
    at = _reference_index(seen, reference)
    return Bracket(
        frames=tuple(s.frame for s in seen),
        reference=at,
        evs=tuple(s - stops[at] for s in stops),
        ev_source=ev_source,
        warnings=(*left_out, *promoted, *_repeats(seen)),
    )


def _check_sizes(seen: Sequence[_Seen], reference: int | None) -> None:
    """Refuses frames of another size than the reference's, or else than most frames have."""
    sizes = [one.frame.size for one in seen]
    expected = Counter(sizes).most_common(1)[0][0] if reference is None else sizes[reference]
    model = "the others are" if reference is None else "reference is"
    for one in seen:
        if one.frame.size != expected:
            height, width = one.frame.size
            turned = (width, height) == expected
            raise InputError(
                f"{one.name}: {width}x{height}, {model} {expected[1]}x{expected[0]}; "
                f"{'rotate' if turned else 'resize'} it or leave it out"
            )


def _without_empty(seen: list[_Seen], reference: int | None) -> tuple[list[_Seen], tuple[str, ...]]:
    """The frames that show something, and a warning for each that does not."""
    kept, warnings = [], []
    for one in seen:
        colour = emptiness(one.luma)
        if colour is None:
            kept.append(one)
        elif one.given == reference:
            raise InputError(f"{one.name}: all {colour}, it cannot be the reference; name another")
        else:
            warnings.append(f"{one.name}: all {colour}, left out")
    if not kept:
        raise InputError(
            f"{seen[0].name}: every frame of this bracket is all black or all white; "
            "give frames that show the scene"
        )
    return kept, tuple(sorted(warnings))


def _in_one_depth(seen: list[_Seen]) -> tuple[list[_Seen], tuple[str, ...]]:
    """Frames of 8 bits promoted where others have 16; 257 takes 255 to 65535."""
    if len({one.frame.pixels.dtype for one in seen}) == 1:
        return seen, ()
    shallow = [one for one in seen if one.frame.pixels.dtype == np.uint8]
    promoted = {one.given: np.multiply(one.frame.pixels, 257, dtype=np.uint16) for one in shallow}
    deep = [
        replace(one, frame=replace(one.frame, pixels=promoted[one.given]))
        if one.given in promoted
        else one
        for one in seen
    ]
    return deep, tuple(sorted(f"{one.name}: 8 bits among 16, promoted" for one in shallow))


def _stops(seen: Sequence[_Seen]) -> tuple[list[float], EvSource]:
    """Each frame's exposure in stops, from the camera if it can be believed."""
    recorded = camera_stops([one.frame.source.exposure for one in seen])
    evs = estimate_evs([one.luma for one in seen])
    if recorded is None or contradicts(recorded, evs):
        return evs, "pixels"
    return recorded, "exif"


def _canonical_order(seen: Sequence[_Seen], stops: Sequence[float]) -> list[int]:
    """Indices by exposure, then brightness, then the pixels themselves: never by name or place."""
    keys = [
        (s, float(np.mean(one.luma, dtype=np.float64))) for s, one in zip(stops, seen, strict=True)
    ]
    tied = Counter(keys)

    def key(i: int) -> tuple[tuple[float, float], str]:
        return keys[i], _digest(seen[i].frame) if tied[keys[i]] > 1 else ""

    return sorted(range(len(seen)), key=key)


def _digest(frame: Frame) -> str:
    pixels = np.ascontiguousarray(frame.pixels)
    return hashlib.sha1(pixels.data, usedforsecurity=False).hexdigest()


def _reference_index(seen: Sequence[_Seen], reference: int | None) -> int:
    """The reference's place in canonical order: the one asked for, or the best middle frame."""
    if reference is not None:
        return next(i for i, one in enumerate(seen) if one.given == reference)
    middle = {(len(seen) - 1) // 2, len(seen) // 2}
    return max(sorted(middle), key=lambda i: well_exposed_share(seen[i].luma))


def _repeats(seen: Sequence[_Seen]) -> tuple[str, ...]:
    """Names the files that were given more than once."""
    times = Counter(one.frame.source.path for one in seen if one.frame.source.path.name)
    return tuple(
        f"{path}: given {count} times, and counts as often"
        for path, count in times.items()
        if count > 1
    )
