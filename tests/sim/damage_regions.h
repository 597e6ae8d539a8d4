/*
 * damage_regions - what the bytes of a store's files are, and what damage to them may cost; the
 * table stands in docs/ENGINE.md.
 */
#ifndef METRIC_STORE_TESTS_SIM_DAMAGE_REGIONS_H
#define METRIC_STORE_TESTS_SIM_DAMAGE_REGIONS_H

#include "damage_world.h"

enum region_kind {
    REGION_PART_HEADER,
    REGION_PART_VALUES,
    REGION_PART_TIMES,
    REGION_PART_PAGE,
    REGION_PART_SET,
    REGION_PART_INDEX,
    REGION_PART_TRAILER,
    REGION_SEGMENT_HEADER,
    REGION_SEGMENT_DEFINITIONS,
    REGION_SEGMENT_METRIC_IDS,
    REGION_SEGMENT_SETS,
    REGION_SEGMENT_VALUES,
    REGION_SEGMENT_ZEROS,
    REGION_SEGMENT_KEYS,
    REGION_SEGMENT_DIRECTORIES,
    REGION_SEGMENT_TRAILER,
    REGION_DESCRIPTORS,
    REGION_DELETES,
    REGION_MANIFEST,
    REGION_LOG_HEADER,
    REGION_LOG_FRAMES,
    REGION_LOG_REST,
    REGION_KINDS
};

const char *region_name(enum region_kind kind);

/* Samples of one series, both ends included. */
struct span {
    uint32_t series; /* its number */
    int64_t first_ms, last_ms;
};

struct region {
    enum region_kind kind;
    size_t file; /* of the world's */
    uint64_t from, size;
    size_t first_span, span_count; /* of the regions' spans */
};

struct regions {
    const struct world *world;
    struct region *items;
    size_t count, capacity;
    struct span *spans;
    size_t span_count, span_capacity;
    uint32_t *numbers; /* of series, by id */
    size_t number_count;
};

/* Of the files of a whole world. Ended by regions_release. */
void regions_make(struct regions *regions, const struct world *world);
void regions_release(struct regions *regions);

/* How bad damage to one region may be. */
struct bound {
    bool samples;        /* its spans may be missing */
    bool commit;         /* what one commit wrote, and all else of series that it defines */
    bool may_be_partial; /* answers about samples */
    bool matchers_may_be_partial;
};

struct bound region_bound(enum region_kind kind, bool read_only);

/* Whether of the living samples `told` lacks only what damage to these regions may cost. */
bool regions_allow(const struct regions *regions, const struct region *const *damaged, size_t count,
                   bool read_only, const struct ledger *told, char why[FIXTURE_WHY_SIZE]);

#endif
