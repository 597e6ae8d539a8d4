/*
 * retention - days that are older than retention.default are dropped whole.
 */
#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/engine_internal.h"

/* A day goes once its last moment is older than the retention. */
static bool expired(const struct engine *engine, int64_t day, int64_t now_ms)
{
    int64_t keep_ms = atomic_load(&engine->retention_ms);
    return keep_ms > 0 && (day + 1) * MS_PER_DAY <= now_ms - keep_ms;
}

static enum status publish_rest(struct engine *engine, struct version *version, int64_t now_ms,
                                struct error *err)
{
    struct part_ref **parts = malloc((version->part_count + 1) * sizeof parts[0]);
    if (parts == NULL)
        return fail(err, STATUS_MEMORY, "no memory to drop old days");
    size_t kept = 0;
    for (size_t i = 0; i < version->part_count; i++)
        if (!expired(engine, version->parts[i]->info.day, now_ms))
            parts[kept++] = version->parts[i];
    enum status status = engine_publish(engine, parts, kept, false, err);
    free(parts);
    return status;
}

/* Days that parts or heads still have. */
static void refresh_days(struct engine *engine, const struct version *version, int64_t now_ms)
{
    rwlock_write(&engine->series_lock);
    struct day_set kept = {0};
    bool complete = true;
    for (size_t i = 0; i < engine->days.count; i++)
        if (!expired(engine, engine->days.days[i], now_ms))
            complete = complete && day_set_add(&kept, engine->days.days[i]) == STATUS_OK;
    if (complete) {
        day_set_release(&engine->days);
        engine->days = kept;
    } else {
        day_set_release(&kept);
    }
    rwlock_unlock(&engine->series_lock);
    (void)version;
}

enum status engine_retention_step(struct engine *engine, bool *did, struct error *err)
{
    struct version *version = engine_version(engine);
    int64_t now_ms = clock_wall_ms(engine->os.clock);
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    size_t dropped = 0;
    int64_t days = 0;
    int64_t last_day = INT64_MIN;
    for (size_t i = 0; i < version->part_count; i++) {
        const struct manifest_part *info = &version->parts[i]->info;
        if (!expired(engine, info->day, now_ms))
            continue;
        manifest_remove_part(&edit, info->id);
        dropped++;
        days += info->day != last_day;
        last_day = info->day;
    }
    *did = dropped > 0;
    enum status status = STATUS_OK;
    if (dropped > 0) {
        status = manifest_commit(engine->manifest, &edit, err);
        if (status == STATUS_OK) {
            invariant(publish_rest(engine, version, now_ms, err) == STATUS_OK);
            for (size_t i = 0; i < version->part_count; i++)
                if (expired(engine, version->parts[i]->info.day, now_ms))
                    atomic_store(&version->parts[i]->doomed, true);
            refresh_days(engine, version, now_ms);
            atomic_fetch_add(&engine->counters.chunks_dropped, (uint64_t)days);
            log_event(engine->log, LOG_INFO, "engine", "days beyond retention dropped",
                      log_int("days", days), log_int("parts", (int64_t)dropped));
        }
    }
    manifest_edit_release(&edit);
    version_release(version);
    return status;
}
