/* What the two conformance programs in C share: words, checksums, and where the samples of a picture lie. */
#ifndef WORDS_H
#define WORDS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line: a verb, and words KEY=VALUE, with tabs between them. */
typedef struct {
    const char *verb;
    struct {
        char *key, *value;
    } words[64];
    int count;
} line;

static void fail(const char *what) {
    fprintf(stderr, "conformance: %s\n", what);
    exit(1);
}

/* Reads a line; 0 at the end of the input. The text is valid until the next call. */
static int read_line(line *into) {
    static char *text;
    static size_t room;
    ssize_t length = getline(&text, &room, stdin);
    if (length <= 0)
        return 0;
    text[strcspn(text, "\n")] = 0;
    char *at = text;
    into->verb = strsep(&at, "\t");
    into->count = 0;
    for (char *word; (word = strsep(&at, "\t")) != NULL;) {
        if (into->count == 64 || strchr(word, '=') == NULL)
            fail("that is no line of words");
        into->words[into->count].key = strsep(&word, "=");
        into->words[into->count].value = word;
        into->count += 1;
    }
    return 1;
}

/* The value of the nth word with this key, or NULL. */
static char *nth(const line *line, const char *key, int n) {
    for (int i = 0; i < line->count; i++)
        if (strcmp(line->words[i].key, key) == 0 && n-- == 0)
            return line->words[i].value;
    return NULL;
}

static char *word(const line *line, const char *key) {
    return nth(line, key, 0);
}

static uint64_t number(const line *line, const char *key, uint64_t without) {
    const char *value = word(line, key);
    return value == NULL ? without : strtoull(value, NULL, 0);
}

/* Numbers with `:` or `;` between them, all decimal; how many. */
static int numbers(const char *text, int64_t *into, int most) {
    int count = 0;
    while (text != NULL && *text != 0 && count < most) {
        char *end;
        into[count++] = strtoll(text, &end, 10);
        text = *end == 0 ? end : end + 1;
    }
    return count;
}

static const struct {
    const char *name;
    uint32_t flag;
} FLAGS[] = {
    {"discont", 1 << 0},    {"corrupted", 1 << 1},   {"gap", 1 << 2},          {"marker", 1 << 3},
    {"header", 1 << 4},     {"delta-unit", 1 << 5},  {"droppable", 1 << 6},    {"non-droppable", 1 << 7},
    {"resync", 1 << 8},     {"live", 1 << 9},        {"decode-only", 1 << 10}, {"interlaced", 1 << 16},
    {"tff", 1 << 17},       {"rff", 1 << 18},        {"onefield", 1 << 19},    {"multiple-view", 1 << 20},
    {"first-in-bundle", 1 << 21},
};
#define N_FLAGS (sizeof FLAGS / sizeof FLAGS[0])

static uint32_t flags_of(const char *names) {
    uint32_t flags = 0;
    for (size_t i = 0; names != NULL && i < N_FLAGS; i++) {
        size_t length = strlen(FLAGS[i].name);
        for (const char *at = names; (at = strstr(at, FLAGS[i].name)) != NULL; at += length)
            if ((at == names || at[-1] == ',') && (at[length] == 0 || at[length] == ','))
                flags |= FLAGS[i].flag;
    }
    return flags;
}

static void print_flags(uint32_t flags) {
    const char *before = "\tflags=";
    for (size_t i = 0; i < N_FLAGS; i++)
        if (flags & FLAGS[i].flag) {
            printf("%s%s", before, FLAGS[i].name);
            before = ",";
        }
}

static void print_number(const char *key, uint64_t value) {
    if (value != UINT64_MAX)
        printf("\t%s=%llu", key, (unsigned long long)value);
}

static void print_time(const char *key, uint64_t value, uint64_t first) {
    if (value != UINT64_MAX)
        printf("\t%s=%lld", key, (long long)(value - first));
}

/* Byte `at` of the payload of frame `seed`. */
static void fill(unsigned char *bytes, size_t length, uint64_t seed) {
    for (size_t at = 0; at < length; at++)
        bytes[at] = (unsigned char)(at * 7 + (at >> 8) * 13 + seed * 31);
}

/* CRC-32 as zlib has it. */
static uint32_t crc(uint32_t so_far, const void *bytes, size_t length) {
    static uint32_t table[256];
    if (table[1] == 0)
        for (uint32_t n = 0; n < 256; n++) {
            uint32_t value = n;
            for (int bit = 0; bit < 8; bit++)
                value = value & 1 ? 0xedb88320u ^ value >> 1 : value >> 1;
            table[n] = value;
        }
    so_far = ~so_far;
    for (const unsigned char *at = bytes; length > 0; at++, length--)
        so_far = table[(so_far ^ *at) & 0xff] ^ so_far >> 8;
    return ~so_far;
}

static void print_hex(const void *bytes, size_t length) {
    for (const unsigned char *at = bytes; length > 0; at++, length--)
        printf("%02x", *at);
}

static size_t unhex(const char *text, unsigned char *into, size_t most) {
    size_t length = 0;
    for (; text[0] != 0 && text[1] != 0 && length < most; text += 2, length++) {
        char two[3] = {text[0], text[1], 0};
        into[length] = (unsigned char)strtoul(two, NULL, 16);
    }
    return length;
}

/* Formats of the cases: bytes of a sample (or pair of samples) of each plane, and how much coarser it is than the picture. */
static const struct shape {
    const char *format;
    int planes;
    struct {
        uint32_t bytes, across, down;
    } plane[3];
} SHAPES[] = {
    {"BGRx", 1, {{4, 0, 0}}},
    {"GRAY8", 1, {{1, 0, 0}}},
    {"GRAY16_LE", 1, {{2, 0, 0}}},
    {"NV12", 2, {{1, 0, 0}, {2, 1, 1}}},
    {"I420", 3, {{1, 0, 0}, {1, 1, 1}, {1, 1, 1}}},
};

static const struct shape *shape_of(const char *format) {
    for (size_t i = 0; i < sizeof SHAPES / sizeof SHAPES[0]; i++)
        if (strcmp(SHAPES[i].format, format) == 0)
            return &SHAPES[i];
    fail("a picture of a format that no case has");
    return NULL;
}

/* Prints a plane of the visible part of a picture. */
static void print_plane(const struct shape *shape, int n, const unsigned char *first_row, int64_t stride, uint32_t x, uint32_t y,
                        uint32_t width, uint32_t height) {
    uint32_t across = shape->plane[n].across, down = shape->plane[n].down, bytes = shape->plane[n].bytes, sum = 0;
    uint32_t columns = (width + (1u << across) - 1) >> across, rows = (height + (1u << down) - 1) >> down;
    for (uint32_t row = 0; row < rows; row++)
        sum = crc(sum, first_row + ((y >> down) + row) * stride + (x >> across) * bytes, columns * bytes);
    printf("\tplane=%u:%u:%08x", rows, columns * bytes, sum);
}

/* Prints the samples of a channel, `distance` bytes from one to the next. */
static void print_channel(const unsigned char *first, size_t samples, size_t bytes, size_t distance) {
    uint32_t sum = 0;
    for (size_t n = 0; n < samples; n++)
        sum = crc(sum, first + n * distance, bytes);
    printf("\tchannel=%08x", sum);
}

#endif
