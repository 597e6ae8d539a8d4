/*
 * background - the thread that flushes, merges and drops old days, and with storage.sync=interval
 * another one that syncs the log, so that a long flush delays no sync. The jobs are plain
 * functions: the simulator calls background_step itself.
 */
#include "storage/engine/engine_internal.h"

enum { IDLE_MS = 1000, RETRY_FIRST_MS = 100, RETRY_LONGEST_MS = 2000 };

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
    if (engine->version->sealed == NULL && engine_head_is_due(engine))
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
    enum status status = engine->sync_thread == NULL ? sync_if_due(engine, err) : STATUS_OK;
    /* First of all, because it makes room on a disk where everything else fails. */
    if (status == STATUS_OK)
        status = engine_retention_step(engine, did, err);
    if (status == STATUS_OK && !*did)
        status = rotate_if_full(engine);
    if (status == STATUS_OK && !*did) {
        status = engine_flush_sealed(engine, err);
        atomic_store(&engine->flush_lacks_space, status == STATUS_NO_SPACE);
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
            wait_for_work(engine, IDLE_MS);
    }
}

static void run_syncs(void *context)
{
    struct engine *engine = context;
    mutex_lock(&engine->work_lock);
    while (!engine->stopping) {
        (void)condition_wait_ms(&engine->sync_due, &engine->work_lock,
                                engine->options.sync_interval_ms);
        mutex_unlock(&engine->work_lock);
        /* A failure breaks the engine, which was logged, and every later write says so. */
        enum status status = engine_sync_log(engine, NULL);
        (void)status;
        mutex_lock(&engine->work_lock);
    }
    mutex_unlock(&engine->work_lock);
}

enum status background_start(struct engine *engine, struct error *err)
{
    enum status status = STATUS_OK;
    if (engine->options.sync == ENGINE_SYNC_INTERVAL)
        status = threads_start(engine->os.threads, "log-sync", run_syncs, engine,
                               &engine->sync_thread, err);
    if (status == STATUS_OK)
        status = threads_start(engine->os.threads, "background", run, engine, &engine->thread, err);
    if (status != STATUS_OK)
        background_stop(engine);
    return status;
}

void background_stop(struct engine *engine)
{
    mutex_lock(&engine->work_lock);
    engine->stopping = true;
    condition_signal(&engine->work);
    condition_signal(&engine->sync_due);
    mutex_unlock(&engine->work_lock);
    if (engine->thread != NULL)
        threads_join(engine->os.threads, engine->thread);
    if (engine->sync_thread != NULL)
        threads_join(engine->os.threads, engine->sync_thread);
    engine->thread = NULL;
    engine->sync_thread = NULL;
}

void background_wake(struct engine *engine)
{
    mutex_lock(&engine->work_lock);
    engine->work_waits = true;
    condition_signal(&engine->work);
    mutex_unlock(&engine->work_lock);
}
