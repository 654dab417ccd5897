/* A region of a frame as the reference sees it: `warp.warp_region` for three channels.
 *
 * Along a row neighbouring pixels come from neighbouring pixels: in runs where the whole-pixel shift
 * stays the same, what is read lies side by side, and only the fractions change. Runs are long where
 * a transform is near a shift, as of hand-held frames; where they are short it is slower, not wrong.
 */
#include "planes.h"

#define SUBPIXELS 32 /* as cv2.remap places pixels */
#define FAR 1073741824.0 /* beyond it places do not fit 32 bits; no frame reaches so far */
#define RUN 192      /* pixels of a run at most: its floats stay in the first cache */

typedef struct {
    const unsigned char *pixels;
    ptrdiff_t row_bytes;
    int height, width;
} Source;

/* Where a row's pixels come from: whole pixels, and fractions repeated for the three channels. */
typedef struct {
    int32_t *x, *y;
    float *across, *down;
} Places;

static void find_places(const double *restrict m, int left, int y, int width, int32_t *restrict px,
                        int32_t *restrict py) {
    const double x_of_y = m[1] * y + m[2], y_of_y = m[4] * y + m[5], z_of_y = m[7] * y + 1.0;
    for (int x = 0; x < width; x++) {
        double at = left + x, scale = SUBPIXELS / (m[6] * at + z_of_y);
        double across = (m[0] * at + x_of_y) * scale, down = (m[3] * at + y_of_y) * scale;
        px[x] = (int32_t)__builtin_rint(across < -FAR ? -FAR : across > FAR ? FAR : across);
        py[x] = (int32_t)__builtin_rint(down < -FAR ? -FAR : down > FAR ? FAR : down);
    }
}

/* Fractions of a place, three times each. */
static void split_places(int width, int32_t *restrict place, float *restrict fraction) {
    for (int x = 0; x < width; x++) {
        float part = (float)(place[x] & (SUBPIXELS - 1)) * (1.0f / SUBPIXELS);
        fraction[3 * x] = part;
        fraction[3 * x + 1] = part;
        fraction[3 * x + 2] = part;
    }
    for (int x = 0; x < width; x++)
        place[x] >>= 5;
}

/* Keys' cubic with a = -3/4, as OpenCV has it: the shares of four neighbours. */
#define CUBIC(f, s)                                                                              \
    float s##0 = -0.75f * (f) * (1.0f - (f)) * (1.0f - (f));                                     \
    float s##1 = (1.25f * (f) - 2.25f) * (f) * (f) + 1.0f;                                       \
    float s##3 = -0.75f * (f) * (f) * (1.0f - (f));                                              \
    float s##2 = 1.0f - s##0 - s##1 - s##3;

#define WARPS(SAMPLE, RUN_OF, PIXEL_OF)                                                          \
    /* `count` samples of a run, read from four rows of which sample 0 is the left neighbour. */ \
    static void RUN_OF(int count, const SAMPLE *const rows[4], const float *restrict across,     \
                       const float *restrict down, SAMPLE *restrict out) {                       \
        const float full = (float)(SAMPLE)-1;                                                    \
        float a[3 * RUN + 9], b[3 * RUN + 9], c[3 * RUN + 9], d[3 * RUN + 9], sums[3 * RUN];     \
        float *const wide[4] = {a, b, c, d};                                                     \
        for (int j = 0; j < 4; j++)                                                              \
            for (int k = 0; k < count + 9; k++)                                                  \
                wide[j][k] = (float)rows[j][k];                                                  \
        for (int k = 0; k < count; k++) {                                                        \
            CUBIC(across[k], u)                                                                  \
            CUBIC(down[k], v)                                                                    \
            sums[k] = v0 * (u0 * a[k] + u1 * a[k + 3] + u2 * a[k + 6] + u3 * a[k + 9])           \
                    + v1 * (u0 * b[k] + u1 * b[k + 3] + u2 * b[k + 6] + u3 * b[k + 9])           \
                    + v2 * (u0 * c[k] + u1 * c[k + 3] + u2 * c[k + 6] + u3 * c[k + 9])           \
                    + v3 * (u0 * d[k] + u1 * d[k + 3] + u2 * d[k + 6] + u3 * d[k + 9]);          \
        }                                                                                        \
        for (int k = 0; k < count; k++)                                                          \
            out[k] = (SAMPLE)(int32_t)higher(lower(sums[k] + 0.5f, full), 0.0f);                 \
    }                                                                                            \
    /* One pixel whose neighbours may lie outside: the frame's border is repeated. */            \
    static void PIXEL_OF(const Source *source, int x, int y, float across, float down,           \
                         SAMPLE *restrict out) {                                                 \
        SAMPLE near[4][12];                                                                      \
        for (int j = 0; j < 4; j++) {                                                            \
            const SAMPLE *row = (const SAMPLE *)(source->pixels                                  \
                + clamped(y - 1 + j, source->height) * source->row_bytes);                       \
            for (int i = 0; i < 4; i++)                                                          \
                memcpy(&near[j][3 * i], row + 3 * clamped(x - 1 + i, source->width),             \
                       3 * sizeof(SAMPLE));                                                      \
        }                                                                                        \
        float x3[3] = {across, across, across}, y3[3] = {down, down, down};                      \
        const SAMPLE *const rows[4] = {near[0], near[1], near[2], near[3]};                      \
        RUN_OF(3, rows, x3, y3, out);                                                            \
    }
WARPS(uint8_t, run_of_8, pixel_of_8)
WARPS(uint16_t, run_of_16, pixel_of_16)

/* Whether `count` pixels from `x` on are shifted alike. */
static int is_run(const Places *places, int x, int count) {
    const int32_t *restrict across = places->x + x, *restrict down = places->y + x;
    int32_t differ = 0;
    for (int k = 0; k < count; k++)
        differ |= (across[k] - k - across[0]) | (down[k] - down[0]);
    return differ == 0;
}

/* Where a run that starts at `x` ends. */
static int run_end(const Places *places, int x, int width) {
    int count = least(RUN, width - x);
    while (count > 1 && !is_run(places, x, count))
        count /= 2;
    return x + count;
}

static void warp_row(const Source *source, const Places *places, int width, int sample_bytes,
                     unsigned char *out) {
    for (int x = 0, stop; x < width; x = stop) {
        stop = run_end(places, x, width);
        int from = places->x[x] - 1, row = places->y[x] - 1;
        int whole = row >= 0 && row + 4 <= source->height && from >= 0
                 && from + 3 + stop - x <= source->width;
        if (whole) {
            const unsigned char *first =
                source->pixels + row * source->row_bytes + 3 * from * sample_bytes;
            const float *across = places->across + 3 * x, *down = places->down + 3 * x;
            const uint8_t *of_8[4];
            const uint16_t *of_16[4];
            for (int j = 0; j < 4; j++) {
                of_8[j] = first + j * source->row_bytes;
                of_16[j] = (const uint16_t *)of_8[j];
            }
            if (sample_bytes == 1)
                run_of_8(3 * (stop - x), of_8, across, down, out + 3 * x);
            else
                run_of_16(3 * (stop - x), of_16, across, down, (uint16_t *)out + 3 * x);
            continue;
        }
        for (int at = x; at < stop; at++) {
            float across = places->across[3 * at], down = places->down[3 * at];
            if (sample_bytes == 1)
                pixel_of_8(source, places->x[at], places->y[at], across, down, out + 3 * at);
            else
                pixel_of_16(source, places->x[at], places->y[at], across, down,
                            (uint16_t *)out + 3 * at);
        }
    }
}

/* Fills `out` (height, width, 3) from a part of a frame that holds all that is read, or ends where
 * the frame does.
 *
 * `matrix` takes (x, y, 1) of the reference to the part's pixel, its last number is 1; `top` and
 * `left` are where `out` lies in the reference; `offset_x` and `offset_y` where the part lies in the
 * frame. Returns 0, or 1 where memory ran out.
 */
EXPORT int mefuse_warp(const unsigned char *pixels, ptrdiff_t row_bytes, int part_height,
                       int part_width, int offset_x, int offset_y, int sample_bytes,
                       const double *matrix, int top, int left, int height, int width,
                       unsigned char *out, ptrdiff_t out_bytes) {
    Arena arena = {.last = NULL};
    Source source = {pixels, row_bytes, part_height, part_width};
    Places places;
    places.x = arena_take(&arena, sizeof(int32_t) * (size_t)width);
    places.y = arena_take(&arena, sizeof(int32_t) * (size_t)width);
    places.across = arena_take(&arena, 3 * sizeof(float) * (size_t)width);
    places.down = arena_take(&arena, 3 * sizeof(float) * (size_t)width);
    for (int y = 0; y < height && !arena.failed; y++) {
        find_places(matrix, left, top + y, width, places.x, places.y);
        split_places(width, places.x, places.across);
        split_places(width, places.y, places.down);
        for (int x = 0; x < width; x++) {
            places.x[x] -= offset_x;
            places.y[x] -= offset_y;
        }
        warp_row(&source, &places, width, sample_bytes, out + y * out_bytes);
    }
    arena_free(&arena);
    return arena.failed;
}
