#include "storage/engine/narrowing.h"

#include <stdlib.h>

#include "storage/engine/lookup.h"

/* Fewer are looked for one by one. */
enum { WORTH_IT = 1024 };

static bool overlaps(const struct manifest_part *part, struct time_range range)
{
    return part->min_ms < range.end_ms && part->max_ms >= range.start_ms;
}

/* CORRUPT: nobody knows what is in a part. */
static enum status add_parts(roaring_bitmap_t *in_use, const struct version *version,
                             struct time_range range, struct error *err)
{
    for (size_t i = 0; i < version->part_count; i++) {
        if (!overlaps(&version->parts[i]->info, range))
            continue;
        roaring_bitmap_t *series;
        enum status status = part_series(version->parts[i]->part, &series, err);
        if (status != STATUS_OK)
            return status;
        roaring_bitmap_or_inplace(in_use, series);
        roaring_bitmap_free(series);
    }
    return STATUS_OK;
}

static bool is_worth_it(const struct version *version, const roaring_bitmap_t *matched,
                        struct time_range range)
{
    if (roaring_bitmap_get_cardinality(matched) < WORTH_IT)
        return false;
    for (size_t i = 0; i < version->part_count; i++)
        if (!overlaps(&version->parts[i]->info, range))
            return true;
    return false;
}

enum status narrowing_make(struct narrowing *narrowing, struct engine *engine,
                           const roaring_bitmap_t *matched, struct time_range range,
                           struct error *err)
{
    *narrowing = (struct narrowing){0};
    struct version *version = engine_version(engine);
    narrowing->version = version;
    enum status status = STATUS_OK;
    if (is_worth_it(version, matched, range)) {
        narrowing->in_use = roaring_bitmap_create();
        struct error why = {0};
        status = narrowing->in_use == NULL ? fail(&why, STATUS_MEMORY, "no memory for a query")
                                           : add_parts(narrowing->in_use, version, range, &why);
        if (status == STATUS_OK) {
            engine_head_series(engine, version->active, narrowing->in_use);
            if (version->sealed != NULL)
                engine_head_series(engine, version->sealed, narrowing->in_use);
        } else if (status == STATUS_CORRUPT) {
            /* Reading the part will say so. */
            narrowing_release(narrowing);
            status = STATUS_OK;
        } else {
            status = fail(err, status, "%s", why.message);
        }
    }
    return status;
}

void narrowing_release(struct narrowing *narrowing)
{
    if (narrowing->in_use != NULL)
        roaring_bitmap_free(narrowing->in_use);
    version_release(narrowing->version);
    *narrowing = (struct narrowing){0};
}

bool narrowing_holds(const struct narrowing *narrowing, struct engine *engine,
                     const roaring_bitmap_t *matched)
{
    if (narrowing->in_use == NULL)
        return true;
    /* All samples that came since are in the active head, if it is still the same one. */
    struct version *newest = engine_version(engine);
    bool same = newest->active == narrowing->version->active;
    version_release(newest);
    if (!same)
        return false;
    const struct head *head = narrowing->version->active->head;
    for (uint32_t id = head_next_series(head, 0); id != UINT32_MAX;
         id = head_next_series(head, id + 1))
        if (!roaring_bitmap_contains(narrowing->in_use, id) && roaring_bitmap_contains(matched, id))
            return false;
    return true;
}
