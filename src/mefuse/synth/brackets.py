"""One synthetic bracket with ground truth: a place, what moves in it, a hand and a camera.

Frames are made strip by strip from the place's radiance, so memory holds that, one frame and a
strip. Frame k and its truth differ by motion and pose alone: same exposure, same camera, same noise
in the same sensor pixels. Everything follows from the seed, whatever else the machine does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefuse.errors import InputError
from mefuse.synth.camera import Camera
from mefuse.synth.canvas import Canvas, strip_view
from mefuse.synth.motion import Motion, changed, grown, seen
from mefuse.synth.movers import KINDS, Clock, Kind, Stage, draw_motion, greenery, surroundings
from mefuse.synth.pictures import PictureFolder
from mefuse.synth.places import Place, make_place
from mefuse.synth.shots import Places

_STRIP_ROWS = 256  # noise is drawn by strips, so another number gives other bytes
_MAX_SHIFT, _MAX_ROLL_DEG = 0.012, 0.8  # of the longer side; degrees
_MAX_TILT, _MAX_ZOOM = 0.004, 0.002  # over the longer side; share
_MIDDLE = 0.16  # where the reference puts the scene's median luminance, of full scale
_TIMES_S = (Fraction(1, 30), Fraction(1, 60), Fraction(1, 125), Fraction(1, 250), Fraction(1, 500))
_LONGEST_S = 0.25  # of an exposure, where there is a choice
_BASE_ISO_READ_NOISE = 0.0007  # of `Camera.drawn` at ISO 100
AMOUNTS = {"none": 0.0, "some": 1.0, "strong": 2.6}
F_NUMBER = Fraction(8)
FEWEST, MOST = 2, 9
_OUTDOORS = ("cars", "water")


@dataclass(frozen=True, slots=True)
class BracketSettings:
    """What all brackets of a set have in common. `evs` are ascending stops, one per frame."""

    size: tuple[int, int] = (2160, 3840)
    evs: tuple[float, ...] = (-2.0, 0.0, 2.0)
    motion: str = "some"
    kinds: tuple[Kind, ...] = KINDS
    hand_held: bool = True
    depth: int = 8
    seed: int = 1

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            InputError: too few or too many frames, or exposures that repeat.
        """
        if not FEWEST <= len(self.evs) <= MOST:
            raise InputError(f"{len(self.evs)} exposures; a bracket has {FEWEST} to {MOST} frames")
        if len(set(self.evs)) < len(self.evs):
            raise InputError(f"the exposures {self.evs} repeat; give each frame its own")

    @property
    def reference(self) -> int:
        """The frame nearest to 0 EV; of two, the darker."""
        return min(range(len(self.evs)), key=lambda k: (abs(self.evs[k]), self.evs[k]))


def ladder(count: int, step_ev: float) -> tuple[float, ...]:
    """Even steps, one of them 0: the middle frame, of an even number the darker of the two."""
    return tuple((k - (count - 1) // 2) * step_ev for k in range(count))


@dataclass(frozen=True, slots=True, eq=False)
class Bracket:
    """A bracket that is known but not yet rendered.

    `transforms[k]` (3, 3) takes a pixel (x, y, 1) of the reference to frame k's, full size, pixel
    centres at integers.
    """

    settings: BracketSettings
    index: int
    place: Place
    motion: Motion
    camera: Camera
    jpeg_quality: int
    times_s: tuple[Fraction, ...]
    gains: tuple[float, ...]
    transforms: tuple[NDArray[np.float64], ...]

    @property
    def evs(self) -> tuple[float, ...]:
        """Stops relative to the reference, exactly as rendered."""
        times = [float(time) for time in self.times_s]
        now = times[self.settings.reference]
        return tuple(float(np.log2(time / now)) for time in times)

    @property
    def iso(self) -> int:
        """The sensitivity that this much noise goes with."""
        return max(25, round(100 * self.camera.read_noise / _BASE_ISO_READ_NOISE))

    def frame(self, k: int) -> NDArray[Any]:
        """Frame k: (H, W, 3) uint8 or uint16."""
        still, codes = Canvas(self.place, self.settings.size), self._blank()
        pixel = 1 / self.settings.size[0]
        into_pixels = np.array([[1 / pixel, 0, -0.5], [0, 1 / pixel, -0.5], [0, 0, 1]])
        pose = np.linalg.inv(into_pixels) @ self.transforms[k] @ into_pixels
        for strip, (top, bottom) in enumerate(self._strips()):
            if np.array_equal(self.transforms[k], np.eye(3)):
                radiance = self._at_rest(still, (top, bottom), k)
            else:
                view = strip_view(self.settings.size, top, bottom)
                places = Places.of(view, back=np.linalg.inv(pose))
                base = still(places.y, places.x)
                radiance = seen(base, still, places, motion=self.motion, frame=k)
            codes[top:bottom] = self._exposed(radiance, k, strip)
        return codes

    def truth(self, k: int) -> NDArray[Any]:
        """Exposure k of what the reference sees: (H, W, 3) uint8 or uint16."""
        still, codes = Canvas(self.place, self.settings.size), self._blank()
        for strip, rows in enumerate(self._strips()):
            radiance = self._at_rest(still, rows, self.settings.reference)
            codes[slice(*rows)] = self._exposed(radiance, k, strip)
        return codes

    def mask(self) -> NDArray[np.uint8]:
        """Where a frame differs from the reference by motion: (H, W), 255 there and 0 elsewhere.

        As the reference's pose shows it, with a rim for what JPEG carries over block borders.
        """
        # Every other pixel is looked at: the rim is wider than what lies between.
        still = Canvas(self.place, self.settings.size)
        height, width = self.settings.size
        mask = torch.empty((height + 1) // 2, (width + 1) // 2, dtype=torch.bool)
        white = 1 / self.gains[self.settings.reference]
        for rows in self._strips():
            base = still.strip(*rows)[:, ::2, ::2].contiguous()
            places = Places.of(strip_view(self.settings.size, *rows))
            places = places.part(slice(None, None, 2), slice(None, None, 2))
            moments = [
                seen(base, still, places, motion=self.motion, frame=k)
                for k in range(len(self.gains))
            ]
            reference = moments.pop(self.settings.reference)
            mask[rows[0] // 2 : (rows[1] + 1) // 2] = changed(reference, moments, white=white)
        rim = (8 if self.jpeg_quality >= 90 else 16) if self.settings.depth == 8 else 2
        half = grown(mask, by_px=rim // 2).to(torch.uint8).numpy() * np.uint8(255)
        return np.repeat(np.repeat(half, 2, axis=0), 2, axis=1)[:height, :width]

    def _strips(self) -> Iterator[tuple[int, int]]:
        height = self.settings.size[0]
        for top in range(0, height, _STRIP_ROWS):
            yield top, min(top + _STRIP_ROWS, height)

    def _blank(self) -> NDArray[Any]:
        dtype = np.uint8 if self.settings.depth == 8 else np.uint16
        return np.empty((*self.settings.size, 3), dtype)

    def _at_rest(self, still: Canvas, rows: tuple[int, int], k: int) -> Tensor:
        """Frame k's moment from the reference's pose, (3, h, W)."""
        places = Places.of(strip_view(self.settings.size, *rows))
        return seen(still.strip(*rows), still, places, motion=self.motion, frame=k)

    def _exposed(self, radiance: Tensor, k: int, strip: int) -> NDArray[Any]:
        """Codes (h, W, 3) of a strip of radiance in exposure k."""
        light = radiance.mul_(self.gains[k])
        rng = np.random.default_rng([self.settings.seed, self.index, 1, k, strip])
        grain = torch.from_numpy(rng.standard_normal(tuple(light.shape), np.float32))
        spread = light.clamp(0, 4).mul_(self.camera.shot_noise**2).add_(self.camera.read_noise**2)
        light.addcmul_(grain, spread.sqrt_()).clamp_min_(0)
        full = 255 if self.settings.depth == 8 else 65535
        codes = self.camera.response(light).mul_(full).round_().permute(1, 2, 0).numpy()
        return codes.astype(np.uint8 if full == 255 else np.uint16)


def draw_bracket(settings: BracketSettings, index: int, *, folder: PictureFolder | None) -> Bracket:
    """Bracket number `index` of a set; the same numbers give the same bracket.

    Args:
        settings: of the set.
        index: from 0.
        folder: HDR pictures and photographs; None: the built-in room.

    Raises:
        DependencyError: an .exr, and the package that reads it is not installed.
        ReadError: a picture cannot be decoded.
    """
    rng = np.random.default_rng([settings.seed, index, 0])
    chosen = _turn(settings.seed, index, len(folder.hdr)) if folder else 0
    place = make_place(rng, settings.size, folder=folder, chosen=chosen)
    camera = Camera.drawn(rng)
    quality = int(rng.integers(88, 98))
    times = _times(rng, settings)
    gain = _reference_gain(place) * 2.0 ** rng.normal(0, 0.35)
    reference = settings.reference
    gains = tuple(gain * float(time / times[reference]) for time in times)
    transforms = tuple(
        _pose(rng, settings.size) if settings.hand_held and k != reference else np.eye(3)
        for k in range(len(times))
    )
    clock = Clock.of(
        [float(time) for time in times], reference=reference, pause_s=rng.uniform(0.12, 0.4)
    )
    motion = draw_motion(
        rng, _stage(place, settings.size), clock=clock, photos=place.photos,
        amount=AMOUNTS[settings.motion], kinds=_fitting(settings.kinds, place),
    )  # fmt: skip
    return Bracket(settings, index, place, motion, camera, quality, times, gains, transforms)


def _fitting(kinds: tuple[Kind, ...], place: Place) -> tuple[Kind, ...]:
    """No cars and no water indoors, unless nothing else is wanted."""
    kept = tuple(kind for kind in kinds if kind not in _OUTDOORS or not place.is_indoors)
    return kept or kinds


def _turn(seed: int, index: int, count: int) -> int:
    """Which picture comes when: every one once before any comes again."""
    lap, turn = divmod(index, count)
    return int(np.random.default_rng([seed, 2, lap]).permutation(count)[turn])


def _times(rng: np.random.Generator, settings: BracketSettings) -> tuple[Fraction, ...]:
    """Exposure times, exact as EXIF can tell them."""
    now = settings.evs[settings.reference]
    brightest = 2.0 ** (settings.evs[-1] - now)
    fitting = [time for time in _TIMES_S if float(time) * brightest <= _LONGEST_S]
    chosen = fitting[int(rng.integers(len(fitting)))] if fitting else _TIMES_S[-1]
    times = [Fraction(float(chosen) * 2.0 ** (ev - now)) for ev in settings.evs]
    return tuple(time.limit_denominator(10_000_000) for time in times)


def _small(place: Place) -> NDArray[np.float32]:
    """The place at an eighth of its size, (h, w, 3)."""
    part = place.radiance[:, ::2, ::2].permute(1, 2, 0).float().numpy()
    return np.asarray(
        cv2.resize(part, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), np.float32
    )


def _reference_gain(place: Place) -> float:
    """What brings the place's median luminance to the middle."""
    return _MIDDLE / max(float(np.median(_small(place).mean(axis=2))), 1e-4)


def _stage(place: Place, size: tuple[int, int]) -> Stage:
    small = torch.from_numpy(_small(place)).permute(2, 0, 1)
    return Stage(
        surroundings(small), size[1] / size[0], place.horizon, size[0],
        smallest=place.smallest, green=greenery(small),
    )  # fmt: skip


def _pose(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """How the hand moved: reference pixel -> this frame's pixel."""
    height, width = size
    longer = max(size)
    roll = np.deg2rad(rng.uniform(-_MAX_ROLL_DEG, _MAX_ROLL_DEG))
    zoom = 1 + rng.uniform(-_MAX_ZOOM, _MAX_ZOOM)
    shift = rng.uniform(-_MAX_SHIFT, _MAX_SHIFT, 2) * longer
    tilt = rng.uniform(-_MAX_TILT, _MAX_TILT, 2) / longer
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    cosine, sine = zoom * np.cos(roll), zoom * np.sin(roll)
    moved = np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]], [tilt[0], tilt[1], 1]])
    pose = centre @ moved @ np.linalg.inv(centre)
    return np.asarray(pose / pose[2, 2])
