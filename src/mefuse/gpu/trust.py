"""`trust.ColourTrust` and `highlights` in torch: a picture on the device need not come to the host.

The same rules, without a step that waits for the device; bins that hold nothing are carried along
and masked. Knows no network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mefuse import highlights, noise, trust
from mefuse.blend import mean_pool
from mefuse.noise import NODES


def log_weights(luma: Tensor, energy: Tensor, *, rounding: float) -> Tensor:
    """What to add to the log weights of chroma: (N, h, w) float32.

    Args:
        luma: (N, h, w) 0..1, on the grid of 8 px of a whole picture, sides even.
        energy: (N, h, w) mean local energy of the finest band there.
        rounding: the step between two neighbouring values of a pixel.
    """
    low, high = trust.WELL_EXPOSED
    well = ((luma >= low) & (luma <= high)).double().mean((1, 2)) + 1e-6
    share = (well / well.max()) ** trust.SELECTIVITY
    sigma = noise_profiles(luma, energy, rounding=rounding)
    start, end = trust.SHADOWS
    spread = _interpolated(luma, sigma) * trust.CLEAR_SNR
    clear = 1 / (1 + (spread / luma.clamp_min(1e-4)) ** 2)
    lit = ((luma - start) / (end - start)).clamp(0, 1)
    return trust.PREFERENCE * share.float()[:, None, None] * lit * clear


def fine_log_weights(colour: Tensor, energies: Tensor) -> Tensor:
    """What to add to the log weights of the fine bands: (N, h, w).

    Args:
        colour: (N, 3, h, w) mean RGB 0..1, on the grid of 8 px.
        energies: (N, FINE, h, w) mean local energy of each fine band there.
    """
    start, end = highlights.CLIPPED
    clipped = ((colour.amin(1) - start) / (end - start)).clamp(0, 1)
    start, end = highlights.CONTRAST
    shown = (energies.sum(1).sqrt() * (1 - clipped)).amax(0)
    worth = ((shown - start) / (end - start)).clamp(0, 1)
    return highlights.LOSS * worth * (clipped.amin(0) - clipped)


def noise_profiles(luma: Tensor, energy: Tensor, *, rounding: float) -> Tensor:
    """`noise.noise_profile` of each frame: (N, NODES) float32."""
    lumas, energies = _blocks(luma).double(), _blocks(energy).double()
    nodes = torch.arange(NODES, dtype=torch.float64, device=luma.device) / (NODES - 1)
    at, found, some = _bins(lumas, energies)
    rounded = (noise.WHITE_SHARE * rounding) ** 2 / 12
    deviation = found.sqrt()
    told = some & (found > 1.5 * rounded) & (at > noise.CLEAR * deviation) & (1 - at > deviation)
    light, slope = _curve(at)
    bounds = torch.where(told, (noise.SCATTER * found - rounded) / slope**2, torch.inf)
    read, shot = _envelope(light, bounds, told)
    light, slope = _curve(nodes)
    model = (read[:, None] + shot[:, None] * light) * slope**2 + rounded
    modelled = torch.minimum(_between(nodes, at, found, some), noise.ABOVE_MODEL * model)
    least = torch.where(some, found, torch.inf).amin(1, keepdim=True)
    flat = torch.where(some.any(1, keepdim=True), least, 0.0).expand(-1, NODES)
    variance = torch.where(told.any(1, keepdim=True), modelled, flat)
    return (variance.sqrt() / noise.WHITE_SHARE).float()


def _blocks(planes: Tensor) -> Tensor:
    """Means of blocks of cells, some of them where there are many: (N, blocks)."""
    small = mean_pool(planes, noise.BLOCK_CELLS)
    return small[:, :: -(-small[0].numel() // noise.MOST_BLOCKS)].flatten(1)


def _bins(lumas: Tensor, energies: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per bin of luma its mean, the energy of its flattest blocks, and whether it has enough.

    All (N, NODES), of blocks (N, n).
    """
    place = (lumas * (NODES - 1)).round().long().clamp(0, NODES - 1)
    usable = (lumas > noise.DARKEST) & (lumas < noise.BRIGHTEST)
    place = torch.where(usable, place, NODES)  # what is not usable has a bin of its own
    node = torch.arange(NODES, device=lumas.device)
    members = (place[:, None] == node[:, None]).double()  # N, NODES, n; a sum in one fixed order
    counts = members.sum(2)
    at = (members @ lumas[..., None])[..., 0] / counts.clamp_min(1)
    # Energies lie below 1, so that one sort brings them in order within their bins.
    ordered = (2.0 * place + energies).sort(1).values
    first = counts.cumsum(1) - counts
    rank = first + noise.QUANTILE * (counts - 1).clamp_min(0)
    last = (first + counts - 1).clamp(0, lumas.shape[1] - 1)
    below = rank.floor().clamp(max=lumas.shape[1] - 1)
    above = torch.minimum(below + 1, last).clamp_min(0)
    low, high = (ordered.gather(1, index.long()) for index in (below, above))
    found = low + (high - low) * (rank - below) - 2.0 * node
    some = counts >= noise.FEWEST_BLOCKS
    return at, torch.where(some, found, 0.0).clamp_min(0) / noise.QUANTILE_SHARE**2, some


def _curve(luma: Tensor) -> tuple[Tensor, Tensor]:
    """Linear light of sRGB-encoded luma, and the slope of sRGB's curve there."""
    dark = luma <= 0.04045
    light = torch.where(dark, luma / 12.92, ((luma + 0.055) / 1.055) ** 2.4)
    slope = 1.055 / 2.4 * light.clamp_min(1e-6) ** (1 / 2.4 - 1)
    return light, torch.where(dark, 12.92, slope)


def _envelope(light: Tensor, bounds: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
    """The largest variance read + shot x light below all bounds, neither negative: (N,) each.

    Bins (N, NODES) that are not told have infinite bounds.
    """
    i, j = torch.triu_indices(NODES, NODES, 1, device=light.device)
    both = told[:, i] & told[:, j]
    shot = torch.where(both, (bounds[:, j] - bounds[:, i]) / (light[:, j] - light[:, i]), -1.0)
    read = torch.where(both, bounds[:, i] - shot * light[:, i], -1.0)
    none = torch.zeros_like(bounds[:, :1])
    steepest = torch.where(told, bounds / light.clamp_min(1e-12), torch.inf).amin(1, keepdim=True)
    read = torch.cat((bounds.amin(1, keepdim=True), none, read), 1)
    shot = torch.cat((none, steepest, shot), 1)
    lines = read[:, :, None] + shot[:, :, None] * light[:, None]  # N, candidates, NODES
    feasible = (read >= 0) & (shot >= 0)
    feasible &= (~told[:, None] | (lines <= bounds[:, None] * (1 + 1e-9))).all(2)
    height = torch.where(told[:, None], lines.clamp_min(1e-300).log(), 0.0).sum(2)
    best = torch.where(feasible, height, -torch.inf).argmax(1, keepdim=True)
    return read.gather(1, best)[:, 0], shot.gather(1, best)[:, 0]


def _between(nodes: Tensor, at: Tensor, found: Tensor, some: Tensor) -> Tensor:
    """`found` at `at`, where there is `some`, as numpy interpolates it to the nodes: (N, NODES)."""
    far = torch.where(some, at, torch.inf)
    order = far.sort(1)
    at, found = order.values, found.gather(1, order.indices)
    last = (some.sum(1, keepdim=True) - 1).clamp_min(0)
    right = torch.searchsorted(at, nodes.expand(len(at), -1).contiguous(), right=True)
    left = torch.minimum((right - 1).clamp_min(0), last)
    right = torch.minimum(right, last)
    x0, x1 = at.gather(1, left), at.gather(1, right)
    y0, y1 = found.gather(1, left), found.gather(1, right)
    share = torch.where(x1 > x0, (nodes - x0) / (x1 - x0), 0.0).clamp(0, 1)
    return y0 + (y1 - y0) * share


def _interpolated(luma: Tensor, sigma: Tensor) -> Tensor:
    """Each frame's sigma (N, NODES) at its luma (N, h, w), which may lie outside 0..1."""
    place = luma.clamp(0, 1) * (NODES - 1)
    left = place.floor().clamp(max=NODES - 2)
    values = [sigma.gather(1, (left.long() + i).flatten(1)).view_as(luma) for i in range(2)]
    return values[0] + (values[1] - values[0]) * (place - left)
