/*
 * background - the one thread that flushes, merges, drops old days and syncs by interval. Its jobs
 * are plain functions: the simulator calls background_step itself.
 */
#include "storage/engine/engine_internal.h"

enum { IDLE_MS = 1000, RETRY_FIRST_MS = 100, RETRY_LONGEST_MS = 10000 };

static enum status sync_if_due(struct engine *engine, struct error *err)
{
    if (engine->options.sync != ENGINE_SYNC_INTERVAL)
        return STATUS_OK;
    return engine_sync_log(engine, err);
}

/* A head that filled up while another was being flushed is sealed now. */
static enum status rotate_if_full(struct engine *engine)
{
    mutex_lock(&engine->append_lock);
    enum status status = STATUS_OK;
    if (engine->version->sealed == NULL && head_is_full(engine->version->active->head))
        status = engine_rotate(engine, NULL);
    mutex_unlock(&engine->append_lock);
    /* Tables alone can fill a small head: there is nothing to flush in it. */
    return status == STATUS_END ? STATUS_OK : status;
}

enum status background_step(struct engine *engine, bool *did, struct error *err)
{
    mutex_lock(&engine->background_lock);
    *did = false;
    /* Nothing that is written now would count. */
    if (atomic_load(&engine->broken)) {
        mutex_unlock(&engine->background_lock);
        return STATUS_OK;
    }
    enum status status = sync_if_due(engine, err);
    /* First of all, because it makes room on a disk where everything else fails. */
    if (status == STATUS_OK)
        status = engine_retention_step(engine, did, err);
    if (status == STATUS_OK && !*did)
        status = rotate_if_full(engine);
    if (status == STATUS_OK && !*did) {
        status = engine_flush_sealed(engine, err);
        *did = status == STATUS_OK;
        if (status == STATUS_END)
            status = STATUS_OK;
    }
    if (status == STATUS_OK && !*did)
        status = wal_prepare(engine->wal, err);
    if (status == STATUS_OK && !*did)
        status = engine_merge_step(engine, did, err);
    mutex_unlock(&engine->background_lock);
    return status;
}

static void wait_for_work(struct engine *engine, int64_t timeout_ms)
{
    mutex_lock(&engine->work_lock);
    if (!engine->stopping && !engine->work_waits)
        (void)condition_wait_ms(&engine->work, &engine->work_lock, timeout_ms);
    engine->work_waits = false;
    mutex_unlock(&engine->work_lock);
}

static bool is_stopping(struct engine *engine)
{
    mutex_lock(&engine->work_lock);
    bool stopping = engine->stopping;
    mutex_unlock(&engine->work_lock);
    return stopping;
}

static void note_failure(struct engine *engine, const struct error *why)
{
    engine_trouble(engine, STORAGE_DEGRADED, "background work fails: %s", why->message);
    log_event(engine->log, LOG_WARN, "engine", "background work failed and will be tried again",
              log_text("error", why->message));
}

static void run(void *context)
{
    struct engine *engine = context;
    int64_t retry_ms = RETRY_FIRST_MS;
    bool failing = false;
    int64_t idle_ms = IDLE_MS;
    if (engine->options.sync == ENGINE_SYNC_INTERVAL && engine->options.sync_interval_ms < idle_ms)
        idle_ms = engine->options.sync_interval_ms;
    while (!is_stopping(engine)) {
        bool did;
        struct error why = {0};
        if (background_step(engine, &did, &why) != STATUS_OK) {
            if (!failing)
                note_failure(engine, &why);
            failing = true;
            wait_for_work(engine, retry_ms);
            retry_ms = retry_ms * 2 < RETRY_LONGEST_MS ? retry_ms * 2 : RETRY_LONGEST_MS;
            continue;
        }
        if (failing)
            engine_trouble(engine, STORAGE_HEALTHY, "%s", "");
        failing = false;
        retry_ms = RETRY_FIRST_MS;
        if (!did)
            wait_for_work(engine, idle_ms);
    }
}

enum status background_start(struct engine *engine, struct error *err)
{
    return threads_start(engine->os.threads, "background", run, engine, &engine->thread, err);
}

void background_stop(struct engine *engine)
{
    if (engine->thread == NULL)
        return;
    mutex_lock(&engine->work_lock);
    engine->stopping = true;
    condition_signal(&engine->work);
    mutex_unlock(&engine->work_lock);
    threads_join(engine->os.threads, engine->thread);
    engine->thread = NULL;
}

void background_wake(struct engine *engine)
{
    mutex_lock(&engine->work_lock);
    engine->work_waits = true;
    condition_signal(&engine->work);
    mutex_unlock(&engine->work_lock);
}
