"""From aligned frames to the picture that users get: a model fuses, the look finishes.

Shared by the pipeline and by evaluation, whose figures then describe what users get. Knows no
file and no model by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.bands import Bands
from mefuse.errors import InputError
from mefuse.look import apply_look, choose_rendering, measure_key
from mefuse.models import Fused, Fuser
from mefuse.settings import (
    CONTRAST_LIMIT,
    EXPOSURE_LIMIT_EV,
    SATURATION_LIMIT,
    LookSettings,
)


def check_look(look: LookSettings) -> None:
    """Refuses controls that go too far.

    Raises:
        InputError: one is beyond its limit.
    """
    for name, value, limit in (
        ("exposure", look.exposure_ev, EXPOSURE_LIMIT_EV),
        ("contrast", look.contrast, CONTRAST_LIMIT),
        ("saturation", look.saturation, SATURATION_LIMIT),
    ):
        if not -limit <= value <= limit:
            raise InputError(f"{name} {value:g}: use a number from {-limit:g} to {limit:g}")


def fuse_with_look(
    fuser: Fuser,
    bracket: Aligned,
    *,
    look: LookSettings,
    depth: int,
    slice_size: int | None = None,
    on_slice: Callable[[int, int], None] | None = None,
    in_bands: bool = False,
    keep_weight_maps: bool = False,
) -> Fused:
    """Fuses a bracket and gives it its look.

    Args:
        fuser: the model.
        bracket: its frames as the reference sees them, darkest first.
        look: how light, how contrasty and how colourful.
        depth: 8 or 16 bits of the result.
        slice_size: see `models.Fuser.fuse`.
        on_slice: see `models.Fuser.fuse`.
        in_bands: see `models.Fuser.fuse`; not for a picture of a series, whose key shows only when
            it is whole.
        keep_weight_maps: see `models.Fuser.fuse`.

    Returns:
        What the model made, with pixels of that depth.

    Raises:
        InputError: a control of the look goes too far.
    """
    check_look(look)
    deep = depth if look.is_neutral else 16
    fused = fuser.fuse(
        bracket, depth=deep, slice_size=slice_size, on_slice=on_slice,
        keep_weight_maps=keep_weight_maps, in_bands=in_bands,
    )  # fmt: skip
    if fused.bands is not None:
        return replace(fused, bands=_finished(fused.bands, look, depth))
    key_ev = None if look.series_key_ev is None else key_of(fused, bracket)
    rendering = choose_rendering(look, key_ev=key_ev)
    return replace(fused, pixels=apply_look(fused.pixels, rendering, depth=depth))


def can_be_in_bands(look: LookSettings) -> bool:
    """Whether a look needs to know no more of a picture than the band that it is given to."""
    return look.series_key_ev is None


def _finished(bands: Bands, look: LookSettings, depth: int) -> Bands:
    """A picture in bands, each given its look."""
    rendering = choose_rendering(look)

    def change(band: NDArray[Any], top: int) -> NDArray[Any]:
        return apply_look(band, rendering, depth=depth, top=top)

    return bands.changed(change, np.dtype(np.uint8 if depth == 8 else np.uint16))


def key_of(fused: Fused, bracket: Aligned) -> float:
    """By how many stops a bracket came out lighter than its reference, before any look."""
    crop = bracket.crop
    reference = bracket.frames[bracket.reference]
    return measure_key(fused.pixels, reference[crop.top : crop.bottom, crop.left : crop.right])
