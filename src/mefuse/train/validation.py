"""Validation: synthetic brackets of pictures that training never sees, against OpenCV's Mertens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mefuse.blend import to_rgb, within_gamut
from mefuse.metrics.mef_ssim import gray, mef_ssim
from mefuse.metrics.mef_ssimc import mef_ssimc
from mefuse.models.ipl_config import CELL_PX, Region
from mefuse.synth.camera import Camera
from mefuse.synth.pictures import Picture
from mefuse.synth.scenes import draw_exposures, draw_scene
from mefuse.train.data import Sample
from mefuse.train.yardstick import fuse_mertens

KINDS = ("pair", "three")
CASES = 12  # per kind
SEED = 20_000


@dataclass(frozen=True, slots=True)
class _Case:
    """One bracket and what OpenCV's Mertens loses on it."""

    kind: str
    sample: Sample
    mertens: tuple[float, float]  # MEF-SSIM, MEF-SSIMc


def _scores(frames: Tensor, fused: Tensor) -> tuple[float, float]:
    """MEF-SSIM and MEF-SSIMc of an 8-bit fused picture: (N, 3, H, W) and (3, H, W), 0..1."""
    frames = frames[None].double() * 255
    fused = (fused.clamp(0, 1).double() * 255).round()[None]
    return mef_ssim(gray(frames), gray(fused)).item(), mef_ssimc(frames, fused).item()


def draw_frames(
    rng: np.random.Generator, pictures: Sequence[Picture], kind: str, size_px: int
) -> Tensor:
    """Frames of one bracket, (N, 3, size_px, size_px) 0..1, of one of KINDS."""
    scene = draw_scene(rng, pictures, size_px=size_px, zoom=1.0)
    radiance = scene.radiance(0.0, 0.0, 1.0, size_px)
    count = 2 if kind == "pair" else 3
    gains = draw_exposures(rng, radiance.mean(0), count=count, extreme=kind == "pair")
    noise = torch.Generator(device=gains.device).manual_seed(int(rng.integers(2**31)))
    return Camera.drawn(rng).expose(radiance, gains, noise=noise)


def _draw_case(
    rng: np.random.Generator, pictures: Sequence[Picture], kind: str, size_px: int
) -> _Case:
    frames = draw_frames(rng, pictures, kind, size_px)
    cells = size_px // CELL_PX
    sample = Sample(frames[None], frames[None], Region.whole(cells, cells))
    return _Case(kind, sample, _scores(frames.cpu(), fuse_mertens(frames)))


@dataclass(frozen=True, slots=True)
class Validation:
    """A fixed set of brackets: pairs up to 11 stops apart, and threes; 256 to 512 px."""

    cases: tuple[_Case, ...]

    @staticmethod
    def drawn(pictures: Sequence[Picture], *, size_px: int, cases: int = CASES) -> Validation:
        """Draws the set from pictures held out; `size_px` is the middle of three sizes."""
        rng = np.random.default_rng(SEED)
        sizes = (256, size_px, 512)
        return Validation(
            tuple(
                _draw_case(rng, pictures, kind, sizes[i % len(sizes)])
                for kind in KINDS
                for i in range(cases)
            )
        )

    @torch.no_grad()
    def score(self, fuse: Callable[[Sample], tuple[Tensor, Tensor]]) -> dict[str, float]:
        """Mean loss over OpenCV's mean loss, per kind and measure; below 1 is better."""
        result: dict[str, float] = {}
        for kind in KINDS:
            cases = [case for case in self.cases if case.kind == kind]
            ours = []
            for case in cases:
                luma, chroma = fuse(case.sample)
                frames = case.sample.detail[0].cpu()
                fused = to_rgb(luma, within_gamut(luma, chroma))
                ours.append(_scores(frames, fused[0].cpu()))
            for i, measure in enumerate(("structure", "colour")):
                loss = 1 - np.array([score[i] for score in ours])
                yardstick = 1 - np.array([case.mertens[i] for case in cases])
                result[f"{kind}_{measure}"] = float(loss.mean() / yardstick.mean())
            result[f"{kind}_mean"] = float(np.mean([score[0] for score in ours]))
        return result
