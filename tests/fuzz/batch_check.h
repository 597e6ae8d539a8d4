/*
 * batch_check - what must hold of every batch that a parser made, whatever the input.
 */
#ifndef METRIC_STORE_TESTS_FUZZ_BATCH_CHECK_H
#define METRIC_STORE_TESTS_FUZZ_BATCH_CHECK_H

#include "base/invariant.h"
#include "base/times.h"
#include "base/utf8.h"
#include "model/batch.h"

static inline void batch_check(const struct batch *batch)
{
    for (size_t i = 0; i < batch->sample_count; i++) {
        invariant(batch->sample_series[i] < batch->series_count);
        invariant(batch->sample_times[i] >= TIME_MIN_MS && batch->sample_times[i] < TIME_MAX_MS);
    }
    invariant(batch->rejection_count <= batch->rejected);
    for (size_t i = 0; i < batch->rejection_count; i++) {
        invariant(batch->rejections[i].code != NULL);
        invariant(utf8_valid(batch->rejections[i].metric));
    }
    for (size_t i = 0; i < batch->metric_count; i++) {
        const struct metric *metric = &batch->metrics[i];
        invariant(metric->name.size > 0 && metric->name.size <= METRIC_NAME_MAX_SIZE);
        invariant(metric->unit.size <= METRIC_UNIT_MAX_SIZE);
        invariant(metric->help.size <= METRIC_HELP_MAX_SIZE);
        invariant(utf8_valid(metric->name) && utf8_valid(metric->unit));
        invariant(utf8_valid(metric->help));
        invariant(!slice_has_nul(metric->name) && !slice_has_nul(metric->unit));
        invariant(!slice_has_nul(metric->help));
    }
}

/* What storage does with a series it has never seen. */
static inline void batch_check_labels(const struct batch *batch)
{
    for (size_t i = 0; i < batch->series_count; i++) {
        struct arena arena;
        struct labels labels;
        struct error err;
        arena_init(&arena, (size_t)16 << 20);
        enum status status = batch->decode_labels(batch->series[i].raw, &arena, &labels, &err);
        invariant(status == STATUS_OK || status == STATUS_LIMIT);
        if (status == STATUS_OK)
            status = labels_canonicalise(&labels, &err);
        invariant(status == STATUS_OK || err.code != NULL);
        arena_release(&arena);
    }
}

#endif
