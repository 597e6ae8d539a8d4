/*
 * query_bench - what a query costs above its tier: the same selections over a tier in memory, read
 * only, and then queried. Prints microseconds of CPU (median of the runs) and nanoseconds a sample.
 *
 *   query_bench [RUNS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "harness.h"

enum { SERIES = 1000, REGIONS = 10, STEP_MS = 15000, HOUR_SAMPLES = 240, DAY_SAMPLES = 4800 };

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const int64_t *left = a;
    const int64_t *right = b;
    return (*left > *right) - (*left < *right);
}

static void fill(struct harness *harness, const char *metric, int64_t samples)
{
    uint64_t random = 42;
    for (size_t i = 0; i < SERIES; i++) {
        char text[80];
        snprintf(text, sizeof text, "host=h%04zu,region=r%zu,zone=z%zu", i, i % REGIONS, i % 3);
        size_t series = memory_tier_add_series(harness->memory, metric, text);
        double value = 0;
        for (int64_t j = 0; j < samples; j++) {
            value += (double)(memory_random(&random) % 1000) / 10;
            memory_tier_add(harness->memory, series,
                            HARNESS_NOW_MS - (samples - j) * (int64_t)STEP_MS + 1, value);
        }
    }
}

/* Reads and decodes what matches, and does nothing with it. */
static enum status read_only(struct harness *harness, const char *metric, bool load)
{
    struct arena arena;
    struct matchers matchers;
    struct selection *selection;
    struct storage_cursor *cursor = NULL;
    struct tier *tier = &harness->memory->tier;
    struct select_options options = {.range = {0, HARNESS_NOW_MS + 1},
                                     .max_memory_bytes = SIZE_MAX};
    arena_init(&arena, 1 << 20);
    enum status status = matchers_parse(slice_from_text(metric), &arena, &matchers, NULL);
    if (status == STATUS_OK)
        status = storage_select(tier, &matchers, 1, &options, &selection, NULL);
    for (size_t i = 0; status == STATUS_OK && i < selection_count(tier, selection); i++) {
        struct selected_series series;
        struct storage_block block;
        status = selection_series(tier, selection, i, &series, NULL);
        if (status == STATUS_OK)
            status = selection_read(tier, selection, i, options.range, &cursor, NULL);
        while (status == STATUS_OK &&
               (status = storage_cursor_next(tier, cursor, &block, NULL)) == STATUS_OK)
            if (load)
                status = storage_cursor_load(tier, cursor, &block, NULL);
        if (status == STATUS_END)
            status = STATUS_OK;
    }
    if (status == STATUS_OK)
        selection_close(tier, selection);
    matchers_release(&matchers);
    arena_release(&arena);
    return status;
}

static int64_t timed(struct harness *harness, const char *metric, const char *query, bool load)
{
    int64_t start_ns = cpu_ns();
    enum status status =
        query != NULL ? harness_query(harness, query) : read_only(harness, metric, load);
    int64_t spent_ns = cpu_ns() - start_ns;
    if (status == STATUS_OK)
        return spent_ns;
    fprintf(stderr, "%s: %s\n", query == NULL ? metric : query, harness->err.message);
    exit(1);
}

static int64_t median_of(struct harness *harness, int64_t *times, int runs, const char *metric,
                         const char *query, bool load)
{
    for (int i = 0; i < runs; i++)
        times[i] = timed(harness, metric, query, load);
    qsort(times, (size_t)runs, sizeof times[0], compare);
    return times[runs / 2];
}

static void bench(struct harness *harness, int64_t *times, int runs, const char *name,
                  const char *metric, unsigned summaries, int64_t samples, const char *query)
{
    harness->memory->summary_chance = summaries;
    int64_t base = median_of(harness, times, runs, metric, NULL, summaries == 0);
    int64_t whole = median_of(harness, times, runs, metric, query, false);
    printf("%-34s %9.0f us, %9.0f us of it the tier's; query: %6.2f ns a sample\n", name,
           (double)whole / 1e3, (double)base / 1e3, (double)(whole - base) / (double)samples);
}

int main(int count, char **arguments)
{
    static struct harness harness;
    static const struct {
        const char *name, *metric;
        unsigned summaries;
        int64_t samples;
        const char *query;
    } cases[] = {
        {"sum by region, 1 h", "hour", 0, SERIES * HOUR_SAMPLES,
         "metric=hour&aggregate=sum&by=region&interval=1m"},
        {"sum by region, over series", "hour", 0, SERIES * HOUR_SAMPLES,
         "metric=hour&aggregate=sum&by=region&interval=1m&over=series"},
        {"rate by region, 1 h", "hour", 0, SERIES * HOUR_SAMPLES,
         "metric=hour&aggregate=rate&by=region&interval=1m"},
        {"stddev by region, 1 h", "hour", 0, SERIES * HOUR_SAMPLES,
         "metric=hour&aggregate=stddev&by=region&interval=1m"},
        {"p95 by region, 1 h", "hour", 0, SERIES * HOUR_SAMPLES,
         "metric=hour&aggregate=p95&by=region&interval=1m"},
        {"avg of each series, 1 h", "hour", 0, SERIES * HOUR_SAMPLES,
         "metric=hour&aggregate=avg&interval=1m"},
        {"raw, 1 h", "hour", 0, SERIES * HOUR_SAMPLES, "metric=hour"},
        {"sum of all, 4.8 M decoded", "day", 0, SERIES * DAY_SAMPLES,
         "metric=day&aggregate=sum&by=&start=0"},
        {"count of all, 4.8 M by summaries", "day", 100, SERIES * DAY_SAMPLES,
         "metric=day&aggregate=count&by=&start=0"},
    };
    int runs = count > 1 ? atoi(arguments[1]) : 11;
    int64_t *times = calloc(runs > 0 ? (size_t)runs : 1, sizeof times[0]);
    if (runs <= 0 || times == NULL) {
        fprintf(stderr, "usage: query_bench [RUNS]\n");
        return 2;
    }
    harness_init(&harness);
    harness.memory->max_block = 1024;
    harness.environment.limits.max_memory_bytes = (size_t)1 << 30;
    fill(&harness, "hour", HOUR_SAMPLES);
    fill(&harness, "day", DAY_SAMPLES);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        bench(&harness, times, runs, cases[i].name, cases[i].metric, cases[i].summaries,
              cases[i].samples, cases[i].query);
    free(times);
    harness_release(&harness);
    return 0;
}
