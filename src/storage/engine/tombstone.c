#include "storage/engine/tombstone.h"

#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "storage/engine/record.h"

/* ---- tombstones ------------------------------------------------------------------------- */

static void count_bytes(struct tombstone *tombstone)
{
    tombstone->bytes = sizeof *tombstone + roaring_bitmap_portable_size_in_bytes(tombstone->ids) +
                       tombstone->head_count * 2 * sizeof(uint32_t);
}

struct tombstone *tombstone_new(uint64_t sequence, struct time_range range, roaring_bitmap_t *ids)
{
    struct tombstone *tombstone = ids == NULL ? NULL : calloc(1, sizeof *tombstone);
    if (tombstone == NULL) {
        if (ids != NULL)
            roaring_bitmap_free(ids);
        return NULL;
    }
    atomic_init(&tombstone->references, 1);
    tombstone->sequence = sequence;
    tombstone->range = range;
    tombstone->ids = ids;
    count_bytes(tombstone);
    return tombstone;
}

void tombstone_release(struct tombstone *tombstone)
{
    if (tombstone == NULL || atomic_fetch_sub(&tombstone->references, 1) != 1)
        return;
    roaring_bitmap_free(tombstone->ids);
    free(tombstone->head_ids);
    free(tombstone->head_counts);
    free(tombstone);
}

static bool head_has(const struct tombstone *tombstone, const struct head *head, uint32_t id)
{
    struct head_entry entry = head_entry(head, id);
    if (entry.count == 0)
        return false;
    int64_t first_ms, last_ms;
    head_span(head, entry, &first_ms, &last_ms);
    return first_ms < tombstone->range.end_ms && last_ms >= tombstone->range.start_ms;
}

static enum status note_series(struct tombstone *tombstone, uint32_t id, uint32_t count,
                               size_t *capacity)
{
    if (tombstone->head_count == *capacity) {
        *capacity = *capacity == 0 ? 16 : 2 * *capacity;
        uint32_t *ids = realloc(tombstone->head_ids, *capacity * sizeof ids[0]);
        if (ids == NULL)
            return STATUS_MEMORY;
        tombstone->head_ids = ids;
        uint32_t *counts = realloc(tombstone->head_counts, *capacity * sizeof counts[0]);
        if (counts == NULL)
            return STATUS_MEMORY;
        tombstone->head_counts = counts;
    }
    tombstone->head_ids[tombstone->head_count] = id;
    tombstone->head_counts[tombstone->head_count++] = count;
    return STATUS_OK;
}

static enum status note_by_ids(struct tombstone *tombstone, const struct head *head)
{
    enum { AT_ONCE = 256 };
    uint32_t ids[AT_ONCE];
    size_t capacity = 0;
    enum status status = STATUS_OK;
    roaring_uint32_iterator_t walk;
    roaring_init_iterator(tombstone->ids, &walk);
    for (uint32_t count = AT_ONCE; count == AT_ONCE && status == STATUS_OK;) {
        count = roaring_read_uint32_iterator(&walk, ids, AT_ONCE);
        for (uint32_t i = 0; i < count && status == STATUS_OK; i++)
            if (head_has(tombstone, head, ids[i]))
                status = note_series(tombstone, ids[i], head_entry(head, ids[i]).count, &capacity);
    }
    return status;
}

static enum status note_by_head(struct tombstone *tombstone, const struct head *head)
{
    size_t capacity = 0;
    enum status status = STATUS_OK;
    for (uint32_t id = head_next_series(head, 0); id != UINT32_MAX && status == STATUS_OK;
         id = head_next_series(head, id + 1))
        if (roaring_bitmap_contains(tombstone->ids, id) && head_has(tombstone, head, id))
            status = note_series(tombstone, id, head_entry(head, id).count, &capacity);
    return status;
}

/* Nobody commits meanwhile: by whichever of the two has fewer series. */
enum status tombstone_note_head(struct tombstone *tombstone, const struct head *head,
                                uint64_t number)
{
    tombstone->head = number;
    bool few = head_sample_count(head) < roaring_bitmap_get_cardinality(tombstone->ids);
    enum status status = few ? note_by_head(tombstone, head) : note_by_ids(tombstone, head);
    count_bytes(tombstone);
    return status;
}

uint32_t tombstone_cuts_of_head(const struct tombstone *tombstone, uint64_t number, uint32_t id)
{
    if (number != tombstone->head)
        return number < tombstone->head ? UINT32_MAX : 0;
    size_t low = 0;
    size_t high = tombstone->head_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tombstone->head_ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < tombstone->head_count && tombstone->head_ids[low] == id;
    return found ? tombstone->head_counts[low] : 0;
}

/* ---- sets ------------------------------------------------------------------------------- */

struct tombstone_set *tombstone_set_acquire(struct tombstone_set *set)
{
    if (set != NULL)
        atomic_fetch_add(&set->references, 1);
    return set;
}

void tombstone_set_release(struct tombstone_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->references, 1) != 1)
        return;
    for (size_t i = 0; i < set->count; i++)
        tombstone_release(set->items[i]);
    free(set);
}

static struct tombstone_set *set_new(size_t capacity)
{
    struct tombstone_set *set = calloc(1, sizeof *set + capacity * sizeof set->items[0]);
    if (set != NULL)
        atomic_init(&set->references, 1);
    return set;
}

static void set_put(struct tombstone_set *set, struct tombstone *tombstone)
{
    atomic_fetch_add(&tombstone->references, 1);
    set->items[set->count++] = tombstone;
    set->bytes += tombstone->bytes;
}

struct tombstone_set *tombstone_set_add(const struct tombstone_set *set,
                                        struct tombstone *const *more, size_t count)
{
    size_t before = set == NULL ? 0 : set->count;
    struct tombstone_set *made = set_new(before + count);
    for (size_t i = 0; made != NULL && i < before; i++)
        set_put(made, set->items[i]);
    for (size_t i = 0; made != NULL && i < count; i++)
        set_put(made, more[i]);
    return made;
}

static bool is_same(const struct tombstone *a, const struct tombstone *b)
{
    return a->sequence == b->sequence && a->range.start_ms == b->range.start_ms &&
           a->range.end_ms == b->range.end_ms && roaring_bitmap_equals(a->ids, b->ids);
}

/* The set with one more, in the order of sequence; itself where it has that. NULL without memory.
 */
static struct tombstone_set *insert(struct tombstone_set *set, struct tombstone *tombstone)
{
    size_t before = set == NULL ? 0 : set->count;
    size_t place = before;
    while (place > 0 && set->items[place - 1]->sequence > tombstone->sequence)
        place--;
    for (size_t i = place; i > 0 && set->items[i - 1]->sequence == tombstone->sequence; i--)
        if (is_same(set->items[i - 1], tombstone))
            return tombstone_set_acquire(set);
    struct tombstone_set *made = set_new(before + 1);
    for (size_t i = 0; made != NULL && i < place; i++)
        set_put(made, set->items[i]);
    if (made != NULL)
        set_put(made, tombstone);
    for (size_t i = place; made != NULL && i < before; i++)
        set_put(made, set->items[i]);
    return made;
}

enum status tombstone_set_take_record(struct tombstone_set **set, struct slice record,
                                      struct error *err)
{
    struct record_delete delete;
    enum status status = record_get_delete(record, &delete, err);
    if (status != STATUS_OK)
        return status;
    struct tombstone *tombstone = tombstone_new(delete.sequence, delete.range, delete.ids);
    struct tombstone_set *more = tombstone == NULL ? NULL : insert(*set, tombstone);
    tombstone_release(tombstone);
    if (more == NULL)
        return fail(err, STATUS_MEMORY, "no memory for deletes");
    tombstone_set_release(*set);
    *set = more;
    return STATUS_OK;
}

enum status tombstone_set_remove(const struct tombstone_set *set, const bool *gone,
                                 struct tombstone_set **without)
{
    size_t before = set == NULL ? 0 : set->count;
    *without = set_new(before);
    if (*without == NULL)
        return STATUS_MEMORY;
    for (size_t i = 0; i < before; i++)
        if (!gone[i])
            set_put(*without, set->items[i]);
    if ((*without)->count == 0) {
        tombstone_set_release(*without);
        *without = NULL;
    }
    return STATUS_OK;
}

/* ---- cuts ------------------------------------------------------------------------------- */

enum status cuts_init(struct cuts *cuts, const struct tombstone_set *set, struct time_range range,
                      uint64_t max_sequence)
{
    *cuts = (struct cuts){.id = UINT32_MAX};
    size_t all = set == NULL ? 0 : set->count;
    if (all == 0 || time_range_empty(range))
        return STATUS_OK;
    cuts->items = malloc(all * sizeof cuts->items[0]);
    cuts->series = malloc(all * sizeof cuts->series[0]);
    if (cuts->items == NULL || cuts->series == NULL)
        return STATUS_MEMORY;
    for (size_t i = 0; i < all; i++) {
        struct tombstone *tombstone = set->items[i];
        if (tombstone->sequence <= max_sequence && tombstone->range.start_ms < range.end_ms &&
            tombstone->range.end_ms > range.start_ms)
            cuts->items[cuts->count++] = tombstone;
    }
    if (cuts->count == 0)
        return STATUS_OK;
    cuts->any = roaring_bitmap_create();
    if (cuts->any == NULL)
        return STATUS_MEMORY;
    for (size_t i = 0; i < cuts->count; i++)
        roaring_bitmap_or_inplace(cuts->any, cuts->items[i]->ids);
    return STATUS_OK;
}

void cuts_release(struct cuts *cuts)
{
    if (cuts->any != NULL)
        roaring_bitmap_free(cuts->any);
    free(cuts->items);
    free(cuts->series);
    *cuts = (struct cuts){0};
}

void cuts_take(struct cuts *cuts, uint32_t id)
{
    cuts->id = id;
    cuts->series_count = 0;
    if (cuts->any == NULL || !roaring_bitmap_contains(cuts->any, id))
        return;
    for (size_t i = 0; i < cuts->count; i++)
        if (roaring_bitmap_contains(cuts->items[i]->ids, id))
            cuts->series[cuts->series_count++] = cuts->items[i];
}

enum cut cuts_of_block(const struct cuts *cuts, uint64_t sequence, int64_t first_ms,
                       int64_t last_ms)
{
    enum cut cut = CUT_NOTHING;
    for (size_t i = 0; i < cuts->series_count && cut != CUT_ALL; i++) {
        const struct tombstone *tombstone = cuts->series[i];
        if (tombstone->sequence <= sequence || tombstone->range.start_ms > last_ms ||
            tombstone->range.end_ms <= first_ms)
            continue;
        bool all = tombstone->range.start_ms <= first_ms && tombstone->range.end_ms > last_ms;
        cut = all ? CUT_ALL : CUT_SOME;
    }
    return cut;
}

size_t cuts_apply(const struct cuts *cuts, uint64_t sequence, int64_t *times, double *values,
                  size_t count)
{
    for (size_t i = 0; i < cuts->series_count; i++) {
        const struct tombstone *tombstone = cuts->series[i];
        if (tombstone->sequence <= sequence)
            continue;
        size_t kept = 0;
        for (size_t j = 0; j < count; j++) {
            if (times[j] >= tombstone->range.start_ms && times[j] < tombstone->range.end_ms)
                continue;
            times[kept] = times[j];
            values[kept++] = values[j];
        }
        count = kept;
    }
    return count;
}

bool cuts_touch_head(const struct cuts *cuts, uint64_t number)
{
    for (size_t i = 0; i < cuts->series_count; i++)
        if (tombstone_cuts_of_head(cuts->series[i], number, cuts->id) > 0)
            return true;
    return false;
}

bool cuts_hide_in_head(const struct cuts *cuts, uint64_t number, uint32_t place, int64_t time_ms)
{
    for (size_t i = 0; i < cuts->series_count; i++) {
        const struct tombstone *tombstone = cuts->series[i];
        if (time_ms >= tombstone->range.start_ms && time_ms < tombstone->range.end_ms &&
            place < tombstone_cuts_of_head(tombstone, number, cuts->id))
            return true;
    }
    return false;
}

size_t cuts_copy_head(const struct cuts *cuts, uint64_t number, const struct head *head,
                      struct head_entry entry, struct time_range range, struct head_sample *scratch,
                      int64_t *times, double *values)
{
    invariant(scratch != NULL);
    struct head_reader reader;
    head_reader_init(&reader, head, entry);
    const struct head_sample *samples;
    uint32_t place = 0;
    size_t taken = 0;
    for (size_t count; (count = head_reader_next(&reader, &samples)) > 0;)
        for (size_t i = 0; i < count; i++, place++)
            if (time_range_contains(range, samples[i].time_ms) &&
                !cuts_hide_in_head(cuts, number, place, samples[i].time_ms))
                scratch[taken++] = samples[i];
    return head_sort(scratch, entry.count, taken, times, values);
}
