/* Keys and metric ids: pages of fixed width. */
#include <stdlib.h>

#include "base/invariant.h"
#include "storage/engine/series_segment_state.h"

/* ---- keys ------------------------------------------------------------------------------- */

static uint64_t key_page_offset(const struct series_segment *segment, size_t index)
{
    return segment->trailer.keys_begin + (uint64_t)index * SEGMENT_KEY_PAGE_SIZE;
}

static size_t key_page_count(const struct series_segment *segment, size_t index)
{
    uint64_t left = segment->trailer.stats.series - (uint64_t)index * SEGMENT_KEYS_PER_PAGE;
    return left < SEGMENT_KEYS_PER_PAGE ? (size_t)left : SEGMENT_KEYS_PER_PAGE;
}

static struct series_key key_at(const uint8_t *page, size_t index)
{
    const uint8_t *entry = page + index * SEGMENT_KEY_SIZE;
    return (struct series_key){.high = load_u64(entry), .low = load_u32(entry + 8)};
}

static enum status read_key_page(const struct series_segment *segment, size_t index, uint8_t *page,
                                 struct error *err)
{
    return segment_read_checked(segment, "keys", key_page_offset(segment, index), page,
                                key_page_count(segment, index) * SEGMENT_KEY_SIZE,
                                segment->key_pages[index].crc, err);
}

static bool begins_above(const struct series_segment *segment, size_t page, struct series_key key)
{
    return series_key_compare(segment_first_key(&segment->key_pages[page]), key) > 0;
}

/* The last page that does not begin above the key; SIZE_MAX when all do. Keys are spread evenly, so
 * that the search begins where the key would stand if they were perfectly so. */
static size_t page_of_key(const struct series_segment *segment, struct series_key key)
{
    size_t count = segment->key_page_count;
    if (count == 0 || begins_above(segment, 0, key))
        return SIZE_MAX;
    size_t low = (size_t)((unsigned __int128)key.high * count >> 64);
    size_t high = low + 1; /* page `low` is not above the key, page `high` is, or there is none */
    for (size_t step = 1; begins_above(segment, low, key); step *= 2) {
        high = low;
        low = low > step ? low - step : 0;
    }
    for (size_t step = 1; high < count && !begins_above(segment, high, key); step *= 2) {
        low = high;
        high = count - high > step ? high + step : count;
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (begins_above(segment, middle, key))
            high = middle;
        else
            low = middle;
    }
    return low;
}

enum status series_segment_find(const struct series_segment *segment, struct series_key key,
                                uint32_t *id, struct error *err)
{
    uint8_t page[SEGMENT_KEY_PAGE_SIZE];
    size_t index = page_of_key(segment, key);
    if (index == SIZE_MAX)
        return STATUS_NOT_FOUND;
    enum status status = read_key_page(segment, index, page, err);
    if (status != STATUS_OK)
        return status;
    size_t low = 0;
    size_t high = key_page_count(segment, index);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (series_key_compare(key_at(page, middle), key) > 0)
            high = middle;
        else
            low = middle;
    }
    if (series_key_compare(key_at(page, low), key) != 0)
        return STATUS_NOT_FOUND;
    *id = load_u32(page + low * SEGMENT_KEY_SIZE + 12);
    return STATUS_OK;
}

struct series_segment_keys {
    const struct series_segment *segment;
    size_t next_page;
    size_t next, count; /* in the page */
    bool begun;
    struct series_key last;
    uint32_t last_id;
    uint8_t page[SEGMENT_KEY_PAGE_SIZE];
};

enum status series_segment_keys_new(struct series_segment_keys **walk,
                                    const struct series_segment *segment, struct error *err)
{
    *walk = malloc(sizeof **walk);
    if (*walk == NULL)
        return fail(err, STATUS_MEMORY, "no memory to walk over the keys of series segment %s",
                    segment->path);
    **walk = (struct series_segment_keys){.segment = segment};
    return STATUS_OK;
}

void series_segment_keys_free(struct series_segment_keys *walk)
{
    free(walk);
}

enum status series_segment_keys_next(struct series_segment_keys *walk, struct series_key *key,
                                     uint32_t *id, struct error *err)
{
    const struct series_segment *segment = walk->segment;
    if (walk->next == walk->count) {
        if (walk->next_page == segment->key_page_count)
            return STATUS_END;
        size_t index = walk->next_page++;
        walk->count = walk->next = 0;
        enum status status = read_key_page(segment, index, walk->page, err);
        if (status != STATUS_OK)
            return status;
        walk->count = key_page_count(segment, index);
        if (series_key_compare(key_at(walk->page, 0),
                               segment_first_key(&segment->key_pages[index])) != 0) {
            fail(err, STATUS_CORRUPT, "the page is not the one that the directory names");
            return segment_fail_at(segment, "keys", key_page_offset(segment, index), STATUS_CORRUPT,
                                   err);
        }
    }
    *key = key_at(walk->page, walk->next);
    *id = load_u32(walk->page + walk->next * SEGMENT_KEY_SIZE + 12);
    walk->next++;
    int order = walk->begun ? series_key_compare(*key, walk->last) : 1;
    if (order < 0 || (order == 0 && *id <= walk->last_id)) {
        fail(err, STATUS_CORRUPT, "the keys are out of order");
        walk->next = walk->count = 0;
        return segment_fail_at(segment, "keys", key_page_offset(segment, walk->next_page - 1),
                               STATUS_CORRUPT, err);
    }
    walk->begun = true;
    walk->last = *key;
    walk->last_id = *id;
    return STATUS_OK;
}

/* ---- metric ids ------------------------------------------------------------------------- */

enum status segment_metric_page(const struct series_segment *segment, size_t index,
                                uint32_t metrics[SEGMENT_METRICS_PER_PAGE], size_t *count,
                                struct error *err)
{
    uint64_t left = segment->trailer.stats.series - (uint64_t)index * SEGMENT_METRICS_PER_PAGE;
    *count = left < SEGMENT_METRICS_PER_PAGE ? (size_t)left : SEGMENT_METRICS_PER_PAGE;
    const struct segment_metric_page_entry *page = &segment->metric_pages[index];
    return segment_read_checked(segment, "metric ids", page->offset, metrics,
                                *count * sizeof *metrics, page->crc, err);
}

/* Ranks of rising ids: neighbours are walked to, others looked up. */
struct rank_walk {
    const struct series_segment *segment;
    roaring_uint32_iterator_t at;
    uint64_t rank; /* of the id that the iterator stands at */
    bool begun;
};

/* Whether the segment has the id: then *rank is how many of its ids are below. */
static bool find_rank(struct rank_walk *walk, uint32_t id, uint64_t *rank)
{
    enum { NEAR = 32 };
    if (!series_segment_has(walk->segment, id))
        return false;
    if (!walk->begun || id - walk->at.current_value > NEAR) {
        bool moved = roaring_move_uint32_iterator_equalorlarger(&walk->at, id);
        invariant(moved && walk->at.current_value == id);
        walk->rank = segment_rank(walk->segment, id);
        walk->begun = true;
    }
    for (; walk->at.current_value < id; walk->rank++)
        (void)roaring_advance_uint32_iterator(&walk->at);
    *rank = walk->rank;
    return true;
}

enum status series_segment_metrics_of(const struct series_segment *segment, const uint32_t *ids,
                                      size_t count, uint32_t *metrics, struct error *err)
{
    uint32_t page[SEGMENT_METRICS_PER_PAGE];
    size_t loaded = SIZE_MAX;
    struct rank_walk walk = {.segment = segment};
    roaring_init_iterator(segment->ids, &walk.at);
    for (size_t i = 0; i < count; i++) {
        uint64_t rank = 0;
        if (!find_rank(&walk, ids[i], &rank))
            continue;
        size_t index = (size_t)(rank / SEGMENT_METRICS_PER_PAGE);
        if (index != loaded) {
            size_t held;
            enum status status = segment_metric_page(segment, index, page, &held, err);
            if (status != STATUS_OK)
                return status;
            loaded = index;
        }
        metrics[i] = page[rank % SEGMENT_METRICS_PER_PAGE];
    }
    return STATUS_OK;
}
