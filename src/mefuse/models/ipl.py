"""IPL: the network that decides, place by place and band by band, which frame to trust.

Structure after "Ultra-High-Definition Dynamic Multi-Exposure Image Fusion via Infinite Pixel
Learning" (Chen et al., AAAI 2025, arXiv 2412.11685): down-sampler -> a chain of feature
integration blocks (FIB = DAEM then DRTM) -> up-sampler -> multiplication with the input. Here the
multiplication is per frequency band (`blend.py`), and widths, counts and sizes are this project's.

The network runs twice on a bracket. `prefill` sees the whole bracket, small, and writes keys,
values, gates and cubes to the AttentionCache. `decode` sees one region in detail and only reads
the cache. Everything else in it is a convolution of small radius (`OVERLAP_CELLS`), so a region's
maps do not depend on how the picture was cut. Frames share all weights and meet only in weighted
means, so their order and number do not matter. It opens no file and knows no device.

Letters in shape comments: B brackets, N frames, M = B*N, C width, h and w cells of 16 px.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefuse.blend import blend_coarse, blend_fine, build_pyramid, decompose
from mefuse.cache import AttentionCache
from mefuse.features import sense
from mefuse.grid import BANDS, FEATURES, LOGITS, Maps
from mefuse.models.ipl_config import LIMITS, MAX_GAIN, POSITION, IPLConfig, Region

Cache = AttentionCache[Tensor]


def _axis(start: int, count: int, whole: int, like: Tensor) -> Tensor:
    """Cell centres along one axis, -1..1 over the whole picture."""
    index = torch.arange(count, dtype=torch.float32, device=like.device)
    return ((index + start + 0.5) * (2.0 / whole) - 1.0).to(like.dtype)


def _position_code(rows: Tensor, columns: Tensor) -> Tensor:
    """Sines and cosines of one and two periods along both axes: (POSITION, h, w)."""
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    angles = torch.stack((y, x, 2 * y, 2 * x)) * (torch.pi / 2)
    return torch.cat((angles.sin(), angles.cos()))


def _bilinear(places: Tensor, count: int) -> Tensor:
    """Shares (n, count) that interpolate `count` samples, centred on areas, at places -1..1."""
    index = ((places.float() + 1) * (count / 2) - 0.5).clamp(0, count - 1)
    distance = (index[:, None] - torch.arange(count, device=places.device)).abs()
    return (1 - distance).clamp_min(0).to(places.dtype)


class DAEM(nn.Module):
    """Dimensional attention enhancement: local features, gated and seen against the whole scene.

    The scanner cuts the small bracket along height, then width, into slices; each slice leaves one
    key and one value in the cache, and all together leave one gate along the channels.
    """

    def __init__(self, config: IPLConfig) -> None:
        super().__init__()
        width, keys = config.width, config.key_width
        self.cells = config.cells
        self.local = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.local_mix = nn.Conv2d(width, width, 1)
        self.squeeze = nn.Conv2d(width, width // 2, 1)
        self.excite = nn.Conv2d(width // 2, width, 1)
        self.query = nn.Conv2d(width + POSITION, keys, 1)
        self.key = nn.Conv2d(width + POSITION, keys, 1)
        self.value = nn.Conv2d(width + POSITION, width, 1)
        self.project = nn.Conv2d(width, width, 1)

    def scan(self, x: Tensor, name: str, cache: Cache) -> None:
        """Writes the slices of the whole picture `x` (M, C, h, w) to the cache."""
        strips = F.adaptive_avg_pool2d(x, (self.cells, x.shape[-1]))  # along height
        tokens = F.adaptive_avg_pool2d(strips, (self.cells, self.cells))  # then along width
        axis = _axis(0, self.cells, self.cells, x)
        code = _position_code(axis, axis).expand(len(x), -1, -1, -1)
        seen = torch.cat((tokens, code), 1)  # M, C + POSITION, cells, cells
        cache.update(f"{name}.key", self.key(seen).flatten(2))  # M, K, T
        cache.update(f"{name}.value", self.value(seen).flatten(2))  # M, C, T
        pooled = x.mean((2, 3), keepdim=True)  # along the channels: M, C, 1, 1
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(pooled))))
        cache.update(f"{name}.gate", gate.movedim(1, 2))  # M, 1, C, 1: one scale per frame

    def forward(self, x: Tensor, code: Tensor, name: str, cache: Cache) -> Tensor:
        """x (M, C, h, w) and its position code (POSITION, h, w) -> (M, C, h, w).

        What is constant over places is multiplied into weights and cached values first, so that
        the places themselves are passed over as rarely as can be.
        """
        gate = cache.read(f"{name}.gate", dtype=x.dtype)[:, 0]  # M, C, 1
        mix, bias = _matrix(self.local_mix)
        project, project_bias = _matrix(self.project)
        key = cache.read(f"{name}.key", dtype=x.dtype)  # M, K, T
        value = cache.read(f"{name}.value", dtype=x.dtype)  # M, C, T
        value = project @ value + (project_bias + gate[..., 0] * bias)[..., None]
        scores = self._query(x, code).flatten(2).transpose(1, 2) @ key  # M, h/2 * w/2, T
        shares = torch.softmax(scores * key.shape[1] ** -0.5, 2)
        context = (value @ shares.transpose(1, 2)).unflatten(2, (x.shape[2] // 2, x.shape[3] // 2))
        local = F.gelu(self.local(x)).flatten(2)
        seen = torch.baddbmm(x.flatten(2), gate * mix, local).view_as(x)
        return seen + F.interpolate(context, scale_factor=2, mode="bilinear")

    def _query(self, x: Tensor, code: Tensor) -> Tensor:
        """Queries of 2 x 2 cells, from their mean features and position: (M, K, h/2, w/2)."""
        weight = self.query.weight / 4
        features, position = weight.expand(-1, -1, 2, 2).split((x.shape[1], POSITION), 1)
        places = F.conv2d(code[None], position, self.query.bias, stride=2)
        return F.conv2d(x, features, stride=2) + places


class DRTM(nn.Module):
    """Dimensional rolling transformation: a global view whose cost ignores the picture's size.

    The whole picture is resized to a cube of C x S x S; channels, rows and columns take turns in
    the place of the channels of a 1x1 convolution; the result gates and shifts the features.
    """

    def __init__(self, config: IPLConfig) -> None:
        super().__init__()
        width, side = config.width, config.cube
        self.side = side
        self.channels = nn.Conv2d(2 * width, width, 1)
        self.rows = nn.Linear(side, side)
        self.columns = nn.Linear(side, side)
        self.out = nn.Conv2d(width, 2 * width, 1)

    def roll(self, x: Tensor, mean: Tensor, name: str, cache: Cache) -> None:
        """Writes the rolled cube of the whole picture `x` and its mean over frames to the cache."""
        cube = F.adaptive_avg_pool2d(torch.cat((x, mean), 1), self.side)  # M, 2C, S, S
        cube = F.gelu(self.channels(cube))  # M, C, S, S
        cube = cube + F.gelu(self.columns(cube))
        cube = cube + F.gelu(self.rows(cube.transpose(2, 3)).transpose(2, 3))
        cache.update(f"{name}.cube", self.out(cube))  # M, 2C, S, S

    def forward(self, x: Tensor, place: _Place, name: str, cache: Cache) -> Tensor:
        """x (M, C, h, w) and where its cells lie in the whole picture -> (M, C, h, w)."""
        cube = cache.read(f"{name}.cube", dtype=x.dtype)
        rolled = place.rows @ cube @ place.columns.T  # M, 2C, h, w
        gate, shift = rolled.chunk(2, 1)
        return torch.addcmul(shift, x, torch.sigmoid(gate), value=2)


class FIB(nn.Module):
    """Feature integration block: DAEM, the meeting of the frames, DRTM."""

    def __init__(self, config: IPLConfig, name: str) -> None:
        super().__init__()
        self.name = name
        self.daem = DAEM(config) if config.cells else None
        self.meet = nn.Conv2d(2 * config.width, 2 * config.width, 1)
        self.settle = nn.Conv2d(2 * config.width, config.width, 1)
        self.drtm = DRTM(config) if config.cube else None

    def start_near_identity(self) -> None:
        """Small last layers: an untrained block passes its input on."""
        last = [self.settle]
        if self.daem is not None:
            last += [self.daem.project, self.daem.local_mix]
        if self.drtm is not None:
            assert self.drtm.out.bias is not None
            nn.init.zeros_(self.drtm.out.bias)
            last.append(self.drtm.out)
        for layer in last:
            nn.init.normal_(layer.weight, std=0.02)

    def forward(
        self, x: Tensor, share: Tensor, place: _Place, cache: Cache, *, prefill: bool
    ) -> Tensor:
        """x (M, C, h, w) -> (M, C, h, w); `share` (B, N, 1, h, w) sums to one over frames."""
        if self.daem is not None:
            if prefill:
                self.daem.scan(x, f"{self.name}.daem", cache)
            x = self.daem(x, place.code, f"{self.name}.daem", cache)
        x = self._met(x, share)
        if self.drtm is not None:
            if prefill:
                self.drtm.roll(x, _each(_frame_mean(x, share), x), f"{self.name}.drtm", cache)
            x = self.drtm(x, place, f"{self.name}.drtm", cache)
        return x

    def _met(self, x: Tensor, share: Tensor) -> Tensor:
        """Features after each frame has seen its own and the frames' mean: (M, C, h, w)."""
        meet, bias = _matrix(self.meet)
        own, others = meet.chunk(2, 1)
        mean = others @ _frame_mean(x, share).flatten(2) + bias[:, None]  # B, 2C, h * w
        both = own @ x.flatten(2)  # M, 2C, h * w
        both = (both.unflatten(0, share.shape[:2]).add_(mean[:, None])).flatten(0, 1)
        settle, bias = _matrix(self.settle)
        change = settle.expand(len(x), -1, -1)
        return torch.baddbmm(x.flatten(2) + bias[:, None], change, F.gelu(both)).view_as(x)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where each cell of a region lies in the whole picture."""

    code: Tensor  # (POSITION, h, w)
    rows: Tensor  # (h, S) bilinear shares of a cube's rows
    columns: Tensor  # (w, S)


def _matrix(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias (out,) of a 1x1 convolution."""
    assert layer.bias is not None
    return layer.weight[:, :, 0, 0], layer.bias


def _frame_mean(x: Tensor, share: Tensor) -> Tensor:
    """Weighted mean over a bracket's frames: (B, C, h, w)."""
    mean: Tensor = (x.unflatten(0, share.shape[:2]) * share).sum(1)
    return mean


def _each(mean: Tensor, x: Tensor) -> Tensor:
    """What belongs to a bracket, (B, ...), given to each of its frames: (M, ...)."""
    return mean.repeat_interleave(len(x) // len(mean), 0)


class IPL(nn.Module):
    """The whole network: features of a region in, maps for the blend out.

    Size rule: the feature grid's height and width are multiples of 4 (32 px of the picture).
    """

    def __init__(self, config: IPLConfig | None = None) -> None:
        super().__init__()
        self.config = config or IPLConfig()
        width = self.config.width
        self.down = nn.Conv2d(4 * FEATURES, width, 1)
        self.blocks = nn.ModuleList(
            FIB(self.config, f"blocks.{i}") for i in range(self.config.blocks)
        )
        self.frame_head = nn.Conv2d(width, 4 * LOGITS, 1)
        self.shared_head = nn.Conv2d(width, 4 * BANDS, 1)
        self.prior_scale = nn.Parameter(torch.tensor([0.3] * 3 + [0.6] * 3 + [1.0, 0.5]))
        for module in (self.frame_head, self.shared_head):
            nn.init.normal_(module.weight, std=1e-3)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
        assert self.shared_head.bias is not None
        nn.init.constant_(self.shared_head.bias, -1.1)  # a gain of 1
        for block in self.blocks:
            assert isinstance(block, FIB)
            block.start_near_identity()

    @property
    def overlap_px(self) -> int:
        """Pixels that a region needs around it for its maps to equal the whole picture's."""
        return self.config.overlap_px

    def prefill(self, features: Tensor, prior: Tensor, cache: Cache) -> None:
        """Fills `cache` from the whole bracket: features (B, N, FEATURES, 2h, 2w)."""
        height, width = features.shape[-2] // 2, features.shape[-1] // 2
        self._features_to_cells(features, prior, Region.whole(height, width), cache, prefill=True)

    def decode(self, features: Tensor, prior: Tensor, region: Region, cache: Cache) -> Maps[Tensor]:
        """Maps of one region.

        Args:
            features: (B, N, FEATURES, 2h, 2w) from `features.describe`.
            prior: (B, N, 1, 2h, 2w) log of the classic weight, from `features.describe`.
            region: where the h x w cells lie in the whole picture.
            cache: filled by `prefill`.
        """
        x, share = self._features_to_cells(features, prior, region, cache, prefill=False)
        brackets, frames = features.shape[:2]
        residual = F.pixel_shuffle(self.frame_head(x), 2)  # M, LOGITS, 2h, 2w
        limits = residual.new_tensor(LIMITS)[:, None, None]
        residual = limits * torch.tanh(residual / limits)
        logits = residual.unflatten(0, (brackets, frames)) + prior * self.prior_scale[:, None, None]
        mean = _frame_mean(x, share)  # B, C, h, w
        gains = MAX_GAIN * torch.sigmoid(F.pixel_shuffle(self.shared_head(mean), 2))
        return Maps(logits, gains)

    def fuse_whole(
        self,
        detail: Tensor,
        small: Tensor,
        region: Region,
        *,
        finest_px: int | None = None,  # noqa: ARG002 - fine bands cost next to nothing here
    ) -> tuple[Tensor, Tensor]:
        """Fused luma (B, H, W) and chroma (B, 2, H, W), as training needs them.

        Args:
            detail: (B, N, 3, H, W) what is fused, 0..1.
            small: (B, N, 3, h, w) the whole brackets, small, for the prefill.
            region: where the detail lies in the whole.
            finest_px: not used.
        """
        cache: Cache = AttentionCache(
            bits=32, budget_bytes=2**40
        )  # not quantised, it has a gradient
        with torch.no_grad():
            seen, fine = decompose(small), decompose(detail)
        self.prefill(*sense(small, seen), cache)
        maps = self.decode(*sense(detail, fine), region, cache)
        return blend_fine(fine, blend_coarse(build_pyramid(fine.luma), maps), maps)

    def _features_to_cells(
        self,
        features: Tensor,
        prior: Tensor,
        region: Region,
        cache: Cache,
        *,
        prefill: bool,
    ) -> tuple[Tensor, Tensor]:
        """Down-sampler and blocks: cells (M, C, h, w) and the frames' shares (B, N, 1, h, w)."""
        rows = _axis(region.top, region.height, region.whole_height, features)
        columns = _axis(region.left, region.width, region.whole_width, features)
        side = self.config.cube
        code = _position_code(rows, columns)
        place = _Place(code, _bilinear(rows, side), _bilinear(columns, side))
        pooled = F.avg_pool2d(prior.flatten(0, 1), 2).unflatten(0, prior.shape[:2])
        share = torch.softmax(0.5 * pooled, 1)  # B, N, 1, h, w
        taps = self.down.weight.view(self.config.width, FEATURES, 2, 2)
        x = F.gelu(F.conv2d(features.flatten(0, 1), taps, self.down.bias, stride=2))  # M, C, h, w
        for block in self.blocks:
            x = block(x, share, place, cache, prefill=prefill)
        return x, share
