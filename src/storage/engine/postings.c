#include "storage/engine/postings.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t *sorted_ids(const struct postings *postings)
{
    return postings->capacity == 0 ? postings->ids : postings->array;
}

void postings_release(struct postings *postings)
{
    if (postings->capacity == UINT32_MAX)
        roaring_bitmap_free(postings->bitmap);
    else if (postings->capacity > 0)
        free(postings->array);
    postings_init(postings);
}

/* The place of the first id that is not below `id`. Ids mostly rise: the end is looked at first. */
static uint32_t lower_bound(const uint32_t *ids, uint32_t count, uint32_t id)
{
    uint32_t place = count;
    while (place > 0 && ids[place - 1] >= id)
        place--;
    return place;
}

static enum status to_bitmap(struct postings *postings)
{
    roaring_bitmap_t *bitmap = roaring_bitmap_of_ptr(postings->count, postings->array);
    if (bitmap == NULL)
        return STATUS_MEMORY;
    free(postings->array);
    postings->bitmap = bitmap;
    postings->capacity = UINT32_MAX;
    return STATUS_OK;
}

static enum status make_room(struct postings *postings)
{
    if (postings->capacity == 0) {
        uint32_t *array = malloc(4 * sizeof array[0]);
        if (array == NULL)
            return STATUS_MEMORY;
        memcpy(array, postings->ids, sizeof postings->ids);
        postings->array = array;
        postings->capacity = 4;
        return STATUS_OK;
    }
    if (postings->capacity == POSTINGS_ARRAY_MAX)
        return to_bitmap(postings);
    uint32_t *array =
        realloc(postings->array, (size_t)postings->capacity * 2 * sizeof postings->array[0]);
    if (array == NULL)
        return STATUS_MEMORY;
    postings->array = array;
    postings->capacity *= 2;
    return STATUS_OK;
}

enum status postings_add(struct postings *postings, uint32_t id)
{
    if (postings->capacity != UINT32_MAX) {
        uint32_t place = lower_bound(sorted_ids(postings), postings->count, id);
        if (place < postings->count && sorted_ids(postings)[place] == id)
            return STATUS_OK;
        if (postings->count == (postings->capacity == 0 ? 2 : postings->capacity)) {
            enum status status = make_room(postings);
            if (status != STATUS_OK)
                return status;
        }
        if (postings->capacity != UINT32_MAX) {
            uint32_t *ids = postings->capacity == 0 ? postings->ids : postings->array;
            memmove(ids + place + 1, ids + place, (postings->count - place) * sizeof ids[0]);
            ids[place] = id;
            postings->count++;
            return STATUS_OK;
        }
    }
    if (roaring_bitmap_add_checked(postings->bitmap, id))
        postings->count++;
    return STATUS_OK;
}

void postings_remove(struct postings *postings, uint32_t id)
{
    if (postings->capacity == UINT32_MAX) {
        if (roaring_bitmap_remove_checked(postings->bitmap, id))
            postings->count--;
        return;
    }
    uint32_t *ids = postings->capacity == 0 ? postings->ids : postings->array;
    uint32_t place = lower_bound(ids, postings->count, id);
    if (place == postings->count || ids[place] != id)
        return;
    memmove(ids + place, ids + place + 1, (postings->count - place - 1) * sizeof ids[0]);
    postings->count--;
}

void postings_union_into(const struct postings *postings, roaring_bitmap_t *bitmap)
{
    if (postings->capacity == UINT32_MAX)
        roaring_bitmap_or_inplace(bitmap, postings->bitmap);
    else if (postings->count > 0)
        roaring_bitmap_add_many(bitmap, postings->count, sorted_ids(postings));
}
