"""Still places for brackets of any size: views into HDR pictures, and the built-in room.

Gives the radiance of a whole place at once, with a margin for the hand to move in, as float16. A
panorama (aspect 2:1) is seen through a perspective camera, any other HDR picture is used flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mefuse.synth.enlarge import enlarged
from mefuse.synth.pictures import Picture, PictureFolder, read_picture
from mefuse.synth.render import Framing, render_room

Floats = NDArray[np.float32]

MARGIN = 0.03  # of the longer side, on every side
_ROOM_LONGEST_PX = 2560  # more costs time and shows nothing new
_PHOTOS = 6  # that detail and moving things of one bracket are taken from
_VIEW_DEG = (60.0, 88.0)
_AT_THE_FAR_WALL = 0.5  # 1.75 m, 5 m away, through the built-in room's lens
_FAR_OFF = 0.15
_FLOOR = 1e-5
_FINER = 1.5  # a view is first taken with so many px per px of the panorama


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Radiance (3, height + 2 margin, width + 2 margin) float16, and what is known of it."""

    name: str
    radiance: Tensor
    margin: int
    horizon: float | None  # eye level, in picture heights from the top
    smallest: float  # height of a person at the far end of the place, in picture heights
    is_indoors: bool
    photos: tuple[Picture, ...]


def make_place(
    rng: np.random.Generator,
    size: tuple[int, int],
    *,
    folder: PictureFolder | None,
    chosen: int,
) -> Place:
    """A place of (height, width) `size`.

    Args:
        rng: where the camera looks, and what the detail is made of.
        size: of the frames.
        folder: HDR pictures, and photographs for detail; None: the built-in room.
        chosen: which of the HDR pictures.

    Raises:
        DependencyError: an .exr, and the package that reads it is not installed.
        ReadError: a picture cannot be decoded.
    """
    margin = int(np.ceil(MARGIN * max(size)))
    whole = (size[0] + 2 * margin, size[1] + 2 * margin)
    horizon: float | None
    if folder is None:
        radiance, framing = _room(rng, whole)
        name, horizon = "built-in room", framing.horizon
        photos: tuple[Picture, ...] = ()
        own_px: float = radiance.shape[1]
        smallest = _AT_THE_FAR_WALL * framing.zoom
    else:
        path = folder.hdr[chosen]
        photos = _some(rng, folder.photos)
        radiance, own_px, horizon = _view(rng, path, whole)
        name, smallest = path.name, _FAR_OFF
    if horizon is not None:
        horizon = (horizon * whole[0] - margin) / size[0]
    filled = enlarged(radiance, whole, own_px=own_px, rng=rng, photos=photos)
    return Place(name, filled, margin, horizon, smallest, folder is None, photos)


def _some(rng: np.random.Generator, paths: Sequence[Path]) -> tuple[Picture, ...]:
    """A few photographs."""
    count = min(_PHOTOS, len(paths))
    return tuple(read_picture(paths[i]) for i in rng.choice(len(paths), count, replace=False))


def _room(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Floats, Framing]:
    """The built-in room in other colours, from another side, in another part."""
    scale = min(1.0, _ROOM_LONGEST_PX / max(size))
    height, width = (round(side * scale) for side in size)
    zoom = float(rng.uniform(1.0, 1.7))
    slack = 0.5 - 0.5 / zoom
    framing = Framing(zoom, float(rng.uniform(-slack, slack)), float(rng.uniform(-slack, slack)))
    seed = int(rng.integers(1, 2**31))
    radiance = render_room(height, width, framing=framing, oversampling=1, seed=seed)
    # One line of sight per px: a lens as soft as a px keeps edges from stairs.
    radiance = np.asarray(cv2.GaussianBlur(radiance, (0, 0), 0.8), np.float32)
    if rng.random() < 0.5:
        radiance = np.ascontiguousarray(radiance[:, ::-1])
    return radiance, framing


def _view(
    rng: np.random.Generator, path: Path, size: tuple[int, int]
) -> tuple[Floats, float, float | None]:
    """Radiance of a view, its columns of true detail, and eye level from the top, if known."""
    picture = read_picture(path).pixels
    height, width = picture.shape[1:]
    if width == 2 * height or abs(width / height - 2) < 0.02:
        return _panorama_view(rng, picture, size)
    return *_flat_view(rng, picture, size), None


def _flat_view(
    rng: np.random.Generator, picture: Tensor, size: tuple[int, int]
) -> tuple[Floats, float]:
    """The largest cut of the wanted aspect, reduced where it is larger than wanted."""
    height, width = picture.shape[1:]
    scale = min(height / size[0], width / size[1])
    rows, columns = max(1, int(size[0] * scale)), max(1, int(size[1] * scale))
    top, left = int(rng.integers(0, height - rows + 1)), int(rng.integers(0, width - columns + 1))
    cut = picture[:, top : top + rows, left : left + columns].permute(1, 2, 0).float().numpy()
    if columns > size[1]:
        cut = cv2.resize(cut, size[::-1], interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    return np.ascontiguousarray(cut, np.float32), float(min(columns, size[1]))


def _panorama_view(
    rng: np.random.Generator, picture: Tensor, size: tuple[int, int]
) -> tuple[Floats, float, float]:
    """A perspective view into a panorama: of a few directions the one with most range of light."""
    angle = np.deg2rad(rng.uniform(*_VIEW_DEG))
    pitch = np.deg2rad(rng.uniform(-8, 6))
    focal = 0.5 / np.tan(angle / 2)  # over the longer side
    own_px = picture.shape[2] * angle / (2 * np.pi) * size[1] / max(size)
    width = int(min(size[1], max(96, _FINER * own_px)))
    height = max(1, round(size[0] * width / size[1]))
    yaws = rng.uniform(0, 2 * np.pi, 5)
    small = [
        _seen(picture, (height // 4 + 1, width // 4 + 1), focal, yaw=yaw, pitch=pitch)
        for yaw in yaws
    ]
    best = int(np.argmax([_light_range(view) for view in small]))
    view = _seen(picture, (height, width), focal, yaw=yaws[best], pitch=pitch)
    horizon = 0.5 + focal * np.tan(pitch) * max(size) / size[0]
    return view, min(own_px, float(size[1])), float(horizon)


def _light_range(view: Floats) -> float:
    low, high = np.quantile(view.mean(axis=2), (0.05, 0.98))
    return float(min(np.log2((high + 1e-4) / (low + 1e-4)), 9.0))


def _seen(
    picture: Tensor, size: tuple[int, int], focal: float, *, yaw: float, pitch: float
) -> Floats:
    """(height, width, 3) of the panorama (3, H, W), seen by a camera that looks up by `pitch`."""
    longer = max(size)
    x = (np.arange(size[1]) + 0.5 - size[1] / 2) / (focal * longer)
    y = -(np.arange(size[0]) + 0.5 - size[0] / 2)[:, np.newaxis] / (focal * longer)
    up = y * np.cos(pitch) + np.sin(pitch)
    ahead = np.cos(pitch) - y * np.sin(pitch)
    height, width = picture.shape[1:]
    turn = np.arctan2(x, ahead) + yaw
    rise = np.arctan2(up, np.sqrt(x * x + ahead * ahead))
    columns = np.mod(turn / (2 * np.pi), 1.0) * width
    rows = np.clip((0.5 - rise / np.pi) * height, 0.5, height - 0.5)
    # A few columns of the other end are repeated, so that no seam lies between the ends.
    first, last = max(0, int(rows.min()) - 4), min(height, int(rows.max()) + 5)
    band = picture[:, first:last].permute(1, 2, 0).float().numpy()
    # In logarithms, or the curve through a bright edge would swing below zero beside it.
    band = np.log(np.concatenate((band[:, -4:], band, band[:, :4]), axis=1) + _FLOOR)
    places = (columns + 3.5).astype(np.float32), (rows - 0.5 - first).astype(np.float32)
    if _is_finer(picture.shape[2], size[1], focal):
        band = cv2.GaussianBlur(band, (0, 0), 0.35 * width / (2 * np.pi * focal * size[1]))
    edge = cv2.BORDER_REPLICATE
    found = cv2.remap(band, places[0], places[1], cv2.INTER_CUBIC, borderMode=edge)
    return np.asarray(np.exp(found), np.float32)


def _is_finer(panorama_px: int, view_px: int, focal: float) -> bool:
    """Whether the panorama has more px than the view can show."""
    return panorama_px / (2 * np.pi) > 1.3 * focal * view_px
