"""One rendering for all frames of a bracket, chosen from their headers before any is developed.

White balance, white level, orientation and size are the same for all, or the means of the frames
would not follow their exposures. Pixels are unpacked only to see where the sensor saturates, and
where a white balance has to be found in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import rawpy

from mefuse.errors import InputError
from mefuse.exposure import camera_stops
from mefuse.extent import check_megapixels
from mefuse.frames import Source
from mefuse.raw.files import Header, Multipliers, normalised, opened, read_header
from mefuse.raw.levels import saturation_level
from mefuse.settings import MAX_MEGAPIXELS, RawSettings

_DEFAULTS = RawSettings()


@dataclass(frozen=True, slots=True)
class Rendering:
    """What all frames of one bracket share when they are developed."""

    white_balance: Multipliers
    saturation: int  # what becomes white, in the sensor's units above its black level
    flip: int  # LibRaw's code: 0, 3 (180 degrees), 5 (90 counter-clockwise), 6 (90 clockwise)
    settings: RawSettings = _DEFAULTS


@dataclass(frozen=True, slots=True)
class Plan:
    """A rendering, for which sources, and by which of them.

    `reference` is the index of the frame whose white balance and orientation hold for all;
    `decided` is whether another frame in its place would have given another rendering.
    """

    sources: tuple[Source, ...]
    rendering: Rendering
    reference: int
    decided: bool
    size: tuple[int, int]
    warnings: tuple[str, ...] = ()


def plan_rendering(
    sources: Sequence[Source],
    *,
    reference: int | None = None,
    settings: RawSettings = _DEFAULTS,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Plan:
    """Chooses one rendering for a bracket of raw files.

    White balance and orientation are those of `reference`, without one those of the middle frame
    by exposure; neither depends on the order of `sources`. White is where the sensor saturates,
    the lowest level of all frames, so that what is clipped in any frame is white, never magenta.

    Raises:
        InputError: the files come from different cameras, or a setting does not fit them.
        ReadError: LibRaw cannot read one of the files, or its sensor has more than
            `max_megapixels`.
    """
    _check(settings)
    headers = [read_header(source) for source in sources]
    for header in headers:
        check_megapixels(header.size, str(header.source.path), max_megapixels)
    at = _middle(headers) if reference is None else reference
    chosen = headers[at]
    _check_cameras(headers, chosen)
    saturation = _saturation(headers)
    white_balance, warnings = _white_balance(chosen, settings, saturation)
    own = {(h.camera_white_balance, h.flip) for h in headers}
    return Plan(
        sources=tuple(header.source for header in headers),
        rendering=Rendering(white_balance, saturation, chosen.flip, settings),
        reference=at,
        decided=len(own) > 1 or settings.white_balance == "auto" or bool(warnings),
        size=chosen.size,
        warnings=warnings + _unused(chosen, settings),
    )


def _check(settings: RawSettings) -> None:
    """Refuses settings that LibRaw, as it was built, cannot follow."""
    able = [kind.name for kind in rawpy.DemosaicAlgorithm if kind.isSupported]
    if settings.demosaic.upper() not in able:
        raise InputError(
            f"demosaicing {settings.demosaic}: LibRaw here has {', '.join(able).lower()}; "
            "choose one of these"
        )
    if not isinstance(settings.white_balance, str) and not all(
        0 < x < float("inf") for x in settings.white_balance
    ):
        raise InputError(f"white balance {settings.white_balance}: give three positive numbers")
    if (settings.space == "srgb") != (settings.profile is None):
        raise InputError(f"colour space {settings.space}: give its ICC profile with it, none: sRGB")


def _middle(headers: Sequence[Header]) -> int:
    """The middle header by exposure; ties by their rendering, so that order does not matter."""
    stops = camera_stops([h.source.exposure for h in headers]) or [0.0] * len(headers)

    def key(i: int) -> tuple[float, tuple[float, ...], int]:
        return stops[i], headers[i].camera_white_balance or (), headers[i].flip

    return sorted(range(len(headers)), key=key)[(len(headers) - 1) // 2]


def _check_cameras(headers: Sequence[Header], chosen: Header) -> None:
    """Refuses frames of different cameras: their colours and sharpness do not match."""
    expected = chosen.camera
    for header in headers:
        camera = header.camera
        named = camera.name and expected.name
        sensors = (camera.colours, camera.matrix), (expected.colours, expected.matrix)
        if sensors[0] != sensors[1] or (named and camera.name != expected.name):
            told = f" ({camera.name}, not {expected.name})" if named else ""
            raise InputError(
                f"{header.source.path}: is from another camera than {chosen.source.path}{told}; "
                "fuse raw files of one camera, or develop them to TIFF first"
            )


def _saturation(headers: Sequence[Header]) -> int:
    """The lowest level above black at which a frame saturates.

    It differs with the ISO, so the brightest frame of each ISO is measured; where it does not
    clip, the others do not, and the nominal level does no harm.
    """
    levels = [header.range for header in headers]
    stops = camera_stops([header.source.exposure for header in headers])
    brightest: dict[object, int] = {}
    for i, header in enumerate(headers):
        kind = (header.source.exposure.iso, header.white_level) if stops else i
        best = brightest.get(kind)
        if best is None or (stops and stops[i] > stops[best]):
            brightest[kind] = i
    for i in brightest.values():
        with opened(headers[i].source.path) as raw:
            level = saturation_level(raw)
        if level is not None:
            levels.append(level - headers[i].black_level)
    return max(1, min(levels))


def _white_balance(
    header: Header, settings: RawSettings, saturation: int
) -> tuple[Multipliers, tuple[str, ...]]:
    """The white balance asked for, and a warning where the camera recorded none."""
    wanted = settings.white_balance
    path = header.source.path
    if header.colours < 3:
        return (1.0, 1.0, 1.0, 1.0), ()
    if not isinstance(wanted, str):
        if header.colours > 3:
            raise InputError(
                f"{path}: its sensor has the colours {header.camera.colours}; "
                "choose the white balance camera, auto or daylight"
            )
        red, green, blue = wanted
        return (red / green, 1.0, blue / green, 0.0), ()
    if wanted == "daylight":
        return header.daylight_white_balance, ()
    if wanted == "camera" and header.camera_white_balance is not None:
        return header.camera_white_balance, ()
    found = _gray_world(header, saturation)
    if wanted == "auto":
        return found, ()
    return found, (f"{path}: records no white balance, taken from the picture instead",)


def _gray_world(header: Header, saturation: int) -> Multipliers:
    """The white balance that makes the mean of what is not clipped gray."""
    with opened(header.source.path) as raw:
        raw.postprocess(
            half_size=True,
            use_auto_wb=True,
            user_sat=saturation,
            no_auto_bright=True,
            adjust_maximum_thr=0.0,
        )
        found = normalised(raw.auto_whitebalance, colours=header.colours)
    return found or header.daylight_white_balance


def _unused(header: Header, settings: RawSettings) -> tuple[str, ...]:
    """Says where a demosaicing was asked for that the sensor has no use for."""
    bayer = header.colours == 3 and header.is_bayer
    if bayer or settings.demosaic == _DEFAULTS.demosaic:
        return ()
    return (f"{header.source.path}: has no Bayer sensor, demosaiced in LibRaw's own way for it",)
