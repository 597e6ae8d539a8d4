#include "storage/engine/matching.h"

/* The series that have the matcher's label with a value that the matcher accepts (or refuses). */
static enum status union_of_values(const struct series_table *table, const struct matcher *matcher,
                                   bool accepted, roaring_bitmap_t **result)
{
    *result = roaring_bitmap_create();
    if (*result == NULL)
        return STATUS_MEMORY;
    const struct pair_table *pairs = &table->pairs;
    if (accepted && matcher->type == MATCH_EQUAL) {
        uint32_t pair = pair_table_find(pairs, matcher->name, matcher->value);
        if (pair != PAIR_NONE)
            postings_union_into(&pairs->pairs[pair].series, *result);
        return STATUS_OK;
    }
    uint32_t name = pair_table_find_name(pairs, matcher->name);
    if (name == PAIR_NONE)
        return STATUS_OK;
    for (uint32_t i = 0; i < pairs->names[name].pair_count; i++) {
        uint32_t pair = pairs->names[name].pairs[i];
        if (matcher_matches_value(matcher, pair_value(pairs, pair)) == accepted)
            postings_union_into(&pairs->pairs[pair].series, *result);
    }
    return STATUS_OK;
}

static enum status all_series(const struct series_table *table, roaring_bitmap_t **result)
{
    *result = roaring_bitmap_create();
    if (*result == NULL)
        return STATUS_MEMORY;
    uint32_t id = series_table_next_committed(table, 0);
    for (; id != SERIES_ID_NONE; id = series_table_next_committed(table, id + 1))
        roaring_bitmap_add(*result, id);
    return STATUS_OK;
}

/*
 * A matcher that refuses the empty value asks for series that have the label: their union is cut
 * with the result. One that accepts it takes away the series whose value it refuses.
 */
static enum status apply(const struct series_table *table, const struct matcher *matcher,
                         roaring_bitmap_t **so_far)
{
    bool wants_label = !matcher_matches_empty(matcher);
    roaring_bitmap_t *own;
    enum status status = union_of_values(table, matcher, wants_label, &own);
    if (status != STATUS_OK)
        return status;
    if (wants_label && *so_far == NULL) {
        *so_far = own;
        return STATUS_OK;
    }
    if (*so_far == NULL)
        status = all_series(table, so_far);
    if (status == STATUS_OK && wants_label)
        roaring_bitmap_and_inplace(*so_far, own);
    else if (status == STATUS_OK)
        roaring_bitmap_andnot_inplace(*so_far, own);
    roaring_bitmap_free(own);
    return status;
}

enum status matching_series(const struct series_table *table, const struct matchers *matchers,
                            roaring_bitmap_t *result)
{
    roaring_bitmap_t *so_far = NULL;
    enum status status = STATUS_OK;
    /* First the matchers that ask for a label: what they leave is small. */
    for (int round = 0; round < 2 && status == STATUS_OK; round++)
        for (size_t i = 0; i < matchers->count && status == STATUS_OK; i++)
            if (matcher_matches_empty(&matchers->items[i]) == (round == 1))
                status = apply(table, &matchers->items[i], &so_far);
    if (status == STATUS_OK && so_far == NULL)
        status = all_series(table, &so_far);
    if (status == STATUS_OK)
        roaring_bitmap_or_inplace(result, so_far);
    if (so_far != NULL)
        roaring_bitmap_free(so_far);
    return status;
}
