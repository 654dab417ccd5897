"""Entropy of gray levels."""

from __future__ import annotations

import numpy as np
import pytest

from mefuse.metrics.entropy import measure_entropy


def test_equally_many_pixels_of_each_level_are_so_many_bits() -> None:
    for levels in (1, 2, 16, 256):
        plane = np.repeat(np.arange(levels, dtype=np.uint8), 256).reshape(16, -1)
        assert measure_entropy(plane) == pytest.approx(np.log2(levels), abs=1e-12)
