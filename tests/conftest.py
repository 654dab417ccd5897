"""Fixtures that more than one test module uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from helpers import encoded, exposed, exposure_exif, jpeg_with_exif, textured_light
from mefuse.native import library

# The same cases in every run; `--hypothesis-profile=default` draws new ones, `long` many of them.
# How long a case takes is no finding: the machine may be busy with other things.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", _UNHURRIED, derandomize=True)
settings.register_profile("long", _UNHURRIED, max_examples=5000)
settings.load_profile("repeatable")

HEIGHT, WIDTH = 240, 320
_MARGIN = 16
_EXPOSURES = ((1, 200), (1, 50), (2, 25))  # seconds; steps of 2 EV


@dataclass(frozen=True)
class HandHeld:
    """A small hand-held bracket: files, pixels and the truth, darkest first."""

    paths: tuple[Path, ...]
    frames: tuple[NDArray[Any], ...]
    transforms: tuple[NDArray[np.float64], ...]

    @property
    def names(self) -> list[str]:
        return [str(path) for path in self.paths]


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(7)


@pytest.fixture(params=["kernels", "plain"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to compute on the host: by compiled kernels, and without."""
    if request.param == "plain":
        monkeypatch.setattr(library, "load", lambda: None)
    elif library.load() is None:
        pytest.skip("there are no kernels here; python hatch_build.py builds them")


@pytest.fixture(scope="session")
def hand_held(tmp_path_factory: pytest.TempPathFactory) -> HandHeld:
    """Three JPEGs of 320x240 with EXIF; the middle one is the reference, the others moved."""
    folder = tmp_path_factory.mktemp("hand held")
    light = _detailed_light(HEIGHT + 2 * _MARGIN, WIDTH + 2 * _MARGIN)
    transforms = (_moved(-3.4, 2.2), np.eye(3), _moved(4.1, 1.3))
    frames, paths = [], []
    for index, (time, transform) in enumerate(zip(_EXPOSURES, transforms, strict=True)):
        ev = np.log2(time[0] / time[1] * 50)
        pixels = exposed(_seen(light, transform), float(ev))
        path = folder / f"IMG {index + 1}.jpg"
        jpeg = encoded(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)
        path.write_bytes(jpeg_with_exif(jpeg, exposure_exif(time)))
        frames.append(pixels)
        paths.append(path)
    return HandHeld(tuple(paths), tuple(frames), transforms)


def _detailed_light(height: int, width: int) -> NDArray[np.float32]:
    """A scene with soft patches of light and sharp detail everywhere."""
    soft = textured_light(height, width, seed=3, stops=5.0)
    rng = np.random.default_rng(5)
    detail = cv2.GaussianBlur(rng.random((height, width)).astype(np.float32), (0, 0), 1.5)
    return np.asarray(soft * np.exp(6 * (detail - 0.5))[..., np.newaxis] * 0.5, np.float32)


def _moved(x: float, y: float) -> NDArray[np.float64]:
    turn = np.deg2rad(0.3)
    cosine, sine = np.cos(turn), np.sin(turn)
    return np.array([[cosine, -sine, x], [sine, cosine, y], [0, 0, 1]])


def _seen(light: NDArray[np.float32], transform: NDArray[np.float64]) -> NDArray[np.float32]:
    """The scene in a frame to which `transform` takes the reference's pixels."""
    into_scene = np.array([[1.0, 0, _MARGIN], [0, 1, _MARGIN], [0, 0, 1]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    matrix = into_scene @ np.linalg.inv(transform)
    return np.maximum(cv2.warpPerspective(light, matrix, (WIDTH, HEIGHT), flags=flags), 0)
