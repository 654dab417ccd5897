"""Highlights: where a frame is clipped, another one's fine detail counts. A leaf.

A light that one frame shows as a white blob and another as letters has more contrast at the blob's
edge, and a network that is trained on contrast keeps the edge. So in the fine bands a frame counts
the less, the nearer to white the darkest of its channels lies, beside the frame that is clipped
least. It is a rule, not trained. All is pointwise. It knows no network and no file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.float32]

CLIPPED = (0.92, 1.0)  # of the darkest channel: from where on, and where wholly
# Log weight that a clipped frame loses. Chosen so that the letters of a lit sign can be read; it
# costs a little of MEF-SSIM on extreme pairs.
LOSS = 8.0


def log_weights(colour: Planes) -> Planes:
    """What to add to the log weights of the fine bands: (N, h, w), at most 0.

    Args:
        colour: (N, 3, h, w) mean RGB on the grid of 8 px, 0..1, display-referred.
    """
    start, end = CLIPPED
    clipped = ((colour.min(1) - start) / (end - start)).clip(0, 1)
    return np.asarray(LOSS * (clipped.min(0) - clipped), np.float32)
