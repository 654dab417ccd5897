"""Kernels that take frames apart: `blend.decompose`, `features.glimpse` in few passes over memory.

Each kernel works on quads: a lane has one sample of a plane at half size, and the 2 x 2 samples of
the whole plane above it. A level's band needs its neighbours' halves, so a level takes a launch of
its own; everything between two such meetings happens in registers.

Frames are (N, H, W, 3) as stored, planes float32 without gaps. Sides at a border repeat, as in
`blend.py`. Only `fused.py` launches them. Knows no torch.
"""

from __future__ import annotations

import triton
import triton.language as tl

from mefuse import gamut

RED, GREEN, BLUE = (tl.constexpr(share) for share in gamut.LUMA)
# Added and taken away again, it rounds a float32 to the nearest whole number, halves to even ones.
_ROUNDING = tl.constexpr(1.5 * 2**23)


@triton.jit
def rgb(pixels, at, inside):
    """Red, green and blue of pixels, in the unit of the frames."""
    red = tl.load(pixels + at * 3, mask=inside, other=0).to(tl.float32)
    green = tl.load(pixels + (at * 3 + 1), mask=inside, other=0).to(tl.float32)
    blue = tl.load(pixels + (at * 3 + 2), mask=inside, other=0).to(tl.float32)
    return red, green, blue


@triton.jit
def luma_of(red, green, blue):
    """Luma of colour; tensors come first, as Triton's interpreter needs it."""
    return red * RED + green * GREEN + blue * BLUE


@triton.jit
def _sample(source, at, inside, RGB: tl.constexpr):
    """Luma of a frame as stored, or a sample of a plane."""
    if RGB:
        red, green, blue = rgb(source, at, inside)
        value = luma_of(red, green, blue)
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
def enlarged(plane, y, x, rows, columns, stride, inside):
    """The 2 x 2 samples that a plane twice the size has at each of its own: `blend.enlarge`."""
    left, right = tl.maximum(x - 1, 0), tl.minimum(x + 1, columns - 1)
    above, below = tl.maximum(y - 1, 0), tl.minimum(y + 1, rows - 1)
    a, b = _mixed(plane + above * stride, left, x, right, inside)
    c, d = _mixed(plane + y * stride, left, x, right, inside)
    e, f = _mixed(plane + below * stride, left, x, right, inside)
    return 0.25 * a + 0.75 * c, 0.25 * b + 0.75 * d, 0.75 * c + 0.25 * e, 0.75 * d + 0.25 * f


@triton.jit
def between(plane, y, x, rows, columns, stride, inside, FACTOR: tl.constexpr):
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
def place(BY: tl.constexpr, BX: tl.constexpr):
    """Row and column of each lane: neighbours in a row lie side by side, so that they read lines.

    Lanes are counted in one dimension: of two, the compiler may take either for the inner one.
    """
    lane = tl.arange(0, BY * BX)
    return tl.program_id(1) * BY + lane // BX, tl.program_id(0) * BX + lane % BX


@triton.jit
def band(source, smaller, y, x, rows, columns, unit, inside, RGB: tl.constexpr):
    """The band of a level at 2 x 2 samples, and its luma there: what `smaller` lacks of it."""
    at = 2 * y * (2 * columns) + 2 * x
    a, b, c, d = enlarged(smaller, y, x, rows, columns, columns, inside)
    a = _sample(source, at, inside, RGB) * unit - a
    b = _sample(source, at + 1, inside, RGB) * unit - b
    c = _sample(source, at + 2 * columns, inside, RGB) * unit - c
    d = _sample(source, at + (2 * columns + 1), inside, RGB) * unit - d
    return a, b, c, d


@triton.jit
def put_one(out, value, inside, white):
    """A channel as a whole number of the output's type."""
    whole = tl.minimum(tl.maximum(value, 0.0), 1.0) * white + _ROUNDING - _ROUNDING
    tl.store(out, whole.to(tl.int32).to(out.dtype.element_ty), mask=inside)


@triton.jit
def halve(
    source, out, rows, columns, unit, RGB: tl.constexpr, BY: tl.constexpr, BX: tl.constexpr
):  # fmt: skip
    """`blend.halve`: frames or planes (N, 2 rows, 2 columns) -> (N, rows, columns)."""
    y, x = place(BY, BX)
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
def squares(
    source, smaller, out, rows, columns, unit,
    RGB: tl.constexpr, BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """Mean over 2 x 2 of a band's squares, (N, rows, columns): `blend._energy` without its tent."""
    y, x = place(BY, BX)
    inside = (y < rows) & (x < columns)
    frame = tl.program_id(2).to(tl.int64)
    source += frame * rows * columns * (12 if RGB else 4)
    smaller += frame * rows * columns
    a, b, c, d = band(source, smaller, y, x, rows, columns, unit, inside, RGB)
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
    y, x = place(BY, BX)
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
    red, green, blue = rgb(frames, y * (64 * columns) + across, inside)
    for j in tl.static_range(1, 8):
        a, b, c = rgb(frames, (8 * y + j) * (8 * columns) + across, inside)
        red, green, blue = red + a, green + b, blue + c
    x = tl.program_id(0) * CELLS + tl.arange(0, CELLS)
    out += frame * rows * columns * 3 + y * columns
    for channel in tl.static_range(3):
        column = red if channel == 0 else (green if channel == 1 else blue)
        cells = tl.sum(tl.reshape(column, (CELLS, 8)), 1) * (unit / 64)
        tl.store(out + channel * rows * columns + x, cells, mask=x < columns)


@triton.jit
def reduce_area(
    frames, out, height, width, rows, columns, down, across, taps_down, taps_across, unit, white,
    BY: tl.constexpr, BX: tl.constexpr,
):  # fmt: skip
    """Frames as stored (N, height, width, 3) -> (N, rows, columns, 3), each the mean of its area.

    A pixel's area is `down` x `across` of theirs and touches at most `taps_down` x `taps_across`.
    """
    y, x = place(BY, BX)
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
            a, b, c = rgb(frames, row + tl.minimum(column, width - 1), inside)
            red, green, blue = red + weight * a, green + weight * b, blue + weight * c
    scale = unit / (down * across)
    at = out + frame * rows * columns * 3 + (y * columns + x) * 3
    put_one(at, red * scale, inside, white)
    put_one(at + 1, green * scale, inside, white)
    put_one(at + 2, blue * scale, inside, white)
