"""The kernel that deflates rows: what it makes unpacks to the filtered rows, whatever they hold."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mefuse.frames import Metadata
from mefuse.native import deflate, library
from mefuse.write import png

pytestmark = pytest.mark.skipif(
    library.load() is None, reason="there are no kernels here; python hatch_build.py builds them"
)

Pixels = NDArray[Any]
KINDS = ["noise", "flat", "steps", "photograph", "rare", "short runs"]


def _pixels(kind: str, size: tuple[int, int], dtype: Any, seed: int) -> Pixels:
    rng, top = np.random.default_rng(seed), np.iinfo(dtype).max
    shape = (*size, 3)
    if kind == "noise":
        return rng.integers(0, top, shape, dtype, endpoint=True)
    if kind == "flat":
        return np.full(shape, rng.integers(top), dtype)
    if kind == "steps":  # long runs of many lengths
        return np.repeat(rng.integers(0, top, size[0] * size[1], dtype), 3).reshape(shape) // 64
    if kind == "photograph":
        smooth = np.cumsum(rng.normal(0, 2, shape), 1) + rng.normal(0, 1, shape)
        return np.clip(smooth + top / 2, 0, top).astype(dtype)
    if kind == "rare":  # each value half as often as the one before: codes would be very long
        return np.minimum(rng.geometric(0.5, shape) * 2, 255).astype(dtype)
    lengths = rng.integers(1, 12, shape[0] * shape[1] * 3)
    return (
        np.repeat(rng.integers(0, 3, lengths.size), lengths)[: np.prod(shape)]
        .reshape(shape)
        .astype(dtype)
    )


def _filtered(pixels: Pixels) -> bytes:
    """Rows as PNG wants them, written out plainly: filter 2, big-endian."""
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(len(pixels), -1).view(np.uint8)
    above = np.vstack((np.zeros_like(rows[:1]), rows[:-1]))
    return b"".join(b"\2" + (row - over).tobytes() for row, over in zip(rows, above, strict=True))


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(KINDS), st.integers(1, 40), st.integers(1, 300),
    st.sampled_from([np.uint8, np.uint16]), st.integers(1, 40), st.integers(0, 9999),
)  # fmt: skip
def test_parts_are_one_stream_of_the_filtered_rows(
    kind: str, height: int, width: int, dtype: Any, rows: int, seed: int
) -> None:
    pixels = _pixels(kind, (height, width), dtype, seed)
    starts = range(0, height, rows)
    parts = [deflate.deflate(pixels, first, min(first + rows, height)) for first in starts]
    wanted = _filtered(pixels)
    unpacker = zlib.decompressobj(-15)
    assert unpacker.decompress(b"".join(part.deflated for part in parts)) == wanted
    assert unpacker.eof and not unpacker.unused_data
    assert deflate.joined_adler(parts) == zlib.adler32(wanted)
    assert sum(part.filtered_bytes for part in parts) == len(wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_one_row_and_of_many(kind: str) -> None:
    """A row longer than a block is one, and so are rows that fill several."""
    for size in ((3, 70_000), (900, 401)):
        pixels = _pixels(kind, size, np.uint8, 5)
        part = deflate.deflate(pixels, 0, len(pixels))
        assert zlib.decompress(part.deflated, -15) == _filtered(pixels)
        assert part.adler == zlib.adler32(_filtered(pixels))


def test_what_is_rare_has_longer_codes_and_nothing_grows() -> None:
    """Flat pictures shrink to blocks' heads, noise grows by little, skew takes its entropy."""
    sizes = {}
    for kind in KINDS:
        pixels = _pixels(kind, (500, 400), np.uint8, 1)
        sizes[kind] = len(deflate.deflate(pixels, 0, 500).deflated) / pixels.size
    assert sizes["flat"] < 0.01
    assert sizes["noise"] < 1.01
    counts = np.bincount(
        np.frombuffer(_filtered(_pixels("rare", (500, 400), np.uint8, 1)), np.uint8)
    )
    share = counts[counts > 0] / counts.sum()
    entropy = float(-(share * np.log2(share)).sum())
    assert entropy / 8 < sizes["rare"] < entropy / 8 * 1.05


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_of_parts_is_the_same_on_any_number_of_cores(
    dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = _pixels("photograph", (1300, 700), dtype, 3)
    made = []
    for cores in (1, 3):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        pieces = png.encode_png(pixels, Metadata(), compression="fast").pieces
        made.append(b"".join(pieces))
    assert made[0] == made[1]
    assert made[0].count(b"IDAT") > 3
    monkeypatch.setattr(library, "load", lambda: None)
    plain = b"".join(png.encode_png(pixels, Metadata(), compression="fast").pieces)
    assert plain.count(b"IDAT") == 1
