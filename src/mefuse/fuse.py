"""The pipeline: the one place that joins discover, read, align, a model and write.

Knows the order of the steps and what to report of them; knows no file format, no network and no
terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mefuse import __version__, colour, deliver, discover, profiles, read, write
from mefuse.account import Result, account_for
from mefuse.align import Alignment, align_frames
from mefuse.aligned import Aligned
from mefuse.clock import Clock, Progress
from mefuse.coverage import common_area
from mefuse.depth import to_depth
from mefuse.doubts import refuse_doubtful
from mefuse.errors import DeviceError, FormatError, InputError
from mefuse.finish import can_be_in_bands, check_look, fuse_with_look
from mefuse.frames import Bracket
from mefuse.maps import Maps
from mefuse.models import Fused, Fuser, find_model, load_fuser
from mefuse.overview import halves_of
from mefuse.provenance import Making
from mefuse.report import FuseReport
from mefuse.settings import FuseSettings, RawSettings
from mefuse.slices import GRID_PX, Rect
from mefuse.slicework import within_memory
from mefuse.soundness import check_fused
from mefuse.unchanged import check_unchanged, stamps_of

Output = str | Path | BinaryIO

_DEFAULTS = FuseSettings()
# From here on a TIFF is fused band by band as it is written; smaller pictures are held whole.
BANDS_FROM_PX = 64_000_000
_NO_PIXELS: NDArray[np.uint8] = np.empty((0, 0, 3), np.uint8)


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
        deliver.check_frames_stay(output, self._sources, settings)

    def read(self) -> int:
        """Decodes the frames, in the reference's colours; returns the bytes of their pixels."""
        self._stamps = stamps_of(source.path for source in self._sources)
        with self._clock.step("read", len(self._sources)) as advance:
            self._bracket = read.read_bracket(
                self._sources,
                reference=self._settings.reference,
                raw=raw_settings(self._settings),
                by_regions=True,
                max_megapixels=self._settings.max_megapixels,
                strict=self._settings.strict,
                on_frame=advance,
            )
            check_unchanged(self._stamps)
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

        A picture that is too large to be held is only decided on here: its pixels are made by
        `write`, which needs the frames until then.

        Args:
            load: gives the model; it may wait until that is loaded.
        """
        in_bands = self._in_bands()
        depth = deliver.depth_to_fuse(self._form, self._bracket, self._settings)
        self._result = _fuse_bracket(
            self._alignments, self._aligned, load,
            settings=self._settings, depth=depth, clock=self._clock, in_bands=in_bands,
        )  # fmt: skip
        fused = check_fused(self._result.fused, self._aligned, name=_name_of(self._output))
        fused = self._of_unchanged(fused)
        self._result = replace(self._result, fused=fused)
        wanted = in_bands or deliver.wants_frames(self._settings)
        frames = self._aligned.frames if wanted else ()
        self._layers = self._aligned if deliver.wants_frames(self._settings) else None
        self._maps = Maps.of(self._result.fused, self._aligned)
        self._bracket = _without_pixels(self._bracket)
        del self._aligned
        self._picture = self._result.fused.bands or self._result.fused.pixels
        self._size = self._picture.shape[:2]
        pixels = self._result.fused.pixels
        return pixels.nbytes + sum(frame.nbytes for frame in frames)

    def _of_unchanged(self, fused: Fused) -> Fused:
        """The same, refused where frames that stay in their files were changed meanwhile."""
        if all(isinstance(frame.pixels, np.ndarray) for frame in self._bracket.frames):
            return fused
        if fused.bands is None:
            check_unchanged(self._stamps)
            return fused
        bands = fused.bands.then(lambda: check_unchanged(self._stamps))
        return replace(fused, bands=bands)

    def _in_bands(self) -> bool:
        """Whether the picture is fused as it is written, band by band."""
        crop = self._aligned.crop
        return (
            crop.height * crop.width >= BANDS_FROM_PX
            and self._form.name == "tiff"
            and can_be_in_bands(self._settings.look)
            and not deliver.wants_frames(self._settings)
        )

    def write(self, file: BinaryIO | None = None) -> None:
        """Writes the fused pixels: into the output, or as its bytes into an open file instead."""
        target = Path(self._output) if isinstance(self._output, str | Path) else self._output
        with self._clock.step("write"):
            self._delivery = deliver.deliver(
                self._picture,
                target if file is None else file,
                name=str(target) if isinstance(target, Path) else "standard output",
                form=self._form,
                bracket=self._bracket,
                aligned=self._layers,
                maps=self._maps,
                making=_making(self._bracket, self._settings),
                settings=self._settings,
            )
        self._layers = self._maps = None
        del self._picture
        fused = replace(self._result.fused, pixels=_NO_PIXELS, bands=None, weight_maps=None)
        self._result = replace(self._result, fused=fused)

    def report(self) -> FuseReport:
        """What was done, with the time of each step."""
        return account_for(
            self._bracket,
            self._result,
            output=_name_of(self._output),
            profile=self._delivery.profile,
            size=self._size,
            settings=self._settings,
            clock=self._clock,
            warnings=self._delivery.warnings,
        )


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
    fused = check_fused(result.fused, aligned, name="the fused pixels")
    return to_depth(fused.pixels, depth)


def _check(output: Output, settings: FuseSettings) -> None:
    """Refuses, before any work, what could only fail later."""
    find_model(settings.model)
    size = settings.slice_size
    if isinstance(size, int) and (size <= 0 or size % GRID_PX):
        raise InputError(f"slice size {size}: use a positive multiple of {GRID_PX}, or whole")
    if not settings.max_megapixels > 0:  # so is what is no number
        raise InputError(f"{settings.max_megapixels} megapixels: use a positive number")
    check_look(settings.look)
    form = _form(output, settings, is_16_bit=False)
    write.check_compression(form, settings.compression, name=_name_of(output))
    if settings.layers and form.name != "tiff":
        raise FormatError(f"{_name_of(output)}: only TIFF holds layers; use .tiff")
    if isinstance(output, str | Path):
        write.check_target(Path(output), settings.overwrite)
    deliver.check_folders(settings)


def _form(output: Output, settings: FuseSettings, *, is_16_bit: bool) -> write.OutputFormat:
    """The format and depth to write."""
    return write.resolve_format(
        _name_of(output),
        format=settings.format,
        depth=settings.depth,
        source_is_16_bit=is_16_bit,
    )


def raw_settings(settings: FuseSettings) -> RawSettings:
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
    pixels, reference = [frame.pixels for frame in bracket.frames], bracket.reference
    with clock.step("align", len(pixels)) as advance:
        halves = halves_of(pixels)
        found: tuple[Alignment, ...] = ()
        if (settings.align or settings.strict) and len(pixels) > 1:
            found = align_frames(
                pixels, reference=reference, evs=bracket.evs, halves=halves, on_frame=advance
            )
        alignments = found if settings.align else ()
        if not alignments:
            alignments = tuple(_unaligned(i == reference) for i in range(len(pixels)))
        transforms = [alignment.transform for alignment in alignments]
        size = bracket.frames[0].size
        names = [str(frame.source.path) for frame in bracket.frames]
        crop = common_area(transforms, size, names=names) if settings.crop else Rect(0, 0, *size)
    with clock.step("ghosts"):
        aligned = Aligned.of(
            pixels,
            transforms=transforms,
            crop=crop,
            reference=reference,
            ghost=settings.ghost,
            icc=bracket.frames[reference].metadata.icc,
            isos=[frame.source.exposure.iso for frame in bracket.frames],
            halves=halves,
        )
    if settings.strict and found:
        refuse_doubtful(bracket, found, aligned.ghost_shares)
    return alignments, aligned


def _fuse_bracket(
    alignments: tuple[Alignment, ...],
    aligned: Aligned,
    load: Callable[[], Fuser],
    *,
    settings: FuseSettings,
    depth: int,
    clock: Clock,
    in_bands: bool = False,
) -> Result:
    """Fuses what is aligned: on another device where that one's memory is too small, if it may."""

    def fuse_on(fuser: Fuser) -> Fused:
        with within_memory(fuser.device):
            return fuse_with_look(
                fuser,
                aligned,
                look=settings.look,
                depth=depth,
                slice_size=_slice_size(settings, aligned.crop),
                on_slice=lambda done, total: clock.tell("fuse", done, total),
                keep_weight_maps=settings.save_maps is not None,
                in_bands=in_bands,
            )

    with clock.step("load"):
        fuser = load()
    warnings: tuple[str, ...] = ()
    with clock.step("fuse"):
        try:
            fused = fuse_on(fuser)
        except DeviceError:
            if settings.device != "auto" or fuser.device == "cpu":
                raise
            warnings = (f"{fuser.device}: out of memory for this bracket, fused on the CPU",)
            fuser = load_model(replace(settings, device="cpu"))
            fused = fuse_on(fuser)
    crop, shares = aligned.crop, aligned.ghost_shares
    return Result(fused, alignments, crop, shares, fuser.device, warnings)


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
