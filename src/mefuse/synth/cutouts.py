"""Things that can move: people, cars, leafy twigs and cut-outs of photographs, drawn as tensors.

A cut-out is (4, h, w): reflectance premultiplied by its cover, and the cover, with soft edges.
Limbs, folds and veins are drawn from round cones, shaded as solids, and coloured with pieces of
photographs where there are some. Knows no scene: where a thing is, how large and in what light is
decided elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mefuse.synth.cones import MARGIN, Canvas, Cone, Point
from mefuse.synth.pictures import Picture

_SKIN = ((0.52, 0.33, 0.24), (0.38, 0.22, 0.15), (0.20, 0.11, 0.07), (0.60, 0.42, 0.33))
_HAIR = ((0.02, 0.015, 0.01), (0.08, 0.045, 0.02), (0.30, 0.21, 0.10), (0.28, 0.27, 0.26))
_CLOTH = (
    (0.025, 0.028, 0.035), (0.05, 0.08, 0.16), (0.30, 0.05, 0.04), (0.45, 0.42, 0.36),
    (0.10, 0.14, 0.09), (0.55, 0.35, 0.08), (0.62, 0.60, 0.58), (0.16, 0.11, 0.08),
)  # fmt: skip
_PAINT = ((0.5, 0.5, 0.5), (0.03, 0.03, 0.035), (0.4, 0.03, 0.03), (0.05, 0.1, 0.25), (0.7,) * 3)
_RUBBER, _GLASS = (0.015, 0.015, 0.017), (0.06, 0.075, 0.085)


def texture(
    rng: np.random.Generator, photos: Sequence[Picture], size_px: int, *, device: str | torch.device
) -> Tensor:
    """A square of something, (3, size, size) around 1: of a photograph, or soft noise without."""
    if not photos:
        return _noise(rng, size_px).to(device)
    pixels = photos[int(rng.integers(len(photos)))].pixels
    side = int(min(*pixels.shape[1:], max(32, size_px * rng.uniform(1, 2))))
    top = int(rng.integers(0, pixels.shape[1] - side + 1))
    left = int(rng.integers(0, pixels.shape[2] - side + 1))
    cut = (pixels[:, top : top + side, left : left + side].to(device).float() / 255) ** 2.2
    cut = F.interpolate(cut[None], size=(size_px, size_px), mode="bilinear", antialias=True)[0]
    return (cut / cut.mean().clamp_min(0.02)).clamp(0.05, 4.0)


def _noise(rng: np.random.Generator, size_px: int) -> Tensor:
    """Blobs of several sizes in slightly different colours, (3, size, size) around 1."""
    total = torch.zeros(1, 3, size_px, size_px)
    cells, strength = 4, 0.4
    while cells <= size_px:
        grid = rng.standard_normal((1, 1, cells, cells)) + 0.3 * rng.standard_normal(
            (1, 3, cells, cells)
        )
        coarse = torch.from_numpy(grid).float()
        blobs = F.interpolate(coarse, size=(size_px, size_px), mode="bicubic", align_corners=False)
        total = total + strength * blobs
        cells, strength = cells * 2, strength * 0.75
    return torch.exp(total[0]).clamp(0.05, 4.0)


def _pick(rng: np.random.Generator, colours: Sequence[Sequence[float]]) -> tuple[float, ...]:
    chosen = np.array(colours[int(rng.integers(len(colours)))]) * rng.uniform(0.75, 1.25)
    return tuple(float(c) for c in chosen)


def _light(rng: np.random.Generator) -> Point:
    """Where light comes from: above, from one side."""
    return float(rng.uniform(-0.5, 0.5)), float(-rng.uniform(0.3, 0.6))


FIGURE_ASPECT = 0.62


def walker(
    rng: np.random.Generator,
    photos: Sequence[Picture],
    height_px: int,
    *,
    phases: Sequence[float],
    turned: float,
    device: str | torch.device = "cpu",
) -> list[Tensor]:
    """One person at several phases of a walk (radians).

    Args:
        rng: draws clothes and build.
        photos: what the clothes are made of; none: noise.
        height_px: height of the person.
        phases: of the walk, one per cut-out.
        turned: -1 walks to the left, 0 towards us or away, 1 to the right.
        device: where to draw.
    """
    dress = _Dress.drawn(rng)
    cloth = texture(rng, photos, min(height_px, 512), device=device)
    cloth = cloth / cloth.mean(0, keepdim=True) ** 0.35  # photographs are harder than cloth
    light = _light(rng)
    drawn = []
    for phase in phases:
        canvas = Canvas(height_px, FIGURE_ASPECT, cloth, light)
        for cone in _body(dress, phase, turned):
            canvas.draw(cone)
        drawn.append(canvas.pixels)
    return drawn


@dataclass(frozen=True, slots=True)
class _Dress:
    """What one person wears and how broad it is."""

    skin: tuple[float, ...]
    hair: tuple[float, ...]
    top: tuple[float, ...]
    trousers: tuple[float, ...]
    shoes: tuple[float, ...]
    coat_end: float  # how far down the top reaches
    broad: float
    pattern: float
    bag: bool
    seen_from_behind: bool

    @staticmethod
    def drawn(rng: np.random.Generator) -> _Dress:
        return _Dress(
            _pick(rng, _SKIN), _pick(rng, _HAIR), _pick(rng, _CLOTH), _pick(rng, _CLOTH[:6]),
            _pick(rng, (*_CLOTH[:1], *_CLOTH[6:])), float(rng.choice((0.52, 0.55, 0.7))),
            float(rng.uniform(0.9, 1.15)), float(rng.uniform(0.2, 0.8)),
            bool(rng.random() < 0.5), bool(rng.random() < 0.5),
        )  # fmt: skip


def _hanging(start: Point, length: float, angle: float) -> Point:
    return start[0] + length * math.sin(angle), start[1] + length * math.cos(angle)


def _body(dress: _Dress, phase: float, turned: float) -> list[Cone]:
    """The cones of a walking person, back to front. Proportions of an adult, 7.5 heads tall."""
    side, ahead = abs(turned), math.copysign(1.0, turned)
    half = 0.088 * (1 - side) + 0.02 * side
    cones: list[Cone] = []
    far, near = -1, 1
    cones += _arm(dress, far * half, math.sin(phase), side, ahead)
    cones += _leg(dress, far * 0.5 * half, math.sin(phase + math.pi), side, ahead)
    cones += _leg(dress, near * 0.5 * half, math.sin(phase), side, ahead)
    bob = 0.008 * math.cos(2 * phase)
    wide = (1.5 - 0.55 * side) * dress.broad
    chest, hips = (0.01 * ahead * side, 0.215 + bob), (0.0, 0.5 + bob)
    if dress.coat_end > 0.6:
        end = (0.012 * math.sin(phase) * ahead, dress.coat_end)
        cones.append(Cone(hips, end, 0.062, 0.085, dress.top, wide=0.9 * wide, cloth=dress.pattern))
    else:
        cones.append(Cone((0.0, 0.47), hips, 0.06, 0.062, dress.trousers, wide=0.95 * wide))
    waist = (0.0, min(dress.coat_end, 0.5) - 0.06 + bob)
    cones.append(Cone((0, 0.115 + bob), (0, 0.16 + bob), 0.024, 0.03, dress.skin))
    cones.append(Cone(chest, waist, 0.066, 0.055, dress.top, wide=wide, cloth=dress.pattern))
    cones += _head(dress, bob, side, ahead)
    if dress.bag:
        hip = half * near + 0.05
        cones.append(
            Cone((hip, 0.46), (hip, 0.52), 0.05, 0.055, dress.shoes, wide=1.1, cloth=dress.pattern)
        )
    return cones + _arm(dress, near * half, math.sin(phase + math.pi), side, ahead)


def _head(dress: _Dress, bob: float, side: float, ahead: float) -> list[Cone]:
    back = -0.012 * side * ahead
    skull = Cone((back, 0.045 + bob), (back, 0.08 + bob), 0.047, 0.043, dress.hair, wide=0.9)
    if dress.seen_from_behind and side < 0.5:
        return [skull]
    front = 0.012 * side * ahead
    return [skull, Cone((front, 0.07 + bob), (front, 0.1 + bob), 0.039, 0.03, dress.skin, wide=0.9)]


def _arm(dress: _Dress, shoulder: float, swing: float, side: float, ahead: float) -> list[Cone]:
    start = (shoulder * 1.1, 0.2)
    outwards = math.copysign(0.1 * (1 - side), shoulder)
    upper = 0.5 * swing * side * ahead + outwards
    elbow = _hanging(start, 0.15, upper)
    lower = upper + 0.4 * side * ahead * (0.6 + 0.4 * swing)
    wrist = _hanging(elbow, 0.13, lower)
    hand = _hanging(wrist, 0.035, lower)
    return [
        Cone(wrist, hand, 0.018, 0.014, dress.skin),
        Cone(elbow, wrist, 0.027, 0.021, dress.top, cloth=dress.pattern),
        Cone(start, elbow, 0.036, 0.028, dress.top, cloth=dress.pattern),
    ]


def _leg(dress: _Dress, hip: float, swing: float, side: float, ahead: float) -> list[Cone]:
    reach = 0.15 + 0.85 * side
    thigh = 0.45 * swing * reach * ahead
    knee = _hanging((hip, 0.5), 0.23, thigh)
    bend = (0.25 - 0.35 * swing) * reach * ahead
    ankle = _hanging(knee, 0.22 if side > 0.5 else 0.21 + 0.02 * swing, thigh - max(0.0, bend)
                     if ahead > 0 else thigh - min(0.0, bend))  # fmt: skip
    toe = (ankle[0] + 0.06 * side * ahead, ankle[1] + 0.02)
    return [
        Cone(ankle, toe, 0.024, 0.018, dress.shoes, wide=1.15),
        Cone(knee, ankle, 0.035, 0.026, dress.trousers, cloth=0.4 * dress.pattern),
        Cone((hip, 0.5), knee, 0.055, 0.037, dress.trousers, cloth=0.4 * dress.pattern),
    ]


CAR_ASPECT = 3.0


def car(
    rng: np.random.Generator,
    photos: Sequence[Picture],
    height_px: int,
    *,
    device: str | torch.device = "cpu",
) -> Tensor:
    """A car from its side."""
    paint = _pick(rng, _PAINT)
    mirrored = texture(rng, photos, min(height_px, 384), device=device)
    canvas = Canvas(height_px, CAR_ASPECT, mirrored, _light(rng))
    roof_start, roof_end = sorted(rng.uniform((-0.75, 0.25), (-0.35, 0.7)).tolist())
    for cone in (
        Cone((roof_start, 0.24), (roof_end, 0.22), 0.2, 0.2, paint),
        Cone((roof_start - 0.05, 0.29), (roof_end + 0.05, 0.28), 0.15, 0.16, _GLASS, cloth=0.9),
        Cone((-1.2, 0.62), (1.2, 0.66), 0.24, 0.2, paint, cloth=0.12),
        Cone((-1.0, 0.45), (1.0, 0.47), 0.06, 0.05, paint, cloth=0.2),
        Cone(((roof_start + roof_end) / 2, 0.16), ((roof_start + roof_end) / 2, 0.42),
             0.014, 0.014, paint),
    ):  # fmt: skip
        canvas.draw(cone)
    for x in (-0.82, 0.85):
        for radius, colour in ((0.21, _RUBBER), (0.125, (0.3, 0.3, 0.31)), (0.05, _RUBBER)):
            canvas.draw(Cone((x, 0.79), (x + 1e-4, 0.79), radius, radius, colour))
    return canvas.pixels


def twig(
    rng: np.random.Generator,
    photos: Sequence[Picture],
    height_px: int,
    *,
    swings: Sequence[float],
    leaves: int,
    device: str | torch.device = "cpu",
) -> list[Tensor]:
    """A twig with leaves that hangs from the top, at several angles of its swing (radians)."""
    green = texture(rng, photos, min(height_px, 384), device=device)
    tone = np.array((0.10, 0.19, 0.035)) * np.exp(rng.normal(0, 0.25, 3))
    light = _light(rng)
    bend, places = rng.normal(0, 0.35), np.sort(rng.uniform(0.08, 1, leaves))
    sides = np.where(np.arange(leaves) % 2, 1.0, -1.0) * rng.uniform(0.5, 1.3, leaves)
    tones = np.exp(rng.normal(0, 0.35, leaves))
    lengths, flutters = rng.uniform(0.10, 0.2, leaves), rng.normal(0, 1.0, leaves)
    drawn = []
    for swing in swings:
        canvas = Canvas(height_px, 1.0, green, light)
        last: Point = (0.0, 0.0)
        for place, side, brightness, length, flutter in zip(
            places, sides, tones, lengths, flutters, strict=True
        ):
            at = _hanging((0.0, 0.0), 0.86 * place, (bend + swing) * place)
            canvas.draw(Cone(last, at, 0.008, 0.006, (0.06, 0.045, 0.03)))
            tip = _hanging(at, length, side + (bend + swing) + flutter * swing)
            middle = ((at[0] + tip[0]) / 2, (at[1] + tip[1]) / 2)
            colour = tone * brightness
            broad = 0.2 * length
            canvas.draw(Cone(at, middle, 0.3 * broad, broad, colour.tolist(), cloth=0.3))
            canvas.draw(Cone(middle, tip, broad, 0.1 * broad, colour.tolist(), cloth=0.3))
            last = at
        drawn.append(canvas.pixels)
    return drawn


def piece(
    rng: np.random.Generator,
    photos: Sequence[Picture],
    height_px: int,
    *,
    device: str | torch.device = "cpu",
) -> Tensor:
    """A rounded piece cut out of a photograph, shaded as a solid thing: a bag, a ball, a sail."""
    content = texture(rng, photos, min(height_px, 768), device=device)
    side = round(height_px * (1 + 2 * MARGIN))
    place = (torch.arange(side, device=device) + 0.5) / height_px - 0.5 - MARGIN
    y, x = place[:, None], place[None, :]
    angle, outline = torch.atan2(y, x), torch.full((side, side), 0.36, device=device)
    for wave in range(2, 6):
        phase, size = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.10 / wave)
        outline = outline + float(size) * torch.cos(wave * angle + float(phase))
    inside = (x * x + y * y).sqrt() / outline
    cover = (0.5 + (1 - inside) * outline * height_px / 1.6).clamp(0, 1)
    light = _light(rng)
    facing = (1 - inside**4).clamp_min(0).sqrt()
    shade = 0.35 + 0.65 * (facing * 0.7 + (x * light[0] + y * light[1]) * 1.6).clamp_min(0)
    colour = F.interpolate(content[None], size=(side, side), mode="bilinear")[0] * 0.3 * shade
    return torch.cat((colour * cover, cover[None]))


def blurred(cutout: Tensor, down_px: float, right_px: float) -> Tensor:
    """A cut-out that moves by (down, right) px while the shutter is open, mean position kept.

    Means of shifted copies, doubled: 2^n positions for n additions.
    """
    length = max(abs(down_px), abs(right_px))
    if length < 1:
        return cutout
    pad_y, pad_x = math.ceil(abs(down_px) / 2) + 1, math.ceil(abs(right_px) / 2) + 1
    total = F.pad(cutout, (pad_x, pad_x, pad_y, pad_y))
    doublings = max(1, math.ceil(math.log2(length)))
    path = [0, 0]
    for n in range(1, doublings + 1):
        step = (round(down_px / 2**n), round(right_px / 2**n))
        path = [path[0] + step[0], path[1] + step[1]]
        total = 0.5 * (total + torch.roll(total, step, (1, 2)))
    # Rolled round the edge and back: the padding is as long as the path.
    return torch.roll(total, (-round(path[0] / 2), -round(path[1] / 2)), (1, 2))
