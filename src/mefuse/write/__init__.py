"""Writes the fused picture: format and depth chosen before any work, the file put in one piece.

The last step. `formats` says what can be written, a file beside it encodes each, `embed` puts the
metadata in, and the file gets its name only when it is whole. It changes no pixel and no metadata:
both come as they shall be.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from mefuse import colour, profiles
from mefuse.bands import Bands
from mefuse.errors import FormatError, MefuseError, WriteError
from mefuse.frames import Exposure, Metadata
from mefuse.landing import check_target, replacing, unwritable
from mefuse.profiles import ProfileName
from mefuse.settings import Compression, FuseSettings
from mefuse.write.embed import Embedded
from mefuse.write.formats import (
    FORMATS,
    NAMES,
    STANDARD_OUTPUT,
    Bits,
    FormatName,
    OutputFormat,
    check_compression,
    check_size,
    resolve_format,
)
from mefuse.write.tiff import Page
from mefuse.write.verify import can_be_checked, check_written

__all__ = [
    "FORMATS",
    "NAMES",
    "STANDARD_OUTPUT",
    "Bits",
    "FormatName",
    "LinearLight",
    "OutputFormat",
    "Page",
    "check_compression",
    "check_size",
    "check_target",
    "resolve_format",
    "write_picture",
]


_DEFAULT_COMPRESSION = FuseSettings().compression


@dataclass(frozen=True, slots=True)
class LinearLight:
    """What OpenEXR is told beside the pixels: primaries, the reference's exposure, the maker."""

    space: ProfileName = "srgb"
    exposure: Exposure | None = None
    software: str = "mefuse"


def write_picture(
    pixels: NDArray[Any] | Bands,
    target: Path | BinaryIO,
    *,
    format: str,
    quality: int,
    metadata: Metadata,
    overwrite: bool,
    compression: Compression = _DEFAULT_COMPRESSION,
    bits: int | None = None,
    layers: Sequence[Page] = (),
    linear: LinearLight | None = None,
    name: str | None = None,
) -> tuple[str, ...]:
    """Encodes the fused picture and stores it, whole or not at all.

    Args:
        pixels: (H, W, 3) uint8 or uint16 RGB, in the colour space of `metadata.icc`; in bands,
            which are made as they are written, for TIFF.
        target: a path, or a binary stream, which gets the encoded bytes and is not closed.
        format: a name of `FORMATS`.
        quality: 1..100, of the lossy formats.
        metadata: EXIF, XMP and ICC as they shall stand in the file.
        overwrite: whether an existing file may be replaced.
        compression: of PNG and TIFF.
        bits: per channel in the file; None: as the pixels have.
        layers: more pages behind the picture; TIFF only.
        linear: for OpenEXR.
        name: what messages call the output; None: its path, or standard output.

    Returns:
        Sentences about metadata that the format could not hold.

    Raises:
        FormatError: the format cannot hold these pixels.
        OutputExistsError: the target exists and `overwrite` is False.
        WriteError: encoding or storing failed; nothing is left behind.
    """
    name = name or (str(target) if isinstance(target, Path) else "standard output")
    if isinstance(target, Path):
        check_target(target, overwrite)
    form = _checked(pixels, name, format=format, bits=bits, layers=layers)
    check_compression(form, compression, name=name)
    job = _Job(
        pixels, metadata, quality, compression, form, tuple(layers), linear or LinearLight(), name
    )
    if not isinstance(target, Path):
        return _stored(job, target, job.to_stream)
    with replacing(target, overwrite=overwrite) as file:
        return _stored(job, file, job.to_file)


def _stored(
    job: _Job, file: BinaryIO, put: Callable[[BinaryIO], tuple[str, ...]]
) -> tuple[str, ...]:
    """Puts the picture into a file, and looks whether it is there where that can be read back."""
    is_readable = can_be_checked(file)
    lost = put(file)
    if is_readable:
        height, width, _ = job.picture.shape
        check_written(file, (height, width), format=job.form.name, name=job.name)
    return lost


def _checked(
    pixels: NDArray[Any] | Bands,
    name: str,
    *,
    format: str,
    bits: int | None,
    layers: Sequence[Page],
) -> OutputFormat:
    """The format and its bits, refused where these pixels do not go into it."""
    if 0 in pixels.shape:
        raise WriteError(f"{name}: the fused picture is empty; check the frames")
    depth = bits or pixels.dtype.itemsize * 8
    form = resolve_format("", format=format, depth=depth, source_is_16_bit=False)
    check_size(form, pixels.shape[0], pixels.shape[1], name=name)
    if layers and form.name != "tiff":
        raise FormatError(f"{name}: {FORMATS[form.name].title} holds no layers; use .tiff")
    return form


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One picture on its way into a file."""

    picture: NDArray[Any] | Bands
    metadata: Metadata
    quality: int
    compression: Compression
    form: OutputFormat
    layers: tuple[Page, ...]
    linear: LinearLight
    name: str

    def to_file(self, file: BinaryIO) -> tuple[str, ...]:
        """Writes to an empty, seekable file."""
        if self.form.name == "tiff":
            from mefuse.write.tiff import write_tiff

            _storing(
                self.name,
                lambda: write_tiff(
                    file, self._pages(), self.metadata, compression=self.compression
                ),
            )
            return ()
        if self.form.name == "exr":
            self._write_exr(file)
            return ()
        return self._write_encoded(file)

    def to_stream(self, stream: BinaryIO) -> tuple[str, ...]:
        """Writes to a stream that may be a pipe: what needs to go back goes to the disk first."""
        if self.form.name not in ("tiff", "exr"):
            return self._write_encoded(stream)
        with tempfile.TemporaryFile(prefix="mefuse-") as file:
            lost = self.to_file(file)
            file.seek(0)
            _storing(self.name, lambda: shutil.copyfileobj(file, stream, 1 << 20))
            _storing(self.name, stream.flush)
        return lost

    def _pages(self) -> list[Page]:
        return [Page(self.picture, "fused"), *self.layers]

    def _write_encoded(self, file: BinaryIO) -> tuple[str, ...]:
        """The formats that are encoded in memory."""
        embedded = self._encoded()
        _storing(self.name, lambda: file.writelines(embedded.pieces))
        _storing(self.name, file.flush)
        lost = embedded.lost
        if self.metadata.iptc is not None and self.form.name != "jpeg":
            lost = (*lost, "the IPTC block, for which only JPEG and TIFF have a place")
        return tuple(f"{self.name}: left out {what}" for what in lost)

    @property
    def pixels(self) -> NDArray[Any]:
        """The picture in one piece, for formats that are encoded whole."""
        return self.picture.whole() if isinstance(self.picture, Bands) else self.picture

    def _encoded(self) -> Embedded:
        from mefuse.write import jxl, opencv, png

        pixels, metadata, name, quality = self.pixels, self.metadata, self.name, self.quality
        if self.form.name == "png":
            return png.encode_png(pixels, metadata, compression=self.compression)
        if self.form.name == "jpeg":
            return opencv.encode_jpeg(pixels, metadata, quality=quality, name=name)
        if self.form.name == "webp":
            return opencv.encode_webp(pixels, metadata, quality=quality, name=name)
        if self.form.name == "jxl":
            return jxl.encode_jxl(pixels, metadata, quality=quality, name=name)
        bits = self.form.depth
        return opencv.encode_avif(pixels, metadata, quality=quality, bits=bits, name=name)

    def _write_exr(self, file: BinaryIO) -> None:
        """OpenEXR's library writes to a name of its own."""
        from mefuse.write.exr import write_exr

        told = self.linear
        light = colour.linear_light(self.pixels, source=self.metadata.icc, space=told.space)
        with tempfile.TemporaryDirectory(prefix="mefuse-") as folder:
            path = Path(folder) / "fused.exr"
            write_exr(
                light,
                path,
                primaries=profiles.primaries(told.space),
                exposure=told.exposure,
                software=told.software,
                name=self.name,
            )
            with path.open("rb") as written:
                _storing(self.name, lambda: shutil.copyfileobj(written, file, 1 << 20))


def _storing(name: str, write: Callable[[], Any]) -> None:
    """Runs what writes; an error of the system becomes one that names the file."""
    try:
        write()
    except (BrokenPipeError, MefuseError):
        raise  # the reader of a pipe went away, for the command line to judge; or a frame's file
    except OSError as err:
        raise unwritable(Path(name), err) from err
