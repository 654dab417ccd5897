"""What moved is found and replaced; what did not keeps its bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import exposed
from mefuse.aligned import Aligned
from mefuse.ghost_search import find_ghosts
from mefuse.slices import Rect

HEIGHT, WIDTH = 360, 480
STOPS = (-2.0, 0.0, 2.0)


def _light(seed: int) -> NDArray[np.float32]:
    """Detailed light (H, W, 3) over six stops: soft patches under fine texture."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((6, 8)).astype(np.float32), (WIDTH, HEIGHT))
    fine = cv2.GaussianBlur(rng.random((HEIGHT, WIDTH)).astype(np.float32), (0, 0), 2)
    level = coarse - 1 + 1.5 * (fine - fine.mean())
    tint = np.float32([1.0, 0.9, 0.8])
    return np.asarray(2.0 ** (6 * level[..., None]) * tint, np.float32)


def _noisy(pixels: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """With noise, and as JPEG leaves it."""
    noise = rng.normal(0, 1.5, pixels.shape)
    rough = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", rough, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED))


def _with_thing(light: NDArray[np.float32], left: int) -> NDArray[np.float32]:
    """The scene with a patterned thing in it."""
    rng = np.random.default_rng(99)
    pattern = cv2.resize(rng.random((14, 9)).astype(np.float32), (60, 100))[..., None]
    placed = light.copy()
    placed[120:220, left : left + 60] = 0.03 + 0.5 * pattern * np.float32([0.3, 0.6, 1.0])
    return placed


@pytest.fixture(scope="module")
def still() -> list[NDArray[Any]]:
    """Three exposures in which nothing moves, darkest first."""
    rng = np.random.default_rng(1)
    light = _with_thing(_light(0), 200)
    return [_noisy(exposed(light, ev), rng) for ev in STOPS]


@pytest.fixture(scope="module")
def moving() -> list[NDArray[Any]]:
    """The same, but that the thing stands somewhere else in each."""
    rng = np.random.default_rng(1)
    lights = [_with_thing(_light(0), left) for left in (80, 200, 320)]
    return [_noisy(exposed(light, ev), rng) for light, ev in zip(lights, STOPS, strict=True)]


def _error(one: NDArray[Any], other: NDArray[Any], rect: Rect) -> float:
    box = (slice(rect.top, rect.bottom), slice(rect.left, rect.right))
    return float(np.abs(one[box].astype(np.float64) - other[box]).mean())


WHOLE = Rect(0, 0, HEIGHT, WIDTH)
PLACES = (Rect(120, 80, 100, 60), Rect(120, 200, 100, 60), Rect(120, 320, 100, 60))


def test_what_moved_is_shown_as_the_reference_has_it(
    still: list[NDArray[Any]], moving: list[NDArray[Any]]
) -> None:
    ghosts = find_ghosts(moving, reference=1, amount="auto")
    corrected = ghosts.correct(moving, WHOLE)
    for k in (0, 2):
        for place in (PLACES[k], PLACES[1]):
            before = _error(moving[k], still[k], place)
            assert _error(corrected[k], still[k], place) < min(0.35 * before, 12)
        found = ghosts.found[k]
        assert found is not None
        away = found.cover == 0
        assert away.mean() > 0.8
        assert np.array_equal(corrected[k][away], moving[k][away])
    assert corrected[1] is moving[1]


def test_where_much_moves_less_is_asked_of_the_rest(
    still: list[NDArray[Any]], moving: list[NDArray[Any]]
) -> None:
    """A patch that is a few pixels off is nothing alone, but where a thing has moved elsewhere."""
    patch = (slice(40, 110), slice(360, 440))

    def cover(frames: list[NDArray[Any]]) -> float:
        other = frames[2].copy()
        other[patch] = np.roll(other[patch], 4, axis=1)
        ghost = find_ghosts([*frames[:2], other], reference=1, amount="auto").found[2]
        return 0.0 if ghost is None else float(ghost.cover[patch].mean() / 255)

    assert cover(moving) > 0.5
    assert cover(still) == 0


def test_a_still_bracket_stays_as_it_is(still: list[NDArray[Any]]) -> None:
    ghosts = find_ghosts(still, reference=1, amount="auto")
    assert ghosts.found == (None, None, None)
    assert all(a is b for a, b in zip(ghosts.correct(still, WHOLE), still, strict=True))


def test_frames_that_are_a_little_off_are_no_ghosts(still: list[NDArray[Any]]) -> None:
    off = [np.roll(still[0], (2, -2), (0, 1)), still[1], np.roll(still[2], (-1, 2), (0, 1))]
    assert find_ghosts(off, reference=1, amount="auto").found == (None, None, None)


@pytest.mark.parametrize("reference", [0, 1])
def test_what_one_frame_has_clipped_is_no_ghost(reference: int) -> None:
    rng = np.random.default_rng(2)
    light = _light(5)
    pair = [_noisy(exposed(light, ev), rng) for ev in (-5.0, 3.5)]
    assert find_ghosts(pair, reference=reference, amount="auto").found == (None, None)


def test_light_of_its_own_is_no_ghost(still: list[NDArray[Any]]) -> None:
    """Flare and local tone mapping change levels from place to place, and leave structure."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    blob = np.exp(-((y - 180) ** 2 + (x - 240) ** 2) / (2 * 50**2))[..., None]
    flared = [(still[0] * (1 + 1.5 * blob)).clip(0, 255).astype(np.uint8), *still[1:]]
    assert find_ghosts(flared, reference=1, amount="auto").found[0] is None


def test_a_tinted_white_is_no_ghost() -> None:
    """A bright frame may be clipped below white; what a darker one shows there is no ghost."""
    rng = np.random.default_rng(3)
    light = _light(6) * 0.05
    light[100:260, 160:320] = _light(7)[100:260, 160:320] * 3  # a window
    dark, bright = exposed(light, -1.0), exposed(light, 6.0)
    pair = [_noisy(dark, rng), np.minimum(bright, np.uint8([255, 236, 250]))]
    assert find_ghosts(pair, reference=1, amount="auto").found[0] is None


def test_strong_replaces_more(moving: list[NDArray[Any]]) -> None:
    auto, strong = (find_ghosts(moving, reference=1, amount=how) for how in ("auto", "strong"))
    for k in (0, 2):
        usual, more = auto.found[k], strong.found[k]
        assert usual is not None
        assert more is not None
        assert more.share > usual.share


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("deep", [False, True])
def test_a_part_is_that_part_of_the_whole(
    moving: list[NDArray[Any]], factor: int, deep: bool
) -> None:
    frames = [f.astype(np.uint16) * 257 for f in moving] if deep else moving
    ghosts = find_ghosts(
        [cv2.resize(f, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
         for f in moving],
        reference=1, amount="auto", factor=factor,
    )  # fmt: skip
    whole = ghosts.correct(frames, WHOLE)
    assert not np.array_equal(whole[0], frames[0])
    for rect in (Rect(101, 53, 77, 160), Rect(0, 0, 130, 97), Rect(200, 300, 160, 180)):
        box = (slice(rect.top, rect.bottom), slice(rect.left, rect.right))
        part = ghosts.correct([frame[box] for frame in frames], rect)
        for k in range(3):
            assert np.array_equal(part[k], whole[k][box])
            assert np.array_equal(ghosts.cover(k, rect), ghosts.cover(k, WHOLE)[box])


def test_more_bits_give_the_same_picture(moving: list[NDArray[Any]]) -> None:
    ghosts = find_ghosts(moving, reference=1, amount="auto")
    shallow = ghosts.correct(moving, WHOLE)
    deep = ghosts.correct([frame.astype(np.uint16) * 257 for frame in moving], WHOLE)
    for one, other in zip(shallow, deep, strict=True):
        assert np.abs(one - other / 257).max() <= 1


def test_small_frames_are_corrected_alike(moving: list[NDArray[Any]]) -> None:
    ghosts = find_ghosts(moving, reference=1, amount="auto")
    small = [cv2.resize(f, (160, 120), interpolation=cv2.INTER_AREA) for f in moving]
    whole = ghosts.correct(moving, WHOLE)
    for k, frame in enumerate(ghosts.correct_small(small)):
        wanted = cv2.resize(whole[k], (160, 120), interpolation=cv2.INTER_AREA)
        assert np.abs(frame.astype(np.float64) - wanted).mean() < 1.5


def test_every_frame_is_told_against_its_corrected_neighbour(moving: list[NDArray[Any]]) -> None:
    """With the brightest as the reference, the thing leaves the middle frame, then the darkest."""
    ghosts = find_ghosts(moving, reference=2, amount="auto")
    assert ghosts.order == (1, 0)
    corrected = ghosts.correct(moving, WHOLE)
    wanted = exposed(_with_thing(_light(0), 320), STOPS[0])
    for place in PLACES[:2]:
        assert _error(corrected[0], wanted, place) < 0.5 * _error(moving[0], wanted, place) + 4.5


def test_regions_of_an_aligned_bracket_are_corrected(moving: list[NDArray[Any]]) -> None:
    bracket = Aligned.of(moving, reference=1, ghost="auto")
    assert bracket.ghost_shares[0] > 0.03
    assert bracket.ghost_shares[1] == 0
    whole = bracket.whole()
    rect = Rect(64, 128, 128, 192)
    for k, part in enumerate(bracket.region(rect)):
        assert np.array_equal(part, whole[k][64:192, 128:320])
        assert np.array_equal(bracket.frame(k), moving[k])
    left_alone = Aligned.of(moving, reference=1, ghost="off")
    assert all(np.array_equal(a, b) for a, b in zip(left_alone.whole(), moving, strict=True))
    assert replace(bracket, ghosts=None).ghost_shares == (0, 0, 0)
