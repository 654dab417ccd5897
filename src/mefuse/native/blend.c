/* The finest bands and the colour of a region, finished to pixels: `blend.blend_fine` in one pass.
 *
 * Pixels are asked for row by row; what they need is made when it is asked for, from the frames
 * down to the coarse luma, and kept as long as other rows need it.
 */
#include "frames.h"

/* The constants of `grid.py` and `gamut.py`, in the order of `native.blend.RULES`. */
typedef struct {
    float luma[3];
    float energy_floor, chroma_floor;
    float clip_start, clip_end, clip_share;
    float follow_up, follow_down, follow_low, follow_high, follow_floor, room_floor;
} Rules;

typedef struct {
    int count, height, width; /* frames; pixels, multiples of 8 */
    Rules rules;
    Frame *frames;
    Grid logits, gains;
    Plane *powers;             /* per frame, on the grid: exp of the chroma logits */
    Plane *weights[FINE];      /* per frame, at half of each band */
    Plane fused[FINE + 1];     /* luma; the last is the coarse one */
    Plane *shares;             /* per frame, at half size */
    int weights_done[FINE], fused_done[FINE + 1], shares_done;
    float *rows[8], *scores;   /* scratch */
    unsigned char *out;
    ptrdiff_t out_bytes;
    int depth;
} Blend;

/* Row y of a grid enlarged by `factor`: bilinear on areas. */
static void enlarge_row(const float *first, ptrdiff_t stride, int height, int width, int y,
                        int factor, float *restrict mixed, float *restrict out) {
    float place = ((float)y + 0.5f) / (float)factor - 0.5f;
    int above = place < 0 ? -1 : (int)place;
    float below = place - (float)above;
    const float *a = first + clamped(above, height) * stride;
    const float *b = first + clamped(above + 1, height) * stride;
    for (int x = 0; x < width; x++)
        mixed[x] = (1.0f - below) * a[x] + below * b[x];
    close_row(mixed, width);
    switch (factor) {
    case 1:
        memcpy(out, mixed, sizeof(float) * (size_t)width);
        break;
    case 2:
        for (int x = 0; x < width; x++) {
            out[2 * x] = LEFT_OF(mixed, x);
            out[2 * x + 1] = RIGHT_OF(mixed, x);
        }
        break;
    default: /* 4 */
        for (int x = 0; x < width; x++) {
            out[4 * x] = 0.625f * mixed[x] + 0.375f * mixed[x - 1];
            out[4 * x + 1] = 0.875f * mixed[x] + 0.125f * mixed[x - 1];
            out[4 * x + 2] = 0.875f * mixed[x] + 0.125f * mixed[x + 1];
            out[4 * x + 3] = 0.625f * mixed[x] + 0.375f * mixed[x + 1];
        }
    }
}

/* A band's weights, softmax over frames of gain x log(energy) + logit: all rows before `stop`. */
static void pull_weights(Blend *blend, int level, int stop) {
    int height = blend->height >> (level + 1), width = blend->width >> (level + 1);
    int factor = GRID >> (level + 1), high = blend->height / GRID, wide = blend->width / GRID;
    stop = least(stop, height);
    if (blend->weights_done[level] >= stop)
        return;
    for (int n = 0; n < blend->count; n++)
        pull_squares(&blend->frames[n], level, stop + 1);
    float *mixed = blend->rows[0], *gain = blend->rows[1], *sums = blend->rows[2];
    float *energy = blend->rows[3], *most = blend->rows[4];
    float floor = blend->rules.energy_floor;
    for (int y = blend->weights_done[level]; y < stop; y++) {
        const Grid *grid = &blend->gains;
        enlarge_row(grid->first + level * grid->band, grid->row, high, wide, y, factor, mixed, gain);
        for (int n = 0; n < blend->count; n++) {
            float *score = row_of(&blend->weights[level][n], y);
            grid = &blend->logits;
            enlarge_row(grid->first + n * grid->frame + level * grid->band, grid->row, high, wide, y,
                        factor, mixed, score);
            energy_row(&blend->frames[n].squares[level], y, sums, energy);
            for (int x = 0; x < width; x++)
                score[x] += gain[x] * log_of(energy[x] + floor);
            for (int x = 0; x < width; x++)
                most[x] = n == 0 ? score[x] : higher(most[x], score[x]);
        }
        for (int n = 0; n < blend->count; n++) {
            float *score = row_of(&blend->weights[level][n], y);
            for (int x = 0; x < width; x++) {
                score[x] = exp_of(score[x] - most[x]);
                sums[x] = n == 0 ? score[x] : sums[x] + score[x];
            }
        }
        for (int x = 0; x < width; x++)
            sums[x] = 1.0f / sums[x];
        for (int n = 0; n < blend->count; n++) {
            float *score = row_of(&blend->weights[level][n], y);
            for (int x = 0; x < width; x++)
                score[x] *= sums[x];
            close_row(score, width);
        }
    }
    blend->weights_done[level] = stop;
}

/* Fused luma at 1 / 2^level: the coarser one enlarged, and the weighted bands. */
static void pull_fused(Blend *blend, int level, int stop) {
    Plane *plane = &blend->fused[level];
    stop = least(stop, plane->height);
    if (level == FINE || blend->fused_done[level] >= stop)
        return;
    int coarser = (stop + 3) / 2, half = plane->width / 2;
    pull_weights(blend, level, coarser);
    pull_fused(blend, level + 1, coarser);
    for (int n = 0; n < blend->count; n++) {
        pull_luma(&blend->frames[n], level + 1, coarser);
        pull_luma(&blend->frames[n], level, stop);
    }
    float *restrict left = blend->rows[0], *restrict right = blend->rows[1];
    float *restrict weight = blend->rows[2], *restrict small = blend->rows[3];
    for (int y = blend->fused_done[level]; y < stop; y++) {
        between_rows(&blend->fused[level + 1], y, small);
        for (int x = 0; x < half; x++) {
            left[x] = LEFT_OF(small, x);
            right[x] = RIGHT_OF(small, x);
        }
        for (int n = 0; n < blend->count; n++) {
            const float *luma = row_of(&blend->frames[n].luma[level], y);
            between_rows(&blend->weights[level][n], y, weight);
            between_rows(&blend->frames[n].luma[level + 1], y, small);
            for (int x = 0; x < half; x++) {
                left[x] += LEFT_OF(weight, x) * (luma[2 * x] - LEFT_OF(small, x));
                right[x] += RIGHT_OF(weight, x) * (luma[2 * x + 1] - RIGHT_OF(small, x));
            }
        }
        float *restrict fused = row_of(plane, y);
        for (int x = 0; x < half; x++) {
            fused[2 * x] = left[x];
            fused[2 * x + 1] = right[x];
        }
        close_row(fused, plane->width);
    }
    blend->fused_done[level] = stop;
}

/* Mean over 2 x 2: row y at half size. */
static inline void reduce_row(const Plane *plane, int y, float *restrict out) {
    const float *a = row_of(plane, 2 * y), *b = row_of(plane, 2 * y + 1);
    for (int x = 0; x < plane->width / 2; x++)
        out[x] = 0.25f * ((a[2 * x] + a[2 * x + 1]) + (b[2 * x] + b[2 * x + 1]));
}

/* One frame's share of the colour before shares sum to one, which `sums` is for. */
static void weigh_colour(const Rules *rules, int width, const float *restrict red,
                         const float *restrict blue, const float *restrict own,
                         const float *restrict power, const float *restrict target,
                         float *restrict sums, float *restrict share) {
    const float of_red = rules->luma[0] / rules->luma[1], of_blue = rules->luma[2] / rules->luma[1];
    const float floor = rules->chroma_floor, end = rules->clip_end, least = rules->clip_share;
    const float slope = 1.0f / (rules->clip_end - rules->clip_start);
    const float low = rules->follow_low, high = rules->follow_high, start = rules->follow_floor;
    const float down = rules->follow_down, up = rules->follow_up - rules->follow_down;
    for (int x = 0; x < width; x++) {
        float by_blue = blue[x] - own[x], by_red = red[x] - own[x];
        float green = own[x] - (of_red * by_red + of_blue * by_blue);
        float peak = higher(higher(red[x], green), blue[x]);
        float hue = higher(lower((end - peak) * slope, 1.0f), least);
        float colour = size_of(by_blue) * (1.0f / 1.772f) + size_of(by_red) * (1.0f / 1.402f);
        float weight = (colour + floor) * hue * power[x];
        float ratio = higher(lower(target[x] / (own[x] + start), high), low);
        float rise = log_of(ratio);
        float change = exp_of(down * rise + up * higher(rise, 0.0f));
        float room = higher(1.0f + start - target[x], rules->room_floor);
        float before = (peak - own[x]) / room, after = before * higher(change, 1.0f);
        change *= __builtin_sqrtf((1.0f + before * before) / (1.0f + after * after));
        sums[x] += weight;
        share[x] = weight * change;
    }
}

/* How much of each frame's colour to take, at half size, following the luma. */
static void pull_shares(Blend *blend, int stop) {
    const Rules rules = blend->rules;
    int height = blend->height / 2, width = blend->width / 2;
    stop = least(stop, height);
    if (blend->shares_done >= stop)
        return;
    pull_fused(blend, 0, 2 * stop);
    for (int n = 0; n < blend->count; n++)
        pull_colour(&blend->frames[n], 2 * stop);
    float *restrict target = blend->rows[0], *restrict sums = blend->rows[1];
    float *restrict red = blend->rows[2], *restrict blue = blend->rows[3];
    float *restrict own = blend->rows[4], *restrict power = blend->rows[5];
    float *mixed = blend->rows[6];
    for (int y = blend->shares_done; y < stop; y++) {
        reduce_row(&blend->fused[0], y, target);
        memset(sums, 0, sizeof(float) * (size_t)width);
        for (int x = 0; x < width; x++)
            target[x] = higher(lower(target[x], 1.0f), 0.0f) + rules.follow_floor;
        for (int n = 0; n < blend->count; n++) {
            const Plane *grid = &blend->powers[n];
            reduce_row(&blend->frames[n].red, y, red);
            reduce_row(&blend->frames[n].blue, y, blue);
            reduce_row(&blend->frames[n].luma[0], y, own);
            enlarge_row(grid->first, grid->stride, grid->height, grid->width, y, GRID / 2, mixed,
                        power);
            weigh_colour(&rules, width, red, blue, own, power, target, sums,
                         row_of(&blend->shares[n], y));
        }
        for (int x = 0; x < width; x++)
            sums[x] = 1.0f / sums[x];
        for (int n = 0; n < blend->count; n++) {
            float *share = row_of(&blend->shares[n], y);
            for (int x = 0; x < width; x++)
                share[x] *= sums[x];
            close_row(share, width);
        }
    }
    blend->shares_done = stop;
}

#define STORE_ROW(NAME, SAMPLE)                                                                  \
    static void NAME(const float *restrict luma, const float *restrict red,                      \
                     const float *restrict blue, const float *luma_of, int width,                \
                     SAMPLE *restrict out) {                                                     \
        const float full = (float)(SAMPLE)-1, by_red = -luma_of[0] / luma_of[1];                 \
        const float by_blue = -luma_of[2] / luma_of[1];                                          \
        for (int x = 0; x < width; x++) {                                                        \
            float r = red[x], b = blue[x], g = by_red * r + by_blue * b;                         \
            float above = higher(higher(higher(r, g), b), 1e-6f);                                \
            float below = higher(-lower(lower(r, g), b), 1e-6f);                                 \
            float inside = higher(lower(luma[x], 1.0f), 0.0f);                                   \
            float share = lower((1.0f - inside) / above, inside / below);                        \
            share = lower(share, 1.0f);                                                          \
            float values[3] = {inside + share * r, inside + share * g, inside + share * b};      \
            for (int c = 0; c < 3; c++) {                                                        \
                float code = higher(lower(values[c] * full + 0.5f, full), 0.0f);                 \
                out[3 * x + c] = (SAMPLE)(int32_t)code;                                          \
            }                                                                                    \
        }                                                                                        \
    }
STORE_ROW(store_row_of_8, uint8_t)
STORE_ROW(store_row_of_16, uint16_t)

/* One row of pixels. */
static void finish_row(Blend *blend, int y) {
    int half = blend->width / 2;
    float *restrict red = blend->rows[0], *restrict blue = blend->rows[1];
    float *restrict share = blend->rows[2];
    for (int n = 0; n < blend->count; n++) {
        const Frame *frame = &blend->frames[n];
        const float *own = row_of(&frame->luma[0], y);
        const float *reds = row_of(&frame->red, y), *blues = row_of(&frame->blue, y);
        between_rows(&blend->shares[n], y, share);
        float *restrict wide = blend->rows[3];
        for (int x = 0; x < half; x++) {
            wide[2 * x] = LEFT_OF(share, x);
            wide[2 * x + 1] = RIGHT_OF(share, x);
        }
        for (int x = 0; x < blend->width; x++) {
            float by_red = wide[x] * (reds[x] - own[x]), by_blue = wide[x] * (blues[x] - own[x]);
            red[x] = n == 0 ? by_red : red[x] + by_red;
            blue[x] = n == 0 ? by_blue : blue[x] + by_blue;
        }
    }
    const float *luma = row_of(&blend->fused[0], y), *of = blend->rules.luma;
    unsigned char *out = blend->out + y * blend->out_bytes;
    if (blend->depth == 8)
        store_row_of_8(luma, red, blue, of, blend->width, out);
    else
        store_row_of_16(luma, red, blue, of, blend->width, (uint16_t *)out);
}

/* exp of the chroma logits less their largest, on the grid. */
static void fill_powers(Blend *blend, const Grid *chroma) {
    int height = blend->height / GRID, width = blend->width / GRID;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const float *at = chroma->first + y * chroma->row + x;
            float most = at[0];
            for (int n = 1; n < blend->count; n++)
                most = higher(most, at[n * chroma->frame]);
            for (int n = 0; n < blend->count; n++)
                row_of(&blend->powers[n], y)[x] = exp_of(at[n * chroma->frame] - most);
        }
}

static void open_planes(Blend *blend, Arena *arena, const float *coarse, ptrdiff_t coarse_row) {
    int height = blend->height, width = blend->width, count = blend->count;
    size_t planes = sizeof(Plane) * (size_t)count;
    blend->powers = arena_take(arena, planes);
    blend->shares = arena_take(arena, planes);
    for (int level = 0; level < FINE; level++)
        blend->weights[level] = arena_take(arena, planes);
    if (arena->failed)
        return;
    for (int n = 0; n < count; n++) {
        frame_open(&blend->frames[n], arena, height, width, blend->rules.luma);
        blend->powers[n] = plane_of(arena, height / GRID, width / GRID, height);
        blend->shares[n] = plane_of(arena, height / 2, width / 2, KEPT);
        for (int level = 0; level < FINE; level++)
            blend->weights[level][n] =
                plane_of(arena, height >> (level + 1), width >> (level + 1), KEPT);
    }
    for (int level = 0; level <= FINE; level++)
        blend->fused[level] = plane_of(arena, height >> level, width >> level,
                                       level == FINE ? height : KEPT);
    for (int k = 0; k < 8; k++)
        blend->rows[k] = scratch_row(arena, width);
    for (int y = 0; y < height / GRID && !arena->failed; y++) {
        float *row = row_of(&blend->fused[FINE], y);
        memcpy(row, coarse + y * coarse_row, sizeof(float) * (size_t)(width / GRID));
        close_row(row, width / GRID);
    }
}

/* Blends a region of `count` frames, (height, width, 3) each, both multiples of 8.
 *
 * `pixels` and `row_bytes` are per frame; `sample_bytes` 1 or 2. `coarse` is the fused luma on the
 * grid; `logits` the fine bands' and `chroma` the colour's log weights, `gains` the bands'. `out`
 * is (height, width, 3) of `depth` bits. Returns 0, or 1 where memory ran out.
 */
EXPORT int mefuse_blend(int count, int height, int width, const unsigned char *const *pixels,
                        const ptrdiff_t *row_bytes, int sample_bytes, const float *coarse,
                        ptrdiff_t coarse_row, const Grid *logits, const Grid *chroma,
                        const Grid *gains, const Rules *rules, unsigned char *out,
                        ptrdiff_t out_bytes, int depth) {
    Arena arena = {.last = NULL};
    Blend blend = {.count = count, .height = height, .width = width, .rules = *rules,
                   .logits = *logits, .gains = *gains, .out = out, .out_bytes = out_bytes,
                   .depth = depth};
    blend.frames = arena_take(&arena, sizeof(Frame) * (size_t)count);
    if (!arena.failed) {
        for (int n = 0; n < count; n++)
            blend.frames[n] = (Frame){.pixels = pixels[n], .row_bytes = row_bytes[n],
                                      .sample_bytes = sample_bytes};
        open_planes(&blend, &arena, coarse, coarse_row);
    }
    if (!arena.failed) {
        fill_powers(&blend, chroma);
        for (int y = 0; y < height; y++) {
            if (y % STEP == 0)
                pull_shares(&blend, (least(y + STEP, height) + 3) / 2);
            finish_row(&blend, y);
        }
    }
    arena_free(&arena);
    return arena.failed;
}

/* The glimpse of a frame (height, width, 3), both multiples of 8: means of R, G, B into `colour`
 * (3, height / 8, width / 8), the pyramid's luma, and the fine bands' energies (3, ...).
 */
EXPORT int mefuse_glimpse(int height, int width, const unsigned char *pixels, ptrdiff_t row_bytes,
                          int sample_bytes, const Rules *rules, float *colour, float *luma,
                          float *energies) {
    Arena arena = {.last = NULL};
    Frame frame = {.pixels = pixels, .row_bytes = row_bytes, .sample_bytes = sample_bytes};
    frame_open(&frame, &arena, height, width, rules->luma);
    float *sums = scratch_row(&arena, width), *energy = scratch_row(&arena, width);
    float *total[3];
    for (int c = 0; c < 3; c++)
        total[c] = scratch_row(&arena, width);
    int high = height / GRID, wide = width / GRID;
    size_t area = (size_t)high * (size_t)wide;
    for (int y = 0; y < high && !arena.failed; y++) {
        pull_luma(&frame, 0, GRID * (y + 1));
        pull_colour(&frame, GRID * (y + 1));
        const Plane *planes[3] = {&frame.red, &frame.luma[0], &frame.blue};
        for (int c = 0; c < 3; c++) {
            for (int x = 0; x < width; x++)
                total[c][x] = row_of(planes[c], GRID * y)[x];
            for (int k = 1; k < GRID; k++) {
                const float *row = row_of(planes[c], GRID * y + k);
                for (int x = 0; x < width; x++)
                    total[c][x] += row[x];
            }
        }
        for (int x = 0; x < wide; x++) {
            float mean[3];
            for (int c = 0; c < 3; c++) {
                mean[c] = 0;
                for (int k = 0; k < GRID; k++)
                    mean[c] += total[c][GRID * x + k];
                mean[c] *= 1.0f / (GRID * GRID);
            }
            float *at = colour + (size_t)y * (size_t)wide + x;
            at[0] = mean[0];
            at[area] = (mean[1] - rules->luma[0] * mean[0] - rules->luma[2] * mean[2])
                     / rules->luma[1];
            at[2 * area] = mean[2];
        }
        for (int level = 0; level < FINE; level++) {
            int factor = GRID >> (level + 1), across = width >> (level + 1);
            pull_squares(&frame, level, factor * (y + 1) + 1);
            memset(total[0], 0, sizeof(float) * (size_t)across);
            for (int k = 0; k < factor; k++) {
                energy_row(&frame.squares[level], factor * y + k, sums, energy);
                for (int x = 0; x < across; x++)
                    total[0][x] += energy[x];
            }
            float *at = energies + (size_t)level * area + (size_t)y * (size_t)wide;
            for (int x = 0; x < wide; x++) {
                float sum = 0;
                for (int k = 0; k < factor; k++)
                    sum += total[0][factor * x + k];
                at[x] = sum * (1.0f / (float)(factor * factor));
            }
        }
        pull_luma(&frame, FINE, y + 1);
        memcpy(luma + (size_t)y * (size_t)wide, row_of(&frame.luma[FINE], y),
               sizeof(float) * (size_t)wide);
    }
    arena_free(&arena);
    return arena.failed;
}
