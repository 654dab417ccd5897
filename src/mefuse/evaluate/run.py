"""The measurement of one case or many: reads, fuses with every method, scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mefuse.errors import AlignError, InputError, MefuseError, ReadError
from mefuse.evaluate.cases import Case
from mefuse.evaluate.methods import Method
from mefuse.evaluate.scene import load_scene
from mefuse.evaluate.scores import Scores, score
from mefuse.metrics.scikit import measuring_library


@dataclass(frozen=True, slots=True)
class CaseReport:
    """What was measured of one bracket.

    `size` is (height, width) as measured, `aligned` how the frames came to lie on each other,
    `motion_free` whether structure was measured against frames without motion; `scores` are by
    method, in the order in which the methods were given.
    """

    bracket: str
    frames: tuple[str, ...]
    size: tuple[int, int]
    aligned: str
    motion_free: bool
    scores: Mapping[str, Scores]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON's types."""
        found = asdict(self)
        found["size"] = {"height": self.size[0], "width": self.size[1]}
        found["scores"] = {name: asdict(scores) for name, scores in self.scores.items()}
        return found


@dataclass(frozen=True, slots=True)
class CaseFailure:
    """A bracket that could not be measured, and why."""

    bracket: str
    error: MefuseError


def evaluate_case(
    case: Case, methods: Sequence[Method], *, limit_px: int | None = None
) -> CaseReport:
    """Measures every method on one bracket.

    Args:
        case: the bracket.
        methods: what to measure, by names that differ.
        limit_px: longest side of what is measured; None: full resolution.

    Raises:
        InputError: files that do not fit together, or are too small.
        ReadError: a file cannot be read.
        AlignError: frames that share too little of the picture.
        DependencyError: scikit-image is not installed.

    Note:
        Holds the frames, the fused pictures and a strip of moments; three frames of 3840x2160 and
        one method take about 0.7 GB.
    """
    measuring_library()  # before any work: it may be missing
    scene = load_scene(case, limit_px=limit_px)
    fused = [method.fuse(scene) for method in methods]
    truths = [
        scene.truth if scene.truth is not None else method.fuse_still(scene) for method in methods
    ]
    scores = score(scene, fused, truths)
    return CaseReport(
        case.name,
        tuple(str(frame) for frame in case.frames),
        scene.view.size,
        case.aligned,
        scene.still is not None,
        {method.name: one for method, one in zip(methods, scores, strict=True)},
        scene.warnings,
    )


def evaluate_cases(
    cases: Sequence[Case], methods: Sequence[Method], *, limit_px: int | None = None
) -> Iterator[CaseReport | CaseFailure]:
    """Measures many brackets, one after the other; one that fails does not stop the others."""
    for case in cases:
        try:
            yield evaluate_case(case, methods, limit_px=limit_px)
        except (InputError, ReadError, AlignError) as error:
            yield CaseFailure(case.name, error)
