"""ISO-aware weights: the noise of a frame at a higher ISO is not taken for detail. A leaf.

Where one frame is noisier than the others, its noise has more local energy than their calm, and
blending by energy would choose it. So of frames that were taken at a higher ISO than another one of
the bracket, the noise that their flat places show is taken from the energy that weighs them, and
their colour counts less where it drowns. A bracket of one ISO is left alone: there all frames hold
about the same noise, in display values, and blending does not amplify it. All is pointwise once a
whole bracket has been seen. It knows no network and no file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mefuse.grid import ENERGY_FLOOR, FINE
from mefuse.noise import NODES, WHITE_SHARE, noise_profile

Planes = NDArray[np.float32]

_HIGHER = 1.9  # times the lowest ISO of the bracket: a stop, however cameras round it
# Chosen on six brackets with one frame at ISO 3200 and the others at base ISO, by the fused
# picture's noise and its distance to the fusion of the same frames at base ISO.
_NOISE_TAKEN = 3.0  # times the mean energy of noise, whose blocks scatter
_LEAST_SHARE = 0.02  # of the energy that stays
_DROWNED = 100.0  # colour at a luma of ten standard deviations counts half
# Energy of white noise in the fine bands beside the finest one's, measured; noise of a camera's
# JPEG is coarser, but what is four times as strong is detail.
_WHITE = (1.0, 0.081, 0.0156)
_COARSER = 4.0


def noisier_frames(isos: Sequence[float | None]) -> tuple[int, ...]:
    """Indices of the frames at a higher ISO than another one; none where one has no ISO."""
    known = [iso for iso in isos if iso]
    if len(known) < len(isos) or not known:
        return ()
    lowest = min(known)
    return tuple(index for index, iso in enumerate(known) if iso >= _HIGHER * lowest)


def without_noise(
    luma: Planes, energies: Planes, gains: Planes, *, rounding: float
) -> tuple[Planes, Planes]:
    """What to add to the log weights of a frame at a higher ISO.

    Args:
        luma: (h, w) 0..1 of the whole frame, on the grid of 8 px.
        energies: (FINE, h, w) mean local energy of each fine band there.
        gains: (FINE, h, w) powers that the network gives to energies.
        rounding: the step between two neighbouring values of a pixel.

    Returns:
        (FINE, h, w) for the fine bands, and (h, w) for chroma; at most 0.
    """
    nodes = np.linspace(0, 1, NODES)
    sigma = np.interp(luma, nodes, noise_profile(luma, energies[0], rounding=rounding))
    finest = (sigma * WHITE_SHARE) ** 2
    added = np.empty_like(energies)
    for band in range(FINE):
        seen = noise_profile(luma, energies[band], rounding=rounding * _WHITE[band] ** 0.5)
        own = (np.interp(luma, nodes, seen) * WHITE_SHARE) ** 2
        noise = np.minimum(own, finest * _WHITE[band] * _COARSER) * _NOISE_TAKEN
        energy = energies[band]
        left = np.maximum(energy - noise, _LEAST_SHARE * energy) + ENERGY_FLOOR
        added[band] = gains[band] * np.log(left / (energy + ENERGY_FLOOR))
    drowned = np.log1p(_DROWNED * (sigma / np.maximum(luma, 1e-3)) ** 2)
    return added, -drowned.astype(np.float32)
