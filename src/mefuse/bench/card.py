"""A memory card in code: picture files with the EXIF and maker notes of several cameras.

For measuring and testing grouping. A file has a real header and a small real picture; of a raw file
there is only the header. Maker notes hold what grouping reads of them and nothing else.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Order = Literal["<", ">"]
Value = tuple[int, int, bytes]  # TIFF type, count, bytes
Note = Literal["", "canon", "nikon", "sony", "panasonic", "olympus", "om", "fuji"]


@dataclass(frozen=True, slots=True)
class Camera:
    """What a body writes into every file."""

    make: str = "Maker"
    model: str = "Model"
    serial: str = ""
    lens: str = ""
    note: Note = ""
    has_fraction: bool = True  # of a second, in its clock
    tells_mode: bool = True  # exposure mode, program and compensation
    order: Order = "<"


@dataclass(frozen=True, slots=True)
class Exposed:
    """One exposure as a camera records it."""

    taken_s: float
    exposure_time_s: float
    f_number: float = 8.0
    iso: int = 100
    bias_ev: float = 0.0
    mode: int = 0  # EXIF's ExposureMode: 0 automatic, 1 manual, 2 bracket
    position: int = 0  # in a series; 0: in none
    focal_mm: float = 24.0
    orientation: int = 1


def exif_of(camera: Camera, shot: Exposed, *, software: str = "") -> bytes:
    """Gives the EXIF block of one exposure, a TIFF structure."""
    order = camera.order
    main: dict[int, Value] = {
        0x010F: _text(camera.make),
        0x0110: _text(camera.model),
        0x0112: _shorts(order, shot.orientation),
    }
    if software:
        main[0x0131] = _text(software)
    date = time.strftime("%Y:%m:%d %H:%M:%S", time.gmtime(int(shot.taken_s)))
    shooting: dict[int, Value] = {
        0x829A: _rational(order, shot.exposure_time_s),
        0x829D: _rational(order, shot.f_number),
        0x8827: _shorts(order, shot.iso),
        0x9003: _text(date),
        0x920A: _rational(order, shot.focal_mm),
    }
    if camera.has_fraction:
        shooting[0x9291] = _text(f"{int(shot.taken_s % 1 * 100):02d}")
    if camera.tells_mode:
        shooting[0x9204] = _rational(order, shot.bias_ev, signed=True)
        shooting[0xA402] = _shorts(order, shot.mode)
        shooting[0x8822] = _shorts(order, 1 if shot.mode == 1 else 3)
    for tag, text in ((0xA431, camera.serial), (0xA434, camera.lens)):
        if text:
            shooting[tag] = _text(text)
    if camera.note:
        shooting[0x927C] = (7, 0, b"")  # known once its place is known
    return _block(order, main, shooting, note=camera.note, shot=shot)


def with_exif(jpeg: bytes, block: bytes) -> bytes:
    """Gives a JPEG with an EXIF block right behind its start."""
    payload = b"Exif\0\0" + block
    return jpeg[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(payload) + 2) + payload + jpeg[2:]


def _block(
    order: Order,
    main: Mapping[int, Value],
    shooting: Mapping[int, Value],
    *,
    note: Note,
    shot: Exposed,
) -> bytes:
    """IFD0, behind it the Exif directory, and at the end the maker note."""
    at = 8 + _size({**main, 0x8769: (4, 1, bytes(4))})
    first = _directory(order, {**main, 0x8769: (4, 1, struct.pack(order + "I", at))}, start=8)
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    if not note:
        return head + first + _directory(order, shooting, start=at)
    # A dummy as long as the real one keeps every offset.
    length = len(_note(order, note, shot, start=0))
    placed = {**shooting, 0x927C: (7, length, bytes(length))}
    start = _place(placed, 0x927C, start=at)
    made = _note(order, note, shot, start=start)
    return head + first + _directory(order, {**placed, 0x927C: (7, length, made)}, start=at)


def _place(tags: Mapping[int, Value], wanted: int, *, start: int) -> int:
    """Where a value that does not fit into its entry will stand."""
    at = start + 6 + 12 * len(tags)
    for tag in sorted(tags):
        if tag == wanted:
            return at
        size = len(tags[tag][2])
        at += size + size % 2 if size > 4 else 0
    raise KeyError(wanted)


def _note(order: Order, note: Note, shot: Exposed, *, start: int) -> bytes:
    """A maker note that lies at `start` of its EXIF block."""
    on, number = shot.mode == 2, shot.position
    if note == "canon":
        ev32 = round(shot.bias_ev * 32) if on else 0
        tags = {
            0x0004: _shorts(order, 36, *([0] * 16), ev32, signed=True),  # its own bytes come first
            0x0093: _shorts(order, 12, 0, 0, int(on), ev32, 0, signed=True),
        }
        return _directory(order, tags, start=start)
    if note == "sony":
        tags = {0xB049: _shorts(order, 5 if on else 0), 0xB04A: _shorts(order, number)}
        return b"SONY DSC \0\0\0" + _directory(order, tags, start=start + 12)
    if note == "panasonic":
        tags = {0x2A: _shorts(order, 2 if on else 0), 0x2B: _longs(order, number)}
        return b"Panasonic\0\0\0" + _directory(order, tags, start=start + 12)
    if note == "nikon":  # a TIFF structure of its own, in either order
        tags = {
            0x0019: _rational(order, shot.bias_ev if on else 0.0, signed=True),
            0x0089: _shorts(order, 0x11 if on else 0),
        }
        mark = b"II" if order == "<" else b"MM"
        inner = struct.pack(order + "2sHI", mark, 42, 8) + _directory(order, tags, start=8)
        return b"Nikon\0\x02\x10\0\0" + inner
    if note == "fuji":  # always little-endian, offsets from its own start
        tags = {0x1100: _shorts("<", int(on)), 0x1101: _shorts("<", number)}
        return b"FUJIFILM" + struct.pack("<I", 12) + _directory("<", tags, start=12)
    header = b"OLYMPUS\0" if note == "olympus" else b"OM SYSTEM\0\0\0"
    header += b"II\x03\0" if order == "<" else b"MM\0\x03"
    inner_at = len(header) + _size({0x2020: (13, 1, bytes(4))})
    drive = _shorts(order, 5 if on else 0, number, int(on))
    return (
        header
        + _directory(
            order, {0x2020: (13, 1, struct.pack(order + "I", inner_at))}, start=len(header)
        )
        + _directory(order, {0x0600: drive}, start=inner_at)
    )


def _text(value: str) -> Value:
    return 2, len(value) + 1, value.encode("ascii") + b"\0"


def _shorts(order: Order, *values: int, signed: bool = False) -> Value:
    code = "h" if signed else "H"
    return 8 if signed else 3, len(values), struct.pack(f"{order}{len(values)}{code}", *values)


def _longs(order: Order, value: int) -> Value:
    return 4, 1, struct.pack(order + "I", value)


def _rational(order: Order, value: float, *, signed: bool = False) -> Value:
    part = Fraction(value).limit_denominator(10_000)
    code = "ii" if signed else "II"
    return 10 if signed else 5, 1, struct.pack(order + code, part.numerator, part.denominator)


def _size(tags: Mapping[int, Value]) -> int:
    """Bytes of a directory with the values behind it."""
    sizes = (len(data) for _, _, data in tags.values())
    return 6 + sum(12 + (size + size % 2 if size > 4 else 0) for size in sizes)


def _directory(order: Order, tags: Mapping[int, Value], *, start: int) -> bytes:
    """A TIFF directory at `start`, the values that do not fit into it right behind."""
    entries, values = struct.pack(order + "H", len(tags)), b""
    behind = start + 6 + 12 * len(tags)
    for tag, (kind, count, data) in sorted(tags.items()):
        inline = data.ljust(4, b"\0")
        if len(data) > 4:
            inline = struct.pack(order + "I", behind + len(values))
            values += data + bytes(len(data) % 2)
        entries += struct.pack(order + "HHI", tag, kind, count) + inline
    return entries + bytes(4) + values
