"""OpenEXR with half floats, through the OpenEXR library (the extra mefuse[exr]).

What the numbers mean is in the README: linear light, 1 is what the reference's exposure renders as
white.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefuse.errors import WriteError
from mefuse.frames import Exposure

Chromaticities = tuple[tuple[float, float], ...]


def write_exr(
    light: NDArray[np.float16],
    path: Path,
    *,
    primaries: Chromaticities,
    exposure: Exposure | None,
    software: str,
    name: str,
) -> None:
    """Writes linear light (H, W, 3) as half floats, ZIP-compressed, to `path`.

    Args:
        light: half floats, linear, 1 is white.
        path: the file.
        primaries: (x, y) of red, green, blue and white.
        exposure: of the reference, as OpenEXR's attributes; None for none.
        software: what made it.
        name: the target's name for messages.
    """
    import OpenEXR

    header: dict[str, Any] = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "chromaticities": tuple(float(value) for xy in primaries for value in xy),
        "software": software,
    }
    if exposure is not None:
        told = {
            "expTime": exposure.exposure_time_s,
            "aperture": exposure.f_number,
            "isoSpeed": exposure.iso,
        }
        header |= {key: float(value) for key, value in told.items() if value is not None}
    try:
        with OpenEXR.File(header, {"RGB": light}) as file:
            file.write(str(path))
    except (RuntimeError, ValueError, OSError) as err:
        raise WriteError(f"{name}: encoding failed ({err}); try another format") from err
