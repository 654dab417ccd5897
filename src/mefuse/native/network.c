/* Blocks of IPL on rows of cells: `host.ipl` in two passes, while a row is in the core's cache.
 *
 * Features of a frame are (height, C, width) float32. `attend` asks the cache for each 2 x 2 cells;
 * `integrate` does the rest of a block: convolution and gate, the frames' meeting, DRTM. Letters: N
 * frames, C width of the network, K of a key, T slices in the cache, S side of a cube.
 */
#include "planes.h"

#define TILE 16 /* columns at once: two vectors of eight */

typedef float Vector __attribute__((vector_size(32), aligned(4)));

static inline int padded(int width) { return (width + TILE - 1) / TILE * TILE; }

/* OUTS rows of y = matrix x + start, TILE columns. */
#define MULTIPLY_TILE(OUTS)                                                                      \
    static inline void multiply_##OUTS(const float *restrict matrix, int ins,                    \
                                       const float *restrict x, const float *start,              \
                                       int step, int by_column, float *y) {                      \
        Vector sums[OUTS][2];                                                                    \
        for (int o = 0; o < OUTS; o++)                                                           \
            for (int v = 0; v < 2; v++)                                                          \
                sums[o][v] = by_column ? *(const Vector *)(start + o * step + 8 * v)             \
                                       : start[o] - (Vector){0};                                 \
        for (int i = 0; i < ins; i++) {                                                          \
            Vector left = *(const Vector *)(x + i * step);                                       \
            Vector right = *(const Vector *)(x + i * step + 8);                                  \
            for (int o = 0; o < OUTS; o++) {                                                     \
                float weight = matrix[o * ins + i];                                              \
                sums[o][0] += weight * left;                                                     \
                sums[o][1] += weight * right;                                                    \
            }                                                                                    \
        }                                                                                        \
        for (int o = 0; o < OUTS; o++)                                                           \
            for (int v = 0; v < 2; v++)                                                          \
                *(Vector *)(y + o * step + 8 * v) = sums[o][v];                                  \
    }
MULTIPLY_TILE(4)
MULTIPLY_TILE(1)

/* y (outs, step) = matrix (outs, ins) x (ins, step) + start, for `width` columns, padded.
 *
 * `start` has a number per row of y, or with `by_column` the shape of y.
 */
static void multiply(const float *matrix, int outs, int ins, const float *x, const float *start,
                     int by_column, int step, int width, float *y) {
    for (int column = 0; column < width; column += TILE) {
        int o = 0;
        for (; o + 4 <= outs; o += 4)
            multiply_4(matrix + o * ins, ins, x + column,
                       by_column ? start + o * step + column : start + o, step, by_column,
                       y + o * step + column);
        for (; o < outs; o++)
            multiply_1(matrix + o * ins, ins, x + column,
                       by_column ? start + o * step + column : start + o, step, by_column,
                       y + o * step + column);
    }
}

/* x Phi(x), in place; `curve` is CURVE, TURN and REST of `layers.gelu`. */
static void gelu(float *restrict x, int count, const float *curve) {
    const float bend = curve[0], turn = curve[1], rest = curve[2];
    for (int k = 0; k < count; k++) {
        float power = lower(x[k] * x[k] - turn, 0.0f);
        x[k] /= 1.0f + exp_of((power * power + rest) * x[k] * bend);
    }
}

/* What the cache tells every 2 x 2 cells of a frame.
 *
 * `query` (K, C) and `places` (h/2, K, w/2) make queries of the mean features, `keys` (T, K), scaled,
 * scores of them, `values` (C, T) the context (h/2, C, w/2).
 */
EXPORT int mefuse_attend(int height, int channels, int width, int keys, int tokens, const float *x,
                         const float *query, const float *places, const float *key,
                         const float *value, float *context) {
    Arena arena = {.last = NULL};
    int half = width / 2, step = padded(half);
    float *mean = arena_take(&arena, sizeof(float) * (size_t)(channels * step));
    float *queries = arena_take(&arena, sizeof(float) * (size_t)(keys * step));
    float *scores = arena_take(&arena, sizeof(float) * (size_t)(tokens * step));
    float *seen = arena_take(&arena, sizeof(float) * (size_t)(channels * step));
    float *most = arena_take(&arena, sizeof(float) * (size_t)step);
    float *sums = arena_take(&arena, sizeof(float) * (size_t)step);
    size_t most_rows = (size_t)(tokens + channels + keys); /* of any product */
    float *none = arena_take(&arena, sizeof(float) * most_rows);
    if (!arena.failed) {
        memset(none, 0, sizeof(float) * most_rows);
        memset(mean, 0, sizeof(float) * (size_t)(channels * step));
        memset(queries, 0, sizeof(float) * (size_t)(keys * step));
    }
    for (int y = 0; y < height / 2 && !arena.failed; y++) {
        const float *row = x + (ptrdiff_t)(2 * y) * channels * width;
        for (int c = 0; c < channels; c++) {
            const float *restrict a = row + c * width, *restrict b = a + channels * width;
            float *restrict out = mean + c * step;
            for (int k = 0; k < half; k++)
                out[k] = 0.25f * ((a[2 * k] + b[2 * k]) + (a[2 * k + 1] + b[2 * k + 1]));
        }
        multiply(query, keys, channels, mean, none, 0, step, half, queries);
        const float *place = places + (ptrdiff_t)y * keys * half;
        for (int c = 0; c < keys; c++)
            for (int k = 0; k < half; k++)
                queries[c * step + k] += place[c * half + k];
        multiply(key, tokens, keys, queries, none, 0, step, half, scores);
        memcpy(most, scores, sizeof(float) * (size_t)step);
        for (int t = 1; t < tokens; t++) {
            const float *restrict score = scores + t * step;
            for (int k = 0; k < step; k++)
                most[k] = higher(most[k], score[k]);
        }
        memset(sums, 0, sizeof(float) * (size_t)step);
        for (int t = 0; t < tokens; t++) {
            float *restrict score = scores + t * step;
            for (int k = 0; k < step; k++) {
                score[k] = exp_of(score[k] - most[k]);
                sums[k] += score[k];
            }
        }
        for (int k = 0; k < step; k++)
            sums[k] = 1.0f / sums[k];
        multiply(value, channels, tokens, scores, none, 0, step, half, seen);
        float *out = context + (ptrdiff_t)y * channels * half;
        for (int c = 0; c < channels; c++)
            for (int k = 0; k < half; k++)
                out[c * half + k] = seen[c * step + k] * sums[k];
    }
    arena_free(&arena);
    return arena.failed;
}

/* A block's trained arrays and what the cache holds for it; see `native.network`. */
typedef struct {
    int frames, height, channels, width, side;
    float *x;                            /* N, h, C, w: changed in place */
    const float *share;                  /* N, h, w */
    const float *context;                /* N, h/2, C, w/2 */
    const float *kernels, *kernel_bias;  /* C, 3, 3 and C */
    const float *mix;                    /* N, C, C */
    const float *own, *others, *meet_bias; /* 2C, C; 2C, C; 2C */
    const float *settle, *settle_bias;   /* C, 2C; C */
    const float *cubes;                  /* N, S, 2C, w: gates and shifts of the cubes' rows */
    const float *rows;                   /* h: where each row lies among the cubes' rows */
    const float *curve;                  /* of gelu */
} Block;

typedef struct {
    float *ring[3];              /* rows before the change: N, C, step with a margin */
    float *near, *now, *mean, *others, *both, *wide;
    int step;
} Room;

/* Copies row y of all frames into the ring, between zeros. */
static void load_row(const Block *block, Room *room, int y) {
    float *into = room->ring[(y + 3) % 3];
    int lines = block->frames * block->channels;
    if (y < 0 || y >= block->height) {
        memset(into - MARGIN, 0, sizeof(float) * ((size_t)(lines * room->step) + MARGIN));
        return;
    }
    for (int n = 0; n < block->frames; n++)
        for (int c = 0; c < block->channels; c++) {
            const float *from = block->x
                + (((ptrdiff_t)n * block->height + y) * block->channels + c) * block->width;
            memcpy(into + (n * block->channels + c) * room->step, from,
                   sizeof(float) * (size_t)block->width);
        }
}

/* Each channel's 3 x 3 convolution at row y of frame n, into `near`. */
static void convolve(const Block *block, Room *room, int n, int y) {
    for (int c = 0; c < block->channels; c++) {
        const float *kernel = block->kernels + 9 * c, bias = block->kernel_bias[c];
        ptrdiff_t at = (ptrdiff_t)(n * block->channels + c) * room->step;
        const float *restrict a = room->ring[(y + 2) % 3] + at;
        const float *restrict b = room->ring[y % 3] + at;
        const float *restrict d = room->ring[(y + 1) % 3] + at;
        float *restrict out = room->near + c * room->step;
        for (int k = 0; k < block->width; k++)
            out[k] = bias
                   + (kernel[0] * a[k - 1] + kernel[1] * a[k] + kernel[2] * a[k + 1])
                   + (kernel[3] * b[k - 1] + kernel[4] * b[k] + kernel[5] * b[k + 1])
                   + (kernel[6] * d[k - 1] + kernel[7] * d[k] + kernel[8] * d[k + 1]);
    }
}

/* The context of frame n at row y, enlarged by two both ways, added to `row`. */
static void add_context(const Block *block, Room *room, int n, int y, float *row) {
    int half = block->width / 2, high = block->height / 2;
    int near = y / 2, far = clamped(y & 1 ? near + 1 : near - 1, high);
    const float *context = block->context + (ptrdiff_t)n * high * block->channels * half;
    float *restrict mixed = room->wide;
    for (int c = 0; c < block->channels; c++) {
        const float *restrict a = context + ((ptrdiff_t)near * block->channels + c) * half;
        const float *restrict b = context + ((ptrdiff_t)far * block->channels + c) * half;
        for (int k = 0; k < half; k++)
            mixed[k] = 0.75f * a[k] + 0.25f * b[k];
        close_row(mixed, half);
        float *restrict out = row + c * room->step;
        for (int k = 0; k < half; k++) {
            out[2 * k] += LEFT_OF(mixed, k);
            out[2 * k + 1] += RIGHT_OF(mixed, k);
        }
    }
}

/* The frames' mean at row y, weighted by their shares. */
static void mean_row(const Block *block, Room *room, int y) {
    int lines = block->channels;
    for (int n = 0; n < block->frames; n++) {
        const float *restrict share = block->share + ((ptrdiff_t)n * block->height + y) * block->width;
        for (int c = 0; c < lines; c++) {
            const float *restrict row = room->now + (ptrdiff_t)(n * lines + c) * room->step;
            float *restrict mean = room->mean + c * room->step;
            for (int k = 0; k < block->width; k++)
                mean[k] = (n == 0 ? 0.0f : mean[k]) + row[k] * share[k];
        }
    }
}

/* DRTM of frame n at row y: gates and shifts of its cube, into x. */
static void roll_row(const Block *block, Room *room, int n, int y) {
    int above = (int)block->rows[y], below = least(above + 1, block->side - 1);
    float part = block->rows[y] - (float)above;
    ptrdiff_t line = (ptrdiff_t)block->width, row = 2 * block->channels * line;
    const float *cube = block->cubes + (ptrdiff_t)n * block->side * row;
    for (int c = 0; c < block->channels; c++) {
        const float *restrict gate_a = cube + above * row + c * line;
        const float *restrict gate_b = cube + below * row + c * line;
        const float *restrict shift_a = gate_a + block->channels * line;
        const float *restrict shift_b = gate_b + block->channels * line;
        const float *restrict from = room->now + (ptrdiff_t)(n * block->channels + c) * room->step;
        float *restrict out =
            block->x + (((ptrdiff_t)n * block->height + y) * block->channels + c) * line;
        for (int k = 0; k < block->width; k++) {
            float gate = (1.0f - part) * gate_a[k] + part * gate_b[k];
            float shift = (1.0f - part) * shift_a[k] + part * shift_b[k];
            out[k] = 2.0f * from[k] / (1.0f + exp_of(-gate)) + shift;
        }
    }
}

static void integrate_row(const Block *block, Room *room, int y) {
    int channels = block->channels, step = room->step, width = block->width;
    ptrdiff_t lines = (ptrdiff_t)channels * step;
    for (int n = 0; n < block->frames; n++) {
        float *now = room->now + n * lines;
        memcpy(now, room->ring[y % 3] + n * lines, sizeof(float) * (size_t)lines);
        convolve(block, room, n, y);
        gelu(room->near, (int)lines, block->curve);
        multiply(block->mix + (ptrdiff_t)n * channels * channels, channels, channels, room->near, now,
                 1, step, width, now);
        add_context(block, room, n, y, now);
    }
    mean_row(block, room, y);
    multiply(block->others, 2 * channels, channels, room->mean, block->meet_bias, 0, step, width,
             room->others);
    for (int n = 0; n < block->frames; n++) {
        float *now = room->now + n * lines;
        multiply(block->own, 2 * channels, channels, now, room->others, 1, step, width, room->both);
        gelu(room->both, 2 * (int)lines, block->curve);
        for (int c = 0; c < channels; c++)
            for (int k = 0; k < width; k++)
                now[c * step + k] += block->settle_bias[c];
        multiply(block->settle, channels, 2 * channels, room->both, now, 1, step, width, now);
        roll_row(block, room, n, y);
    }
}

/* All of a block but its attention, which is in `context`; changes `x`. */
EXPORT int mefuse_integrate(const Block *block) {
    Arena arena = {.last = NULL};
    Room room = {.step = padded(block->width + 1)}; /* one zero behind the row */
    size_t lines = (size_t)(block->channels * room.step), all = lines * (size_t)block->frames;
    for (int k = 0; k < 3; k++)
        room.ring[k] = scratch_row(&arena, (int)all);
    room.near = scratch_row(&arena, (int)lines);
    room.now = scratch_row(&arena, (int)all);
    room.mean = scratch_row(&arena, (int)lines);
    room.others = scratch_row(&arena, 2 * (int)lines);
    room.both = scratch_row(&arena, 2 * (int)lines);
    room.wide = scratch_row(&arena, room.step);
    if (!arena.failed) {
        memset(room.near, 0, sizeof(float) * lines);
        memset(room.mean, 0, sizeof(float) * lines);
        for (int y = -1; y < 2; y++) { /* zeros behind the rows, once */
            memset(room.ring[(y + 3) % 3] - MARGIN, 0, sizeof(float) * (all + MARGIN));
            load_row(block, &room, y);
        }
        for (int y = 0; y < block->height; y++) {
            if (y > 0)
                load_row(block, &room, y + 1);
            integrate_row(block, &room, y);
        }
    }
    arena_free(&arena);
    return arena.failed;
}

/* Features of a frame (ins, 2 height, 2 width) into its cells (height, outs, width).
 *
 * `matrix` is (outs, 4 ins): a cell's upper two values of each feature, then its lower two.
 */
EXPORT int mefuse_reduce(int ins, int outs, int height, int width, const float *features,
                         const float *matrix, const float *bias, const float *curve,
                         float *cells) {
    Arena arena = {.last = NULL};
    int step = padded(width);
    size_t all = (size_t)(4 * ins) * (size_t)step;
    float *seen = arena_take(&arena, sizeof(float) * all);
    float *made = arena_take(&arena, sizeof(float) * (size_t)outs * (size_t)step);
    if (!arena.failed)
        memset(seen, 0, sizeof(float) * all);
    for (int y = 0; y < height && !arena.failed; y++) {
        for (int line = 0; line < 2 * ins; line++) {
            const float *restrict from =
                features + (ptrdiff_t)(line / 2 * 2 * height + 2 * y + line % 2) * 2 * width;
            float *restrict left = seen + (ptrdiff_t)(2 * line) * step;
            float *restrict right = left + step;
            for (int k = 0; k < width; k++) {
                left[k] = from[2 * k];
                right[k] = from[2 * k + 1];
            }
        }
        multiply(matrix, outs, 4 * ins, seen, bias, 0, step, width, made);
        gelu(made, outs * step, curve);
        for (int c = 0; c < outs; c++)
            memcpy(cells + ((ptrdiff_t)y * outs + c) * width, made + c * step,
                   sizeof(float) * (size_t)width);
    }
    arena_free(&arena);
    return arena.failed;
}

/* The heads: from cells to maps; see `native.network`. */
typedef struct {
    int frames, height, channels, width, logits, bands;
    const float *x;     /* N, h, C, w */
    const float *share; /* N, h, w */
    const float *prior; /* N, 2h, 2w */
    const float *frame, *frame_bias;   /* 4 logits, C; 4 logits */
    const float *shared, *shared_bias; /* 4 bands, C; 4 bands */
    const float *limits, *scale;       /* logits; logits */
    const float *most;                 /* 1: of gains */
    float *log_weights;                /* N, logits, 2h, 2w */
    float *gains;                      /* bands, 2h, 2w */
} Heads;

/* Log weights of frame n at the cells of row y, from the head's numbers. */
static void put_log_weights(const Heads *heads, int n, int y, const float *made, int step) {
    ptrdiff_t across = 2 * heads->width, rows = 2 * heads->height;
    for (int line = 0; line < 2 * heads->logits; line++) {
        ptrdiff_t row = 2 * y + line % 2;
        float limit = heads->limits[line / 2], scale = heads->scale[line / 2];
        const float bend = 2.0f / limit;
        const float *restrict left = made + (ptrdiff_t)(2 * line) * step;
        const float *restrict right = left + step;
        const float *restrict prior = heads->prior + (n * rows + row) * across;
        float *restrict out = heads->log_weights
            + (((ptrdiff_t)n * heads->logits + line / 2) * rows + row) * across;
        for (int k = 0; k < heads->width; k++) {
            float one = limit - 2.0f * limit / (1.0f + exp_of(bend * left[k]));
            float other = limit - 2.0f * limit / (1.0f + exp_of(bend * right[k]));
            out[2 * k] = one + scale * prior[2 * k];
            out[2 * k + 1] = other + scale * prior[2 * k + 1];
        }
    }
}

/* Gains at the cells of row y. */
static void put_gains(const Heads *heads, int y, const float *made, int step) {
    const float most = heads->most[0];
    for (int line = 0; line < 2 * heads->bands; line++) {
        ptrdiff_t row = (ptrdiff_t)(line / 2) * 2 * heads->height + 2 * y + line % 2;
        const float *restrict left = made + (ptrdiff_t)(2 * line) * step;
        const float *restrict right = left + step;
        float *restrict out = heads->gains + row * 2 * heads->width;
        for (int k = 0; k < heads->width; k++) {
            out[2 * k] = most / (1.0f + exp_of(-left[k]));
            out[2 * k + 1] = most / (1.0f + exp_of(-right[k]));
        }
    }
}

/* What the network decides: fills `log_weights` and `gains`. */
EXPORT int mefuse_decide(const Heads *heads) {
    Arena arena = {.last = NULL};
    int step = padded(heads->width), channels = heads->channels;
    int outs = 4 * (heads->logits > heads->bands ? heads->logits : heads->bands);
    size_t lines = (size_t)channels * (size_t)step;
    float *now = arena_take(&arena, sizeof(float) * lines);
    float *mean = arena_take(&arena, sizeof(float) * lines);
    float *made = arena_take(&arena, sizeof(float) * (size_t)outs * (size_t)step);
    if (!arena.failed)
        memset(now, 0, sizeof(float) * lines);
    for (int y = 0; y < heads->height && !arena.failed; y++) {
        memset(mean, 0, sizeof(float) * lines);
        for (int n = 0; n < heads->frames; n++) {
            ptrdiff_t row = (ptrdiff_t)n * heads->height + y;
            const float *restrict share = heads->share + row * heads->width;
            for (int c = 0; c < channels; c++) {
                const float *restrict from = heads->x + (row * channels + c) * heads->width;
                float *restrict into = now + c * step, *restrict sum = mean + c * step;
                for (int k = 0; k < heads->width; k++) {
                    into[k] = from[k];
                    sum[k] += from[k] * share[k];
                }
            }
            multiply(heads->frame, 4 * heads->logits, channels, now, heads->frame_bias, 0, step,
                     heads->width, made);
            put_log_weights(heads, n, y, made, step);
        }
        multiply(heads->shared, 4 * heads->bands, channels, mean, heads->shared_bias, 0, step,
                 heads->width, made);
        put_gains(heads, y, made, step);
    }
    arena_free(&arena);
    return arena.failed;
}
