/* Label pairs: sorted values in front-coded pages, each with its set of ids. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "storage/engine/bitmap_codec.h"
#include "storage/engine/series_segment_state.h"
#include "storage/engine/stored_read.h"

enum { WINDOW_SIZE = 64 * 1024 }; /* of sets that are read ahead */

/* ---- a page of values ------------------------------------------------------------------- */

void segment_values_init(struct segment_values *values, const struct series_segment *segment)
{
    *values = (struct segment_values){.segment = segment, .index = SIZE_MAX};
    bytes_init(&values->page, SEGMENT_VALUE_PAGE_MAX);
    bytes_init(&values->value, LABEL_VALUE_MAX_SIZE);
    bytes_init(&values->window, SIZE_MAX);
}

void segment_values_release(struct segment_values *values)
{
    bytes_release(&values->page);
    bytes_release(&values->value);
    bytes_release(&values->window);
}

static enum status values_failed(const struct segment_values *values, enum status status,
                                 struct error *err)
{
    const struct series_segment *segment = values->segment;
    return segment_fail_at(segment, "values", segment->value_pages[values->index].offset, status,
                           err);
}

static enum status contradicts(const struct segment_values *values, struct error *err)
{
    return values_failed(values, fail(err, STATUS_CORRUPT, "the page contradicts itself"), err);
}

static enum status no_memory(const struct segment_values *values, struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory to read values of series segment %s",
                values->segment->path);
}

/* Where the sets of a page's values begin. */
static uint64_t sets_begin(const struct series_segment *segment, size_t index)
{
    if (index == 0)
        return segment->trailer.definitions_end;
    return segment->value_pages[index - 1].offset + segment->value_pages[index - 1].size;
}

enum status segment_values_load(struct segment_values *values, size_t index, struct error *err)
{
    const struct series_segment *segment = values->segment;
    const struct segment_value_page_entry *entry = &segment->value_pages[index];
    bytes_clear(&values->page);
    bytes_clear(&values->value);
    values->any = false;
    values->index = index;
    if (bytes_reserve(&values->page, entry->size) != STATUS_OK)
        return no_memory(values, err);
    enum status status = segment_read_checked(segment, "values", entry->offset, values->page.data,
                                              entry->size, entry->crc, err);
    if (status != STATUS_OK)
        return status;
    values->page.size = entry->size;
    values->input = segment_input_of(bytes_slice(&values->page));
    values->sets = sets_begin(segment, index);
    return STATUS_OK;
}

/* Joins what the value shares with the one before with what follows; false when it is not above
 * that one, or shares less than it could. */
static bool join_value(struct segment_values *values, uint64_t shared, struct slice rest,
                       enum status *status)
{
    struct bytes *value = &values->value;
    *status = STATUS_OK;
    if (!values->any) {
        if (shared != 0)
            return false;
    } else if (shared > value->size || rest.size == 0 ||
               (shared < value->size && rest.data[0] <= value->data[shared])) {
        return false;
    }
    if (rest.size > LABEL_VALUE_MAX_SIZE - shared)
        return false;
    value->size = (size_t)shared;
    *status = bytes_append(value, rest.data, rest.size);
    return true;
}

static bool read_few(struct segment_values *values)
{
    uint64_t id = segment_get(&values->input, UINT32_MAX);
    values->few[0] = (uint32_t)id;
    for (size_t i = 1; i < values->count; i++) {
        id += 1 + segment_get(&values->input, UINT32_MAX);
        values->few[i] = (uint32_t)id;
    }
    return values->input.at != NULL && id <= UINT32_MAX;
}

static bool read_set_place(struct segment_values *values)
{
    uint64_t end = values->segment->value_pages[values->index].offset;
    uint64_t size = segment_get(&values->input, UINT32_MAX);
    values->set_crc = segment_get_u32(&values->input);
    values->set_size = (uint32_t)size;
    values->set_offset = values->sets;
    if (values->input.at == NULL || size == 0 || size > end - values->sets)
        return false;
    values->sets += size;
    return true;
}

enum status segment_values_next(struct segment_values *values, struct error *err)
{
    const struct series_segment *segment = values->segment;
    struct segment_input *input = &values->input;
    if (!segment_input_left(input)) {
        bool whole = values->sets == segment->value_pages[values->index].offset;
        return whole ? STATUS_END : contradicts(values, err);
    }
    uint64_t shared = segment_get(input, LABEL_VALUE_MAX_SIZE);
    struct slice rest = segment_get_text(input, LABEL_VALUE_MAX_SIZE);
    values->count = segment_get(input, segment->trailer.stats.series);
    enum status status = STATUS_OK;
    if (input->at == NULL || values->count == 0 || !join_value(values, shared, rest, &status))
        return contradicts(values, err);
    if (status != STATUS_OK)
        return no_memory(values, err);
    bool read = values->count <= SEGMENT_IDS_IN_PLACE ? read_few(values) : read_set_place(values);
    if (!read)
        return contradicts(values, err);
    if (!values->any) {
        const struct segment_value_page_entry *entry = &segment->value_pages[values->index];
        struct slice first = bytes_slice(&values->value);
        if (first.size > SEGMENT_FIRST_VALUE_MAX)
            first.size = SEGMENT_FIRST_VALUE_MAX;
        if (!slice_equal(first, slice_of(entry->first, entry->first_size)))
            return contradicts(values, err);
    }
    values->any = true;
    return STATUS_OK;
}

/* ---- sets ------------------------------------------------------------------------------- */

static enum status read_window(struct segment_values *values, struct error *err)
{
    const struct series_segment *segment = values->segment;
    uint64_t end = segment->value_pages[values->index].offset;
    uint64_t left = end - values->set_offset;
    size_t size = values->set_size;
    if (values->ahead && size < WINDOW_SIZE)
        size = left < WINDOW_SIZE ? (size_t)left : WINDOW_SIZE;
    bytes_clear(&values->window);
    if (bytes_reserve(&values->window, size) != STATUS_OK)
        return no_memory(values, err);
    enum status status =
        stored_read_exactly(segment->file, values->window.data, size, values->set_offset, err);
    /* What was read ahead may be what cannot be. */
    if (status == STATUS_CORRUPT && size > values->set_size) {
        size = values->set_size;
        status =
            stored_read_exactly(segment->file, values->window.data, size, values->set_offset, err);
    }
    if (status != STATUS_OK)
        return segment_fail_at(segment, "set of ids", values->set_offset, status, err);
    values->window.size = size;
    values->window_offset = values->set_offset;
    return STATUS_OK;
}

enum status segment_values_set(struct segment_values *values, roaring_bitmap_t **set,
                               struct error *err)
{
    const struct series_segment *segment = values->segment;
    *set = NULL;
    uint64_t window_end = values->window_offset + values->window.size;
    if (values->set_offset < values->window_offset ||
        values->set_offset + values->set_size > window_end) {
        enum status status = read_window(values, err);
        if (status != STATUS_OK)
            return status;
    }
    const uint8_t *bytes = values->window.data + (values->set_offset - values->window_offset);
    uint32_t got =
        segment_checksum(segment->trailer.id, values->set_offset, bytes, values->set_size);
    enum status status = STATUS_OK;
    if (got != values->set_crc)
        status = fail(err, STATUS_CORRUPT, "checksum differs (got %08x, want %08x)", got,
                      values->set_crc);
    if (status == STATUS_OK)
        status = bitmap_decode(slice_of(bytes, values->set_size), set, err);
    if (status == STATUS_OK && roaring_bitmap_get_cardinality(*set) != values->count) {
        roaring_bitmap_free(*set);
        *set = NULL;
        status = fail(err, STATUS_CORRUPT, "it has another number of ids than its value says");
    }
    if (status != STATUS_OK)
        return segment_fail_at(segment, "set of ids", values->set_offset, status, err);
    return STATUS_OK;
}

/* Adds the ids of the current value. */
static enum status add_ids(struct segment_values *values, roaring_bitmap_t *ids, struct error *err)
{
    if (values->count <= SEGMENT_IDS_IN_PLACE) {
        for (size_t i = 0; i < values->count; i++)
            roaring_bitmap_add(ids, values->few[i]);
        return STATUS_OK;
    }
    roaring_bitmap_t *set = NULL;
    enum status status = segment_values_set(values, &set, err);
    if (status != STATUS_OK)
        return status;
    roaring_bitmap_or_inplace(ids, set);
    roaring_bitmap_free(set);
    return STATUS_OK;
}

/* ---- names and values by themselves ------------------------------------------------------ */

size_t series_segment_name_count(const struct series_segment *segment)
{
    return segment->name_count;
}

struct slice series_segment_name(const struct series_segment *segment, size_t index)
{
    return segment->names[index].name;
}

static const struct segment_name_entry *find_name(const struct series_segment *segment,
                                                  struct slice name)
{
    size_t low = 0;
    size_t high = segment->name_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(segment->names[middle].name, name);
        if (order == 0)
            return &segment->names[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool series_segment_has_name(const struct series_segment *segment, struct slice name)
{
    return find_name(segment, name) != NULL;
}

/* Whether a page of values begins above `value`. The directory may hold the beginning only of the
 * first value: where that says nothing, the page itself is asked. */
static enum status begins_above(struct segment_values *values, size_t page, struct slice value,
                                bool *above, struct error *err)
{
    const struct segment_value_page_entry *entry = &values->segment->value_pages[page];
    struct slice first = slice_of(entry->first, entry->first_size);
    bool cut = first.size == SEGMENT_FIRST_VALUE_MAX && value.size >= first.size &&
               memcmp(first.data, value.data, first.size) == 0;
    if (!cut) {
        *above = slice_compare(first, value) > 0;
        return STATUS_OK;
    }
    enum status status = segment_values_load(values, page, err);
    if (status == STATUS_OK)
        status = segment_values_next(values, err);
    if (status == STATUS_END)
        status = contradicts(values, err);
    *above = status == STATUS_OK && slice_compare(bytes_slice(&values->value), value) > 0;
    return status;
}

/* Loads the page that would hold `value`. NOT_FOUND when it is below the first. */
static enum status load_page_of(struct segment_values *values,
                                const struct segment_name_entry *name, struct slice value,
                                struct error *err)
{
    size_t low = name->first_page; /* after the search: the first page that begins above */
    size_t high = low + name->page_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        bool above = false;
        enum status status = begins_above(values, middle, value, &above, err);
        if (status != STATUS_OK)
            return status;
        if (above)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == name->first_page)
        return STATUS_NOT_FOUND;
    return segment_values_load(values, low - 1, err);
}

/* NOT_FOUND when the name has no such value. */
static enum status find_value(struct segment_values *values, const struct segment_name_entry *name,
                              struct slice value, struct error *err)
{
    enum status status = load_page_of(values, name, value, err);
    while (status == STATUS_OK) {
        status = segment_values_next(values, err);
        if (status != STATUS_OK)
            break;
        int order = slice_compare(bytes_slice(&values->value), value);
        if (order == 0)
            return STATUS_OK;
        if (order > 0)
            return STATUS_NOT_FOUND;
    }
    return status == STATUS_END ? STATUS_NOT_FOUND : status;
}

enum status series_segment_pair(const struct series_segment *segment, struct slice name,
                                struct slice value, roaring_bitmap_t *ids, struct error *err)
{
    const struct segment_name_entry *entry = find_name(segment, name);
    if (entry == NULL)
        return STATUS_OK;
    struct segment_values values;
    segment_values_init(&values, segment);
    enum status status = find_value(&values, entry, value, err);
    if (status == STATUS_OK)
        status = add_ids(&values, ids, err);
    segment_values_release(&values);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* Whether the page's first value, which is the current one, is above the one that ended the page
 * before. */
static bool follows(const struct segment_values *values, const struct bytes *last)
{
    return slice_compare(bytes_slice(&values->value), bytes_slice(last)) > 0;
}

static enum status keep_last(struct bytes *last, const struct segment_values *values,
                             struct error *err)
{
    bytes_clear(last);
    if (bytes_append(last, values->value.data, values->value.size) != STATUS_OK)
        return no_memory(values, err);
    return STATUS_OK;
}

static enum status walk_values(struct segment_values *values, const struct segment_name_entry *name,
                               series_segment_want *want, void *context, roaring_bitmap_t *ids,
                               struct bytes *last, struct error *err)
{
    enum status status = STATUS_OK;
    uint64_t count = 0;
    for (size_t i = 0; i < name->page_count; i++) {
        status = segment_values_load(values, name->first_page + i, err);
        bool first = true;
        while (status == STATUS_OK) {
            status = segment_values_next(values, err);
            if (status == STATUS_OK && first && i > 0 && !follows(values, last))
                status = contradicts(values, err);
            if (status != STATUS_OK)
                break;
            first = false;
            count++;
            bool go_on = true;
            bool wanted = want(context, bytes_slice(&values->value), &go_on);
            if (wanted && ids != NULL)
                status = add_ids(values, ids, err);
            if (status == STATUS_OK && !go_on)
                return STATUS_OK;
        }
        if (status != STATUS_END)
            return status;
        status = keep_last(last, values, err);
        if (status != STATUS_OK)
            return status;
    }
    return count == name->values ? status : contradicts(values, err);
}

enum status series_segment_values(const struct series_segment *segment, struct slice name,
                                  series_segment_want *want, void *context, roaring_bitmap_t *ids,
                                  struct error *err)
{
    const struct segment_name_entry *entry = find_name(segment, name);
    if (entry == NULL)
        return STATUS_OK;
    struct segment_values values;
    struct bytes last;
    segment_values_init(&values, segment);
    bytes_init(&last, LABEL_VALUE_MAX_SIZE);
    values.ahead = true;
    enum status status = walk_values(&values, entry, want, context, ids, &last, err);
    segment_values_release(&values);
    bytes_release(&last);
    return status;
}

/* ---- all pairs -------------------------------------------------------------------------- */

enum status series_segment_pairs_new(struct series_segment_pairs **walk,
                                     const struct series_segment *segment, struct error *err)
{
    *walk = calloc(1, sizeof **walk);
    if (*walk == NULL)
        return fail(err, STATUS_MEMORY, "no memory to walk over the pairs of series segment %s",
                    segment->path);
    segment_values_init(&(*walk)->values, segment);
    bytes_init(&(*walk)->last, LABEL_VALUE_MAX_SIZE);
    (*walk)->values.ahead = true;
    return STATUS_OK;
}

void series_segment_pairs_free(struct series_segment_pairs *walk)
{
    if (walk == NULL)
        return;
    segment_values_release(&walk->values);
    bytes_release(&walk->last);
    if (walk->ids != NULL)
        roaring_bitmap_free(walk->ids);
    free(walk);
}

/* Loads the next page, of this name or the next one; END. */
static enum status next_page(struct series_segment_pairs *walk, struct error *err)
{
    const struct series_segment *segment = walk->values.segment;
    if (walk->next_page > 0) {
        const struct segment_name_entry *name = &segment->names[walk->name];
        if (walk->next_page == name->first_page + name->page_count) {
            bool whole = walk->counted == name->values || walk->damaged;
            walk->name++;
            walk->counted = 0;
            walk->follows = walk->damaged = false;
            if (!whole)
                return contradicts(&walk->values, err);
        }
    }
    if (walk->next_page == segment->value_page_count)
        return STATUS_END;
    enum status status = walk->follows ? keep_last(&walk->last, &walk->values, err) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    walk->page_begins = true;
    return segment_values_load(&walk->values, walk->next_page++, err);
}

static enum status step(struct series_segment_pairs *walk, struct error *err)
{
    enum status status = walk->page_open ? segment_values_next(&walk->values, err) : STATUS_END;
    while (status == STATUS_END) {
        status = next_page(walk, err);
        if (status != STATUS_OK)
            return status;
        status = segment_values_next(&walk->values, err);
    }
    if (status == STATUS_OK && walk->page_begins && walk->follows &&
        !follows(&walk->values, &walk->last))
        status = contradicts(&walk->values, err);
    return status;
}

enum status segment_pairs_step(struct series_segment_pairs *walk, struct slice *name,
                               struct slice *value, struct error *err)
{
    enum status status = step(walk, err);
    walk->page_open = status == STATUS_OK;
    if (status != STATUS_OK) {
        walk->follows = false;
        walk->damaged = true;
        return status;
    }
    walk->page_begins = false;
    walk->follows = true;
    walk->counted++;
    *name = walk->values.segment->names[walk->name].name;
    *value = bytes_slice(&walk->values.value);
    return STATUS_OK;
}

enum status segment_pairs_ids(struct series_segment_pairs *walk, struct segment_ids *ids,
                              struct error *err)
{
    struct segment_values *values = &walk->values;
    ids->count = values->count;
    ids->many = NULL;
    if (values->count <= SEGMENT_IDS_IN_PLACE) {
        memcpy(ids->few, values->few, sizeof ids->few);
        return STATUS_OK;
    }
    if (walk->ids != NULL)
        roaring_bitmap_free(walk->ids);
    walk->ids = NULL;
    enum status status = segment_values_set(values, &walk->ids, err);
    ids->many = walk->ids;
    return status;
}

enum status series_segment_pairs_next(struct series_segment_pairs *walk, struct slice *name,
                                      struct slice *value, const roaring_bitmap_t **ids,
                                      struct error *err)
{
    enum status status = segment_pairs_step(walk, name, value, err);
    struct segment_ids set;
    if (status == STATUS_OK)
        status = segment_pairs_ids(walk, &set, err);
    if (status != STATUS_OK)
        return status;
    if (set.many == NULL) {
        if (walk->ids == NULL)
            walk->ids = roaring_bitmap_create();
        if (walk->ids == NULL)
            return no_memory(&walk->values, err);
        roaring_bitmap_clear(walk->ids);
        roaring_bitmap_add_many(walk->ids, (size_t)set.count, set.few);
    }
    *ids = walk->ids;
    return STATUS_OK;
}
