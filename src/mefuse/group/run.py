"""Files and folders -> a plan of brackets: the order of grouping's steps.

find files -> read headers -> leave out twins -> sort into streams -> weigh links -> cut -> name the
rest. Headers decide; only where they tell no exposure, pixels are looked at. Nothing is fused and
nothing is written.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mefuse.errors import InputError, ReadError
from mefuse.group import links, words
from mefuse.group.files import find_files, natural_key
from mefuse.group.ladder import FROM_EXIF, FROM_PIXELS
from mefuse.group.segments import Run, Segment, cut
from mefuse.group.shots import Shot, read_shots
from mefuse.group.streams import in_order, streams
from mefuse.group.twins import without_twins
from mefuse.plan import LeftOut, Plan, PlannedBracket
from mefuse.settings import GroupSettings

_NO_SETTINGS = GroupSettings()


@dataclass(frozen=True, slots=True)
class _Stream:
    """Shots in order, and what grouping makes of them."""

    shots: Sequence[Shot]
    run: Run
    from_pixels: bool


def find_brackets(
    paths: Sequence[str | Path],
    *,
    settings: GroupSettings = _NO_SETTINGS,
    on_unread: Callable[[LeftOut], None] | None = None,
) -> Plan:
    """Finds the brackets in files and folders.

    Args:
        paths: files, and folders that hold pictures.
        settings: what decides which files become which brackets.
        on_unread: told of every file that is left out because it cannot be read.

    Returns:
        A plan with every file that was found: in a bracket, or left out with the reason.

    Raises:
        ReadError: a path is not there or a folder cannot be read. A file that cannot be read is
            left out and named instead.
        InputError: there are no pictures, or a setting makes no sense.
    """
    _check(settings)
    files = find_files([Path(path) for path in paths], recursive=settings.recursive)
    shots, left_out = _readable(files)
    if on_unread is not None:
        for left in left_out:
            on_unread(left)
    shots, twins = without_twins(shots, prefer=settings.prefer)
    left_out += twins
    if settings.by_folder:
        brackets, rest = _by_folder(shots)
    else:
        brackets, rest = _by_exposure(shots, settings)
    keys = {shot.path: (natural_key(str(shot.path.parent)), shot.taken_s or 0.0) for shot in shots}
    brackets.sort(key=lambda b: (*keys[b.frames[0]], natural_key(b.frames[0].name)))
    place = {path: i for i, path in enumerate(files)}
    return Plan(tuple(brackets), tuple(sorted(left_out + rest, key=lambda one: place[one.path])))


def _check(settings: GroupSettings) -> None:
    if settings.size is not None and settings.size < 2:
        raise InputError(f"size {settings.size}: a bracket has at least 2 frames")
    if settings.gap_s is not None and not 0 <= settings.gap_s < math.inf:
        raise InputError(f"gap {settings.gap_s}: give seconds, 0 or more")


def _readable(files: Sequence[Path]) -> tuple[list[Shot], list[LeftOut]]:
    shots, left_out = [], []
    for path, read in zip(files, read_shots(files), strict=True):
        if isinstance(read, ReadError):
            left_out.append(LeftOut(path, str(read)))
        else:
            shots.append(read)
    return shots, left_out


def _by_folder(shots: Iterable[Shot]) -> tuple[list[PlannedBracket], list[LeftOut]]:
    """Every folder one bracket, whatever its exposures."""
    folders: dict[Path, list[Shot]] = defaultdict(list)
    for shot in shots:
        folders[shot.path.parent].append(shot)
    brackets, rest = [], []
    for inside in folders.values():
        paths = tuple(shot.path for shot in in_order(inside))
        if len(paths) == 1:
            rest.append(LeftOut(paths[0], "alone in its folder"))
        else:
            brackets.append(PlannedBracket(paths, reason="all frames of its folder"))
    return brackets, rest


def _by_exposure(
    shots: Sequence[Shot], settings: GroupSettings
) -> tuple[list[PlannedBracket], list[LeftOut]]:
    """Brackets by what headers or pixels tell, camera by camera."""
    known: list[Shot] = []
    unknown: list[Shot] = []
    for shot in _with_raw_exposures(shots):
        (unknown if shot.exposure.stops is None else known).append(shot)
    found = [_measured(stream, settings) for stream in streams(known)]
    seen, unreadable = _seen(streams(unknown), settings)
    brackets, rest = [], list(unreadable)
    for camera in _by_camera(found + seen):
        for stream, segments in zip(
            camera, cut([stream.run for stream in camera], size=settings.size), strict=True
        ):
            some, others = _named(stream, segments, size=settings.size)
            brackets += some
            rest += others
    return brackets, rest


def _with_raw_exposures(shots: Iterable[Shot]) -> list[Shot]:
    """The shots; raw files whose headers are unknown here are asked through LibRaw."""
    if not any(shot.is_raw and shot.exposure.stops is None for shot in shots):
        return list(shots)
    from mefuse.group.pixels import with_raw_exposure

    return [
        with_raw_exposure(shot) if shot.is_raw and shot.exposure.stops is None else shot
        for shot in shots
    ]


def _by_camera(found: Iterable[_Stream]) -> list[list[_Stream]]:
    """Streams of one camera together, since habits belong to who holds it."""
    cameras: dict[tuple[str, bool], list[_Stream]] = defaultdict(list)
    for stream in found:
        cameras[stream.shots[0].camera, stream.from_pixels].append(stream)
    return list(cameras.values())


def _measured(shots: Sequence[Shot], settings: GroupSettings) -> _Stream:
    """A stream with exposures from EXIF."""
    stops = [shot.exposure.stops or 0.0 for shot in shots]
    numbered = [
        a.bracketing.position is not None and b.bracketing.position == a.bracketing.position + 1
        for a, b in itertools.pairwise(shots)
    ]
    run = Run(
        stops,
        links.link_bits(shots, gap_s=settings.gap_s),
        FROM_EXIF,
        [links.is_flagged(shot) for shot in shots],
        numbered,
        [links.asked_ev(shot) for shot in shots],
    )
    return _Stream(shots, run, from_pixels=False)


def _seen(
    found: Sequence[Sequence[Shot]], settings: GroupSettings
) -> tuple[list[_Stream], list[LeftOut]]:
    """Streams with exposures from the pixels, and the files that cannot be decoded."""
    if not found:
        return [], []
    from mefuse.group import pixels

    seen, unreadable = [], []
    for stream in found:
        lumas, shots = [], []
        for shot, luma in zip(stream, pixels.read_lumas(stream), strict=True):
            if luma is None:
                unreadable.append(LeftOut(shot.path, words.UNDECODABLE))
            else:
                lumas.append(luma)
                shots.append(shot)
        if shots:
            bits = _within_gaps(pixels.link_bits(lumas), shots, settings)
            nothing = [False] * len(shots)
            unknown = [None] * len(shots)
            stops = pixels.relative_stops(lumas)
            run = Run(stops, bits, FROM_PIXELS, nothing, nothing, unknown)
            seen.append(_Stream(shots, run, from_pixels=True))
    return seen, unreadable


def _within_gaps(
    bits: Sequence[float], shots: Sequence[Shot], settings: GroupSettings
) -> list[float]:
    """Links, broken where the clock, if there is one, shows a long pause."""
    longest = links.LONGEST_GAP_S if settings.gap_s is None else settings.gap_s
    return [
        links.BREAK if gap is not None and gap.least_s > longest else link
        for link, gap in zip(bits, links.pauses(shots), strict=True)
    ]


def _named(
    stream: _Stream, segments: Sequence[Segment], *, size: int | None
) -> tuple[list[PlannedBracket], list[LeftOut]]:
    """Brackets with how they were found, and the rest with why it is in none."""
    brackets = []
    for segment in segments:
        frames = [stream.shots[i] for i in segment.frames]
        evs = [stream.run.stops[i] for i in segment.frames]
        reason = words.how_found(
            frames, evs, longest_s=_longest_pause(stream.shots, segment), seen=stream.from_pixels
        )
        brackets.append(PlannedBracket(tuple(shot.path for shot in frames), reason=reason))
    taken = [segment.frames for segment in segments]
    rest = words.why_left_out(stream.shots, stream.run, taken, size=size)
    return brackets, [LeftOut(stream.shots[i].path, reason) for i, reason in rest]


def _longest_pause(shots: Sequence[Shot], segment: Segment) -> float | None:
    gaps = links.pauses(shots[segment.frames[0] : segment.frames[-1] + 1])
    known = [gap.least_s for gap in gaps if gap is not None]
    return max(known, default=None) if len(known) == len(gaps) else None
