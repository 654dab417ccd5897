"""One file as grouping sees it: when, with what and how it was exposed. Reads headers only.

Thousands of files have to take seconds, so a header is read once, no picture library is loaded, and
files are opened by several threads, of which most wait for the disk.
"""

from __future__ import annotations

import calendar
import re
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from mefuse import containers, exif
from mefuse.discover import is_raw
from mefuse.errors import ReadError
from mefuse.frames import Exposure
from mefuse.makernotes import Bracketing, read_bracketing, read_canon_directory

Mode = Literal["auto", "manual", "bracket"]

_MAKE, _MODEL, _SOFTWARE = 0x010F, 0x0110, 0x0131
_WIDTHS_HEIGHTS = ((0xA002, 0xA003), (0x0100, 0x0101))
_PROGRAM, _BIAS, _FOCAL_LENGTH, _EXPOSURE_MODE = 0x8822, 0x9204, 0x920A, 0xA402
_SERIAL, _LENS = 0xA431, 0xA434
# Date, fraction of a second, offset from UTC: of the exposure, else of digitising (the same for
# cameras), else of the last change.
_DATES = ((0x9003, 0x9291, 0x9011), (0x9004, 0x9292, 0x9012), (0x0132, 0x9290, 0x9010))
_DATE = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)", re.ASCII)
_NO_EXPOSURE, _NO_BRACKETING = Exposure(), Bracketing()
_THREADS = 8
_BUFFER_BYTES = 1 << 16  # holds all metadata of most files, thumbnail included


@dataclass(frozen=True, slots=True)
class Shot:
    """What the header of one picture file says; None or "" where it says nothing."""

    path: Path
    is_raw: bool = False
    size: tuple[int, int] | None = None  # (height, width), upright
    exposure: Exposure = _NO_EXPOSURE
    taken_s: float | None = None  # start of the exposure, seconds since 1970; UTC where told
    clock_s: float = 1.0  # what the clock resolves
    camera: str = ""  # make, model
    serial: str = ""
    lens: str = ""
    focal_mm: float | None = None
    bias_ev: float | None = None
    mode: Mode | None = None
    bracketing: Bracketing = _NO_BRACKETING
    software: str = ""


def read_shots(paths: Sequence[Path]) -> list[Shot | ReadError]:
    """Reads the headers of files, in the order given; an error stands in the place of its file."""
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(_read_or_error, paths))


def _read_or_error(path: Path) -> Shot | ReadError:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for ever
            return ReadError("is not a regular file")
        if status.st_size == 0:
            return ReadError("is empty")
        with path.open("rb", buffering=_BUFFER_BYTES) as file:
            return _read(path, file)
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or str(err)
        return ReadError(f"cannot be read ({reason.lower()})")


def _read(path: Path, file: BinaryIO) -> Shot:
    """One shot; what is missing or damaged stays unknown."""
    kind = containers.kind_of(file.read(containers.HEADER_BYTES))
    start = containers.find_exif(file)
    plain = Shot(path, is_raw(path), containers.find_jpeg_size(file) if kind == "jpeg" else None)
    if start is None:
        return plain
    try:
        tiff = exif.TiffReader(file, start)
    except ValueError:
        return plain
    shooting = tiff.subdirectory(exif.EXIF_IFD)
    main = _Tags(tiff, tiff.main)
    tags = _Tags(tiff, {**tiff.main, **shooting})
    bracketing = read_bracketing(tiff, tags.entries.get(exif.MAKER_NOTE), make=main.text(_MAKE))
    if kind == "cr3":
        main, bracketing = _cr3_extras(file, main)
    taken_s, clock_s = _taken(tags)
    return Shot(
        path,
        plain.is_raw,
        _upright(plain.size or _size(tags), main.number(exif.ORIENTATION)),
        exif.exposure_of(tiff, tags.entries),
        taken_s,
        clock_s,
        camera=f"{main.text(_MAKE)} {main.text(_MODEL)}".strip(),
        serial=tags.text(_SERIAL),
        lens=tags.text(_LENS),
        focal_mm=tags.number(_FOCAL_LENGTH) or None,
        bias_ev=tags.number(_BIAS),
        mode=_mode(tags),
        bracketing=bracketing,
        software=main.text(_SOFTWARE),
    )


@dataclass(frozen=True, slots=True)
class _Tags:
    """Tags with the file they stand in."""

    tiff: exif.TiffReader
    entries: dict[int, exif.Entry]

    def text(self, tag: int) -> str:
        return self.tiff.text(self.entries.get(tag))

    def number(self, tag: int) -> float | None:
        return next(iter(self.tiff.numbers(self.entries.get(tag))), None)


def _cr3_extras(file: BinaryIO, fallback: _Tags) -> tuple[_Tags, Bracketing]:
    """IFD0 and the maker note of a CR3, which have boxes of their own."""
    found = []
    for name in (b"CMT1", b"CMT3"):
        at = containers.find_cr3_block(file, name)
        try:
            tiff = None if at is None else exif.TiffReader(file, at)
        except ValueError:
            tiff = None
        found.append(_Tags(tiff, tiff.main) if tiff else None)
    main, note = found
    bracketing = read_canon_directory(note.tiff, note.entries) if note else Bracketing()
    return main or fallback, bracketing


def _size(tags: _Tags) -> tuple[int, int] | None:
    """(height, width) as the tags have it; of a raw file this may be that of its preview."""
    for width_tag, height_tag in _WIDTHS_HEIGHTS:
        width, height = tags.number(width_tag), tags.number(height_tag)
        if width and height:
            return int(height), int(width)
    return None


def _upright(size: tuple[int, int] | None, orientation: float | None) -> tuple[int, int] | None:
    return (size[1], size[0]) if size and orientation in (5, 6, 7, 8) else size


def _mode(tags: _Tags) -> Mode | None:
    mode, program = tags.number(_EXPOSURE_MODE), tags.number(_PROGRAM)
    if mode == 2:
        return "bracket"
    if mode == 1 or program == 1:
        return "manual"
    return "auto" if mode == 0 or (program is not None and 2 <= program <= 8) else None


def _taken(tags: _Tags) -> tuple[float | None, float]:
    """When the exposure started and how exactly the clock tells it, both in seconds."""
    for date_tag, fraction_tag, offset_tag in _DATES:
        match = _DATE.match(tags.text(date_tag))
        seconds = _epoch(match) if match else None
        if seconds is None:
            continue
        fraction = tags.text(fraction_tag)
        clock_s = 1.0
        if fraction.isascii() and fraction.isdigit() and len(fraction) <= 9:
            seconds += int(fraction) / 10 ** len(fraction)
            clock_s = 10.0 ** -len(fraction)
        offset = _OFFSET.match(tags.text(offset_tag))
        if offset:
            minutes = 60 * int(offset[2]) + int(offset[3])
            seconds -= 60 * (minutes if offset[1] == "+" else -minutes)
        return seconds, clock_s
    return None, 1.0


def _epoch(match: re.Match[str]) -> float | None:
    """Seconds since 1970 of a date, None where there is no such date (cameras write zeros)."""
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    if year < 1970 or not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60):
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))
