"""The structure of picture files: where their metadata lies. A leaf.

JPEG segments, PNG chunks, WebP (RIFF) chunks, the boxes of HEIF, AVIF and JPEG XL, and the raw
formats that wrap EXIF in something else than TIFF. It walks headers and never decodes a pixel;
every walk moves forward, so it ends.

Source: ITU-T T.81 annex B, PNG (3rd edition), WebP container specification, ICC.1 annex B, Adobe's
XMP specification part 3, ITU-T H.273.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal

from mefuse import boxes, exif, exif_extract, iptc, jxl_header, profiles, xmp
from mefuse.frames import Metadata

Kind = Literal[
    "jpeg", "png", "webp", "tiff", "bmp", "heif", "avif", "jxl", "exr", "cr3", "raf", "other"
]

HEADER_BYTES = 32
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (PNG_SIGNATURE, "png"),
    (b"BM", "bmp"),
    (b"FUJIFILM", "raf"),
    (b"II", "tiff"),
    (b"MM", "tiff"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_BRANDS: dict[bytes, Kind] = dict.fromkeys(_HEIF_BRANDS, "heif")
_BRANDS |= {b"crx ": "cr3", b"avif": "avif", b"avis": "avif"}
EXIF_HEADER = b"Exif\0\0"
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
XMP_EXTENSION_HEADER = b"http://ns.adobe.com/xmp/extension/\0"
ICC_HEADER = b"ICC_PROFILE\0"
PHOTOSHOP_HEADER = b"Photoshop 3.0\0"
PNG_XMP = b"XML:com.adobe.xmp\0"
# ITU-T H.273. The curve of BT.709 (1) stands in still pictures whose pixels are sRGB.
_CODED_PRIMARIES: dict[int, profiles.ProfileName] = {1: "srgb", 12: "p3"}
_CODED_AS_SRGB, _CODED_LINEAR = (13, 1), 8
_JXL_START = 256  # bytes of code that hold its header
_LARGEST_BLOCK_BYTES = 16 << 20  # of one metadata block; more is damage
_MOST_CHUNKS = 1 << 16  # of a file: with a PNG's chunks of 8 KiB that is 512 MiB
_SOI, _EOI, _SOS, _APP1, _APP2, _APP13 = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xED
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length: TEM, RST0..7, SOI
_FRAME_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0..15; the others are tables


def kind_of(head: bytes) -> Kind:
    """Names the container by its first `HEADER_BYTES` bytes, whatever its extension says."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        brands = (head[8:12], *(head[at : at + 4] for at in range(16, HEADER_BYTES, 4)))
        named = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        # mif1 says only that it is of this family; a brand behind it says which.
        return next((kind for kind in named if kind != "heif"), named[0] if named else "other")
    return next((kind for start, kind in _SIGNATURES if head.startswith(start)), "other")


def find_exif(file: BinaryIO) -> int | None:
    """Gives the offset of the EXIF block's TIFF header in a picture file, None where there is none.

    Only headers are read, so that a folder of thousands of frames is quick.
    """
    file.seek(0)
    head = file.read(HEADER_BYTES)
    kind = kind_of(head)
    if kind == "jpeg":
        return _find_jpeg_exif(file, 0)
    if kind == "raf":  # Fuji: the big-endian offset of the embedded JPEG stands at byte 84
        file.seek(84)
        return _find_jpeg_exif(file, int.from_bytes(file.read(4), "big"))
    if kind == "cr3":
        return _find_cr3_exif(file)
    if kind in ("png", "webp"):
        chunks, wanted = (png_chunks, b"eXIf") if kind == "png" else (_webp_chunks, b"EXIF")
        return next((at for name, at, _ in chunks(file) if name == wanted), None)
    if kind in ("heif", "avif", "jxl"):
        return _find_boxed_exif(file, kind)
    return 0 if kind == "tiff" else None


def _find_boxed_exif(file: BinaryIO, kind: Kind) -> int | None:
    if kind != "jxl":
        return _tiff_header_in(file, boxes.describe(file).exif)
    inside = boxes.boxes(file)
    place = next(((box.at, box.size) for box in inside if box.name == b"Exif"), None)
    return _tiff_header_in(file, place)


def _tiff_header_in(file: BinaryIO, place: tuple[int, int] | None) -> int | None:
    """Where the TIFF header stands in an EXIF box at (offset, size): four bytes say how far on."""
    if place is None:
        return None
    at, size = place
    file.seek(at)
    skip = int.from_bytes(file.read(4), "big")
    return at + 4 + skip if skip + 12 <= size else None


def _find_jpeg_exif(file: BinaryIO, start: int) -> int | None:
    for marker, at, size in jpeg_segments(file, start):
        if marker == _APP1 and size > len(EXIF_HEADER):
            file.seek(at)
            if file.read(len(EXIF_HEADER)) == EXIF_HEADER:
                return at + len(EXIF_HEADER)
    return None


def _find_cr3_exif(file: BinaryIO) -> int | None:
    """Canon CR3: box CMT2 holds the Exif directory as a TIFF structure, near the file's start."""
    return find_cr3_block(file, b"CMT2")


def find_cr3_block(file: BinaryIO, name: bytes) -> int | None:
    """Gives the offset of the TIFF structure in a box of a Canon CR3, None where it is missing.

    CMT1 holds what is IFD0 in other files, CMT2 the Exif directory, CMT3 the maker note, CMT4 the
    GPS directory.
    """
    file.seek(0)
    at = file.read(64 << 10).find(name)
    return at + 4 if at >= 0 else None


def find_jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Gives (height, width) of a JPEG as stored, from the header of its frame; None without one."""
    for marker, at, size in jpeg_segments(file):
        if marker in _FRAME_MARKERS and size >= 5:
            file.seek(at + 1)
            height, width = struct.unpack(">HH", file.read(4).ljust(4, b"\0"))
            return height, width
    return None


def read_metadata(file: BinaryIO) -> Metadata:
    """Gives the EXIF, ICC and XMP blocks of a picture file; None for what is absent or damaged."""
    file.seek(0)
    kind = kind_of(file.read(HEADER_BYTES))
    readers: dict[Kind, Callable[[BinaryIO], Metadata]] = {
        "jpeg": _jpeg_metadata,
        "png": _png_metadata,
        "webp": _webp_metadata,
        "tiff": _tiff_metadata,
        "heif": _heif_metadata,
        "avif": _heif_metadata,
        "jxl": _jxl_metadata,
        "raf": _raf_metadata,
        "cr3": _cr3_metadata,
    }
    read = readers.get(kind)
    return read(file) if read is not None else Metadata()


def _raf_metadata(file: BinaryIO) -> Metadata:
    """Fuji: that of the JPEG inside, whose big-endian offset stands at byte 84."""
    file.seek(84)
    return _jpeg_metadata(file, int.from_bytes(file.read(4), "big"))


def _cr3_metadata(file: BinaryIO) -> Metadata:
    main, shooting, gps = (find_cr3_block(file, name) for name in (b"CMT1", b"CMT2", b"CMT4"))
    if main is None or shooting is None:
        return Metadata()
    block = exif_extract.extracted(
        file, main, shooting_base=shooting, gps_base=gps, note=_cr3_note(file)
    )
    return Metadata(exif=block)


def _cr3_note(file: BinaryIO) -> bytes | None:
    """The whole box of the maker note; its size stands in front of its name."""
    at = find_cr3_block(file, b"CMT3")
    if at is None:
        return None
    file.seek(at - 8)
    return _piece(file, (at, int.from_bytes(file.read(4), "big") - 8))


def _heif_metadata(file: BinaryIO) -> Metadata:
    """HEIF and AVIF."""
    told = boxes.describe(file)
    icc = told.icc
    if icc is None and told.coded is not None:
        icc = coded_profile(*told.coded)
    return Metadata(_boxed_exif(file, told.exif), icc, _piece(file, told.xmp))


def _jxl_metadata(file: BinaryIO) -> Metadata:
    """JPEG XL in a file of boxes; its colours are told in its own code, not here."""
    places = {box.name: (box.at, box.size) for box in boxes.boxes(file)}
    block = _boxed_exif(file, places.get(b"Exif"))
    file.seek(0)
    coded = jxl_header.colours(jxl_codestream(file.read()))
    # Linear light is only how the decoder gives 16 bits; heif gives it the usual curve.
    icc = coded_profile(coded[0], _CODED_AS_SRGB[0]) if coded is not None else None
    return Metadata(block, icc, _piece(file, places.get(b"xml ")))


def jxl_codestream(data: bytes) -> bytes:
    """The start of a JPEG XL's code, in boxes or bare; empty where there is none."""
    if data.startswith(b"\xff\x0a"):
        return data[:_JXL_START]
    for box in boxes.boxes(io.BytesIO(data)):
        if box.name in (b"jxlc", b"jxlp"):
            at = box.at + (4 if box.name == b"jxlp" else 0)  # in parts, each with its number
            return data[at : at + _JXL_START]
    return b""


def _boxed_exif(file: BinaryIO, place: tuple[int, int] | None) -> bytes | None:
    start = _tiff_header_in(file, place)
    if start is None or place is None:
        return None
    return _piece(file, (start, sum(place) - start))


def _piece(file: BinaryIO, place: tuple[int, int] | None) -> bytes | None:
    """The bytes at (offset, size); None where they are absent, damaged or absurdly many."""
    if place is None or not 0 < place[1] <= _LARGEST_BLOCK_BYTES:
        return None
    file.seek(place[0])
    found = file.read(place[1])
    return found if len(found) == place[1] else None


def is_known_coding(primaries: int, transfer: int) -> bool:
    """Tells whether `coded_profile` knows what two code points of H.273 mean; 2 is unspecified."""
    return (primaries in _CODED_PRIMARIES or primaries == 2) and (
        transfer in (*_CODED_AS_SRGB, _CODED_LINEAR, 2)
    )


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """The profile that two code points of H.273 mean; None for sRGB and for what is not known."""
    name = _CODED_PRIMARIES.get(primaries)
    if name is None or transfer not in (*_CODED_AS_SRGB, _CODED_LINEAR):
        return None
    if transfer == _CODED_LINEAR:
        return profiles.standard(name, linear=True)
    return None if name == "srgb" else profiles.standard(name)


def jpeg_segments(file: BinaryIO, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yields (marker, payload offset, payload size) of a JPEG up to and with its first scan."""
    at = start
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return
        if head[1] == 0xFF:  # a fill byte
            at += 1
        elif head[1] in _STANDALONE:
            at += 2
        else:
            size = int.from_bytes(head[2:], "big") - 2
            if size < 0 or head[1] == _EOI:
                return
            yield head[1], at + 4, size
            if head[1] == _SOS:
                return
            at += 4 + size


def _jpeg_metadata(file: BinaryIO, start: int = 0) -> Metadata:
    blocks: dict[str, bytes] = {}
    icc: dict[int, bytes] = {}
    icc_count = 0
    extension: dict[int, bytes] = {}
    photoshop = b""
    for marker, at, size in jpeg_segments(file, start):
        if marker not in (_APP1, _APP2, _APP13):
            continue
        file.seek(at)
        payload = file.read(size)
        if marker == _APP2 and payload.startswith(ICC_HEADER) and size > len(ICC_HEADER) + 2:
            number, icc_count = payload[len(ICC_HEADER) : len(ICC_HEADER) + 2]
            icc[number] = payload[len(ICC_HEADER) + 2 :]
        is_photoshop = marker == _APP13 and payload.startswith(PHOTOSHOP_HEADER)
        if is_photoshop and len(photoshop) < _LARGEST_BLOCK_BYTES:
            photoshop += payload[len(PHOTOSHOP_HEADER) :]  # one block may take several segments
        if marker == _APP1 and payload.startswith(XMP_EXTENSION_HEADER):
            _note_extension(extension, payload[len(XMP_EXTENSION_HEADER) :])
        for name, header in (("exif", EXIF_HEADER), ("xmp", XMP_HEADER)):
            if marker == _APP1 and payload.startswith(header):
                blocks.setdefault(name, payload[len(header) :])
    whole = bool(icc) and sorted(icc) == list(range(1, icc_count + 1))
    profile = b"".join(icc[n] for n in sorted(icc)) if whole else None
    packet = blocks.get("xmp")
    if packet is not None and extension:
        packet = xmp.joined(packet, b"".join(extension[at] for at in sorted(extension)))
    return Metadata(blocks.get("exif"), profile, packet, iptc.carried(photoshop))


def _note_extension(extension: dict[int, bytes], payload: bytes) -> None:
    """One part of an extended XMP: behind its GUID, the whole's size and this part's place."""
    if len(payload) > 40 and sum(map(len, extension.values())) < _LARGEST_BLOCK_BYTES:
        extension[int.from_bytes(payload[36:40], "big")] = payload[40:]


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yields (name, data offset, data size) of a PNG's chunks, IEND included."""
    at = len(PNG_SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        size, name = struct.unpack(">I4s", head)
        yield name, at + 8, size
        if name == b"IEND":
            return
        at += 12 + size


def _png_metadata(file: BinaryIO) -> Metadata:
    blocks: dict[bytes, bytes] = {}
    for name, at, size in png_chunks(file):
        if name in (b"eXIf", b"iCCP", b"iTXt", b"cICP") and size <= _LARGEST_BLOCK_BYTES:
            file.seek(at)
            payload = file.read(size)
            if name != b"iTXt" or payload.startswith(PNG_XMP):
                blocks.setdefault(name, payload)
    packed = blocks.get(b"iCCP", b"").partition(b"\0")[2][1:]
    icc = _inflated(packed) if packed else None
    coded = blocks.get(b"cICP", b"")
    if len(coded) == 4:  # it goes before iCCP
        icc = coded_profile(coded[0], coded[1]) or icc
    return Metadata(
        exif=blocks.get(b"eXIf"),
        icc=icc,
        xmp=_itxt_text(blocks.get(b"iTXt", b"")[len(PNG_XMP) :]),
    )


def _itxt_text(payload: bytes) -> bytes | None:
    """A PNG text: two bytes of compression, two empty or short texts ended by 0, and itself."""
    text = payload[2:].split(b"\0", 2)[2:]
    if not text:
        return None
    return _inflated(text[0]) if payload[0] else text[0]


def _inflated(data: bytes) -> bytes | None:
    """A zlib stream unpacked, None where it is damaged or too large."""
    unpacker = zlib.decompressobj()
    try:
        out = unpacker.decompress(data, _LARGEST_BLOCK_BYTES)
    except zlib.error:
        return None
    return out if unpacker.eof else None


def _webp_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = struct.unpack("<4sI", head)
        yield name, at + 8, size
        at += 8 + size + size % 2


def _webp_metadata(file: BinaryIO) -> Metadata:
    blocks: dict[bytes, bytes] = {}
    for name, at, size in _webp_chunks(file):
        if name in (b"EXIF", b"ICCP", b"XMP ") and size <= _LARGEST_BLOCK_BYTES:
            file.seek(at)
            blocks.setdefault(name, file.read(size))
    block = blocks.get(b"EXIF", b"").removeprefix(EXIF_HEADER)  # some writers keep JPEG's header
    return Metadata(exif=block or None, icc=blocks.get(b"ICCP"), xmp=blocks.get(b"XMP "))


def _tiff_metadata(file: BinaryIO) -> Metadata:
    try:
        tiff = exif.TiffReader(file)
    except ValueError:
        return Metadata()
    icc, xmp, record, photoshop = (
        tiff.value(entry) if (entry := tiff.main.get(tag)) else b""
        for tag in (exif.ICC_PROFILE, exif.XMP, exif.IPTC, exif.PHOTOSHOP)
    )
    own = iptc.resource(iptc.RECORD, record) if record else b""
    told = iptc.carried(own + photoshop)
    return Metadata(exif_extract.extracted(file), icc or None, xmp or None, told)
