/* What is compared of two exposures: local contrast, the levels that they share, and by how much one
 * contradicts the other. `views`, `response` and `ghost_search` in one pass each.
 */
#include "planes.h"

#define LEVELS 256

static inline int reflected(int at, int count) { /* the border pixel is not repeated */
    int period = 2 * (count - 1);
    if (period == 0)
        return 0;
    at = (at % period + period) % period;
    return at < count ? at : period - at;
}

/* Sums of codes and of their squares in columns of the window, a row further down. */
static void move_sums(const uint8_t *restrict in, const uint8_t *restrict out, int width,
                      int32_t *restrict sums, int32_t *restrict squares) {
    for (int x = 0; x < width; x++) {
        int32_t more = in[x], less = out[x];
        sums[x] += more - less;
        squares[x] += more * more - less * less;
    }
}

/* Sums of `window` columns around each, reflected at the ends; `wide` has window - 1 more. */
static void across_sums(const int32_t *restrict columns, int width, int window,
                        int32_t *restrict wide, int32_t *restrict sums) {
    int reach = window / 2;
    for (int k = 0; k < reach; k++) {
        wide[k] = columns[reflected(k - reach, width)];
        wide[reach + width + k] = columns[reflected(width + k, width)];
    }
    memcpy(wide + reach, columns, sizeof(int32_t) * (size_t)width);
    int32_t sum = 0;
    for (int k = 0; k < window - 1; k++)
        sum += wide[k];
    for (int x = 0; x < width; x++) {
        sum += wide[x + window - 1];
        sums[x] = sum;
        sum -= wide[x];
    }
}

static void contrast_row(const uint8_t *restrict codes, int width, float part,
                         const float *restrict rules, const int32_t *restrict sums,
                         const int32_t *restrict squares, uint8_t *restrict out) {
    const float floor = rules[0], gain = rules[1], flat = rules[2] + 0.5f;
    for (int x = 0; x < width; x++) {
        float mean = part * (float)sums[x];
        float spread = __builtin_sqrtf(higher(part * (float)squares[x] - mean * mean, 0.0f)) + floor;
        float detail = ((float)codes[x] - mean) / spread * gain + flat;
        out[x] = (uint8_t)(int32_t)higher(lower(detail, 255.0f), 0.0f);
    }
}

/* `views._local_contrast` of codes (height, width), rows one behind the other.
 *
 * `window` is odd, `rules` are the floor, the gain and the code of no contrast. Returns 0, or 1
 * where memory ran out.
 */
EXPORT int mefuse_contrast(const uint8_t *codes, int height, int width, int window,
                           const float *rules, uint8_t *out) {
    Arena arena = {.last = NULL};
    size_t row = sizeof(int32_t) * (size_t)(width + window);
    int32_t *columns = arena_take(&arena, row), *squared = arena_take(&arena, row);
    int32_t *wide = arena_take(&arena, row);
    int32_t *sums = arena_take(&arena, row), *squares = arena_take(&arena, row);
    uint8_t *none = arena_take(&arena, (size_t)width);
    if (!arena.failed) {
        memset(columns, 0, row);
        memset(squared, 0, row);
        memset(none, 0, (size_t)width);
        for (int y = -(window / 2); y < window / 2; y++)
            move_sums(codes + (ptrdiff_t)reflected(y, height) * width, none, width, columns,
                      squared);
    }
    for (int y = 0; y < height && !arena.failed; y++) {
        const uint8_t *left = codes + (ptrdiff_t)reflected(y - window / 2 - 1, height) * width;
        move_sums(codes + (ptrdiff_t)reflected(y + window / 2, height) * width,
                  y == 0 ? none : left, width, columns, squared);
        across_sums(columns, width, window, wide, sums);
        across_sums(squared, width, window, wide, squares);
        contrast_row(codes + (ptrdiff_t)y * width, width, 1.0f / (float)(window * window), rules,
                     sums, squares, out + (ptrdiff_t)y * width);
    }
    arena_free(&arena);
    return arena.failed;
}

/* Rows of RGB pixels, and room for the least and the greatest of a window around each sample. */
typedef struct {
    const uint8_t *pixels; /* (height, width, 3), rows one behind the other */
    int height, width, reach;
    uint8_t *low, *high;     /* of columns, with a margin of 3 reach */
    uint8_t *least, *most;   /* of the window */
} Range;

static Range range_of(Arena *arena, const uint8_t *pixels, int height, int width, int reach) {
    size_t samples = 3 * (size_t)width, margin = 3 * (size_t)reach;
    Range range = {pixels, height, width, reach, NULL, NULL, NULL, NULL};
    range.low = arena_take(arena, samples + 2 * margin);
    range.high = arena_take(arena, samples + 2 * margin);
    range.least = arena_take(arena, samples);
    range.most = arena_take(arena, samples);
    if (!arena->failed) {
        memset(range.low, 255, samples + 2 * margin);
        memset(range.high, 0, samples + 2 * margin);
    }
    return range;
}

static void widen(const uint8_t *restrict low, const uint8_t *restrict high, int count,
                  uint8_t *restrict least, uint8_t *restrict most) {
    for (int k = 0; k < count; k++) {
        least[k] = low[k] < least[k] ? low[k] : least[k];
        most[k] = high[k] > most[k] ? high[k] : most[k];
    }
}

/* The least and the greatest level within `reach` of each sample of row y; nothing lies beyond. */
static void range_row(const Range *range, int y) {
    int count = 3 * range->width, margin = 3 * range->reach;
    uint8_t *low = range->low + margin, *high = range->high + margin;
    int first = y < range->reach ? 0 : y - range->reach;
    int last = least(y + range->reach, range->height - 1);
    const uint8_t *row = range->pixels + (ptrdiff_t)first * count;
    memcpy(low, row, (size_t)count);
    memcpy(high, row, (size_t)count);
    for (int at = first + 1; at <= last; at++) {
        row = range->pixels + (ptrdiff_t)at * count;
        widen(row, row, count, low, high);
    }
    memcpy(range->least, low, (size_t)count);
    memcpy(range->most, high, (size_t)count);
    for (int shift = 3; shift <= margin; shift += 3) {
        widen(low - shift, high - shift, count, range->least, range->most);
        widen(low + shift, high + shift, count, range->least, range->most);
    }
}

/* Codes by which each sample leaves what the first allows. */
static void off_row(const Range *range, const uint8_t *restrict second,
                    const uint8_t *restrict low, const uint8_t *restrict high,
                    uint8_t *restrict floors, uint8_t *restrict ceilings, uint8_t *restrict off) {
    int width = range->width, count = 3 * width;
    const uint8_t *restrict least = range->least, *restrict most = range->most;
    for (int x = 0; x < width; x++)
        for (int c = 0; c < 3; c++) {
            floors[3 * x + c] = low[c * LEVELS + least[3 * x + c]];
            ceilings[3 * x + c] = high[c * LEVELS + most[3 * x + c]];
        }
    for (int k = 0; k < count; k++) {
        uint8_t above = second[k] > ceilings[k] ? (uint8_t)(second[k] - ceilings[k]) : 0;
        uint8_t below = floors[k] > second[k] ? (uint8_t)(floors[k] - second[k]) : 0;
        off[k] = above > below ? above : below;
    }
}

/* `ghost_search._excess` less its blur: (height, width) codes, times `scale`, of two frames
 * (height, width, 3). `low` and `high` are (3, 256). Returns 0, or 1 where memory ran out.
 */
EXPORT int mefuse_excess(const uint8_t *first, const uint8_t *second, int height, int width,
                         int reach, const uint8_t *low, const uint8_t *high, int scale,
                         uint8_t *out) {
    Arena arena = {.last = NULL};
    Range range = range_of(&arena, first, height, width, reach);
    size_t samples = 3 * (size_t)width;
    uint8_t *floors = arena_take(&arena, samples), *ceilings = arena_take(&arena, samples);
    uint8_t *off = arena_take(&arena, samples);
    for (int y = 0; y < height && !arena.failed; y++) {
        range_row(&range, y);
        off_row(&range, second + (ptrdiff_t)y * 3 * width, low, high, floors, ceilings, off);
        uint8_t *restrict strongest = out + (ptrdiff_t)y * width;
        for (int x = 0; x < width; x++) {
            uint8_t one = off[3 * x], other = off[3 * x + 1], third = off[3 * x + 2];
            int most = one > other ? one : other;
            most = (most > third ? most : third) * scale;
            strongest[x] = (uint8_t)(most > 255 ? 255 : most);
        }
    }
    arena_free(&arena);
    return arena.failed;
}

/* `response._comparagrams`: adds to `counts` (3, 256, 256) of two frames (height, width, 3).
 *
 * Every `step`th row and column counts where the first's range over 3 x 3 is below `flat`, and every
 * `textured`th anywhere. Returns 0, or 1 where memory ran out.
 */
EXPORT int mefuse_comparagrams(const uint8_t *first, const uint8_t *second, int height, int width,
                               int step, int textured, int flat, int32_t *counts) {
    Arena arena = {.last = NULL};
    Range range = range_of(&arena, first, height, width, 1);
    for (int y = 0; y < height && !arena.failed; y += step) {
        range_row(&range, y);
        const uint8_t *one = first + (ptrdiff_t)y * 3 * width;
        const uint8_t *other = second + (ptrdiff_t)y * 3 * width;
        int anywhere = y % textured == 0;
        for (int x = 0; x < width; x += step)
            for (int c = 0; c < 3; c++) {
                int k = 3 * x + c;
                if (range.most[k] - range.least[k] < flat || (anywhere && x % textured == 0))
                    counts[(c * LEVELS + one[k]) * LEVELS + other[k]]++;
            }
    }
    arena_free(&arena);
    return arena.failed;
}

/* Per channel the path that never falls along which `scores` (3, 256, 256) sum to most: `paths`
 * (3, 256), the first of equals.
 */
EXPORT int mefuse_ridges(const float *scores, int32_t *paths) {
    Arena arena = {.last = NULL};
    float *sums = arena_take(&arena, sizeof(float) * LEVELS * LEVELS);
    for (int c = 0; c < 3 && !arena.failed; c++) {
        const float *score = scores + c * LEVELS * LEVELS;
        memcpy(sums, score, sizeof(float) * LEVELS);
        for (int level = 1; level < LEVELS; level++) {
            const float *before = sums + (level - 1) * LEVELS;
            float best = before[0];
            for (int k = 0; k < LEVELS; k++) {
                best = higher(best, before[k]);
                sums[level * LEVELS + k] = best + score[level * LEVELS + k];
            }
        }
        for (int level = LEVELS - 1, top = LEVELS - 1; level >= 0; level--) {
            const float *here = sums + level * LEVELS;
            int at = 0;
            for (int k = 1; k <= top; k++)
                at = here[k] > here[at] ? k : at;
            paths[c * LEVELS + level] = top = at;
        }
    }
    arena_free(&arena);
    return arena.failed;
}
