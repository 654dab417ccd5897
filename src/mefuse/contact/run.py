"""Makes a contact sheet of one bracket: reads the frames small, fuses them, shows everything.

All is done on reduced frames, so it takes seconds for files of any size; what it shows is what
fusing the files would give, but for the finest detail.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse import __version__, discover, write
from mefuse.bracket import assemble
from mefuse.clock import Clock, Progress
from mefuse.contact.anatomy import Anatomy, dissect
from mefuse.contact.draw import draw_sheet, result_width
from mefuse.contact.panels import Panel, rows_of
from mefuse.depth import to_depth
from mefuse.errors import InputError
from mefuse.exposure import luma_small
from mefuse.finish import check_look
from mefuse.frames import Bracket, Frame, Metadata, Source
from mefuse.landing import check_apart
from mefuse.read import read_bracket
from mefuse.reduced import read_reduced
from mefuse.settings import FuseSettings, RawSettings
from mefuse.words import count_words

WIDTH_PX = 1600
NARROWEST_PX, WIDEST_PX = 320, 8000
_QUICK = RawSettings(demosaic="linear", half_size=True)
_QUALITY = 92  # of JPEG: letters stay clean
_DEFAULTS = FuseSettings()


@dataclass(frozen=True, slots=True)
class SheetSummary:
    """What came out: (height, width) of the sheet, and of the files' own frames."""

    size: tuple[int, int]
    frame_size: tuple[int, int]
    seconds: dict[str, float]
    warnings: tuple[str, ...]


def write_sheet(
    paths: Sequence[str | Path],
    target: Path | BinaryIO,
    *,
    settings: FuseSettings = _DEFAULTS,
    width_px: int = WIDTH_PX,
    on_progress: Progress | None = None,
) -> SheetSummary:
    """Writes a contact sheet of one bracket.

    Args:
        paths: the frames' files, in any order.
        target: a picture file, or an open binary stream, which gets a PNG.
        settings: how to fuse; depth, slice size and quality do not matter here.
        width_px: of the sheet.
        on_progress: called with a step's name, how much of it is done and how much there is.

    Raises:
        MefuseError: one of its kinds; then nothing was written.
    """
    name = str(target) if isinstance(target, Path) else write.STANDARD_OUTPUT
    form = write.resolve_format(name, format=settings.format, depth=8, source_is_16_bit=False)
    if isinstance(target, Path):
        write.check_target(target, settings.overwrite)
    check_look(settings.look)
    sources = discover.find_sources(paths)
    if isinstance(target, Path):
        check_apart(target, [source.path for source in sources])
    clock = Clock(on_progress)
    with clock.step("read"):
        bracket, frame_size = _read(sources, result_width(width_px), settings.reference)
    anatomy = dissect(bracket, settings=settings, clock=clock)
    with clock.step("write"):
        pixels = _sheet(anatomy, settings, frame_size, width_px)
        write.write_picture(
            pixels, target, format=form.name, quality=_QUALITY,
            metadata=Metadata(), overwrite=settings.overwrite,
        )  # fmt: skip
    warnings = [warning for frame in bracket.frames for warning in frame.warnings]
    size = int(pixels.shape[0]), int(pixels.shape[1])
    return SheetSummary(size, frame_size, clock.seconds(), (*warnings, *bracket.warnings))


def _sheet(
    anatomy: Anatomy, settings: FuseSettings, frame_size: tuple[int, int], width_px: int
) -> NDArray[np.uint8]:
    """The sheet's pixels."""
    frames, fused = anatomy.bracket.frames, np.asarray(anatomy.fused.pixels, np.uint8)
    enlargement = max(frame_size) / max(frames[0].size)
    evs = anatomy.bracket.evs
    height, width = (round(side * enlargement) for side in fused.shape[:2])
    reduced = "" if enlargement == 1 else f", fused here at 1/{enlargement:.3g} of it"
    return draw_sheet(
        rows_of(anatomy, enlargement=enlargement),
        Panel(fused, (f"fused, {width} \u00d7 {height} px{reduced}",)),
        title=f"{count_words(len(frames), 'frame')}, {max(evs) - min(evs):.1f} EV apart",
        subtitle=f"mefuse {__version__}, model {settings.model}, ghosts {settings.ghost}",
        width_px=width_px,
    )


def _read(
    sources: Sequence[Source], longest_px: int, reference: int | None
) -> tuple[Bracket, tuple[int, int]]:
    """The bracket, its frames reduced to 8 bits, and (height, width) of the files' own frames."""
    if any(source.is_raw for source in sources) or len(sources) < 2:
        bracket = read_bracket(sources, reference=reference, raw=_QUICK)
        height, width = bracket.frames[0].size
        smaller = tuple(_smaller(frame, longest_px) for frame in bracket.frames)
        return replace(bracket, frames=smaller), (2 * height, 2 * width)
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="read") as pool:
        read = partial(read_reduced, longest_px=longest_px)
        found = list(pool.map(read, (source.path for source in sources)))
    for source, one in zip(sources, found, strict=True):
        if one.size != found[0].size:
            height, width = one.size
            raise InputError(
                f"{source.path}: {width}x{height}, the first is "
                f"{found[0].size[1]}x{found[0].size[0]}; resize it or leave it out"
            )
    frames = [Frame(source, one.pixels) for source, one in zip(sources, found, strict=True)]
    lumas = [luma_small(frame.pixels) for frame in frames]
    return assemble(frames, lumas=lumas, reference=reference), found[0].size


def _smaller(frame: Frame, longest_px: int) -> Frame:
    """A frame reduced where it is larger, in 8 bits."""
    height, width = frame.size
    scale = min(1.0, longest_px / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA)
    return replace(frame, pixels=np.asarray(to_depth(np.asarray(small), 8), np.uint8))
