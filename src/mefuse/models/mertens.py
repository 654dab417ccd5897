"""OpenCV's exposure fusion behind mefuse's model interface: the yardstick, and a way without torch.

Takes whole frames and lets OpenCV blend them, so it needs several float copies of the picture and
knows nothing of slices, ghosts or devices.

Source: Mertens, Kautz, Van Reeth, "Exposure Fusion", Pacific Graphics 2007,
doi:10.1109/PG.2007.17, as implemented by cv2.createMergeMertens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.bands import Bands
from mefuse.device import cuda_index
from mefuse.errors import InputError
from mefuse.models import Fused


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
        in_bands: bool = False,
    ) -> Fused:
        """Fuses a bracket whole; see `mefuse.models.Fuser.fuse` for the arguments."""
        warped = [_to_255(frame) for frame in bracket.whole()]
        with _one_thread():
            blended = cv2.createMergeMertens().process(warped)
        del warped
        if on_slice is not None:
            on_slice(1, 1)
        pixels = _to_integers(np.asarray(blended, np.float32), depth)
        if in_bands:
            return Fused(
                pixels[:0], bands=Bands(pixels.shape, pixels.dtype, lambda: iter([pixels]))
            )
        return Fused(pixels)


def load_fuser(name: str, *, device: str) -> MertensFuser:
    """OpenCV's fusion, ready.

    Raises:
        InputError: a GPU was asked for by name, which it cannot use.
    """
    cuda_index(device)  # refuses a name that means nothing
    if device.startswith("cuda"):
        raise InputError(f"the model {name} runs on the CPU only; use --device auto or cpu")
    return MertensFuser()


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV on one thread: on several it adds the frames in the order in which they get ready.

    Float sums then differ from run to run, and now and then a pixel does.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


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
