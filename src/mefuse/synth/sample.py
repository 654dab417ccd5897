"""The built-in bracket: photographs the built-in room by hand, three exposures, files with EXIF.

What a camera does to the scene is known here to the last number, so the frames come with the true
transforms, and their EXIF says exactly the exposures they were rendered with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.errors import WriteError
from mefuse.frames import Metadata
from mefuse.synth.render import render_room
from mefuse.synth.tags import ExposedBy, exif_block
from mefuse.write import check_target, write_picture

EXPOSURE_TIMES_S = (Fraction(1, 320), Fraction(1, 50), Fraction(1, 8))
F_NUMBER, ISO = Fraction(8), 100
_GAIN = 0.16 * 2.0**1.1 * 50  # radiance x time -> 0..1 of full scale; the middle one shows the room
_FULL_WELL_E, _READ_NOISE_E = 30_000.0, 4.0  # electrons; a full-frame sensor at its base ISO
_MARGIN = 0.03  # of the longer side, rendered around the frame for the hand to move in
_MAX_ROLL_DEG, _MAX_SHIFT, _MAX_TILT = 0.5, 0.008, 0.004  # shift and tilt: of the longer side
_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True, eq=False)
class SampleFrame:
    """One frame: (H, W, 3) uint8 sRGB, its exposure, and the true transform.

    `transform` (3, 3) takes a pixel of the middle frame to this one's, centres at integers.
    """

    pixels: NDArray[np.uint8]
    exposure_time_s: Fraction
    transform: NDArray[np.float64]

    @property
    def exposed(self) -> ExposedBy:
        """What EXIF tells of it."""
        return ExposedBy("sample room", self.exposure_time_s, F_NUMBER, ISO)


def make_sample(height: int, width: int, *, seed: int) -> list[SampleFrame]:
    """The bracket of the room, darkest first; the same numbers give the same pixels.

    Args:
        height: of the frames, px.
        width: of the frames, px.
        seed: of the hand that holds the camera and of the noise.
    """
    margin = round(_MARGIN * max(height, width))
    scene = render_room(height + 2 * margin, width + 2 * margin)
    rng = np.random.default_rng(seed)
    frames = []
    poses = [np.eye(3) if time == EXPOSURE_TIMES_S[1] else _pose(rng, height, width)
             for time in EXPOSURE_TIMES_S]  # fmt: skip
    for time, pose in zip(EXPOSURE_TIMES_S, poses, strict=True):
        pixels = _photograph(scene, pose, margin=margin, time_s=float(time), rng=rng)
        frames.append(SampleFrame(pixels, time, pose))
    return frames


def write_sample(
    folder: Path, *, size: tuple[int, int], seed: int, overwrite: bool
) -> Iterator[Path]:
    """Writes the bracket of the room as room_1.jpg (dark) to room_3.jpg; yields each path.

    Args:
        folder: where; made when it is missing.
        size: (height, width) of the frames.
        seed: see `make_sample`.
        overwrite: whether files that exist may be replaced.

    Raises:
        WriteError: the folder cannot be made, or a file cannot be written or exists.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise WriteError(f"{folder}: cannot be made ({err.strerror}); choose another") from err
    paths = [folder / f"room_{i + 1}.jpg" for i in range(len(EXPOSURE_TIMES_S))]
    for path in paths:
        check_target(path, overwrite)
    for path, frame in zip(paths, make_sample(*size, seed=seed), strict=True):
        height, width = frame.pixels.shape[:2]
        write_picture(
            frame.pixels,
            path,
            format="jpeg",
            quality=_JPEG_QUALITY,
            metadata=Metadata(exif=exif_block(frame.exposed, size=(height, width))),
            overwrite=overwrite,
        )
        yield path


def _pose(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """How the hand moved: reference pixel -> this frame's pixel; a roll, a shift, a slight tilt."""
    roll = np.deg2rad(rng.uniform(-_MAX_ROLL_DEG, _MAX_ROLL_DEG))
    longer = max(height, width)
    shift = rng.uniform(-_MAX_SHIFT, _MAX_SHIFT, 2) * longer
    tilt = rng.uniform(-_MAX_TILT, _MAX_TILT, 2) / longer
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    moved = np.array(
        [
            [np.cos(roll), -np.sin(roll), shift[0]],
            [np.sin(roll), np.cos(roll), shift[1]],
            [tilt[0], tilt[1], 1],
        ]
    )
    return np.asarray(centre @ moved @ np.linalg.inv(centre))


def _photograph(
    scene: NDArray[np.float32],
    pose: NDArray[np.float64],
    *,
    margin: int,
    time_s: float,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """One frame as the camera stores it: exposed, noisy, clipped, sRGB, 8 bits."""
    height, width = scene.shape[0] - 2 * margin, scene.shape[1] - 2 * margin
    into_scene = np.array([[1.0, 0, margin], [0, 1, margin], [0, 0, 1]]) @ np.linalg.inv(pose)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    seen = cv2.warpPerspective(scene, into_scene, (width, height), flags=flags)
    electrons = np.maximum(seen, 0) * np.float32(_GAIN * time_s * _FULL_WELL_E)
    sigma = np.sqrt(electrons + np.float32(_READ_NOISE_E**2))
    electrons += sigma * rng.standard_normal(electrons.shape, np.float32)
    linear = np.clip(electrons / np.float32(_FULL_WELL_E), 0, 1)
    encoded = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(linear, 1 / 2.4) - 0.055
    )
    return np.asarray(np.rint(encoded * 255), np.uint8)
