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

static enum status publish_rest(struct engine *engine, struct version *version,
                                int64_t keep_from_ms, struct error *err)
{
    struct part_ref **parts = malloc((version->part_count + 1) * sizeof parts[0]);
    if (parts == NULL)
        return fail(err, STATUS_MEMORY, "no memory to drop old days");
    size_t kept = 0;
    for (size_t i = 0; i < version->part_count; i++)
        if (!expired(version->parts[i]->info.day, keep_from_ms))
            parts[kept++] = version->parts[i];
    enum status status = engine_publish(engine, parts, kept, false, err);
    free(parts);
    return status;
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

enum status engine_retention_step(struct engine *engine, bool *did, struct error *err)
{
    *did = false;
    /* Looked at once: both may change meanwhile, and what goes must be one and the same set. */
    int64_t keep_ms = atomic_load(&engine->retention_ms);
    if (keep_ms <= 0)
        return STATUS_OK;
    int64_t keep_from_ms = clock_wall_ms(engine->os.clock) - keep_ms;
    struct version *version = engine_version(engine);
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    size_t dropped = 0;
    int64_t days = 0;
    int64_t last_day = INT64_MIN;
    for (size_t i = 0; i < version->part_count; i++) {
        const struct manifest_part *info = &version->parts[i]->info;
        if (!expired(info->day, keep_from_ms))
            continue;
        manifest_remove_part(&edit, info->id);
        dropped++;
        days += info->day != last_day;
        last_day = info->day;
    }
    *did = dropped > 0;
    enum status status = STATUS_OK;
    if (dropped > 0) {
        status = engine_commit_manifest(engine, &edit, err);
        if (status == STATUS_OK) {
            invariant(publish_rest(engine, version, keep_from_ms, err) == STATUS_OK);
            for (size_t i = 0; i < version->part_count; i++)
                if (expired(version->parts[i]->info.day, keep_from_ms))
                    atomic_store(&version->parts[i]->doomed, true);
            forget_days(engine, keep_from_ms);
            atomic_fetch_add(&engine->counters.chunks_dropped, (uint64_t)days);
            log_event(engine->log, LOG_INFO, "engine", "days beyond retention dropped",
                      log_int("days", days), log_int("parts", (int64_t)dropped));
        }
    }
    manifest_edit_release(&edit);
    version_release(version);
    return status;
}
