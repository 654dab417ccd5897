"""Thumbnails: within their budget, in register with each other, and honest where there is none."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import HEIGHT, WIDTH, HandHeld
from helpers import encoded, exposure_exif, jpeg_with_exif, textured_light
from mefuse.gallery.entries import Entry, File, FrameEntry
from mefuse.gallery.thumbnails import Thumbnail, Thumbnails, make_thumbnails
from mefuse.reduced import read_reduced
from mefuse.slices import Rect
from mefuse.warp import warp_region

CROP = Rect(10, 12, 220, 296)


def pixels_of(thumbnail: Thumbnail) -> NDArray[Any]:
    assert thumbnail.uri is not None
    data = base64.b64decode(thumbnail.uri.removeprefix("data:image/jpeg;base64,"), validate=True)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None
    assert pixels.shape == (thumbnail.height, thumbnail.width, 3)
    return pixels


def bytes_of(made: Thumbnails) -> int:
    return sum(len(one.uri or "") for one in (made.fused, *made.frames) if one is not None)


@pytest.fixture
def entry(hand_held: HandHeld, tmp_path: Path) -> Entry:
    """The hand-held bracket, its reference's crop in the place of a fused picture."""
    picture = tmp_path / "fused.png"
    part = hand_held.frames[1][CROP.top : CROP.bottom, CROP.left : CROP.right]
    cv2.imwrite(str(picture), part[..., ::-1])
    frames = [
        FrameEntry(
            File(path, "same"), is_reference=k == 1, ev=2.0 * k,
            transform=tuple(tuple(row) for row in transform.tolist()),
        )
        for k, (path, transform) in enumerate(
            zip(hand_held.paths, hand_held.transforms, strict=True)
        )
    ]  # fmt: skip
    return Entry(
        name="fused.png", error=None, picture=File(picture, "same"), frames=tuple(frames),
        warnings=(), size=(CROP.height, CROP.width), crop=CROP, seconds={},
        peak_memory_bytes=None, started="", failed_runs=0,
    )  # fmt: skip


def test_frames_lie_on_the_fused_picture(entry: Entry, hand_held: HandHeld) -> None:
    made = make_thumbnails(entry, budget_bytes=1_000_000)
    assert made.fused is not None
    fused = pixels_of(made.fused)
    assert fused.shape[:2] == (CROP.height, CROP.width), "never larger than the file"
    lying = make_thumbnails(replace(entry, crop=None), budget_bytes=1_000_000)
    for k, known in enumerate(entry.frames):
        pixels = pixels_of(made.frames[k])
        height, width = (CROP.height, CROP.width) if known.is_reference else (110, 148)
        assert pixels.shape[:2] == (height, width)
        exact = warp_region(hand_held.frames[k], hand_held.transforms[k], CROP)
        small = cv2.resize(exact, (width, height), interpolation=cv2.INTER_AREA)
        unaligned = cv2.resize(pixels_of(lying.frames[k]), (width, height))
        apart, far = (np.abs(small.astype(int) - one).mean() for one in (pixels, unaligned))
        assert apart < 6, "JPEG and resampling"
        assert far > 3 * apart


@pytest.mark.parametrize("budget", [60_000, 20_000, 8_000, 3_000, 1_000, 10])
def test_pictures_stay_within_the_budget(entry: Entry, budget: int) -> None:
    made = make_thumbnails(entry, budget_bytes=budget)
    assert bytes_of(made) <= budget
    for one in (made.fused, *made.frames):
        assert one is not None
        assert one.uri is not None or one.note == "left out for want of room"
    if budget >= 8_000:
        assert made.fused is not None
        assert all(one.uri for one in (made.fused, *made.frames))


def test_what_has_no_room_goes_frames_first(entry: Entry) -> None:
    made = make_thumbnails(entry, budget_bytes=6_000)
    smallest = make_thumbnails(entry, budget_bytes=8_000)
    assert made.fused is not None
    assert smallest.fused is not None
    kept = [one.uri is not None for one in made.frames]
    assert made.fused.uri is not None
    assert kept[1] >= max(kept[0], kept[2]), "the reference goes last"


def test_no_budget_reads_no_file(entry: Entry) -> None:
    nowhere = replace(entry, picture=File(Path("/nonexistent/x.png"), "same"))
    made = make_thumbnails(nowhere, budget_bytes=0)
    assert made == Thumbnails(None, (Thumbnail(),) * 3)


def test_what_is_gone_or_damaged_is_told(entry: Entry, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.jpg"
    data = entry.frames[0].file.path.read_bytes()
    damaged.write_bytes(data[: len(data) // 2])
    frames = (
        replace(entry.frames[0], file=File(damaged, "changed")),
        replace(entry.frames[1], file=File(tmp_path / "vanished.jpg", "same")),
        replace(entry.frames[2], file=File(tmp_path / "gone.jpg", "gone")),
    )
    made = make_thumbnails(replace(entry, frames=frames), budget_bytes=60_000)
    assert made.fused is not None
    assert made.fused.uri is not None
    notes = [one.note for one in made.frames]
    assert notes == [
        "is truncated or damaged; copy it again from the camera, or leave it out",
        "no such file; check its name",
        "moved or deleted since",
    ]


@pytest.mark.parametrize(
    "transform",
    [
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.1, 0.0, -5.0)),
        ((1e300, 0.0, 0.0), (0.0, 1e300, 0.0), (0.0, 0.0, 1.0)),
        ((1.0, 0.0, 1e12), (0.0, 1.0, -1e12), (0.0, 0.0, 1.0)),
    ],
)
def test_a_transform_that_cannot_be_spoils_nothing(entry: Entry, transform: Any) -> None:
    frames = (replace(entry.frames[0], transform=transform), *entry.frames[1:])
    made = make_thumbnails(replace(entry, frames=frames), budget_bytes=60_000)
    assert made.frames[0].uri is not None


def test_a_failed_bracket_shows_its_frames_as_they_lie(entry: Entry) -> None:
    bare = [FrameEntry(frame.file) for frame in entry.frames]
    made = make_thumbnails(
        replace(entry, picture=None, frames=tuple(bare), crop=None, size=None), budget_bytes=60_000
    )
    assert made.fused is None
    assert [max(one.width, one.height) for one in made.frames] == [320] * 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_reduced_while_it_is_decoded_is_that_of_the_whole(
    tmp_path: Path, orientation: int
) -> None:
    light = textured_light(1200, 1800, seed=2, stops=3.0)
    data = encoded(np.clip(light * 255, 0, 255).astype(np.uint8), ".jpg")
    path = tmp_path / "x.jpg"
    path.write_bytes(jpeg_with_exif(data, exposure_exif((1, 50), orientation=orientation)))
    quick, whole = read_reduced(path, 400), read_reduced(path, 1800)
    turned = orientation >= 5
    assert quick.size == whole.size == ((1800, 1200) if turned else (1200, 1800))
    assert quick.pixels.shape == ((400, 267, 3) if turned else (267, 400, 3))
    exact = cv2.resize(whole.pixels, quick.pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(exact.astype(int) - quick.pixels).mean() < 1.5


def test_pictures_of_16_bits_become_8(tmp_path: Path) -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 257 * 100, np.uint16)
    cv2.imwrite(str(tmp_path / "x.png"), pixels)
    found = read_reduced(tmp_path / "x.png", 100)
    assert (found.pixels.dtype, found.pixels.shape, found.size) == (
        np.uint8, (75, 100, 3), (HEIGHT, WIDTH),
    )  # fmt: skip
    assert set(found.pixels.ravel().tolist()) == {100}
