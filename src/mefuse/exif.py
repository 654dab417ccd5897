"""EXIF as bytes: exposure, orientation and a clean copy for the fused picture. A leaf.

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
ICC_PROFILE = 0x8773
XMP = 0x02BC
EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 0x8769, 0x8825, 0xA005
MAKER_NOTE = 0x927C
_EXPOSURE_TIME, _SHUTTER_SPEED = 0x829A, 0x9201
_F_NUMBER, _APERTURE = 0x829D, 0x9202
# ISO: the classic tag first; 65535 there means "see the longer tags": recommended exposure
# index, ISO speed, standard output sensitivity.
_ISO_TAGS = (0x8827, 0x8832, 0x8833, 0x8831)
_PICTURE_SIZE_TAGS = ((0x0100, 0x0101), (0xA002, 0xA003))  # (width, height) in IFD0 and Exif IFD

# What a TIFF says of the photograph rather than of its own strips: description, maker, model,
# orientation, resolution, software, date, artist, copyright.
_DESCRIPTIVE = (0x10E, 0x10F, 0x110, ORIENTATION, 0x11A, 0x11B, 0x128, 0x131, 0x132, 0x13B, 0x8298)
# TIFF/EP and DNG may keep the exposure in IFD0 instead of an Exif IFD.
_EXPOSURE_TAGS = (_EXPOSURE_TIME, _SHUTTER_SPEED, _F_NUMBER, _APERTURE, *_ISO_TAGS)

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TYPE_BYTES |= {16: 8, 17: 8, 18: 8}  # BigTIFF
_TYPE_CODES = {1: "B", 3: "H", 4: "I", 5: "II", 6: "b", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"}
_TYPE_CODES |= {13: "I", 16: "Q"}
_RATIONALS = (5, 10)
_SHORT, _LONG = 3, 4

# 42 is TIFF; the others are raw files that differ only here: Olympus ORF (two), Panasonic RW2.
_CLASSIC_MAGICS = (42, 0x4F52, 0x5352, 0x55)
_BIG_MAGIC = 43
_LARGEST_VALUE_BYTES = 16 << 20  # an ICC profile may have megabytes; more is damage
_LARGEST_COPIED_BYTES = 8 << 10  # of one value in `extracted`
_LARGEST_BLOCK_BYTES = 65_000  # a JPEG segment holds 65,533 bytes with its header


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
        if entry is None or entry.count != 1:
            return {}
        return self._directory(self._unsigned(self.value_slot(entry)))[0]

    def directory_at(self, offset: int) -> dict[int, Entry]:
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
        """Offset of the bytes of a value."""
        at = self.value_slot(entry)
        size = _TYPE_BYTES.get(entry.kind, 0) * entry.count
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
        size = _TYPE_BYTES.get(entry.kind, 0) * entry.count
        if not 0 < size <= limit:
            return b""
        at = self.value_slot(entry)
        data = self.bytes_at(at if size <= self._word_bytes else self._unsigned(at), size)
        return data if len(data) == size else b""

    def text(self, entry: Entry | None) -> str:
        """A value as text, up to its first NUL and without blanks around it; empty where absent."""
        if entry is None or entry.kind not in (2, 7):
            return ""
        data = self.value(entry, limit=_LARGEST_COPIED_BYTES)
        return data.partition(b"\0")[0].decode("utf-8", "replace").strip()

    def numbers(self, entry: Entry | None) -> list[float]:
        """A value as finite numbers, at most sixteen; a rational over zero is left out."""
        if entry is None or entry.kind not in _TYPE_CODES:
            return []
        data = self.value(replace(entry, count=min(entry.count, 16)))
        size = _TYPE_BYTES[entry.kind]
        parts = [
            struct.unpack_from(self.order + _TYPE_CODES[entry.kind], data, at)
            for at in range(0, len(data), size)
        ]
        if entry.kind in _RATIONALS:
            return [top / bottom for top, bottom in parts if bottom]
        return [float(x) for (x,) in parts if math.isfinite(x)]


def _opened(exif: bytes) -> TiffReader | None:
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
    tiff = _opened(exif) if exif else None
    value = next(iter(tiff.numbers(tiff.main.get(ORIENTATION))), 1.0) if tiff else 1.0
    return int(value) if value in range(1, 9) else 1


def patched(exif: bytes, *, width: int, height: int) -> bytes | None:
    """Gives EXIF for a fused picture: upright, its size corrected, the thumbnail unlinked.

    The bytes are changed in place and none moves, so that maker notes, which point into the
    block, stay whole. None where the block is damaged: then nothing is known to be true in it.
    """
    tiff = _opened(exif)
    if tiff is None or not tiff.main or len(exif) > _LARGEST_BLOCK_BYTES:
        return None
    out = bytearray(exif)
    directories = (tiff.main, tiff.subdirectory(EXIF_IFD))
    _put(out, tiff.main.get(ORIENTATION), 1, order=tiff.order)
    for tags, (width_tag, height_tag) in zip(directories, _PICTURE_SIZE_TAGS, strict=True):
        _put(out, tags.get(width_tag), width, order=tiff.order)
        _put(out, tags.get(height_tag), height, order=tiff.order)
    if 0 < tiff.next_slot <= len(out) - 4:
        struct.pack_into("<I", out, tiff.next_slot, 0)  # IFD1 holds the thumbnail of one frame
    return bytes(out)


def with_neutral_orientation(tiff_file: bytes) -> bytearray:
    """Gives a copy of a TIFF file whose Orientation tag, where it has one, says upright."""
    out = bytearray(tiff_file)
    tiff = _opened(tiff_file)
    entry = tiff.main.get(ORIENTATION) if tiff else None
    if tiff is not None and entry is not None and entry.kind == _SHORT and entry.count == 1:
        struct.pack_into(f"{tiff.order}H", out, tiff.value_slot(entry), 1)
    return out


def _put(out: bytearray, entry: Entry | None, value: int, *, order: str) -> None:
    """Sets an integer tag in its own twelve bytes: in its own type where the value fits."""
    if entry is None or entry.kind not in (_SHORT, _LONG) or entry.count != 1:
        return
    if entry.kind == _SHORT and value <= 0xFFFF:
        struct.pack_into(f"{order}HH", out, entry.slot + 8, value, 0)
    else:
        struct.pack_into(f"{order}HII", out, entry.slot + 2, _LONG, 1, value)


def extracted(file: BinaryIO, base: int = 0) -> bytes | None:
    """Gives an EXIF block of what a TIFF or TIFF-based raw file says of its photograph.

    Such a file is one large TIFF structure, so its tags are laid out anew: the descriptive ones,
    the Exif and the GPS directory. Maker notes stay behind, for they point into the file itself.
    None where there is nothing to tell.
    """
    try:
        tiff = TiffReader(file, base)
    except ValueError:
        return None
    main = {tag: entry for tag in _DESCRIPTIVE if (entry := tiff.main.get(tag))}
    shooting = {tag: entry for tag in _EXPOSURE_TAGS if (entry := tiff.main.get(tag))}
    shooting |= tiff.subdirectory(EXIF_IFD)
    for tag in (MAKER_NOTE, _INTEROP_IFD):
        shooting.pop(tag, None)
    directories = [_copied(tiff, tags) for tags in (main, shooting, tiff.subdirectory(_GPS_IFD))]
    if not any(directories):
        return None
    block = _laid_out(directories, order=tiff.order)
    return block if len(block) <= _LARGEST_BLOCK_BYTES else None


_Values = dict[int, tuple[int, int, bytes]]  # tag -> type, count, bytes


def _copied(tiff: TiffReader, tags: dict[int, Entry]) -> _Values:
    """The values of `tags`; those that are damaged, large or not classic TIFF are left out."""
    values: _Values = {}
    for tag, entry in tags.items():
        data = tiff.value(entry, limit=_LARGEST_COPIED_BYTES)
        if data and entry.kind < 13:
            values[tag] = (entry.kind, entry.count, data)
    return values


def _laid_out(directories: list[_Values], *, order: str) -> bytes:
    """A TIFF structure of IFD0, Exif IFD and GPS IFD, one after the other."""
    main, *others = directories
    pointers = {tag: tags for tag, tags in zip((EXIF_IFD, _GPS_IFD), others, strict=True) if tags}
    main = dict(main)
    at = 8 + _directory_bytes({**main, **{tag: (_LONG, 1, bytes(4)) for tag in pointers}})
    for tag, tags in pointers.items():
        main[tag] = (_LONG, 1, struct.pack(f"{order}I", at))
        at += _directory_bytes(tags)
    header = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    out = bytearray(header)
    for tags in (main, *pointers.values()):
        out += _directory(tags, start=len(out), order=order)
    return bytes(out)


def _even(size: int) -> int:
    """size, rounded up to a multiple of two, as TIFF wants its offsets."""
    return size + size % 2


def _directory_bytes(tags: _Values) -> int:
    """The bytes of a directory with the values it points to."""
    return 6 + sum(12 + (_even(len(data)) if len(data) > 4 else 0) for _, _, data in tags.values())


def _directory(tags: _Values, *, start: int, order: str) -> bytes:
    """One directory at offset `start`, its values right behind it."""
    out = bytearray(struct.pack(f"{order}H", len(tags)))
    values = bytearray()
    values_at = start + 6 + 12 * len(tags)
    for tag, (kind, count, data) in sorted(tags.items()):
        inline = data.ljust(4, b"\0")
        if len(data) > 4:
            inline = struct.pack(f"{order}I", values_at + len(values))
            values += data.ljust(_even(len(data)), b"\0")
        out += struct.pack(f"{order}HHI", tag, kind, count) + inline
    return bytes(out + bytes(4) + values)
