"""MEF-SSIMd against a direct per-patch computation; a ghost costs, following one frame does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mefuse.metrics.mef_ssim import gray_plane
from mefuse.metrics.mef_ssimd import matched, measure_mef_ssimd, static_area

SHARED = Path(__file__).parents[2] / "shared" / "data"
Plane = NDArray[np.uint8]
C = (0.03 * 255) ** 2


def _level_of(plane: Plane, other: Plane, level: int) -> int:
    """Where one level goes, by counting pixels."""
    rank = (plane <= level).sum() - (0 if level in (0, 255) else (plane == level).sum() / 2)
    return next(value for value in range(256) if (other <= value).sum() >= rank)


def _matched_slowly(plane: Plane, other: Plane) -> Plane:
    curve = {int(level): _level_of(plane, other, int(level)) for level in np.unique(plane)}
    return np.vectorize(curve.__getitem__)(plane).astype(np.uint8)


def _opened_slowly(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every pixel that some disk of radius 11 around a pixel covers, all of it inside the area."""
    height, width = area.shape
    y, x = np.mgrid[:height, :width]
    opened = np.zeros_like(area)
    for row in range(height):
        for column in range(width):
            disk = (y - row) ** 2 + (x - column) ** 2 <= 11**2
            if area[disk].all():
                opened |= disk
    return opened


def _patches(planes: list[Plane], row: int, column: int) -> NDArray[np.float64]:
    return np.array([p[row : row + 11, column : column + 11] for p in planes], np.float64)


def _static_slowly(frames: list[Plane]) -> NDArray[np.bool_]:
    height, width = (side - 10 for side in frames[0].shape)
    static = np.ones((height, width), bool)
    for i in range(len(frames)):
        for j in range(i + 1, len(frames)):
            agree = np.zeros((height, width), bool)
            for row, column in np.ndindex(height, width):
                one, other = _patches([frames[i], frames[j]], row, column).reshape(2, -1)
                covariance = np.cov(one, other, bias=True)
                norm = np.sqrt(covariance[0, 0] * covariance[1, 1])
                agree[row, column] = (covariance[0, 1] + C) / (norm + C) >= 0.5
            static &= _opened_slowly(agree)
    return static


def _quality(wanted: NDArray[np.float64], patch: NDArray[np.float64]) -> float:
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    one, two = wanted - (window * wanted).sum(), patch - (window * patch).sum()
    covariance = (window * one * two).sum()
    return float((2 * covariance + C) / ((window * (one**2 + two**2)).sum() + C))


def _wanted(
    patches: NDArray[np.float64], contrast_of: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """A mix of patches in the contrast of the strongest of some patches."""
    contrast_of = patches if contrast_of is None else contrast_of
    largest = max(np.linalg.norm(p - p.mean()) + 0.001 for p in contrast_of)
    mix = np.zeros((11, 11))
    for patch in patches:
        strength = np.linalg.norm(patch - patch.mean()) + 0.001
        mix += (strength**4 + 0.001) * (patch - patch.mean()) / strength
    norm = np.linalg.norm(mix)
    return mix / norm * largest if norm > 0 else mix


def _slowly(frames: list[Plane], fused: Plane, static: NDArray[np.bool_]) -> float:
    still = []
    moving: list[list[float]] = [[] for _ in frames]
    pseudo = [
        [_matched_slowly(one, other) for j, other in enumerate(frames) if j != i]
        for i, one in enumerate(frames)
    ]
    for row, column in np.ndindex(*static.shape):
        patch = _patches([fused], row, column)[0]
        patches = _patches(frames, row, column)
        if static[row, column]:
            still.append(_quality(_wanted(patches), patch))
            continue
        for i in range(len(frames)):
            own = patches[i : i + 1]
            shown = np.concatenate([own, _patches(pseudo[i], row, column)])
            moving[i].append(_quality(_wanted(own, shown), patch))
    best = [np.mean(part) for part in moving if part]
    parts = [np.mean(still)] if still else []
    return float(np.mean([*parts, *([max(best)] if best else [])]))


@pytest.fixture
def moving(rng: np.random.Generator) -> list[Plane]:
    """Three exposures; a textured block stands elsewhere in each."""
    scene = cv2.GaussianBlur(rng.uniform(0, 1, (64, 120)), (0, 0), 2)
    scene = (scene - scene.min()) / np.ptp(scene)
    block = cv2.GaussianBlur(rng.uniform(0, 1, (24, 20)), (0, 0), 2)
    block = (block - block.min()) / np.ptp(block)
    frames = []
    for gain, left in ((0.4, 8), (1.0, 12), (2.0, 16)):
        light = scene.copy()
        light[22:46, left : left + 20] = block
        light = np.clip(light * gain + rng.normal(0, 0.005, light.shape), 0, 1)
        frames.append(np.round(255 * light**0.5).astype(np.uint8))
    return frames


def test_it_equals_the_patchwise_computation(moving: list[Plane]) -> None:
    static = static_area(moving)
    assert 0.2 < static.mean() < 0.9  # both kinds occur
    assert np.array_equal(static, _static_slowly(moving))
    fused = np.mean(moving, axis=0).astype(np.uint8)
    (found,) = measure_mef_ssimd(moving, [fused])
    assert found == pytest.approx(_slowly(moving, fused, static), abs=1e-6)


def test_histograms_are_matched_level_by_level(rng: np.random.Generator) -> None:
    plane = np.clip(rng.normal(90, 60, (40, 40)), 0, 255).astype(np.uint8)
    other = np.clip(rng.normal(200, 50, (40, 40)), 0, 255).astype(np.uint8)
    assert np.array_equal(matched(plane, other), _matched_slowly(plane, other))
    assert np.array_equal(matched(plane, plane), plane)


def test_a_ghost_costs_and_either_frame_may_be_followed(moving: list[Plane]) -> None:
    ghost = np.mean(moving, axis=0).astype(np.uint8)
    columns = np.s_[10:58, 4:44]
    clean = [ghost.copy(), ghost.copy()]
    for picture, frame in zip(clean, moving[:2], strict=True):  # the third is clipped
        picture[columns] = matched(frame, ghost)[columns]
    ghosted, *followed = measure_mef_ssimd(moving, [ghost, *clean])
    assert min(followed) > ghosted + 0.05


def test_without_motion_every_patch_is_static(moving: list[Plane]) -> None:
    still = [np.clip(moving[1] * gain, 0, 255).astype(np.uint8) for gain in (0.6, 1.0)]
    assert static_area(still).all()
    (score,) = measure_mef_ssimd(still, [still[1]])
    assert 0.95 < score <= 1


def test_frames_that_share_nothing_have_no_static_part(rng: np.random.Generator) -> None:
    frames = [rng.integers(0, 256, (50, 60)).astype(np.uint8) for _ in range(2)]
    assert not static_area(frames).any()
    first, average = measure_mef_ssimd(frames, [frames[0], np.mean(frames, 0).astype(np.uint8)])
    assert first == pytest.approx(1, abs=0.01)
    assert average < 0.8


@pytest.mark.skipif(not SHARED.is_dir(), reason="the pictures of a ghost are not at hand")
def test_it_sees_the_ghost_of_a_real_bracket() -> None:
    def read(name: str) -> Any:
        return cv2.cvtColor(cv2.imread(str(SHARED / "golden" / name)), cv2.COLOR_BGR2RGB)

    frames = [gray_plane(read(f"ghost3_frame{i}.png")) for i in range(3)]
    average = gray_plane(read("ghost3_average.png"))
    assert 0.8 < static_area(frames).mean() < 1
    ghosted, followed = measure_mef_ssimd(frames, [average, matched(frames[1], average)])
    assert followed > ghosted
