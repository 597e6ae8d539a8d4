/*
 * retention - days that are older than retention.default are dropped whole.
 */
#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/engine_internal.h"

/* A day goes once its last moment is older than the retention. */
static bool expired(int64_t day, int64_t keep_from_ms)
{
    return (day + 1) * MS_PER_DAY <= keep_from_ms;
}

static void forget_days(struct engine *engine, int64_t keep_from_ms)
{
    rwlock_write(&engine->series_lock);
    struct day_set kept = {0};
    bool complete = true;
    for (size_t i = 0; i < engine->days.count; i++)
        if (!expired(engine->days.days[i], keep_from_ms))
            complete = complete && day_set_add(&kept, engine->days.days[i]) == STATUS_OK;
    if (complete) {
        day_set_release(&engine->days);
        engine->days = kept;
    } else {
        day_set_release(&kept);
    }
    rwlock_unlock(&engine->series_lock);
}

static enum status drop(struct engine *engine, struct part_ref *const *parts, size_t count,
                        int64_t keep_from_ms, struct error *err)
{
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    struct parts_change change = {.removed = parts, .removed_count = count};
    enum status status = engine_publish(engine, &edit, &change, err);
    manifest_edit_release(&edit);
    if (status != STATUS_OK)
        return status;
    forget_days(engine, keep_from_ms);
    engine->reclaim.due = true;
    int64_t days = 0;
    for (size_t i = 0; i < count; i++)
        days += i == 0 || parts[i]->info.day != parts[i - 1]->info.day;
    atomic_fetch_add(&engine->counters.chunks_dropped, (uint64_t)days);
    log_event(engine->log, LOG_INFO, "engine", "days beyond retention dropped",
              log_int("days", days), log_int("parts", (int64_t)count));
    return STATUS_OK;
}

enum status engine_retention_step(struct engine *engine, bool *did, struct error *err)
{
    *did = false;
    /* Looked at once: both may change meanwhile, and what goes must be one and the same set. */
    int64_t keep_ms = atomic_load(&engine->retention_ms);
    if (keep_ms <= 0)
        return STATUS_OK;
    int64_t keep_from_ms = clock_wall_ms(engine->os.clock) - keep_ms;
    struct version *version = engine_version(engine);
    /* By day: the expired ones come first. */
    size_t count = 0;
    while (count < version->part_count && expired(version->parts[count]->info.day, keep_from_ms))
        count++;
    *did = count > 0;
    enum status status =
        count > 0 ? drop(engine, version->parts, count, keep_from_ms, err) : STATUS_OK;
    version_release(version);
    return status;
}
