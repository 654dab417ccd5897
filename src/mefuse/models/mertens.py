"""OpenCV's exposure fusion behind mefuse's model interface: the yardstick, and a way without torch.

Takes whole frames and lets OpenCV blend them, so it needs several float copies of the picture and
knows nothing of slices, ghosts or devices.

Source: Mertens, Kautz, Van Reeth, "Exposure Fusion", Pacific Graphics 2007,
doi:10.1109/PG.2007.17, as implemented by cv2.createMergeMertens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.bands import Bands
from mefuse.device import cuda_index
from mefuse.errors import InputError, ResultError
from mefuse.models import Fused
from mefuse.threads import opencv_on_one_thread


class MertensFuser:
    """OpenCV's MergeMertens with its default weights (contrast, saturation, exposedness)."""

    name = "mertens"
    device = "cpu"

    def fuse(
        self,
        bracket: Aligned,
        *,
        depth: int,
        slice_size: int | None,  # noqa: ARG002  always the whole picture
        on_slice: Callable[[int, int], None] | None,
        keep_weight_maps: bool = False,
        in_bands: bool = False,
    ) -> Fused:
        """Fuses a bracket whole; see `mefuse.models.Fuser.fuse` for the arguments."""
        warped = [_to_255(frame) for frame in bracket.whole()]
        # On several threads it adds the frames in the order in which they get ready: float sums
        # then differ from run to run, and now and then a pixel does.
        with opencv_on_one_thread():
            blended = cv2.createMergeMertens().process(warped)
        kept = _weight_maps(warped) if keep_weight_maps else None
        del warped
        if on_slice is not None:
            on_slice(1, 1)
        if not np.isfinite(np.sum(blended)):
            raise ResultError(
                "OpenCV's fusion gave no numbers, nothing was written; try --model ipl"
            )
        pixels = _to_integers(np.asarray(blended, np.float32), depth)
        if in_bands:
            bands = Bands(pixels.shape, pixels.dtype, lambda: iter([pixels]))
            return Fused(pixels[:0], weight_maps=kept, bands=bands)
        return Fused(pixels, weight_maps=kept)


def load_fuser(name: str, *, device: str, path: Path | None = None) -> MertensFuser:
    """OpenCV's fusion, ready.

    Raises:
        InputError: a GPU was asked for by name, which it cannot use, or weights were given.
    """
    if path is not None:
        raise InputError(f"{path}: the model {name} has no weights; leave the file out")
    cuda_index(device)  # refuses a name that means nothing
    if device.startswith("cuda"):
        raise InputError(f"the model {name} runs on the CPU only; use --device auto or cpu")
    return MertensFuser()


def _weight_maps(frames: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """The weights that MergeMertens gives frames before its pyramids smooth them: (N, H, W).

    Contrast times saturation times well-exposedness, as the paper has them; OpenCV tells none.
    """
    weights = []
    for frame in frames:
        rgb = frame.astype(np.float32) / np.float32(255)
        contrast = np.abs(cv2.Laplacian(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
        exposed = np.exp(-((rgb - 0.5) ** 2) / (2 * 0.2**2)).prod(2)
        weights.append(contrast * rgb.std(2) * exposed + 1e-12)
    stacked = np.asarray(weights, np.float32)
    return np.asarray(stacked / stacked.sum(0), np.float32)


def _to_255(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels as MergeMertens wants them: it divides by 255 whatever the dtype."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    scaled: NDArray[np.float32] = np.multiply(pixels, np.float32(255 / 65535), dtype=np.float32)
    return scaled


def _to_integers(blended: NDArray[np.float32], depth: int) -> NDArray[Any]:
    """The blend, about 0..1 with overshoot, as rounded integers of that depth. Works in place."""
    top, dtype = (255.0, np.uint8) if depth == 8 else (65535.0, np.uint16)
    np.multiply(blended, np.float32(top), out=blended)
    np.rint(blended, out=blended)
    np.clip(blended, 0, top, out=blended)
    return blended.astype(dtype)
