"""SSIM of a fused picture against the true one, in gray: scikit-image's, strip by strip.

Source: Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to
Structural Similarity", IEEE TIP 13(4), 2004, doi:10.1109/TIP.2003.819861, with its own window:
Gaussian of 11 px, sigma 1.5, population moments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mefuse.metrics.scikit import measuring_library
from mefuse.metrics.strips import strips_of

WINDOW_PX = 11
_MARGIN_PX = WINDOW_PX // 2


def measure_ssim(fused: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Mean SSIM of (H, W) gray pictures, both sides at least 11 px; at most 1.

    Raises:
        DependencyError: scikit-image is not installed.
    """
    library = measuring_library()
    total, count = 0.0, 0
    for rows in strips_of(*fused.shape, planes=1, window_px=WINDOW_PX):
        _, similarity = library.metrics.structural_similarity(
            fused[rows],
            truth[rows],
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        inner = similarity[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]
        total += float(inner.sum())
        count += inner.size
    return total / count
