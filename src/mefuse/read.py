"""Reads frames: files -> upright pixels in source depth, and a whole bracket in canonical order.

The second step. Decoding is below, in decode (pictures) and raw/ (camera raw files); frames become
a bracket in bracket. The order in which frames are named decides nothing: the same files always
give the same Bracket.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefuse import colour, containers, exif
from mefuse.bracket import assemble
from mefuse.decode import check_header, decode, open_tiff_regions, upright
from mefuse.errors import InputError, ReadError
from mefuse.exposure import Luma, luma_small
from mefuse.frames import Bracket, Exposure, Frame, Source
from mefuse.settings import MAX_MEGAPIXELS, RawSettings

_RAW_DEFAULTS = RawSettings()


def read_frame(
    source: Source,
    *,
    raw: RawSettings = _RAW_DEFAULTS,
    by_regions: bool = False,
    max_megapixels: float = MAX_MEGAPIXELS,
    strict: bool = False,
) -> Frame:
    """Reads one frame.

    Args:
        source: which.
        raw: how a raw file is developed; no other file cares.
        by_regions: whether the pixels of a large TIFF may stay in the file: what only slices like
            an array then stands for them.
        max_megapixels: a frame whose header claims more is refused, unless it stays in its file.
        strict: whether a frame that is damaged inside is refused where it could be read so far.

    Returns:
        A Frame whose pixels are (H, W, 3) uint8 or uint16 RGB, upright. Gray becomes three equal
        channels; alpha is dropped, with a warning. Of several pictures in a file the first is
        taken. A raw file is developed as `raw` says, by its own white balance.

    Raises:
        ReadError: the file cannot be opened or decoded, or is truncated or damaged.
    """
    if source.is_raw:
        from mefuse.raw.develop import render  # loads LibRaw: only for those who have raw files
        from mefuse.raw.rendering import plan_rendering

        plan = plan_rendering([source], settings=raw, max_megapixels=max_megapixels)
        frame = render(plan.sources[0], plan.rendering)
        return replace(frame, warnings=(*plan.warnings, *frame.warnings))
    if by_regions and (large := _in_its_file(source)) is not None:
        return large
    name, data = str(source.path), _bytes_of(source, max_megapixels)
    decoded = decode(data, name, max_megapixels=max_megapixels, strict=strict)
    metadata = containers.read_metadata(io.BytesIO(data))
    turn = decoded.orientation or exif.read_orientation(metadata.exif)
    meant = colour.interpreted(upright(decoded.pixels, turn), metadata, name)
    warnings = (*decoded.warnings, *meant.warnings)
    metadata = replace(metadata, icc=meant.icc)
    return Frame(source, meant.pixels, metadata, warnings, stored_icc=meant.stored_icc)


def _bytes_of(source: Source, max_megapixels: float) -> bytes:
    """The whole file, once its header was looked at."""
    name = str(source.path)
    try:
        with source.path.open("rb") as file:
            check_header(file, name, max_megapixels=max_megapixels)
            file.seek(0)
            return file.read()
    except ReadError:
        raise
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise ReadError(f"{name}: cannot be read ({reason}); check the file") from err


def _in_its_file(source: Source) -> Frame | None:
    """A frame whose pixels stay in its file; None where they cannot, or need not.

    They cannot where they have to be turned, or their colours changed, before they are fused.
    """
    opened = open_tiff_regions(source.path)
    if opened is None:
        return None
    with source.path.open("rb") as file:
        metadata = containers.read_metadata(file)
    if exif.read_orientation(metadata.exif) != 1:
        return None
    pixels = opened.pixels
    sample = np.asarray(pixels[:1, :1])
    meant = colour.interpreted(sample, metadata, str(source.path))
    if meant.pixels is not sample:
        return None
    warnings = (*opened.warnings, *meant.warnings)
    return Frame(source, pixels, replace(metadata, icc=meant.icc), warnings)


def read_bracket(
    sources: Sequence[Source],
    *,
    reference: int | None = None,
    raw: RawSettings = _RAW_DEFAULTS,
    by_regions: bool = False,
    max_megapixels: float = MAX_MEGAPIXELS,
    strict: bool = False,
    on_frame: Callable[[int], None] | None = None,
) -> Bracket:
    """Reads the frames of one scene and puts them in canonical order, darkest first.

    Frames that are all black or all white are left out. Without a `reference` the middle frame by
    exposure is taken; of two middle ones, the one with more well-exposed pixels.

    Args:
        sources: two or more, of one size; all raw files, of one camera, or none.
        reference: index into `sources`.
        raw: how raw files are developed; no other file cares.
        by_regions: see `read_frame`.
        max_megapixels: see `read_frame`.
        strict: see `read_frame`.
        on_frame: called with the number of frames read so far, from the calling thread.

    Returns:
        A Bracket that does not depend on the order of `sources`. Exposures come from EXIF where
        every frame has them and the pixels do not contradict them, otherwise from the pixels.

    Raises:
        InputError: fewer than two frames, different sizes or cameras, raw files mixed with others,
            an empty reference, or nothing but empty frames.
        ReadError: a frame cannot be read.

    Note:
        Frames are decoded in as many threads as there are processors, raw files in as many as the
        free memory allows too.
    """
    _check_count([str(source.path) for source in sources], reference)
    _check_kinds(sources)
    if sources[0].is_raw:
        return _read_raw(
            sources, reference=reference, settings=raw, max_megapixels=max_megapixels,
            on_frame=on_frame,
        )  # fmt: skip
    read_one = partial(
        read_frame, by_regions=by_regions, max_megapixels=max_megapixels, strict=strict
    )
    frames, lumas = _in_threads(read_one, sources, os.cpu_count() or 1, on_frame)
    bracket = assemble(frames, lumas=lumas, reference=reference)
    return replace(bracket, warnings=(*bracket.warnings, *_unused(raw)))


def _unused(raw: RawSettings) -> tuple[str, ...]:
    """What was asked for of raw files where there are none."""
    if replace(raw, space="srgb", profile=None) == _RAW_DEFAULTS:
        return ()
    return ("white balance, demosaicing and half size are for raw files, these are none",)


def _read_raw(
    sources: Sequence[Source],
    *,
    reference: int | None,
    settings: RawSettings,
    max_megapixels: float,
    on_frame: Callable[[int], None] | None,
) -> Bracket:
    """A bracket of raw files, all developed as suits its reference.

    Which frame that is may turn out only when the pixels are seen; where it matters, they are
    then developed once more.
    """
    from mefuse.raw.develop import render, workers_for
    from mefuse.raw.rendering import plan_rendering

    plan = plan_rendering(
        sources, reference=reference, settings=settings, max_megapixels=max_megapixels
    )
    workers, threads = workers_for(plan)
    read_one = partial(render, rendering=plan.rendering, threads=threads)
    frames, lumas = _in_threads(read_one, plan.sources, workers, on_frame)
    bracket = assemble(frames, lumas=lumas, reference=reference)
    chosen = bracket.frames[bracket.reference].source
    if reference is None and plan.decided and chosen != plan.sources[plan.reference]:
        at = plan.sources.index(chosen)
        del frames, bracket
        return _read_raw(
            sources, reference=at, settings=settings, max_megapixels=max_megapixels,
            on_frame=on_frame,
        )  # fmt: skip
    return replace(bracket, warnings=(*plan.warnings, *bracket.warnings))


def _in_threads(
    read_one: Callable[[Source], Frame],
    sources: Sequence[Source],
    workers: int,
    on_frame: Callable[[int], None] | None,
) -> tuple[list[Frame], list[Luma]]:
    """The frames in the order of `sources`, each with its small gray picture."""

    def read(source: Source) -> tuple[Frame, Luma]:
        frame = read_one(source)
        return frame, luma_small(frame.pixels)

    frames, lumas = [], []
    with ThreadPoolExecutor(min(workers, len(sources)), thread_name_prefix="read") as pool:
        try:
            for frame, luma in pool.map(read, sources):
                frames.append(frame)
                lumas.append(luma)
                if on_frame is not None:
                    on_frame(len(frames))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # do not decode the rest for nothing
            raise
    return frames, lumas


def bracket_of_pixels(frames: Sequence[NDArray[Any]], *, reference: int | None = None) -> Bracket:
    """Gives the bracket of pixels that are already in memory, as `read_bracket` does of files.

    Args:
        frames: two or more, (H, W, 3) uint8 or uint16 RGB each, upright, of one size, in any
            order; sRGB.
        reference: index into `frames`.

    Raises:
        InputError: fewer than two frames, or frames that do not fit together.
    """
    names = [f"frame {i + 1}" for i in range(len(frames))]
    _check_count(names, reference)
    for name, pixels in zip(names, frames, strict=True):
        if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise InputError(
                f"{name}: {pixels.dtype} of shape {pixels.shape}; give (H, W, 3) uint8 or uint16"
            )
        if pixels.size == 0:
            raise InputError(f"{name}: has no pixels; give a picture")
    return assemble(
        [
            Frame(Source(Path(name), Exposure()), pixels)
            for name, pixels in zip(names, frames, strict=True)
        ],
        lumas=[luma_small(pixels) for pixels in frames],
        reference=reference,
    )


def _check_count(names: Sequence[str], reference: int | None) -> None:
    if len(names) < 2:
        given = f"only {names[0]} was given" if names else "none was given"
        raise InputError(f"a bracket needs at least two frames, {given}; add the other exposures")
    if reference is not None and not 0 <= reference < len(names):
        raise InputError(f"reference {reference}: there are only {len(names)} frames; choose one")


def _check_kinds(sources: Sequence[Source]) -> None:
    raws = [s for s in sources if s.is_raw]
    others = [s for s in sources if not s.is_raw]
    if raws and others:
        raise InputError(
            f"{others[0].path}: is no raw file, {raws[0].path} is; give one kind only, "
            "or the same exposure counts twice"
        )
