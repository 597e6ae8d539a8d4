/*
 * warm - a day that ended longer ago than tiers.warm_after is written once more, with blocks four
 * times as large, and all of it as one part up to WARM_PART_BYTES; above that as several, each a
 * stretch of the sequence, since only neighbours in sequence may be merged.
 *
 * What comes late for such a day becomes hot parts beside the warm ones. They join them when the
 * largest part of the stretch is at most twice all others: so for each byte that comes late no more
 * than three are written, however much the day holds. Parts that were flushed only lately wait a
 * while for others, so that a backfill does not have its days written again with every flush.
 *
 * Days are old by the time that retention believes (retention.h): a clock that leaps must not have
 * all of them written again.
 *
 * The manifest says of every part whether it is warm; nothing else is remembered, and whatever a
 * crash cut short is chosen again.
 */
#include "base/times.h"
#include "storage/engine/engine_internal.h"

#define WARM_PART_BYTES (UINT64_C(1) << 30)

/* Neighbours that may become one part. */
struct stretch {
    size_t start, count;
    size_t hot;
    uint64_t bytes, largest;
    int64_t since_ns; /* of the oldest hot part */
};

static bool takes(const struct stretch *stretch, const struct part_ref *part)
{
    return stretch->count == 0 || (stretch->count < MERGE_SOURCES_MAX &&
                                   stretch->bytes + part->info.bytes <= WARM_PART_BYTES);
}

static void take(struct stretch *stretch, const struct part_ref *part)
{
    stretch->count++;
    stretch->bytes += part->info.bytes;
    if (part->info.bytes > stretch->largest)
        stretch->largest = part->info.bytes;
    if (part->info.tier != PART_HOT)
        return;
    if (stretch->hot == 0 || part->since_ns < stretch->since_ns)
        stretch->since_ns = part->since_ns;
    stretch->hot++;
}

/* From `at` on, of one day. Empty where a part stands that may not be merged. */
static struct stretch stretch_at(struct engine *engine, const struct version *version, size_t at)
{
    struct stretch stretch = {.start = at};
    int64_t day = version->parts[at]->info.day;
    for (; at < version->part_count && version->parts[at]->info.day == day &&
           engine_may_merge(version->parts[at]) && takes(&stretch, version->parts[at]) &&
           (stretch.count == 0 || !engine_gap_before(engine, version, at));
         at++)
        take(&stretch, version->parts[at]);
    return stretch;
}

static bool is_due(const struct engine *engine, const struct stretch *stretch)
{
    if (stretch->hot > 0 && stretch->since_ns != 0 &&
        clock_monotonic_ns(engine->os.clock) - stretch->since_ns <
            engine->options.warm_rest_ms * 1000000)
        return false;
    /* So many did not come late: the day had more parts than one step takes. */
    if (stretch->hot == stretch->count || stretch->hot >= MERGE_SOURCES_MAX / 2)
        return stretch->count > 0;
    return stretch->largest <= 2 * (stretch->bytes - stretch->largest);
}

enum status engine_warm_step(struct engine *engine, bool *did, struct error *err)
{
    *did = false;
    int64_t after_ms = atomic_load(&engine->warm_after_ms);
    if (after_ms <= 0)
        return STATUS_OK;
    int64_t before_ms = engine_retention_time(engine) - after_ms;
    struct version *version = engine_version(engine);
    enum status status = STATUS_OK;
    for (size_t at = 0; !*did && at < version->part_count;) {
        if ((version->parts[at]->info.day + 1) * MS_PER_DAY > before_ms)
            break;
        struct stretch stretch = stretch_at(engine, version, at);
        *did = is_due(engine, &stretch);
        if (*did)
            status =
                engine_merge_parts(engine, version, stretch.start, stretch.count, PART_WARM, err);
        at += stretch.count > 0 ? stretch.count : 1;
    }
    if (!*did)
        version_release(version);
    return status;
}
