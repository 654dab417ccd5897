/* A frame taken apart row by row as it is asked for: colour, luma and its pyramid of fine bands. */
#ifndef MEFUSE_FRAMES_H
#define MEFUSE_FRAMES_H

#include "planes.h"

/* Rows that planes keep. Blending STEP rows at full size needs the luma of 40 more, because a row of
 * the third band spreads over 8; at half size it is half of that, and elsewhere a few. */
#define STEP 8
#define KEPT_LUMA 48
#define KEPT 16

typedef struct {
    const unsigned char *pixels; /* (height, width, 3) */
    ptrdiff_t row_bytes;
    int sample_bytes; /* 1 or 2 */
    float luma_of[3]; /* weights of R, G, B, for luma 0..1 */
    float unit;       /* 1 / white */
    Plane luma[FINE + 1], red, blue; /* full size and its halves; red and blue 0..1 */
    Plane squares[FINE];
    int luma_done[FINE + 1], squares_done[FINE], colour_done;
    float *mixed;
} Frame;

#define AT_ONCE 64 /* pixels that are taken apart together */

#define SPLIT(SAMPLE, NAME)                                                                      \
    static inline void NAME(const SAMPLE *restrict p, int count, SAMPLE *restrict red,           \
                            SAMPLE *restrict green, SAMPLE *restrict blue) {                     \
        for (int x = 0; x < count; x++) {                                                        \
            red[x] = p[3 * x];                                                                   \
            green[x] = p[3 * x + 1];                                                             \
            blue[x] = p[3 * x + 2];                                                              \
        }                                                                                        \
    }
SPLIT(uint16_t, split_of_16)
#if defined(__SSSE3__)
#include <tmmintrin.h>

/* What lies every third byte from `first` on in three vectors, by vector; others become zero. */
#define PICK(first, vector)                                                                      \
    _mm_setr_epi8(                                                                               \
        PLACE(first, vector, 0), PLACE(first, vector, 1), PLACE(first, vector, 2),               \
        PLACE(first, vector, 3), PLACE(first, vector, 4), PLACE(first, vector, 5),               \
        PLACE(first, vector, 6), PLACE(first, vector, 7), PLACE(first, vector, 8),               \
        PLACE(first, vector, 9), PLACE(first, vector, 10), PLACE(first, vector, 11),             \
        PLACE(first, vector, 12), PLACE(first, vector, 13), PLACE(first, vector, 14),            \
        PLACE(first, vector, 15))
#define PLACE(first, vector, k)                                                                  \
    ((first) + 3 * (k) >= 16 * (vector) && (first) + 3 * (k) < 16 * (vector) + 16                \
         ? (first) + 3 * (k) - 16 * (vector) : -1)

static inline __m128i picked(__m128i a, __m128i b, __m128i c, const __m128i at[3]) {
    __m128i both = _mm_or_si128(_mm_shuffle_epi8(a, at[0]), _mm_shuffle_epi8(b, at[1]));
    return _mm_or_si128(both, _mm_shuffle_epi8(c, at[2]));
}

/* Sixteen pixels at once: compilers make a quarter of the speed of it. */
static inline void split_of_8(const uint8_t *restrict p, int count, uint8_t *restrict red,
                              uint8_t *restrict green, uint8_t *restrict blue) {
    const __m128i reds[3] = {PICK(0, 0), PICK(0, 1), PICK(0, 2)};
    const __m128i greens[3] = {PICK(1, 0), PICK(1, 1), PICK(1, 2)};
    const __m128i blues[3] = {PICK(2, 0), PICK(2, 1), PICK(2, 2)};
    int x = 0;
    for (; x + 16 <= count; x += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(p + 3 * x));
        __m128i b = _mm_loadu_si128((const __m128i *)(p + 3 * x + 16));
        __m128i c = _mm_loadu_si128((const __m128i *)(p + 3 * x + 32));
        _mm_storeu_si128((__m128i *)(red + x), picked(a, b, c, reds));
        _mm_storeu_si128((__m128i *)(green + x), picked(a, b, c, greens));
        _mm_storeu_si128((__m128i *)(blue + x), picked(a, b, c, blues));
    }
    for (; x < count; x++) {
        red[x] = p[3 * x];
        green[x] = p[3 * x + 1];
        blue[x] = p[3 * x + 2];
    }
}
#else
SPLIT(uint8_t, split_of_8)
#endif

#define TAKE_ROWS(SAMPLE, SPLIT_OF, LUMA, COLOUR)                                                \
    static void LUMA(const Frame *frame, int y, float *restrict luma) {                          \
        const SAMPLE *restrict p = (const SAMPLE *)(frame->pixels + y * frame->row_bytes);       \
        const float red = frame->luma_of[0], green = frame->luma_of[1];                          \
        const float blue = frame->luma_of[2];                                                    \
        const int width = frame->red.width;                                                      \
        SAMPLE reds[AT_ONCE], greens[AT_ONCE], blues[AT_ONCE];                                   \
        for (int left = 0; left < width; left += AT_ONCE) {                                      \
            int count = least(AT_ONCE, width - left);                                            \
            SPLIT_OF(p + 3 * left, count, reds, greens, blues);                                  \
            for (int x = 0; x < count; x++)                                                      \
                luma[left + x] = red * (float)reds[x] + green * (float)greens[x]                 \
                               + blue * (float)blues[x];                                         \
        }                                                                                        \
    }                                                                                            \
    static void COLOUR(const Frame *frame, int y, float *restrict red, float *restrict blue) {   \
        const SAMPLE *restrict p = (const SAMPLE *)(frame->pixels + y * frame->row_bytes);       \
        const float unit = frame->unit;                                                          \
        const int width = frame->red.width;                                                      \
        SAMPLE reds[AT_ONCE], greens[AT_ONCE], blues[AT_ONCE];                                   \
        for (int left = 0; left < width; left += AT_ONCE) {                                      \
            int count = least(AT_ONCE, width - left);                                            \
            SPLIT_OF(p + 3 * left, count, reds, greens, blues);                                  \
            for (int x = 0; x < count; x++) {                                                    \
                red[left + x] = unit * (float)reds[x];                                           \
                blue[left + x] = unit * (float)blues[x];                                         \
            }                                                                                    \
        }                                                                                        \
    }
TAKE_ROWS(uint8_t, split_of_8, luma_row_of_8, colour_row_of_8)
TAKE_ROWS(uint16_t, split_of_16, luma_row_of_16, colour_row_of_16)

static void frame_open(Frame *frame, Arena *arena, int height, int width, const float luma[3]) {
    float unit = frame->sample_bytes == 1 ? 1.0f / 255.0f : 1.0f / 65535.0f;
    for (int c = 0; c < 3; c++)
        frame->luma_of[c] = luma[c] * unit;
    frame->unit = unit;
    frame->red = plane_of(arena, height, width, KEPT);
    frame->blue = plane_of(arena, height, width, KEPT);
    frame->colour_done = 0;
    for (int level = 0; level <= FINE; level++) {
        int kept = level == 0 ? KEPT_LUMA : KEPT_LUMA / 2;
        frame->luma[level] = plane_of(arena, height >> level, width >> level, kept);
        frame->luma_done[level] = 0;
    }
    for (int level = 0; level < FINE; level++) {
        frame->squares[level] = plane_of(arena, height >> (level + 1), width >> (level + 1), KEPT);
        frame->squares_done[level] = 0;
    }
    frame->mixed = scratch_row(arena, width);
}

/* Luma at 1 / 2^level, all rows before `stop`. */
static void pull_luma(Frame *frame, int level, int stop) {
    Plane *plane = &frame->luma[level];
    stop = least(stop, plane->height);
    if (frame->luma_done[level] >= stop)
        return;
    if (level > 0)
        pull_luma(frame, level - 1, 2 * stop + 1);
    for (int y = frame->luma_done[level]; y < stop; y++) {
        float *row = row_of(plane, y);
        if (level > 0) {
            halve_row(&frame->luma[level - 1], y, frame->mixed, row);
            continue;
        }
        (frame->sample_bytes == 1 ? luma_row_of_8 : luma_row_of_16)(frame, y, row);
        close_row(row, plane->width);
    }
    frame->luma_done[level] = stop;
}

/* Red and blue, all rows before `stop`. */
static void pull_colour(Frame *frame, int stop) {
    stop = least(stop, frame->red.height);
    for (int y = frame->colour_done; y < stop; y++)
        (frame->sample_bytes == 1 ? colour_row_of_8 : colour_row_of_16)(
            frame, y, row_of(&frame->red, y), row_of(&frame->blue, y));
    frame->colour_done = stop > frame->colour_done ? stop : frame->colour_done;
}

/* Squares of a band, all rows before `stop`. */
static void pull_squares(Frame *frame, int level, int stop) {
    Plane *plane = &frame->squares[level];
    stop = least(stop, plane->height);
    if (frame->squares_done[level] >= stop)
        return;
    pull_luma(frame, level + 1, stop + 1);
    for (int y = frame->squares_done[level]; y < stop; y++)
        squares_row(&frame->luma[level], &frame->luma[level + 1], y, frame->mixed,
                    row_of(plane, y));
    frame->squares_done[level] = stop;
}

#endif
