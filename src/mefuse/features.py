"""What a network sees of frames: their exposure, colour, detail and agreement, on a grid of 8 px.

`glimpse` keeps little of the frames, slice by slice; `describe` makes features of it once the
whole picture's pyramid is known. All is differentiable. It knows no network, no slice, no file.

Values are 0..1, display-referred, before they are features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mefuse.blend import Bands, build_pyramid, enlarge, luma_chroma, mean_pool
from mefuse.grid import (
    AGREEMENT_LIMIT,
    CLIPPED_ABOVE,
    CLIPPED_BELOW,
    CLIPPED_SLOPE,
    ENERGY_FLOOR,
    EXPOSED_FLOOR,
    EXPOSED_VARIANCE,
    FINE,
    GRID,
    LUMA_FLOOR,
    SATURATION_FLOOR,
    Glimpse,
    everything,
)


def glimpse(rgb: Tensor, bands: Bands) -> Glimpse[Tensor]:
    """The glimpse of frames (B, N, 3, H, W), 0..1, and the same frames taken apart."""
    energies = [mean_pool(e, GRID >> (i + 1)) for i, e in enumerate(bands.energies)]
    return Glimpse(mean_pool(rgb, GRID), bands.luma, torch.stack(energies, 2))


def sense(rgb: Tensor, bands: Bands) -> tuple[Tensor, Tensor]:
    """Features and prior of whole pictures; see `describe`.

    Args:
        rgb: (B, N, 3, H, W), 0..1; H and W multiples of 32.
        bands: the same frames taken apart.
    """
    seen = glimpse(rgb, bands)
    return describe(seen, build_pyramid(seen.luma).within(everything(seen.luma)))


def describe(
    seen: Glimpse[Tensor], coarse: Sequence[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """What the network sees of frames, on a grid of 8 px.

    Args:
        seen: the frames' glimpse, of the whole picture or of a part.
        coarse: the pyramid's energies of the same part.

    Returns:
        features (B, N, FEATURES, h, w), about -1..1; prior (B, N, 1, h, w), the log of the
        classic weight contrast x saturation x well-exposedness.
    """
    small, luma = seen.colour, seen.luma
    _, chroma = luma_chroma(small)
    exposed = -((small - 0.5) ** 2 / (2 * EXPOSED_VARIANCE)).sum(2)
    saturation = small.std(2, correction=0)
    own = torch.stack(
        (
            luma * 2 - 1,
            torch.log(luma.clamp_min(0) + LUMA_FLOOR) / 2 + 1,
            chroma[:, :, 0] * 4,
            chroma[:, :, 1] * 4,
            saturation * 4,
            exposed / 4 + 1,
            ((small.amax(2) - CLIPPED_ABOVE) * CLIPPED_SLOPE).clamp(0, 1),  # clipped above
            ((CLIPPED_BELOW - small.amin(2)) * CLIPPED_SLOPE).clamp(0, 1),  # clipped below
        ),
        2,
    )
    features = torch.cat((own, _compare(seen.energies, coarse)), 2)
    contrast = (seen.energies.sum(2) + ENERGY_FLOOR).sqrt()
    prior = (
        torch.log(contrast)
        + torch.log(saturation + SATURATION_FLOOR)
        + exposed.clamp_min(EXPOSED_FLOOR)
    )
    return features, prior[:, :, None]


def _compare(fine: Tensor, coarse: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Energy of every band, its share among the frames, and how far the frames agree.

    Frames agree where the energy of their sum is that of sums of equal phase: 1; where they show
    different things, or one shows nothing, it is lower.
    """
    height, width = fine.shape[-2:]
    whole = [
        tuple(enlarge(energy, 2 << i)[..., :height, :width] for energy in pair)
        for i, pair in enumerate(coarse)
    ]
    energies = torch.cat((fine, torch.stack([own for own, _ in whole], 2)), 2) + ENERGY_FLOOR
    total = torch.log(energies.sum(1, keepdim=True))
    logs = torch.log(energies)
    in_phase = energies[:, :, FINE:].sqrt().sum(1, keepdim=True) ** 2
    together = torch.stack([together for _, together in whole], 2) + ENERGY_FLOOR
    agreement = (together / in_phase).clamp(0, AGREEMENT_LIMIT) * 2 - 1
    shared = agreement.expand(-1, fine.shape[1], -1, -1, -1)
    return torch.cat(((logs + 8) / 4, (logs - total) / 3 + 0.5, shared), 2)
