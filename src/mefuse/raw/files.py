"""Opens camera raw files and reads what their headers say. The only door to LibRaw.

LibRaw's errors become ReadErrors here, its markers for "unknown" become None. It knows nothing of
brackets.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import rawpy

from mefuse import containers, exif
from mefuse.errors import ReadError
from mefuse.frames import Exposure, Metadata, Source
from mefuse.slices import Rect

Multipliers = tuple[float, float, float, float]  # one per colour of the sensor

_NO_CROP = 0xFFFF  # LibRaw's word for a crop that the file does not state
_MAKE, _MODEL = 0x010F, 0x0110


@dataclass(frozen=True, slots=True)
class Camera:
    """What tells one camera from another; a field that a file does not state is empty."""

    name: str
    colours: str  # of the sensor, RGBG for Bayer
    matrix: tuple[float, ...]  # XYZ -> camera, from LibRaw's table


@dataclass(frozen=True, slots=True)
class Header:
    """What a raw file says before its pixels are unpacked."""

    source: Source
    camera: Camera
    camera_white_balance: Multipliers | None  # None: the camera recorded none
    daylight_white_balance: Multipliers
    black_level: int
    white_level: int  # as stored, black included
    flip: int  # LibRaw's code: 0, 3 (180 degrees), 5 (90 counter-clockwise), 6 (90 clockwise)
    size: tuple[int, int]  # (height, width) of the sensor's picture, borders included
    is_bayer: bool  # colours in cells of 2x2

    @property
    def colours(self) -> int:
        """How many colours the sensor tells apart; 1 for a monochrome one."""
        return len(set(self.camera.colours)) or 1

    @property
    def range(self) -> int:
        """From black to the nominal white."""
        return self.white_level - self.black_level


@contextmanager
def opened(path: Path) -> Iterator[rawpy.RawPy]:
    """An open raw file.

    Raises:
        ReadError: LibRaw cannot read it, or what is done with it inside fails.
    """
    try:
        with path.open("rb") as file, rawpy.imread(file) as raw:
            yield raw
    except (rawpy.LibRawFileUnsupportedError, rawpy.NotSupportedError) as err:
        raise ReadError(
            f"{path}: is no raw file that LibRaw can decode; convert it to DNG, TIFF or JPEG"
        ) from err
    except (rawpy.LibRawUnsufficientMemoryError, rawpy.LibRawTooBigError) as err:
        raise ReadError(f"{path}: does not fit into memory; close other programs") from err
    except (rawpy.LibRawError, OSError) as err:
        raise ReadError(
            f"{path}: is truncated or damaged; copy it again from the camera, or leave it out"
        ) from err


def read_header(source: Source) -> Header:
    """Reads a raw file's header, and the exposure where `source` does not have it yet.

    Raises:
        ReadError: LibRaw cannot read the file.
    """
    name = _camera_name(read_metadata(source.path).exif)
    with opened(source.path) as raw:
        exposure = _exposure(raw) if source.exposure == Exposure() else source.exposure
        colours = raw.num_colors
        return Header(
            source=replace(source, exposure=exposure),
            camera=Camera(
                name=name,
                colours=raw.color_desc.decode("ascii", "replace") if colours > 1 else "",
                matrix=tuple(round(float(x), 4) for x in raw.rgb_xyz_matrix.ravel()),
            ),
            camera_white_balance=normalised(raw.camera_whitebalance, colours=colours),
            daylight_white_balance=normalised(raw.daylight_whitebalance, colours=colours)
            or (1.0, 1.0, 1.0, 0.0),
            black_level=int(min(raw.black_level_per_channel)),
            white_level=int(raw.white_level),
            flip=int(raw.sizes.flip),
            size=(int(raw.sizes.height), int(raw.sizes.width)),
            is_bayer=raw.raw_pattern is not None and raw.raw_pattern.shape == (2, 2),
        )


def read_metadata(path: Path) -> Metadata:
    """Gives the metadata blocks of a raw file.

    Raises:
        ReadError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return containers.read_metadata(file)
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise ReadError(f"{path}: cannot be read ({reason}); check the file") from err


def normalised(multipliers: list[float] | None, *, colours: int) -> Multipliers | None:
    """White balance with green at 1, None where LibRaw has none (zeros, or -1).

    The second green of a Bayer sensor is left to LibRaw (0: as the first): greens that are scaled
    apart would leave a maze behind.
    """
    if multipliers is None or min(multipliers[: min(colours, 4)] or [0.0]) <= 0:
        return None
    red, green, blue, fourth = (float(x) for x in multipliers)
    if colours < 3:
        return 1.0, 1.0, 1.0, 1.0
    return red / green, 1.0, blue / green, fourth / green if colours == 4 else 0.0


def makers_crop(raw: rawpy.RawPy) -> Rect | None:
    """The part of the sensor's picture that the maker shows, None where the file states none.

    Demosaicing needs pixels beyond it, so the borders are cut after developing.
    """
    sizes = raw.sizes
    if _NO_CROP in (sizes.crop_left_margin, sizes.crop_top_margin):
        return None
    crop = Rect(
        sizes.crop_top_margin - sizes.top_margin,
        sizes.crop_left_margin - sizes.left_margin,
        sizes.crop_height,
        sizes.crop_width,
    )
    inside = crop.top >= 0 and crop.left >= 0 and crop.height > 0 and crop.width > 0
    fits = crop.top + crop.height <= sizes.height and crop.left + crop.width <= sizes.width
    return crop if inside and fits else None


def _exposure(raw: rawpy.RawPy) -> Exposure:
    """The exposure as LibRaw read it; 0 is its word for unknown.

    Of APEX values that are 0, which is what cameras write that know nothing, it makes 1 s at f/1.
    """
    other = raw.other
    if other.shutter_speed == other.aperture == 1.0:
        return Exposure()
    return Exposure(
        exposure_time_s=float(other.shutter_speed) or None,
        f_number=float(other.aperture) or None,
        iso=float(other.iso_speed) or None,
    )


def _camera_name(block: bytes | None) -> str:
    """Maker and model as EXIF tells them, empty where it does not."""
    if block is None:
        return ""
    try:
        tiff = exif.TiffReader(io.BytesIO(block))
    except ValueError:
        return ""
    values = [tiff.value(entry) for tag in (_MAKE, _MODEL) if (entry := tiff.main.get(tag))]
    words = [value.split(b"\0")[0].decode("latin-1").strip() for value in values]
    return " ".join(word for word in words if word)
