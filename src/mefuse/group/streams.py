"""Shots -> streams: what one camera took with one lens into one folder, in the order taken."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable
from pathlib import Path

from mefuse.group.files import natural_key
from mefuse.group.links import file_number
from mefuse.group.shots import Shot

# DCF folders of one card (100CANON, 101CANON): a bracket may start in one and end in the next.
_DCF_FOLDER = re.compile(r"[1-9]\d\d[0-9A-Za-z_]{5}", re.ASCII)
_LARGEST_FILE_NUMBER = 9999  # of DCF: then cameras start again at 1


def streams(shots: Iterable[Shot]) -> list[list[Shot]]:
    """Gives the shots sorted into streams, each in the order in which it was taken."""
    found: dict[Hashable, list[Shot]] = defaultdict(list)
    for shot in shots:
        found[_stream_key(shot)].append(shot)
    return [in_order(stream) for stream in found.values()]


def in_order(shots: Iterable[Shot]) -> list[Shot]:
    """Gives shots by time, then by the number in the name, which goes on at 0 after 9999."""
    shots = list(shots)
    numbers = {shot.path: file_number(shot) or 0 for shot in shots}
    values = numbers.values()
    if max(values, default=0) >= _LARGEST_FILE_NUMBER - 50 and min(values) <= 50:
        half = _LARGEST_FILE_NUMBER // 2
        numbers = {
            path: number + (_LARGEST_FILE_NUMBER if number <= half else 0)
            for path, number in numbers.items()
        }

    def key(shot: Shot) -> tuple[float, int, tuple[tuple[int, str], ...]]:
        if shot.taken_s is None:
            return 0.0, 0, natural_key(str(shot.path))
        return shot.taken_s, numbers[shot.path], natural_key(shot.path.name)

    return sorted(shots, key=key)


def folder_key(path: Path) -> Path:
    """The folder of a file, or of the card for a camera's own folders."""
    folder = path.parent
    return folder.parent if _DCF_FOLDER.fullmatch(folder.name) else folder


def _stream_key(shot: Shot) -> Hashable:
    return (
        folder_key(shot.path),
        shot.camera,
        # Two bodies of one model without serial numbers still name their files differently.
        shot.serial or _prefix(shot.path),
        shot.lens,
        shot.size,
        shot.is_raw,
        shot.taken_s is None,
        shot.exposure.exposure_time_s is None,
    )


def _prefix(path: Path) -> str:
    """What stands before the first digit of a name."""
    match = re.match(r"\D*", path.name)
    return match[0] if match else ""
