/*
 * flush - a sealed head becomes parts, its series definitions an index segment, and its stretch of
 * the log is given back.
 *
 * Everything is written and synced first; one edit of the manifest then makes it count. A crash
 * before that leaves files that nothing names; a crash after it, a log that begins later.
 */
#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/flush_index.h"
#include "storage/engine/flush_metrics.h"
#include "storage/engine/lookup.h"
#include "storage/engine/part_writer.h"
#include "storage/engine/paths.h"
#include "storage/engine/sample_array.h"

enum { WRITERS_AT_ONCE = 64 }; /* days written in one pass over the head */

struct day_writer {
    int64_t day;
    uint64_t id;
    struct part_writer *writer;
};

struct flush {
    struct engine *engine;
    struct head_ref *sealed;
    struct version *version;
    struct error *err;

    uint64_t *keys; /* metric << 32 | series, rising: what the head holds */
    size_t key_count;
    uint64_t orphans; /* samples of series that nobody defined: their definitions were damaged */
    struct day_set days;

    struct day_writer writers[WRITERS_AT_ONCE];
    size_t writer_count;
    struct sample_array samples;
    struct cuts cuts; /* deletes that came while the head was active */

    struct part_ref **parts; /* made by this flush */
    size_t part_count, part_capacity;

    struct index_flush index;
    struct manifest_edit edit;
};

static enum status no_memory(struct flush *flush)
{
    return fail(flush->err, STATUS_MEMORY, "no memory for a flush");
}

/* ---- what there is ---------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static enum status collect_keys(struct flush *flush)
{
    const struct head *head = flush->sealed->head;
    size_t count = 0;
    bool partial = false;
    for (uint32_t id = head_next_series(head, 0); id != UINT32_MAX;
         id = head_next_series(head, id + 1))
        count++;
    uint32_t *ids = malloc((count + 1) * sizeof ids[0]);
    uint32_t *metrics = malloc((count + 1) * sizeof metrics[0]);
    flush->keys = malloc((count + 1) * sizeof flush->keys[0]);
    enum status status =
        ids == NULL || metrics == NULL || flush->keys == NULL ? no_memory(flush) : STATUS_OK;
    if (status == STATUS_OK) {
        count = 0;
        for (uint32_t id = head_next_series(head, 0); id != UINT32_MAX;
             id = head_next_series(head, id + 1))
            ids[count++] = id;
        status = engine_metrics_of(flush->engine, NULL, ids, count, metrics, &partial, flush->err);
    }
    /* What is new of a series is not lost because the index is damaged where it stands. */
    if (status == STATUS_OK && partial)
        status = flush_ask_parts(flush->engine, flush->version, ids, count, metrics, flush->err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        if (metrics[i] == METRIC_ID_NONE)
            flush->orphans += head_entry(head, ids[i]).count;
        else
            flush->keys[flush->key_count++] = (uint64_t)metrics[i] << 32 | ids[i];
    if (status == STATUS_OK && flush->key_count > 0)
        qsort(flush->keys, flush->key_count, sizeof flush->keys[0], compare_keys);
    free(ids);
    free(metrics);
    return status;
}

static enum status collect_days(struct flush *flush)
{
    const struct head *head = flush->sealed->head;
    if (flush->key_count == 0)
        return STATUS_OK;
    int64_t first = day_of_time(head_min_ms(head));
    int64_t last = day_of_time(head_max_ms(head));
    if (first == last)
        return day_set_add(&flush->days, first) == STATUS_OK ? STATUS_OK : no_memory(flush);
    int64_t known = INT64_MIN;
    for (size_t i = 0; i < flush->key_count; i++) {
        struct head_reader reader;
        const struct head_sample *samples;
        head_reader_init(&reader, head, head_entry(head, (uint32_t)flush->keys[i]));
        for (size_t count; (count = head_reader_next(&reader, &samples)) > 0;)
            for (size_t j = 0; j < count; j++) {
                int64_t day = day_of_time(samples[j].time_ms);
                if (day != known && day_set_add(&flush->days, day) != STATUS_OK)
                    return no_memory(flush);
                known = day;
            }
    }
    return STATUS_OK;
}

/* ---- parts ------------------------------------------------------------------------------ */

static enum status open_writer(struct flush *flush, int64_t day)
{
    struct engine *engine = flush->engine;
    struct day_writer *writer = &flush->writers[flush->writer_count];
    *writer = (struct day_writer){.day = day, .id = engine_take_file_id(engine)};
    struct part_writer_options options = {
        .identity = {.id = writer->id,
                     .day = day,
                     .min_sequence = flush->sealed->first_sequence,
                     .max_sequence = flush->sealed->last_sequence},
        .hash_seed = engine->index.seed,
    };
    char *path = path_of_part(engine->dir, writer->id);
    if (path == NULL)
        return no_memory(flush);
    enum status status =
        part_writer_open(&writer->writer, engine->os.fs, path, &options, flush->err);
    free(path);
    if (status == STATUS_OK)
        flush->writer_count++;
    return status;
}

/* The samples of one series within the days of this pass, each day's to its writer. */
static enum status add_series(struct flush *flush, uint64_t key, int64_t start_ms, int64_t end_ms)
{
    const struct head *head = flush->sealed->head;
    struct head_entry entry = head_entry(head, (uint32_t)key);
    struct sample_array *samples = &flush->samples;
    if (sample_array_reach(samples, entry.count) != STATUS_OK)
        return no_memory(flush);
    struct head_sample *scratch = NULL;
    cuts_take(&flush->cuts, (uint32_t)key);
    bool cut = cuts_touch_head(&flush->cuts, flush->sealed->number);
    if (entry.disordered || cut) {
        scratch = malloc(2 * (size_t)entry.count * sizeof scratch[0]);
        if (scratch == NULL)
            return no_memory(flush);
    }
    struct time_range range = {start_ms, end_ms};
    size_t count =
        cut ? cuts_copy_head(&flush->cuts, flush->sealed->number, head, entry, range, scratch,
                             samples->times, samples->values)
            : head_copy(head, entry, start_ms, end_ms, scratch, samples->times, samples->values);
    free(scratch);
    size_t writer = 0;
    for (size_t from = 0; from < count;) {
        int64_t day = day_of_time(samples->times[from]);
        while (writer < flush->writer_count && flush->writers[writer].day < day)
            writer++;
        invariant(writer < flush->writer_count && flush->writers[writer].day == day);
        int64_t next_day_ms = (day + 1) * MS_PER_DAY;
        size_t to = from;
        while (to < count && samples->times[to] < next_day_ms)
            to++;
        enum status status = part_writer_add(flush->writers[writer].writer, (uint32_t)(key >> 32),
                                             (uint32_t)key, PART_KIND_FLOAT, samples->times + from,
                                             samples->values + from, to - from, flush->err);
        if (status != STATUS_OK)
            return status;
        from = to;
    }
    return STATUS_OK;
}

static enum status parts_reach(struct flush *flush, size_t count)
{
    if (count <= flush->part_capacity)
        return STATUS_OK;
    size_t capacity = flush->part_capacity == 0 ? 16 : flush->part_capacity * 2;
    struct part_ref **parts = realloc(flush->parts, capacity * sizeof parts[0]);
    if (parts == NULL)
        return no_memory(flush);
    flush->parts = parts;
    flush->part_capacity = capacity;
    return STATUS_OK;
}

static enum status finish_writer(struct flush *flush, struct day_writer *writer)
{
    struct engine *engine = flush->engine;
    struct part_totals totals;
    enum status status = part_writer_finish(writer->writer, &totals, flush->err);
    writer->writer = NULL;
    /* A day whose only samples are of undefined series has nothing to write. */
    if (status == STATUS_INVALID)
        return STATUS_OK;
    if (status != STATUS_OK)
        return status;
    struct manifest_part info = {
        .id = writer->id,
        .day = writer->day,
        .min_sequence = flush->sealed->first_sequence,
        .max_sequence = flush->sealed->last_sequence,
        .samples = totals.samples,
        .bytes = totals.bytes,
        .min_ms = totals.min_ms,
        .max_ms = totals.max_ms,
    };
    status = parts_reach(flush, flush->part_count + 1);
    if (status == STATUS_OK)
        status = engine_open_made(engine, &info, &flush->parts[flush->part_count], flush->err);
    if (status != STATUS_OK) {
        engine_remove_part(engine, writer->id);
        return status;
    }
    /* Until the manifest names it, the file goes with the reference. */
    atomic_store(&flush->parts[flush->part_count]->doomed, true);
    flush->parts[flush->part_count]->since_ns = clock_monotonic_ns(engine->os.clock);
    flush->part_count++;
    return STATUS_OK;
}

static enum status write_pass(struct flush *flush, size_t first_day, size_t day_count)
{
    enum status status = STATUS_OK;
    flush->writer_count = 0;
    for (size_t i = 0; i < day_count && status == STATUS_OK; i++)
        status = open_writer(flush, flush->days.days[first_day + i]);
    int64_t start_ms = flush->days.days[first_day] * MS_PER_DAY;
    int64_t end_ms = (flush->days.days[first_day + day_count - 1] + 1) * MS_PER_DAY;
    for (size_t i = 0; i < flush->key_count && status == STATUS_OK; i++)
        status = add_series(flush, flush->keys[i], start_ms, end_ms);
    for (size_t i = 0; i < flush->writer_count; i++) {
        if (status == STATUS_OK)
            status = finish_writer(flush, &flush->writers[i]);
        else
            part_writer_abort(flush->writers[i].writer);
    }
    return status;
}

static enum status write_parts(struct flush *flush)
{
    /* What was deleted later hides samples of the parts by its sequence. */
    struct time_range always = {INT64_MIN, INT64_MAX};
    enum status status =
        cuts_init(&flush->cuts, flush->version->tombstones, always, flush->sealed->last_sequence);
    status = status == STATUS_OK ? collect_keys(flush) : no_memory(flush);
    if (status == STATUS_OK)
        status = collect_days(flush);
    for (size_t done = 0; done < flush->days.count && status == STATUS_OK;
         done += WRITERS_AT_ONCE) {
        size_t left = flush->days.count - done;
        status = write_pass(flush, done, left < WRITERS_AT_ONCE ? left : WRITERS_AT_ONCE);
    }
    char *directory = path_format("%s/parts", flush->engine->dir);
    if (directory == NULL)
        return no_memory(flush);
    if (status == STATUS_OK)
        status = filesystem_sync_directory(flush->engine->os.fs, directory, flush->err);
    free(directory);
    return status;
}

/* ---- making it count -------------------------------------------------------------------- */

static void release_log(struct flush *flush)
{
    struct engine *engine = flush->engine;
    /* While the log is being replayed it is not open yet; recovery releases it afterwards. */
    if (engine->wal == NULL)
        return;
    struct error why = {0};
    if (wal_release(engine->wal, flush->sealed->end_position, &why) != STATUS_OK)
        log_event(engine->log, LOG_WARN, "engine", "log segments were not given back",
                  log_text("error", why.message));
}

/* A head without samples has no commits: what was contained before stays the last. */
static uint64_t last_sequence(const struct flush *flush)
{
    struct engine *engine = flush->engine;
    mutex_lock(&engine->manifest_lock);
    uint64_t last = manifest_state(engine->manifest)->last_sequence;
    mutex_unlock(&engine->manifest_lock);
    return flush->sealed->last_sequence > last ? flush->sealed->last_sequence : last;
}

static enum status commit(struct flush *flush)
{
    struct engine *engine = flush->engine;
    /* Frames below the position that the manifest names are there, or replay knows that they were:
     * with storage.sync=never nobody else syncs them. While the log is replayed recovery has. */
    enum status synced = engine->wal == NULL ? STATUS_OK : engine_sync_log(engine, flush->err);
    if (synced != STATUS_OK)
        return synced;
    manifest_set_flushed(&flush->edit, flush->sealed->end_position, last_sequence(flush));
    rwlock_read(&engine->series_lock);
    manifest_set_next_ids(&flush->edit, engine->index.space.next_series,
                          engine->index.space.metric_count);
    rwlock_unlock(&engine->series_lock);
    struct index_change index = {.added = flush->index.series, .drop_sealed = true};
    struct parts_change change = {.added = flush->parts,
                                  .added_count = flush->part_count,
                                  .drop_sealed = true,
                                  .index = &index};
    enum status status = engine_publish(engine, &flush->edit, &change, flush->err);
    if (status == STATUS_OK) {
        index_flush_done(engine, &flush->index);
        release_log(flush);
    }
    return status;
}

static void report(struct flush *flush, enum status status, int64_t started_ns)
{
    struct engine *engine = flush->engine;
    if (status != STATUS_OK) {
        atomic_fetch_add(&engine->counters.flush_failures, 1);
        return;
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < flush->part_count; i++)
        bytes += flush->parts[i]->info.bytes;
    atomic_fetch_add(&engine->counters.flushes, 1);
    atomic_fetch_add(&engine->counters.flushed_samples, head_sample_count(flush->sealed->head));
    atomic_fetch_add(&engine->counters.flushed_bytes, bytes);
    atomic_fetch_add(&engine->counters.orphaned_samples, flush->orphans);
    if (flush->orphans > 0)
        log_event(engine->log, LOG_ERROR, "engine",
                  "samples of series whose definition was damaged are lost",
                  log_int("samples", (int64_t)flush->orphans));
    log_event(
        engine->log, LOG_INFO, "engine", "head flushed",
        log_int("samples", (int64_t)head_sample_count(flush->sealed->head)),
        log_int("parts", (int64_t)flush->part_count), log_int("bytes", (int64_t)bytes),
        log_int("duration_ms", (clock_monotonic_ns(engine->os.clock) - started_ns) / 1000000));
}

enum status engine_flush_sealed(struct engine *engine, struct error *err)
{
    struct flush flush = {.engine = engine, .err = err};
    flush.version = engine_version(engine);
    flush.sealed = flush.version->sealed;
    if (flush.sealed == NULL) {
        version_release(flush.version);
        return STATUS_END;
    }
    int64_t started_ns = clock_monotonic_ns(engine->os.clock);
    manifest_edit_init(&flush.edit);
    enum status status = write_parts(&flush);
    if (status == STATUS_OK)
        status = index_flush_write(engine, &flush.index, flush.version, &flush.edit, err);
    if (status == STATUS_OK)
        status = commit(&flush);
    report(&flush, status, started_ns);
    if (status != STATUS_OK)
        index_flush_undo(engine, &flush.index, manifest_broken(engine->manifest));
    for (size_t i = 0; i < flush.part_count; i++)
        part_ref_release(flush.parts[i]);
    manifest_edit_release(&flush.edit);
    day_set_release(&flush.days);
    cuts_release(&flush.cuts);
    sample_array_release(&flush.samples);
    free(flush.parts);
    free(flush.keys);
    version_release(flush.version);
    return status;
}
