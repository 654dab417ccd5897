"""Bytes of a picture file -> pixels as stored. A leaf below read.

PNG, WebP, BMP and the rarer kinds that the installed OpenCV knows go through OpenCV, JPEG through
jpeg, HEIF, AVIF and JPEG XL through heif, TIFF through tifffile (OpenCV for the codecs that it
lacks). Pixels come out in RGB order and in source depth, not yet upright: orientation is applied in
one place, `upright`, for all kinds.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse import boxes, containers, exif, extent
from mefuse.errors import ReadError
from mefuse.extent import check_megapixels
from mefuse.heif import decode_avif, decode_heif, decode_jxl
from mefuse.jpeg import decode_jpeg
from mefuse.regions import TiffRegions, serves
from mefuse.settings import MAX_MEGAPIXELS
from mefuse.wholeness import is_whole

if TYPE_CHECKING:
    import tifffile

Pixels = NDArray[np.uint8] | NDArray[np.uint16]

# Without IGNORE_ORIENTATION OpenCV rotates by EXIF, for some kinds in some releases only.
_FLAGS = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
# The kinds for which IMREAD_COLOR_RGB was seen to be right, and saves a pass over the pixels;
# OpenCV 5.0 scrambles 16-bit TIFF under it and leaves PAM in BGR.
_READ_AS_RGB = ("jpeg", "png", "webp", "bmp")
_COPY_AGAIN = "is truncated or damaged; copy it again from the camera, or leave it out"
_UNKNOWN = "is no picture that mefuse can read; save it as JPEG, PNG or TIFF"
_SAVE_AS = "save it as 8- or 16-bit RGB or gray, or leave it out"

# The codecs that tifffile unpacks by itself, none and deflate (which has two numbers), and how many
# bytes one can become at most: a file that claims more is damaged.
_LARGEST_GROWTH = {1: 1, 8: 1032, 32946: 1032}
# The same in pixels: no coder puts more into a byte, so a header that claims more is damaged.
# Deflate of 1 bit a pixel; a JPEG's flat blocks of 64 pixels with one bit each, chroma shared.
_MOST_PX_PER_BYTE: dict[containers.Kind, int] = {"png": 8 * 1032, "jpeg": 1024, "bmp": 1032}
# More than a picture with layers, previews and metadata takes: a file is read whole.
_SPARE_BYTES, _MOST_BYTES_PER_PX = 256 << 20, 96
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _YCBCR = 0, 1, 2, 6
_JPEG_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}

# tifffile logs what is odd in a file; without a handler Python would print that to stderr.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
# OpenCV does so by itself; what matters comes as an exception or as no pixels.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Pixels (H, W, 3) uint8 or uint16, RGB, as stored; and what was lost on the way.

    `orientation` is an EXIF orientation where the kind of file tells it in another way than EXIF.
    """

    pixels: Pixels
    warnings: tuple[str, ...] = ()
    orientation: int | None = None


def decode(
    data: bytes, name: str, *, max_megapixels: float = MAX_MEGAPIXELS, strict: bool = False
) -> Decoded:
    """Decodes the first picture of a file.

    Args:
        data: the whole file.
        name: the file's name for messages.
        max_megapixels: a picture whose header claims more is refused.
        strict: whether pixels that are read in spite of damage are refused, not warned of.

    Raises:
        ReadError: the file is damaged, too large, or of a kind or pixel type that mefuse does not
            read.
    """
    kind = containers.kind_of(data[: containers.HEADER_BYTES])
    check_header(io.BytesIO(data), name, max_megapixels=max_megapixels)
    if not is_whole(data):
        raise ReadError(f"{name}: {_COPY_AGAIN}")
    if kind == "tiff":
        return _decode_tiff(data, name)
    if kind in ("heif", "avif", "jxl"):
        return _decode_boxed(data, name, kind=kind)
    if kind == "jpeg":
        return _decode_jpeg(data, name, strict=strict)
    alpha = kind in ("png", "webp") and _has_alpha(data, kind)
    pixels = _decode_with_opencv(data, name, kind=kind)
    return Decoded(pixels, _alpha_warning(name) if alpha else ())


def check_header(file: BinaryIO, name: str, *, max_megapixels: float = MAX_MEGAPIXELS) -> None:
    """Refuses, from its header, a file that would take more memory than is asked for.

    Raises:
        ReadError: its picture or the file itself is too large, it claims more pixels than its bytes
            can hold, or it is of no kind that mefuse reads.
    """
    file_bytes = file.seek(0, 2)
    file.seek(0)
    kind = containers.kind_of(file.read(containers.HEADER_BYTES))
    if kind == "exr":
        raise ReadError(f"{name}: is OpenEXR, light and not yet a photograph; {_SAVE_AS}")
    size = extent.size_of(file)
    if size is None and kind == "heif":
        return  # its decoder has limits of its own, and says so where it is not installed
    if size is None:
        raise ReadError(f"{name}: {_UNKNOWN if kind == 'other' else _COPY_AGAIN}")
    check_megapixels(size, name, max_megapixels)
    pixels = size[0] * size[1]
    if pixels == 0 or pixels > file_bytes * _MOST_PX_PER_BYTE.get(kind, pixels):
        raise ReadError(f"{name}: {_COPY_AGAIN}")
    if file_bytes > _SPARE_BYTES + pixels * _MOST_BYTES_PER_PX:
        raise ReadError(
            f"{name}: has {file_bytes >> 20} MiB for a picture of {size[1]}x{size[0]}; "
            "save the picture alone, or leave it out"
        )


def _decode_jpeg(data: bytes, name: str, *, strict: bool) -> Decoded:
    """A JPEG of one or three components; of what is damaged inside, what could be made of it."""
    if _jpeg_components(data) == 4:
        raise ReadError(f"{name}: is a CMYK picture; {_SAVE_AS}")
    try:
        found = decode_jpeg(data)
    except ValueError as err:
        raise ReadError(f"{name}: {_COPY_AGAIN}") from err
    if found is None:
        return Decoded(_decode_with_opencv(data, name, kind="jpeg"))
    if not found.is_sound and strict:
        raise ReadError(f"{name}: its pixels are damaged: refused with --strict; copy it again")
    damage = f"{name}: its pixels are damaged, parts of it may be wrong; copy it again"
    return Decoded(found.pixels, () if found.is_sound else (damage,))


def _decode_boxed(data: bytes, name: str, *, kind: containers.Kind) -> Decoded:
    """The kinds that tell their orientation themselves, not by EXIF."""
    warnings = _coding_warning(data, name) if kind in ("heif", "avif") else ()
    if kind == "avif":
        pixels, orientation = decode_avif(data, name)
        return Decoded(_checked(pixels, name), warnings, orientation)
    decoder = decode_heif if kind == "heif" else decode_jxl
    return Decoded(_checked(decoder(data, name), name), warnings, orientation=1)


def _coding_warning(data: bytes, name: str) -> tuple[str, ...]:
    """Says that colours are named by numbers that mean no profile here, as those of HDR do."""
    told = boxes.describe(io.BytesIO(data))
    if told.icc is not None or told.coded is None or containers.is_known_coding(*told.coded):
        return ()
    return (f"{name}: colour space {told.coded[0]}/{told.coded[1]} of H.273 unknown, sRGB taken",)


def _alpha_warning(name: str) -> tuple[str, ...]:
    return (f"{name}: alpha channel dropped",)


def _decode_with_opencv(data: bytes | bytearray, name: str, *, kind: containers.Kind) -> Pixels:
    """Three-channel RGB pixels."""
    as_rgb = kind in _READ_AS_RGB
    flags = _FLAGS | (cv2.IMREAD_COLOR_RGB if as_rgb else cv2.IMREAD_COLOR)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as err:
        raise ReadError(f"{name}: {_COPY_AGAIN}") from err
    if pixels is None:
        raise ReadError(f"{name}: {_UNKNOWN if kind == 'other' else _COPY_AGAIN}")
    if not as_rgb:
        cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return _checked(pixels, name)


def _checked(pixels: NDArray[Any], name: str) -> Pixels:
    """The same pixels, refused when they are not integers of 8 or 16 bits."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ReadError(f"{name}: holds {pixels.dtype} pixels; {_SAVE_AS}")
    return pixels


def _jpeg_components(data: bytes) -> int:
    """The number of colour components that a JPEG's frame header states."""
    for marker, at, size in containers.jpeg_segments(io.BytesIO(data)):
        if marker in _JPEG_FRAME_HEADERS and size > 5:
            return data[at + 5]
    return 0


def _has_alpha(data: bytes, kind: containers.Kind) -> bool:
    """Whether a PNG or WebP carries transparency of any kind."""
    if kind == "webp":  # VP8X: a flag; VP8L: bit 28 behind the signature byte
        return (data[12:16] == b"VP8X" and bool(data[20] & 0x10)) or (
            data[12:16] == b"VP8L" and bool(data[24] & 0x10)
        )
    colour_type = data[25]
    if colour_type & 4:
        return True
    for chunk, _, _ in containers.png_chunks(io.BytesIO(data)):
        if chunk in (b"tRNS", b"IDAT"):
            return chunk == b"tRNS"
    return False


def _decode_tiff(data: bytes, name: str) -> Decoded:
    """The first picture of a TIFF."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            page = tiff.pages[0]
            if not isinstance(page, tifffile.TiffPage):
                raise ReadError(f"{name}: {_COPY_AGAIN}")
            _check_tiff(page, name, file_bytes=len(data))
            if page.compression in _LARGEST_GROWTH:
                pixels = _tiff_pixels(page)
            else:  # LZW, PackBits, JPEG; OpenCV rotates a TIFF whatever its flags say
                pixels = _decode_with_opencv(exif.with_neutral_orientation(data), name, kind="tiff")
            warnings = _tiff_warnings(io.BytesIO(data), page, name)
    except ReadError:
        raise
    except Exception as err:  # tifffile raises whatever a damaged file leads it to
        raise ReadError(f"{name}: {_COPY_AGAIN}") from err
    return Decoded(_checked(pixels, name), warnings)


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """A TIFF's pixels as stored, to be read region by region; and what is lost by that."""

    pixels: Any
    warnings: tuple[str, ...] = ()


def open_tiff_regions(path: Path) -> Regions | None:
    """The first picture of a large TIFF in tiles or strips; None for every other file.

    Raises:
        ReadError: the file is damaged, or of a pixel type that mefuse does not read.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            if containers.kind_of(file.read(containers.HEADER_BYTES)) != "tiff":
                return None
            import tifffile  # only here, where a TIFF came

            file.seek(0)
            with tifffile.TiffFile(file) as tiff:
                page = tiff.pages[0]
                if not isinstance(page, tifffile.TiffPage) or not serves(page):
                    return None
                _check_tiff(page, name, file_bytes=path.stat().st_size)
                return Regions(TiffRegions(path, page), _tiff_warnings(file, page, name))
    except ReadError:
        raise
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise ReadError(f"{name}: cannot be read ({reason}); check the file") from err
    except Exception as err:  # tifffile raises whatever a damaged file leads it to
        raise ReadError(f"{name}: {_COPY_AGAIN}") from err


def _check_tiff(page: tifffile.TiffPage, name: str, *, file_bytes: int) -> None:
    """Refuses what would decode to something else than a photograph's pixels."""
    if page.bitspersample not in (8, 16) or page.sampleformat != 1:
        kind = {2: "signed", 3: "floating-point"}.get(int(page.sampleformat), "integer")
        raise ReadError(f"{name}: holds {page.bitspersample}-bit {kind} pixels; {_SAVE_AS}")
    photometric = int(page.photometric)
    if photometric not in (_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _YCBCR):
        from tifffile import PHOTOMETRIC

        raise ReadError(f"{name}: is a {PHOTOMETRIC(photometric).name} TIFF; {_SAVE_AS}")
    samples = page.samplesperpixel - len(page.extrasamples)
    subsampled = photometric == _YCBCR and page.compression in _LARGEST_GROWTH
    if page.imagedepth != 1 or samples != (3 if photometric in (_RGB, _YCBCR) else 1) or subsampled:
        raise ReadError(f"{name}: has a layout that mefuse does not read; {_SAVE_AS}")
    claimed = page.imagelength * page.imagewidth * page.samplesperpixel * page.bitspersample // 8
    if claimed > file_bytes * _LARGEST_GROWTH.get(page.compression, claimed):
        raise ReadError(f"{name}: {_COPY_AGAIN}")


def _tiff_pixels(page: tifffile.TiffPage) -> NDArray[Any]:
    """(H, W, 3) pixels of a page that tifffile can unpack."""
    pixels = page.asarray()
    pixels = pixels.reshape(
        (page.imagelength, page.imagewidth, -1)
        if page.planarconfig == 1
        else (-1, page.imagelength, page.imagewidth)
    )
    if page.planarconfig != 1:
        pixels = np.moveaxis(pixels, 0, 2)
    if int(page.photometric) == _MIN_IS_WHITE:
        pixels = np.iinfo(pixels.dtype).max - pixels
    pixels = pixels[..., :3] if int(page.photometric) == _RGB else pixels[..., :1]
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(np.broadcast_to(native, (*native.shape[:2], 3)))


def _tiff_warnings(file: BinaryIO, page: tifffile.TiffPage, name: str) -> tuple[str, ...]:
    warnings = _alpha_warning(name) if page.extrasamples else ()
    following = exif.TiffReader(file).following()
    kind = following.get(0x00FE)  # NewSubfileType: bit 0 marks a reduced copy, no page of its own
    reduced = kind is not None and exif.TiffReader(file).numbers(kind) == [1.0]
    if following and not reduced:
        warnings = (*warnings, f"{name}: has several pages, only the first is used")
    return warnings


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turns pixels as stored into pixels as seen, by an EXIF orientation, 1..8.

    Source: Exif 2.32, tag 274, which names the sides where row 0 and column 0 belong.
    """
    if orientation in (5, 7):
        pixels = cv2.transpose(pixels)  # type: ignore[assignment]
        orientation = {5: 1, 7: 3}[orientation]
    turns = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
    flips = {2: 1, 4: 0}
    if orientation in turns:
        pixels = cv2.rotate(pixels, turns[orientation])  # type: ignore[assignment]
    elif orientation in flips:
        pixels = cv2.flip(pixels, flips[orientation])  # type: ignore[assignment]
    return pixels
