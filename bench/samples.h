/*
 * samples - series read from a file, for benchmarks: what tsgen writes (frames of snappy remote
 * write) or a recording ("#SCRAPE time target" lines, each followed by Prometheus text).
 *
 * Everything stays in memory. Errors end the program.
 */
#ifndef METRIC_STORE_BENCH_SAMPLES_H
#define METRIC_STORE_BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct series {
    uint32_t metric; /* dense, in order of first sight */
    uint32_t id;     /* likewise */
    size_t count;
    size_t capacity;
    int64_t *times;
    double *values;
};

struct samples {
    struct series *series; /* by metric, then id, once loaded */
    size_t series_count;
    size_t sample_count;
};

/* The recording where the name ends in .txt or .txt.zst, else tsgen's. */
void samples_load(struct samples *samples, const char *path);
void samples_release(struct samples *samples);

#endif
