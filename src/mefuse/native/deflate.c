/* Rows of a picture as deflate: each less the row above, runs of one byte as matches, the rest as
 * Huffman codes of their own for every block. Photographs repeat little else.
 *
 * A part of a picture ends on a whole byte, so parts that were made side by side are one stream.
 *
 * Source: RFC 1951; PNG (3rd edition), section 9.2.
 */
#include "planes.h"

#define BLOCK_BYTES 98304 /* with what is made of them they stay in the core's second cache */
#define SYMBOLS 286
#define END 256
#define LONGEST_CODE 12 /* four literals and what is left of a byte go into 64 bits */
#define LONGEST_RUN 258
#define SHORTEST_RUN 3
#define STEP 4          /* of the search for runs: finds all of seven and more */
#define UP 2            /* the filter: less the byte above */
#define MODULUS 65521   /* of Adler-32 */
#define COLUMNS 32
#define SUMMED 256      /* bytes of a column whose sum fits in 16 bits */

typedef struct {
    const unsigned char *pixels;
    ptrdiff_t row_bytes;
    int width_bytes, sample_bytes;
} Picture;

typedef struct {
    int32_t start, count;
} Run;

typedef struct {
    unsigned char *next;
    uint64_t bits;
    int have;
} Writer;

/* A symbol's code with its length in the lowest five bits. */
typedef struct {
    uint32_t literal[SYMBOLS];
    uint32_t run[LONGEST_RUN + 1]; /* with its extra bits and its distance */
} Codes;

static inline void put(Writer *writer, uint32_t code) {
    writer->bits |= (uint64_t)(code >> 5) << writer->have;
    writer->have += (int)(code & 31);
}

static inline uint32_t code_of(uint32_t value, int length) { return value << 5 | (uint32_t)length; }

/* Whole bytes out; what was put since must have been less than 57 bits. */
static inline void flush(Writer *writer) {
    for (int k = 0; k < 8; k++)
        writer->next[k] = (unsigned char)(writer->bits >> 8 * k);
    writer->next += writer->have >> 3;
    writer->bits >>= writer->have & 56;
    writer->have &= 7;
}

/* Row y behind its filter's number: each byte less the one above, the higher byte first. */
static void filter_row(const Picture *picture, int y, unsigned char *restrict out) {
    const unsigned char *row = picture->pixels + y * picture->row_bytes;
    const unsigned char *above = row - picture->row_bytes;
    int width = picture->width_bytes;
    *out++ = UP;
    if (picture->sample_bytes == 1) {
        if (y == 0)
            memcpy(out, row, (size_t)width);
        else
            for (int k = 0; k < width; k++)
                out[k] = (unsigned char)(row[k] - above[k]);
        return;
    }
    const uint16_t *wide = (const uint16_t *)row, *wide_above = (const uint16_t *)above;
    for (int k = 0; k < width / 2; k++) {
        unsigned higher_above = y == 0 ? 0u : wide_above[k] >> 8;
        unsigned lower_above = y == 0 ? 0u : wide_above[k];
        out[2 * k] = (unsigned char)((wide[k] >> 8) - higher_above);
        out[2 * k + 1] = (unsigned char)(wide[k] - lower_above);
    }
}

/* Adler-32 continued over `count` bytes: sums by column, and sums of these as they grow. */
static uint32_t summed(uint32_t adler, const unsigned char *restrict bytes, int count) {
    uint32_t low = adler & 0xffff, high = adler >> 16;
    for (int at = 0; at < count;) {
        int lines = least(SUMMED, (count - at) / COLUMNS), done = lines * COLUMNS;
        uint16_t sums[COLUMNS] = {0};
        uint32_t grown[COLUMNS] = {0};
        for (int j = 0; j < lines; j++)
            for (int k = 0; k < COLUMNS; k++) {
                sums[k] = (uint16_t)(sums[k] + bytes[at + COLUMNS * j + k]);
                grown[k] += sums[k];
            }
        uint64_t weighted = (uint64_t)low * (uint32_t)done;
        for (uint32_t k = 0; k < COLUMNS; k++) {
            low += sums[k];
            weighted += (uint64_t)COLUMNS * grown[k] - (uint64_t)k * sums[k];
        }
        high = (uint32_t)((high + weighted) % MODULUS);
        for (at += done; count - at < COLUMNS && at < count; at++) {
            low += bytes[at];
            high += low;
        }
        low %= MODULUS;
        high %= MODULUS;
    }
    return high << 16 | low;
}

static inline int are_alike(const unsigned char *one, const unsigned char *other) {
    uint32_t a, b;
    memcpy(&a, one, STEP);
    memcpy(&b, other, STEP);
    return a == b;
}

/* Where a byte is repeated: how many such runs, none longer than a match. */
static int find_runs(const unsigned char *bytes, int count, Run *runs) {
    int found = 0, done = 1;
    for (int at = 1; at + STEP <= count;) {
        if (!are_alike(bytes + at, bytes + at - 1)) {
            at += STEP;
            continue;
        }
        int start = at, end = at + STEP;
        while (start > done && bytes[start - 1] == bytes[start - 2])
            start--;
        while (end < count && bytes[end] == bytes[end - 1])
            end++;
        for (int left = end - start; left >= SHORTEST_RUN; left = end - start) {
            runs[found++] = (Run){start, least(left, LONGEST_RUN)};
            start += least(left, LONGEST_RUN);
        }
        at = done = end;
    }
    return found;
}

/* The symbol of a run's length, and by how much it is longer than the symbol's least. */
static int symbol_of(int length, int *extra_bits, int *extra) {
    *extra_bits = *extra = 0;
    if (length == LONGEST_RUN)
        return 285;
    int rest = length - SHORTEST_RUN;
    while (rest >> (3 + *extra_bits))
        *extra_bits += 1;
    *extra = rest & ((1 << *extra_bits) - 1);
    return 257 + 4 * *extra_bits + (rest >> *extra_bits);
}

static void count_symbols(const unsigned char *bytes, int count, const Run *runs, int found,
                          uint32_t *counts) {
    uint32_t parts[4][256] = {{0}};
    memset(counts, 0, sizeof(uint32_t) * SYMBOLS);
    int at = 0, extra_bits, extra;
    for (int r = 0; r <= found; r++) {
        int stop = r < found ? runs[r].start : count;
        for (; at + 4 <= stop; at += 4)
            for (int k = 0; k < 4; k++)
                parts[k][bytes[at + k]]++;
        for (; at < stop; at++)
            parts[0][bytes[at]]++;
        if (r < found) {
            counts[symbol_of(runs[r].count, &extra_bits, &extra)]++;
            at += runs[r].count;
        }
    }
    for (int s = 0; s < 256; s++)
        counts[s] = parts[0][s] + parts[1][s] + parts[2][s] + parts[3][s];
    counts[END] = 1;
}

/* Lengths of the two or more symbols that occur, `weights` rising, as two queues merge them. */
static int depths_of(uint32_t *weights, int count, unsigned char *depths) {
    int parents[2 * SYMBOLS], leaf = 0, node = count, deepest = 0;
    for (int made = count; made < 2 * count - 1; made++) {
        weights[made] = 0;
        for (int k = 0; k < 2; k++) {
            int from_leaves = leaf < count && (node >= made || weights[leaf] <= weights[node]);
            int taken = from_leaves ? leaf++ : node++;
            weights[made] += weights[taken];
            parents[taken] = made;
        }
    }
    depths[2 * count - 2] = 0;
    for (int k = 2 * count - 3; k >= 0; k--) {
        depths[k] = (unsigned char)(depths[parents[k]] + 1);
        deepest = depths[k] > deepest ? depths[k] : deepest;
    }
    return deepest;
}

/* How long each symbol's code is, 0 where it does not occur; rarer ones are told apart less and
 * less until none is longer than it may be. */
static void find_lengths(const uint32_t *counts, unsigned char *lengths) {
    int symbols[SYMBOLS], used = 0;
    uint32_t weights[2 * SYMBOLS], scaled[SYMBOLS];
    unsigned char depths[2 * SYMBOLS];
    for (int s = 0; s < SYMBOLS; s++) {
        lengths[s] = 0;
        if (counts[s] == 0)
            continue;
        int k = used++;
        for (; k > 0 && counts[symbols[k - 1]] > counts[s]; k--)
            symbols[k] = symbols[k - 1];
        symbols[k] = s;
    }
    for (int k = 0; k < used; k++)
        scaled[k] = counts[symbols[k]];
    for (;;) {
        memcpy(weights, scaled, sizeof(uint32_t) * (size_t)used);
        if (depths_of(weights, used, depths) <= LONGEST_CODE)
            break;
        for (int k = 0; k < used; k++)
            scaled[k] = scaled[k] / 2 + 1;
    }
    for (int k = 0; k < used; k++)
        lengths[symbols[k]] = depths[k];
}

static uint32_t reversed(uint32_t value, int bits) {
    uint32_t out = 0;
    for (int k = 0; k < bits; k++)
        out |= (value >> k & 1) << (bits - 1 - k);
    return out;
}

/* The codes that belong to lengths: by length, then by symbol. */
static void find_codes(const unsigned char *lengths, Codes *codes) {
    uint32_t next = 0;
    for (int length = 1; length <= LONGEST_CODE; length++, next <<= 1)
        for (int s = 0; s < SYMBOLS; s++)
            if (lengths[s] == length)
                codes->literal[s] = code_of(reversed(next++, length), length);
    for (int length = SHORTEST_RUN; length <= LONGEST_RUN; length++) {
        int extra_bits, extra, symbol = symbol_of(length, &extra_bits, &extra);
        if (lengths[symbol] == 0)
            continue;
        /* One bit, 0, is the distance 1. */
        uint32_t value = codes->literal[symbol] >> 5 | (uint32_t)extra << lengths[symbol];
        codes->run[length] = code_of(value, lengths[symbol] + extra_bits + 1);
    }
}

/* What a block begins with: its kind and the lengths of its codes, each in four bits. */
static void put_head(Writer *writer, int is_last, const unsigned char *lengths) {
    put(writer, code_of((uint32_t)is_last | 2u << 1, 3));
    put(writer, code_of(SYMBOLS - 257, 5)); /* all literals and lengths, */
    put(writer, code_of(0, 5));             /* one distance, */
    put(writer, code_of(19 - 4, 4));        /* and all lengths of lengths: */
    for (int k = 0; k < 19; k++) {          /* 4 for 0..15, none for repeats, which come first */
        put(writer, code_of(k < 3 ? 0 : 4, 3));
        flush(writer);
    }
    for (int s = 0; s < SYMBOLS; s++) {
        put(writer, code_of(reversed(lengths[s], 4), 4));
        flush(writer);
    }
    put(writer, code_of(reversed(1, 4), 4)); /* the distance's */
    flush(writer);
}

static void put_block(Writer *writer, const unsigned char *bytes, int count, Run *runs,
                      int is_last) {
    uint32_t counts[SYMBOLS];
    unsigned char lengths[SYMBOLS];
    Codes codes;
    int found = find_runs(bytes, count, runs), at = 0;
    count_symbols(bytes, count, runs, found, counts);
    find_lengths(counts, lengths);
    find_codes(lengths, &codes);
    put_head(writer, is_last, lengths);
    Writer here = *writer; /* in registers */
    for (int r = 0; r <= found; r++) {
        int stop = r < found ? runs[r].start : count;
        for (; at + 4 <= stop; at += 4) {
            for (int k = 0; k < 4; k++)
                put(&here, codes.literal[bytes[at + k]]);
            flush(&here);
        }
        for (; at < stop; at++) {
            put(&here, codes.literal[bytes[at]]);
            flush(&here);
        }
        if (r < found) {
            put(&here, codes.run[runs[r].count]);
            flush(&here);
            at += runs[r].count;
        }
    }
    put(&here, codes.literal[END]);
    flush(&here);
    *writer = here;
}

/* Ends a part on a whole byte: the last one at once, others by an empty block that is stored. */
static void end_part(Writer *writer, int is_last) {
    if (!is_last) {
        put(writer, code_of(0, 3));
        flush(writer);
    }
    if (writer->have > 0)
        *writer->next++ = (unsigned char)writer->bits;
    if (!is_last) {
        memcpy(writer->next, "\0\0\377\377", 4);
        writer->next += 4;
    }
}

/* How many bytes `count` rows take at most. */
EXPORT ptrdiff_t mefuse_deflate_room(int width_bytes, int count) {
    ptrdiff_t bytes = ((ptrdiff_t)width_bytes + 1) * count, blocks = count;
    return bytes / 8 * LONGEST_CODE + 256 * blocks + 64;
}

/* Deflates rows `first` to `stop` of a picture into `out`; `is_last` ends the stream.
 *
 * `adler` takes the part's own checksum. Returns the bytes made, or -1 where memory ran out.
 */
EXPORT ptrdiff_t mefuse_deflate(const unsigned char *pixels, ptrdiff_t row_bytes, int width_bytes,
                                int sample_bytes, int first, int stop, int is_last,
                                unsigned char *out, uint32_t *adler) {
    Picture picture = {pixels, row_bytes, width_bytes, sample_bytes};
    Arena arena = {.last = NULL};
    int line = width_bytes + 1, rows = BLOCK_BYTES / line > 1 ? BLOCK_BYTES / line : 1;
    unsigned char *bytes = arena_take(&arena, (size_t)rows * (size_t)line);
    Run *runs = arena_take(&arena, sizeof(Run) * ((size_t)rows * (size_t)line / SHORTEST_RUN + 1));
    Writer writer = {out, 0, 0};
    *adler = 1;
    for (int top = first; top < stop && !arena.failed; top += rows) {
        int here = least(rows, stop - top);
        for (int y = 0; y < here; y++)
            filter_row(&picture, top + y, bytes + (ptrdiff_t)y * line);
        *adler = summed(*adler, bytes, here * line);
        put_block(&writer, bytes, here * line, runs, is_last && top + here == stop);
    }
    end_part(&writer, is_last);
    arena_free(&arena);
    return arena.failed ? -1 : writer.next - out;
}
