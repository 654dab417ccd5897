"""Entropy of a fused picture's gray levels, in bits: scikit-image's. More is not always better."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mefuse.metrics.scikit import measuring_library


def measure_entropy(fused: NDArray[np.uint8]) -> float:
    """Shannon entropy of the histogram of a (H, W) gray picture: 0..8 bits.

    Noise and a mean near gray raise it, so read it beside the other measures.

    Raises:
        DependencyError: scikit-image is not installed.
    """
    return float(measuring_library().measure.shannon_entropy(fused))
