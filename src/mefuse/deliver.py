"""From fused pixels to the file: profile, bits, metadata, layers, aligned frames, maps.

Called by the pipeline for what comes after fusing. It decides nothing of the pixels but how they
are expressed, and says what a format could not take.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from mefuse import colour, profiles, provenance, write
from mefuse.aligned import Aligned
from mefuse.bands import Bands
from mefuse.depth import to_depth
from mefuse.errors import WriteError
from mefuse.frames import Bracket, Frame, Metadata, Source
from mefuse.landing import check_apart
from mefuse.maps import Maps
from mefuse.profiles import ProfileName
from mefuse.provenance import Making
from mefuse.settings import FuseSettings

Pixels = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the picture: its profile by name, and what could not be kept."""

    profile: str
    warnings: tuple[str, ...] = ()


def wants_frames(settings: FuseSettings) -> bool:
    """Tells whether the aligned frames themselves are to be written, beside the fused picture."""
    return settings.layers or settings.save_aligned is not None


def depth_to_fuse(form: write.OutputFormat, bracket: Bracket, settings: FuseSettings) -> int:
    """The bits at which to fuse: 8 where these pixels go into the file as they are, else 16."""
    reference = bracket.frames[bracket.reference]
    shallow = form.depth == 8 and reference.pixels.dtype == np.uint8
    stays = colour.same_colours(reference.metadata.icc, _target(reference, form, settings)[0])
    return 8 if shallow and stays else 16


def check_folders(settings: FuseSettings) -> None:
    """Checks that the folders of aligned frames and of maps can be used, before any work is done.

    Raises:
        WriteError: one is no folder, is not empty, or cannot be made.
    """
    for name, what in ((settings.save_aligned, "aligned frames"), (settings.save_maps, "maps")):
        if name is not None:
            _check_folder(Path(name), what, overwrite=settings.overwrite)


def _check_folder(folder: Path, what: str, *, overwrite: bool) -> None:
    if os.path.lexists(folder) and not folder.is_dir():  # a link that leads nowhere, too
        raise WriteError(f"{folder}: is a file; name a folder for the {what}")
    if folder.is_dir() and not overwrite and any(folder.iterdir()):
        raise WriteError(f"{folder}: is not empty; name a new folder, or give --overwrite")
    if not folder.parent.is_dir():
        raise WriteError(f"{folder}: there is no folder {folder.parent}; create it first")
    if not os.access(folder if folder.is_dir() else folder.parent, os.W_OK | os.X_OK):
        raise WriteError(f"{folder}: is not writable; choose another folder for the {what}")


def check_frames_stay(output: object, sources: Sequence[Source], settings: FuseSettings) -> None:
    """Refuses, before any work is done, to put anything in the place of a frame.

    Args:
        output: a path; a stream has no place.
        sources: the frames.
        settings: where else to write.

    Raises:
        WriteError: the output, an aligned frame or a map would take a frame's place.
    """
    frames = [source.path for source in sources]
    if isinstance(output, str | Path):
        check_apart(Path(output), frames)
    for folder, endings in (
        (settings.save_aligned, (".tif",)),
        (settings.save_maps, (".weights.png", ".ghost.png")),
    ):
        if folder is None or not settings.overwrite:
            continue
        for index, source, ending in product(range(len(sources)), sources, endings):
            name = f"{_numbered(index, source)}{ending}"
            check_apart(Path(folder) / name, frames)


def deliver(
    fused: Pixels | Bands,
    output: Path | BinaryIO,
    *,
    name: str,
    form: write.OutputFormat,
    bracket: Bracket,
    aligned: Aligned | None,
    maps: Maps | None,
    making: Making,
    settings: FuseSettings,
) -> Delivery:
    """Writes the fused picture as the settings ask for it, after aligned frames and maps.

    The picture comes last: where something fails, there is none.

    Args:
        fused: (H, W, 3) uint8 or uint16 in the reference's profile; in bands for TIFF alone.
        output: a path, or a binary stream.
        name: what messages call the output.
        form: format and bits of the file.
        bracket: the frames; their pixels are not looked at.
        aligned: the same frames as they lie on the reference; None where `wants_frames` says no.
        maps: what was decided about them; None where it is not to be saved.
        making: for the history.
        settings: profile, quality, layers and the like.

    Raises:
        MefuseError: as `write.write_picture`.
    """
    reference = bracket.frames[bracket.reference]
    icc = reference.metadata.icc
    target, warnings = _target(reference, form, settings)
    if form.name != "exr":  # which is made of pixels as they are
        bits = 8 if form.depth == 8 else 16
        fused, icc = _expressed(fused, bits, source=icc, target=target), target
    layers = None if aligned is None else _Layers(bracket.frames, aligned, target)
    if settings.save_aligned is not None and layers is not None:
        _save_aligned(layers, Path(settings.save_aligned), making=making, settings=settings)
    if settings.save_maps is not None and maps is not None:
        stems = [_numbered(index, frame.source) for index, frame in enumerate(bracket.frames)]
        maps.save(Path(settings.save_maps), stems, overwrite=settings.overwrite)
    lost = write.write_picture(
        fused,
        output,
        name=name,
        format=form.name,
        quality=settings.quality,
        compression=settings.compression,
        metadata=_metadata(reference, fused, icc, making=making, settings=settings),
        overwrite=settings.overwrite,
        bits=form.depth,
        layers=layers if settings.layers and layers is not None else (),
        linear=_linear(reference, making, target, settings),
    )
    return Delivery(_named(form, target), (*warnings, *lost))


def _metadata(
    frame: Frame,
    pixels: Pixels | Bands,
    icc: bytes | None,
    *,
    making: Making,
    settings: FuseSettings,
) -> Metadata:
    """What a file of these pixels, which are in the profile `icc`, says of the frame."""
    return provenance.metadata_of_fused(
        frame,
        pixels,
        making=making,
        icc=icc,
        is_srgb=colour.same_colours(icc, None),
        strip=settings.strip,
    )


def _expressed(
    fused: Pixels | Bands, bits: int, *, source: bytes | None, target: bytes | None
) -> Pixels | Bands:
    """The fused pixels in the profile and depth of the file."""

    def change(pixels: Pixels, top: int) -> Pixels:
        converted = colour.converted(pixels, source=source, target=target, top=top)
        return to_depth(converted, bits, top=top)

    if isinstance(fused, Bands):
        return fused.changed(change, np.dtype(np.uint8 if bits == 8 else np.uint16))
    return change(fused, 0)


def _target(
    reference: Frame, form: write.OutputFormat, settings: FuseSettings
) -> tuple[bytes | None, tuple[str, ...]]:
    """The profile of the file, None for sRGB that is not named, and what has to be said of it."""
    if settings.output_profile == "keep":
        target = reference.stored_icc or reference.metadata.icc
    else:
        target = profiles.standard(settings.output_profile)
    if form.name == "jxl" and not colour.same_colours(target, None):
        # The encoder at hand marks every picture as sRGB.
        said = f"converted from {colour.description(target)} to sRGB, the one profile of .jxl here"
        return None, (said,)
    return target, ()


def _space(target: bytes | None) -> ProfileName:
    """The standard space whose primaries a profile has; sRGB where it is none of them."""
    for name in profiles.STANDARD:
        if colour.same_colours(target, profiles.standard(name)):
            return name
    return "srgb"


def _named(form: write.OutputFormat, target: bytes | None) -> str:
    """The profile's name for the report."""
    if form.name == "exr":
        space = _space(target)
        return profiles.description(profiles.standard(space, linear=True))
    return colour.description(target)


def _linear(
    reference: Frame, making: Making, target: bytes | None, settings: FuseSettings
) -> write.LinearLight:
    exposure = None if settings.strip == "all" else reference.source.exposure
    return write.LinearLight(_space(target), exposure, making.software)


@dataclass(frozen=True, slots=True, eq=False)
class _Layers(Sequence[write.Page]):
    """The aligned frames as pages, each warped and converted when it is written."""

    frames: Sequence[Frame]
    aligned: Aligned
    target: bytes | None

    def __len__(self) -> int:
        return len(self.frames)

    @overload
    def __getitem__(self, index: int) -> write.Page: ...
    @overload
    def __getitem__(self, index: slice) -> list[write.Page]: ...
    def __getitem__(self, index: int | slice) -> write.Page | list[write.Page]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        frame, pixels = self.frames[index], self.aligned.frame(index)
        converted = colour.converted(pixels, source=frame.metadata.icc, target=self.target)
        return write.Page(converted, frame.source.path.name)


def _save_aligned(
    layers: _Layers,
    folder: Path,
    *,
    making: Making,
    settings: FuseSettings,
) -> None:
    """Each aligned frame as a TIFF of its own depth, darkest first, with its own metadata."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as err:
        raise WriteError(f"{folder}: cannot be made; name another folder") from err
    making = replace(making, aligned=True)
    for index, frame in enumerate(layers.frames):
        pixels = layers[index].pixels
        write.write_picture(
            pixels,
            folder / f"{_numbered(index, frame.source)}.tif",
            format="tiff",
            quality=settings.quality,
            compression=settings.compression,
            metadata=_metadata(frame, pixels, layers.target, making=making, settings=settings),
            overwrite=settings.overwrite,
        )


def _numbered(index: int, source: Source) -> str:
    """What a frame's own files are called, their extension left out: 01_NAME, the darkest."""
    return f"{index + 1:02}_{source.path.stem}"
