/*
 * workload - what bench/load sends: samples of series like those of machines, as request bodies.
 *
 * `series` series of 25 metrics are spread over `hosts` hosts, `points` samples each. Every sample
 * has a number, and the order of the numbers is the order in which they are sent:
 *
 *   scrape     all series at one time, then all at the next; or, with `run` above 1, so many
 * samples of one series behind one another, then those of the next series shuffled   a permutation
 * of all samples: any two neighbours are of any series and any time
 *
 * The values: of 20 series 6 constant, 5 integer counters, 3 counters of hundredths, 2 multiples of
 * 4096, 2 gauges of two decimals, 1 that rarely moves, 1 of full entropy. In scrape order without
 * `apart` counters grow from one sample to the next; else a value follows from the number of its
 * sample alone, so that bodies may be made in any order and by several threads.
 */
#ifndef METRIC_STORE_BENCH_WORKLOAD_H
#define METRIC_STORE_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct workload {
    bool ndjson; /* else remote write */
    bool shuffled, apart;
    uint32_t series, hosts, points, run, batch; /* batch: samples of one body, a multiple of run */
    int64_t start_ms, step_ms;
};

uint64_t workload_samples(const struct workload *workload);
uint64_t workload_bodies(const struct workload *workload);
/* Samples of one body; the last may be smaller than `batch`. */
uint32_t workload_samples_in(const struct workload *workload, uint64_t body);

/* Makes bodies; one for each thread. */
struct maker {
    const struct workload *workload;
    double *states; /* of each series, where values build on one another */
    struct bytes plain, series, label;
    struct bytes *labels; /* of each series, encoded; where there are not too many */
    struct bytes packed;  /* the body that was made last */
    unsigned random_bits;
};

/* `workload` is borrowed for the maker's life. */
void maker_init(struct maker *maker, const struct workload *workload);
void maker_release(struct maker *maker);
/* The body with that number, borrowed until the next call. Where values build on one another the
 * bodies have to be made from the first on, one after the other. */
struct slice maker_body(struct maker *maker, uint64_t body);

#endif
