/*
 * hyperloglog - about how many different hashes were added, in 3 KiB however many they are.
 *
 * 4096 registers of 6 bits (Flajolet, Fusy, Gandouet, Meunier: HyperLogLog, 2007), each the
 * greatest rank of a first one bit among the hashes that fell to it; the estimate is the improved
 * raw estimator of O. Ertl, New cardinality estimation algorithms for HyperLogLog sketches
 * (arXiv:1702.01284, 2017), which is right for small numbers too, without tables. Its standard
 * error is 1.04 / sqrt(4096) = 1.6 %. Up to HYPERLOGLOG_FEW hashes are kept as they are and counted
 * exactly, and take nothing from the heap.
 *
 * Threads: the owner's lock.
 */
#ifndef METRIC_STORE_ADMISSION_HYPERLOGLOG_H
#define METRIC_STORE_ADMISSION_HYPERLOGLOG_H

#include <stddef.h>

#include "base/status.h"

enum { HYPERLOGLOG_FEW = 16 };

/* One of zeros is empty. */
struct hyperloglog {
    uint8_t *registers; /* NULL while there are few */
    uint32_t few_count;
    uint64_t few[HYPERLOGLOG_FEW];
};

void hyperloglog_release(struct hyperloglog *counter); /* and it is empty again */

/* `hash` is of a keyed hash: whoever can choose hashes can choose the estimate. MEMORY: it is not
 * counted, and the rest stays as it was. */
MUST_CHECK enum status hyperloglog_add(struct hyperloglog *counter, uint64_t hash);

/* `into` becomes what it were with all of `from` added too, whose hashes have the same key.
 * MEMORY: it is as before. */
MUST_CHECK enum status hyperloglog_merge(struct hyperloglog *into, const struct hyperloglog *from);

uint64_t hyperloglog_estimate(const struct hyperloglog *counter);

size_t hyperloglog_memory(const struct hyperloglog *counter); /* on the heap, bytes */

#endif
