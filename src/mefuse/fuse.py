"""The pipeline: the one place that joins discover, read, align, a model and write.

Knows the order of the steps and what to report of them; knows no file format, no network and no
terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mefuse import discover, read, write
from mefuse.align import Alignment, align_frames
from mefuse.aligned import Aligned
from mefuse.clock import Clock, Progress
from mefuse.coverage import common_area
from mefuse.errors import InputError
from mefuse.frames import Bracket
from mefuse.memory import peak_memory_bytes
from mefuse.models import Fused, Fuser, find_model, load_fuser
from mefuse.report import FrameReport, FuseReport
from mefuse.settings import Depth, FuseSettings
from mefuse.slices import GRID_PX, Rect

Output = str | Path | BinaryIO

_DEFAULTS = FuseSettings()
_SUSPICIOUS_SHARE = 0.4  # of a frame that moved: the busiest scenes drawn for training reach 0.3


@dataclass(frozen=True, slots=True, eq=False)
class _Result:
    """A fused bracket before it is written."""

    fused: Fused
    alignments: tuple[Alignment, ...]
    aligned: Aligned
    device: str


def fuse_files(
    paths: Sequence[str | Path],
    output: Output,
    *,
    settings: FuseSettings = _DEFAULTS,
    on_progress: Progress | None = None,
) -> FuseReport:
    """Fuses the frames of one bracket into one picture file.

    Args:
        paths: the frames' files, in any order; the result does not depend on it.
        output: where to write, in the format of its extension or of `settings.format`; or an
            open binary stream, PNG where no format is set.
        settings: what to do; `settings.reference` counts in `paths`.
        on_progress: called with a step's name, how much of it is done and how much there is;
            from any thread.

    Returns:
        What was done, with the time of each step.

    Raises:
        MefuseError: one of its kinds; then nothing was written.
    """
    clock = Clock(on_progress)
    _check(output, settings)
    sources = discover.find_sources(paths)
    with _loading(settings) as loading:
        with clock.step("read", len(sources)) as advance:
            bracket = read.read_bracket(
                sources, reference=settings.reference, raw=settings.raw, on_frame=advance
            )
        form = _form(output, settings, is_16_bit=_is_16_bit(bracket))
        result = _fuse_bracket(bracket, loading, settings=settings, depth=form.depth, clock=clock)
    with clock.step("write"):
        write.write_picture(
            result.fused.pixels,
            Path(output) if isinstance(output, str | Path) else output,
            format=form.name,
            quality=settings.quality,
            metadata=bracket.frames[bracket.reference].metadata,
            overwrite=settings.overwrite,
        )
    return _report(output, bracket, result, settings=settings, seconds=clock.seconds())


def fuse_pixels(
    frames: Sequence[NDArray[Any]], *, settings: FuseSettings = _DEFAULTS
) -> NDArray[Any]:
    """Fuses pixels that are already in memory.

    Args:
        frames: (H, W, 3) uint8 or uint16 each, RGB, upright, all of one size, in any order.
        settings: what to do; what concerns files is ignored.

    Returns:
        (H, W, 3) uint8 or uint16 (by `settings.depth`, else as the frames), cropped to what all
        frames cover unless `settings.crop` is off.

    Raises:
        MefuseError: one of its kinds.
    """
    bracket = read.bracket_of_pixels(frames, reference=settings.reference)
    depth: Depth = settings.depth or (16 if _is_16_bit(bracket) else 8)
    with _loading(settings) as loading:
        result = _fuse_bracket(bracket, loading, settings=settings, depth=depth, clock=Clock())
    return result.fused.pixels


def _check(output: Output, settings: FuseSettings) -> None:
    """Refuses, before any work, what could only fail later."""
    find_model(settings.model)
    size = settings.slice_size
    if isinstance(size, int) and (size <= 0 or size % GRID_PX):
        raise InputError(f"slice size {size}: use a positive multiple of {GRID_PX}, or whole")
    _form(output, settings, is_16_bit=False)
    if isinstance(output, str | Path):
        write.check_target(Path(output), settings.overwrite)


def _form(output: Output, settings: FuseSettings, *, is_16_bit: bool) -> write.OutputFormat:
    """The format and depth to write."""
    return write.resolve_format(
        _name_of(output),
        format=settings.format,
        depth=settings.depth,
        source_is_16_bit=is_16_bit,
    )


def _name_of(output: Output) -> str:
    """The output as a report names it."""
    return str(output) if isinstance(output, str | Path) else "-"


def _is_16_bit(bracket: Bracket) -> bool:
    return bracket.frames[0].pixels.dtype == np.uint16


@contextmanager
def _loading(settings: FuseSettings) -> Iterator[Future[Fuser]]:
    """The model while it loads beside the reading: on a GPU, importing torch takes longer."""
    with ThreadPoolExecutor(1, thread_name_prefix="load") as pool:
        yield pool.submit(load_fuser, settings.model, device=settings.device)


def _fuse_bracket(
    bracket: Bracket,
    loading: Future[Fuser],
    *,
    settings: FuseSettings,
    depth: int,
    clock: Clock,
) -> _Result:
    """Aligns, crops and fuses."""
    pixels = [frame.pixels for frame in bracket.frames]
    with clock.step("align", len(pixels)) as advance:
        if settings.align and len(pixels) > 1:
            alignments = align_frames(
                pixels, reference=bracket.reference, evs=bracket.evs, on_frame=advance
            )
        else:
            alignments = tuple(_unaligned(i == bracket.reference) for i in range(len(pixels)))
        transforms = [alignment.transform for alignment in alignments]
        size = bracket.frames[0].size
        names = [str(frame.source.path) for frame in bracket.frames]
        whole = Rect(0, 0, *size)
        crop = common_area(transforms, size, names=names) if settings.crop else whole
    with clock.step("ghosts"):
        aligned = Aligned.of(
            pixels,
            transforms=transforms,
            crop=crop,
            reference=bracket.reference,
            ghost=settings.ghost,
        )
    with clock.step("fuse"):
        fuser = loading.result()
        fused = fuser.fuse(
            aligned,
            depth=depth,
            slice_size=_slice_size(settings, crop),
            on_slice=lambda done, total: clock.tell("fuse", done, total),
        )
    return _Result(fused, alignments, aligned, fuser.device)


def _unaligned(is_reference: bool) -> Alignment:
    """A frame left where it is."""
    return Alignment(np.eye(3), 0.0, None, "reference" if is_reference else "none")


def _slice_size(settings: FuseSettings, crop: Rect) -> int | None:
    """The slices' side in px; for the whole picture, one slice that holds it."""
    if settings.slice_size == "whole":
        return -(-max(crop.height, crop.width) // GRID_PX) * GRID_PX
    return settings.slice_size


def _report(
    output: Output,
    bracket: Bracket,
    result: _Result,
    *,
    settings: FuseSettings,
    seconds: dict[str, float],
) -> FuseReport:
    """What was done."""
    height, width = result.fused.pixels.shape[:2]
    frames = tuple(_frame_report(bracket, result, index) for index in range(len(result.alignments)))
    return FuseReport(
        output=_name_of(output),
        model=settings.model,
        device=result.device,
        size=(height, width),
        reference=frames[bracket.reference].path,
        frames=frames,
        crop=result.aligned.crop,
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(),
        cache_bytes=result.fused.cache_bytes,
        warnings=_warnings(bracket, result, settings=settings),
    )


def _frame_report(bracket: Bracket, result: _Result, index: int) -> FrameReport:
    """One frame's part of the report."""
    alignment = result.alignments[index]
    source = bracket.frames[index].source
    return FrameReport(
        path=str(source.path),
        exposure_time_s=source.exposure.exposure_time_s,
        f_number=source.exposure.f_number,
        iso=source.exposure.iso,
        ev=round(bracket.evs[index], 4),
        ev_source=bracket.ev_source,
        transform=tuple(tuple(row) for row in alignment.transform.tolist()),
        shift_px=round(alignment.shift_px, 3),
        residual_px=None if alignment.residual_px is None else round(alignment.residual_px, 3),
        method=alignment.method,
        ghost_share=round(result.aligned.ghost_shares[index], 4),
    )


def _warnings(bracket: Bracket, result: _Result, *, settings: FuseSettings) -> tuple[str, ...]:
    """All that a user should know, each once, in the order of the steps."""
    collected = [warning for frame in bracket.frames for warning in frame.warnings]
    collected += bracket.warnings
    if settings.align:
        collected += [
            f"{frame.source.path}: could not be aligned, left as it is; look for ghosts"
            for frame, alignment in zip(bracket.frames, result.alignments, strict=True)
            if alignment.method == "none" and alignment.residual_px is None
        ]
    collected += [
        f"{frame.source.path}: {share:.0%} of it differ from the reference and were replaced; "
        "look whether the frames show one scene, or leave it out"
        for frame, share in zip(bracket.frames, result.aligned.ghost_shares, strict=True)
        if share > _SUSPICIOUS_SHARE
    ]
    return tuple(dict.fromkeys(collected))
