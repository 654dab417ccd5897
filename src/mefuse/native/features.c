/* What the network sees of frames on the grid of 8 px: `features.describe`, row by row. */
#include "planes.h"

#define BANDS 6 /* `grid.BANDS` */
#define OWN 8   /* features that a frame has without the others */
#define FEATURES (OWN + 2 * BANDS + BANDS - FINE)

/* The constants of `grid.py` and `gamut.py`, in the order of `native.features.RULES`. */
typedef struct {
    float luma[3];
    float energy_floor, clipped_above, clipped_below, clipped_slope;
    float exposed_variance, exposed_floor, luma_floor, saturation_floor, agreement_limit;
} Rules;

/* A coarser band's energies: each frame's, and those of the sum of all frames. */
typedef struct {
    Grid own, together;
    int height, width;
} Coarse;

typedef struct {
    int count, height, width;
    Rules rules;
    Grid colour, luma, fine; /* of frames: R, G, B; one; energies of the fine bands */
    const Coarse *coarse;    /* of bands FINE to BANDS */
    float *features, *prior; /* (count, FEATURES, height, width) and (count, height, width) */
    float *energies, *mixed, *sums, *in_phase, *together; /* a row each */
} Description;

static inline const float *row_in(const Grid *grid, int n, int band, int y) {
    return grid->first + n * grid->frame + band * grid->band + y * grid->row;
}

static inline float *feature_row(const Description *told, int n, int feature, int y) {
    ptrdiff_t plane = (ptrdiff_t)n * FEATURES + feature;
    return told->features + (plane * told->height + y) * told->width;
}

/* Row y of a plane `factor` times as large: bilinear on areas. */
static void enlarged_row(const float *first, ptrdiff_t stride, int height, int width, int y,
                         int factor, float *restrict mixed, float *restrict out) {
    float place = ((float)y + 0.5f) / (float)factor - 0.5f;
    int above = place < 0 ? -1 : (int)place;
    float below = place - (float)above;
    const float *a = first + clamped(above, height) * stride;
    const float *b = first + clamped(above + 1, height) * stride;
    for (int x = 0; x < width; x++)
        mixed[x] = (1.0f - below) * a[x] + below * b[x];
    close_row(mixed, width);
    for (int phase = 0; phase < factor; phase++) {
        float at = ((float)phase + 0.5f) / (float)factor - 0.5f;
        const float *near = at < 0 ? mixed - 1 : mixed;
        float right = at < 0 ? at + 1.0f : at;
        for (int x = 0; x < width; x++)
            out[factor * x + phase] = (1.0f - right) * near[x] + right * near[x + 1];
    }
}

/* What frame n shows by itself at row y. */
static void describe_own(const Description *told, int n, int y) {
    const Rules rules = told->rules;
    const float by_variance = -0.5f / rules.exposed_variance;
    const float *restrict reds = row_in(&told->colour, n, 0, y);
    const float *restrict greens = row_in(&told->colour, n, 1, y);
    const float *restrict blues = row_in(&told->colour, n, 2, y);
    const float *restrict lumas = row_in(&told->luma, n, 0, y);
    const float *restrict first = row_in(&told->fine, n, 0, y);
    const float *restrict second = row_in(&told->fine, n, 1, y);
    const float *restrict third = row_in(&told->fine, n, 2, y);
    float *restrict out[OWN];
    for (int f = 0; f < OWN; f++)
        out[f] = feature_row(told, n, f, y);
    float *restrict prior = told->prior + ((ptrdiff_t)n * told->height + y) * told->width;
    for (int x = 0; x < told->width; x++) {
        float red = reds[x], green = greens[x], blue = blues[x];
        float gray = rules.luma[0] * red + rules.luma[1] * green + rules.luma[2] * blue;
        float by_red = red - 0.5f, by_green = green - 0.5f, by_blue = blue - 0.5f;
        float exposed = (by_red * by_red + by_green * by_green + by_blue * by_blue) * by_variance;
        float mean = (red + green + blue) * (1.0f / 3.0f);
        float off_red = red - mean, off_green = green - mean, off_blue = blue - mean;
        float variance = off_red * off_red + off_green * off_green + off_blue * off_blue;
        float saturation = __builtin_sqrtf(variance * (1.0f / 3.0f));
        float most = higher(higher(red, green), blue), least = lower(lower(red, green), blue);
        float above = (most - rules.clipped_above) * rules.clipped_slope;
        float below = (rules.clipped_below - least) * rules.clipped_slope;
        float contrast = log_of(first[x] + second[x] + third[x] + rules.energy_floor);
        out[0][x] = 2.0f * lumas[x] - 1.0f;
        out[1][x] = 0.5f * log_of(higher(lumas[x], 0.0f) + rules.luma_floor) + 1.0f;
        out[2][x] = (blue - gray) * (4.0f / 1.772f);
        out[3][x] = (red - gray) * (4.0f / 1.402f);
        out[4][x] = 4.0f * saturation;
        out[5][x] = 0.25f * exposed + 1.0f;
        out[6][x] = higher(lower(above, 1.0f), 0.0f);
        out[7][x] = higher(lower(below, 1.0f), 0.0f);
        prior[x] = higher(exposed, rules.exposed_floor)
                 + log_of(saturation + rules.saturation_floor) + 0.5f * contrast;
    }
}

/* A frame's energies of a band at row y. */
static const float *energies_of(const Description *told, int band, int n, int y) {
    if (band < FINE)
        return row_in(&told->fine, n, band, y);
    const Coarse *coarse = &told->coarse[band - FINE];
    enlarged_row(row_in(&coarse->own, n, 0, 0), coarse->own.row, coarse->height, coarse->width, y,
                 2 << (band - FINE), told->mixed, told->energies);
    return told->energies;
}

/* A band's energies at row y, each frame's share of them, and how far frames agree in coarse ones. */
static void compare(const Description *told, int band, int y) {
    const float floor = told->rules.energy_floor, limit = told->rules.agreement_limit;
    float *restrict sums = told->sums, *restrict in_phase = told->in_phase;
    for (int n = 0; n < told->count; n++) {
        const float *restrict energy = energies_of(told, band, n, y);
        float *restrict logs = feature_row(told, n, OWN + band, y);
        for (int x = 0; x < told->width; x++) {
            float here = energy[x] + floor;
            sums[x] = (n == 0 ? 0.0f : sums[x]) + here;
            logs[x] = log_of(here);
        }
        if (band >= FINE)
            for (int x = 0; x < told->width; x++)
                in_phase[x] = (n == 0 ? 0.0f : in_phase[x]) + __builtin_sqrtf(energy[x] + floor);
    }
    for (int x = 0; x < told->width; x++)
        sums[x] = log_of(sums[x]);
    for (int n = 0; n < told->count; n++) {
        float *restrict logs = feature_row(told, n, OWN + band, y);
        float *restrict share = feature_row(told, n, OWN + BANDS + band, y);
        for (int x = 0; x < told->width; x++) {
            share[x] = (logs[x] - sums[x]) * (1.0f / 3.0f) + 0.5f;
            logs[x] = 0.25f * logs[x] + 2.0f;
        }
    }
    if (band < FINE)
        return;
    const Coarse *coarse = &told->coarse[band - FINE];
    enlarged_row(coarse->together.first, coarse->together.row, coarse->height, coarse->width, y,
                 2 << (band - FINE), told->mixed, told->together);
    for (int n = 0; n < told->count; n++) {
        float *restrict agreement = feature_row(told, n, OWN + 2 * BANDS + band - FINE, y);
        for (int x = 0; x < told->width; x++) {
            float shown = (told->together[x] + floor) / (in_phase[x] * in_phase[x]);
            agreement[x] = 2.0f * higher(lower(shown, limit), 0.0f) - 1.0f;
        }
    }
}

/* Describes `count` frames on a grid of (height, width): `features` (count, FEATURES, height,
 * width) and `prior` (count, height, width).
 *
 * `coarse` has BANDS - FINE energies, each half as large as the one before, the first as the grid.
 * Returns 0, or 1 where memory ran out.
 */
EXPORT int mefuse_describe(int count, int height, int width, const Grid *colour, const Grid *luma,
                           const Grid *fine, const Coarse *coarse, const Rules *rules,
                           float *features, float *prior) {
    Arena arena = {.last = NULL};
    Description told = {.count = count, .height = height, .width = width, .rules = *rules,
                        .colour = *colour, .luma = *luma, .fine = *fine, .coarse = coarse,
                        .features = features, .prior = prior};
    int widest = width;
    for (int k = 0; k < BANDS - FINE; k++)
        widest = widest > coarse[k].width * (2 << k) ? widest : coarse[k].width * (2 << k);
    float **rows[] = {&told.mixed, &told.sums, &told.in_phase, &told.together, &told.energies};
    for (int k = 0; k < 5; k++)
        *rows[k] = scratch_row(&arena, widest);
    for (int y = 0; y < height && !arena.failed; y++) {
        for (int n = 0; n < count; n++)
            describe_own(&told, n, y);
        for (int band = 0; band < BANDS; band++)
            compare(&told, band, y);
    }
    arena_free(&arena);
    return arena.failed;
}
