"""DeepFuse: tied feature layers per frame, merged by addition, and layers that reconstruct luma.

Structure after Prabhakar, Srikar, Babu, "DeepFuse: A Deep Unsupervised Approach for Exposure Fusion
with Extreme Exposure Image Pairs" (ICCV 2017, arXiv 1712.07384), section 3: C1 5x5 and C2 7x7 with
weights tied over the frames; addition; C3 7x7, C4 5x5, C5 5x5; colour by its distance from gray.

Published: layers, kernels, the merge, the colour rule, training by MEF-SSIM without labels. This
project's own, for one scale leaves gray halos: the same layers fuse every level of a pyramid
(`levels.py`), at equal contrast; the merge is twice the mean, which is the sum for two frames and
takes any number; beside the features the bands themselves are added, weighted by their power
(`View.base`), and what the layers reconstruct is a gain on that sum and a band to add to it, as far
as the frames differ in exposure. It opens no file, knows no device, and needs no view of the whole.

Letters in shape comments: B brackets, N frames, M = B*N.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefuse.levels import Cache, View, fuse_brackets

if TYPE_CHECKING:
    from mefuse.models.ipl_config import Region

SEEN = 4  # channels per frame: its band, its luma, the fused luma so far, which level
MAX_LOG_GAIN = 2.0
SLOPE = 0.01  # of the leaky ReLU, as in the authors' release


@dataclass(frozen=True, slots=True)
class DeepFuseConfig:
    """Sizes of the network; stored beside its weights. The paper's widths are 16 and 32."""

    width: int = 16  # of C1 and C4; C2 and C3 have twice as many

    def to_dict(self) -> dict[str, int]:
        """Plain numbers for a file's metadata."""
        return asdict(self)


class TiedFeatures(nn.Module):
    """C1 and C2: what one frame shows; all frames share the weights. Paper, section 3.1."""

    def __init__(self, config: DeepFuseConfig) -> None:
        super().__init__()
        self.first = nn.Conv2d(SEEN, config.width, 5, padding=2)
        self.second = nn.Conv2d(config.width, 2 * config.width, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """(M, SEEN, h, w) -> (M, 2 width, h, w)."""
        x = F.leaky_relu(self.first(x), SLOPE)
        return F.leaky_relu(self.second(x), SLOPE)


class Reconstruction(nn.Module):
    """C3, C4 and C5: merged features to the fused band. Paper, section 3.1."""

    def __init__(self, config: DeepFuseConfig) -> None:
        super().__init__()
        width = config.width
        self.third = nn.Conv2d(2 * width, 2 * width, 7, padding=3)
        self.fourth = nn.Conv2d(2 * width, width, 5, padding=2)
        self.head = nn.Conv2d(width, 2, 5, padding=2)
        nn.init.normal_(self.head.weight, std=1e-3)  # an untrained network gives the base
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 2 width, h, w) -> log gain on the base and band to add to it, (B, h, w) each."""
        x = F.leaky_relu(self.third(x), SLOPE)
        x = F.leaky_relu(self.fourth(x), SLOPE)
        log_gain, band = self.head(x).unbind(1)
        return MAX_LOG_GAIN * torch.tanh(log_gain / MAX_LOG_GAIN), band


class DeepFuse(nn.Module):
    """The whole network: a view of a level in, its fused band out. Takes any size and count."""

    def __init__(self, config: DeepFuseConfig | None = None) -> None:
        super().__init__()
        self.config = config or DeepFuseConfig()
        self.features = TiedFeatures(self.config)
        self.reconstruction = Reconstruction(self.config)

    @property
    def overlap_px(self) -> int:
        """Pixels around a region that its band depends on: the kernels' radii."""
        return 2 + 3 + 3 + 2 + 2

    def prefill(self, luma: Tensor, cache: Cache) -> None:
        """Nothing: a band depends on its neighbourhood, and on coarser levels through it."""

    def decode(self, view: View, cache: Cache) -> Tensor:  # noqa: ARG002 - see prefill
        """The fused band of a view, over its strength: (B, h, w)."""
        like = view.bands
        seen = (
            like,
            view.luma * 2 - 1,
            (view.so_far * 2 - 1)[:, None].expand_as(like),
            torch.full_like(like, view.depth * 2 - 1),
        )
        x = self.features(torch.stack(seen, 2).flatten(0, 1))  # M, 2 width, h, w
        merged = 2 * x.unflatten(0, like.shape[:2]).mean(1)  # B, 2 width, h, w
        log_gain, band = self.reconstruction(merged)
        fused: Tensor = torch.exp(view.unlike * log_gain) * view.base + view.unlike * band
        return fused

    def fuse_whole(
        self,
        detail: Tensor,
        small: Tensor,
        region: Region,  # noqa: ARG002 - any part of a picture is one of its own
        *,
        finest_px: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Fused luma and chroma as training needs them; see `levels.fuse_brackets`."""
        return fuse_brackets(self, detail, small, finest_px=finest_px)
