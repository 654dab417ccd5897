"""Synthetic hand-held brackets with known transforms, to measure alignment against.

A scene is linear radiance, drawn in code or taken from photographs under synthetic light, so that
shadows and highlights really clip. Each frame sees it from its own pose (a camera that turns, and a
little parallax), with its own exposure, one camera response, shot and read noise, 8 bits and often
JPEG. Everything follows from the seed. numpy and OpenCV only; knows nothing of how frames are
aligned.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.errors import InputError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
MARGIN = 0.08  # of the longer side, around the frame: room for the largest pose
MAX_SHIFT = 60 / 3840  # of the longer side: 60 px at 3840x2160
MAX_ROLL_DEG = 1.5
CORNER_JITTER = 3 / 3840  # of the longer side: parallax and rolling shutter, chosen by eye
LENS_BLUR_PX = 0.9  # a sharp lens: keeps edges free of aliasing when a pose resamples them
BAND_ROWS = 32  # rows exposed at once: stays in the processor's cache
EV_LADDERS = ((-2.0, 0.0, 2.0), (-3.0, 0.0, 3.0), (-4.0, -2.0, 0.0, 2.0), (-2.0, 0.0, 2.0, 4.0))

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


class HandHeldBracket(NamedTuple):
    """A bracket whose truth is known.

    `frames` are (H, W, 3) uint8 RGB, darkest first; `transforms[k]` is (3, 3) and takes a pixel of
    the reference to frame k's (identity for the reference); `evs` are stops relative to it.
    """

    frames: list[NDArray[np.uint8]]
    transforms: list[Float64]
    evs: tuple[float, ...]
    reference: int


def hand_held_bracket(
    seed: int,
    size: tuple[int, int],
    *,
    pictures: Sequence[Path] | None = None,
    evs: Sequence[float] | None = None,
    moving: int = 0,
    still: bool = False,
) -> HandHeldBracket:
    """Gives one synthetic bracket of (height, width) `size`.

    Args:
        seed: the same seed gives the same bytes.
        size: (height, width) of the frames.
        pictures: photographs to build the scene from; None draws one in code.
        evs: stops per frame, with one 0 for the reference; None picks one of `EV_LADDERS`.
        moving: how many things move between the frames.
        still: every frame from the same pose, as on a tripod.

    Raises:
        InputError: a picture cannot be read, or no frame has 0 EV.
    """
    rng = np.random.default_rng(seed)
    ladder = tuple(evs) if evs is not None else EV_LADDERS[int(rng.integers(len(EV_LADDERS)))]
    if 0.0 not in ladder:
        raise InputError(f"no frame of the ladder {ladder} has 0 EV; name one as the reference")
    reference = ladder.index(0.0)
    scene = _lit(_pictured(rng, size, pictures) if pictures else _drawn(rng, size), rng)
    poses = [_pose(rng, size, turned=k != reference) for k in range(len(ladder))]
    if still:
        poses = [poses[reference]] * len(ladder)
    movers = [_mover(rng, size) for _ in range(moving)]
    camera = _Camera.random(rng)
    frames = []
    for index, (ev, pose) in enumerate(zip(ladder, poses, strict=True)):
        radiance = _seen(scene, pose, size)
        for mover in movers:
            _paste(radiance, mover, index)
        frames.append(camera.expose(radiance, 2.0**ev, rng))
    back = np.linalg.inv(poses[reference])
    transforms = [np.eye(3) if k == reference else pose @ back for k, pose in enumerate(poses)]
    return HandHeldBracket(frames, [t / t[2, 2] for t in transforms], ladder, reference)


class _Camera(NamedTuple):
    """How radiance becomes 8-bit values."""

    response: NDArray[np.uint8]  # (65536,): linear value to code
    full_well: float  # photo-electrons at clipping: sets the shot noise
    read_noise: float  # of full scale
    jpeg_quality: int | None

    @classmethod
    def random(cls, rng: np.random.Generator) -> _Camera:
        linear = np.linspace(0.0, 1.0, 65536)
        coded = linear ** (1.0 / rng.uniform(1.9, 2.5))
        contrast = rng.uniform(0.0, 0.6)  # share of an S-curve, as camera JPEGs have
        coded = (1.0 - contrast) * coded + contrast * coded * coded * (3.0 - 2.0 * coded)
        return cls(
            response=np.rint(255.0 * coded).astype(np.uint8),
            full_well=float(2.0 ** rng.uniform(11.0, 14.5)),
            read_noise=float(2.0 ** rng.uniform(-11.0, -9.0)),
            jpeg_quality=int(rng.integers(85, 97)) if rng.random() < 0.7 else None,
        )

    def expose(self, radiance: Float32, gain: float, rng: np.random.Generator) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 of (H, W, 3) linear radiance, where 1 clips at gain 1."""
        coded = np.empty(radiance.shape, np.uint8)
        for top in range(0, len(radiance), BAND_ROWS):
            signal = np.minimum(radiance[top : top + BAND_ROWS] * np.float32(gain), 2.0)
            sigma = rng.standard_normal(signal.shape, dtype=np.float32)
            sigma *= np.sqrt(signal / np.float32(self.full_well) + np.float32(self.read_noise**2))
            signal += sigma
            np.clip(signal, 0.0, 1.0, out=signal)
            signal *= 65535.0
            coded[top : top + BAND_ROWS] = self.response[signal.astype(np.uint16)]
        if self.jpeg_quality is None:
            return coded
        flags = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
        return np.asarray(
            cv2.imdecode(cv2.imencode(".jpg", coded, flags)[1], cv2.IMREAD_COLOR), np.uint8
        )


def _canvas_size(size: tuple[int, int]) -> tuple[int, int]:
    margin = round(MARGIN * max(size))
    return size[0] + 2 * margin, size[1] + 2 * margin


def _clouds(rng: np.random.Generator, size: tuple[int, int], cells: int, octaves: int) -> Float32:
    """(H, W) noise of about unit spread: `octaves` sizes of blobs from `cells` per side on."""
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        count = cells * 2**octave
        seeds = rng.standard_normal((count + 3, count * size[1] // size[0] + 3), dtype=np.float32)
        blobs = cv2.resize(seeds, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
        total += blobs * np.float32(0.7**octave)
    return total / np.float32(total.std() + 1e-6)


def _drawn(rng: np.random.Generator, size: tuple[int, int]) -> Float32:
    """(H, W, 3) reflectance: overlapping coloured shapes, each with a texture of its own."""
    height, width = _canvas_size(size)
    albedo = np.full((height, width, 3), 0.3, np.float32)
    weave = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(40, 160))):
        radius = height * 2.0 ** rng.uniform(-6.0, -1.5)
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 9))))
        outline = rng.uniform((0, 0), (width, height)) + radius * np.stack(
            [np.cos(angles), np.sin(angles)], axis=1
        )
        points = np.rint(outline * 16).astype(np.int32)
        colour = tuple(float(c) for c in rng.uniform(0.03, 0.9) * rng.uniform(0.6, 1.0, 3))
        cv2.fillPoly(albedo, [points], colour, cv2.LINE_AA, shift=4)
        cv2.fillPoly(weave, [points], float(rng.uniform(0.0, 0.35)), cv2.LINE_8, shift=4)
    octaves = max(3, int(np.log2(height)) - 4)
    albedo *= np.exp(weave * _clouds(rng, (height, width), 8, octaves))[..., None]
    return albedo


def _pictured(rng: np.random.Generator, size: tuple[int, int], pictures: Sequence[Path]) -> Float32:
    """(H, W, 3) linear light of one photograph, or of a mosaic of several, enlarged to fit."""
    height, width = _canvas_size(size)
    across = int(rng.integers(1, 4))
    canvas = np.empty((height, width, 3), np.float32)
    rows, columns = np.linspace(0, height, across + 1), np.linspace(0, width, across + 1)
    for top, bottom in zip(rows[:-1].astype(int), rows[1:].astype(int), strict=True):
        for left, right in zip(columns[:-1].astype(int), columns[1:].astype(int), strict=True):
            coded = _picture(pictures[int(rng.integers(len(pictures)))], rng)
            cell = cv2.resize(coded, (right - left, bottom - top), interpolation=cv2.INTER_CUBIC)
            canvas[top:bottom, left:right] = np.clip(cell, 0.0, 1.0) ** 2.2
    return canvas


def _picture(path: Path, rng: np.random.Generator) -> Float32:
    """(H, W, 3) of 0..1 as stored, RGB, mirrored by chance."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f"{path}: cannot be read as a picture; take it out of the folder")
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return (rgb[:, :: -1 if rng.random() < 0.5 else 1] / np.float32(255.0)).astype(np.float32)


def _lit(reflectance: Float32, rng: np.random.Generator) -> Float32:
    """Radiance under uneven light: soft falloff, bright windows, deep shade; 1 clips at 0 EV."""
    height, width = reflectance.shape[:2]
    stops = _clouds(rng, (height, width), 2, 2) * np.float32(rng.uniform(0.5, 1.3))
    for _ in range(int(rng.integers(1, 5))):
        half = rng.uniform(0.05, 0.2, 2) * (width, height)
        centre = rng.uniform((0, 0), (width, height))
        first, second = np.rint(centre - half).astype(int), np.rint(centre + half).astype(int)
        patch = stops[max(first[1], 0) : second[1], max(first[0], 0) : second[0]]
        patch += np.float32(rng.choice((-3.0, 2.5, 4.0)))
    radiance = reflectance * np.exp2(stops)[..., None]
    sample = radiance[::8, ::8].mean(axis=2)
    radiance *= np.float32(0.15 / max(float(np.median(sample)), 1e-4))
    return np.asarray(cv2.GaussianBlur(radiance, (0, 0), LENS_BLUR_PX), np.float32)


def _pose(rng: np.random.Generator, size: tuple[int, int], *, turned: bool) -> Float64:
    """(3, 3) from the scene's pixels to the frame's: a camera that turns about its centre."""
    height, width = size
    longer = max(size)
    centred = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1.0]])
    focal = longer * rng.uniform(0.7, 1.6)
    reach = MAX_SHIFT * longer * np.sqrt(rng.random()) if turned else 0.5
    heading = rng.uniform(0, 2 * np.pi)
    yaw, pitch = np.arctan(reach * np.array([np.cos(heading), np.sin(heading)]) / focal)
    roll = np.deg2rad(rng.uniform(-MAX_ROLL_DEG, MAX_ROLL_DEG)) if turned else 0.0
    rotation, _ = cv2.Rodrigues(np.array([-pitch, yaw, roll]))
    camera = np.diag([focal, focal, 1.0])
    pose = np.linalg.inv(centred) @ camera @ rotation @ np.linalg.inv(camera) @ centred
    if turned:
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        moved = corners + rng.uniform(-1, 1, (4, 2)).astype(np.float32) * CORNER_JITTER * longer
        pose = cv2.getPerspectiveTransform(corners, moved.astype(np.float32)) @ pose
    return np.asarray(pose / pose[2, 2], np.float64)


def _seen(scene: Float32, pose: Float64, size: tuple[int, int]) -> Float32:
    """(H, W, 3) radiance of the scene from `pose`."""
    margin = round(MARGIN * max(size))
    to_frame = pose @ np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1.0]])
    seen = cv2.warpPerspective(
        scene, to_frame, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(seen, np.float32)


def _mover(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Float32, Float64, Float64]:
    """A thing that moves: (h, w, 4) radiance and cover, its place (x, y), its step per frame."""
    side = max(8, round(min(size) * rng.uniform(0.04, 0.15)))
    texture = np.exp(0.5 * _clouds(rng, (side, side), 4, 3))[..., None]
    thing = np.empty((side, side, 4), np.float32)
    thing[..., :3] = texture * rng.uniform(0.02, 0.4, 3).astype(np.float32)
    thing[..., 3] = 0.0
    cover = np.ascontiguousarray(thing[..., 3])
    cv2.circle(cover, (side // 2, side // 2), side // 2 - 2, 1.0, -1, cv2.LINE_AA)
    thing[..., 3] = cover
    room = np.array([size[1] - side, size[0] - side], np.float64)
    return thing, rng.uniform(0.1, 0.9, 2) * room, rng.uniform(-0.04, 0.04, 2) * max(size)


def _paste(radiance: Float32, mover: tuple[Float32, Float64, Float64], index: int) -> None:
    """Draws `mover` where it is at frame `index`, in place."""
    thing, place, step = mover
    side = thing.shape[0]
    room = np.array([radiance.shape[1] - side, radiance.shape[0] - side])
    left, top = np.clip(np.rint(place + index * step), 0, room).astype(int)
    under = radiance[top : top + side, left : left + side]
    under += thing[..., 3:] * (thing[..., :3] - under)
