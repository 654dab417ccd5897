"""IPL on the CPU: `models/ipl.py` without torch, from the same weights.

That file is the definition and tells the structure and its source; here each class computes what
its namesake there does, for one bracket, in blocks of rows. It opens no file.

Letters in shape comments: N frames, C width, h and w cells of 16 px, T slices, K width of a key.
Features of a frame are (h, C, w), rows first; see `layers.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from mefuse.cache import AttentionCache
from mefuse.grid import BANDS, FEATURES, LOGITS, Maps
from mefuse.host.layers import (
    GELU_CURVE,
    Array,
    Parameters,
    depthwise,
    gelu,
    halved,
    interpolation,
    mixed,
    pooled,
    row_blocks,
    sample_places,
    shuffled,
    sigmoid,
    tall,
    wide,
)
from mefuse.models.ipl_config import LIMITS, MAX_GAIN, POSITION, IPLConfig, Region
from mefuse.native import network as native

Cache = AttentionCache[Array]


def _axis(start: int, count: int, whole: int) -> Array:
    """Cell centres along one axis, -1..1 over the whole picture."""
    index = np.arange(count, dtype=np.float32)
    return (index + np.float32(start + 0.5)) * np.float32(2.0 / whole) - np.float32(1.0)


def _position_code(rows: Array, columns: Array) -> Array:
    """Sines and cosines of one and two periods along both axes: (h, POSITION, w)."""
    y, x = np.meshgrid(rows, columns, indexing="ij")
    angles = np.stack((y, x, 2 * y, 2 * x), 1) * np.float32(np.pi / 2)
    return np.concatenate((np.sin(angles), np.cos(angles)), 1)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where each cell of a region lies in the whole picture."""

    code: Array  # (h/2, POSITION, w/2), means of 2 x 2 cells
    down: Array  # (h,) rows, -1..1 over the whole picture
    rows: Array  # (h, S) bilinear shares of a cube's rows
    columns: Array  # (w, S)


class DAEM:
    """Dimensional attention enhancement; see `models.ipl.DAEM`."""

    def __init__(self, config: IPLConfig, parameters: Parameters, name: str) -> None:
        width, keys = config.width, config.key_width
        self.cells, self.name = config.cells, name
        local = f"{name}.local"
        self.kernels = parameters.take(f"{local}.weight", width, 1, 3, 3)[:, 0]
        self.kernel_bias = parameters.take(f"{local}.bias", width)
        self.local_mix = parameters.layer(f"{name}.local_mix", width, width, 1, 1)
        self.squeeze = parameters.layer(f"{name}.squeeze", width, width // 2, 1, 1)
        self.excite = parameters.layer(f"{name}.excite", width // 2, width, 1, 1)
        self.query = parameters.layer(f"{name}.query", width + POSITION, keys, 1, 1)
        self.key = parameters.layer(f"{name}.key", width + POSITION, keys, 1, 1)
        self.value = parameters.layer(f"{name}.value", width + POSITION, width, 1, 1)
        self.project = parameters.layer(f"{name}.project", width, width, 1, 1)

    def scan(self, x: Array, cache: Cache) -> None:
        """Writes the slices of the whole picture `x` (N, h, C, w) to the cache."""
        axis = _axis(0, self.cells, self.cells)
        code = _position_code(axis, axis).swapaxes(0, 1).reshape(POSITION, -1)
        tokens = (pooled(frame, self.cells).reshape(x.shape[2], -1) for frame in x)
        seen = [np.concatenate((token, code)) for token in tokens]  # C + POSITION, T
        cache.update(f"{self.name}.key", np.stack([self.key(s) for s in seen]))  # N, K, T
        cache.update(f"{self.name}.value", np.stack([self.value(s) for s in seen]))  # N, C, T
        means = x.mean((1, 3))[..., np.newaxis]  # N, C, 1
        gates = [sigmoid(self.excite(np.maximum(self.squeeze(mean), 0))) for mean in means]
        cache.update(f"{self.name}.gate", np.stack(gates)[:, np.newaxis])  # N, 1, C, 1

    def queries(self, code: Array) -> tuple[Array, Array]:
        """What makes queries of features (K, C), and what is added to them (h/2, K, w/2)."""
        features, position = np.split(self.query.matrix, [self.project.matrix.shape[1]], 1)
        return features, position @ code + self.query.bias

    def seen(self, cache: Cache) -> Iterator[tuple[Array, Array, Array]]:
        """Per frame its gated mix (C, C), scaled keys (T, K) and projected values (C, T)."""
        gates = cache.read(f"{self.name}.gate")[:, 0]  # N, C, 1
        keys = cache.read(f"{self.name}.key")  # N, K, T
        values = cache.read(f"{self.name}.value")  # N, C, T
        for gate, key, value in zip(gates, keys, values, strict=True):
            constant = self.project.bias + gate * self.local_mix.bias
            scaled = np.ascontiguousarray(key.T) * np.float32(len(key) ** -0.5)
            yield gate * self.local_mix.matrix, scaled, self.project.matrix @ value + constant

    def __call__(self, x: Array, code: Array, cache: Cache) -> None:
        """Changes x (N, h, C, w) in place, given its position code (h/2, POSITION, w/2)."""
        features, places = self.queries(code)
        for frame, (mix, key, value) in zip(x, self.seen(cache), strict=True):
            query = halved(features @ frame) + places  # h/2, K, w/2
            context = wide(_context(query, key, value))
            near = depthwise(frame, self.kernels, self.kernel_bias)
            for rows in row_blocks(frame.shape[0], frame.shape[2]):
                gelu(near[rows])
                frame[rows] += mix @ near[rows]
                frame[rows] += tall(context, rows)


def _context(query: Array, key: Array, value: Array) -> Array:
    """What the cache tells each place: queries (h/2, K, w/2) -> (h/2, C, w/2); key (T, K)."""
    value = np.concatenate((value, np.ones_like(value[:1])))  # C + 1, T: ones sum the shares
    seen = np.empty((len(query), len(value) - 1, query.shape[2]), np.float32)
    for rows in row_blocks(len(query), query.shape[2]):
        scores = key @ query[rows]  # rows, T, w/2
        scores -= scores.max(1, keepdims=True)
        lines = scores.reshape(-1, query.shape[2])
        cv2.exp(lines, lines)
        sums = value @ scores
        np.divide(sums[:, :-1], sums[:, -1:], out=seen[rows])
    return seen


class DRTM:
    """Dimensional rolling transformation; see `models.ipl.DRTM`."""

    def __init__(self, config: IPLConfig, parameters: Parameters, name: str) -> None:
        width, side = config.width, config.cube
        self.side, self.name = side, name
        self.channels = parameters.layer(f"{name}.channels", 2 * width, width, 1, 1)
        self.rows = parameters.layer(f"{name}.rows", side, side)
        self.columns = parameters.layer(f"{name}.columns", side, side)
        self.out = parameters.layer(f"{name}.out", width, 2 * width, 1, 1)

    def roll(self, x: Array, mean: Array, cache: Cache) -> None:
        """Writes the rolled cubes of the whole picture `x` (N, h, C, w), mean (h, C, w)."""
        cubes = []
        for frame in x:
            both = pooled(np.concatenate((frame, mean), 1), self.side)  # 2C, S, S
            cube = self.channels(both.reshape(len(both), -1)).reshape(-1, self.side, self.side)
            gelu(cube)
            along = cube @ self.columns.matrix.T + self.columns.bias.T
            gelu(along)
            cube += along
            along = self.rows(cube)
            gelu(along)
            cube += along
            cubes.append(self.out(cube.reshape(len(cube), -1)).reshape(both.shape))
        cache.update(f"{self.name}.cube", np.stack(cubes))

    def seen(self, place: _Place, cache: Cache) -> Array:
        """The cubes' gates and shifts at the columns of a place: (N, S, 2C, w)."""
        cubes = cache.read(f"{self.name}.cube").swapaxes(1, 2)
        along: Array = np.matmul(cubes, place.columns.T)
        return along

    def __call__(self, x: Array, place: _Place, cache: Cache) -> None:
        """Changes x (N, h, C, w) in place; `place` tells where its cells lie."""
        _, height, channels, width = x.shape
        for frame, along in zip(x, self.seen(place, cache), strict=True):
            # 2 x sigmoid(gate) is x / (exp(-gate - log 2) + 1/2).
            gates = -np.float32(np.log(2)) - along[:, :channels]
            shifts = np.ascontiguousarray(along[:, channels:])
            for rows in row_blocks(height, width):
                gate = mixed(place.rows[rows], gates)
                lines = gate.reshape(-1, width)
                cv2.exp(lines, lines)
                gate += np.float32(0.5)
                frame[rows] /= gate
                frame[rows] += mixed(place.rows[rows], shifts)


class FIB:
    """Feature integration block: DAEM, the meeting of the frames, DRTM."""

    def __init__(self, config: IPLConfig, parameters: Parameters, name: str) -> None:
        width = config.width
        self.daem = DAEM(config, parameters, f"{name}.daem") if config.cells else None
        self.meet = parameters.layer(f"{name}.meet", 2 * width, 2 * width, 1, 1)
        self.settle = parameters.layer(f"{name}.settle", 2 * width, width, 1, 1)
        self.drtm = DRTM(config, parameters, f"{name}.drtm") if config.cube else None

    def __call__(
        self, x: Array, share: Array, place: _Place, cache: Cache, *, prefill: bool
    ) -> None:
        """Changes x (N, h, C, w) in place; `share` (N, h, 1, w) sums to one over frames."""
        if self.daem and self.drtm and not prefill and native.are_here():
            self._by_kernels((self.daem, self.drtm), x, share, place, cache)
            return
        if self.daem is not None:
            if prefill:
                self.daem.scan(x, cache)
            self.daem(x, place.code, cache)
        self._meet(x, share)
        if self.drtm is not None:
            if prefill:
                self.drtm.roll(x, _frame_mean(x, share), cache)
            self.drtm(x, place, cache)

    def _by_kernels(
        self, halves: tuple[DAEM, DRTM], x: Array, share: Array, place: _Place, cache: Cache
    ) -> None:
        """The same of a block that has both halves, in one pass over rows and one before it."""
        daem, drtm = halves
        features, places = daem.queries(place.code)
        seen = list(daem.seen(cache))
        frames, height, channels, width = x.shape
        context = np.empty((frames, height // 2, channels, width // 2), np.float32)
        for frame, (_, key, value), out in zip(x, seen, context, strict=True):
            native.attend(frame, features, places, key, value, out=out)
        own, others = np.split(self.meet.matrix, 2, 1)
        native.integrate(
            native.Block(
                x, share, context,
                daem.kernels, daem.kernel_bias, np.stack([mix for mix, _, _ in seen]),
                own, others, self.meet.bias, self.settle.matrix, self.settle.bias,
                drtm.seen(place, cache), sample_places(place.down, drtm.side), GELU_CURVE,
            )
        )  # fmt: skip

    def _meet(self, x: Array, share: Array) -> None:
        """Shows each frame its own features and the frames' mean, in place."""
        own, others = (np.ascontiguousarray(half) for half in np.split(self.meet.matrix, 2, 1))
        for rows in row_blocks(x.shape[1], x.shape[3]):
            mean = others @ _frame_mean(x[:, rows], share[:, rows])
            mean += self.meet.bias  # rows, 2C, w
            for frame in x:
                both = own @ frame[rows]
                both += mean
                gelu(both)
                frame[rows] += self.settle(both)


def _frame_mean(x: Array, share: Array) -> Array:
    """Mean over frames of x (N, h, C, w), weighted by share (N, h, 1, w): (h, C, w)."""
    mean: Array = x[0] * share[0]
    for frame, part in zip(x[1:], share[1:], strict=True):
        mean += frame * part
    return mean


class IPL:
    """The whole network: features of a region in, maps for the blend out; see `models.ipl.IPL`.

    Args:
        config: its sizes.
        arrays: its trained arrays, by the names of the torch network.

    Raises:
        ValueError: the arrays do not fit the config.
    """

    def __init__(self, config: IPLConfig, arrays: Mapping[str, Array]) -> None:
        parameters = Parameters(arrays)
        width = config.width
        self.config = config
        self.down = parameters.layer("down", 4 * FEATURES, width, 1, 1)
        self.blocks = [FIB(config, parameters, f"blocks.{i}") for i in range(config.blocks)]
        self.frame_head = parameters.layer("frame_head", width, 4 * LOGITS, 1, 1)
        self.shared_head = parameters.layer("shared_head", width, 4 * BANDS, 1, 1)
        self.prior_scale = parameters.take("prior_scale", LOGITS)[:, np.newaxis, np.newaxis]
        parameters.finish()

    @property
    def overlap_px(self) -> int:
        """Pixels that a region needs around it for its maps to equal the whole picture's."""
        return self.config.overlap_px

    def prefill(self, features: Array, prior: Array, cache: Cache) -> None:
        """Fills `cache` from the whole bracket: features (N, FEATURES, 2h, 2w)."""
        region = Region.whole(features.shape[2] // 2, features.shape[3] // 2)
        self._features_to_cells(features, prior, region, cache, prefill=True)

    def decode(self, features: Array, prior: Array, region: Region, cache: Cache) -> Maps[Array]:
        """Maps of one region.

        Args:
            features: (N, FEATURES, 2h, 2w) from `describe`.
            prior: (N, 2h, 2w) log of the classic weight, from `describe`.
            region: where the h x w cells lie in the whole picture.
            cache: filled by `prefill`.
        """
        x, share = self._features_to_cells(features, prior, region, cache, prefill=False)
        if native.are_here():
            return Maps(*native.decide(self._heads(x, share, prior)))
        return self._maps(x, share, prior)

    def _heads(self, x: Array, share: Array, prior: Array) -> native.Heads:
        """The heads for the kernels, with what they see."""
        return native.Heads(
            x, share, prior, self.frame_head.matrix, self.frame_head.bias,
            self.shared_head.matrix, self.shared_head.bias,
            np.array(LIMITS, np.float32), self.prior_scale, np.array([MAX_GAIN], np.float32),
        )  # fmt: skip

    def _maps(self, x: Array, share: Array, prior: Array) -> Maps[Array]:
        """What the heads decide of cells, without kernels."""
        logits = np.empty((len(x), LOGITS, *prior.shape[1:]), np.float32)
        gains = np.empty((BANDS, *prior.shape[1:]), np.float32)
        limits = np.array(LIMITS, np.float32)[:, np.newaxis, np.newaxis]
        for rows in row_blocks(x.shape[1], x.shape[3]):
            fine = slice(2 * rows.start, 2 * rows.stop)
            for frame, own, target in zip(x[:, rows], prior[:, fine], logits, strict=True):
                residual = np.tanh(shuffled(self.frame_head(frame)) / limits)
                residual *= limits
                np.add(residual, own * self.prior_scale, out=target[:, fine])
            mean = _frame_mean(x[:, rows], share[:, rows])
            gains[:, fine] = sigmoid(shuffled(self.shared_head(mean)))
        gains *= np.float32(MAX_GAIN)
        return Maps(logits, gains)

    def _features_to_cells(
        self, features: Array, prior: Array, region: Region, cache: Cache, *, prefill: bool
    ) -> tuple[Array, Array]:
        """Down-sampler and blocks: cells (N, h, C, w) and the frames' shares (N, h, 1, w)."""
        height, width = region.height, region.width
        rows = _axis(region.top, height, region.whole_height)
        columns = _axis(region.left, width, region.whole_width)
        place = _Place(
            halved(_position_code(rows, columns)),
            rows,
            interpolation(rows, self.config.cube),
            interpolation(columns, self.config.cube),
        )
        x = self._cells_of(features)
        share = np.exp(np.float32(0.5) * np.stack([halved(p[:, np.newaxis]) for p in prior]))
        share /= share.sum(0)
        for block in self.blocks:
            block(x, share, place, cache, prefill=prefill)
        return x, share

    def _cells_of(self, features: Array) -> Array:
        """Features (N, FEATURES, 2h, 2w) as cells (N, h, C, w)."""
        if native.are_here():
            return native.reduce(features, self.down.matrix, self.down.bias, GELU_CURVE)
        count, _, height, width = features.shape
        x = np.empty((count, height // 2, self.config.width, width // 2), np.float32)
        for frame, cells in zip(features, x, strict=True):
            self._reduce(frame, cells)
        return x

    def _reduce(self, features: Array, cells: Array) -> None:
        """Features (FEATURES, 2h, 2w) of a frame into its cells (h, C, w)."""
        height, _, width = cells.shape
        pairs = features.reshape(FEATURES, height, 2, width, 2).transpose(1, 0, 2, 4, 3)
        for rows in row_blocks(height, width):
            reduced = self.down(pairs[rows].reshape(-1, 4 * FEATURES, width))
            gelu(reduced)
            cells[rows] = reduced
