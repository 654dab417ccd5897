"""EXIF as bytes: the directories, and what mefuse asks them: exposure, orientation, colour. A leaf.

EXIF is a TIFF structure: directories (IFD) of tagged values. The reader here is small and bounded:
it follows no chain of directories, so a cycle cannot hold it, it trusts no count, and damage gives
missing values, never an error. It knows no container (JPEG, PNG, ...): it is told where the TIFF
header stands. Maker notes are opened by makernotes.py alone.

Source: Exif 2.32 (CIPA DC-008), TIFF 6.0, BigTIFF.
"""

from __future__ import annotations

import copy
import io
import math
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

from mefuse.frames import Exposure

ORIENTATION = 0x0112
SOFTWARE = 0x0131
ICC_PROFILE = 0x8773
XMP = 0x02BC
IPTC, PHOTOSHOP = 0x83BB, 0x8649
EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
MAKER_NOTE = 0x927C
_EXPOSURE_TIME, _SHUTTER_SPEED = 0x829A, 0x9201
_F_NUMBER, _APERTURE = 0x829D, 0x9202
# ISO: the classic tag first; 65535 there means "see the longer tags": recommended exposure
# index, ISO speed, standard output sensitivity.
_ISO_TAGS = (0x8827, 0x8832, 0x8833, 0x8831)
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
TYPE_BYTES |= {16: 8, 17: 8, 18: 8}  # BigTIFF
_TYPE_CODES = {1: "B", 3: "H", 4: "I", 5: "II", 6: "b", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"}
_TYPE_CODES |= {13: "I", 16: "Q"}
_RATIONALS = (5, 10)
SHORT, LONG = 3, 4

# 42 is TIFF; the others are raw files that differ only here: Olympus ORF (two), Panasonic RW2.
_CLASSIC_MAGICS = (42, 0x4F52, 0x5352, 0x55)
_BIG_MAGIC = 43
_LARGEST_VALUE_BYTES = 16 << 20  # an ICC profile may have megabytes; more is damage
_LONGEST_TEXT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag of a directory: its type, its count and where its 12 (BigTIFF: 20) bytes stand."""

    kind: int
    count: int
    slot: int


class TiffReader:
    """Bounded look-up of tags in the TIFF structure that starts at `base` of a binary file.

    Raises:
        ValueError: there is no TIFF header at `base`.
    """

    def __init__(self, file: BinaryIO, base: int = 0) -> None:
        """Reads the header and the first directory."""
        self._file, self._base = file, base
        head = self.bytes_at(0, 16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        magic = struct.unpack_from(f"{order}H", head, 2)[0] if order and len(head) >= 8 else 0
        if magic not in (*_CLASSIC_MAGICS, _BIG_MAGIC):
            raise ValueError("no TIFF header")
        self.order: str = order or "<"
        self._big = magic == _BIG_MAGIC
        self._word, self._word_bytes = ("Q", 8) if self._big else ("I", 4)
        self.main, self._next_slot = self._directory(self._unsigned(8 if self._big else 4))

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Bytes of the file from `offset` on; fewer where it ends."""
        at = self._base + offset
        if at >= 1 << 63:  # more than a file can have: seek would raise
            return b""
        self._file.seek(at)
        return self._file.read(size)

    def _unsigned(self, offset: int) -> int:
        """The offset-sized number at `offset`; 0 past the end."""
        data = self.bytes_at(offset, self._word_bytes)
        if len(data) < self._word_bytes:
            return 0
        return int(struct.unpack(self.order + self._word, data)[0])

    def _directory(self, offset: int) -> tuple[dict[int, Entry], int]:
        """The tags of one IFD, and where its pointer to the next IFD stands."""
        count_bytes, entry_bytes = (8, 20) if self._big else (2, 12)
        raw = self.bytes_at(offset, count_bytes) if offset else b""
        if len(raw) < count_bytes:
            return {}, 0
        # A TIFF directory holds at most 65,535 entries; a larger BigTIFF count is damage.
        count = min(int.from_bytes(raw, "little" if self.order == "<" else "big"), 0xFFFF)
        start = offset + count_bytes
        table = self.bytes_at(start, count * entry_bytes)
        tags: dict[int, Entry] = {}
        for at in range(0, len(table) - entry_bytes + 1, entry_bytes):
            tag, kind, n = struct.unpack_from(f"{self.order}HH{self._word}", table, at)
            tags.setdefault(tag, Entry(kind, n, start + at))
        return tags, start + count * entry_bytes

    def subdirectory(self, tag: int) -> dict[int, Entry]:
        """The tags of the IFD that `tag` of IFD0 points to; empty where there is none."""
        entry = self.main.get(tag)
        return self.directory_at(entry) if entry is not None else {}

    def directory_at(self, entry: Entry) -> dict[int, Entry]:
        """The tags of the IFD that an entry points to; empty where there is none."""
        if entry.count != 1:
            return {}
        return self._directory(self._unsigned(self.value_slot(entry)))[0]

    def directory_from(self, offset: int) -> dict[int, Entry]:
        """The tags of the IFD at `offset`; empty where there is none."""
        return self._directory(offset)[0]

    def shifted(self, offset: int, *, order: str = "") -> TiffReader:
        """The same reader counting its offsets from `offset`, in another byte order if asked.

        For maker notes, many of which are such structures of their own.
        """
        other = copy.copy(self)
        other._base = self._base + offset
        other.order = order or self.order
        other.main, other._next_slot = {}, 0
        return other

    def value_offset(self, entry: Entry) -> int:
        """Offset of a value's bytes: in the entry itself where they fit, else where it points."""
        at = self.value_slot(entry)
        size = TYPE_BYTES.get(entry.kind, 0) * entry.count
        return at if size <= self._word_bytes else self._unsigned(at)

    def value_slot(self, entry: Entry) -> int:
        """Offset of a short value itself, or of the pointer to a longer one."""
        return entry.slot + 4 + self._word_bytes

    @property
    def next_slot(self) -> int:
        """Offset of the pointer to the directory after IFD0 (0: unknown)."""
        return self._next_slot

    def following(self) -> dict[int, Entry]:
        """The tags of the directory after IFD0; empty where there is none."""
        return self._directory(self._unsigned(self._next_slot))[0] if self._next_slot else {}

    def value(self, entry: Entry, *, limit: int = _LARGEST_VALUE_BYTES) -> bytes:
        """The bytes of a value; empty where they are missing or more than `limit`."""
        size = TYPE_BYTES.get(entry.kind, 0) * entry.count
        if not 0 < size <= limit:
            return b""
        data = self.bytes_at(self.value_offset(entry), size)
        return data if len(data) == size else b""

    def text(self, entry: Entry | None) -> str:
        """A value as text, up to its first NUL and without blanks around it; empty where absent."""
        if entry is None or entry.kind not in (2, 7):
            return ""
        data = self.value(entry, limit=_LONGEST_TEXT_BYTES)
        return data.partition(b"\0")[0].decode("utf-8", "replace").strip()

    def numbers(self, entry: Entry | None) -> list[float]:
        """A value as finite numbers, at most sixteen; a rational over zero is left out."""
        if entry is None or entry.kind not in _TYPE_CODES:
            return []
        data = self.value(replace(entry, count=min(entry.count, 16)))
        size = TYPE_BYTES[entry.kind]
        parts = [
            struct.unpack_from(self.order + _TYPE_CODES[entry.kind], data, at)
            for at in range(0, len(data), size)
        ]
        if entry.kind in _RATIONALS:
            return [top / bottom for top, bottom in parts if bottom]
        return [float(x) for (x,) in parts if math.isfinite(x)]


def opened(exif: bytes) -> TiffReader | None:
    """A reader of an EXIF block, None where it is damaged."""
    try:
        return TiffReader(io.BytesIO(exif))
    except ValueError:
        return None


def read_exposure(file: BinaryIO, base: int = 0) -> Exposure:
    """Gives the exposure of the TIFF structure at `base`: damage gives None fields, no error.

    Exposure time comes from ExposureTime, else from ShutterSpeedValue (APEX); the aperture from
    FNumber, else from ApertureValue; numbers that no camera can have are taken as absent.
    """
    try:
        tiff = TiffReader(file, base)
    except ValueError:
        return Exposure()
    return exposure_of(tiff, {**tiff.main, **tiff.subdirectory(EXIF_IFD)})


def exposure_of(tiff: TiffReader, tags: dict[int, Entry]) -> Exposure:
    """Gives the exposure that these tags of a file tell, by the rules of `read_exposure`."""

    def first(tag: int) -> float | None:
        return next(iter(tiff.numbers(tags.get(tag))), None)

    return Exposure(
        exposure_time_s=_within(first(_EXPOSURE_TIME), 1e-7, 1e6)
        or _within(_power(first(_SHUTTER_SPEED), -1.0), 1e-7, 1e6),
        f_number=_within(first(_F_NUMBER), 0.1, 1e3)
        or _within(_power(first(_APERTURE), 0.5), 0.9, 1e3),
        iso=next((x for t in _ISO_TAGS if (x := _within(first(t), 1.0, 1e8, but=65535.0))), None),
    )


def _within(x: float | None, low: float, high: float, *, but: float = math.nan) -> float | None:
    """x, None where it is outside low..high or equal to `but`."""
    return x if x is not None and low <= x <= high and x != but else None


def _power(apex: float | None, scale: float) -> float | None:
    """2 ** (apex * scale), None where the APEX value is missing or absurd."""
    # 0 is what cameras write that do not know; a true 0 (1 s, f/1) always comes with the plain tag.
    return 2.0 ** (apex * scale) if apex and abs(apex) <= 32 else None


def read_orientation(exif: bytes | None) -> int:
    """Gives the EXIF orientation, 1..8; 1 (upright) where it is missing or damaged."""
    tiff = opened(exif) if exif else None
    value = next(iter(tiff.numbers(tiff.main.get(ORIENTATION))), 1.0) if tiff else 1.0
    return int(value) if value in range(1, 9) else 1


def says_adobe_rgb(exif: bytes | None) -> bool:
    """Tells whether a camera says that its picture is in Adobe RGB, as it does without a profile.

    Source: DCF 2.0, 3.2.2: an interoperability index of R03 marks the optional colour space.
    """
    tiff = opened(exif) if exif else None
    pointer = tiff.subdirectory(EXIF_IFD).get(INTEROP_IFD) if tiff else None
    index = tiff.directory_at(pointer).get(1) if tiff and pointer else None
    return tiff is not None and index is not None and tiff.value(index)[:3] == b"R03"


def with_neutral_orientation(tiff_file: bytes) -> bytearray:
    """Gives a copy of a TIFF file whose Orientation tag, where it has one, says upright."""
    out = bytearray(tiff_file)
    tiff = opened(tiff_file)
    entry = tiff.main.get(ORIENTATION) if tiff else None
    if tiff is not None and entry is not None and entry.kind == SHORT and entry.count == 1:
        struct.pack_into(f"{tiff.order}H", out, tiff.value_slot(entry), 1)
    return out
