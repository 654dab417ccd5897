/* Rows of planes in float32, 0..1, and what pyramids do with them: halve, enlarge, local energy.
 *
 * A plane keeps its last rows only, in a ring: what is made of a row is made while it is still in
 * the core's cache, however large the picture. Rows have a margin on both sides that repeats their
 * ends; rows beyond the first and last repeat these.
 */
#ifndef MEFUSE_PLANES_H
#define MEFUSE_PLANES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#define MARGIN 16 /* floats on either side of a row; one is read, the rest keeps rows aligned */
#define FINE 3    /* bands blended here; `grid.FINE` */
#define GRID 8    /* `grid.GRID` */

/* In front of each block of memory: the block before it. Keeps what follows as aligned as it was. */
typedef union Link {
    union Link *before;
    max_align_t aligned;
} Link;

/* Memory of one call, freed at once; there is no limit to the blocks. */
typedef struct {
    Link *last;
    int failed;
} Arena;

static void *arena_take(Arena *arena, size_t bytes) {
    Link *block = malloc(sizeof(Link) + bytes);
    if (block == NULL) {
        arena->failed = 1;
        return NULL;
    }
    block->before = arena->last;
    arena->last = block;
    return block + 1;
}

static void arena_free(Arena *arena) {
    while (arena->last != NULL) {
        Link *block = arena->last;
        arena->last = block->before;
        free(block);
    }
}

static inline int clamped(int at, int count) { return at < 0 ? 0 : at < count ? at : count - 1; }
static inline int least(int one, int other) { return one < other ? one : other; }
static inline float lower(float one, float other) { return one < other ? one : other; }
static inline float size_of(float x) { return x < 0.0f ? -x : x; }
static inline float higher(float one, float other) { return one > other ? one : other; }

typedef struct {
    float *first;
    ptrdiff_t stride;
    int width, height, rows; /* of the plane; rows that are kept */
} Plane;

/* Planes of frames and bands that lie in somebody's array, so many floats apart. */
typedef struct {
    const float *first;
    ptrdiff_t frame, band, row;
} Grid;

/* A plane that keeps at least `kept` rows. */
static Plane plane_of(Arena *arena, int height, int width, int kept) {
    int rows = least(kept, height);
    Plane plane = {NULL, width + 2 * MARGIN, width, height, rows};
    float *block = arena_take(arena, sizeof(float) * (size_t)rows * (size_t)plane.stride);
    plane.first = block == NULL ? NULL : block + MARGIN;
    return plane;
}

/* A row to compute in. */
static float *scratch_row(Arena *arena, int width) {
    float *block = arena_take(arena, sizeof(float) * (size_t)(width + 2 * MARGIN));
    return block == NULL ? NULL : block + MARGIN;
}

static inline float *row_of(const Plane *plane, int y) {
    return plane->first + (ptrdiff_t)(clamped(y, plane->height) % plane->rows) * plane->stride;
}

/* Repeats the ends of a row in its margin. */
static inline void close_row(float *row, int width) {
    row[-1] = row[0];
    row[width] = row[width - 1];
}

/* Natural logarithm of a positive number, within 2e-7 of its size or 2e-7. */
static inline float log_of(float x) {
    union { float value; uint32_t bits; } in = {x}, part;
    uint32_t shifted = in.bits - 0x3f3504f3u; /* so that the fraction lies around 1 */
    int32_t exponent = (int32_t)shifted >> 23;
    part.bits = in.bits - ((uint32_t)exponent << 23);
    float f = part.value - 1.0f, s = f / (2.0f + f), z = s * s;
    float series = 2.0f * s + s * z * (0.66666666f + z * (0.40000972f + z * 0.28508613f));
    return (float)exponent * 0.69314718f + series;
}

/* Exponential, within 2e-6 of its size; beyond -87..88 that of the end. */
static inline float exp_of(float x) {
    float t = higher(lower(x, 88.0f), -87.0f) * 1.44269504f;
    float whole = t + 12582912.0f; /* 1.5 x 2^23: adding it rounds to the nearest whole number */
    union { float value; uint32_t bits; } scale = {whole};
    float f = (t - (whole - 12582912.0f)) * 0.69314718f;
    scale.bits = (scale.bits + 127u) << 23;
    float series = 0.49999997f + f * (0.16666570f + f * (0.04166753f + f * 0.00836915f));
    return (1.0f + f + f * f * series) * scale.value;
}

/* The row at `y` of a plane twice as high: the nearer row counts 3/4. */
static inline void between_rows(const Plane *plane, int y, float *restrict out) {
    const float *near = row_of(plane, y / 2), *far = row_of(plane, y & 1 ? y / 2 + 1 : y / 2 - 1);
    for (int x = -1; x <= plane->width; x++)
        out[x] = 0.75f * near[x] + 0.25f * far[x];
}

/* Places 2x and 2x + 1 of a row twice as wide. */
#define LEFT_OF(row, x) (0.75f * (row)[x] + 0.25f * (row)[(x) - 1])
#define RIGHT_OF(row, x) (0.75f * (row)[x] + 0.25f * (row)[(x) + 1])

/* Row y of a plane half as large, taps 1 3 3 1 both ways. */
static inline void halve_row(const Plane *from, int y, float *restrict mixed, float *restrict out) {
    const float *a = row_of(from, 2 * y - 1), *b = row_of(from, 2 * y);
    const float *c = row_of(from, 2 * y + 1), *d = row_of(from, 2 * y + 2);
    for (int x = -1; x <= from->width; x++)
        mixed[x] = 0.125f * (a[x] + d[x]) + 0.375f * (b[x] + c[x]);
    int half = from->width / 2;
    for (int x = 0; x < half; x++)
        out[x] = 0.125f * (mixed[2 * x - 1] + mixed[2 * x + 2])
               + 0.375f * (mixed[2 * x] + mixed[2 * x + 1]);
    close_row(out, half);
}

/* Mean square over 2 x 2 of a band, which is `large` less `small` enlarged: row y of `small`. */
static inline void squares_row(const Plane *large, const Plane *small, int y,
                               float *restrict mixed, float *restrict out) {
    int half = small->width;
    for (int part = 0; part < 2; part++) {
        const float *row = row_of(large, 2 * y + part);
        between_rows(small, 2 * y + part, mixed);
        for (int x = 0; x < half; x++) {
            float left = row[2 * x] - LEFT_OF(mixed, x);
            float right = row[2 * x + 1] - RIGHT_OF(mixed, x);
            float sum = 0.25f * (left * left + right * right);
            out[x] = part ? out[x] + sum : sum;
        }
    }
    close_row(out, half);
}

/* Local energy: the mean of squares over 3 x 3. */
static inline void energy_row(const Plane *squares, int y, float *restrict sums,
                              float *restrict out) {
    const float *a = row_of(squares, y - 1), *b = row_of(squares, y), *c = row_of(squares, y + 1);
    for (int x = -1; x <= squares->width; x++)
        sums[x] = a[x] + b[x] + c[x];
    for (int x = 0; x < squares->width; x++)
        out[x] = (sums[x - 1] + sums[x] + sums[x + 1]) * (1.0f / 9.0f);
}

#endif
