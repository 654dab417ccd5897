"""What is decided by rule, beside a network: profiles, whose colour to trust, highlights, noise.

Rules see the whole bracket on the grid of 8 px, in host memory, and add to the network's maps. None
of them is trained, so that no training finds a way around it. It knows no network and no file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mefuse import highlights
from mefuse.aligned import Aligned
from mefuse.gamut import LUMA
from mefuse.grid import CHROMA, FINE, Glimpse, Maps
from mefuse.iso import noisier_frames, without_noise
from mefuse.scratch import let_go
from mefuse.trust import ColourTrust
from mefuse.wide import in_srgb, is_wide

Array = Any  # of the device
NEAR = 1e-3  # squared difference of luma up to which frames count alike
BAND_CELLS = 1 << 20  # weighed at once: of a picture of 67 megapixels


class Device(Protocol):
    """Where grids lie."""

    def to_host(self, grid: Array) -> NDArray[np.float32]:
        """A grid (..., h, w) of one bracket, in host memory."""

    def of_host(self, grid: NDArray[np.float32]) -> Array:
        """The inverse of `to_host`."""


class Refining(Device, Protocol):
    """What refines there."""

    def refine(self, coarse: Array, seen: Glimpse[Array]) -> Array:
        """The fused luma, in agreement with the structure of the frames'."""


def as_learned(
    seen: Glimpse[Array], icc: bytes | None, device: Device
) -> tuple[Glimpse[Array], Array | None]:
    """A glimpse as it would be in sRGB, and what to add to the log weights of chroma (N, h, w)."""
    if not is_wide(icc):
        return seen, None
    colour, added = in_srgb(device.to_host(seen.colour), icc)
    return replace(seen, colour=device.of_host(colour)), device.of_host(added)


def refined(coarse: Array, seen: Glimpse[Array], icc: bytes | None, device: Refining) -> Array:
    """The fused luma on the grid, refined as it would be in sRGB.

    In a wide profile's numbers the same light has other luma. Each frame's difference is known; the
    fused luma has that of the frames it is nearest to.
    """
    shown, added = as_learned(seen, icc, device)
    if added is None:
        return device.refine(coarse, seen)
    luma, fused = device.to_host(seen.luma), device.to_host(coarse)
    other = _luma_of(device.to_host(shown.colour)) - _luma_of(device.to_host(seen.colour))
    near = 1 / ((luma - fused) ** 2 + np.float32(NEAR))
    there = device.of_host(fused + (near * other).sum(0) / near.sum(0))
    changed = device.refine(there, replace(shown, luma=device.of_host(luma + other)))
    return coarse + (changed - there)


def _luma_of(colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Luma (N, h, w) of RGB (N, 3, h, w)."""
    return np.asarray(np.einsum("nchw,c->nhw", colour, np.array(LUMA, np.float32)))


def add_trust(maps: Maps[Array], seen: Glimpse[Array], bracket: Aligned, device: Device) -> None:
    """Adds to the log weights how far each frame's colour and fine detail are trusted."""
    luma, colour = device.to_host(seen.luma), device.to_host(seen.colour)
    step = 1 / np.iinfo(bracket.frames[0].dtype).max
    energies = device.to_host(seen.energies)
    trust = ColourTrust.of(luma, energies[:, 0], rounding=step)
    let_go(energies)
    rows_at_once = max(BAND_CELLS // luma.shape[-1], 1)
    for top in range(0, luma.shape[-2], rows_at_once):
        rows = slice(top, top + rows_at_once)
        added = trust.log_weights(luma[..., rows, :])
        maps.logits[..., CHROMA, rows, :] += device.of_host(added)
        added = highlights.log_weights(colour[..., rows, :], energies[..., rows, :])
        maps.logits[..., :FINE, rows, :] += device.of_host(added[:, None])
        for grid in (colour, energies, maps.logits):  # of a gigapixel 2.6 GB
            let_go(grid)
    for n in noisier_frames(bracket.isos):
        fine, chroma = without_noise(
            luma[n],
            energies[n],
            device.to_host(maps.gains[..., :FINE, :, :]),
            rounding=step,
        )
        maps.logits[..., n, :FINE, :, :] += device.of_host(fine)
        maps.logits[..., n, CHROMA, :, :] += device.of_host(chroma)
