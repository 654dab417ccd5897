"""Kernels of the band work: `blend.decompose` and `blend.blend_fine` in few passes over memory.

Each kernel works on quads: a lane has one sample of a plane at half size, and the 2 x 2 samples of
the whole plane above it. A level's band needs its neighbours' halves, so a level takes a launch of
its own; everything between two such meetings happens in registers. Where frames meet, a lane takes
them one after the other.

Frames are (N, H, W, 3) as stored, planes float32 without gaps. Sides at a border repeat, as in
`blend.py`, whose constants these are. Only `fused.py` launches them. Knows no torch.
"""

from __future__ import annotations

import triton
import triton.language as tl

from mefuse import gamut, grid

_RED, _GREEN, _BLUE = (tl.constexpr(share) for share in gamut.LUMA)
_ENERGY_FLOOR = tl.constexpr(grid.ENERGY_FLOOR)
_CHROMA_FLOOR = tl.constexpr(grid.CHROMA_FLOOR)
_CLIP_END, _CLIP_SHARE = tl.constexpr(grid.CLIP_END), tl.constexpr(grid.CLIP_SHARE)
_CLIP_SLOPE = tl.constexpr(1 / (grid.CLIP_END - grid.CLIP_START))
_FOLLOW_UP, _FOLLOW_DOWN = tl.constexpr(grid.FOLLOW_UP), tl.constexpr(grid.FOLLOW_DOWN)
_FOLLOW_FLOOR = tl.constexpr(grid.FOLLOW_FLOOR)
_FOLLOW_LEAST, _FOLLOW_MOST = (tl.constexpr(limit) for limit in grid.FOLLOW_LIMITS)
# Added and taken away again, it rounds a float32 to the nearest whole number, halves to even ones.
_ROUNDING = tl.constexpr(1.5 * 2**23)


@triton.jit
def _rgb(pixels, at, inside):
    """Red, green and blue of pixels, in the unit of the frames."""
    red = tl.load(pixels + at * 3, mask=inside, other=0).to(tl.float32)
    green = tl.load(pixels + (at * 3 + 1), mask=inside, other=0).to(tl.float32)
    blue = tl.load(pixels + (at * 3 + 2), mask=inside, other=0).to(tl.float32)
    return red, green, blue


@triton.jit
def _luma(red, green, blue):
    """Luma of colour; tensors come first, as Triton's interpreter needs it."""
    return red * _RED + green * _GREEN + blue * _BLUE


@triton.jit
def _sample(source, at, inside, RGB: tl.constexpr):
    """Luma of a frame as stored, or a sample of a plane."""
    if RGB:
        red, green, blue = _rgb(source, at, inside)
        value = _luma(red, green, blue)
    else:
        value = tl.load(source + at, mask=inside, other=0.0)
    return value


@triton.jit
def _mixed(row, left, x, right, inside):
    """A row of a plane between its samples: a quarter to the left of each, and to the right."""
    here = tl.load(row + x, mask=inside, other=0.0)
    before = tl.load(row + left, mask=inside, other=0.0)
    after = tl.load(row + right, mask=inside, other=0.0)
    return 0.25 * before + 0.75 * here, 0.75 * here + 0.25 * after


@triton.jit
def _enlarged(plane, y, x, rows, columns, stride, inside):
    """The 2 x 2 samples that a plane twice the size has at each of its own: `blend.enlarge`."""
    left, right = tl.maximum(x - 1, 0), tl.minimum(x + 1, columns - 1)
    above, below = tl.maximum(y - 1, 0), tl.minimum(y + 1, rows - 1)
    a, b = _mixed(plane + above * stride, left, x, right, inside)
    c, d = _mixed(plane + y * stride, left, x, right, inside)
    e, f = _mixed(plane + below * stride, left, x, right, inside)
    return 0.25 * a + 0.75 * c, 0.25 * b + 0.75 * d, 0.75 * c + 0.25 * e, 0.75 * d + 0.25 * f


@triton.jit
def _between(plane, y, x, rows, columns, stride, inside, FACTOR: tl.constexpr):
    """A plane larger by a power of two, at y and x of the large one: `blend.enlarge`."""
    if FACTOR == 1:
        value = tl.load(plane + (y * stride + x), mask=inside, other=0.0)
    else:
        down = tl.maximum((y + 0.5) * (1.0 / FACTOR) - 0.5, 0.0)
        across = tl.maximum((x + 0.5) * (1.0 / FACTOR) - 0.5, 0.0)
        top, left = down.to(tl.int32), across.to(tl.int32)
        down, across = down - top, across - left
        first, second = plane + top * stride, plane + tl.minimum(top + 1, rows - 1) * stride
        right = tl.minimum(left + 1, columns - 1)
        above = (1 - across) * tl.load(first + left, mask=inside, other=0.0)
        above += across * tl.load(first + right, mask=inside, other=0.0)
        below = (1 - across) * tl.load(second + left, mask=inside, other=0.0)
        below += across * tl.load(second + right, mask=inside, other=0.0)
        value = (1 - down) * above + down * below
    return value


@triton.jit
def _place(BY: tl.constexpr, BX: tl.constexpr):
    """Row and column of each lane: neighbours in a row lie side by side, so that they read lines.

    Lanes are counted in one dimension: of two, the compiler may take either for the inner one.
    """
    lane = tl.arange(0, BY * BX)
    return tl.program_id(1) * BY + lane // BX, tl.program_id(0) * BX + lane % BX


@triton.jit
def halve(
    source, out, rows, columns, unit, RGB: tl.constexpr, BY: tl.constexpr, BX: tl.constexpr
):  # fmt: skip
    """`blend.halve`: frames or planes (N, 2 rows, 2 columns) -> (N, rows, columns)."""
    y, x = _place(BY, BX)
    inside = (y < rows) & (x < columns)
    frame = tl.program_id(2).to(tl.int64)
    source += frame * rows * columns * (12 if RGB else 4)
    total = tl.zeros((BY * BX,), tl.float32)
    for j in tl.static_range(4):
        row = tl.minimum(tl.maximum(2 * y + (j - 1), 0), 2 * rows - 1) * (2 * columns)
        line = tl.zeros((BY * BX,), tl.float32)
        for i in tl.static_range(4):
            column = tl.minimum(tl.maximum(2 * x + (i - 1), 0), 2 * columns - 1)
            line += (0.125 if i % 3 == 0 else 0.375) * _sample(source, row + column, inside, RGB)
        total += (0.125 if j % 3 == 0 else 0.375) * line
    tl.store(out + frame * rows * columns + (y * columns + x), total * unit, mask=inside)


@triton.jit
def _band(source, smaller, y, x, rows, columns, unit, inside, RGB: tl.constexpr):
    """The band of a level at 2 x 2 samples, and its luma there: what `smaller` lacks of it."""
    at = 2 * y * (2 * columns) + 2 * x
    a, b, c, d = _enlarged(smaller, y, x, rows, columns, columns, inside)
    a = _sample(source, at, inside, RGB) * unit - a
    b = _sample(source, at + 1, inside, RGB) * unit - b
    c = _sample(source, at + 2 * columns, inside, RGB) * unit - c
    d = _sample(source, at + (2 * columns + 1), inside, RGB) * unit - d
    return a, b, c, d


@triton.jit
def squares(
    source, smaller, out, rows, columns, unit,
    RGB: tl.constexpr, BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """Mean over 2 x 2 of a band's squares, (N, rows, columns): `blend._energy` without its tent."""
    y, x = _place(BY, BX)
    inside = (y < rows) & (x < columns)
    frame = tl.program_id(2).to(tl.int64)
    source += frame * rows * columns * (12 if RGB else 4)
    smaller += frame * rows * columns
    a, b, c, d = _band(source, smaller, y, x, rows, columns, unit, inside, RGB)
    mean = (a * a + b * b + c * c + d * d) * 0.25
    tl.store(out + frame * rows * columns + (y * columns + x), mean, mask=inside)


@triton.jit
def pool_energy(
    squares, out, rows, columns, out_frame,
    FACTOR: tl.constexpr, BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """Mean energy of a band on the grid of 8 px, FACTOR samples of it a side, from `squares`.

    The tent over 3 x 3 and the mean over FACTOR x FACTOR in one: 1 2 3 3 2 1 for a factor of 4.
    """
    y, x = _place(BY, BX)
    inside = (y < rows) & (x < columns)
    frame = tl.program_id(2).to(tl.int64)
    squares += frame * rows * columns * (FACTOR * FACTOR)
    total = tl.zeros((BY * BX,), tl.float32)
    for j in tl.static_range(FACTOR + 2):
        row = tl.minimum(tl.maximum(FACTOR * y + (j - 1), 0), FACTOR * rows - 1)
        line = tl.zeros((BY * BX,), tl.float32)
        for i in tl.static_range(FACTOR + 2):
            column = tl.minimum(tl.maximum(FACTOR * x + (i - 1), 0), FACTOR * columns - 1)
            value = tl.load(squares + (row * (FACTOR * columns) + column), mask=inside, other=0.0)
            line += min(i + 1, FACTOR + 2 - i, 3, FACTOR) * value
        total += min(j + 1, FACTOR + 2 - j, 3, FACTOR) * line
    out += frame * out_frame
    tl.store(out + (y * columns + x), total * (1.0 / (9 * FACTOR * FACTOR)), mask=inside)


@triton.jit
def mean_colour(frames, out, rows, columns, unit, CELLS: tl.constexpr):
    """Mean over 8 x 8 of frames as stored: (N, 3, rows, columns)."""
    y, frame = tl.program_id(1), tl.program_id(2).to(tl.int64)
    across = tl.program_id(0) * (8 * CELLS) + tl.arange(0, 8 * CELLS)
    inside = across < 8 * columns
    frames += frame * rows * columns * 192
    red, green, blue = _rgb(frames, y * (64 * columns) + across, inside)
    for j in tl.static_range(1, 8):
        a, b, c = _rgb(frames, (8 * y + j) * (8 * columns) + across, inside)
        red, green, blue = red + a, green + b, blue + c
    x = tl.program_id(0) * CELLS + tl.arange(0, CELLS)
    out += frame * rows * columns * 3 + y * columns
    for channel in tl.static_range(3):
        column = red if channel == 0 else (green if channel == 1 else blue)
        cells = tl.sum(tl.reshape(column, (CELLS, 8)), 1) * (unit / 64)
        tl.store(out + channel * rows * columns + x, cells, mask=x < columns)


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
    logit = _between(logits, y, x, grid_rows, grid_columns, logits_row, inside, FACTOR)
    return gain * tl.log(energy * (1.0 / 9) + _ENERGY_FLOOR) + logit


@triton.jit
def share(
    squares, logits, gains, out, count, rows, columns,
    logits_frame, logits_row, gains_row, grid_rows, grid_columns,
    FACTOR: tl.constexpr, BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """`blend._band_weights` of a fine band from `squares`: (count, rows, columns)."""
    y, x = _place(BY, BX)
    inside = (y < rows) & (x < columns)
    size = (rows * columns).to(tl.int64)
    gain = _between(gains, y, x, grid_rows, grid_columns, gains_row, inside, FACTOR)
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
    y, x = _place(BY, BX)
    inside = (y < rows) & (x < columns)
    size = (rows * columns).to(tl.int64)
    p, q, r, s = _enlarged(fused, y, x, rows, columns, fused_row, inside)
    for n in range(count):
        plane, whole = n * size, n * size * (12 if RGB else 4)
        a, b, c, d = _band(source + whole, smaller + plane, y, x, rows, columns, unit, inside, RGB)
        e, f, g, h = _enlarged(weights + plane, y, x, rows, columns, columns, inside)
        p, q, r, s = p + a * e, q + b * f, r + c * g, s + d * h
    at = out + (4 * y * columns + 2 * x)
    tl.store(at, p, mask=inside)
    tl.store(at + 1, q, mask=inside)
    tl.store(at + 2 * columns, r, mask=inside)
    tl.store(at + (2 * columns + 1), s, mask=inside)


@triton.jit
def _colour_weight(
    frames, powers, y, x, rows, columns, unit, grid_rows, grid_columns, inside
):  # fmt: skip
    """How much a frame's colour counts at half size, and its luma there."""
    at = 4 * y * columns + 2 * x
    a, b, c = _rgb(frames, at, inside)
    d, e, f = _rgb(frames, at + 1, inside)
    g, h, i = _rgb(frames, at + 2 * columns, inside)
    j, k, m = _rgb(frames, at + (2 * columns + 1), inside)
    quarter = 0.25 * unit
    red, green, blue = (
        (a + d + g + j) * quarter,
        (b + e + h + k) * quarter,
        (c + f + i + m) * quarter,
    )
    luma = _luma(red, green, blue)
    colourfulness = tl.abs(blue - luma) * (1 / 1.772) + tl.abs(red - luma) * (1 / 1.402)
    hue = tl.maximum(tl.maximum(red, green), blue) * -_CLIP_SLOPE + _CLIP_END * _CLIP_SLOPE
    hue = tl.minimum(tl.maximum(hue, _CLIP_SHARE), 1.0)
    power = _between(powers, y, x, grid_rows, grid_columns, grid_columns, inside, 4)
    return power * hue * (colourfulness + _CHROMA_FLOOR), luma


@triton.jit
def share_colour(
    frames, powers, fused, out, count, rows, columns, unit, grid_rows, grid_columns,
    BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """What `blend._blend_chroma` multiplies each frame's chroma by, before it is enlarged.

    Of frames as stored, their `powers` (count, grid_rows, grid_columns) on the grid of 8 px and the
    fused luma (2 rows, 2 columns): (count, rows, columns).
    """
    y, x = _place(BY, BX)
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
        weight, luma = _colour_weight(
            frames + n * size * 12, powers + n * grid_size, y, x, rows, columns, unit,
            grid_rows, grid_columns, inside,
        )  # fmt: skip
        total += weight
    total = tl.maximum(total, 1e-30)  # nothing where a lane is outside
    for n in range(count):
        weight, luma = _colour_weight(
            frames + n * size * 12, powers + n * grid_size, y, x, rows, columns, unit,
            grid_rows, grid_columns, inside,
        )  # fmt: skip
        ratio = (target + _FOLLOW_FLOOR) / (luma + _FOLLOW_FLOOR)
        ratio = tl.log(tl.minimum(tl.maximum(ratio, _FOLLOW_LEAST), _FOLLOW_MOST))
        follow = tl.exp(ratio * tl.where(ratio > 0, _FOLLOW_UP, _FOLLOW_DOWN))
        tl.store(out + n * size + (y * columns + x), weight / total * follow, mask=inside)


@triton.jit
def _colour_of(frames, at, share, inside):
    """What a pixel of a frame adds to red and blue minus luma."""
    red, green, blue = _rgb(frames, at, inside)
    luma = _luma(red, green, blue)
    return share * (red - luma), share * (blue - luma)


@triton.jit
def _put(out, luma, at, to_red, to_blue, inside, unit, white):
    """A pixel of luma and colour within the gamut, as whole numbers."""
    fused = tl.load(luma + at, mask=inside, other=0.0)
    to_red, to_blue = to_red * unit, to_blue * unit
    to_green = to_red * (-_RED / _GREEN) + to_blue * (-_BLUE / _GREEN)
    above = tl.maximum(tl.maximum(to_red, to_green), to_blue)
    below = -tl.minimum(tl.minimum(to_red, to_green), to_blue)
    lit = tl.minimum(tl.maximum(fused, 0.0), 1.0)
    room = tl.minimum((1 - lit) / tl.maximum(above, 1e-6), lit / tl.maximum(below, 1e-6))
    room = tl.minimum(room, 1.0)
    _put_one(out + (at * 3), fused + to_red * room, inside, white)
    _put_one(out + (at * 3 + 1), fused + to_green * room, inside, white)
    _put_one(out + (at * 3 + 2), fused + to_blue * room, inside, white)


@triton.jit
def _put_one(out, value, inside, white):
    """A channel as a whole number of the output's type."""
    whole = tl.minimum(tl.maximum(value, 0.0), 1.0) * white + _ROUNDING - _ROUNDING
    tl.store(out, whole.to(tl.int32).to(out.dtype.element_ty), mask=inside)


@triton.jit
def finish(
    frames, luma, shares, out, count, rows, columns, unit, white,
    BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """Chroma of the frames, joined to the fused luma within the gamut: (2 rows, 2 columns, 3).

    `white` is the largest value of `out`.
    """
    y, x = _place(BY, BX)
    inside = (y < rows) & (x < columns)
    size = (rows * columns).to(tl.int64)
    at = 4 * y * columns + 2 * x
    none = tl.zeros((BY * BX,), tl.float32)
    red0, blue0, red1, blue1 = none, none, none, none
    red2, blue2, red3, blue3 = none, none, none, none
    for n in range(count):
        frame = frames + n * size * 12
        a, b, c, d = _enlarged(shares + n * size, y, x, rows, columns, columns, inside)
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


@triton.jit
def reduce_area(
    frames, out, height, width, rows, columns, down, across, taps_down, taps_across, unit, white,
    BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """Frames as stored (N, height, width, 3), each pixel the mean of its area: (N, rows, columns, 3).

    A pixel's area is `down` x `across` of theirs and touches at most `taps_down` x `taps_across`.
    """
    y, x = _place(BY, BX)
    inside = (y < rows) & (x < columns)
    frame = tl.program_id(2).to(tl.int64)
    frames += frame * height * width * 3
    top, left = y * down, x * across
    red = tl.zeros((BY * BX,), tl.float32)
    green = tl.zeros((BY * BX,), tl.float32)
    blue = tl.zeros((BY * BX,), tl.float32)
    for j in range(taps_down):
        row = top.to(tl.int32) + j
        deep = tl.minimum(row + 1.0, top + down) - tl.maximum(row * 1.0, top)
        deep = tl.maximum(deep, 0.0)
        row = tl.minimum(row, height - 1) * width
        for i in range(taps_across):
            column = left.to(tl.int32) + i
            wide = tl.minimum(column + 1.0, left + across) - tl.maximum(column * 1.0, left)
            weight = deep * tl.maximum(wide, 0.0)
            a, b, c = _rgb(frames, row + tl.minimum(column, width - 1), inside)
            red, green, blue = red + weight * a, green + weight * b, blue + weight * c
    scale = unit / (down * across)
    at = out + frame * rows * columns * 3 + (y * columns + x) * 3
    _put_one(at, red * scale, inside, white)
    _put_one(at + 1, green * scale, inside, white)
    _put_one(at + 2, blue * scale, inside, white)
