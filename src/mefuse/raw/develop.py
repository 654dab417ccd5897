"""Develops a raw file: mosaic -> upright 16-bit pixels, by a rendering that a bracket shares.

LibRaw's defaults brighten every frame by itself and so destroy a bracket; everything that would
differ from frame to frame is off here. Highlights are clipped at white: what a frame clips, a
darker frame of the bracket shows, and LibRaw's reconstruction would make clipped light gray and
the whole frame darker.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import rawpy
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mefuse import profiles
from mefuse.frames import Frame, Source
from mefuse.memory import available_memory_bytes
from mefuse.raw.files import makers_crop, opened, read_metadata
from mefuse.raw.rendering import Plan, Rendering
from mefuse.slices import Rect

_SPACES: dict[str, rawpy.ColorSpace] = {
    "srgb": rawpy.ColorSpace.sRGB,
    "p3": rawpy.ColorSpace.P3D65,
    "adobe-rgb": rawpy.ColorSpace.Adobe,
    "prophoto": rawpy.ColorSpace.ProPhoto,
}
# sRGB's curve (IEC 61966-2-1) as LibRaw takes it, power and slope at black, in every space: frames
# are fused in it, so that light and dark meet alike whatever the profile of the output.
_CURVE = (2.4, 12.92)
# Measured at 24 megapixels: the mosaic, LibRaw's four-channel picture, the result, and what some
# ways to demosaic take beside.
_WORKING_BYTES_PER_PX = {"dht": 24, "dcb": 35, "aahd": 50}
_WORKING_BYTES_PER_PX_ELSE = 18
_RESULT_BYTES_PER_PX = 6


def render(source: Source, rendering: Rendering, *, threads: int | None = None) -> Frame:
    """Develops one raw file.

    Args:
        source: the file.
        rendering: from `plan_rendering`.
        threads: for LibRaw's own loops; None: one per processor.

    Returns:
        A frame of (H, W, 3) uint16 pixels, upright, cut to what the maker shows, with the
        primaries of the rendering's space and sRGB's curve; linear light is proportional to the
        exposure up to white. Half as many rows and columns where the settings ask for half size.

    Raises:
        ReadError: LibRaw cannot decode the file.
    """
    settings = rendering.settings
    with (
        threadpool_limits(threads or os.cpu_count() or 1, user_api="openmp"),
        opened(source.path) as raw,
    ):
        crop, sensor = makers_crop(raw), (int(raw.sizes.height), int(raw.sizes.width))
        stretched = raw.sizes.pixel_aspect != 1
        pixels: NDArray[Any] = raw.postprocess(
            demosaic_algorithm=rawpy.DemosaicAlgorithm[settings.demosaic.upper()],
            half_size=settings.half_size,
            user_wb=list(rendering.white_balance),
            user_sat=rendering.saturation,
            user_flip=rendering.flip,
            no_auto_bright=True,
            adjust_maximum_thr=0.0,
            output_bps=16,
            output_color=_SPACES[settings.space],
            gamma=_CURVE,
            highlight_mode=rawpy.HighlightMode.Clip,
        )
    turned = bool(rendering.flip & 4)
    scale = _scale(pixels.shape[:2], sensor[::-1] if turned else sensor)
    if crop is not None and (stretched or scale in ((1.0, 1.0), (0.5, 0.5))):
        pixels = _cut(pixels, _upright(crop, sensor, rendering.flip), scale)
    if settings.half_size and scale == (1.0, 1.0):  # LibRaw halves mosaics of 2x2 only
        size = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    stored = settings.profile
    curved = None if stored is None else profiles.with_curve(stored, "srgb")
    metadata = replace(read_metadata(source.path), icc=curved)
    return Frame(source, _three_channels(pixels), metadata, stored_icc=stored)


def workers_for(plan: Plan) -> tuple[int, int]:
    """Gives how many frames to develop at once, and LibRaw's threads for each.

    As many as there are processors and as fit into three quarters of the memory that is free:
    unpacking and the colour matrix run on one thread of LibRaw, so frames side by side are faster
    than threads within a frame.
    """
    processors = os.cpu_count() or 1
    frames = len(plan.sources)
    pixels = plan.size[0] * plan.size[1]
    way = plan.rendering.settings.demosaic
    working = _WORKING_BYTES_PER_PX.get(way, _WORKING_BYTES_PER_PX_ELSE)
    free = available_memory_bytes()
    workers = min(frames, processors)
    if free is not None:
        spare = 0.75 * free - frames * pixels * _RESULT_BYTES_PER_PX
        workers = min(workers, int(spare // (pixels * working)))
    workers = max(1, workers)
    return workers, max(1, processors // workers)


def _scale(shape: tuple[int, ...], sensor: tuple[int, int]) -> tuple[float, float]:
    """How much smaller the developed picture is than the sensor's; LibRaw rounds halves up."""
    if (shape[0], shape[1]) == (-(-sensor[0] // 2), -(-sensor[1] // 2)):
        return 0.5, 0.5
    return shape[0] / sensor[0], shape[1] / sensor[1]


def _upright(crop: Rect, sensor: tuple[int, int], flip: int) -> Rect:
    """Where a rectangle of the sensor lies once the picture is upright.

    LibRaw's codes are bits: 1 mirrors columns, 2 rows, 4 then swaps rows and columns.
    """
    top = sensor[0] - crop.bottom if flip & 2 else crop.top
    left = sensor[1] - crop.right if flip & 1 else crop.left
    upright = Rect(top, left, crop.height, crop.width)
    return Rect(left, top, crop.width, crop.height) if flip & 4 else upright


def _cut(pixels: NDArray[Any], crop: Rect, scale: tuple[float, float]) -> NDArray[Any]:
    """A copy of the part, so that the borders' memory is given back."""
    top, left = round(crop.top * scale[0]), round(crop.left * scale[1])
    height, width = int(crop.height * scale[0]), int(crop.width * scale[1])
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def _three_channels(pixels: NDArray[Any]) -> NDArray[np.uint16]:
    """(H, W, 3) uint16; a monochrome sensor's one channel three times."""
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    return pixels.view(np.uint16)
