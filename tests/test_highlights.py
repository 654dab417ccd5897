"""Where a frame is clipped, another one's fine detail counts."""

from __future__ import annotations

import numpy as np

from mefuse import highlights
from mefuse.aligned import Aligned
from mefuse.grid import BANDS, CHROMA, FINE, LOGITS, Maps
from mefuse.highlights import Planes
from mefuse.host.features import glimpse
from mefuse.rules import add_trust

STRONG = highlights.CONTRAST[1] ** 2 / 3 * 1.01  # energy of each of three bands


def test_the_darkest_channel_decides_beside_the_least_clipped_frame():
    colour = np.zeros((3, 3, 1, 4), np.float32)
    colour[0] = [0.5, 0.5, 1.0, 1.0]
    colour[1] = [0.98, 1.0, 1.0, 1.0]
    colour[2] = 1.0
    colour[2, 0] = [0.94, 0.94, 0.94, 1.0]  # red is not clipped: a colour
    start, end = highlights.CLIPPED
    half = highlights.LOSS * (0.98 - start) / (end - start)
    wanted = [[0, 0, -highlights.LOSS, 0], [-half, -highlights.LOSS, -highlights.LOSS, 0], [0] * 4]
    added = highlights.log_weights(colour, np.full_like(colour, STRONG))
    np.testing.assert_allclose(added[:, 0], wanted, atol=1e-4)


def test_faint_detail_is_not_worth_it():
    """And strong contrast of a frame that is clipped itself is no detail."""
    colour = np.full((2, 3, 1, 3), 0.5, np.float32)
    colour[1] = 1
    energies = np.zeros((2, 3, 1, 3), np.float32)
    energies[0] = STRONG * np.array([1, 0.1, 0])
    energies[1, ..., 2] = STRONG
    np.testing.assert_allclose(
        highlights.log_weights(colour, energies)[1, 0], [-highlights.LOSS, 0, 0], atol=1e-4
    )


def test_fine_detail_comes_from_the_frame_that_shows_it() -> None:
    """Of what is fine alone, and where a frame is clipped alone: the left half."""
    rng = np.random.default_rng(5)
    dark = rng.integers(0, 240, (128, 256, 3), np.uint8)
    bright = np.full_like(dark, 255)
    bright[:, 128:] = rng.integers(60, 200, (128, 128, 3))
    seen = glimpse([dark, bright])
    shape = seen.luma.shape[1:]
    maps = Maps(np.zeros((2, LOGITS, *shape), np.float32), np.ones((BANDS, *shape), np.float32))
    add_trust(maps, seen, Aligned.of([dark, bright], reference=0, ghost="off"), HostMemory())
    added = maps.logits[:, :CHROMA]
    np.testing.assert_allclose(added[1, :FINE, :, :14], -highlights.LOSS, rtol=1e-5)
    added[1, :FINE, :, :17] = 0  # a cell on the border shows both
    assert not added.any()


class HostMemory:
    """Where grids lie in these tests."""

    def to_host(self, grid: Planes) -> Planes:
        return grid

    def of_host(self, grid: Planes) -> Planes:
        return grid
