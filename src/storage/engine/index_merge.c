/*
 * index_merge - segments of the index become fewer: each flush with new series makes one, and who
 * looks a series up asks them all.
 */
#include <stdlib.h>

#include "storage/engine/engine_internal.h"
#include "storage/engine/paths.h"

/* So many of about one size are merged. What stays is at least MERGE_FACTOR times as large every
 * MERGE_MIN - 1 segments: ten million series stand in three dozen at the most, and each was written
 * a few times. */
enum { MERGE_MIN = 4, MERGE_FACTOR = 4 };

static int compare_sizes(const void *a, const void *b)
{
    const struct manifest_segment *left = &(*(struct segment_ref *const *)a)->info;
    const struct manifest_segment *right = &(*(struct segment_ref *const *)b)->info;
    if (left->entries != right->entries)
        return left->entries < right->entries ? -1 : 1;
    return (left->id > right->id) - (left->id < right->id);
}

/* The end of those from `start` on that become one: a segment joins where those before it together
 * are at least a MERGE_FACTOR-th of it. */
static size_t run_end(struct segment_ref *const *refs, size_t count, size_t start)
{
    uint64_t series = refs[start]->info.entries;
    size_t end = start + 1;
    for (; end < count && refs[end]->info.entries <= series * MERGE_FACTOR; end++)
        series += refs[end]->info.entries;
    return end;
}

/* How many become one, from *start on, the smallest that can; `refs` are sorted by size. 0: none.
 * Small ones that are too few wait for more of their kind, and the others do not wait for them. */
static size_t choose(struct segment_ref *const *refs, size_t count, size_t *start)
{
    for (*start = 0; *start + MERGE_MIN <= count; (*start)++) {
        size_t end = run_end(refs, count, *start);
        if (end - *start >= MERGE_MIN)
            return end - *start;
    }
    return 0;
}

static bool goes_on(void *context)
{
    return engine_goes_on(context);
}

/* Where that is none alone, as when two contradict each other, none is merged again: verify tells.
 */
static void leave_alone(struct engine *engine, struct segment_ref *const *refs, size_t count,
                        size_t damaged, const char *why)
{
    for (size_t i = 0; i < count; i++)
        if (damaged == count || i == damaged)
            atomic_store(&refs[i]->unreadable, true);
    atomic_store(&engine->index_damaged, true);
    engine_trouble(engine, TROUBLE_DAMAGE, STORAGE_DEGRADED, "damaged index: %s", why);
    log_event(engine->log, LOG_ERROR, "engine",
              damaged < count ? "a segment of the index is not merged: it is damaged"
                              : "segments of the index are not merged: one is damaged",
              log_text("error", why));
}

/* Not CORRUPT: none of those that were merged is damaged. */
static enum status open_made(struct engine *engine, const struct manifest_segment *info,
                             const char *path, struct segment_ref **made, struct error *err)
{
    struct error why = {0};
    enum status status = segment_ref_open(made, engine->os, engine->dir, info, &why);
    if (status == STATUS_OK)
        return status;
    /* One that stays is removed at the next start. */
    enum status removed = filesystem_remove(engine->os.fs, path, NULL);
    (void)removed;
    return fail(err, status == STATUS_CORRUPT ? STATUS_IO : status,
                "a segment of the index that was just written cannot be read back: %s",
                why.message);
}

enum status index_write_merged(struct engine *engine, struct segment_ref *const *refs, size_t count,
                               const roaring_bitmap_t *without, struct segment_ref **made,
                               struct error *err)
{
    struct manifest_segment info = {.id = engine_take_file_id(engine), .kind = SEGMENT_INDEX};
    char *path = path_of_segment(engine->dir, info.id);
    struct series_segment **segments = malloc(count * sizeof segments[0]);
    struct series_segment_stats stats;
    struct error why = {0};
    size_t damaged = count;
    enum status status = path == NULL || segments == NULL
                             ? fail(&why, STATUS_MEMORY, "no memory to merge the index")
                             : STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        segments[i] = refs[i]->segment;
    if (status == STATUS_OK)
        status = series_segment_merge(segments, count, without, engine->os, path, info.id, goes_on,
                                      engine, &stats, &damaged, &why);
    if (status == STATUS_OK) {
        info.entries = stats.series;
        info.bytes = stats.bytes;
        status = open_made(engine, &info, path, made, &why);
    }
    free(path);
    free(segments);
    if (status == STATUS_CORRUPT)
        leave_alone(engine, refs, count, damaged, why.message);
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        if (refs[i]->logged_until > (*made)->logged_until)
            (*made)->logged_until = refs[i]->logged_until;
    return status;
}

enum status index_publish_merged(struct engine *engine, struct segment_ref *const *refs,
                                 size_t count, struct segment_ref *made, struct error *err)
{
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    for (size_t i = 0; i < count; i++)
        manifest_remove_segment(&edit, refs[i]->info.id);
    if (made != NULL)
        manifest_add_segment(&edit, &made->info);
    struct index_change index = {.removed = refs, .removed_count = count, .added = made};
    enum status status =
        engine_publish(engine, &edit, &(struct parts_change){.index = &index}, err);
    manifest_edit_release(&edit);
    if (status != STATUS_OK) {
        /* After a failed sync the edit may be on disk. */
        if (made != NULL)
            atomic_store(&made->doomed, !manifest_broken(engine->manifest));
        return status;
    }
    for (size_t i = 0; i < count; i++)
        atomic_store(&refs[i]->doomed, true);
    atomic_fetch_add(&engine->counters.index_merges, 1);
    if (made != NULL)
        atomic_fetch_add(&engine->counters.index_merged_bytes_written, made->info.bytes);
    return STATUS_OK;
}

static enum status merge(struct engine *engine, struct segment_ref *const *refs, size_t count,
                         struct error *err)
{
    struct segment_ref *made = NULL;
    enum status status = index_write_merged(engine, refs, count, NULL, &made, err);
    if (status == STATUS_OK)
        status = index_publish_merged(engine, refs, count, made, err);
    segment_ref_release(made);
    return status;
}

enum status engine_index_merge_step(struct engine *engine, bool *did, struct error *err)
{
    *did = false;
    rwlock_read(&engine->series_lock);
    struct segment_set *set = segment_set_acquire(engine->index.segments);
    rwlock_unlock(&engine->series_lock);
    struct segment_ref **refs = malloc((set->count + 1) * sizeof refs[0]);
    enum status status =
        refs == NULL ? fail(err, STATUS_MEMORY, "no memory to merge the index") : STATUS_OK;
    size_t count = 0, start = 0;
    if (status == STATUS_OK) {
        for (size_t i = 0; i < set->count; i++)
            if (!atomic_load(&set->segments[i]->unreadable))
                refs[count++] = set->segments[i];
        if (count > 0)
            qsort(refs, count, sizeof refs[0], compare_sizes);
        count = choose(refs, count, &start);
    }
    if (count > 0) {
        status = merge(engine, refs + start, count, err);
        *did = status != STATUS_CANCELLED;
    }
    if (status == STATUS_CORRUPT || status == STATUS_CANCELLED)
        status = STATUS_OK;
    free(refs);
    segment_set_release(set);
    return status;
}
