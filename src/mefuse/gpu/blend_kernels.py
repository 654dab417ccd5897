"""Kernels that join frames: `blend.blend_fine`, finished to pixels, in few passes over memory.

Laid out as those of `kernels.py`. Where frames meet, a lane takes them one after the other. Only
`fused.py` launches them. Knows no torch.
"""

from __future__ import annotations

import triton
import triton.language as tl

from mefuse import grid
from mefuse.gpu.kernels import (
    BLUE,
    GREEN,
    RED,
    band,
    between,
    enlarged,
    luma_of,
    place,
    put_one,
    rgb,
)  # fmt: skip

_ENERGY_FLOOR = tl.constexpr(grid.ENERGY_FLOOR)
_CHROMA_FLOOR = tl.constexpr(grid.CHROMA_FLOOR)
_CLIP_END, _CLIP_SHARE = tl.constexpr(grid.CLIP_END), tl.constexpr(grid.CLIP_SHARE)
_CLIP_SLOPE = tl.constexpr(1 / (grid.CLIP_END - grid.CLIP_START))
_FOLLOW_UP, _FOLLOW_DOWN = tl.constexpr(grid.FOLLOW_UP), tl.constexpr(grid.FOLLOW_DOWN)
_FOLLOW_FLOOR = tl.constexpr(grid.FOLLOW_FLOOR)
_ROOM_FLOOR = tl.constexpr(grid.ROOM_FLOOR)
_FOLLOW_LEAST, _FOLLOW_MOST = (tl.constexpr(limit) for limit in grid.FOLLOW_LIMITS)


@triton.jit
def _score(
    squares, logits, gain, y, x, rows, columns, logits_row, grid_rows, grid_columns, inside,
    FACTOR: tl.constexpr, BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """A frame's gain x log energy + logit; the energy is the mean of `squares` over 3 x 3."""
    energy = tl.zeros((BY * BX,), tl.float32)
    for j in tl.static_range(3):
        row = tl.minimum(tl.maximum(y + (j - 1), 0), rows - 1) * columns
        for i in tl.static_range(3):
            column = tl.minimum(tl.maximum(x + (i - 1), 0), columns - 1)
            energy += tl.load(squares + (row + column), mask=inside, other=0.0)
    logit = between(logits, y, x, grid_rows, grid_columns, logits_row, inside, FACTOR)
    return gain * tl.log(energy * (1.0 / 9) + _ENERGY_FLOOR) + logit


@triton.jit
def share(
    squares, logits, gains, out, count, rows, columns,
    logits_frame, logits_row, gains_row, grid_rows, grid_columns,
    FACTOR: tl.constexpr, BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """`blend._band_weights` of a fine band from `squares`: (count, rows, columns)."""
    y, x = place(BY, BX)
    inside = (y < rows) & (x < columns)
    size = (rows * columns).to(tl.int64)
    gain = between(gains, y, x, grid_rows, grid_columns, gains_row, inside, FACTOR)
    highest = tl.full((BY * BX,), float("-inf"), tl.float32)
    total = tl.zeros((BY * BX,), tl.float32)
    for n in range(count):
        score = _score(
            squares + n * size, logits + n * logits_frame, gain, y, x, rows, columns,
            logits_row, grid_rows, grid_columns, inside, FACTOR, BY, BX,
        )  # fmt: skip
        higher = tl.maximum(highest, score)
        total = total * tl.exp(highest - higher) + tl.exp(score - higher)
        highest = higher
    for n in range(count):
        score = _score(
            squares + n * size, logits + n * logits_frame, gain, y, x, rows, columns,
            logits_row, grid_rows, grid_columns, inside, FACTOR, BY, BX,
        )  # fmt: skip
        weight = tl.exp(score - highest) / total
        tl.store(out + n * size + (y * columns + x), weight, mask=inside)


@triton.jit
def join(
    source, smaller, weights, fused, out, count, rows, columns, fused_row, unit,
    RGB: tl.constexpr, BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """A level of `blend.blend_fine`: frames or planes (count, 2 rows, 2 columns) onto `fused`.

    `fused` is (rows, columns), what is given is (2 rows, 2 columns).
    """
    y, x = place(BY, BX)
    inside = (y < rows) & (x < columns)
    size = (rows * columns).to(tl.int64)
    p, q, r, s = enlarged(fused, y, x, rows, columns, fused_row, inside)
    for n in range(count):
        plane, whole = n * size, n * size * (12 if RGB else 4)
        a, b, c, d = band(source + whole, smaller + plane, y, x, rows, columns, unit, inside, RGB)
        e, f, g, h = enlarged(weights + plane, y, x, rows, columns, columns, inside)
        p, q, r, s = p + a * e, q + b * f, r + c * g, s + d * h
    at = out + (4 * y * columns + 2 * x)
    tl.store(at, p, mask=inside)
    tl.store(at + 1, q, mask=inside)
    tl.store(at + 2 * columns, r, mask=inside)
    tl.store(at + (2 * columns + 1), s, mask=inside)


@triton.jit
def _colour_weight(
    frames, powers, y, x, columns, unit, grid_rows, grid_columns, inside
):  # fmt: skip
    """How much a frame's colour counts at half size, its luma and its largest channel there."""
    at = 4 * y * columns + 2 * x
    a, b, c = rgb(frames, at, inside)
    d, e, f = rgb(frames, at + 1, inside)
    g, h, i = rgb(frames, at + 2 * columns, inside)
    j, k, m = rgb(frames, at + (2 * columns + 1), inside)
    quarter = 0.25 * unit
    red, green, blue = (
        (a + d + g + j) * quarter,
        (b + e + h + k) * quarter,
        (c + f + i + m) * quarter,
    )
    luma = luma_of(red, green, blue)
    colourfulness = tl.abs(blue - luma) * (1 / 1.772) + tl.abs(red - luma) * (1 / 1.402)
    peak = tl.maximum(tl.maximum(red, green), blue)
    hue = peak * -_CLIP_SLOPE + _CLIP_END * _CLIP_SLOPE
    hue = tl.minimum(tl.maximum(hue, _CLIP_SHARE), 1.0)
    power = between(powers, y, x, grid_rows, grid_columns, grid_columns, inside, 4)
    return power * hue * (colourfulness + _CHROMA_FLOOR), luma, peak


@triton.jit
def share_colour(
    frames, powers, fused, out, count, rows, columns, unit, grid_rows, grid_columns,
    BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """What `blend._blend_chroma` multiplies each frame's chroma by, before it is enlarged.

    Of frames as stored, their `powers` (count, grid_rows, grid_columns) on the grid of 8 px and the
    fused luma (2 rows, 2 columns): (count, rows, columns).
    """
    y, x = place(BY, BX)
    inside = (y < rows) & (x < columns)
    size = (rows * columns).to(tl.int64)
    grid_size = (grid_rows * grid_columns).to(tl.int64)
    at = fused + (4 * y * columns + 2 * x)
    target = tl.load(at, mask=inside, other=0.0) + tl.load(at + 1, mask=inside, other=0.0)
    target += tl.load(at + 2 * columns, mask=inside, other=0.0)
    target += tl.load(at + (2 * columns + 1), mask=inside, other=0.0)
    target = tl.minimum(tl.maximum(target * 0.25, 0.0), 1.0)
    total = tl.zeros((BY * BX,), tl.float32)
    for n in range(count):
        weight, luma, peak = _colour_weight(
            frames + n * size * 12, powers + n * grid_size, y, x, columns, unit,
            grid_rows, grid_columns, inside,
        )  # fmt: skip
        total += weight
    total = tl.maximum(total, 1e-30)  # nothing where a lane is outside
    for n in range(count):
        weight, luma, peak = _colour_weight(
            frames + n * size * 12, powers + n * grid_size, y, x, columns, unit,
            grid_rows, grid_columns, inside,
        )  # fmt: skip
        ratio = (target + _FOLLOW_FLOOR) / (luma + _FOLLOW_FLOOR)
        ratio = tl.log(tl.minimum(tl.maximum(ratio, _FOLLOW_LEAST), _FOLLOW_MOST))
        follow = tl.exp(ratio * tl.where(ratio > 0, _FOLLOW_UP, _FOLLOW_DOWN))
        before = (peak - luma) / tl.maximum(1 - target, _ROOM_FLOOR)
        after = before * tl.maximum(follow, 1.0)
        follow *= tl.sqrt((1 + before * before) / (1 + after * after))
        tl.store(out + n * size + (y * columns + x), weight / total * follow, mask=inside)


@triton.jit
def _colour_of(frames, at, share, inside):
    """What a pixel of a frame adds to red and blue minus luma."""
    red, green, blue = rgb(frames, at, inside)
    luma = luma_of(red, green, blue)
    return share * (red - luma), share * (blue - luma)


@triton.jit
def _put(out, luma, at, to_red, to_blue, inside, unit, white):
    """A pixel of luma and colour within the gamut, as whole numbers."""
    fused = tl.load(luma + at, mask=inside, other=0.0)
    to_red, to_blue = to_red * unit, to_blue * unit
    to_green = to_red * (-RED / GREEN) + to_blue * (-BLUE / GREEN)
    above = tl.maximum(tl.maximum(to_red, to_green), to_blue)
    below = -tl.minimum(tl.minimum(to_red, to_green), to_blue)
    lit = tl.minimum(tl.maximum(fused, 0.0), 1.0)
    room = tl.minimum((1 - lit) / tl.maximum(above, 1e-6), lit / tl.maximum(below, 1e-6))
    room = tl.minimum(room, 1.0)
    put_one(out + (at * 3), fused + to_red * room, inside, white)
    put_one(out + (at * 3 + 1), fused + to_green * room, inside, white)
    put_one(out + (at * 3 + 2), fused + to_blue * room, inside, white)


@triton.jit
def finish(
    frames, luma, shares, out, count, rows, columns, unit, white,
    BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """Chroma of the frames, joined to the fused luma within the gamut: (2 rows, 2 columns, 3).

    `white` is the largest value of `out`.
    """
    y, x = place(BY, BX)
    inside = (y < rows) & (x < columns)
    size = (rows * columns).to(tl.int64)
    at = 4 * y * columns + 2 * x
    none = tl.zeros((BY * BX,), tl.float32)
    red0, blue0, red1, blue1 = none, none, none, none
    red2, blue2, red3, blue3 = none, none, none, none
    for n in range(count):
        frame = frames + n * size * 12
        a, b, c, d = enlarged(shares + n * size, y, x, rows, columns, columns, inside)
        red, blue = _colour_of(frame, at, a, inside)
        red0, blue0 = red0 + red, blue0 + blue
        red, blue = _colour_of(frame, at + 1, b, inside)
        red1, blue1 = red1 + red, blue1 + blue
        red, blue = _colour_of(frame, at + 2 * columns, c, inside)
        red2, blue2 = red2 + red, blue2 + blue
        red, blue = _colour_of(frame, at + (2 * columns + 1), d, inside)
        red3, blue3 = red3 + red, blue3 + blue
    _put(out, luma, at, red0, blue0, inside, unit, white)
    _put(out, luma, at + 1, red1, blue1, inside, unit, white)
    _put(out, luma, at + 2 * columns, red2, blue2, inside, unit, white)
    _put(out, luma, at + (2 * columns + 1), red3, blue3, inside, unit, white)
