/*
 * worker_pool - threads of their own for reads, so that heavy queries never stop ingest; with a
 * bounded queue before them.
 *
 * Threads: submit from any.
 */
#ifndef METRIC_STORE_API_WORKER_POOL_H
#define METRIC_STORE_API_WORKER_POOL_H

#include "os/thread.h"

struct worker_pool; /* opaque */

/* Embedded in what its owner keeps until `run` was called. */
struct work_item {
    void (*run)(void *context);
    void *context;
    struct work_item *next; /* the pool's */
};

struct worker_pool_stats {
    uint64_t running, waiting, done, refused;
};

/* Gives *pool, ended by worker_pool_close. */
MUST_CHECK enum status worker_pool_open(struct worker_pool **pool, struct threads *threads,
                                        unsigned thread_count, unsigned max_waiting,
                                        struct error *err);
/* Runs what waits, then ends the threads. Accepts NULL. */
void worker_pool_close(struct worker_pool *pool);

/* BUSY when the queue is full, UNAVAILABLE while closing: then the item was not taken. */
MUST_CHECK enum status worker_pool_submit(struct worker_pool *pool, struct work_item *item,
                                          struct error *err);

void worker_pool_stats(struct worker_pool *pool, struct worker_pool_stats *stats);

#endif
