/*
 * background - one thread flushes, so that no merge makes writers wait; one merges, and steps back
 * where requests want the processor; one drops old days, so that they never wait for a merge; with
 * storage.sync=interval a fourth one syncs the log, so that a long flush delays no sync. The jobs
 * are plain functions: the simulator calls background_step itself.
 */
#include "storage/engine/activity_store.h"
#include "storage/engine/engine_internal.h"

enum { IDLE_MS = 1000, RETRY_FIRST_MS = 100, RETRY_LONGEST_MS = 2000 };

/* Merges pause after each slice beside which somebody wrote or read, as long as it took. Slices are
 * short because whoever has slept is owed the processor: after pauses of 20 ms a merge kept it from
 * writers for milliseconds, whatever its nice value. */
enum { SLICE_US = 300, PAUSE_SHORTEST_MS = 1, PAUSE_LONGEST_MS = 200 };

/* Of options.delete_rest_ms: how long deletes wait in a head until they have it flushed, as parts
 * are cleaned of them only then, and how long it is between flushes for samples beyond retention,
 * which go from parts alone. */
enum { FLUSH_RESTS = 10 };

static enum status sync_if_due(struct engine *engine, struct error *err)
{
    if (engine->options.sync != ENGINE_SYNC_INTERVAL)
        return STATUS_OK;
    return engine_sync_log(engine, err);
}

static bool has_rested(const struct engine *engine, int64_t since_ns)
{
    return clock_monotonic_ns(engine->os.clock) - since_ns >=
           FLUSH_RESTS * engine->options.delete_rest_ms * 1000000;
}

static bool holds_old_deletes(const struct engine *engine)
{
    const struct head_ref *active = engine_newest(engine)->active;
    return active->has_deletes && has_rested(engine, active->deletes_ns);
}

static bool holds_stale_samples(const struct engine *engine)
{
    const struct head *head = engine_newest(engine)->active->head;
    const struct retention *retention = &engine->retention;
    return head_sample_count(head) > 0 && head_min_ms(head) < atomic_load(&retention->stale_ms) &&
           (retention->sealed_ns == 0 || has_rested(engine, retention->sealed_ns));
}

/* One that filled up while another was being flushed, too. With append_lock. */
static enum status rotate_if_due(struct engine *engine)
{
    if (engine_newest(engine)->sealed != NULL)
        return STATUS_OK;
    bool stale = holds_stale_samples(engine);
    if (!stale && !engine_head_is_due(engine) && !holds_old_deletes(engine))
        return STATUS_OK;
    enum status status = engine_rotate(engine, NULL);
    if (status == STATUS_OK && stale)
        engine->retention.sealed_ns = clock_monotonic_ns(engine->os.clock);
    /* Tables alone can fill a small head: there is nothing to flush in it. */
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status prepare_log(struct engine *engine, struct error *err)
{
    enum status status = wal_prepare(engine->wal, err);
    if (status != STATUS_OK)
        engine_note_broken_log(engine, err);
    return status;
}

/* The last frames before a pause are the ones that nothing in the log vouches for, for as long as
 * the pause lasts. With flush_lock. */
static enum status mark_pause(struct engine *engine, struct error *err)
{
    int64_t now_ns = clock_monotonic_ns(engine->os.clock);
    uint64_t position = wal_position(engine->wal);
    if (position != engine->pause.position) {
        engine->pause = (struct pause){.position = position, .since_ns = now_ns};
        return STATUS_OK;
    }
    if (now_ns - engine->pause.since_ns < IDLE_MS * INT64_C(1000000))
        return STATUS_OK;
    mutex_lock(&engine->append_lock);
    enum status status = wal_mark(engine->wal, err);
    mutex_unlock(&engine->append_lock);
    struct wal_stats stats;
    wal_stats(engine->wal, &stats);
    if (status != STATUS_OK && stats.broken)
        engine_break(engine, "log", "the end of the log could not be marked: writes stop", err);
    return status;
}

static enum status flush_step(struct engine *engine, bool *did, struct error *err)
{
    mutex_lock(&engine->flush_lock);
    enum status status = engine->sync_thread == NULL ? sync_if_due(engine, err) : STATUS_OK;
    if (status == STATUS_OK) {
        mutex_lock(&engine->append_lock);
        status = rotate_if_due(engine);
        mutex_unlock(&engine->append_lock);
    }
    if (status == STATUS_OK) {
        status = engine_flush_sealed(engine, err);
        atomic_store(&engine->flush_lacks_space, status == STATUS_NO_SPACE);
        *did = status == STATUS_OK;
        if (status == STATUS_END)
            status = STATUS_OK;
    }
    if (status == STATUS_OK && !*did)
        status = engine_drop_tombstones(engine, did, err);
    if (status == STATUS_OK && !*did)
        status = prepare_log(engine, err);
    if (status == STATUS_OK && !*did)
        status = mark_pause(engine, err);
    mutex_unlock(&engine->flush_lock);
    return status;
}

static enum status retention_step(struct engine *engine, bool *did, struct error *err)
{
    engine_activity_step(engine);
    mutex_lock(&engine->retention_lock);
    enum status status = engine_retention_step(engine, did, err);
    mutex_unlock(&engine->retention_lock);
    return status;
}

static enum status merge_in_turn(struct engine *engine, bool *did, struct error *err)
{
    static const struct {
        enum status (*step)(struct engine *, bool *, struct error *);
        bool waits; /* for a merge that is behind: it may take long, while parts become more */
    } steps[] = {
        {engine_merge_step, false},       {engine_warm_step, true},     {engine_clean_step, true},
        {engine_index_merge_step, false}, {engine_reclaim_step, false},
    };
    enum { STEPS = sizeof steps / sizeof steps[0] };
    enum status first = STATUS_OK;
    *did = false;
    /* Under load each may always have something to do: they take turns. What fails may do so for
     * long, and the others must not wait for it: all behind it have a turn, since the next one
     * comes only after a while, and the first error is told. */
    size_t begin = engine->pace.next_step;
    for (size_t i = 0; i < STEPS && (!*did || first != STATUS_OK); i++) {
        struct error why = {0};
        bool did_step = false;
        size_t step = (begin + i) % STEPS;
        if (steps[step].waits && engine->pace.behind)
            continue;
        enum status status = steps[step].step(engine, &did_step, &why);
        if (did_step)
            engine->pace.next_step = (step + 1) % STEPS;
        *did = *did || did_step;
        if (status != STATUS_OK && first == STATUS_OK)
            first = fail(err, status, "%s", why.message);
    }
    return first;
}

static enum status merge_step(struct engine *engine, bool *did, struct error *err)
{
    mutex_lock(&engine->maintenance_lock);
    /* First, since under load there may always be something to merge; it is seldom due. */
    enum status rules = engine_rules_step(engine, did, err);
    enum status status = *did ? STATUS_OK : merge_in_turn(engine, did, err);
    mutex_unlock(&engine->maintenance_lock);
    return status == STATUS_OK ? rules : status;
}

enum status background_step(struct engine *engine, bool *did, struct error *err)
{
    *did = false;
    /* Nothing that is written now would count. */
    if (atomic_load(&engine->broken))
        return STATUS_OK;
    /* First of all, because it makes room on a disk where everything else fails. */
    enum status status = retention_step(engine, did, err);
    if (status == STATUS_OK && !*did)
        status = flush_step(engine, did, err);
    if (status == STATUS_OK && !*did)
        status = merge_step(engine, did, err);
    return status;
}

/* ---- threads ---------------------------------------------------------------------------- */

static void wait_for_work(struct worker *worker, int64_t timeout_ms)
{
    struct engine *engine = worker->engine;
    mutex_lock(&engine->work_lock);
    if (!engine->stopping && !worker->waits)
        (void)condition_wait_ms(&worker->work, &engine->work_lock, timeout_ms);
    worker->waits = false;
    mutex_unlock(&engine->work_lock);
}

static bool engine_is_stopping(struct engine *engine)
{
    mutex_lock(&engine->work_lock);
    bool stopping = engine->stopping;
    mutex_unlock(&engine->work_lock);
    return stopping;
}

static uint64_t requests_so_far(struct engine *engine)
{
    return atomic_load(&engine->counters.commits) + atomic_load(&engine->counters.selections);
}

/* The disk above all: syncs take several times as long while a merge writes, and no priority helps
 * there. */
static void give_way(struct engine *engine)
{
    struct pace *pace = &engine->pace;
    int64_t took_ns = clock_monotonic_ns(engine->os.clock) - pace->began_ns;
    if (took_ns < SLICE_US * INT64_C(1000))
        return;
    if (requests_so_far(engine) != pace->requests || gate_has_any(&engine->selections)) {
        int64_t pause_ms = took_ns / 1000000;
        if (pause_ms < PAUSE_SHORTEST_MS)
            pause_ms = PAUSE_SHORTEST_MS;
        if (pause_ms > PAUSE_LONGEST_MS)
            pause_ms = PAUSE_LONGEST_MS;
        atomic_fetch_add(&engine->counters.merge_pauses, 1);
        mutex_lock(&engine->work_lock);
        if (!engine->stopping)
            (void)condition_wait_ms(&engine->maintainer.work, &engine->work_lock, pause_ms);
        mutex_unlock(&engine->work_lock);
    }
    pace->began_ns = clock_monotonic_ns(engine->os.clock);
    pace->requests = requests_so_far(engine);
}

bool engine_goes_on(struct engine *engine)
{
    if (engine->pace.gives_way && !engine->pace.hurries)
        give_way(engine);
    return !engine_is_stopping(engine);
}

static void note_failure(struct worker *worker, const struct error *why)
{
    struct engine *engine = worker->engine;
    engine_trouble(engine, worker->source, STORAGE_DEGRADED, "background work fails: %s",
                   why->message);
    log_event(engine->log, LOG_WARN, "engine", "background work failed and will be tried again",
              log_text("error", why->message));
}

static void work(struct worker *worker)
{
    struct engine *engine = worker->engine;
    int64_t retry_ms = RETRY_FIRST_MS;
    bool failing = false;
    while (!engine_is_stopping(engine)) {
        bool did = false;
        struct error why = {0};
        if (!atomic_load(&engine->broken) && worker->step(engine, &did, &why) != STATUS_OK) {
            if (!failing)
                note_failure(worker, &why);
            failing = true;
            wait_for_work(worker, retry_ms);
            retry_ms = retry_ms * 2 < RETRY_LONGEST_MS ? retry_ms * 2 : RETRY_LONGEST_MS;
            continue;
        }
        if (failing)
            engine_trouble(engine, worker->source, STORAGE_HEALTHY, "%s", "");
        failing = false;
        retry_ms = RETRY_FIRST_MS;
        if (!did)
            wait_for_work(worker, IDLE_MS);
    }
}

static void run_worker(void *context)
{
    work(context);
}

static void run_maintainer(void *context)
{
    struct worker *worker = context;
    if (!thread_step_back())
        log_event(worker->engine->log, LOG_WARN, "engine",
                  "merges cannot give way to requests: setpriority is refused",
                  log_text("thread", "merge"));
    mutex_lock(&worker->engine->maintenance_lock);
    worker->engine->pace.gives_way = true;
    mutex_unlock(&worker->engine->maintenance_lock);
    work(worker);
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
    struct threads *threads = engine->os.threads;
    engine->flusher.step = flush_step;
    engine->flusher.source = TROUBLE_FLUSH;
    engine->maintainer.step = merge_step;
    engine->maintainer.source = TROUBLE_MAINTENANCE;
    engine->dropper.step = retention_step;
    engine->dropper.source = TROUBLE_RETENTION;
    enum status status = STATUS_OK;
    if (engine->options.sync == ENGINE_SYNC_INTERVAL)
        status = threads_start(threads, "log-sync", run_syncs, engine, &engine->sync_thread, err);
    if (status == STATUS_OK)
        status = threads_start(threads, "flush", run_worker, &engine->flusher,
                               &engine->flusher.thread, err);
    if (status == STATUS_OK)
        status = threads_start(threads, "merge", run_maintainer, &engine->maintainer,
                               &engine->maintainer.thread, err);
    if (status == STATUS_OK)
        status = threads_start(threads, "retention", run_worker, &engine->dropper,
                               &engine->dropper.thread, err);
    if (status != STATUS_OK)
        background_stop(engine);
    return status;
}

static void join(struct engine *engine, struct thread **thread)
{
    if (*thread != NULL)
        threads_join(engine->os.threads, *thread);
    *thread = NULL;
}

void background_stop(struct engine *engine)
{
    mutex_lock(&engine->work_lock);
    engine->stopping = true;
    condition_signal(&engine->flusher.work);
    condition_signal(&engine->maintainer.work);
    condition_signal(&engine->dropper.work);
    condition_signal(&engine->sync_due);
    mutex_unlock(&engine->work_lock);
    join(engine, &engine->flusher.thread);
    join(engine, &engine->maintainer.thread);
    join(engine, &engine->dropper.thread);
    join(engine, &engine->sync_thread);
}

void background_wake(struct engine *engine)
{
    mutex_lock(&engine->work_lock);
    engine->flusher.waits = true;
    condition_signal(&engine->flusher.work);
    mutex_unlock(&engine->work_lock);
}
