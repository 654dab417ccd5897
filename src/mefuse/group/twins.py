"""Files that show an exposure which another file shows too: RAW+JPEG pairs, copies, own outputs.

They are taken out before anything is grouped, so that no exposure counts twice.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

from mefuse.group.shots import Shot
from mefuse.plan import LeftOut
from mefuse.settings import Prefer

# What mefuse writes into its outputs; the frames that it makes itself say "mefuse sample".
_OWN_SOFTWARE = re.compile(r"mefuse( \d|$)")
_SAME_TIME_S = 2.0  # the two files of a pair may be stamped when they are written


def without_twins(shots: Sequence[Shot], *, prefer: Prefer) -> tuple[list[Shot], list[LeftOut]]:
    """Gives the shots that count, and the others with the reason why they do not.

    Of a raw file and a picture of the same exposure the preferred kind stays. They are a pair when
    they lie in one folder and are called alike, or lie in two (a card for each kind), are called
    alike and agree in camera, time and exposure.
    """
    out: dict[Path, str] = {}
    for shot in shots:
        if _OWN_SOFTWARE.match(shot.software):
            out[shot.path] = "was fused by mefuse"
    for key in (_by_folder, _by_exposure):
        kept = [shot for shot in shots if shot.path not in out]
        out |= _pair_mates(kept, key, prefer=prefer)
    out |= _copies([shot for shot in shots if shot.path not in out])
    kept = [shot for shot in shots if shot.path not in out]
    return kept, [LeftOut(shot.path, out[shot.path]) for shot in shots if shot.path in out]


def _by_folder(shot: Shot) -> Hashable:
    return shot.path.parent, shot.path.stem.lower()


def _by_exposure(shot: Shot) -> Hashable:
    if shot.taken_s is None or shot.exposure.exposure_time_s is None:
        return shot.path
    return shot.path.stem.lower(), shot.camera, shot.taken_s, shot.exposure.exposure_time_s


def _pair_mates(
    shots: Sequence[Shot], key: Callable[[Shot], Hashable], *, prefer: Prefer
) -> dict[Path, str]:
    """What is left out because its mate is used."""
    out: dict[Path, str] = {}
    for group in _grouped(shots, key):
        kinds = [[s for s in group if s.is_raw], [s for s in group if not s.is_raw]]
        if not all(kinds):
            continue
        used, unused = kinds if prefer == "raw" else reversed(kinds)
        for shot in unused:
            if _may_be_one_exposure(shot, used[0]):
                out[shot.path] = f"the same exposure as {used[0].path.name}, which is used"
    return out


def _may_be_one_exposure(one: Shot, other: Shot) -> bool:
    """False where camera or time contradict; raw formats without EXIF contradict nothing."""
    if one.taken_s is not None and other.taken_s is not None:
        return abs(one.taken_s - other.taken_s) <= _SAME_TIME_S
    return True


def _copies(shots: Sequence[Shot]) -> dict[Path, str]:
    """Edited versions and copies: one time, one exposure, and another's name with something added.

    A burst on a clock of whole seconds has equal times too, but its names are numbered.
    """
    out: dict[Path, str] = {}
    for group in _grouped((s for s in shots if s.taken_s is not None), _by_moment):
        originals: dict[str, Shot] = {}
        for shot in sorted(group, key=lambda s: (len(s.path.stem), s.path.name)):
            stem = shot.path.stem.lower()
            # Whole names first, then what is left when something that is no digit is cut off.
            starts = [stem, *(stem[:i] for i in range(len(stem)) if not stem[i].isdigit())]
            original = next((originals[start] for start in starts if start in originals), None)
            if original is None:
                originals[stem] = shot
            else:
                out[shot.path] = f"a copy or another version of {original.path.name}"
    return out


def _by_moment(shot: Shot) -> Hashable:
    return shot.path.parent, shot.camera, shot.taken_s, shot.exposure


def _grouped(shots: Iterable[Shot], key: Callable[[Shot], Hashable]) -> list[list[Shot]]:
    """Shots with equal keys together, where there are at least two."""
    groups: dict[Hashable, list[Shot]] = defaultdict(list)
    for shot in shots:
        groups[key(shot)].append(shot)
    return [group for group in groups.values() if len(group) > 1]
