"""Writes the fused picture: format and depth chosen before any work, the file put in one piece.

The last step. PNG and JPEG through OpenCV with the reference's EXIF and ICC, TIFF through
tifffile with its ICC. A file appears under its name only when it is whole: it is written beside
the target under a private name and renamed.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from mefuse import containers, exif
from mefuse.errors import FormatError, OutputExistsError, WriteError
from mefuse.frames import Metadata

FormatName = Literal["png", "jpeg", "tiff"]

_EXTENSIONS: dict[str, FormatName] = {
    "png": "png",
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "tif": "tiff",
    "tiff": "tiff",
}
_WRITABLE = ".png, .jpg, .jpeg, .tif or .tiff"
STANDARD_OUTPUT = "-"
_JPEG_LONGEST_PX = 65_500  # libjpeg's limit
# Level 1, one cheap filter and run lengths: 5 times faster than level 6 for a few per cent of size.
_PNG_FLAGS = (
    cv2.IMWRITE_PNG_COMPRESSION,
    1,
    cv2.IMWRITE_PNG_FILTER,
    cv2.IMWRITE_PNG_FILTER_SUB,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_RLE,
)
_FULL_CHROMA_QUALITY = 90  # from here on a JPEG is meant to look like the original


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """How the fused picture is stored: a format and its bits per channel."""

    name: FormatName
    depth: Literal[8, 16]


def resolve_format(
    output: str, *, format: str | None, depth: int | None, source_is_16_bit: bool
) -> OutputFormat:
    """Chooses format and depth of the output, before any work is done.

    Args:
        output: the target's path; "-" for standard output, PNG where no format is given.
        format: a format or an extension ("png", "jpg", "tiff", ...); None: by the extension.
        depth: 8 or 16; None: 16 where a frame has 16 and the format can hold it.
        source_is_16_bit: whether any frame has 16 bits.

    Raises:
        FormatError: the format is unknown, or cannot hold the depth.
    """
    if format is not None:
        asked, label = format.lower().lstrip("."), f"format {format}"
    elif output == STANDARD_OUTPUT:
        asked, label = "png", output
    else:
        asked, label = Path(output).suffix.lower().lstrip("."), output
    name = _EXTENSIONS.get(asked)
    if name is None:
        raise FormatError(f"{label}: cannot be written in this format; use {_WRITABLE}")
    if depth not in (None, 8, 16):
        raise FormatError(f"{label}: {depth} bits cannot be written; choose 8 or 16")
    if name == "jpeg":
        if depth == 16:
            raise FormatError(f"{label}: JPEG holds 8 bits; use .png or .tiff, or a depth of 8")
        return OutputFormat(name, 8)
    return OutputFormat(name, 16 if depth == 16 or (depth is None and source_is_16_bit) else 8)


def check_target(path: Path, overwrite: bool) -> None:
    """Checks that a file can be put at `path`, before any work is done.

    Raises:
        OutputExistsError: it exists and `overwrite` is False.
        WriteError: it is a folder, or its folder is missing or not writable.
    """
    folder = path.parent
    if path.is_dir():
        raise WriteError(f"{path}: is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path}: exists already; choose another name or ask to overwrite")
    if not folder.is_dir():
        raise WriteError(f"{path}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WriteError(f"{path}: folder {folder} is not writable; choose another")


def to_depth(pixels: NDArray[Any], depth: int) -> NDArray[Any]:
    """Converts pixels between 8 and 16 bits: full range to full range, rounded to nearest.

    Args:
        pixels: (H, W, 3) uint8 or uint16.
        depth: 8 or 16.

    Returns:
        uint8 or uint16 pixels; the same array where it has the depth already.
    """
    if depth == 16 and pixels.dtype == np.uint8:
        deep: NDArray[Any] = np.multiply(pixels, 257, dtype=np.uint16)
        return deep
    if depth == 8 and pixels.dtype == np.uint16:
        # 257 is odd: no value lies halfway, so float32 rounds all 65,536 of them correctly.
        rounded: NDArray[Any] = cv2.convertScaleAbs(pixels, alpha=1 / 257)
        return rounded
    return pixels


def write_picture(
    pixels: NDArray[Any],
    target: Path | BinaryIO,
    *,
    format: str,
    quality: int,
    metadata: Metadata,
    overwrite: bool,
) -> None:
    """Encodes the fused picture and stores it, whole or not at all.

    EXIF and ICC go into PNG and JPEG, only the ICC into TIFF. EXIF says upright, has its size
    corrected and its thumbnail unlinked. XMP stays behind: it may ask an editor to develop the
    picture once more, or to look for a gain map.

    Args:
        pixels: (H, W, 3) uint8 or uint16 RGB, in the colour space of `metadata.icc`.
        target: a path, or a binary stream, which gets the encoded bytes and is not closed.
        format: "png", "jpeg" or "tiff".
        quality: 1..100, JPEG only.
        metadata: of the reference.
        overwrite: whether an existing file may be replaced.

    Raises:
        FormatError: the format cannot hold these pixels.
        OutputExistsError: the target exists and `overwrite` is False.
        WriteError: encoding or storing failed; nothing is left behind.
    """
    name = str(target) if isinstance(target, Path) else "standard output"
    if isinstance(target, Path):
        check_target(target, overwrite)
    height, width = pixels.shape[:2]
    block = exif.patched(metadata.exif, width=width, height=height) if metadata.exif else None
    kept = replace(metadata, exif=block)
    pieces = _encoded(pixels, name, format=format, quality=quality, metadata=kept)
    if not isinstance(target, Path):
        _write_pieces(target, pieces, name)
        return
    with _replacing(target, overwrite=overwrite) as file:
        _write_pieces(file, pieces, name)


def _encoded(
    pixels: NDArray[Any], name: str, *, format: str, quality: int, metadata: Metadata
) -> Sequence[bytes | memoryview]:
    """The file's bytes, in pieces."""
    if pixels.size == 0:
        raise WriteError(f"{name}: the fused picture is empty; check the frames")
    if format == "tiff":
        return [_encode_tiff(pixels, name, metadata)]
    if format == "jpeg" and (pixels.dtype != np.uint8 or max(pixels.shape) > _JPEG_LONGEST_PX):
        raise FormatError(
            f"{name}: JPEG holds 8 bits and {_JPEG_LONGEST_PX} px a side; use .png or .tiff"
        )
    if format == "png":
        return containers.with_metadata(_encode(".png", pixels, _PNG_FLAGS, name), metadata)
    if format == "jpeg":
        return containers.with_metadata(
            _encode(".jpg", pixels, _jpeg_flags(quality), name), metadata
        )
    raise FormatError(f"{name}: format {format} cannot be written; use {_WRITABLE}")


def _jpeg_flags(quality: int) -> tuple[int, ...]:
    sampling = (
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        if quality >= _FULL_CHROMA_QUALITY
        else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    )
    return (
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        sampling,
    )


def _encode(extension: str, pixels: NDArray[Any], flags: Sequence[int], name: str) -> bytes:
    """A PNG or JPEG without metadata."""
    try:
        done, encoded = cv2.imencode(extension, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), flags)
    except cv2.error as err:
        raise WriteError(f"{name}: encoding failed ({err.err}); try another format") from err
    if not done or encoded.size == 0:
        raise WriteError(f"{name}: encoding gave nothing; try another format")
    return encoded.tobytes()


def _encode_tiff(pixels: NDArray[Any], name: str, metadata: Metadata) -> memoryview:
    """A deflate-compressed TIFF with the horizontal predictor, which every reader knows."""
    file = io.BytesIO()
    try:
        tifffile.imwrite(
            file,
            pixels,
            photometric="rgb",
            compression="zlib",
            compressionargs={"level": 1},  # 4 times faster than 6, a tenth larger
            predictor=True,
            rowsperstrip=64,
            iccprofile=metadata.icc,
            metadata=None,
            software=False,
        )
    except (ValueError, RuntimeError, OSError) as err:
        raise WriteError(f"{name}: encoding failed ({err}); try another format") from err
    return file.getbuffer()


def _write_pieces(file: BinaryIO, pieces: Sequence[bytes | memoryview], name: str) -> None:
    try:
        for piece in pieces:
            file.write(piece)
        file.flush()
    except BrokenPipeError:
        raise  # the reader of a pipe went away: for the command line to judge
    except OSError as err:
        raise WriteError(
            f"{name}: writing failed ({_reason(err)}); make room or choose another place"
        ) from err


@contextmanager
def _replacing(target: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A new file that takes the target's place when all went well, and vanishes otherwise."""
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_mode_for(target))
        _put(temporary, target, overwrite=overwrite)
    except OSError as err:
        if isinstance(err, WriteError):
            raise
        raise WriteError(
            f"{target}: writing failed ({_reason(err)}); make room or choose another place"
        ) from err
    finally:
        temporary.unlink(missing_ok=True)


def _put(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Gives the finished file its name; never over a file that came meanwhile, unless asked."""
    if overwrite:
        temporary.replace(target)
        return
    try:
        target.hardlink_to(temporary)  # fails if the name is taken, in one step
    except FileExistsError as err:
        raise OutputExistsError(
            f"{target}: exists already; choose another name or ask to overwrite"
        ) from err
    except OSError:  # a file system without links
        check_target(target, overwrite)
        temporary.replace(target)


def _mode_for(target: Path) -> int:
    """The permissions of the file to be replaced, or what the user's mask gives a new one."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0o077)  # it can only be read by setting it: to the most private, for a moment
    os.umask(mask)
    return 0o666 & ~mask


def _reason(err: OSError) -> str:
    return (err.strerror or str(err)).lower()
