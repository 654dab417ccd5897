"""SSIM in strips is scikit-image's of the whole picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from mefuse.errors import DependencyError
from mefuse.metrics import scikit, strips
from mefuse.metrics.ssim import measure_ssim


def test_strips_give_what_the_library_gives_of_the_whole(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = rng.integers(0, 256, (150, 90)).astype(np.uint8)
    other = cv2.GaussianBlur(one, (0, 0), 1)
    whole = structural_similarity(
        one,
        other,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    monkeypatch.setattr(strips, "STRIP_PX", 1)
    assert measure_ssim(one, other) == pytest.approx(whole, abs=1e-9)
    assert measure_ssim(one, one) == pytest.approx(1)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(DependencyError, match=r"pip install 'mefuse\[evaluate\]'"):
        scikit.measuring_library()
