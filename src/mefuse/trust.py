"""Whose colour to trust: what the network's weights of chroma are multiplied by. A leaf.

Where frames render one scene in different hues, the picture should have those of the frame that
shows most of it well, not of whichever is the most colourful: the weights are trained on a measure
that rewards the latter. And a frame's colour counts less where it drowns in the frame's own noise,
because the fusion may lift it. Both are rules, not trained, so that no training finds a way around
them. All is pointwise once a whole bracket has been seen. It knows no network and no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mefuse.noise import NODES, noise_profile

Planes = NDArray[np.float32]

WELL_EXPOSED = (0.05, 0.95)
# The best-exposed frame's colour counts e^PREFERENCE times as much where its luma is above
# SHADOWS, another one's the less, the fewer of its pixels are well exposed. Chosen on the static
# brackets' hue and MEF-SSIMc; the more, the less of the latter.
PREFERENCE, SELECTIVITY = 2.0, 8.0
SHADOWS = (0.05, 0.25)
CLEAR_SNR = 30.0  # luma over noise where half of the preference is left


@dataclass(frozen=True, slots=True, eq=False)
class ColourTrust:
    """How far each frame of a bracket is trusted for colour."""

    shares: tuple[float, ...]  # 1 for the best-exposed frame, towards 0 for others
    sigmas: Planes  # (N, NODES) standard deviation of noise at luma 0..1

    @classmethod
    def of(cls, luma: Planes, energy: Planes, *, rounding: float) -> Self:
        """Trust in the frames of a whole picture.

        Args:
            luma: (N, h, w) 0..1, on the grid of 8 px.
            energy: (N, h, w) mean local energy of the finest band there.
            rounding: the step between two neighbouring values of a pixel.
        """
        low, high = WELL_EXPOSED
        well = np.mean((luma >= low) & (luma <= high), axis=(1, 2)) + 1e-6
        profiles = [
            noise_profile(one, detail, rounding=rounding)
            for one, detail in zip(luma, energy, strict=True)
        ]
        shares = ((well / well.max()) ** SELECTIVITY).tolist()
        return cls(tuple(shares), np.stack(profiles))

    def log_weights(self, luma: Planes) -> Planes:
        """What to add to the log weights of chroma: (N, h, w), for luma (N, h, w)."""
        nodes, (start, end) = np.linspace(0, 1, NODES), SHADOWS
        added = np.empty_like(luma)
        for out, own, share, sigma in zip(added, luma, self.shares, self.sigmas, strict=True):
            noise = np.interp(own, nodes, sigma).astype(np.float32) * np.float32(CLEAR_SNR)
            clear = 1 / (1 + (noise / np.maximum(own, np.float32(1e-4))) ** 2)
            lit = np.clip((own - start) / (end - start), 0, 1)
            out[...] = PREFERENCE * share * lit * clear
        return added
