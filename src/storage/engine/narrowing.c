#include "storage/engine/narrowing.h"

#include <stdlib.h>

#include "storage/engine/lookup.h"

/* Fewer are looked for one by one. */
enum { WORTH_IT = 1024 };

static bool overlaps(const struct manifest_part *part, struct time_range range)
{
    return part->min_ms < range.end_ms && part->max_ms >= range.start_ms;
}

static bool comes_before(const struct part_ref *left, const struct part_ref *right)
{
    return left->info.day != right->info.day ? left->info.day < right->info.day
                                             : left->info.min_sequence < right->info.min_sequence;
}

/* Of the parts that `before` (may be NULL) does not have. CORRUPT: nobody knows what is in one. */
static enum status add_parts(roaring_bitmap_t *in_use, const struct version *version,
                             const struct version *before, struct time_range range,
                             const struct patience *patience, struct error *err)
{
    size_t at = 0;
    for (size_t i = 0; i < version->part_count; i++) {
        const struct part_ref *part = version->parts[i];
        while (before != NULL && at < before->part_count && comes_before(before->parts[at], part))
            at++;
        bool known = before != NULL && at < before->part_count && before->parts[at] == part;
        if (known || !overlaps(&part->info, range))
            continue;
        roaring_bitmap_t *series;
        enum status status = patience_check(patience, err);
        if (status == STATUS_OK)
            status = part_series(part->part, &series, err);
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

/* What `version` has besides what the one before had. Takes over the reference on it. */
static enum status add_version(struct narrowing *narrowing, struct engine *engine,
                               struct version *version, struct time_range range,
                               const struct patience *patience, struct error *err)
{
    struct version *before = narrowing->version;
    narrowing->version = version;
    struct error why = {0};
    enum status status = add_parts(narrowing->in_use, version, before, range, patience, &why);
    version_release(before);
    if (status == STATUS_CORRUPT) {
        /* Reading the part will say so. */
        narrowing_release(narrowing);
        return STATUS_OK;
    }
    if (status != STATUS_OK) {
        if (err != NULL)
            *err = why;
        return status;
    }
    engine_head_series(engine, version->active, narrowing->in_use);
    if (version->sealed != NULL)
        engine_head_series(engine, version->sealed, narrowing->in_use);
    return STATUS_OK;
}

enum status narrowing_make(struct narrowing *narrowing, struct engine *engine,
                           const roaring_bitmap_t *matched, struct time_range range,
                           const struct patience *patience, struct error *err)
{
    *narrowing = (struct narrowing){0};
    struct version *version = engine_version(engine);
    if (!is_worth_it(version, matched, range)) {
        version_release(version);
        return STATUS_OK;
    }
    narrowing->in_use = roaring_bitmap_create();
    if (narrowing->in_use == NULL) {
        version_release(version);
        return fail(err, STATUS_MEMORY, "no memory for a query");
    }
    return add_version(narrowing, engine, version, range, patience, err);
}

enum status narrowing_update(struct narrowing *narrowing, struct engine *engine,
                             struct version *version, struct time_range range,
                             const struct patience *patience, struct error *err)
{
    if (narrowing->in_use == NULL)
        return STATUS_OK;
    return add_version(narrowing, engine, version_acquire(version), range, patience, err);
}

void narrowing_release(struct narrowing *narrowing)
{
    if (narrowing->in_use != NULL)
        roaring_bitmap_free(narrowing->in_use);
    version_release(narrowing->version);
    *narrowing = (struct narrowing){0};
}
