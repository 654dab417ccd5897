"""Which formats can be written, with what in them, decided before any work is done.

One table; each format's encoder is a file beside this one. Whether the libraries at hand can
write a format is asked of them, not assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from mefuse.errors import FormatError
from mefuse.settings import Compression, FuseSettings

FormatName = Literal["png", "jpeg", "tiff", "webp", "avif", "jxl", "exr"]
Bits = Literal[8, 10, 12, 16]
STANDARD_OUTPUT = "-"


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its name for people, and what a file of it can hold."""

    title: str
    extensions: tuple[str, ...]
    depths: tuple[Bits, ...]
    deep: Bits  # bits where the frames have 16, and nobody asked for other
    longest_px: int | None = None  # of a side
    is_lossy: bool = False  # heeds the quality
    compressions: tuple[Compression, ...] = ()  # that it can be asked for


FORMATS: dict[FormatName, Format] = {
    "png": Format("PNG", ("png",), (8, 16), 16, compressions=("none", "fast", "small")),
    "jpeg": Format("JPEG", ("jpg", "jpeg"), (8,), 8, 65_500, True),
    "tiff": Format(
        "TIFF", ("tif", "tiff"), (8, 16), 16, compressions=("none", "fast", "small", "zstd")
    ),
    "webp": Format("WebP", ("webp",), (8,), 8, 16_383, True),
    "avif": Format("AVIF", ("avif",), (8, 10, 12), 10, 65_536, True),
    "jxl": Format("JPEG XL", ("jxl",), (8, 16), 16, None, True),
    "exr": Format("OpenEXR", ("exr",), (16,), 16),
}
NAMES: tuple[FormatName, ...] = get_args(FormatName)
_BY_EXTENSION = {
    extension: name for name, format in FORMATS.items() for extension in format.extensions
}


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """How the fused picture is stored: a format and its bits per channel (OpenEXR: half floats)."""

    name: FormatName
    depth: Bits


def resolve_format(
    output: str, *, format: str | None, depth: int | None, source_is_16_bit: bool
) -> OutputFormat:
    """Chooses format and depth of the output, before any work is done.

    Args:
        output: the target's path; "-" for standard output, PNG where no format is given.
        format: a format or an extension ("png", "jpg", "tiff", ...); None: by the extension.
        depth: 8, 10, 12 or 16; None: more than 8 where a frame has 16 and the format can hold it.
        source_is_16_bit: whether any frame has 16 bits.

    Raises:
        FormatError: the format is unknown, cannot hold the depth, or lacks a library here.
    """
    if format is not None:
        asked, label = format.lower().lstrip("."), f"format {format}"
    elif output == STANDARD_OUTPUT:
        asked, label = "png", output
    else:
        asked, label = Path(output).suffix.lower().lstrip("."), output
    name = _BY_EXTENSION.get(asked)
    if name is None and not asked:
        raise FormatError(f"{label}: its name tells no format; end it in {writable()}")
    if name is None:
        raise FormatError(f"{label}: cannot be written in this format; use {writable()}")
    form = FORMATS[name]
    _check_library(name, label)
    if depth is not None and depth not in get_args(Bits):
        raise FormatError(f"{label}: {depth} bits cannot be written; choose 8, 10, 12 or 16")
    for bits in form.depths:
        if bits == depth:
            return OutputFormat(name, bits)
    if depth is not None:
        held = " or ".join(map(str, form.depths))
        other = " or ".join(
            f".{f.extensions[0]}" for f in FORMATS.values() if depth in f.depths and f is not form
        )
        raise FormatError(f"{label}: {form.title} holds {held} bits; use {other}, or {held} bits")
    return OutputFormat(name, form.deep if source_is_16_bit else form.depths[0])


def check_size(form: OutputFormat, height: int, width: int, *, name: str) -> None:
    """Refuses a picture with a side longer than the format can hold.

    Raises:
        FormatError: it has one.
    """
    limit = FORMATS[form.name].longest_px
    if limit is not None and max(height, width) > limit:
        title = FORMATS[form.name].title
        raise FormatError(f"{name}: {title} holds {limit} px a side; use .png or .tiff")


def check_compression(form: OutputFormat, compression: Compression, *, name: str) -> None:
    """Refuses a compression that the format does not have; the default goes with every format.

    Raises:
        FormatError: it does not.
    """
    offered = FORMATS[form.name].compressions
    if compression in offered or compression == FuseSettings().compression:
        return
    title = FORMATS[form.name].title
    if offered:
        raise FormatError(f"{name}: {title} has no {compression}; use {', '.join(offered)}")
    raise FormatError(f"{name}: compression is for PNG and TIFF, {title} has none; leave it out")


def writable() -> str:
    """The extensions that can be written here, as a list in words."""
    names = [
        f".{extension}"
        for name, format in FORMATS.items()
        if _missing(name) is None
        for extension in format.extensions
    ]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _check_library(name: FormatName, label: str) -> None:
    missing = _missing(name)
    if missing is not None:
        raise FormatError(f"{label}: {missing}, or choose another of {writable()}")


def _missing(name: FormatName) -> str | None:
    """What to do where a library that a format needs is not there; None where it is."""
    if name == "exr" and find_spec("OpenEXR") is None:
        return "OpenEXR is not installed; pip install 'mefuse[exr]'"
    if name == "jxl":
        import imagecodecs

        if not imagecodecs.JPEGXL.available:
            return "the installed imagecodecs writes no JPEG XL; install one that does"
    if name in ("webp", "avif"):
        import cv2

        if not cv2.haveImageWriter(f".{name}"):
            title = FORMATS[name].title
            return f"the installed OpenCV writes no {title}; pip install opencv-python"
    return None
