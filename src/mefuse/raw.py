"""Camera raw files -> pixels, through LibRaw; imported only when a raw file is read.

LibRaw's defaults brighten every frame by itself and so destroy a bracket. Here one Rendering
(white balance, white level, orientation) is chosen once and used for all frames: their means
follow the exposures. Pixels are 16-bit sRGB, its own transfer curve included, highlights clipped
at white, so no ICC profile is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rawpy

from mefuse import containers
from mefuse.errors import ReadError
from mefuse.exposure import camera_stops
from mefuse.frames import Exposure, Frame, Metadata, Source

# (power, slope at black) of sRGB's transfer curve, IEC 61966-2-1, in LibRaw's terms.
_SRGB_CURVE = (2.4, 12.92)


@dataclass(frozen=True, slots=True)
class Rendering:
    """What all frames of one bracket share when they are developed."""

    white_balance: tuple[float, float, float, float]
    white_level: int
    flip: int  # LibRaw's code: 0, 3 (180 degrees), 5 (90 counter-clockwise), 6 (90 clockwise)


@dataclass(frozen=True, slots=True)
class _Header:
    source: Source
    rendering: Rendering


def plan_rendering(
    sources: Sequence[Source], *, reference: int | None = None
) -> tuple[list[Source], Rendering]:
    """Chooses one rendering for a bracket of raw files, from their headers.

    White balance and orientation are those of `reference`, without one those of the middle frame
    by exposure; it does not depend on the order of `sources`. The white level is the lowest of
    all, so that what is clipped in any frame is white and never magenta.

    Returns:
        The sources, exposures added where only LibRaw could tell them, and the rendering.

    Raises:
        ReadError: LibRaw cannot read one of the files.
    """
    headers = [_read_header(source) for source in sources]
    chosen = headers[reference] if reference is not None else _middle(headers)
    white_level = min(header.rendering.white_level for header in headers)
    rendering = replace(chosen.rendering, white_level=white_level)
    return [header.source for header in headers], rendering


def render(source: Source, rendering: Rendering) -> Frame:
    """Develops one raw file.

    Returns:
        A frame of (H, W, 3) uint16 sRGB pixels, upright; linear light is proportional to the
        exposure up to the white level.

    Raises:
        ReadError: LibRaw cannot decode the file.
    """
    with _opened(source.path) as raw:
        pixels = raw.postprocess(
            user_wb=list(rendering.white_balance),
            user_sat=_saturation(raw, rendering),
            user_flip=rendering.flip,
            no_auto_bright=True,
            adjust_maximum_thr=0.0,
            output_bps=16,
            output_color=rawpy.ColorSpace.sRGB,
            gamma=_SRGB_CURVE,
            highlight_mode=rawpy.HighlightMode.Clip,
        )
    if pixels.shape[2] == 1:  # a monochrome sensor
        pixels = np.repeat(pixels, 3, axis=2)
    return Frame(source, pixels.view(np.uint16), _read_metadata(source.path))


def _saturation(raw: rawpy.RawPy, rendering: Rendering) -> int | None:
    """LibRaw's user_sat, None where the file's own white level is the bracket's.

    LibRaw takes it as it stands after the black level has been subtracted (measured: with the
    plain white level, gray comes out too dark by black / white).
    """
    if raw.white_level == rendering.white_level:
        return None
    return rendering.white_level - int(min(raw.black_level_per_channel))


@contextmanager
def _opened(path: Path) -> Iterator[rawpy.RawPy]:
    """An open raw file; LibRaw's errors become ReadErrors that name it."""
    try:
        with path.open("rb") as file, rawpy.imread(file) as raw:
            yield raw
    except rawpy.LibRawFileUnsupportedError as err:
        raise ReadError(
            f"{path}: is no raw file that LibRaw can decode; convert it to DNG, TIFF or JPEG"
        ) from err
    except (rawpy.LibRawError, OSError) as err:
        raise ReadError(
            f"{path}: is truncated or damaged; copy it again from the camera, or leave it out"
        ) from err


def _read_header(source: Source) -> _Header:
    with _opened(source.path) as raw:
        rendering = Rendering(_white_balance(raw), int(raw.white_level), int(raw.sizes.flip))
        exposure = _exposure(raw) if source.exposure == Exposure() else source.exposure
    return _Header(replace(source, exposure=exposure), rendering)


def _white_balance(raw: rawpy.RawPy) -> tuple[float, float, float, float]:
    """The camera's white balance, scaled to green 1; daylight where it recorded none."""
    camera, daylight = (
        [float(x) for x in wb] for wb in (raw.camera_whitebalance, raw.daylight_whitebalance)
    )
    red, green, blue, fourth = next(
        (wb for wb in (camera, daylight) if min(wb[:3]) > 0), [1.0, 1.0, 1.0, 0.0]
    )
    return red / green, 1.0, blue / green, max(fourth, 0.0) / green


def _exposure(raw: rawpy.RawPy) -> Exposure:
    """The exposure as LibRaw read it; 0 is its word for unknown."""
    other = getattr(raw, "other", None)  # rawpy since 0.25
    if other is None:
        return Exposure()
    return Exposure(
        exposure_time_s=float(other.shutter_speed) or None,
        f_number=float(other.aperture) or None,
        iso=float(other.iso_speed) or None,
    )


def _middle(headers: Sequence[_Header]) -> _Header:
    """The middle header by exposure; ties by their rendering, so that order does not matter."""
    stops = camera_stops([h.source.exposure for h in headers]) or [0.0] * len(headers)

    def key(i: int) -> tuple[float, tuple[float, ...], int]:
        rendering = headers[i].rendering
        return stops[i], rendering.white_balance, rendering.flip

    return headers[sorted(range(len(headers)), key=key)[(len(headers) - 1) // 2]]


def _read_metadata(path: Path) -> Metadata:
    """What the file says of the photograph; its ICC profile, if any, is not that of our pixels."""
    with path.open("rb") as file:
        return replace(containers.read_metadata(file), icc=None)
