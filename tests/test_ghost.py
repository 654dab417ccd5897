"""The ghost share counts faint wide things, not noise."""

from __future__ import annotations

import numpy as np
import pytest

from mefuse.metrics.ghost import measure_ghost


def test_it_counts_the_area_of_a_faint_ghost(rng: np.random.Generator) -> None:
    truth = np.full((200, 200), 120, np.uint8)
    fused = np.clip(truth + rng.normal(0, 8, truth.shape), 0, 255).astype(np.uint8)
    assert measure_ghost(fused, truth) == 0
    fused[50:150, 50:150] += 14
    mask = np.zeros(truth.shape, bool)
    mask[50:150, 50:150] = True
    assert measure_ghost(fused, truth) == pytest.approx(0.25, abs=0.02)
    assert measure_ghost(fused, truth, mask=mask) == pytest.approx(1, abs=0.05)
    assert measure_ghost(fused, truth, mask=~mask) == pytest.approx(0, abs=0.02)
    assert measure_ghost(fused, truth, mask=np.zeros_like(mask)) is None
