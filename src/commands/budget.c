#include "commands/budget.h"

#include <assert.h>

enum { WHOLE = 128 };

enum {
    HEADS = 28,
    SERIES = 20,
    ACTIVE_SERIES = 16,
    REFUSALS = 4,
    EVIDENCE = 4,
    RAW_CACHE = 8,
    PART_INDEXES = 4,
    TOMBSTONES = 2,
    BODIES = 11,
    BATCHES = 11,
    QUERIES = 16,
    MERGES = 4
};

static_assert(HEADS + SERIES + ACTIVE_SERIES + REFUSALS + EVIDENCE + RAW_CACHE + PART_INDEXES +
                      TOMBSTONES + BODIES + BATCHES + QUERIES + MERGES ==
                  WHOLE,
              "no memory is given twice, and none to nobody");

uint64_t budget_share(uint64_t memory_bytes, enum budget_owner owner)
{
    static const uint64_t parts[BUDGET_OWNERS] = {
        [BUDGET_HEADS] = HEADS,
        [BUDGET_SERIES] = SERIES,
        [BUDGET_ACTIVE_SERIES] = ACTIVE_SERIES,
        [BUDGET_REFUSALS] = REFUSALS,
        [BUDGET_EVIDENCE] = EVIDENCE,
        [BUDGET_RAW_CACHE] = RAW_CACHE,
        [BUDGET_PART_INDEXES] = PART_INDEXES,
        [BUDGET_TOMBSTONES] = TOMBSTONES,
        [BUDGET_BODIES] = BODIES,
        [BUDGET_BATCHES] = BATCHES,
        [BUDGET_QUERIES] = QUERIES,
        [BUDGET_MERGES] = MERGES,
    };
    return memory_bytes / WHOLE * parts[owner];
}
