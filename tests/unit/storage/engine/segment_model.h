/*
 * segment_model - what a series segment holds, as plain arrays, and what each call of
 * storage/engine/series_segment.h has to answer then.
 */
#ifndef METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_SEGMENT_MODEL_H
#define METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_SEGMENT_MODEL_H

#include "storage/engine/series_segment.h"

struct model_series {
    uint32_t id, metric;
    struct labels labels; /* owned, with all text */
    struct series_key key;
};

struct model_pair {
    struct slice name, value;
    uint32_t id;
};

struct segment_model {
    uint64_t seed;               /* of the keys */
    struct model_series *series; /* by id */
    size_t count;
    struct model_pair *pairs; /* one a series: by name, value, id; made by segment_model_finish */
    size_t pair_count;
    struct model_series **by_key;
};

void segment_model_init(struct segment_model *model, uint64_t seed);
void segment_model_release(struct segment_model *model);
/* Copies canonical `labels`. Ids rise. */
void segment_model_add(struct segment_model *model, uint32_t id, uint32_t metric,
                       const struct labels *labels);
/* After the last add. */
void segment_model_finish(struct segment_model *model);

/* Label sets of every kind: shared, unique and long values, prefixes of each other, UTF-8; ids with
 * gaps from `first_id` on, the last one below or at `last_id`. */
void segment_model_fill(struct segment_model *model, uint64_t seed, size_t count, uint32_t first_id,
                        uint32_t last_id, bool long_values);
/* As segment_model_add, of labels of series `from`, those of an id in `without` (may be NULL) left
 * out. */
void segment_model_copy(struct segment_model *model, const struct segment_model *from,
                        const roaring_bitmap_t *without);

MUST_CHECK enum status segment_model_write(const struct segment_model *model, struct filesystem *fs,
                                           const char *path, uint64_t segment_id,
                                           struct series_segment_stats *stats, struct error *err);

/* The first answer of `segment` that is not the model's, as text in `wrong`; false then. */
bool segment_model_agrees(const struct segment_model *model, const struct series_segment *segment,
                          char wrong[512]);

#endif
