"""Highlights: where a frame is clipped, another one's strong fine detail counts. A leaf.

A light that one frame shows as a white blob and another as letters has more contrast at the blob's
edge, and a network that is trained on contrast keeps the edge. So in the fine bands a frame counts
the less, the nearer to white the darkest of its channels lies, beside the frame that is clipped
least, if frames that are not clipped have much contrast there: faint detail of a dark frame is not
worth the edges of a bright one. It is a rule, not trained. All is pointwise. It knows no network
and no file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.float32]

CLIPPED = (0.95, 1.0)  # of the darkest channel: from where on, and where wholly
CONTRAST = (0.06, 0.12)  # root mean square of the fine bands: from where on, and where wholly
# Log weight that a clipped frame loses. Chosen so that the letters of a lit sign can be read, at
# little cost of MEF-SSIM.
LOSS = 8.0


def log_weights(colour: Planes, energies: Planes) -> Planes:
    """What to add to the log weights of the fine bands: (N, h, w), at most 0.

    Args:
        colour: (N, 3, h, w) mean RGB on the grid of 8 px, 0..1, display-referred.
        energies: (N, FINE, h, w) mean local energy of each fine band there.
    """
    start, end = CLIPPED
    clipped = ((colour.min(1) - start) / (end - start)).clip(0, 1)
    start, end = CONTRAST
    shown = (np.sqrt(energies.sum(1)) * (1 - clipped)).max(0)
    worth = ((shown - start) / (end - start)).clip(0, 1)
    return np.asarray(LOSS * worth * (clipped.min(0) - clipped), np.float32)
