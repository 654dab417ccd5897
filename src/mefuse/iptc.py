"""IPTC for the fused picture: what old programs wrote of the photograph. A leaf.

A JPEG's APP13 and a TIFF's tag hold image resources of Photoshop, one of which is the IPTC record.
Those that say something of the photograph are carried as they are; thumbnails, paths, profiles and
whatever else belongs to the file's own pixels are not. It knows no container.

Source: IPTC-NAA Information Interchange Model 4.2, chapters 1 and 6; Adobe, Photoshop File Formats
Specification, image resources; Metadata Working Group, guidelines 2.0 (digest).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

RECORD = 0x0404  # the IPTC record itself
_DIGEST = 0x0425  # MD5 of it, by which programs see whether it or XMP is newer
_OF_THE_PHOTOGRAPH = frozenset((RECORD, _DIGEST, 0x040A, 0x040B))  # and copyright: its mark and URL
_SIGNATURE = b"8BIM"
_DATASET = 0x1C
_EXTENDED = 0x8000  # the size of what follows is not 16 bits but stands in so many bytes
# Record 2: place and code of the content, city, part of it, state, country's code and name.
_PLACES = frozenset((2, number) for number in (26, 27, 90, 92, 95, 100, 101))
_PREVIEWS = frozenset((2, number) for number in (200, 201, 202))  # of the reference


def resources(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields (number, content) of Photoshop's image resources, up to the first that is damaged."""
    at = 0
    while block[at : at + 4] == _SIGNATURE and at + 12 <= len(block):
        number, name_bytes = struct.unpack_from(">HB", block, at + 4)
        at += 6 + (name_bytes + 2) // 2 * 2  # the name with its length, padded to an even size
        if at + 4 > len(block):
            return
        size = int.from_bytes(block[at : at + 4], "big")
        content = block[at + 4 : at + 4 + size]
        if len(content) < size:
            return
        yield number, content
        at += 4 + size + size % 2


def carried(block: bytes) -> bytes | None:
    """The resources that say something of the photograph; None where there are none."""
    kept = b"".join(
        resource(number, content)
        for number, content in resources(block)
        if number in _OF_THE_PHOTOGRAPH and content
    )
    return kept or None


def resource(number: int, content: bytes) -> bytes:
    """One image resource without a name."""
    head = struct.pack(">4sHHI", _SIGNATURE, number, 0, len(content))
    return head + content + bytes(len(content) % 2)


def finished(block: bytes | None, *, strip_gps: bool) -> bytes | None:
    """Gives the resources for a fused picture: without the reference's preview.

    Args:
        block: as `carried` gives them.
        strip_gps: whether to leave out places as well.
    """
    dropped = _PREVIEWS | (_PLACES if strip_gps else frozenset())
    found = dict(resources(block or b""))
    record = found.get(RECORD)
    if record is not None:
        told = b"".join(raw for name, raw in _datasets(record) if name not in dropped)
        if told != unpadded(record):  # else byte for byte, damage and all
            found[RECORD] = told
            if _DIGEST in found:
                found[_DIGEST] = _digest(told)
    return (
        b"".join(resource(number, content) for number, content in found.items() if content) or None
    )


def padded(block: bytes) -> bytes:
    """The resources with a record of whole 32-bit words, as a TIFF's tag wants it."""
    found = dict(resources(block))
    record = found.get(RECORD, b"")
    if len(record) % 4 == 0:
        return block
    found[RECORD] = record + bytes(-len(record) % 4)
    if found.get(_DIGEST) == _digest(record):
        found[_DIGEST] = _digest(found[RECORD])
    return b"".join(resource(number, content) for number, content in found.items())


def _digest(record: bytes) -> bytes:
    return hashlib.md5(record, usedforsecurity=False).digest()


def unpadded(record: bytes) -> bytes:
    """An IPTC record without the zeros that fill a TIFF's tag up."""
    told = b"".join(raw for _, raw in _datasets(record))
    return told if told and not record[len(told) :].strip(b"\0") else record


def _datasets(record: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yields ((record, dataset), its bytes with the head), up to the first that is damaged."""
    at = 0
    while at + 5 <= len(record) and record[at] == _DATASET:
        name = record[at + 1], record[at + 2]
        size, head = int.from_bytes(record[at + 3 : at + 5], "big"), 5
        if size & _EXTENDED:
            more = size & ~_EXTENDED
            head, size = 5 + more, int.from_bytes(record[at + 5 : at + 5 + more], "big")
        end = at + head + size
        if end > len(record):
            return
        yield name, record[at:end]
        at = end
