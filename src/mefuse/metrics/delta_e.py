"""How different two pictures' colours look: CIEDE2000, scikit-image's.

Source: Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula: implementation notes,
supplementary test data, and mathematical observations", Color Research & Application 30(1), 2005,
doi:10.1002/col.20070.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefuse.metrics.scikit import measuring_library


def delta_e(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """CIEDE2000 at each pixel (H, W) of two sRGB pictures (H, W, 3) of one type, uint8 or uint16.

    Raises:
        DependencyError: scikit-image is not installed.
    """
    library = measuring_library()
    labs = [library.color.rgb2lab(p / np.iinfo(p.dtype).max) for p in (one, other)]
    difference: NDArray[np.float64] = library.color.deltaE_ciede2000(*labs)
    return difference
