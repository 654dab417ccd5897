"""Alignment of whole brackets against known transforms."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mefuse.align import Alignment, align_frames
from mefuse.bench.scenes import HandHeldBracket, hand_held_bracket
from mefuse.errors import InputError
from mefuse.transforms import corner_distance_px

SIZE = (480, 720)


def errors_px(bracket: HandHeldBracket, found: tuple[Alignment, ...]) -> list[float]:
    """Corner error of every frame."""
    pairs = zip(found, bracket.transforms, strict=True)
    return [corner_distance_px(a.transform, true, SIZE) for a, true in pairs]


def aligned(bracket: HandHeldBracket) -> tuple[Alignment, ...]:
    return align_frames(bracket.frames, reference=bracket.reference, evs=bracket.evs)


def as_bytes(found: Alignment) -> bytes:
    numbers = np.array([found.shift_px, found.residual_px or -1.0])
    return found.transform.tobytes() + numbers.tobytes() + found.method.encode()


@pytest.fixture(scope="module")
def bracket() -> HandHeldBracket:
    return hand_held_bracket(4, SIZE, evs=(-2.0, 0.0, 2.0))


@pytest.mark.parametrize("seed", [0, 2, 5, 12])
def test_hand_held_frames_are_found_to_half_a_pixel(seed: int) -> None:
    bracket = hand_held_bracket(seed, SIZE, moving=2)
    found = aligned(bracket)
    for index, (error_px, true) in enumerate(
        zip(errors_px(bracket, found), bracket.transforms, strict=True)
    ):
        if index == bracket.reference:
            continue
        unaligned_px = corner_distance_px(true, np.eye(3), SIZE)
        assert unaligned_px > 2.0  # the bracket itself must be a test
        assert error_px < 0.5
        assert abs(found[index].shift_px - unaligned_px) < 0.5
        assert found[index].method in ("homography", "affine")
        residual_px = found[index].residual_px
        assert residual_px is not None and 0.0 < residual_px < 1.5


def test_reference_stays_where_it_is(bracket: HandHeldBracket) -> None:
    found = aligned(bracket)[bracket.reference]
    assert found.method == "reference"
    assert np.array_equal(found.transform, np.eye(3))
    assert found.shift_px == 0.0


def test_tripod_frames_are_not_resampled() -> None:
    bracket = hand_held_bracket(5, SIZE, evs=(-2.0, 0.0, 2.0), still=True)
    for index, found in enumerate(aligned(bracket)):
        assert np.array_equal(found.transform, np.eye(3))
        assert found.shift_px == 0.0
        assert found.method == ("reference" if index == bracket.reference else "none")
        assert found.residual_px is not None and found.residual_px < 0.5


def test_result_does_not_depend_on_the_order_of_frames(bracket: HandHeldBracket) -> None:
    first = aligned(bracket)
    order = [2, 0, 1]
    again = align_frames(
        [bracket.frames[k] for k in order], reference=order.index(bracket.reference)
    )
    assert [as_bytes(a) for a in again] == [as_bytes(first[k]) for k in order]


def test_result_does_not_depend_on_threads(bracket: HandHeldBracket) -> None:
    before = cv2.getNumThreads()
    runs = []
    try:
        for threads in (1, 3):
            cv2.setNumThreads(threads)
            runs.append([as_bytes(a) for a in aligned(bracket)])
    finally:
        cv2.setNumThreads(before)
    assert runs[0] == runs[1]


def test_frames_of_one_exposure_are_aligned() -> None:
    bracket = hand_held_bracket(6, SIZE, evs=(0.0, 0.0, 0.0))
    assert max(errors_px(bracket, aligned(bracket))) < 0.3


def test_sixteen_bits_give_what_eight_give(bracket: HandHeldBracket) -> None:
    deep = [frame.astype(np.uint16) * 257 for frame in bracket.frames]
    found = align_frames(deep, reference=bracket.reference, evs=bracket.evs)
    for a, b in zip(found, aligned(bracket), strict=True):
        assert corner_distance_px(a.transform, b.transform, SIZE) < 0.05


def test_far_exposures_are_reached_over_their_neighbours() -> None:
    bracket = hand_held_bracket(7, SIZE, evs=(-6.0, -3.0, 0.0, 3.0, 5.0))
    found = aligned(bracket)
    for error_px, true in zip(errors_px(bracket, found), bracket.transforms, strict=True):
        assert error_px < 1.0 or np.array_equal(true, np.eye(3))


@pytest.mark.parametrize("level", [0, 255])
def test_a_frame_that_shows_nothing_is_left_alone(bracket: HandHeldBracket, level: int) -> None:
    blank = np.full_like(bracket.frames[0], level)
    found = align_frames([*bracket.frames, blank], reference=bracket.reference)
    assert np.array_equal(found[3].transform, np.eye(3))
    assert (found[3].method, found[3].residual_px, found[3].shift_px) == ("none", None, 0.0)
    assert max(errors_px(bracket, found[:3])) < 0.5


def test_a_frame_of_another_scene_is_left_alone(bracket: HandHeldBracket) -> None:
    other = hand_held_bracket(8, SIZE, evs=(0.0,)).frames[0]
    found = align_frames([*bracket.frames, other], reference=bracket.reference)[3]
    assert np.array_equal(found.transform, np.eye(3))
    assert (found.method, found.residual_px) == ("none", None)


def test_large_roll_and_shift_are_found(bracket: HandHeldBracket) -> None:
    frame = bracket.frames[bracket.reference]
    turn = np.vstack([cv2.getRotationMatrix2D((360, 240), 9.0, 1.0), [0, 0, 1]])
    turn[:2, 2] += (40.0, -25.0)
    seen = cv2.warpPerspective(frame, turn, (SIZE[1], SIZE[0]))
    found = align_frames([frame, seen], reference=0)[1]
    assert corner_distance_px(found.transform, turn, SIZE) < 0.5


def test_things_that_move_do_not_pull() -> None:
    evs = (-2.0, 0.0, 2.0)
    still = hand_held_bracket(9, SIZE, evs=evs, still=True, moving=12)
    assert max(errors_px(still, aligned(still))) < 0.15
    differing = np.abs(still.frames[0].astype(int) - still.frames[1]).mean()
    assert differing > 5.0  # exposures differ, and so do the movers' places


def test_each_frame_is_reported_once(bracket: HandHeldBracket) -> None:
    seen: list[int] = []
    align_frames(bracket.frames, reference=bracket.reference, on_frame=seen.append)
    assert sorted(seen) == [0, 1, 2]


def test_tiny_and_narrow_frames_do_not_fail() -> None:
    for size in ((1, 1), (3, 5), (2, 400), (400, 2)):
        frames = [np.full((*size, 3), value, np.uint8) for value in (40, 160)]
        assert align_frames(frames, reference=0)[1].method == "none"


def patterns(size: tuple[int, int]) -> dict[str, NDArray[np.uint8]]:
    """Frames that hold little or misleading texture, each (H, W) uint8."""
    rng = np.random.default_rng(5)
    y, x = np.indices(size)
    spot = np.zeros(size)
    spot[20:30, 20:30] = 200
    return {
        "noise": rng.integers(0, 256, size, np.uint8),
        "gradient": (x * 255 // size[1]).astype(np.uint8),
        "stripes": (x % 8 * 30).astype(np.uint8),
        "checks": ((x // 6 + y // 6) % 2 * 180 + 20).astype(np.uint8),
        "spot": spot.astype(np.uint8),
    }


@pytest.mark.parametrize("size", [(48, 48), (49, 500), (200, 311)])
def test_poor_textures_give_a_finite_plausible_answer(size: tuple[int, int]) -> None:
    frames = [np.repeat(p[..., None], 3, axis=2) for p in patterns(size).values()]
    for reference in range(len(frames)):
        for found in align_frames(frames, reference=reference):
            assert np.isfinite(found.transform).all()
            assert found.residual_px is None or np.isfinite(found.residual_px)
            assert found.shift_px < 0.4 * float(np.hypot(*size))


def test_stripes_do_not_slide() -> None:
    stripes = np.repeat(patterns((300, 400))["stripes"][..., None], 3, axis=2)
    found = align_frames([stripes, stripes // 2], reference=0)[1]
    assert np.array_equal(found.transform, np.eye(3))


@pytest.mark.parametrize(
    ("shapes", "reference", "evs", "words"),
    [
        ([(8, 8)], 0, None, "at least two"),
        ([(8, 8), (8, 9)], 0, None, "frame 2 is 9x8"),
        ([(8, 8), (8, 8)], 2, None, "reference 2"),
        ([(8, 8), (8, 8)], 0, [0.0], "1 exposures"),
    ],
)
def test_what_cannot_be_aligned_is_refused(
    shapes: list[tuple[int, int]], reference: int, evs: list[float] | None, words: str
) -> None:
    frames = [np.zeros((*shape, 3), np.uint8) for shape in shapes]
    with pytest.raises(InputError, match=words):
        align_frames(frames, reference=reference, evs=evs)
