#include "storage/engine/adopt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/engine/index_segment.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/paths.h"
#include "storage/engine/segment_owner.h"

struct candidate {
    struct manifest_part info;
    bool damaged;
};

/* A segment of series that is named now. */
struct named_index {
    uint64_t id;
    struct series_segment *segment;
    bool gone; /* it gave way */
};

struct search {
    const struct adoption *adoption;
    struct manifest_edit *edit;
    size_t taken;
    uint32_t next_series, next_metric;
    uint64_t last_sequence;

    struct candidate *candidates;
    size_t candidate_count;
    struct manifest_part *parts; /* that are named now */
    size_t part_count;

    struct named_index *indexes; /* that can be opened */
    size_t index_count;
    bool took_index;
    bool damaged_too;
    uint64_t *open; /* segments that are not decided on, falling */
    size_t open_count;
    uint64_t metrics_id, deletes_id; /* of the newest that is there; 0: none */

    /* Of the segment that is read: */
    uint64_t metrics, deletes;
    uint64_t last_delete; /* sequence */
    uint64_t damaged;     /* places */
};

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory to look for the files of the store");
}

static enum status decide(struct search *search, const char *path, const char *brings,
                          struct error *err)
{
    const struct adoption *adoption = search->adoption;
    search->taken += brings != NULL;
    return adoption->decided(adoption->context, path, brings, err);
}

/* Takes over the path. */
static bool is_there(const struct search *search, char *path)
{
    struct file *file = NULL;
    enum status status =
        path == NULL ? STATUS_NOT_FOUND
                     : filesystem_open(search->adoption->os.fs, path, FILE_READ, &file, NULL);
    /* One that cannot be opened for now is there all the same. */
    bool there = status != STATUS_NOT_FOUND && status != STATUS_CORRUPT;
    file_close(file);
    free(path);
    return there;
}

static void reach_series(struct search *search, uint32_t last_id)
{
    if (last_id >= search->next_series && last_id < UINT32_MAX)
        search->next_series = last_id + 1;
}

/* ---- parts --------------------------------------------------------------------------------- */

static bool overlap(const struct manifest_part *a, const struct manifest_part *b)
{
    return a->day == b->day && a->min_sequence <= b->max_sequence &&
           b->min_sequence <= a->max_sequence;
}

static bool holds_all_of(const struct manifest_part *whole, const struct manifest_part *part)
{
    return whole->min_sequence <= part->min_sequence && part->max_sequence <= whole->max_sequence;
}

static void count_finding(void *context, const struct error *err)
{
    (void)context, (void)err;
}

/* Every byte of it. */
static enum status is_whole(const struct search *search, const char *path, bool *whole,
                            struct error *err)
{
    struct part *part = NULL;
    uint64_t found = 0;
    enum status status = part_open(&part, search->adoption->os.fs, path, err);
    if (status == STATUS_OK)
        status = part_verify(part, count_finding, NULL, &found, err);
    part_close(part);
    *whole = status == STATUS_OK && found == 0;
    return status;
}

/* A series that is defined nowhere must not be defined as another one. Of pages that cannot be read
 * nobody knows. */
static enum status reach_series_of_part(struct search *search, struct part *part, struct error *err)
{
    roaring_bitmap_t *ids = NULL;
    struct error why = {0};
    enum status status = part_series(part, &ids, &why);
    if (status == STATUS_CORRUPT)
        return STATUS_OK;
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    if (!roaring_bitmap_is_empty(ids))
        reach_series(search, roaring_bitmap_maximum(ids));
    roaring_bitmap_free(ids);
    return STATUS_OK;
}

static enum status take_candidate(struct search *search, uint64_t id, struct part *part,
                                  struct error *err)
{
    const struct part_identity *identity = part_identity(part);
    const struct part_totals *totals = part_totals(part);
    if (identity->id != id || totals->samples == 0)
        return STATUS_END;
    search->candidates[search->candidate_count++] = (struct candidate){
        .info = {.id = id,
                 .day = identity->day,
                 .min_sequence = identity->min_sequence,
                 .max_sequence = identity->max_sequence,
                 .level = identity->level,
                 .samples = totals->samples,
                 .bytes = totals->bytes,
                 .min_ms = totals->min_ms,
                 .max_ms = totals->max_ms},
        .damaged = part_damage(part) != NULL,
    };
    if (identity->max_sequence > search->last_sequence)
        search->last_sequence = identity->max_sequence;
    return reach_series_of_part(search, part, err);
}

static enum status look_at_part(struct search *search, uint64_t id, struct error *err)
{
    struct part *part = NULL;
    struct error why = {0};
    char *path = path_of_part(search->adoption->dir, id);
    if (path == NULL)
        return no_memory(err);
    enum status status = part_open(&part, search->adoption->os.fs, path, &why);
    if (status == STATUS_OK)
        status = take_candidate(search, id, part, &why);
    if (status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED || status == STATUS_END)
        status = decide(search, path, NULL, err);
    else if (status != STATUS_OK)
        fail(err, status, "%s", why.message);
    part_close(part);
    free(path);
    return status;
}

/* Where several have the same commits it matters which of them are whole. */
static enum status look_into_contested(struct search *search, struct error *err)
{
    for (size_t i = 0; i < search->candidate_count; i++) {
        struct candidate *candidate = &search->candidates[i];
        bool contested = false;
        for (size_t j = 0; j < search->candidate_count && !contested; j++)
            contested = j != i && overlap(&candidate->info, &search->candidates[j].info);
        if (!contested || candidate->damaged)
            continue;
        char *path = path_of_part(search->adoption->dir, candidate->info.id);
        bool whole = false;
        enum status status = path == NULL ? no_memory(err) : is_whole(search, path, &whole, err);
        free(path);
        if (status != STATUS_OK)
            return status;
        candidate->damaged = !whole;
    }
    return STATUS_OK;
}

/* Sound ones before damaged ones, what came of a merge before what went into it. */
static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *left = a;
    const struct candidate *right = b;
    if (left->damaged != right->damaged)
        return left->damaged ? 1 : -1;
    return (left->info.id < right->info.id) - (left->info.id > right->info.id);
}

/* Whether no other file has its commits, or it is whole and was made of those that have. */
static enum status fits(const struct search *search, const struct candidate *candidate,
                        const char *path, bool *fits, struct error *err)
{
    *fits = true;
    bool newer = !candidate->damaged;
    for (size_t i = 0; i < search->part_count; i++) {
        const struct manifest_part *named = &search->parts[i];
        if (!overlap(named, &candidate->info) ||
            !is_there(search, path_of_part(search->adoption->dir, named->id)))
            continue;
        *fits = false;
        newer = newer && named->id < candidate->info.id && holds_all_of(&candidate->info, named);
    }
    return !*fits && newer ? is_whole(search, path, fits, err) : STATUS_OK;
}

static void adopt_part(struct search *search, const struct manifest_part *part)
{
    size_t kept = 0;
    for (size_t i = 0; i < search->part_count; i++) {
        if (overlap(&search->parts[i], part))
            manifest_remove_part(search->edit, search->parts[i].id);
        else
            search->parts[kept++] = search->parts[i];
    }
    search->part_count = kept;
    search->parts[search->part_count++] = *part;
    manifest_add_part(search->edit, part);
}

static enum status decide_part(struct search *search, const struct candidate *candidate,
                               struct error *err)
{
    char *path = path_of_part(search->adoption->dir, candidate->info.id);
    char brings[128];
    bool good = false;
    if (path == NULL)
        return no_memory(err);
    enum status status = fits(search, candidate, path, &good, err);
    snprintf(brings, sizeof brings, "it holds %" PRIu64 " samples that nothing else does",
             candidate->info.samples);
    if (status == STATUS_OK && good)
        adopt_part(search, &candidate->info);
    if (status == STATUS_OK)
        status = decide(search, path, good ? brings : NULL, err);
    free(path);
    return status;
}

static enum status search_parts(struct search *search, struct error *err)
{
    const struct manifest_state *state = search->adoption->state;
    const struct unnamed_ids *unnamed = &search->adoption->unnamed->parts;
    search->parts = malloc((state->part_count + unnamed->count + 1) * sizeof search->parts[0]);
    search->candidates = calloc(unnamed->count + 1, sizeof search->candidates[0]);
    if (search->parts == NULL || search->candidates == NULL)
        return no_memory(err);
    if (state->part_count > 0)
        memcpy(search->parts, state->parts, state->part_count * sizeof search->parts[0]);
    search->part_count = state->part_count;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < unnamed->count && status == STATUS_OK; i++)
        status = look_at_part(search, unnamed->ids[i], err);
    if (status == STATUS_OK)
        status = look_into_contested(search, err);
    if (search->candidate_count > 0)
        qsort(search->candidates, search->candidate_count, sizeof search->candidates[0],
              compare_candidates);
    for (size_t i = 0; i < search->candidate_count && status == STATUS_OK; i++)
        status = decide_part(search, &search->candidates[i], err);
    return status;
}

/* ---- the index ------------------------------------------------------------------------------ */

static void reach_ids(struct search *search, const struct series_segment *index)
{
    struct series_segment_stats stats;
    size_t count = 0;
    series_segment_stats(index, &stats);
    const struct series_segment_metric *metrics = series_segment_metrics(index, &count);
    if (stats.series > 0)
        reach_series(search, stats.last_id);
    if (count > 0 && metrics[count - 1].metric >= search->next_metric)
        search->next_metric = metrics[count - 1].metric + 1;
}

/* One that cannot be opened has no series that anybody knows of. */
static enum status open_index(struct search *search, uint64_t id, const char *path,
                              struct error *err)
{
    struct series_segment *segment = NULL;
    struct error why = {0};
    enum status status = series_segment_open(&segment, search->adoption->os, path, id, &why);
    if (status == STATUS_CORRUPT || status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    search->indexes[search->index_count++] = (struct named_index){.id = id, .segment = segment};
    reach_ids(search, segment);
    return STATUS_OK;
}

static enum status open_named(struct search *search, struct error *err)
{
    const struct manifest_state *state = search->adoption->state;
    size_t most = state->segment_count + search->adoption->unnamed->segments.count + 1;
    enum status status = STATUS_OK;
    search->indexes = calloc(most, sizeof search->indexes[0]);
    if (search->indexes == NULL)
        return no_memory(err);
    for (size_t i = 0; i < state->segment_count && status == STATUS_OK; i++) {
        const struct manifest_segment *told = &state->segments[i];
        char *path = path_of_segment(search->adoption->dir, told->id);
        if (path == NULL)
            return no_memory(err);
        if (told->kind == SEGMENT_ACTIVITY) {
            free(path);
            continue;
        }
        if (told->kind != SEGMENT_METRICS && told->kind != SEGMENT_DELETES) {
            status = open_index(search, told->id, path, err);
            free(path);
            continue;
        }
        uint64_t *newest =
            told->kind == SEGMENT_METRICS ? &search->metrics_id : &search->deletes_id;
        if (is_there(search, path) && told->id > *newest)
            *newest = told->id;
    }
    return status;
}

static void count_damage(void *context, const char *description)
{
    struct search *search = context;
    (void)description;
    search->damaged++;
}

static enum status verify_index(struct search *search, uint64_t id, const char *path, bool *whole,
                                struct error *err)
{
    struct series_segment_stats stats;
    search->damaged = 0;
    enum status status =
        series_segment_verify(search->adoption->os, path, id, search->adoption->state->secret,
                              count_damage, search, &stats, err);
    *whole = status == STATUS_OK && search->damaged == 0;
    return status;
}

/* *same: whether a series of both is the same in both. Of pages that cannot be read nobody knows.
 */
static enum status defines_alike(const struct series_segment *a, const struct series_segment *b,
                                 bool *same, struct error *err)
{
    struct series_segment_cursor *left = NULL;
    struct series_segment_cursor *right = NULL;
    *same = true;
    roaring_bitmap_t *both = roaring_bitmap_and(series_segment_ids(a), series_segment_ids(b));
    enum status status = both == NULL ? no_memory(err) : series_segment_cursor_new(&left, a, err);
    if (status == STATUS_OK)
        status = series_segment_cursor_new(&right, b, err);
    roaring_uint32_iterator_t at;
    if (status == STATUS_OK)
        roaring_init_iterator(both, &at);
    for (; status == STATUS_OK && *same && at.has_value; roaring_advance_uint32_iterator(&at)) {
        struct series_definition one, other;
        status = series_segment_read(left, at.current_value, &one, err);
        if (status == STATUS_OK)
            status = series_segment_read(right, at.current_value, &other, err);
        if (status == STATUS_OK)
            *same = labels_compare(&one.labels, &other.labels) == 0;
        else if (status == STATUS_CORRUPT)
            status = STATUS_OK;
    }
    series_segment_cursor_free(left);
    series_segment_cursor_free(right);
    if (both != NULL)
        roaring_bitmap_free(both);
    return status;
}

/* Whether a segment that is named gives way to a newer one that is whole: one with all of its
 * series was made of it. One with some of them has taken its place if others that went too are
 * gone, or if an id stands for another series there: ids are given again only after that. */
static enum status gives_way(const struct search *search, const struct series_segment *named,
                             const struct series_segment *newer, bool *gives, struct error *err)
{
    bool same = true;
    *gives = search->adoption->unnamed->missing_segment ||
             roaring_bitmap_is_subset(series_segment_ids(named), series_segment_ids(newer));
    if (*gives)
        return STATUS_OK;
    enum status status = defines_alike(named, newer, &same, err);
    *gives = !same;
    return status;
}

/* Whether no other segment has one of its series, or those that have give way. */
static enum status index_fits(const struct search *search, uint64_t id,
                              const struct series_segment *index, bool whole, bool *fits,
                              struct error *err)
{
    enum status status = STATUS_OK;
    *fits = true;
    for (size_t i = 0; i < search->index_count && *fits && status == STATUS_OK; i++) {
        const struct named_index *named = &search->indexes[i];
        if (named->gone || !roaring_bitmap_intersect(series_segment_ids(named->segment),
                                                     series_segment_ids(index)))
            continue;
        *fits = whole && named->id < id;
        if (*fits)
            status = gives_way(search, named->segment, index, fits, err);
    }
    return status;
}

static void adopt_index(struct search *search, uint64_t id, struct series_segment *index)
{
    struct series_segment_stats stats;
    series_segment_stats(index, &stats);
    for (size_t i = 0; i < search->index_count; i++) {
        struct named_index *named = &search->indexes[i];
        if (named->gone || !roaring_bitmap_intersect(series_segment_ids(named->segment),
                                                     series_segment_ids(index)))
            continue;
        manifest_remove_segment(search->edit, named->id);
        named->gone = true;
    }
    search->indexes[search->index_count++] = (struct named_index){.id = id, .segment = index};
    search->took_index = true;
    manifest_add_segment(search->edit, &(struct manifest_segment){.id = id,
                                                                  .kind = SEGMENT_INDEX,
                                                                  .entries = stats.series,
                                                                  .bytes = stats.bytes});
}

/* ---- descriptors and deletes ---------------------------------------------------------------- */

static enum status count_metric(void *context, const struct metric *metric, struct error *err)
{
    struct search *search = context;
    (void)metric, (void)err;
    search->metrics++;
    return STATUS_OK;
}

static enum status count_delete(struct search *search, struct slice record, struct error *err)
{
    struct record_delete delete;
    enum status status = record_get_delete(record, &delete, err);
    if (status != STATUS_OK)
        return status;
    roaring_bitmap_free(delete.ids);
    search->deletes++;
    if (delete.sequence > search->last_delete)
        search->last_delete = delete.sequence;
    return STATUS_OK;
}

static enum status take_record(void *context, enum record_type type, struct slice record,
                               struct error *err)
{
    if (type == RECORD_METRICS)
        return record_get_metrics(record, count_metric, context, err);
    if (type == RECORD_DELETE)
        return count_delete(context, record, err);
    /* Of some moment: a start tells by parts and log what is active, and the next flush writes it.
     */
    if (type == RECORD_ACTIVITY)
        return STATUS_OK;
    return fail(err, STATUS_CORRUPT, "a record of type %d does not belong here", (int)type);
}

static enum status size_of(const struct search *search, const char *path, uint64_t *size,
                           struct error *err)
{
    struct file *file = NULL;
    enum status status = filesystem_open(search->adoption->os.fs, path, FILE_READ, &file, err);
    if (status == STATUS_OK)
        status = file_size(file, size, err);
    file_close(file);
    return status;
}

static void adopt_records(struct search *search, struct manifest_segment *told)
{
    bool deletes = told->kind == SEGMENT_DELETES;
    const struct manifest_state *state = search->adoption->state;
    /* The newest says what all before it said. */
    for (size_t i = 0; i < state->segment_count; i++)
        if (state->segments[i].kind == told->kind)
            manifest_remove_segment(search->edit, state->segments[i].id);
    manifest_add_segment(search->edit, told);
    *(deletes ? &search->deletes_id : &search->metrics_id) = told->id;
    /* What is written from now on is behind the deletes. */
    if (search->last_delete > search->last_sequence)
        search->last_sequence = search->last_delete;
}

static enum status decide_records(struct search *search, uint64_t id, const char *path,
                                  struct error *err)
{
    struct error why = {0};
    search->metrics = search->deletes = search->last_delete = search->damaged = 0;
    enum status status =
        index_segment_read(search->adoption->os, path, take_record, count_damage, search, &why);
    bool deletes = search->deletes > 0;
    if (status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED ||
        (status == STATUS_OK && (search->damaged > 0 || (search->metrics > 0) == deletes ||
                                 id < (deletes ? search->deletes_id : search->metrics_id))))
        return decide(search, path, NULL, err);
    struct manifest_segment told = {.id = id,
                                    .kind = deletes ? SEGMENT_DELETES : SEGMENT_METRICS,
                                    .entries = deletes ? search->deletes : search->metrics};
    if (status == STATUS_OK)
        status = size_of(search, path, &told.bytes, &why);
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    char brings[128];
    snprintf(brings, sizeof brings, "it holds %" PRIu64 " %s", told.entries,
             deletes ? "deletes" : "descriptors of metrics");
    adopt_records(search, &told);
    return decide(search, path, brings, err);
}

/* ---- segments of either kind ---------------------------------------------------------------- */

enum verdict { LEFT, TAKEN, LATER };

static enum status judge_index(struct search *search, uint64_t id, const char *path,
                               const struct series_segment *index, enum verdict *verdict,
                               struct error *err)
{
    struct error why = {0};
    bool whole = false;
    bool fits = false;
    *verdict = LEFT;
    enum status status = segment_expect_own(index, search->adoption->state->secret, &why);
    if (status == STATUS_CORRUPT)
        return STATUS_OK;
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    reach_ids(search, index);
    status = verify_index(search, id, path, &whole, err);
    if (status == STATUS_OK && (whole || search->damaged_too))
        status = index_fits(search, id, index, whole, &fits, err);
    *verdict = fits ? TAKEN : LATER;
    return status;
}

static enum status decide_index(struct search *search, uint64_t id, const char *path,
                                struct series_segment *index, enum verdict *verdict,
                                struct error *err)
{
    struct series_segment_stats stats;
    char brings[128];
    enum status status = judge_index(search, id, path, index, verdict, err);
    series_segment_stats(index, &stats);
    if (status != STATUS_OK || *verdict != TAKEN) {
        series_segment_close(index);
        return status == STATUS_OK && *verdict == LEFT ? decide(search, path, NULL, err) : status;
    }
    adopt_index(search, id, index);
    snprintf(brings, sizeof brings, "it defines %" PRIu64 " series that nothing else does",
             stats.series);
    return decide(search, path, brings, err);
}

static enum status decide_segment(struct search *search, uint64_t id, enum verdict *verdict,
                                  struct error *err)
{
    struct series_segment *index = NULL;
    struct error why = {0};
    char *path = path_of_segment(search->adoption->dir, id);
    if (path == NULL)
        return no_memory(err);
    *verdict = LEFT;
    enum status status = series_segment_open(&index, search->adoption->os, path, id, &why);
    if (status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED)
        status = decide_records(search, id, path, err);
    else if (status == STATUS_OK)
        status = decide_index(search, id, path, index, verdict, err);
    else
        fail(err, status, "%s", why.message);
    free(path);
    return status;
}

/* One pass over those that are not decided on, the newest first. *taken: it made a difference. */
static enum status decide_segments(struct search *search, bool *taken, struct error *err)
{
    enum status status = STATUS_OK;
    size_t kept = 0;
    *taken = false;
    for (size_t i = 0; i < search->open_count && status == STATUS_OK; i++) {
        enum verdict verdict;
        uint64_t id = search->open[i];
        status = decide_segment(search, id, &verdict, err);
        *taken = *taken || verdict == TAKEN;
        if (verdict == LATER)
            search->open[kept++] = id;
    }
    search->open_count = kept;
    return status;
}

/* Which ones fit may hang on others that were taken in meanwhile. Damaged ones come last. */
static enum status decide_all(struct search *search, struct error *err)
{
    enum status status = STATUS_OK;
    bool taken = true;
    while (taken && status == STATUS_OK)
        status = decide_segments(search, &taken, err);
    search->damaged_too = !search->adoption->whole_only;
    if (status == STATUS_OK && search->damaged_too)
        status = decide_segments(search, &taken, err);
    for (size_t i = 0; i < search->open_count && status == STATUS_OK; i++) {
        char *path = path_of_segment(search->adoption->dir, search->open[i]);
        status = path == NULL ? no_memory(err) : decide(search, path, NULL, err);
        free(path);
    }
    return status;
}

/* What took the place of those that are missing is there now: that is no loss. */
static void remove_missing(struct search *search)
{
    const struct manifest_state *state = search->adoption->state;
    for (size_t i = 0; i < state->segment_count; i++) {
        const struct manifest_segment *told = &state->segments[i];
        bool series = told->kind == SEGMENT_SERIES || told->kind == SEGMENT_INDEX;
        /* What is active a start can tell without it. */
        if (((search->took_index && series) || told->kind == SEGMENT_ACTIVITY) &&
            !is_there(search, path_of_segment(search->adoption->dir, told->id)))
            manifest_remove_segment(search->edit, told->id);
    }
}

static enum status search_index(struct search *search, struct error *err)
{
    const struct unnamed_ids *unnamed = &search->adoption->unnamed->segments;
    enum status status = open_named(search, err);
    search->open = malloc((unnamed->count + 1) * sizeof search->open[0]);
    if (search->open == NULL)
        return no_memory(err);
    for (size_t i = unnamed->count; i-- > 0;)
        search->open[search->open_count++] = unnamed->ids[i];
    if (status == STATUS_OK)
        status = decide_all(search, err);
    if (status == STATUS_OK)
        remove_missing(search);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------ */

enum status adopt_files(const struct adoption *adoption, struct manifest_edit *edit, size_t *taken,
                        struct error *err)
{
    const struct manifest_state *state = adoption->state;
    struct search search = {.adoption = adoption,
                            .edit = edit,
                            .next_series = state->next_series,
                            .next_metric = state->next_metric,
                            .last_sequence = state->last_sequence};
    enum status status = search_parts(&search, err);
    if (status == STATUS_OK)
        status = search_index(&search, err);
    manifest_set_flushed(edit, state->log_position, search.last_sequence);
    manifest_set_next_ids(edit, search.next_series, search.next_metric);
    *taken = search.taken;
    for (size_t i = 0; i < search.index_count; i++)
        series_segment_close(search.indexes[i].segment);
    free(search.indexes);
    free(search.open);
    free(search.candidates);
    free(search.parts);
    return status;
}
