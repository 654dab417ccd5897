"""What the scene's surfaces look like: reflectance from the place on a face.

A surface is a function (u, v, box) -> (..., 3) reflectance in linear sRGB, with u, v in
metres. On upright faces v is the height; on level ones u is x and v is z. Knows no light.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.synth.room import Box

Plane = NDArray[np.float32]
Places = NDArray[np.float32] | NDArray[np.float64]
Surface = Callable[[Plane, Plane, Box], Plane]

_TILE_PX = 512


@cache
def _cloud_tile() -> Plane:
    """A square of soft noise that repeats without a seam: octaves, mean 0, deviation 1."""
    rng = np.random.default_rng(11)
    total = np.zeros((_TILE_PX, _TILE_PX), np.float32)
    for octave in range(2, 10):
        cells = 1 << octave
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        wrapped = np.pad(grid, 2, mode="wrap")
        factor = _TILE_PX // cells
        large = cv2.resize(wrapped, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        rim = 2 * factor
        total += large[rim : rim + _TILE_PX, rim : rim + _TILE_PX] * np.float32(0.62**octave)
    total -= total.mean()
    return np.asarray(total / total.std(), np.float32)


def noise(u: Places, v: Places, period: float, seed: int = 0) -> Plane:
    """Soft noise over the plane, mean 0, deviation about 1; repeats after `period`."""
    scale = np.float32(_TILE_PX / period)
    x = np.mod(u * scale + 37.7 * seed, _TILE_PX).astype(np.float32)
    y = np.mod(v * scale + 91.3 * seed, _TILE_PX).astype(np.float32)
    return np.asarray(
        cv2.remap(_cloud_tile(), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32
    )


def _hashed(*whole: NDArray[np.int64] | int) -> Plane:
    """A number 0..1 for each cell, the same every time."""
    mixed = np.asarray(0, np.uint64)
    for part in whole:
        cell = np.asarray(part, np.int64).astype(np.uint64)
        mixed = (mixed ^ cell) * np.uint64(0x9E3779B97F4A7C15)
        mixed = mixed ^ (mixed >> np.uint64(29))
    return np.asarray((mixed >> np.uint64(40)) / float(1 << 24), np.float32)


def _cells(place: Plane, size: float) -> NDArray[np.int64]:
    return np.asarray(np.floor(place / size), np.int64)


def _tinted(box: Box, brightness: Plane) -> Plane:
    """The box's colour, brighter and darker."""
    return np.asarray(brightness[..., np.newaxis] * np.asarray(box.colour), np.float32)


def _plain(u: Plane, v: Plane, box: Box) -> Plane:
    return _tinted(box, 1 + 0.02 * noise(u, v, 0.7))


def _plaster(u: Plane, v: Plane, box: Box) -> Plane:
    return _tinted(box, 1 + 0.03 * noise(u, v, 3.1, box.seed) + 0.025 * noise(u, v, 0.6, box.seed))


def _grain(along: Plane, across: Plane, seed: int) -> Plane:
    """Wood: long streaks, darker rings."""
    streaks = noise(along * 0.12, across, 0.35, seed)
    rings = np.sin(across * 160 + 3 * noise(along * 0.2, across, 1.1, seed))
    return np.asarray(1 + 0.14 * streaks + 0.07 * rings, np.float32)


def _wood(u: Plane, v: Plane, box: Box) -> Plane:
    return _tinted(box, _grain(u, v, box.seed))


def _planks(u: Plane, v: Plane, box: Box) -> Plane:
    """A floor of boards along z, each of its own tone, with dark joints."""
    board = _cells(u, 0.13)
    shifted = v + 1.7 * _hashed(board)
    piece = _cells(shifted, 1.6)
    tone = 0.72 + 0.5 * _hashed(board, piece)
    joint = (np.mod(u, 0.13) < 0.004) | (np.mod(shifted, 1.6) < 0.004)
    grain = _grain(shifted + 5 * _hashed(piece, board), u, 3)
    return _tinted(box, tone * grain * np.where(joint, 0.3, 1).astype(np.float32))


def _rug(u: Plane, v: Plane, box: Box) -> Plane:
    """Bands and lozenges in three colours, with a pile."""
    middle_u, middle_v = (box.low[0] + box.high[0]) / 2, (box.low[2] + box.high[2]) / 2
    edge = np.minimum(
        (box.high[0] - box.low[0]) / 2 - np.abs(u - middle_u),
        (box.high[2] - box.low[2]) / 2 - np.abs(v - middle_v),
    )
    lozenge = np.mod(np.abs(u - middle_u) / 0.28 + np.abs(v - middle_v) / 0.2, 2.0)
    colour = np.empty((*u.shape, 3), np.float32)
    colour[...] = box.colour
    colour[lozenge < 0.35] = (0.58, 0.47, 0.30)
    colour[(lozenge > 1.0) & (lozenge < 1.2)] = (0.05, 0.07, 0.14)
    colour[edge < 0.22] = (0.06, 0.08, 0.16)
    colour[(edge > 0.05) & (edge < 0.09)] = (0.58, 0.47, 0.30)
    colour[(edge > 0.15) & (edge < 0.17)] = (0.42, 0.10, 0.07)
    pile = 1 + 0.14 * noise(u, v, 0.22) + 0.06 * np.sin(v * 900)
    return np.asarray(colour * pile[..., np.newaxis], np.float32)


def _fabric(u: Plane, v: Plane, box: Box) -> Plane:
    weave = 0.06 * (np.sin(u * 1500) + np.sin(v * 1500))
    return _tinted(box, (1 + weave + 0.1 * noise(u, v, 0.5, box.seed)).astype(np.float32))


def _check(u: Plane, v: Plane, box: Box) -> Plane:
    lines = (np.mod(u, 0.07) < 0.02).astype(np.float32) + (np.mod(v, 0.07) < 0.02)
    return _fabric(u, v, box) * (1 - 0.38 * lines[..., np.newaxis])


def _curtain(u: Plane, v: Plane, box: Box) -> Plane:
    """Folds that hang a little uneven."""
    phase = u * 95 + 0.7 * noise(u * 0.4, v * 0.05, 1.3) + 1.2 * np.sin(u * 23)
    folds = 0.72 + 0.28 * np.sin(phase) + 0.05 * np.sin(2.3 * phase)
    return _fabric(u, v, box) * folds[..., np.newaxis].astype(np.float32)


def _letters(along: Plane, down: Plane, *, line: float, seed: int) -> NDArray[np.bool_]:
    """Where print is: lines of words of strokes, as small type looks from afar."""
    row = _cells(down, line)
    in_line = np.mod(down, line) < 0.55 * line
    word = _hashed(_cells(along, line * 2.2), row, seed) > 0.22
    letter = np.mod(along, line * 0.42) < 0.24 * line
    stroke = _hashed(_cells(along, line * 0.21), _cells(down, line * 0.27), seed + 1) > 0.28
    return np.asarray(in_line & word & letter & stroke)


def _page(u: Plane, v: Plane, box: Box) -> Plane:
    """A printed page with margins, a heading and a picture."""
    along = (u - box.low[0]) / (box.high[0] - box.low[0])
    down = (box.high[2] - v) / (box.high[2] - box.low[2])
    text = _letters(u, -v, line=0.011, seed=box.seed) & (down > 0.2) & (along > 0.1) & (along < 0.9)
    heading = _letters(u, -v, line=0.03, seed=box.seed) & (down > 0.07) & (down < 0.15)
    picture = (along > 0.52) & (along < 0.9) & (down > 0.55) & (down < 0.85)
    page = _tinted(box, np.ones_like(u))
    page[(text | (heading & (along > 0.1) & (along < 0.8))) & (down < 0.93)] = 0.05
    tone = 0.3 + 0.2 * noise(u, v, 0.12, box.seed)
    page[picture] = np.stack([tone * 0.8, tone, tone * 1.3], axis=-1)[picture]
    return np.asarray(np.clip(page, 0.02, 1), np.float32)


def _spine(u: Plane, v: Plane, box: Box) -> Plane:
    """A book's back: bands, a label, a title that runs up."""
    height = box.high[1] - box.low[1]
    up = (v - box.low[1]) / height
    chance = np.random.default_rng(box.seed).random(4)
    cover = _tinted(box, 1 + 0.08 * noise(u, v, 0.2, box.seed % 97))
    light = np.float32(0.62 if np.mean(box.colour) < 0.3 else 0.06)
    gold = np.array([1.0, 0.82, 0.5], np.float32) * light
    for place in (0.08, 0.9) if chance[0] < 0.6 else (0.15,):
        cover[np.abs(up - place) < 0.012] = gold
    if chance[1] < 0.5:
        cover[(up > 0.62) & (up < 0.8)] *= np.float32(0.35)
    thickness = min(box.high[0] - box.low[0], box.high[2] - box.low[2])
    centre = np.abs(np.mod(u - _spine_start(box), thickness) / thickness - 0.5) < 0.27
    title = _letters(v, u, line=0.6 * thickness, seed=box.seed) & (up > 0.2) & (up < 0.58)
    cover[title & centre] = gold
    return cover


def _spine_start(box: Box) -> float:
    """Where the back's width starts: the thin side of a book is the one that shows."""
    thin_x = box.high[0] - box.low[0] < box.high[2] - box.low[2]
    return box.low[0] if thin_x else box.low[2]


def _cover(u: Plane, v: Plane, box: Box) -> Plane:
    """A lying book: a title on top, pages at the side."""
    cover = _tinted(box, 1 + 0.05 * noise(u, v, 0.3, box.seed))
    cover[_letters(u, v, line=0.02, seed=box.seed) & (np.mod(v, 0.16) < 0.04)] = 0.6
    return cover


def _painting(u: Plane, v: Plane, box: Box) -> Plane:
    """Hills under an evening sky, in a passe-partout."""
    thin_x = box.high[0] - box.low[0] < box.high[2] - box.low[2]
    start, end = (box.low[2], box.high[2]) if thin_x else (box.low[0], box.high[0])
    along = (u - start) / (end - start)
    up = (v - box.low[1]) / (box.high[1] - box.low[1])
    sky = np.stack([0.75 - 0.45 * up, 0.42 - 0.05 * up, 0.22 + 0.35 * up], axis=-1)
    picture = sky.astype(np.float32) * (1 + 0.12 * noise(u * 0.3, v, 0.4, box.seed))[..., None]
    tones = ((0.25, 0.2, 0.3), (0.12, 0.16, 0.2), (0.05, 0.09, 0.05))
    for layer, tone in enumerate(tones):
        ridge = 0.55 - 0.15 * layer + 0.06 * noise(along, np.full_like(u, layer), 1.9, box.seed)
        picture[up < ridge] = tone
    brush = 1 + 0.12 * noise(u, v * 0.5, 0.12, box.seed + 5)
    picture = picture * brush[..., np.newaxis]
    picture[(np.abs(along - 0.5) > 0.41) | (np.abs(up - 0.5) > 0.4)] = 0.66
    return np.asarray(np.clip(picture, 0.02, 0.9), np.float32)


def _glaze(u: Plane, v: Plane, box: Box) -> Plane:
    return _tinted(box, 1 + 0.5 * np.exp(-(((u - box.low[0]) / 0.02 - 1.5) ** 2)) * np.sin(v * 60))


def _shade(u: Plane, v: Plane, box: Box) -> Plane:
    """A lit lamp shade: what it sends out, not what it reflects."""
    middle = (box.low[1] + box.high[1]) / 2
    glow = 2.6 * np.exp(-(((v - middle) / 0.12) ** 2)) + 0.9
    return _tinted(box, (glow * (1 + 0.05 * noise(u, v, 0.08))).astype(np.float32))


GLOWING = frozenset({"shade"})
SURFACES: dict[str, Surface] = {
    "plain": _plain,
    "plaster": _plaster,
    "wood": _wood,
    "planks": _planks,
    "rug": _rug,
    "fabric": _fabric,
    "check": _check,
    "curtain": _curtain,
    "page": _page,
    "spine": _spine,
    "cover": _cover,
    "painting": _painting,
    "glaze": _glaze,
    "shade": _shade,
}
