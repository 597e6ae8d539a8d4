#include "storage/engine/matching.h"

#include "base/invariant.h"

/* Of one hold of a lock: what writers may have to wait for. */
enum {
    LOOKS_A_LOCK = 16384, /* at ids, or at pages of which none is there */
    WORK_A_LOCK = 2048,   /* in ids that are added to a set */
    VALUE_WORK = 16,      /* a regular expression on one value */
    LABELS_WORK = 16      /* matchers on the labels of one series */
};

/* One of the two. */
struct source {
    const struct shared_table *table;
    const struct series_segment *segment;
    const struct patience *patience;
};

struct wanted {
    const struct matcher *matcher;
    bool accepted;
    const struct patience *patience;
    unsigned looked_at;
    enum status status; /* of patience */
    struct error *err;
};

static bool is_wanted(const struct wanted *wanted, struct slice value)
{
    return matcher_matches_value(wanted->matcher, value) == wanted->accepted;
}

static bool want_value(void *context, struct slice value, bool *go_on)
{
    struct wanted *wanted = context;
    if (++wanted->looked_at % PATIENCE_EVERY == 0)
        wanted->status = patience_check(wanted->patience, wanted->err);
    *go_on = wanted->status == STATUS_OK;
    return *go_on && is_wanted(wanted, value);
}

/* ---- tables ----------------------------------------------------------------------------- */

/* Takes the lock; NULL, without it, when the table has gone. */
static const struct series_table *enter(const struct shared_table *shared)
{
    rwlock_read(shared->lock);
    const struct series_table *table = series_index_table(shared->index, shared->number);
    if (table == NULL)
        rwlock_unlock(shared->lock);
    return table;
}

static void leave(const struct shared_table *shared)
{
    rwlock_unlock(shared->lock);
}

/* Of ids in a set many go at once. */
static uint32_t cost_of(const struct postings *postings)
{
    uint32_t count = postings->count;
    return VALUE_WORK + (count <= POSTINGS_ARRAY_MAX ? count : POSTINGS_ARRAY_MAX + count / 64);
}

/*
 * From the last pair to the first: one that is forgotten meanwhile gives its place to the last one,
 * which has been looked at by then; and what is added, behind the last one, is of series that come
 * later.
 */
static enum status table_values(const struct shared_table *shared, const struct wanted *wanted,
                                roaring_bitmap_t *to)
{
    enum status status = STATUS_OK;
    for (uint32_t left = UINT32_MAX; left > 0 && status == STATUS_OK;) {
        const struct series_table *table = enter(shared);
        if (table == NULL)
            return STATUS_BUSY;
        const struct pair_table *pairs = &table->pairs;
        uint32_t name = pair_table_find_name(pairs, wanted->matcher->name);
        uint32_t count = name == PAIR_NONE ? 0 : pairs->names[name].pair_count;
        left = left < count ? left : count;
        for (uint32_t work = 0; left > 0 && work < WORK_A_LOCK;) {
            uint32_t pair = pairs->names[name].pairs[--left];
            if (is_wanted(wanted, pair_value(pairs, pair)))
                postings_union_into(&pairs->pairs[pair].series, to);
            work += cost_of(&pairs->pairs[pair].series);
        }
        leave(shared);
        status = patience_check(wanted->patience, wanted->err);
    }
    return status;
}

static enum status table_pair(const struct shared_table *shared, const struct matcher *matcher,
                              roaring_bitmap_t *to)
{
    const struct series_table *table = enter(shared);
    if (table == NULL)
        return STATUS_BUSY;
    uint32_t pair = pair_table_find(&table->pairs, matcher->name, matcher->value);
    if (pair != PAIR_NONE)
        postings_union_into(&table->pairs.pairs[pair].series, to);
    leave(shared);
    return STATUS_OK;
}

static uint64_t next_page(uint64_t id)
{
    return (id / SERIES_PAGE + 1) * SERIES_PAGE;
}

static enum status table_all(const struct shared_table *shared, const struct patience *patience,
                             roaring_bitmap_t *to, struct error *err)
{
    enum status status = STATUS_OK;
    uint64_t end = UINT64_MAX;
    for (uint64_t id = 0; id < end && status == STATUS_OK;) {
        const struct series_table *table = enter(shared);
        if (table == NULL)
            return STATUS_BUSY;
        end = (uint64_t)table->page_count * SERIES_PAGE;
        for (int looks = 0; id < end && looks < LOOKS_A_LOCK; looks++) {
            if (series_table_had(table, (uint32_t)id, shared->until))
                roaring_bitmap_add(to, (uint32_t)id);
            id = series_table_has_page(table, id) ? id + 1 : next_page(id);
        }
        leave(shared);
        status = patience_check(patience, err);
    }
    return status;
}

/*
 * Of `ids`, those that had been committed by then. Others may be among them by mistake: a reserved
 * series that is forgotten leaves its id to another one, perhaps between two matchers.
 */
static enum status keep_committed(const struct shared_table *shared, const roaring_bitmap_t *ids,
                                  roaring_bitmap_t *to, const struct patience *patience,
                                  struct error *err)
{
    enum status status = STATUS_OK;
    roaring_uint32_iterator_t at;
    roaring_init_iterator(ids, &at);
    while (at.has_value && status == STATUS_OK) {
        const struct series_table *table = enter(shared);
        if (table == NULL)
            return STATUS_BUSY;
        for (int i = 0; i < WORK_A_LOCK && at.has_value; i++) {
            if (series_table_had(table, at.current_value, shared->until))
                roaring_bitmap_add(to, at.current_value);
            (void)roaring_advance_uint32_iterator(&at);
        }
        leave(shared);
        status = patience_check(patience, err);
    }
    return status;
}

/* ---- matchers --------------------------------------------------------------------------- */

/* The series that have the matcher's label with a value that the matcher accepts (or refuses). */
static enum status union_of_values(const struct source *source, struct wanted *wanted,
                                   roaring_bitmap_t *to)
{
    const struct matcher *matcher = wanted->matcher;
    bool one = wanted->accepted && matcher->type == MATCH_EQUAL;
    if (source->segment == NULL)
        return one ? table_pair(source->table, matcher, to)
                   : table_values(source->table, wanted, to);
    if (one)
        return series_segment_pair(source->segment, matcher->name, matcher->value, to, wanted->err);
    enum status status =
        series_segment_values(source->segment, matcher->name, want_value, wanted, to, wanted->err);
    return status == STATUS_OK ? wanted->status : status;
}

static enum status all_series(const struct source *source, roaring_bitmap_t *to, struct error *err)
{
    if (source->segment == NULL)
        return table_all(source->table, source->patience, to, err);
    roaring_bitmap_or_inplace(to, series_segment_ids(source->segment));
    return STATUS_OK;
}

static enum status new_bitmap(roaring_bitmap_t **bitmap, struct error *err)
{
    *bitmap = roaring_bitmap_create();
    return *bitmap == NULL ? fail(err, STATUS_MEMORY, "no memory for a query") : STATUS_OK;
}

/*
 * A matcher that refuses the empty value asks for series that have the label: their union is cut
 * with the result. One that accepts it takes away the series whose value it refuses; these are
 * looked for after what they are taken from, so that none is missed that came in between.
 */
static enum status apply(const struct source *source, const struct matcher *matcher,
                         roaring_bitmap_t **so_far, struct error *err)
{
    struct wanted wanted = {.matcher = matcher,
                            .accepted = !matcher_matches_empty(matcher),
                            .patience = source->patience,
                            .err = err};
    enum status status = STATUS_OK;
    if (*so_far == NULL && !wanted.accepted) {
        status = new_bitmap(so_far, err);
        if (status == STATUS_OK)
            status = all_series(source, *so_far, err);
    }
    roaring_bitmap_t *own = NULL;
    if (status == STATUS_OK)
        status = new_bitmap(&own, err);
    if (status == STATUS_OK)
        status = union_of_values(source, &wanted, own);
    if (status == STATUS_OK && *so_far == NULL) {
        *so_far = own;
        return STATUS_OK;
    }
    if (status == STATUS_OK && wanted.accepted)
        roaring_bitmap_and_inplace(*so_far, own);
    else if (status == STATUS_OK)
        roaring_bitmap_andnot_inplace(*so_far, own);
    if (own != NULL)
        roaring_bitmap_free(own);
    return status;
}

/* *so_far stays NULL where there are no matchers. */
static enum status apply_all(const struct source *source, const struct matchers *matchers,
                             roaring_bitmap_t **so_far, struct error *err)
{
    enum status status = STATUS_OK;
    /* First the matchers that ask for a label: what they leave is small. */
    for (int round = 0; round < 2 && status == STATUS_OK; round++)
        for (size_t i = 0; i < matchers->count && status == STATUS_OK; i++)
            if (matcher_matches_empty(&matchers->items[i]) == (round == 1))
                status = apply(source, &matchers->items[i], so_far, err);
    return status;
}

enum status matching_table(const struct shared_table *table, const struct matchers *matchers,
                           const struct patience *patience, roaring_bitmap_t *result,
                           struct error *err)
{
    struct source source = {.table = table, .patience = patience};
    roaring_bitmap_t *so_far = NULL;
    enum status status = apply_all(&source, matchers, &so_far, err);
    if (status == STATUS_OK)
        status = so_far == NULL ? all_series(&source, result, err)
                                : keep_committed(table, so_far, result, patience, err);
    if (so_far != NULL)
        roaring_bitmap_free(so_far);
    return status;
}

enum status matching_segment(const struct series_segment *segment, const struct matchers *matchers,
                             const struct patience *patience, roaring_bitmap_t *result,
                             struct error *err)
{
    struct source source = {.segment = segment, .patience = patience};
    roaring_bitmap_t *so_far = NULL;
    enum status status = patience_check(patience, err);
    if (status == STATUS_OK)
        status = apply_all(&source, matchers, &so_far, err);
    if (status == STATUS_OK && so_far != NULL)
        roaring_bitmap_or_inplace(result, so_far);
    else if (status == STATUS_OK)
        status = all_series(&source, result, err);
    if (so_far != NULL)
        roaring_bitmap_free(so_far);
    return status;
}

/* ---- by labels -------------------------------------------------------------------------- */

static bool any_matches(const struct series_table *table, uint32_t id,
                        const struct matchers *matchers, size_t count)
{
    struct label items[LABELS_MAX_COUNT];
    struct labels labels;
    series_table_labels(table, id, items, &labels);
    for (size_t i = 0; i < count; i++)
        if (matchers_match(&matchers[i], &labels))
            return true;
    return false;
}

/* The one of the tables that has it as one of those. With the lock. */
static const struct series_table *table_with(const struct series_index *index, uint32_t id,
                                             uint64_t since, uint64_t until)
{
    if (series_table_has_of(&index->active, id, since, until))
        return &index->active;
    bool sealed = index->has_sealed && series_table_has_of(&index->sealed, id, since, until);
    return sealed ? &index->sealed : NULL;
}

static bool has_page(const struct series_index *index, uint64_t id)
{
    return series_table_has_page(&index->active, id) ||
           (index->has_sealed && series_table_has_page(&index->sealed, id));
}

enum status matching_newer(const struct series_index *index, struct rwlock *lock,
                           const struct matchers *matchers, size_t count, uint64_t since,
                           uint64_t until, const struct patience *patience,
                           roaring_bitmap_t *result, struct error *err)
{
    enum status status = STATUS_OK;
    uint64_t end = UINT64_MAX;
    for (uint64_t id = 0; id < end && status == STATUS_OK;) {
        /* Both tables at once: the active one may become the sealed one any time. */
        rwlock_read(lock);
        uint32_t pages = index->active.page_count;
        if (index->has_sealed && index->sealed.page_count > pages)
            pages = index->sealed.page_count;
        end = (uint64_t)pages * SERIES_PAGE;
        uint32_t work = 0;
        for (int looks = 0; id < end && looks < LOOKS_A_LOCK && work < WORK_A_LOCK; looks++) {
            const struct series_table *table = table_with(index, (uint32_t)id, since, until);
            if (table != NULL) {
                work += LABELS_WORK * (uint32_t)count;
                if (any_matches(table, (uint32_t)id, matchers, count))
                    roaring_bitmap_add(result, (uint32_t)id);
            }
            id = has_page(index, id) ? id + 1 : next_page(id);
        }
        rwlock_unlock(lock);
        status = patience_check(patience, err);
    }
    return status;
}
