"""The models that mefuse can fuse with, and the one interface that they share.

A table of names; a model's module is imported only when it is asked for. Whatever is special
about a model stays behind `Fuser`: nothing outside this folder compares model names.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from mefuse.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mefuse.aligned import Aligned
    from mefuse.bands import Bands
    from mefuse.slicework import SliceWork


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """What a model made of a bracket.

    `pixels` is (H, W, 3) uint8 or uint16 in the colour space of the frames; `cache_bytes` what
    its attention cache took, 0 without one; `slice_size` the slices' side in px, None where the
    picture was fused whole. `weight_maps` is how much each frame gives where, (N, h, w) float32 of
    any size, summing to 1 over frames; None where it was not asked for. Where it was asked for in
    bands, `bands` is the picture and `pixels` is empty. `work` is what the slices took; it grows
    while bands are made. `warnings` are sentences.
    """

    pixels: NDArray[Any]
    cache_bytes: int = 0
    slice_size: int | None = None
    weight_maps: NDArray[Any] | None = None
    bands: Bands | None = None
    work: SliceWork | None = None
    warnings: tuple[str, ...] = ()


class Fuser(Protocol):
    """A model that is loaded and ready on its device."""

    @property
    def name(self) -> str:
        """The model's name in `MODELS`."""

    @property
    def device(self) -> str:
        """What it really runs on: "cpu" or "cuda:N"."""

    def fuse(
        self,
        bracket: Aligned,
        *,
        depth: int,
        slice_size: int | None,
        on_slice: Callable[[int, int], None] | None,
        keep_weight_maps: bool = False,
        in_bands: bool = False,
    ) -> Fused:
        """Fuses a bracket.

        Args:
            bracket: its frames as the reference sees them; its crop is what is fused.
            depth: 8 or 16 bits of the result.
            slice_size: side of a slice in px, a multiple of 64; None lets the model choose.
            on_slice: called with slices done and slices in all.
            keep_weight_maps: tell how much each frame gives where.
            in_bands: give the picture in bands, for one that is too large to be held whole.

        Raises:
            DeviceError: the device's memory is too small.
        """


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of the table.

    `loader` is "module:function", called as f(name, device=..., path=...); see `load_fuser`.
    """

    name: str
    summary: str
    loader: str
    weights_name: str | None = None  # None: no network, so nothing to load
    network: str | None = None  # "module:class" of its definition in torch
    config: str | None = None  # "module:class" of the network's sizes

    @property
    def is_network(self) -> bool:
        """Whether it runs trained weights."""
        return self.weights_name is not None


MODELS: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            "ipl",
            "infinite pixel learning: a network that streams slices beside an attention cache",
            "mefuse.stream:load_network_fuser",
            "ipl",
            "mefuse.models.ipl:IPL",
            "mefuse.models.ipl_config:IPLConfig",
        ),
        ModelEntry(
            "deepfuse",
            "DeepFuse on every level: tied features, added, and layers that reconstruct luma",
            "mefuse.level_stream:load_level_fuser",
            "deepfuse",
            "mefuse.models.deepfuse:DeepFuse",
            "mefuse.models.deepfuse:DeepFuseConfig",
        ),
        ModelEntry(
            "lcndr",
            "LCNDR on every level: weight maps of local features and attention, edges revised",
            "mefuse.level_stream:load_level_fuser",
            "lcndr",
            "mefuse.models.lcndr:LCNDR",
            "mefuse.models.lcndr:LCNDRConfig",
        ),
        ModelEntry(
            "mertens",
            "OpenCV's exposure fusion after Mertens et al. 2007; CPU only, needs no weights",
            "mefuse.models.mertens:load_fuser",
        ),
    )
}


def find_model(name: str) -> ModelEntry:
    """The table's entry for a name.

    Raises:
        InputError: there is no such model.
    """
    try:
        return MODELS[name]
    except KeyError:
        raise InputError(f"{name}: no such model; use one of {', '.join(MODELS)}") from None


def load_network_type(name: str) -> Any:
    """The class of a model's network, in torch; it is made with an instance of its config.

    Raises:
        InputError: there is no such model, or it has no network.
    """
    return _named(_network_place(name, find_model(name).network))


def load_config_type(name: str) -> Any:
    """The class of the sizes of a model's network: a frozen dataclass of numbers.

    Raises:
        InputError: there is no such model, or it has no network.
    """
    return _named(_network_place(name, find_model(name).config))


def name_of(network: object) -> str:
    """The name of the model that a network in torch belongs to.

    Raises:
        InputError: it is of no model.
    """
    kind = type(network)
    place = f"{kind.__module__}:{kind.__qualname__}"
    for entry in MODELS.values():
        if entry.network == place:
            return entry.name
    raise InputError(f"{place}: is no model's network; enter it in models/__init__.py")


def _network_place(name: str, place: str | None) -> str:
    """What the table says of a network, where there is one."""
    if place is None:
        raise InputError(f"{name}: has no network; use a model that has weights")
    return place


def load_fuser(name: str, *, device: str, path: Path | None = None) -> Fuser:
    """The model of that name, loaded and on its device ("auto", "cpu", "cuda" or "cuda:N").

    Args:
        name: of the table.
        device: where it runs.
        path: a weights file of the user's own; None: the one that ships with mefuse.

    Raises:
        InputError: no such model, or one that cannot run on such a device.
        DeviceError: the device is absent.
        WeightsError: the weights are missing or damaged.
    """
    return cast("Fuser", _named(find_model(name).loader)(name, device=device, path=path))


def _named(place: str) -> Any:
    """What "module:name" names."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
