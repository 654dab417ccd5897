"""Strips hold every window once, and a mean over strips is the mean over the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mefuse.metrics import strips
from mefuse.metrics.strips import strips_of, windows_in


@given(
    height=st.integers(11, 4000),
    width=st.integers(11, 40000),
    planes=st.integers(1, 9),
    window_px=st.integers(1, 11),
)
def test_every_window_lies_in_one_strip(
    height: int, width: int, planes: int, window_px: int
) -> None:
    found = list(strips_of(height, width, planes=planes, window_px=window_px))
    windows = [range(r.start, r.start + windows_in(r, window_px=window_px)) for r in found]
    assert [w for part in windows for w in part] == list(range(height - window_px + 1))
    assert found[-1].stop == height
    most = max(strips.STRIP_PX // (width * planes), 4 * window_px) + window_px - 1
    assert max(r.stop - r.start for r in found) <= most


@pytest.mark.parametrize("strip_px", [1, 1 << 12, 1 << 30])
def test_measures_do_not_depend_on_the_strips(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, strip_px: int
) -> None:
    from mefuse.metrics.mef_ssim import gray_plane, measure_mef_ssim
    from mefuse.metrics.mef_ssimc import measure_mef_ssimc
    from mefuse.metrics.mef_ssimd import measure_mef_ssimd
    from mefuse.metrics.q_abf import measure_q_abf
    from mefuse.metrics.ssim import measure_ssim

    colour = [rng.integers(0, 256, (230, 70, 3)).astype(np.uint8) for _ in range(3)]
    planes = [gray_plane(pixels) for pixels in colour]

    def all_scores() -> list[float]:
        return [
            *measure_mef_ssim(planes[:2], planes[2:]),
            *measure_mef_ssimc(colour[:2], colour[2:]),
            *measure_mef_ssimd(planes[:2], planes[2:]),
            *measure_q_abf(planes[:2], planes[2:]),
            measure_ssim(planes[0], planes[2]),
        ]

    usual = all_scores()
    monkeypatch.setattr(strips, "STRIP_PX", strip_px)
    assert all_scores() == pytest.approx(usual, abs=1e-9)
