/*
 * series_segment_bench - what series segments cost: CPU of writing, opening, each kind of look-up,
 * and merging.
 *
 *   series_segment_bench DIR [SERIES [SEGMENTS]]    DIR: where files are written, and removed
 *
 * A series has 10 labels: one that no other has, others that thousands share. SERIES (1,000,000) is
 * for each of SEGMENTS (1); they are merged where there is more than one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "os/os.h"
#include "storage/engine/series_segment.h"

enum { LABELS = 10, BATCH = 1024, LOOKUPS = 1000000, TEXT = 48 };

struct kind {
    const char *name;
    const char *format;
    uint32_t divide, modulo; /* the value's number: id / divide % modulo */
};

/* Sorted by name. */
static const struct kind kinds[LABELS] = {
    {"__name__", "application_requests_%04u_total", 1, 1000},
    {"container", "container-%02u", 50, 5},
    {"handler", "/api/v1/resource/%02u", 1, 20},
    {"instance", "10.0.0.%07u:9100", 1000, UINT32_MAX},
    {"job", "job-%02u", 100000, 10},
    {"namespace", "namespace-%02u", 10000, 50},
    {"pod", "deployment-5d9f7c6b8-%08u", 250, UINT32_MAX},
    {"region", "eu-central-%u", 200000, 5},
    {"uid", "%08x-7c1f-4a55-9d0b", 1, UINT32_MAX},
    {"zone", "zone-%u", 100000, 3},
};

struct key {
    struct series_key key;
    uint32_t id;
};

static double cpu(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void check(enum status status, const struct error *err)
{
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static void labels_of(uint32_t id, char text[LABELS][TEXT], struct label *items)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    for (int i = 0; i < LABELS; i++) {
        uint32_t number = id / kinds[i].divide % kinds[i].modulo;
        int size = snprintf(text[i], TEXT, kinds[i].format, number);
        items[i].name = slice_from_text(kinds[i].name);
        items[i].value = slice_of(text[i], (size_t)size);
    }
#pragma GCC diagnostic pop
}

static int compare_keys(const void *a, const void *b)
{
    return series_key_compare(((const struct key *)a)->key, ((const struct key *)b)->key);
}

static struct key *keys_of(uint32_t first, uint32_t count)
{
    struct key *keys = malloc(count * sizeof *keys);
    char text[LABELS][TEXT];
    struct label items[LABELS];
    double spent = 0;
    for (uint32_t i = 0; i < count; i++) {
        labels_of(first + i, text, items);
        struct labels labels = {items, LABELS};
        double start = i % 64 == 0 ? cpu() : 0;
        keys[i] = (struct key){series_key_of(&labels, 42), first + i};
        spent += i % 64 == 0 ? cpu() - start : 0;
    }
    printf("  key of labels          %8.0f ns\n", spent / count * 64 * 1e9);
    qsort(keys, count, sizeof *keys, compare_keys);
    return keys;
}

/* ---- writing ---------------------------------------------------------------------------- */

static double put_series(struct series_segment_writer *writer, uint32_t first, uint32_t count)
{
    struct error err;
    static char text[BATCH][LABELS][TEXT];
    static struct label items[BATCH][LABELS];
    double spent = 0;
    for (uint32_t at = 0; at < count; at += BATCH) {
        uint32_t batch = count - at < BATCH ? count - at : BATCH;
        for (uint32_t i = 0; i < batch; i++)
            labels_of(first + at + i, text[i], items[i]);
        double start = cpu();
        for (uint32_t i = 0; i < batch; i++) {
            struct labels labels = {items[i], LABELS};
            uint32_t id = first + at + i;
            check(series_segment_put_series(writer, id, id % 1000, &labels, &err), &err);
        }
        spent += cpu() - start;
    }
    return spent;
}

static roaring_bitmap_t *ids_of(const struct kind *kind, uint32_t number, uint32_t first,
                                uint32_t end)
{
    roaring_bitmap_t *ids = roaring_bitmap_create();
    uint64_t period = (uint64_t)kind->divide * kind->modulo;
    uint64_t from = (uint64_t)number * kind->divide + first / period * period;
    for (; from < end; from += period) {
        uint64_t to = from + kind->divide;
        uint64_t low = from < first ? first : from;
        uint64_t high = to > end ? end : to;
        if (low < high)
            roaring_bitmap_add_range(ids, low, high);
    }
    return ids;
}

static double put_pairs(struct series_segment_writer *writer, const struct kind *kind,
                        uint32_t first, uint32_t end)
{
    struct error err;
    static roaring_bitmap_t *sets[BATCH];
    static char text[BATCH][TEXT];
    uint32_t low = kind->modulo == UINT32_MAX ? first / kind->divide : 0;
    uint32_t high = kind->modulo == UINT32_MAX ? (end - 1) / kind->divide + 1 : kind->modulo;
    double spent = 0;
    for (uint32_t at = low; at < high; at += BATCH) {
        uint32_t batch = high - at < BATCH ? high - at : BATCH;
        for (uint32_t i = 0; i < batch; i++) {
            sets[i] = ids_of(kind, at + i, first, end);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(text[i], TEXT, kind->format, at + i);
#pragma GCC diagnostic pop
        }
        double start = cpu();
        for (uint32_t i = 0; i < batch; i++)
            if (!roaring_bitmap_is_empty(sets[i]))
                check(series_segment_put_pair(writer, slice_from_text(kind->name),
                                              slice_from_text(text[i]), sets[i], &err),
                      &err);
        spent += cpu() - start;
        for (uint32_t i = 0; i < batch; i++)
            roaring_bitmap_free(sets[i]);
    }
    return spent;
}

static void put_metrics(struct series_segment_writer *writer, uint32_t first, uint32_t count)
{
    struct error err;
    for (uint32_t metric = 0; metric < 1000; metric++) {
        char text[TEXT];
        roaring_bitmap_t *ids = ids_of(&kinds[0], metric, first, first + count);
        uint32_t series = (uint32_t)roaring_bitmap_get_cardinality(ids);
        roaring_bitmap_free(ids);
        snprintf(text, sizeof text, "application_requests_%04u_total", metric);
        if (series > 0)
            check(series_segment_put_metric(writer, metric, slice_from_text(text), series, &err),
                  &err);
    }
}

static void write_segment(const char *path, uint64_t id, uint32_t first, uint32_t count,
                          const struct key *keys)
{
    struct error err;
    struct series_segment_writer *writer;
    struct series_segment_stats stats;
    check(series_segment_writer_open(&writer, filesystem_posix(), path, id, &err), &err);
    double series = put_series(writer, first, count);
    double pairs = 0;
    for (int i = 0; i < LABELS; i++)
        pairs += put_pairs(writer, &kinds[i], first, first + count);
    double start = cpu();
    for (uint32_t i = 0; i < count; i++)
        check(series_segment_put_key(writer, keys[i].key, keys[i].id, &err), &err);
    put_metrics(writer, first, count);
    check(series_segment_finish(writer, &stats, &err), &err);
    double rest = cpu() - start;
    printf("  write %u series: %.2f s CPU (definitions %.2f, pairs %.2f, the rest %.2f); "
           "%.1f bytes a series\n",
           count, series + pairs + rest, series, pairs, rest, (double)stats.bytes / count);
}

/* ---- reading ---------------------------------------------------------------------------- */

static void report(const char *what, double spent, double count)
{
    printf("  %-22s %8.0f ns\n", what, spent / count * 1e9);
}

static void bench_finds(const struct series_segment *segment, const struct key *keys,
                        uint32_t count)
{
    struct error err;
    uint32_t id;
    double start = cpu();
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        const struct key *key = &keys[(uint64_t)i * 2654435761U % count];
        check(series_segment_find(segment, key->key, &id, &err), &err);
        if (id != key->id)
            exit(1);
    }
    report("find", cpu() - start, LOOKUPS);
}

static void bench_definitions(const struct series_segment *segment, uint32_t first, uint32_t count)
{
    struct error err;
    struct series_segment_cursor *cursor;
    struct series_definition definition;
    check(series_segment_cursor_new(&cursor, segment, &err), &err);
    double start = cpu();
    while (series_segment_next(cursor, &definition, &err) == STATUS_OK)
        ;
    report("next definition", cpu() - start, count);
    start = cpu();
    for (uint32_t i = 0; i < count; i += 2)
        check(series_segment_read(cursor, first + i, &definition, &err), &err);
    report("read, every second", cpu() - start, (count + 1) / 2);
    start = cpu();
    for (uint32_t i = 0; i < 20000; i++)
        check(series_segment_read(cursor, first + (uint32_t)((uint64_t)i * 2654435761U % count),
                                  &definition, &err),
              &err);
    report("read, anywhere", cpu() - start, 20000);
    series_segment_cursor_free(cursor);
}

static void bench_metrics(const struct series_segment *segment, uint32_t first, uint32_t count)
{
    struct error err;
    for (uint32_t step = 1; step <= 1000; step *= 1000) {
        uint32_t wanted = count / step;
        uint32_t *ids = malloc((wanted + 1) * sizeof *ids);
        uint32_t *metrics = malloc((wanted + 1) * sizeof *metrics);
        for (uint32_t i = 0; i < wanted; i++)
            ids[i] = first + i * step;
        double start = cpu();
        check(series_segment_metrics_of(segment, ids, wanted, metrics, &err), &err);
        report(step == 1 ? "metric of, all" : "metric of, each 1000th", cpu() - start, wanted);
        free(ids);
        free(metrics);
    }
}

static bool want_all(void *context, struct slice value, bool *go_on)
{
    (void)value;
    (void)go_on;
    ++*(uint64_t *)context;
    return true;
}

static void bench_pairs(const struct series_segment *segment, uint32_t first, uint32_t count)
{
    struct error err;
    roaring_bitmap_t *ids = roaring_bitmap_create();
    double start = cpu();
    for (uint32_t i = 0; i < 20000; i++) {
        char text[TEXT];
        snprintf(text, sizeof text, "%08x-7c1f-4a55-9d0b",
                 first + (uint32_t)((uint64_t)i * 2654435761U % count));
        check(
            series_segment_pair(segment, slice_from_text("uid"), slice_from_text(text), ids, &err),
            &err);
    }
    report("pair of one series", cpu() - start, 20000);
    if (roaring_bitmap_get_cardinality(ids) == 0)
        exit(1);
    start = cpu();
    for (uint32_t i = 0; i < 1000; i++)
        check(series_segment_pair(segment, slice_from_text("job"), slice_from_text("job-03"), ids,
                                  &err),
              &err);
    report("pair of a tenth", cpu() - start, 1000);
    static const char *const names[] = {"uid", "pod", "handler"};
    for (int i = 0; i < 3; i++) {
        char what[64];
        uint64_t values = 0;
        roaring_bitmap_clear(ids);
        snprintf(what, sizeof what, "value of %s", names[i]);
        start = cpu();
        check(series_segment_values(segment, slice_from_text(names[i]), want_all, &values, NULL,
                                    &err),
              &err);
        report(what, cpu() - start, (double)values);
        snprintf(what, sizeof what, "value of %s, ids", names[i]);
        start = cpu();
        check(
            series_segment_values(segment, slice_from_text(names[i]), want_all, &values, ids, &err),
            &err);
        report(what, cpu() - start, (double)values / 2);
        if (roaring_bitmap_get_cardinality(ids) != count)
            exit(1);
    }
    roaring_bitmap_free(ids);
}

static struct series_segment *open_segment(const char *path, uint64_t id)
{
    struct error err;
    struct series_segment *segment;
    double start = cpu();
    check(series_segment_open(&segment, os_system(), path, id, &err), &err);
    printf("  open %.2f ms, memory %.0f KiB\n", (cpu() - start) * 1e3,
           (double)series_segment_memory(segment) / 1024);
    return segment;
}

static void bench_reads(const struct series_segment *segment, uint32_t first, uint32_t count,
                        const struct key *keys)
{
    bench_finds(segment, keys, count);
    bench_definitions(segment, first, count);
    bench_metrics(segment, first, count);
    bench_pairs(segment, first, count);
}

static void bench_merge(struct series_segment **segments, uint32_t count, const char *path)
{
    struct error err;
    struct series_segment_stats stats;
    size_t damaged;
    double start = cpu();
    check(series_segment_merge(segments, count, NULL, os_system(), path, count + 1, NULL, NULL,
                               &stats, &damaged, &err),
          &err);
    printf("merge of %u segments: %.2f s CPU, %.1f bytes a series\n", count, cpu() - start,
           (double)stats.bytes / (double)stats.series);
    series_segment_close(open_segment(path, count + 1));
    (void)remove(path);
}

int main(int argc, char **arguments)
{
    uint32_t series = argc > 2 ? (uint32_t)atol(arguments[2]) : 1000000;
    uint32_t count = argc > 3 ? (uint32_t)atol(arguments[3]) : 1;
    if (argc < 2 || series == 0 || count == 0) {
        fprintf(stderr, "usage: series_segment_bench DIR [SERIES [SEGMENTS]]\n");
        return 2;
    }
    struct series_segment **segments = calloc(count, sizeof *segments);
    char path[4096];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t first = i * series;
        snprintf(path, sizeof path, "%s/bench-%u.seg", arguments[1], i);
        printf("segment %u\n", i);
        struct key *keys = keys_of(first, series);
        write_segment(path, i + 1, first, series, keys);
        segments[i] = open_segment(path, i + 1);
        if (i == 0)
            bench_reads(segments[0], first, series, keys);
        (void)remove(path);
        free(keys);
    }
    snprintf(path, sizeof path, "%s/bench-merged.seg", arguments[1]);
    if (count > 1)
        bench_merge(segments, count, path);
    for (uint32_t i = 0; i < count; i++)
        series_segment_close(segments[i]);
    free(segments);
    return 0;
}
