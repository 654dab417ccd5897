"""LCNDR: a weight map per frame, from local features and a view of the whole, then revised edges.

Structure after Li et al., "Learning a Coordinated Network for Detail-refinement Multi-exposure
Image Fusion" (IEEE TCSVT 2023): a collaborative extraction module and a self-attention module give
weight maps, those a coarse fused picture, and an edge revision module refines it. Branches share
weights.

Published: the modules, their layers and widths (config `width` 32), luma in, colour by its distance
from gray. This project's own: the same layers serve every level of a pyramid (`levels.py`), at half
its resolution; queries see keys and values of a bounded number of places of the whole bracket,
small, which `prefill` leaves in the attention cache (squeezed channels too), for attention between
all places of a 4K picture would take 1.7e10 pairs; weights are a softmax over frames, so any number
in any order works, and "the other picture" is the mean of the others; what the network adds counts
as far as the frames differ in exposure; the edge revision's layers, for none were published. It
opens no file and knows no device.

Letters in shape comments: B brackets, N frames, M = B*N, C width, T tokens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefuse.blend import enlarge, mean_pool
from mefuse.levels import REACH_PX, Cache, View, fuse_brackets, joined, smaller, view_of

if TYPE_CHECKING:
    from mefuse.models.ipl_config import Region

SEEN = 5  # channels per frame: its band, its power, its luma, the fused luma so far, which level
REVISED = 7  # channels that the edge revision sees
MAX_LOGIT = 6.0
MAX_LOG_GAIN = 2.0
PREFILL_LEVEL = 2  # the small bracket is a picture reduced about that often


@dataclass(frozen=True, slots=True)
class LCNDRConfig:
    """Sizes of the network; stored beside its weights. The paper's width is 32."""

    width: int = 32
    collaboration: int = 1  # 0: first features alone, without squeezed and deeper ones
    tokens: int = 8  # a frame has tokens x tokens keys and values; 0: no self-attention
    revision: int = 12  # width of the edge revision; 0: none

    def to_dict(self) -> dict[str, int]:
        """Plain numbers for a file's metadata."""
        return asdict(self)


class CollaborativeExtraction(nn.Module):
    """Features of a frame: first ones squeezed and excited, beside two deeper layers.

    Source: the paper's collaborative extraction module.
    """

    def __init__(self, config: LCNDRConfig) -> None:
        super().__init__()
        width = config.width
        self.first = nn.Conv2d(SEEN, width, 3, stride=2, padding=1)
        self.channels = width
        self.squeeze: nn.Module | None = None
        if config.collaboration:
            self.squeeze = nn.Sequential(
                nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, width), nn.Sigmoid()
            )
            self.second = nn.Conv2d(width, 2 * width, 3, padding=1)
            self.third = nn.Conv2d(2 * width, 3 * width, 3, padding=1)
            self.channels = 6 * width

    def shallow(self, seen: Tensor) -> Tensor:
        """First features at half resolution: (M, SEEN, h, w) -> (M, C, h/2, w/2)."""
        return F.leaky_relu(self.first(seen), 0.1)

    def scan(self, shallow: Tensor, cache: Cache) -> None:
        """Writes what the whole bracket's features say of each channel."""
        if self.squeeze is not None:
            gates = 2 * self.squeeze(shallow.mean((2, 3)))  # M, C
            cache.update("gates", gates[:, None, :, None])

    def forward(self, shallow: Tensor, cache: Cache) -> tuple[Tensor, Tensor]:
        """First features (M, C, h, w) -> those excited, and all together (M, channels, h, w)."""
        if self.squeeze is None:
            return shallow, shallow
        gates = cache.read("gates", dtype=shallow.dtype)[:, 0]  # M, C, 1
        excited = shallow * gates[..., None]
        second = F.leaky_relu(self.second(shallow), 0.1)
        third = F.leaky_relu(self.third(second), 0.1)
        return excited, torch.cat((excited, second, third), 1)


class SelfAttention(nn.Module):
    """What the whole picture says of a place: a mean of values, weighted by keys like its query.

    Source: the paper's self-attention module (values of C, queries and keys of C / 4 channels, from
    features and the other picture); keys and values are pooled to a bounded number here.
    """

    def __init__(self, config: LCNDRConfig) -> None:
        super().__init__()
        width = config.width
        self.side = config.tokens
        self.query = nn.Conv2d(width + 1, width // 4, 1)
        self.key = nn.Conv2d(width + 1, width // 4, 1)
        self.value = nn.Conv2d(width + 1, width, 1)

    def scan(self, x: Tensor, cache: Cache) -> None:
        """Writes keys and values of the whole bracket, small: x (M, C + 1, h, w)."""
        tokens = F.adaptive_avg_pool2d(x, self.side)
        cache.update("keys", self.key(tokens).flatten(2))  # M, C / 4, T
        cache.update("values", self.value(tokens).flatten(2))  # M, C, T

    def forward(self, x: Tensor, cache: Cache) -> Tensor:
        """(M, C + 1, h, w) -> (M, C, h, w); each place for itself, so it needs no overlap."""
        keys = cache.read("keys", dtype=x.dtype)
        values = cache.read("values", dtype=x.dtype)
        scores = self.query(x).flatten(2).transpose(1, 2) @ keys  # M, h * w, T
        shares = torch.softmax(scores * keys.shape[1] ** -0.5, 2)
        seen: Tensor = (values @ shares.transpose(1, 2)).unflatten(2, x.shape[2:])
        return seen


class CoarseFusion(nn.Module):
    """The coarse fused band: the frames' bands joined by their weight maps. It has no weights.

    Source: the paper's coarse fusion, a sum over two frames weighted by their maps. The softmax
    over any number of frames, where maps start from, and making up for lost strength are ours.
    """

    def forward(self, logits: Tensor, view: View) -> Tensor:
        """Logits (M, 1, h/2, w/2) of a view's frames -> its band (B, h, w)."""
        height, width = view.base.shape[-2:]
        bounded = MAX_LOGIT * torch.tanh(logits / MAX_LOGIT)
        residual = enlarge(bounded, 2)[..., :height, :width].view_as(view.bands)
        total = 2 * (1 - view.depth) * view.power + view.unlike[:, None] * residual
        return joined(view.bands, total, view.strength, depth=view.depth)


class EdgeRevision(nn.Module):
    """Refines the edges of the coarse fused band and takes noise out of it: a gain, and a band.

    Source: the paper's edge revision module, by its description; no layers were published.
    """

    def __init__(self, config: LCNDRConfig) -> None:
        super().__init__()
        width = config.revision
        self.first = nn.Conv2d(REVISED, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Conv2d(width, 2, 3, padding=1)
        _quiet(self.head)

    def forward(self, coarse: Tensor, view: View) -> Tensor:
        """The band (B, h, w) of a view, revised."""
        seen = (
            coarse,
            view.base,
            view.so_far * 2 - 1,
            view.luma.mean(1) * 2 - 1,
            view.luma.amin(1) * 2 - 1,
            view.luma.amax(1) * 2 - 1,
            torch.full_like(coarse, view.depth * 2 - 1),
        )
        x = F.leaky_relu(self.first(torch.stack(seen, 1)), 0.1)
        x = F.leaky_relu(self.second(x), 0.1)
        log_gain, band = self.head(x).unbind(1)
        log_gain = MAX_LOG_GAIN * torch.tanh(log_gain / MAX_LOG_GAIN)
        revised: Tensor = coarse * torch.exp(view.unlike * log_gain) + view.unlike * band
        return revised


class LCNDR(nn.Module):
    """The whole network: a view of a level in, its fused band out. Takes any size and count."""

    def __init__(self, config: LCNDRConfig | None = None) -> None:
        super().__init__()
        self.config = config or LCNDRConfig()
        self.extraction = CollaborativeExtraction(self.config)
        self.attention = SelfAttention(self.config) if self.config.tokens else None
        channels = self.extraction.channels + (self.config.width if self.config.tokens else 0)
        self.weight_head = nn.Conv2d(channels, 1, 3, padding=1)
        _quiet(self.weight_head)
        self.coarse_fusion = CoarseFusion()
        self.revision = EdgeRevision(self.config) if self.config.revision else None

    @property
    def overlap_px(self) -> int:
        """Pixels around a region that its band depends on.

        Four convolutions and the enlarging at half resolution, the first one's odd pixel, the local
        strength in `joined`, three convolutions of the edge revision.
        """
        return 2 * 4 + 1 + REACH_PX + 3

    def prefill(self, luma: Tensor, cache: Cache) -> None:
        """Fills the cache from the whole bracket, small: luma (B, N, h, w)."""
        coarser = smaller(luma)
        view = view_of(luma, coarser, coarser.mean(1), index=PREFILL_LEVEL)
        shallow = self.extraction.shallow(_seen(view))
        self.extraction.scan(shallow, cache)
        if self.attention is not None:
            excited, _ = self.extraction(shallow, cache)
            self.attention.scan(torch.cat((excited, _others(view)), 1), cache)

    def decode(self, view: View, cache: Cache) -> Tensor:
        """The fused band of a view, over its strength: (B, h, w)."""
        shallow = self.extraction.shallow(_seen(view))
        excited, x = self.extraction(shallow, cache)
        if self.attention is not None:
            around = self.attention(torch.cat((excited, _others(view)), 1), cache)
            x = torch.cat((x, around), 1)
        coarse: Tensor = self.coarse_fusion(self.weight_head(x), view)
        return coarse if self.revision is None else self.revision(coarse, view)

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


def _quiet(layer: nn.Conv2d) -> None:
    """Small weights: an untrained network leaves the classic choice as it is."""
    nn.init.normal_(layer.weight, std=1e-3)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


def _seen(view: View) -> Tensor:
    """What the network sees of each frame: (M, SEEN, h, w)."""
    like = view.bands
    seen = (
        like,
        view.power / 4 + 1,
        view.luma * 2 - 1,
        (view.so_far * 2 - 1)[:, None].expand_as(like),
        torch.full_like(like, view.depth * 2 - 1),
    )
    return torch.stack(seen, 2).flatten(0, 1)


def _others(view: View) -> Tensor:
    """The mean luma of a frame's companions at half resolution: (M, 1, h/2, w/2)."""
    count = view.luma.shape[1]
    others = (view.luma.sum(1, keepdim=True) - view.luma) / max(count - 1, 1)
    height, width = others.shape[-2:]
    even = F.pad(others, (0, width % 2, 0, height % 2), mode="replicate")
    return mean_pool(even, 2).flatten(0, 1)[:, None] * 2 - 1
