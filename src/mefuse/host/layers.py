"""Layers of a network on arrays (rows, channels, columns) float32: matrices, gates, interpolation.

Rows come first, so that a block of rows is one piece of memory: what is done to it repeatedly stays
in a processor core's cache. Knows no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

BLOCK = 1024  # places at once: 80 channels of them take 320 KB
# The normal distribution's Phi(x) = 1 / (1 + exp(-x p(x^2))), p of the second degree in the form
# CURVE ((x^2 - TURN)^2 + REST): x Phi(x) is within 2.5e-5 everywhere. Fitted for this project.
_CURVE = 7.03033965e-4
_TURN = 7.40112946e-2 / (2 * _CURVE)
_REST = -(1.59501577 / _CURVE + _TURN**2)
GELU_CURVE = np.array([_CURVE, _TURN, _REST], np.float32)


class Parameters:
    """Trained arrays by name; each is taken once, with the shape that the network needs."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._left = dict(arrays)

    def take(self, name: str, *shape: int) -> Array:
        """The array of that name.

        Raises:
            ValueError: there is none, or it has another shape.
        """
        if name not in self._left:
            raise ValueError(f"{name} is missing")
        array = self._left.pop(name)
        if array.shape != shape:
            raise ValueError(f"{name} has the shape {array.shape}, not {shape}")
        return np.ascontiguousarray(array, np.float32)

    def layer(self, name: str, inputs: int, outputs: int, *kernel: int) -> Layer:
        """A linear layer or a convolution whose kernel becomes part of its inputs."""
        matrix = self.take(f"{name}.weight", outputs, inputs, *kernel).reshape(outputs, -1)
        return Layer(matrix, self.take(f"{name}.bias", outputs)[:, np.newaxis])

    def finish(self) -> None:
        """Raises ValueError where arrays are left that no layer took."""
        if self._left:
            raise ValueError(f"{', '.join(sorted(self._left))} are not of this network")


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A linear layer, which a 1x1 convolution is too: (..., inputs, w) -> (..., outputs, w)."""

    matrix: Array  # (outputs, inputs)
    bias: Array  # (outputs, 1)

    def __call__(self, x: Array) -> Array:
        """The matrix times x, plus the bias."""
        y: Array = self.matrix @ x
        y += self.bias
        return y


def gelu(x: Array) -> None:
    """x Phi(x), in place; x is contiguous."""
    x = x.reshape(-1, x.shape[-1])
    power = np.asarray(cv2.multiply(x, x), np.float32)
    power -= np.float32(_TURN)
    cv2.threshold(power, 0.0, 0.0, cv2.THRESH_TRUNC, power)  # beyond |x| = 7 Phi is 0 or 1
    cv2.multiply(power, power, power)
    power += np.float32(_REST)
    cv2.multiply(power, x, power, _CURVE)
    cv2.exp(power, power)
    power += 1
    cv2.divide(x, power, x)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    y = np.exp(-np.maximum(x, np.float32(-80)))  # beyond it the exponential would overflow
    y += 1
    return np.reciprocal(y, out=y)


def row_blocks(height: int, width: int) -> Iterator[slice]:
    """Blocks of an even number of rows, about BLOCK places each."""
    step = max(BLOCK // width // 2 * 2, 2)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def sample_places(places: Array, count: int) -> Array:
    """Where places -1..1 lie among `count` samples that are centred on areas: (n,) 0..count - 1."""
    index: Array = np.clip((places + 1) * (count / 2) - 0.5, 0, count - 1).astype(np.float32)
    return index


def interpolation(places: Array, count: int) -> Array:
    """Shares (n, count) that interpolate `count` samples, centred on areas, at places -1..1."""
    index = sample_places(places, count)
    distance = np.abs(index[:, np.newaxis] - np.arange(count, dtype=np.float32))
    shares: Array = np.maximum(1 - distance, 0).astype(np.float32)
    return shares


def pool_matrix(places: int, count: int) -> Array:
    """Shares (count, places) that average `places` into `count`, as adaptive pooling cuts them."""
    shares = np.zeros((count, places), np.float32)
    for i in range(count):
        start, stop = i * places // count, -(-(i + 1) * places // count)
        shares[i, start:stop] = 1 / (stop - start)
    return shares


def pooled(x: Array, count: int) -> Array:
    """Means of x (h, C, w) over count x count parts, rows first: (C, count, count)."""
    strips = pool_matrix(len(x), count) @ x.swapaxes(0, 1)
    means: Array = np.matmul(strips, pool_matrix(x.shape[2], count).T)
    return means


def halved(x: Array) -> Array:
    """Mean over 2 x 2 of x (h, C, w), sides even: (h/2, C, w/2)."""
    rows = x[0::2] + x[1::2]
    half = np.asarray(rows[..., 0::2] + rows[..., 1::2], np.float32)
    half *= np.float32(0.25)
    return half


def wide(x: Array) -> Array:
    """Twice the columns of x (h, C, w), bilinear on areas: (h, C, 2w)."""
    height, channels, width = x.shape
    lines = x.reshape(-1, width)
    doubled = cv2.resize(lines, (2 * width, len(lines)), interpolation=cv2.INTER_LINEAR)
    return np.asarray(doubled, np.float32).reshape(height, channels, 2 * width)


def tall(x: Array, rows: slice) -> Array:
    """Rows of x (h, C, w) interpolated to twice the rows, bilinear on areas: (rows, C, w)."""
    first, last = max(rows.start // 2 - 1, 0), min(rows.stop // 2 + 1, len(x))
    shares = np.zeros((rows.stop - rows.start, last - first), np.float32)
    for i in range(rows.start, rows.stop):
        near, far = i // 2, i // 2 + (1 if i % 2 else -1)
        shares[i - rows.start, near - first] += 0.75
        shares[i - rows.start, min(max(far, 0), len(x) - 1) - first] += 0.25
    return mixed(shares, x[first:last])


def mixed(shares: Array, x: Array) -> Array:
    """Rows that are sums of x's: shares (n, h) of x (h, C, w) contiguous -> (n, C, w)."""
    mixed: Array = shares @ x.reshape(len(x), -1)
    return mixed.reshape(len(shares), *x.shape[1:])


def depthwise(x: Array, kernels: Array, bias: Array) -> Array:
    """Each channel of x (h, C, w) with its 3 x 3 kernel (C, 3, 3), zeros around."""
    out = np.empty_like(x)
    for channel, (kernel, offset) in enumerate(zip(kernels, bias, strict=True)):
        cv2.filter2D(
            x[:, channel],
            -1,
            kernel,
            out[:, channel],
            delta=float(offset),
            borderType=cv2.BORDER_CONSTANT,
        )
    return out


def shuffled(x: Array) -> Array:
    """Pixel shuffle: x (h, 4 channels, w) -> (channels, 2h, 2w)."""
    height, channels, width = x.shape
    parts = x.reshape(height, channels // 4, 2, 2, width).transpose(1, 0, 2, 4, 3)
    return parts.reshape(channels // 4, 2 * height, 2 * width)
