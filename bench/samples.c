#include "samples.h"

#include <snappy-c.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/hash.h"

enum { SLOTS = 1 << 22 };

/* Ids by hash; good enough for a benchmark's own data. */
struct table {
    uint64_t *hashes;
    uint32_t *ids;
    uint32_t count;
};

struct loader {
    struct samples *samples;
    struct table metrics;
    struct table series;
};

static void give_up(const char *what, const char *path)
{
    fprintf(stderr, "%s: %s\n", path, what);
    exit(2);
}

static uint32_t table_id(struct table *table, struct slice key, bool *is_new)
{
    uint64_t hash = hash64(key, 1) | 1;
    size_t slot = hash & (SLOTS - 1);
    while (table->hashes[slot] != 0 && table->hashes[slot] != hash)
        slot = (slot + 1) & (SLOTS - 1);
    *is_new = table->hashes[slot] == 0;
    if (*is_new) {
        table->hashes[slot] = hash;
        table->ids[slot] = table->count++;
    }
    return table->ids[slot];
}

static void add_sample(struct loader *loader, struct slice metric, struct slice key, int64_t time,
                       double value)
{
    struct samples *samples = loader->samples;
    bool is_new;
    uint32_t id = table_id(&loader->series, key, &is_new);
    if (is_new) {
        if ((id & (id - 1)) == 0)
            samples->series = realloc(samples->series, (2 * id + 1) * sizeof *samples->series);
        bool ignored;
        samples->series[id] =
            (struct series){.id = id, .metric = table_id(&loader->metrics, metric, &ignored)};
        samples->series_count++;
    }
    struct series *series = &samples->series[id];
    if (series->count > 0 && series->times[series->count - 1] >= time)
        return;
    if (series->count == series->capacity) {
        series->capacity = series->capacity == 0 ? 256 : 2 * series->capacity;
        series->times = realloc(series->times, series->capacity * sizeof(int64_t));
        series->values = realloc(series->values, series->capacity * sizeof(double));
    }
    series->times[series->count] = time;
    series->values[series->count++] = value;
    samples->sample_count++;
}

/* One length-delimited field; NULL at the end. */
static const uint8_t *next_field(const uint8_t *from, const uint8_t *end, struct slice *field)
{
    uint64_t size;
    if (from >= end)
        return NULL;
    from = varint_get(from + 1, end, &size);
    if (from == NULL || size > (uint64_t)(end - from))
        return NULL;
    *field = slice_of(from, (size_t)size);
    return from + size;
}

static void add_timeseries(struct loader *loader, struct slice message)
{
    const uint8_t *at = message.data;
    const uint8_t *end = at + message.size;
    const uint8_t *labels_end = at;
    struct slice field;
    struct slice metric = {0};
    while (at < end && *at == 0x0a) {
        at = next_field(at, end, &field);
        if (at == NULL)
            return;
        struct slice name, value;
        const uint8_t *in = next_field(field.data, field.data + field.size, &name);
        if (in != NULL && next_field(in, field.data + field.size, &value) != NULL &&
            slice_equal_text(name, "__name__"))
            metric = value;
        labels_end = at;
    }
    struct slice key = slice_of(message.data, (size_t)(labels_end - message.data));
    while ((at = next_field(at, end, &field)) != NULL) {
        uint64_t time;
        if (field.size > 10 && varint_get(field.data + 10, field.data + field.size, &time) != NULL)
            add_sample(loader, metric, key, (int64_t)time,
                       double_of_bits(load_u64(field.data + 1)));
    }
}

static void load_frames(struct loader *loader, struct slice file, const char *path)
{
    size_t at = 0;
    while (at + 8 <= file.size) {
        size_t size = load_u32(file.data + at);
        const char *body = (const char *)file.data + at + 8;
        at += 8 + size;
        size_t plain_size = 0;
        if (at > file.size || snappy_uncompressed_length(body, size, &plain_size) != SNAPPY_OK)
            give_up("not a file of tsgen rw", path);
        uint8_t *plain = malloc(plain_size);
        if (plain == NULL || snappy_uncompress(body, size, (char *)plain, &plain_size) != SNAPPY_OK)
            give_up("a frame does not decompress", path);
        const uint8_t *next = plain;
        struct slice message;
        while ((next = next_field(next, plain + plain_size, &message)) != NULL)
            add_timeseries(loader, message);
        free(plain);
    }
}

static void load_recording(struct loader *loader, struct slice file)
{
    int64_t time = 0;
    char key[8192];
    char target[256] = "";
    const char *at = (const char *)file.data;
    const char *end = at + file.size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline == NULL ? end : newline;
        const char *space = memrchr(at, ' ', (size_t)(line_end - at));
        if (at[0] == '#') {
            if (line_end - at > 8 && memcmp(at, "#SCRAPE ", 8) == 0) {
                char *rest;
                time = strtoll(at + 8, &rest, 10);
                snprintf(target, sizeof target, "%.*s", (int)(line_end - rest), rest);
            }
        } else if (space != NULL) {
            int size = snprintf(key, sizeof key, "%s %.*s", target, (int)(space - at), at);
            size_t name = strcspn(at, "{ ");
            if (size > 0 && (size_t)size < sizeof key)
                add_sample(loader, slice_of(at, name), slice_of(key, (size_t)size), time,
                           strtod(space + 1, NULL));
        }
        at = line_end + 1;
    }
}

static int by_metric(const void *a, const void *b)
{
    const struct series *left = a;
    const struct series *right = b;
    if (left->metric != right->metric)
        return left->metric < right->metric ? -1 : 1;
    return left->id < right->id ? -1 : left->id > right->id;
}

static struct bytes read_file(const char *path)
{
    struct bytes bytes;
    bytes_init(&bytes, SIZE_MAX / 2);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        give_up("cannot be opened", path);
    char buffer[65536];
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        if (bytes_append(&bytes, buffer, got) != STATUS_OK)
            give_up("no memory", path);
    fclose(file);
    return bytes;
}

static struct bytes decompress(struct bytes packed, const char *path)
{
    struct bytes plain;
    bytes_init(&plain, SIZE_MAX / 2);
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer in = {packed.data, packed.size, 0};
    uint8_t buffer[65536];
    while (in.pos < in.size) {
        ZSTD_outBuffer out = {buffer, sizeof buffer, 0};
        if (ZSTD_isError(ZSTD_decompressStream(stream, &out, &in)) ||
            bytes_append(&plain, buffer, out.pos) != STATUS_OK)
            give_up("does not decompress", path);
    }
    ZSTD_freeDStream(stream);
    bytes_release(&packed);
    return plain;
}

void samples_load(struct samples *samples, const char *path)
{
    *samples = (struct samples){0};
    struct loader loader = {.samples = samples};
    loader.metrics = (struct table){calloc(SLOTS, 8), calloc(SLOTS, 4), 0};
    loader.series = (struct table){calloc(SLOTS, 8), calloc(SLOTS, 4), 0};
    struct bytes file = read_file(path);
    bool packed = strstr(path, ".zst") != NULL;
    if (packed)
        file = decompress(file, path);
    if (strstr(path, ".txt") != NULL)
        load_recording(&loader, bytes_slice(&file));
    else
        load_frames(&loader, bytes_slice(&file), path);
    bytes_release(&file);
    free(loader.metrics.hashes);
    free(loader.metrics.ids);
    free(loader.series.hashes);
    free(loader.series.ids);
    qsort(samples->series, samples->series_count, sizeof *samples->series, by_metric);
}

void samples_release(struct samples *samples)
{
    for (size_t i = 0; i < samples->series_count; i++) {
        free(samples->series[i].times);
        free(samples->series[i].values);
    }
    free(samples->series);
}
