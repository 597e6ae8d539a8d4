#include "storage/engine/matching.h"

#include "base/invariant.h"

/* One of the two. */
struct source {
    const struct series_table *table;
    const struct series_segment *segment;
};

struct wanted {
    const struct matcher *matcher;
    bool accepted;
};

static bool want_value(void *context, struct slice value, bool *go_on)
{
    const struct wanted *wanted = context;
    (void)go_on;
    return matcher_matches_value(wanted->matcher, value) == wanted->accepted;
}

static void table_values(const struct series_table *table, const struct wanted *wanted,
                         roaring_bitmap_t *to)
{
    const struct pair_table *pairs = &table->pairs;
    uint32_t name = pair_table_find_name(pairs, wanted->matcher->name);
    if (name == PAIR_NONE)
        return;
    for (uint32_t i = 0; i < pairs->names[name].pair_count; i++) {
        uint32_t pair = pairs->names[name].pairs[i];
        if (matcher_matches_value(wanted->matcher, pair_value(pairs, pair)) == wanted->accepted)
            postings_union_into(&pairs->pairs[pair].series, to);
    }
}

static void table_pair(const struct series_table *table, const struct matcher *matcher,
                       roaring_bitmap_t *to)
{
    uint32_t pair = pair_table_find(&table->pairs, matcher->name, matcher->value);
    if (pair != PAIR_NONE)
        postings_union_into(&table->pairs.pairs[pair].series, to);
}

/* The series that have the matcher's label with a value that the matcher accepts (or refuses). */
static enum status union_of_values(const struct source *source, const struct wanted *wanted,
                                   roaring_bitmap_t *to, struct error *err)
{
    const struct matcher *matcher = wanted->matcher;
    bool one = wanted->accepted && matcher->type == MATCH_EQUAL;
    if (source->segment != NULL && one)
        return series_segment_pair(source->segment, matcher->name, matcher->value, to, err);
    if (source->segment != NULL)
        return series_segment_values(source->segment, matcher->name, want_value, (void *)wanted, to,
                                     err);
    invariant(source->table != NULL);
    if (one)
        table_pair(source->table, matcher, to);
    else
        table_values(source->table, wanted, to);
    return STATUS_OK;
}

static void all_series(const struct source *source, roaring_bitmap_t *to)
{
    invariant(source->segment != NULL || source->table != NULL);
    if (source->segment != NULL) {
        roaring_bitmap_or_inplace(to, series_segment_ids(source->segment));
        return;
    }
    uint32_t id = series_table_next_committed(source->table, 0);
    for (; id != SERIES_ID_NONE; id = series_table_next_committed(source->table, id + 1))
        roaring_bitmap_add(to, id);
}

static enum status new_bitmap(roaring_bitmap_t **bitmap, struct error *err)
{
    *bitmap = roaring_bitmap_create();
    return *bitmap == NULL ? fail(err, STATUS_MEMORY, "no memory for a query") : STATUS_OK;
}

/*
 * A matcher that refuses the empty value asks for series that have the label: their union is cut
 * with the result. One that accepts it takes away the series whose value it refuses.
 */
static enum status apply(const struct source *source, const struct matcher *matcher,
                         roaring_bitmap_t **so_far, struct error *err)
{
    struct wanted wanted = {.matcher = matcher, .accepted = !matcher_matches_empty(matcher)};
    roaring_bitmap_t *own;
    enum status status = new_bitmap(&own, err);
    if (status == STATUS_OK)
        status = union_of_values(source, &wanted, own, err);
    if (status == STATUS_OK && wanted.accepted && *so_far == NULL) {
        *so_far = own;
        return STATUS_OK;
    }
    if (status == STATUS_OK && *so_far == NULL) {
        status = new_bitmap(so_far, err);
        if (status == STATUS_OK)
            all_series(source, *so_far);
    }
    if (status == STATUS_OK && wanted.accepted)
        roaring_bitmap_and_inplace(*so_far, own);
    else if (status == STATUS_OK)
        roaring_bitmap_andnot_inplace(*so_far, own);
    if (own != NULL)
        roaring_bitmap_free(own);
    return status;
}

static enum status matching(const struct source *source, const struct matchers *matchers,
                            roaring_bitmap_t *result, struct error *err)
{
    roaring_bitmap_t *so_far = NULL;
    enum status status = STATUS_OK;
    /* First the matchers that ask for a label: what they leave is small. */
    for (int round = 0; round < 2 && status == STATUS_OK; round++)
        for (size_t i = 0; i < matchers->count && status == STATUS_OK; i++)
            if (matcher_matches_empty(&matchers->items[i]) == (round == 1))
                status = apply(source, &matchers->items[i], &so_far, err);
    if (status == STATUS_OK && so_far != NULL)
        roaring_bitmap_or_inplace(result, so_far);
    else if (status == STATUS_OK)
        all_series(source, result);
    if (so_far != NULL)
        roaring_bitmap_free(so_far);
    return status;
}

enum status matching_series(const struct series_table *table, const struct matchers *matchers,
                            roaring_bitmap_t *result, struct error *err)
{
    return matching(&(struct source){.table = table}, matchers, result, err);
}

enum status matching_segment(const struct series_segment *segment, const struct matchers *matchers,
                             roaring_bitmap_t *result, struct error *err)
{
    return matching(&(struct source){.segment = segment}, matchers, result, err);
}
