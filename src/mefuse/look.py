"""The look: how light, how contrasty and how colourful the fused picture is. A leaf.

Pointwise, after any model: one curve on luma, with colour following it and fitted to the gamut.
The natural look is what the model gives, untouched; docs/look.md has the figures behind that.

Pixels are taken as sRGB-encoded, whatever their profile: the curves of other spaces are close.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.depth import to_depth
from mefuse.gamut import LUMA, to_pixels
from mefuse.settings import LookPreset, LookSettings

Values = NDArray[np.float64]
Curve = NDArray[np.float32]
Tint = NDArray[np.uint16]

# Contrast and saturation of each preset, joined with the controls. Vivid: chosen by eye.
PRESETS: dict[LookPreset, tuple[float, float]] = {"natural": (0.0, 0.0), "vivid": (0.3, 0.35)}
SERIES_LIMIT_EV = 1.5  # no bracket of a series is made lighter or darker by more
TINT_LIMIT_EV = 0.7  # nor redder or bluer; chosen by eye
# Of what luma gains or loses for the series, colour follows by this power. Models give a place much
# the same colour in whatever key they give its luma, so 1 sets neighbours' colours apart: measured,
# their chroma steps by 0.0022 with 1, 0.0007 with 0.35, 0.0004 with 0.1 and 0.2, 0.0006 with 0.
SERIES_FOLLOW = 0.15
SAMPLED_PX = 256  # rows or columns looked at, or up to twice as many; a median needs no more
# Luma and peak between which a frame tells how light the scene is: neither noise nor clipped.
TELLING = (0.03, 0.94)

# Of y = s x / (1 + (s^p - 1) x^p)^(1/p), which multiplies by s in the dark and keeps white; s and
# 1/s undo each other. The larger p, the later it bends: with 1 mid-grey at +1 EV gains 0.76 stops,
# with 1.5 0.87, with 2 0.93, but what is nearly white is torn apart (p = 2: 16 times) at -2 EV.
_BEND = 1.5
_CONTRAST_UP, _CONTRAST_DOWN = 0.9, 0.7  # mid-tone slopes 1.45 and 0.65, at the ends 0.1 and 1.7
_CODES = 65536
_STRIP_PIXELS = 2**18  # of a strip; its planes stay in the cache


@dataclass(frozen=True, slots=True)
class Rendering:
    """What is done to the pixels of one picture; see `LookSettings`.

    `tint_ev`, stops of red and of blue, and then `series_ev` bring it to the colours and the key of
    its series, before all else.
    """

    exposure_ev: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    series_ev: float = 0.0
    tint_ev: tuple[float, float] = (0.0, 0.0)

    @property
    def is_neutral(self) -> bool:
        """Whether it leaves every pixel as it is."""
        return self == Rendering()


def choose_rendering(settings: LookSettings, *, key_ev: float | None = None) -> Rendering:
    """What the settings mean for a picture that came out in this key; None: it stands alone."""
    contrast, saturation = PRESETS[settings.preset]
    shift = 0.0
    if settings.series_key_ev is not None and key_ev is not None:
        shift = settings.series_key_ev - key_ev
        shift = max(-SERIES_LIMIT_EV, min(shift, SERIES_LIMIT_EV))
    return Rendering(
        settings.exposure_ev,
        min(contrast + settings.contrast, 1.0),
        min((1 + saturation) * (1 + settings.saturation) - 1, 1.0),  # -1 is gray in any preset
        shift,
        settings.series_tint_ev,
    )


def measure_key(fused: NDArray[Any], reference: NDArray[Any]) -> float:
    """By how many stops a fused picture is lighter than its reference, in the median.

    Args:
        fused: (H, W, 3) uint8 or uint16, RGB, sRGB-encoded.
        reference: the frame that the others align to, the same part of it, the same size.
    """
    own = _sampled(reference)
    luma = own @ np.array(LUMA, np.float32)
    telling = (luma > TELLING[0]) & (own.max(-1) < TELLING[1])
    if telling.mean() < 0.01:  # all black or clipped: it tells little, but a little
        telling[...] = True
    fused_luma = _sampled(fused)[telling] @ np.array(LUMA, np.float32)
    stops = np.log2(_linear(fused_luma) + 1e-4) - np.log2(_linear(luma[telling]) + 1e-4)
    return float(np.median(stops))


def apply_look(
    pixels: NDArray[Any], rendering: Rendering, *, depth: int, top: int = 0
) -> NDArray[Any]:
    """Renders a picture.

    Args:
        pixels: (H, W, 3) uint8 or uint16, RGB, sRGB-encoded; may be overwritten. 16 bits, where a
            smooth sky must not band.
        rendering: what to do.
        depth: 8 or 16 bits of the result, dithered where that is fewer.
        top: the row of the picture at which `pixels` begins, for pictures in parts.

    Returns:
        uint8 or uint16; the same array where there is nothing to do.

    Note:
        Strips on all cores; beside the result it holds a strip in float32 per core.
    """
    if rendering.is_neutral:
        return to_depth(pixels, depth, top=top)
    dtype = np.uint8 if depth == 8 else np.uint16
    rendered = pixels if pixels.dtype == dtype else np.empty(pixels.shape, dtype)
    height, width = pixels.shape[:2]
    render = partial(
        _render_rows, pixels, rendered, _curves(rendering), rendering.saturation, top=top
    )
    each = max(_STRIP_PIXELS // width, 1)
    strips = [slice(top, min(top + each, height)) for top in range(0, height, each)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(render, strips))
    return rendered


def in_series(points: Values, *, series_ev: float, tint_ev: tuple[float, float]) -> Values:
    """A few pixels as `apply_look` brings them to their series, but for the border of the gamut.

    Args:
        points: (P, 3) RGB, sRGB-encoded, 0..1.
        series_ev: as of a Rendering.
        tint_ev: as of a Rendering.
    """
    red, green, blue = points.T
    tinted = np.stack((_exposed(red, tint_ev[0]), green, _exposed(blue, tint_ev[1])), 1)
    luma = (tinted @ np.array(LUMA))[:, np.newaxis]
    keyed = _exposed(luma, series_ev)
    follow = (keyed / np.maximum(luma, 1e-6)) ** SERIES_FOLLOW
    return np.asarray(np.clip(keyed + (tinted - luma) * follow, 0, 1))


def tone_curve(rendering: Rendering, luma: Values) -> Values:
    """Luma after rendering, 0..1 to 0..1, sRGB-encoded: always rising, black and white stay."""
    luma = _exposed(luma, rendering.series_ev + rendering.exposure_ev)
    amount = rendering.contrast * (_CONTRAST_UP if rendering.contrast > 0 else _CONTRAST_DOWN)
    return luma + amount * luma * (1 - luma) * (2 * luma - 1)


def _exposed(luma: Values, stops: float) -> Values:
    """Luma with so many stops more light."""
    if stops == 0:
        return luma
    light, factor = _linear(luma), 2.0**stops
    return _encoded(factor * light / (1 + (factor**_BEND - 1) * light**_BEND) ** (1 / _BEND))


@dataclass(frozen=True, slots=True, eq=False)
class _Curves:
    """For every code of 16 bits: of luma, the code after rendering and what colour follows by.

    `tints` are for red and blue, before that; None: they stay.
    """

    luma: Curve
    follow: Curve
    tints: tuple[Tint, Tint] | None


def _curves(rendering: Rendering) -> _Curves:
    """What the rendering does to every code."""
    luma = np.arange(_CODES) / (_CODES - 1)
    rendered = np.clip(tone_curve(rendering, luma), 0, 1)
    in_key = _exposed(luma, rendering.series_ev)
    follow = np.ones_like(luma)
    follow[1:] = rendered[1:] / in_key[1:] * (in_key[1:] / luma[1:]) ** SERIES_FOLLOW
    follow[0] = follow[1]
    to_code = (rendered * (_CODES - 1)).astype(np.float32)
    return _Curves(to_code, follow.astype(np.float32), _tints(rendering))


def _tints(rendering: Rendering) -> tuple[Tint, Tint] | None:
    """For every code of red and of blue: the code after tinting.

    Black and white stay, so that no light that is white gets a colour.
    """
    if rendering.tint_ev == (0.0, 0.0):
        return None
    codes = np.arange(_CODES) / (_CODES - 1)
    red, blue = (
        (np.clip(_exposed(codes, stops), 0, 1) * (_CODES - 1)).round().astype(np.uint16)
        for stops in rendering.tint_ev
    )
    return red, blue


def _render_rows(
    pixels: NDArray[Any],
    rendered: NDArray[Any],
    curves: _Curves,
    saturation: float,
    rows: slice,
    *,
    top: int,
) -> None:
    """Renders some rows."""
    deep = to_depth(pixels[rows], 16)
    if curves.tints is not None:
        to_red, to_blue = curves.tints
        red, green, blue = cv2.split(deep)
        deep = np.asarray(cv2.merge((to_red[red], green, to_blue[blue])))
    luma = np.asarray(cv2.cvtColor(deep, cv2.COLOR_RGB2GRAY))  # rounded: a look-up needs a code
    follow = curves.follow[luma]
    reds, blues = (
        np.asarray(cv2.subtract(cv2.extractChannel(deep, k), luma, dtype=cv2.CV_32F), np.float32)
        for k in (0, 2)
    )
    reds *= follow
    blues *= follow
    fresh = to_pixels(
        curves.luma[luma], (reds, blues), full=_CODES - 1.0, depth=16, saturation=saturation
    )
    rendered[rows] = to_depth(fresh, 8 if rendered.dtype == np.uint8 else 16, top=top + rows.start)


def _sampled(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Some of the pixels, evenly spread, 0..1."""
    step = max(max(pixels.shape[:2]) // SAMPLED_PX, 1)
    full = np.float32(1 / np.iinfo(pixels.dtype).max)
    some: NDArray[np.float32] = np.multiply(pixels[::step, ::step], full, dtype=np.float32)
    return some


def _linear(encoded: NDArray[Any]) -> NDArray[Any]:
    """sRGB-encoded values as linear light, both 0..1. Source: IEC 61966-2-1."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _encoded(linear: NDArray[Any]) -> NDArray[Any]:
    """Inverse of `_linear`."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
