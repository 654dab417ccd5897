"""The kernels that compare exposures give what numpy and OpenCV give."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import exposed, textured_light
from mefuse import ghost_search, response, views
from mefuse.native import compare, library
from mefuse.response import map_levels

SIZES = [(203, 317), (40, 1000), (17, 9), (2, 300)]


@pytest.fixture(autouse=True)
def _with_kernels() -> None:
    if library.load() is None:
        pytest.skip("there are no kernels here; python hatch_build.py builds them")


def _pair(size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two exposures; a third of the second shows something else."""
    light = textured_light(*size, seed=sum(size))
    first, second = exposed(light, 0.0), exposed(light, 2.0).copy()
    noise = np.random.default_rng(3).integers(0, 256, second.shape, np.uint8)
    second[:, : size[1] // 3] = noise[:, : size[1] // 3]
    return first, second


@pytest.mark.parametrize("size", SIZES)
def test_local_contrast(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.asarray(cv2.cvtColor(_pair(size)[1], cv2.COLOR_RGB2GRAY), np.uint8)
    codes[:, -size[1] // 4 :] = 255
    found = views._local_contrast(codes)
    monkeypatch.setattr(library, "load", lambda: None)
    plain = views._local_contrast(codes)
    assert plain.std() > 5
    apart = np.abs(found.astype(int) - plain)
    assert apart.max() <= 1 and (apart > 0).mean() < 0.001


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("shift_px", "scale"), [(3, 1), (1, 3)])
def test_excess(
    size: tuple[int, int], shift_px: int, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _pair(size)
    levels = map_levels(first, exposed(textured_light(*size, seed=sum(size)), 2.0))
    found = ghost_search._excess(first, second, levels, shift_px, scale=scale)
    monkeypatch.setattr(library, "load", lambda: None)
    plain = ghost_search._excess(first, second, levels, shift_px, scale=scale)
    assert plain.max() > 20
    assert np.array_equal(found, plain)


@pytest.mark.parametrize("size", SIZES)
def test_comparagrams(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    pair = _pair(size)
    found = response._comparagrams(*pair)
    monkeypatch.setattr(library, "load", lambda: None)
    plain = response._comparagrams(*pair)
    assert plain.sum() > 0
    assert np.array_equal(found, plain)


@pytest.mark.parametrize("seed", range(4))
def test_ridges(seed: int) -> None:
    """The same paths, of few levels too, where most scores are equal."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 1, (3, 256, 256)).astype(np.float32)
    if seed % 2:
        scores = np.where(scores > 0.99, np.rint(scores * 4), 0).astype(np.float32)
    wanted = response._highest_paths(scores)
    found = compare.ridges(scores)
    assert found is not None and np.array_equal(found, wanted)
    assert (np.diff(found) >= 0).all()
