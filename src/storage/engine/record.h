/*
 * record - the payloads of the log's records, which index segments use too.
 * Format: docs/formats/records.md.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_RECORD_H
#define METRIC_STORE_STORAGE_ENGINE_RECORD_H

#include <roaring/roaring.h>

#include "base/bytes.h"
#include "model/metric.h"
#include "model/time_range.h"
#include "storage/engine/activity.h"
#include "storage/engine/series_table.h"

enum record_type {
    RECORD_SERIES = 1,   /* definitions: id, metric id, labels */
    RECORD_SAMPLES = 2,  /* (series id, time, value) in columns */
    RECORD_METRICS = 3,  /* descriptors */
    RECORD_DELETE = 4,   /* series, range: a tombstone */
    RECORD_ACTIVITY = 5, /* series ids, their metrics, and when they were last received */
    RECORD_ARRIVAL = 6,  /* when the samples behind it were received */
};

enum {
    /* A samples record stays under the log's 1 MiB: 10 + 10 + 8 bytes a sample at the worst. */
    RECORD_MAX_SAMPLES = 32 * 1024,
    RECORD_MAX_SERIES = 16 * 1024,
    RECORD_MAX_SIZE = 1024 * 1024,
};

/* ---- samples ---- */

MUST_CHECK enum status record_put_samples(struct bytes *to, const uint32_t *ids,
                                          const int64_t *times, const double *values, size_t count);
/* Decodes into arrays with room for RECORD_MAX_SAMPLES. */
MUST_CHECK enum status record_get_samples(struct slice record, uint32_t *ids, int64_t *times,
                                          double *values, size_t *count, struct error *err);

/* ---- series ---- */

/* Appends one record that defines the first series of `ids`: as many as fit; *taken says how many
 * (at least one). Labels larger than a record's limit cannot exist (LABELS_MAX_SIZE is a
 * LIMIT here only with its framing: then the record is larger than RECORD_MAX_SIZE). */
MUST_CHECK enum status record_put_series(struct bytes *to, const struct series_table *table,
                                         const uint32_t *ids, size_t count, size_t *taken);
/* Restores every definition of the record into `table`. CORRUPT; what was restored stays. */
MUST_CHECK enum status record_restore_series(struct slice record, struct series_table *table,
                                             size_t *count, struct error *err);

/* ---- deletes ---- */

/* Ids of one record, so that it stays under the log's limit: those that have this part of their
 * bits in common. */
enum { RECORD_DELETE_ID_BITS = 22 };

/* `sequence` is 0 in the log, where the order tells it. */
MUST_CHECK enum status record_put_delete(struct bytes *to, uint64_t sequence,
                                         struct time_range range, const roaring_bitmap_t *ids);
struct record_delete {
    uint64_t sequence;
    struct time_range range;
    roaring_bitmap_t
        *ids; /* of record_get_delete: ended by roaring_bitmap_free; NULL after a failure */
};

MUST_CHECK enum status record_get_delete(struct slice record, struct record_delete *delete,
                                         struct error *err);

/* ---- activity ---- */

/* Ids that rise; at most RECORD_MAX_ACTIVE. Each was received within `step_s` of its arrival. */
enum { RECORD_MAX_ACTIVE = 32 * 1024 };
MUST_CHECK enum status record_put_activity(struct bytes *to, const struct activity_entry *entries,
                                           size_t count, uint32_t step_s);
typedef enum status record_visit_active(void *context, const struct activity_entry *entry,
                                        uint32_t step_s, struct error *err);
MUST_CHECK enum status record_get_activity(struct slice record, record_visit_active *visit,
                                           void *context, struct error *err);

MUST_CHECK enum status record_put_arrival(struct bytes *to, uint32_t arrival_s);
MUST_CHECK enum status record_get_arrival(struct slice record, uint32_t *arrival_s,
                                          struct error *err);

/* ---- metrics ---- */

MUST_CHECK enum status record_put_metric(struct bytes *to, const struct metric *metric);
typedef enum status record_visit_metric(void *context, const struct metric *metric,
                                        struct error *err);
/* A metrics record is any number of descriptors one after the other. */
MUST_CHECK enum status record_get_metrics(struct slice record, record_visit_metric *visit,
                                          void *context, struct error *err);

#endif
