#include "admission/rate.h"

#include <stdlib.h>

#include "base/invariant.h"

enum { SLOTS = 4096, WINDOW = 8 };
static const int64_t NS_PER_S = 1000000000;
/* A nanosecond brings a whole number of its parts, so that however often it is asked, nothing gets
 * lost. */
static const uint64_t TOKEN = 1000000000;

struct rate_table {
    struct rate_bucket buckets[SLOTS + WINDOW - 1];
};

enum status rate_table_new(struct rate_table **table)
{
    *table = calloc(1, sizeof **table);
    return *table == NULL ? STATUS_MEMORY : STATUS_OK;
}

void rate_table_free(struct rate_table *table)
{
    free(table);
}

struct rate_bucket *rate_table_find(struct rate_table *table, uint64_t key)
{
    struct rate_bucket *window = &table->buckets[key % SLOTS];
    struct rate_bucket *oldest = &window[0];
    for (int i = 0; i < WINDOW; i++) {
        if (window[i].updated_ns != 0 && window[i].key == key)
            return &window[i];
        if (window[i].updated_ns < oldest->updated_ns)
            oldest = &window[i];
    }
    *oldest = (struct rate_bucket){.key = key};
    return oldest;
}

bool rate_has(struct rate_bucket *bucket, uint64_t per_second, int64_t now_ns)
{
    invariant(per_second <= RATE_MAX);
    uint64_t most = per_second * TOKEN;
    int64_t passed_ns = now_ns - bucket->updated_ns;
    if (bucket->updated_ns == 0 || passed_ns >= NS_PER_S) {
        bucket->tokens = most;
    } else if (passed_ns > 0) {
        bucket->tokens += (uint64_t)passed_ns * per_second;
    }
    if (bucket->tokens > most)
        bucket->tokens = most;
    if (bucket->updated_ns == 0 || passed_ns > 0)
        bucket->updated_ns = now_ns == 0 ? 1 : now_ns;
    return bucket->tokens >= TOKEN;
}

void rate_take(struct rate_bucket *bucket)
{
    invariant(bucket->tokens >= TOKEN);
    bucket->tokens -= TOKEN;
}
