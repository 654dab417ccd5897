"""The pipeline: the one place that joins discover, read, align, a model and write.

Knows the order of the steps and what to report of them; knows no file format, no network and no
terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mefuse import __version__, colour, deliver, discover, profiles, read, write
from mefuse.align import Alignment, align_frames
from mefuse.aligned import Aligned
from mefuse.clock import Clock, Progress
from mefuse.coverage import common_area
from mefuse.depth import to_depth
from mefuse.errors import FormatError, InputError
from mefuse.finish import check_look, fuse_with_look
from mefuse.frames import Bracket
from mefuse.memory import peak_memory_bytes
from mefuse.models import Fused, Fuser, find_model, load_fuser
from mefuse.provenance import Making
from mefuse.report import FrameReport, FuseReport
from mefuse.settings import FuseSettings, RawSettings
from mefuse.slices import GRID_PX, Rect

Output = str | Path | BinaryIO

_DEFAULTS = FuseSettings()
_SUSPICIOUS_SHARE = 0.4  # of a frame that moved: the busiest scenes drawn for training reach 0.3
_NO_PIXELS: NDArray[np.uint8] = np.empty((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class _Result:
    """A fused bracket before it is written."""

    fused: Fused
    alignments: tuple[Alignment, ...]
    crop: Rect
    ghost_shares: tuple[float, ...]
    device: str


class Fusion:
    """One bracket on its way through the pipeline: read, align, fuse, write, then report.

    The steps are called in this order, each once, from any thread: a batch overlaps those of
    different brackets. After `fuse` only the fused pixels are held, and the frames where they are
    to be written too; after `write` none.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        output: Output,
        *,
        settings: FuseSettings = _DEFAULTS,
        on_progress: Progress | None = None,
    ) -> None:
        """Refuses what can be refused before any work; see `fuse_files`."""
        self._clock = Clock(on_progress)
        self._output, self._settings = output, settings
        _check(output, settings)
        self._sources = discover.find_sources(paths)

    def read(self) -> int:
        """Decodes the frames, in the reference's colours; returns the bytes of their pixels."""
        with self._clock.step("read", len(self._sources)) as advance:
            self._bracket = read.read_bracket(
                self._sources,
                reference=self._settings.reference,
                raw=_raw_settings(self._settings),
                on_frame=advance,
            )
            self._bracket = colour.in_one_space(self._bracket)
        self._form = _form(self._output, self._settings, is_16_bit=_is_16_bit(self._bracket))
        size = self._bracket.frames[0].size
        write.check_size(self._form, *size, name=_name_of(self._output))
        return sum(frame.pixels.nbytes for frame in self._bracket.frames)

    def align(self) -> None:
        """Finds out how the frames lie on the reference, and what moved in them."""
        self._alignments, self._aligned = align_bracket(
            self._bracket, settings=self._settings, clock=self._clock
        )

    def fuse(self, load: Callable[[], Fuser]) -> int:
        """Fuses, and lets go of what is not to be written; returns how many bytes are still held.

        Args:
            load: gives the model; it may wait until that is loaded.
        """
        depth = deliver.depth_to_fuse(self._form, self._bracket, self._settings)
        self._result = _fuse_bracket(
            self._alignments, self._aligned, load,
            settings=self._settings, depth=depth, clock=self._clock,
        )  # fmt: skip
        self._layers = self._aligned if deliver.wants_frames(self._settings) else None
        self._bracket = _without_pixels(self._bracket)
        del self._aligned
        pixels = self._result.fused.pixels
        self._size = pixels.shape[:2]
        held = () if self._layers is None else self._layers.frames
        return pixels.nbytes + sum(frame.nbytes for frame in held)

    def write(self, file: BinaryIO | None = None) -> None:
        """Writes the fused pixels: into the output, or as its bytes into an open file instead."""
        target = Path(self._output) if isinstance(self._output, str | Path) else self._output
        with self._clock.step("write"):
            self._delivery = deliver.deliver(
                self._result.fused.pixels,
                target if file is None else file,
                name=str(target) if isinstance(target, Path) else "standard output",
                form=self._form,
                bracket=self._bracket,
                aligned=self._layers,
                making=_making(self._bracket, self._settings),
                settings=self._settings,
            )
        self._layers = None
        fused = replace(self._result.fused, pixels=_NO_PIXELS)
        self._result = replace(self._result, fused=fused)

    def report(self) -> FuseReport:
        """What was done, with the time of each step."""
        return _report(
            self._output, self._bracket, self._result, self._delivery,
            size=self._size, settings=self._settings, seconds=self._clock.seconds(),
        )  # fmt: skip


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
    fusion = Fusion(paths, output, settings=settings, on_progress=on_progress)
    with _loading(settings) as loading:
        fusion.read()
        fusion.align()
        fusion.fuse(loading.result)
    fusion.write()
    return fusion.report()


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
    depth = settings.depth or (16 if _is_16_bit(bracket) else 8)
    if depth not in (8, 16):
        raise InputError(f"depth {depth}: pixels in memory have 8 or 16 bits; choose one of them")
    # 16 bits become 8 in one place, with a dither; a model would round.
    fusing = 16 if _is_16_bit(bracket) else depth
    with _loading(settings) as loading:
        clock = Clock()
        alignments, aligned = align_bracket(bracket, settings=settings, clock=clock)
        result = _fuse_bracket(
            alignments, aligned, loading.result, settings=settings, depth=fusing, clock=clock
        )
    return to_depth(result.fused.pixels, depth)


def _check(output: Output, settings: FuseSettings) -> None:
    """Refuses, before any work, what could only fail later."""
    find_model(settings.model)
    size = settings.slice_size
    if isinstance(size, int) and (size <= 0 or size % GRID_PX):
        raise InputError(f"slice size {size}: use a positive multiple of {GRID_PX}, or whole")
    check_look(settings.look)
    form = _form(output, settings, is_16_bit=False)
    if settings.layers and form.name != "tiff":
        raise FormatError(f"{_name_of(output)}: only TIFF holds layers; use .tiff")
    if isinstance(output, str | Path):
        write.check_target(Path(output), settings.overwrite)
    if settings.save_aligned is not None:
        deliver.check_folder(Path(settings.save_aligned), overwrite=settings.overwrite)


def _form(output: Output, settings: FuseSettings, *, is_16_bit: bool) -> write.OutputFormat:
    """The format and depth to write."""
    return write.resolve_format(
        _name_of(output),
        format=settings.format,
        depth=settings.depth,
        source_is_16_bit=is_16_bit,
    )


def _raw_settings(settings: FuseSettings) -> RawSettings:
    """How to develop raw files: into the output's colours, where sRGB would not hold them."""
    match settings.output_profile:
        case "p3" | "adobe-rgb" | "prophoto" as space if settings.raw.space == "srgb":
            return replace(settings.raw, space=space, profile=profiles.standard(space))
    return settings.raw


def _name_of(output: Output) -> str:
    """The output as a report names it."""
    return str(output) if isinstance(output, str | Path) else "-"


def _is_16_bit(bracket: Bracket) -> bool:
    return bracket.frames[0].pixels.dtype == np.uint16


def load_model(settings: FuseSettings) -> Fuser:
    """The model that these settings ask for, loaded and on its device; see `models.load_fuser`."""
    return load_fuser(settings.model, device=settings.device)


@contextmanager
def _loading(settings: FuseSettings) -> Iterator[Future[Fuser]]:
    """The model while it loads beside the reading: on a GPU, importing torch takes longer."""
    with ThreadPoolExecutor(1, thread_name_prefix="load") as pool:
        yield pool.submit(load_model, settings)


def align_bracket(
    bracket: Bracket, *, settings: FuseSettings, clock: Clock
) -> tuple[tuple[Alignment, ...], Aligned]:
    """Aligns, finds the area to fuse and what moved in it."""
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
    return alignments, aligned


def _fuse_bracket(
    alignments: tuple[Alignment, ...],
    aligned: Aligned,
    load: Callable[[], Fuser],
    *,
    settings: FuseSettings,
    depth: int,
    clock: Clock,
) -> _Result:
    """Fuses what is aligned."""
    with clock.step("fuse"):
        fuser = load()
        fused = fuse_with_look(
            fuser,
            aligned,
            look=settings.look,
            depth=depth,
            slice_size=_slice_size(settings, aligned.crop),
            on_slice=lambda done, total: clock.tell("fuse", done, total),
        )
    return _Result(fused, alignments, aligned.crop, aligned.ghost_shares, fuser.device)


def _without_pixels(bracket: Bracket) -> Bracket:
    """The same bracket, its frames' pixels let go: what is left is what a report tells."""
    frames = tuple(replace(frame, pixels=_NO_PIXELS) for frame in bracket.frames)
    return replace(bracket, frames=frames)


def _making(bracket: Bracket, settings: FuseSettings) -> Making:
    """How the picture was made, for its history."""
    names = [frame.source.path.name for frame in bracket.frames]
    return Making(__version__, settings.model, names)


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
    delivery: deliver.Delivery,
    *,
    size: tuple[int, int],
    settings: FuseSettings,
    seconds: dict[str, float],
) -> FuseReport:
    """What was done."""
    frames = tuple(_frame_report(bracket, result, index) for index in range(len(bracket.frames)))
    return FuseReport(
        output=_name_of(output),
        profile=delivery.profile,
        model=settings.model,
        device=result.device,
        size=size,
        reference=frames[bracket.reference].path,
        frames=frames,
        crop=result.crop,
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(),
        cache_bytes=result.fused.cache_bytes,
        warnings=(*_warnings(bracket, result, settings=settings), *delivery.warnings),
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
        ghost_share=round(result.ghost_shares[index], 4),
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
        for frame, share in zip(bracket.frames, result.ghost_shares, strict=True)
        if share > _SUSPICIOUS_SHARE
    ]
    return tuple(dict.fromkeys(collected))
