"""What the window looks out on: sky with clouds, hills, trees and a meadow, by direction.

Linear sRGB radiance in the same relative units as the light in the room.
"""

from __future__ import annotations

import numpy as np

from mefuse.synth.light import SKY_COLOUR
from mefuse.synth.surfaces import Plane, noise

_RIDGES = (  # (height, roughness, colour, seed), far to near
    (0.045, 0.020, (1.9, 2.3, 3.0), 3),
    (0.020, 0.018, (0.95, 1.35, 1.5), 7),
    (-0.004, 0.010, (0.34, 0.58, 0.34), 12),
)


def outdoors(slope_x: Plane, slope_y: Plane) -> Plane:
    """Radiance (H, W, 3) for lines of sight (slope_x, slope_y, 1)."""
    seen = _sky(slope_x, slope_y)
    for height, roughness, colour, seed in _RIDGES:
        flat = np.zeros_like(slope_x)
        skyline = height + roughness * noise(slope_x, flat, 1.7, seed)
        skyline = skyline + 0.0025 * noise(slope_x, flat, 0.11, seed)
        below = slope_y < skyline
        tone = 1 + 0.10 * noise(slope_x, slope_y * 2, 0.3, seed)
        seen[below] = (tone[..., np.newaxis] * np.asarray(colour, np.float32))[below]
    _meadow(seen, slope_x, slope_y)
    _trees(seen, slope_x, slope_y)
    return seen


def _sky(slope_x: Plane, slope_y: Plane) -> Plane:
    """Blue, paler towards the horizon, with heaps of cloud."""
    rise = np.clip(slope_y, 0.0, 1.0)[..., np.newaxis]
    pale, deep = SKY_COLOUR * np.float32(1.25), SKY_COLOUR * np.array([0.42, 0.66, 0.98])
    blue = deep + (pale - deep) * np.exp(-7 * rise)
    height = np.maximum(slope_y, 0.02)
    u, v = slope_x / (height + 0.18), 0.8 / (height + 0.18)  # clouds lie on a level sheet
    heap = noise(u, v, 9.0, 2) + 0.35 * noise(u, v, 2.3, 5)
    cover = np.clip(0.75 * heap + 0.05, 0, 1)[..., np.newaxis]
    cover = cover * cover * (3 - 2 * cover)
    shaded = 1 - 0.32 * np.clip(heap - 0.8, 0, 1)[..., np.newaxis]
    cloud = np.array([9.5, 9.3, 9.0], np.float32) * shaded
    return np.asarray(blue + (cloud - blue) * cover, np.float32)


def _meadow(seen: Plane, slope_x: Plane, slope_y: Plane) -> None:
    """Grass below the horizon, with paths of light. In place."""
    ground = slope_y < -0.012
    depth = 1 / np.maximum(-slope_y, 0.012)
    blades = 1 + 0.16 * noise(slope_x * depth, depth, 2.6, 1) + 0.1 * noise(slope_x, slope_y, 0.05)
    light = np.clip(1 + 0.22 * noise(slope_x * depth * 0.15, slope_y * 9, 3.0, 4), 0.5, 1.5)
    colour = np.array([0.62, 0.88, 0.24], np.float32)
    seen[ground] = ((blades * light)[..., np.newaxis] * colour)[ground]


def _trees(seen: Plane, slope_x: Plane, slope_y: Plane) -> None:
    """A few round crowns with lit upper sides, nearer ones larger. In place."""
    for centre, foot, size, seed in (
        (-0.335, -0.03, 0.075, 1), (-0.27, -0.02, 0.045, 2), (-0.10, -0.016, 0.03, 3),
        (-0.055, -0.017, 0.036, 4), (0.035, -0.045, 0.105, 5), (-0.19, -0.014, 0.02, 6),
    ):  # fmt: skip
        x, y = (slope_x - centre) / size, (slope_y - foot) / size
        ragged = 0.16 * noise(slope_x / size, slope_y / size, 1.9, seed)
        crown = ((x / 0.72) ** 2 + ((y - 1.1) / 0.85) ** 2) < 1 + ragged * 2.2
        trunk = (np.abs(x + 0.05 * np.sin(3 * y)) < 0.06) & (y > 0) & (y < 1)
        seen[trunk] = (0.10, 0.08, 0.06)
        leaves = 0.5 + 0.33 * (y - 1.1) - 0.22 * x
        tone = np.clip(leaves + 0.28 * noise(slope_x / size, slope_y / size, 0.7, seed), 0.1, 1.4)
        seen[crown] = (tone[..., np.newaxis] * np.array([0.42, 0.72, 0.17], np.float32))[crown]
