#include "storage/engine/segment_set.h"

#include <stdlib.h>
#include <string.h>

#include "storage/engine/paths.h"

enum status segment_ref_open(struct segment_ref **result, struct os os, const char *dir,
                             const struct manifest_segment *info, struct error *err)
{
    *result = NULL;
    struct segment_ref *ref = calloc(1, sizeof *ref);
    if (ref == NULL)
        return fail(err, STATUS_MEMORY, "no memory for an index segment");
    ref->os = os;
    ref->info = *info;
    atomic_init(&ref->references, 1);
    atomic_init(&ref->doomed, false);
    ref->path = path_of_segment(dir, info->id);
    enum status status = ref->path == NULL
                             ? fail(err, STATUS_MEMORY, "no memory for an index segment")
                             : series_segment_open(&ref->segment, os, ref->path, info->id, err);
    if (status != STATUS_OK) {
        free(ref->path);
        free(ref);
        return status;
    }
    *result = ref;
    return STATUS_OK;
}

void segment_ref_release(struct segment_ref *ref)
{
    if (ref == NULL || atomic_fetch_sub(&ref->references, 1) != 1)
        return;
    series_segment_close(ref->segment);
    if (atomic_load(&ref->doomed)) {
        /* A file that stays behind is removed at the next start: nothing names it. */
        enum status removed = filesystem_remove(ref->os.fs, ref->path, NULL);
        (void)removed;
    }
    free(ref->path);
    free(ref);
}

static struct segment_set *make_set(struct segment_ref *const *segments, size_t count)
{
    struct segment_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return NULL;
    set->segments = malloc((count + 1) * sizeof set->segments[0]);
    if (set->segments == NULL) {
        free(set);
        return NULL;
    }
    atomic_init(&set->references, 1);
    for (size_t i = 0; i < count; i++) {
        struct series_segment_stats stats;
        atomic_fetch_add(&segments[i]->references, 1);
        set->segments[i] = segments[i];
        series_segment_stats(segments[i]->segment, &stats);
        set->series += stats.series;
        set->memory += sizeof *segments[i] + series_segment_memory(segments[i]->segment);
    }
    set->count = count;
    return set;
}

struct segment_set *segment_set_new(void)
{
    return make_set(NULL, 0);
}

struct segment_set *segment_set_acquire(struct segment_set *set)
{
    atomic_fetch_add(&set->references, 1);
    return set;
}

void segment_set_release(struct segment_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->references, 1) != 1)
        return;
    for (size_t i = 0; i < set->count; i++)
        segment_ref_release(set->segments[i]);
    free(set->segments);
    free(set);
}

static bool is_among(const struct segment_ref *ref, struct segment_ref *const *refs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (refs[i] == ref)
            return true;
    return false;
}

static bool shares_series(struct segment_ref *const *segments, size_t count,
                          const struct segment_ref *added)
{
    for (size_t i = 0; i < count; i++)
        if (roaring_bitmap_intersect(series_segment_ids(segments[i]->segment),
                                     series_segment_ids(added->segment)))
            return true;
    return false;
}

/* False without memory. */
static bool count_once(struct segment_set *set)
{
    roaring_bitmap_t *ids = roaring_bitmap_create();
    if (ids == NULL)
        return false;
    for (size_t i = 0; i < set->count; i++)
        roaring_bitmap_or_inplace(ids, series_segment_ids(set->segments[i]->segment));
    uint64_t distinct = roaring_bitmap_get_cardinality(ids);
    roaring_bitmap_free(ids);
    set->shared = distinct < set->series;
    set->series = distinct;
    return true;
}

struct segment_set *segment_set_replace(const struct segment_set *set,
                                        struct segment_ref *const *removed, size_t removed_count,
                                        struct segment_ref *added)
{
    struct segment_ref **segments = malloc((set->count + 1) * sizeof segments[0]);
    if (segments == NULL)
        return NULL;
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++)
        if (!is_among(set->segments[i], removed, removed_count))
            segments[count++] = set->segments[i];
    bool shared = set->shared;
    if (added != NULL) {
        shared = shared || shares_series(segments, count, added);
        segments[count++] = added;
    }
    struct segment_set *made = make_set(segments, count);
    free(segments);
    if (made != NULL && shared && !count_once(made)) {
        segment_set_release(made);
        return NULL;
    }
    return made;
}

/* ---- looking up ------------------------------------------------------------------------- */

/* Narrows *ids (NULL: everything) to those that have the pair. A page that is damaged does not
 * narrow them. */
static enum status narrow(const struct series_segment *segment, const struct label *label,
                          roaring_bitmap_t **ids, struct error *err)
{
    roaring_bitmap_t *with = roaring_bitmap_create();
    if (with == NULL)
        return fail(err, STATUS_MEMORY, "no memory to look for a series");
    struct error why = {0};
    enum status status = series_segment_pair(segment, label->name, label->value, with, &why);
    if (status == STATUS_OK && *ids == NULL) {
        *ids = with;
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        roaring_bitmap_and_inplace(*ids, with);
    roaring_bitmap_free(with);
    return status == STATUS_OK || status == STATUS_CORRUPT ? STATUS_OK
                                                           : fail(err, status, "%s", why.message);
}

/* Of `ids`, the one with exactly these labels. CORRUPT where it may be one whose definition cannot
 * be read. */
static enum status find_defined(const struct series_segment *segment, const struct labels *labels,
                                const roaring_bitmap_t *ids, uint32_t *id, struct error *err)
{
    struct series_segment_cursor *cursor;
    enum status status = series_segment_cursor_new(&cursor, segment, err);
    if (status != STATUS_OK)
        return status;
    status = STATUS_NOT_FOUND;
    roaring_uint32_iterator_t at;
    roaring_init_iterator(ids, &at);
    for (; at.has_value && (status == STATUS_NOT_FOUND || status == STATUS_CORRUPT);
         roaring_advance_uint32_iterator(&at)) {
        struct series_definition definition;
        enum status read = series_segment_read(cursor, at.current_value, &definition, err);
        if (read == STATUS_OK && labels_compare(&definition.labels, labels) == 0) {
            *id = at.current_value;
            status = STATUS_OK;
        } else if (read != STATUS_OK) {
            status = read == STATUS_NOT_FOUND ? STATUS_CORRUPT : read;
        }
    }
    series_segment_cursor_free(cursor);
    return status;
}

static enum status find_by_pairs(const struct series_segment *segment, const struct labels *labels,
                                 uint32_t *id, struct error *err)
{
    roaring_bitmap_t *ids = NULL;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < labels->count && status == STATUS_OK; i++)
        if (ids == NULL || !roaring_bitmap_is_empty(ids))
            status = narrow(segment, &labels->items[i], &ids, err);
    if (status == STATUS_OK)
        status =
            find_defined(segment, labels, ids == NULL ? series_segment_ids(segment) : ids, id, err);
    if (ids != NULL)
        roaring_bitmap_free(ids);
    return status;
}

/* The key alone is not enough: what is written under an id whose definition cannot be read would be
 * lost with it. */
static enum status check_definition(struct segment_ref *ref, uint32_t id, bool *defined,
                                    struct error *damage, struct error *err)
{
    struct error why = {0};
    enum status status = series_segment_defines(ref->segment, id, &why);
    if (status != STATUS_CORRUPT)
        return status == STATUS_OK ? status : fail(err, status, "%s", why.message);
    *defined = false;
    *damage = why;
    atomic_store(&ref->unreadable, true);
    return STATUS_OK;
}

enum status segment_set_find(const struct segment_set *set, const struct labels *labels,
                             struct series_key key, uint32_t *id, bool *defined,
                             struct error *damage, struct error *err)
{
    struct error undecided = {.status = STATUS_NOT_FOUND};
    *defined = true;
    for (size_t i = set->count; i-- > 0;) {
        const struct series_segment *segment = set->segments[i]->segment;
        struct error why = {0};
        enum status status = series_segment_find(segment, key, id, &why);
        if (status == STATUS_OK)
            return check_definition(set->segments[i], *id, defined, damage, err);
        if (status == STATUS_CORRUPT) {
            *damage = why;
            status = find_by_pairs(segment, labels, id, &why);
        }
        if (status == STATUS_OK)
            return status;
        if (status != STATUS_NOT_FOUND && status != STATUS_CORRUPT)
            return fail(err, status, "%s", why.message);
        /* One that cannot say whether it has the series: another one may have it. */
        if (status == STATUS_CORRUPT)
            undecided = why;
    }
    return undecided.status == STATUS_NOT_FOUND
               ? STATUS_NOT_FOUND
               : fail(err, undecided.status, "%s", undecided.message);
}

struct series_segment *segment_set_with(const struct segment_set *set, uint32_t id)
{
    for (size_t i = set->count; i-- > 0;)
        if (series_segment_has(set->segments[i]->segment, id))
            return set->segments[i]->segment;
    return NULL;
}

bool segment_set_may_define(const struct segment_set *set, uint32_t id)
{
    const struct series_segment *segment = segment_set_with(set, id);
    return segment != NULL && series_segment_may_define(segment, id);
}

enum status segment_set_metrics_of(const struct segment_set *set, const uint32_t *ids, size_t count,
                                   uint32_t *metrics, struct error *err)
{
    for (size_t i = 0; i < set->count; i++) {
        enum status status =
            series_segment_metrics_of(set->segments[i]->segment, ids, count, metrics, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- definitions ------------------------------------------------------------------------ */

enum status segment_labels_open(struct segment_labels *labels, struct segment_set *set,
                                struct error *err)
{
    *labels = (struct segment_labels){0};
    labels->cursors = calloc(set->count + 1, sizeof labels->cursors[0]);
    if (labels->cursors == NULL)
        return fail(err, STATUS_MEMORY, "no memory to read labels");
    labels->set = segment_set_acquire(set);
    return STATUS_OK;
}

void segment_labels_close(struct segment_labels *labels)
{
    if (labels->set == NULL)
        return;
    for (size_t i = 0; i < labels->set->count; i++)
        series_segment_cursor_free(labels->cursors[i]);
    free(labels->cursors);
    segment_set_release(labels->set);
    *labels = (struct segment_labels){0};
}

enum status segment_labels_read(struct segment_labels *labels, uint32_t id,
                                struct series_definition *definition, struct error *err)
{
    enum status status = STATUS_NOT_FOUND;
    for (size_t i = labels->set->count; i-- > 0;) {
        const struct series_segment *segment = labels->set->segments[i]->segment;
        struct series_segment_cursor **cursor = &labels->cursors[i];
        if (!series_segment_has(segment, id))
            continue;
        status = *cursor == NULL ? series_segment_cursor_new(cursor, segment, err) : STATUS_OK;
        if (status == STATUS_OK)
            status = series_segment_read(*cursor, id, definition, err);
        if (status != STATUS_CORRUPT)
            return status;
    }
    return status;
}
