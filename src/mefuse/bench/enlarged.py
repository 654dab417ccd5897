"""Makes brackets of any size for measuring: the built-in room, enlarged, with grain, as files.

Frames are written in bands, so a bracket of gigapixels takes no more memory than one of 4K. What
is in them does not matter for the time, but that they align, differ and do not compress away does.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.bands import Bands
from mefuse.frames import Metadata
from mefuse.synth.sample import F_NUMBER, ISO, make_sample
from mefuse.synth.tags import ExposedBy, exif_block
from mefuse.write import write_picture

_RENDERED = (720, 1280)  # (height, width) of the room that is enlarged
_GRAIN_PX, _GRAIN_CODES = 1024, 3.0
_BAND_ROWS = 512


def write_bracket(
    folder: Path, *, height: int, width: int, count: int, format: str, seed: int = 1
) -> list[Path]:
    """Writes a bracket of `count` frames; gives their paths. What is there already stays.

    Frames beyond three repeat the three exposures' grain anew, a little darker each time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"frame_{k + 1}.{format}" for k in range(count)]
    if all(path.exists() for path in paths):
        return paths
    frames = make_sample(*_RENDERED, seed=seed)
    for k, path in enumerate(paths):
        frame = frames[k % 3]
        source = np.asarray(frame.pixels * np.float32(0.9 ** (k // 3)), np.float32)
        picture = Bands((height, width, 3), np.dtype(np.uint8), _Enlarged(source, height, width, k))
        time_s = frame.exposure_time_s * Fraction(9, 10) ** (k // 3)
        exposed = ExposedBy("enlarged room", time_s, F_NUMBER, ISO)
        write_picture(
            picture if format == "tif" else picture.whole(),
            path,
            format=format,
            quality=92,
            metadata=Metadata(exif=exif_block(exposed, size=(height, width))),
            overwrite=True,
        )
    return paths


class _Enlarged:
    """A small picture, enlarged band by band."""

    def __init__(self, source: NDArray[np.float32], height: int, width: int, seed: int) -> None:
        self._source, self._height, self._width = source, height, width
        rng = np.random.default_rng(seed)
        grain = rng.normal(0, _GRAIN_CODES, (_GRAIN_PX, _GRAIN_PX, 3)).astype(np.float32)
        across = -(-width // _GRAIN_PX)
        self._grain = np.tile(grain, (1, across, 1))[:, :width]

    def __call__(self) -> Iterator[NDArray[Any]]:
        x = np.arange(self._width, dtype=np.float32) + np.float32(0.5)
        x = x * np.float32(self._source.shape[1] / self._width) - np.float32(0.5)
        for top in range(0, self._height, _BAND_ROWS):
            rows = min(_BAND_ROWS, self._height - top)
            y = (np.arange(top, top + rows) + 0.5) * (self._source.shape[0] / self._height) - 0.5
            columns, lines = (
                np.ascontiguousarray(np.broadcast_to(axis, (rows, self._width)))
                for axis in (x, y.astype(np.float32)[:, None])
            )
            remapped = cv2.remap(
                self._source, columns, lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            band = np.asarray(remapped, np.float32)
            at = top % _GRAIN_PX
            band += self._grain[at : at + rows]
            yield np.clip(np.rint(band, out=band), 0, 255, out=band).astype(np.uint8)
