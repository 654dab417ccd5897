"""Ghost share: how much of a fused picture is not what it would be had nothing moved. Gray.

Ghosts are faint and wide, noise and resampling are fine, so both pictures are blurred before they
are compared, and a pixel counts when the rest differs visibly. Knows no file.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BLUR_PX = 3.0  # sigma: takes sensor noise of 8 codes below 1, leaves a leaf of 10 px
VISIBLE = 8.0  # codes of 255: chosen by eye, a 3 % step of a soft-edged shape on an even wall


def measure_ghost(
    fused: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    *,
    mask: NDArray[np.bool_] | None = None,
) -> float | None:
    """Share of pixels that visibly differ from the truth, 0..1; None where the mask is empty.

    Args:
        fused: (H, W) gray.
        truth: (H, W) gray: the same method's picture of the scene without motion.
        mask: (H, W), the pixels that count, where something moved; None: all.
    """
    if mask is not None and not mask.any():
        return None
    difference = np.abs(_blurred(fused) - _blurred(truth))
    ghosts = difference > VISIBLE
    return float(ghosts.mean() if mask is None else ghosts[mask].mean())


def _blurred(plane: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(plane.astype(np.float32), (0, 0), BLUR_PX), np.float32)
