"""What maker notes say of exposure bracketing: position, length, offset. A leaf.

Six makers whose layout is public knowledge: Canon, Nikon, Sony, Panasonic, Olympus (and OM System),
Fujifilm. Of the others, and of what lies enciphered, nothing is read; then the standard EXIF tags
and the exposures have to do. Damage gives missing values, as everywhere in EXIF.

Source: tag names and layouts as documented by ExifTool (https://exiftool.org/TagNames/).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from mefuse.exif import Entry, TiffReader

_Tags = dict[int, Entry]


@dataclass(frozen=True, slots=True)
class Bracketing:
    """What a camera noted about a frame's place in a series; None where it is silent."""

    is_on: bool | None = None  # whether exposure bracketing was on
    position: int | None = None  # number in the series, one more from frame to frame
    length: int | None = None  # frames in the series
    offset_ev: float | None = None  # what the camera was asked to add to this frame


def read_bracketing(tiff: TiffReader, note: Entry | None, *, make: str) -> Bracketing:
    """Gives what the maker note `note` of a camera by `make` says of bracketing."""
    if note is None or note.count < 16:
        return Bracketing()
    at = tiff.value_offset(note)
    for name, read in _READERS.items():
        if make.upper().startswith(name):
            return read(tiff, at)
    return Bracketing()


def read_canon_directory(tiff: TiffReader, tags: _Tags) -> Bracketing:
    """Gives the same from the tags of a Canon maker note, which in CR3 has a box of its own."""
    shot = _shorts(tiff, tags.get(0x0004))  # ShotInfo
    file = _shorts(tiff, tags.get(0x0093))  # FileInfo
    offset = _canon_ev(shot[17]) if len(shot) > 17 else None
    if len(file) > 4:  # BracketMode: 1 is exposure; flash, ISO and white balance are others
        is_on: bool | None = file[3] == 1
    else:
        is_on = True if offset else None
    return Bracketing(is_on, offset_ev=offset if is_on else None)


def _canon(tiff: TiffReader, at: int) -> Bracketing:
    return read_canon_directory(tiff, tiff.directory_from(at))


def _canon_ev(value: int) -> float | None:
    """Canon's stops: 32 to a stop, where 12 and 20 of 32 stand for thirds."""
    size = abs(value)
    thirds = {0x0C: 32 / 3, 0x14: 64 / 3}
    ev = (size - size % 32 + thirds.get(size % 32, size % 32)) / 32
    return (ev if value >= 0 else -ev) if ev <= 16 else None


def _nikon(tiff: TiffReader, at: int) -> Bracketing:
    """Type 3: a TIFF structure of its own behind ten bytes."""
    if _starts(tiff, at) != b"Nikon\0\x02":
        return Bracketing()
    order = _order(tiff, at + 10)
    if not order:
        return Bracketing()
    inner = tiff.shifted(at + 10, order=order)
    tags = inner.directory_from(_long(inner, 4))
    mode, offset = _first(inner, tags.get(0x0089)), _first(inner, tags.get(0x0019))
    # ShootingMode: bit 4 is bracketing; with bit 6 of the white balance, with bit 8 of D-Lighting.
    is_on = None if mode is None else int(mode) & 0x150 == 0x10
    return Bracketing(is_on, offset_ev=offset if is_on else None)


def _sony(tiff: TiffReader, at: int) -> Bracketing:
    tags = tiff.directory_from(at + 12 if _starts(tiff, at)[:4] == b"SONY" else at)
    release, number = _first(tiff, tags.get(0xB049)), _first(tiff, tags.get(0xB04A))
    is_on = None if release is None or release == 0xFFFF else release == 5
    return Bracketing(is_on, _position(number) if is_on else None)


def _panasonic(tiff: TiffReader, at: int) -> Bracketing:
    if _starts(tiff, at) != b"Panason":
        return Bracketing()
    tags = tiff.directory_from(at + 12)
    burst, number = _first(tiff, tags.get(0x2A)), _first(tiff, tags.get(0x2B))
    setting = _first(tiff, tags.get(0x45)) or 0
    length = {1: 3, 2: 3, 3: 5, 4: 5, 5: 7, 6: 7}.get(int(setting))
    is_on = None if burst is None else burst == 2 or length is not None
    if not is_on:
        return Bracketing(is_on)
    return Bracketing(is_on, _position(number), length)


def _olympus(tiff: TiffReader, at: int) -> Bracketing:
    start = _starts(tiff, at)
    if start == b"OLYMPUS":
        inner, directory = tiff.shifted(at, order=_order(tiff, at + 8)), 12
    elif start == b"OM SYST":
        inner, directory = tiff.shifted(at, order=_order(tiff, at + 12)), 16
    else:  # older: has no drive mode
        return Bracketing()
    settings = inner.directory_from(directory).get(0x2020)
    if settings is None:
        return Bracketing()
    # A pointer to the directory, or (older) the directory itself as a value.
    place = inner.value_offset(settings)
    tags = inner.directory_from(_long(inner, place) if settings.count == 1 else place)
    drive = [int(x) for x in inner.numbers(tags.get(0x0600))]
    if len(drive) < 2:
        return Bracketing()
    exposure_bits = drive[2] & 0x21 if len(drive) > 2 else 0  # bracketing of AE, and AE Auto
    is_on = drive[0] in (2, 4) or (drive[0] == 5 and bool(exposure_bits))
    return Bracketing(is_on, _position(drive[1]) if is_on else None)


def _fuji(tiff: TiffReader, at: int) -> Bracketing:
    """Little-endian whatever the file is, offsets from the note's own start."""
    if _starts(tiff, at) != b"FUJIFIL":
        return Bracketing()
    inner = tiff.shifted(at, order="<")
    tags = inner.directory_from(_long(inner, 8))
    auto, number = _first(inner, tags.get(0x1100)), _first(inner, tags.get(0x1101))
    is_on = None if auto is None else auto in (1, 2)
    return Bracketing(is_on, _position(number) if is_on else None)


_READERS: dict[str, Callable[[TiffReader, int], Bracketing]] = {  # by how Make starts, in capitals
    "CANON": _canon,
    "NIKON": _nikon,
    "SONY": _sony,
    "PANASONIC": _panasonic,
    "OLYMPUS": _olympus,
    "OM DIGITAL": _olympus,
    "FUJIFILM": _fuji,
}


def _starts(tiff: TiffReader, at: int) -> bytes:
    """The first seven bytes of a note, enough to tell its kind."""
    return tiff.bytes_at(at, 7)


def _order(tiff: TiffReader, at: int) -> str:
    return {b"II": "<", b"MM": ">"}.get(tiff.bytes_at(at, 2), "")


def _long(tiff: TiffReader, at: int) -> int:
    data = tiff.bytes_at(at, 4)
    return int(struct.unpack(tiff.order + "I", data)[0]) if len(data) == 4 else 0


def _first(tiff: TiffReader, entry: Entry | None) -> float | None:
    return next(iter(tiff.numbers(entry)), None)


def _position(number: float | None) -> int | None:
    """A number in a series; 0 and the largest number stand for none."""
    return int(number) if number is not None and 1 <= number < 0xFFFF else None


def _shorts(tiff: TiffReader, entry: Entry | None) -> tuple[int, ...]:
    """All values of an array of 16 bits, signed."""
    if entry is None or entry.kind not in (3, 8):
        return ()
    data = tiff.value(entry, limit=1 << 12)
    return struct.unpack(f"{tiff.order}{len(data) // 2}h", data)
