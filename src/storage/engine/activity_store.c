#include "storage/engine/activity_store.h"

#include <stdlib.h>

#include "base/times.h"
#include "storage/engine/lookup.h"

enum { AT_ONCE = 4096 };

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory to count active series");
}

/* ---- time ------------------------------------------------------------------------------- */

/* A leap of the wall clock while the store is open neither frees places nor keeps them. */
static uint32_t arrival_now(const struct engine *engine)
{
    int64_t passed_ns = clock_monotonic_ns(engine->os.clock) - engine->arrivals_begin.monotonic_ns;
    int64_t now_s = engine->arrivals_begin.wall_s + passed_ns / 1000000000;
    return now_s < 0 ? 0 : now_s > ACTIVITY_LAST_S ? ACTIVITY_LAST_S : (uint32_t)now_s;
}

static void note_step(struct engine *engine)
{
    atomic_store_explicit(&engine->next_step_s, engine->activity.now_s + engine->activity.step_s,
                          memory_order_relaxed);
}

void engine_activity_begin(struct engine *engine)
{
    engine->arrivals_begin.wall_s = clock_wall_ms(engine->os.clock) / 1000;
    engine->arrivals_begin.monotonic_ns = clock_monotonic_ns(engine->os.clock);
    int64_t window_ms = engine->options.window_ms;
    activity_init(&engine->activity, window_ms == 0 ? MS_PER_DAY : window_ms, arrival_now(engine));
    note_step(engine);
}

uint32_t engine_activity_advance(struct engine *engine)
{
    uint32_t now_s = arrival_now(engine);
    if (now_s < atomic_load_explicit(&engine->next_step_s, memory_order_relaxed))
        return now_s;
    rwlock_write(&engine->series_lock);
    activity_advance(&engine->activity, now_s);
    note_step(engine);
    rwlock_unlock(&engine->series_lock);
    return now_s;
}

void engine_activity_step(struct engine *engine)
{
    bool more = true;
    engine_activity_advance(engine);
    while (more) {
        rwlock_write(&engine->series_lock);
        more = activity_expire(&engine->activity, NULL, NULL);
        rwlock_unlock(&engine->series_lock);
    }
}

void engine_set_window(struct tier *tier, int64_t window_ms)
{
    struct engine *engine = engine_of(tier);
    rwlock_write(&engine->series_lock);
    activity_set_window(&engine->activity, window_ms, arrival_now(engine));
    note_step(engine);
    rwlock_unlock(&engine->series_lock);
}

/* The clock stood still, or was set back, while the store was closed. */
static void go_on_from(struct engine *engine, uint32_t arrival_s)
{
    activity_advance(&engine->activity, arrival_s);
    if (engine->activity.now_s > arrival_now(engine))
        engine->arrivals_begin.wall_s += engine->activity.now_s - arrival_now(engine);
    note_step(engine);
}

/* ---- what the log says ------------------------------------------------------------------ */

void arrivals_init(struct replayed_arrivals *arrivals, const struct engine *engine)
{
    /* Logs of earlier versions do not say when: then it was now. */
    *arrivals = (struct replayed_arrivals){.arrival_s = engine->activity.now_s};
}

void arrivals_release(struct replayed_arrivals *arrivals)
{
    number_array_release(&arrivals->times_s);
}

enum status arrivals_note(struct replayed_arrivals *arrivals, const uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (number_array_reach(&arrivals->times_s, ids[i]) != STATUS_OK)
            return STATUS_MEMORY;
        arrivals->times_s.items[ids[i]] = arrivals->arrival_s;
    }
    return STATUS_OK;
}

/* Ids that rise; those whose metric nobody knows are left out. */
static enum status restore(struct engine *engine, const uint32_t *ids, const uint32_t *times_s,
                           size_t count, struct error *err)
{
    uint32_t metrics[AT_ONCE];
    bool partial = false;
    uint32_t latest_s = 0;
    enum status status = engine_metrics_of(engine, NULL, ids, count, metrics, &partial, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        if (metrics[i] != METRIC_ID_NONE && times_s[i] > latest_s)
            latest_s = times_s[i];
    go_on_from(engine, latest_s);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        if (metrics[i] != METRIC_ID_NONE)
            status = activity_restore(&engine->activity, ids[i], metrics[i], times_s[i], 1);
    return status == STATUS_MEMORY ? no_memory(err) : status;
}

enum status arrivals_apply(struct replayed_arrivals *arrivals, struct engine *engine,
                           struct error *err)
{
    enum status status = STATUS_OK;
    uint32_t ids[AT_ONCE];
    uint32_t times_s[AT_ONCE];
    size_t count = 0;
    for (size_t id = 0; id < arrivals->times_s.count && status == STATUS_OK; id++) {
        if (arrivals->times_s.items[id] == 0)
            continue;
        ids[count] = (uint32_t)id;
        times_s[count++] = arrivals->times_s.items[id];
        arrivals->times_s.items[id] = 0;
        if (count < AT_ONCE)
            continue;
        status = restore(engine, ids, times_s, count, err);
        count = 0;
    }
    return status == STATUS_OK && count > 0 ? restore(engine, ids, times_s, count, err) : status;
}

/* ---- what segments and parts say --------------------------------------------------------- */

static enum status restore_entry(void *context, const struct activity_entry *entry, uint32_t step_s,
                                 struct error *err)
{
    struct engine *engine = context;
    const struct series_space *space = &engine->index.space;
    /* What no segment defines the log does, and says itself when it came. */
    if (entry->metric >= space->metric_count || space->metrics[entry->metric].name == NULL)
        return STATUS_OK;
    go_on_from(engine, entry->arrival_s);
    enum status status =
        activity_restore(&engine->activity, entry->id, entry->metric, entry->arrival_s, step_s);
    return status == STATUS_OK ? status : no_memory(err);
}

enum status engine_restore_activity(struct engine *engine, struct slice record, struct error *err)
{
    return record_get_activity(record, restore_entry, engine, err);
}

static enum status guess(struct engine *engine, const roaring_bitmap_t *series, struct error *err)
{
    uint32_t ids[AT_ONCE];
    uint32_t times_s[AT_ONCE];
    roaring_uint32_iterator_t iterator;
    roaring_init_iterator(series, &iterator);
    enum status status = STATUS_OK;
    for (uint32_t count; status == STATUS_OK &&
                         (count = roaring_read_uint32_iterator(&iterator, ids, AT_ONCE)) > 0;) {
        for (uint32_t i = 0; i < count; i++)
            times_s[i] = engine->activity.now_s;
        status = restore(engine, ids, times_s, count, err);
    }
    return status;
}

enum status engine_guess_activity(struct engine *engine, struct error *err)
{
    const struct version *version = engine_newest(engine);
    int64_t since_ms = ((int64_t)engine->activity.now_s - engine->activity.window_s) * 1000;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < version->part_count && status == STATUS_OK; i++) {
        roaring_bitmap_t *series = NULL;
        struct error why = {0};
        if (version->parts[i]->info.max_ms < since_ms)
            continue;
        status = part_series(version->parts[i]->part, &series, &why);
        if (status == STATUS_CORRUPT) {
            /* Nobody knows what is in it. */
            status = STATUS_OK;
            continue;
        }
        if (status != STATUS_OK)
            return fail(err, status, "%s", why.message);
        status = guess(engine, series, err);
        roaring_bitmap_free(series);
    }
    return status;
}

void engine_settle_activity(struct engine *engine)
{
    struct activity *activity = &engine->activity;
    for (uint32_t i = 0; i < ACTIVITY_SHARDS; i++) {
        const struct activity_shard *shard = &activity->shards[i];
        for (uint32_t place = 0; shard->entries != NULL && place <= shard->mask; place++)
            /* Another one may move into the place. */
            while (shard->entries[place].id != SERIES_ID_NONE &&
                   !series_index_has_committed(&engine->index, shard->entries[place].id))
                activity_forget(activity, shard->entries[place].id);
    }
}
