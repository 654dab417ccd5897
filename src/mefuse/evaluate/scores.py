"""All measures of the fused pictures of one scene, as a record of plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mefuse.evaluate.scene import Frames, Picture, Scene
from mefuse.metrics.entropy import measure_entropy
from mefuse.metrics.ghost import measure_ghost
from mefuse.metrics.mef_ssim import gray_plane, measure_mef_ssim
from mefuse.metrics.mef_ssimc import measure_mef_ssimc
from mefuse.metrics.mef_ssimd import measure_mef_ssimd
from mefuse.metrics.psnr import measure_psnr
from mefuse.metrics.q_abf import measure_q_abf
from mefuse.metrics.ssim import measure_ssim


@dataclass(frozen=True, slots=True)
class Scores:
    """What one fused picture scores; None where there is no truth to measure against.

    `mef_ssim`, `mef_ssimc` and `q_abf` are taken against the frames without motion where there are
    some, `mef_ssimd` always against the frames that were fused. `psnr_db`, `ssim` and `ghost_share`
    compare with the true picture, or with what the same method makes of the frames without motion;
    `ghost_share` and `psnr_moved_db` count where something moved, `psnr_still_db` elsewhere;
    without a mask `ghost_share` counts everywhere. `mef_ssim_still` is what the method scores when
    nothing moves.
    """

    mef_ssim: float
    mef_ssimc: float
    mef_ssimd: float
    q_abf: float
    entropy: float
    psnr_db: float | None = None
    ssim: float | None = None
    ghost_share: float | None = None
    psnr_moved_db: float | None = None
    psnr_still_db: float | None = None
    mef_ssim_still: float | None = None


def score(scene: Scene, fused: Sequence[Picture], truths: Sequence[Picture | None]) -> list[Scores]:
    """Measures several fused pictures of one scene.

    Args:
        scene: the frames, and what is known of the truth.
        fused: one picture per method.
        truths: what each would be had nothing moved, where that is known.

    Raises:
        DependencyError: scikit-image is not installed.
    """
    planes = [gray_plane(picture) for picture in fused]
    moving = _planes(scene.frames)
    still = moving if scene.still is None else _planes(scene.still)
    structure, structure_still = _mef_ssim(scene, still, planes, truths)
    columns = zip(
        structure,
        measure_mef_ssimc(scene.motion_free.pixels, fused),
        measure_mef_ssimd(moving, planes),
        measure_q_abf(still, planes),
        [measure_entropy(plane) for plane in planes],
        strict=True,
    )
    true_scores = [_against(scene, *pair) for pair in zip(fused, truths, strict=True)]
    return [
        Scores(*row, *truth, mef_ssim_still=last)
        for row, truth, last in zip(columns, true_scores, structure_still, strict=True)
    ]


def _mef_ssim(
    scene: Scene,
    frames: Sequence[Picture],
    planes: Sequence[Picture],
    truths: Sequence[Picture | None],
) -> tuple[list[float], list[float | None]]:
    """MEF-SSIM of the fused pictures, and of those of the frames without motion; all at once."""
    given = [] if scene.still is None else [gray_plane(t) for t in truths if t is not None]
    scored = measure_mef_ssim(frames, [*planes, *given])
    rest = iter(scored[len(planes) :])
    known = [scene.still is not None and truth is not None for truth in truths]
    return scored[: len(planes)], [next(rest) if one else None for one in known]


def _planes(frames: Frames) -> list[Picture]:
    return [gray_plane(pixels) for pixels in frames.pixels]


def _against(
    scene: Scene, fused: Picture, truth: Picture | None
) -> tuple[float | None, float | None, float | None, float | None, float | None]:
    """PSNR, SSIM, ghost share, and PSNR where something moved and elsewhere."""
    if truth is None:
        return (None,) * 5
    mask = scene.mask
    plane, true_plane = gray_plane(fused), gray_plane(truth)
    return (
        measure_psnr(fused, truth),
        measure_ssim(plane, true_plane),
        measure_ghost(plane, true_plane, mask=mask),
        None if mask is None else measure_psnr(fused, truth, mask=mask),
        None if mask is None else measure_psnr(fused, truth, mask=~mask),
    )
