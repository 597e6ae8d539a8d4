/* Definitions: pages that are unpacked one at a time. */
#include <inttypes.h>
#include <stdlib.h>

#include "storage/engine/series_segment_state.h"
#include "storage/engine/stored_read.h"

struct series_segment_cursor {
    const struct series_segment *segment;
    struct segment_page page;
    struct bytes stored;
    size_t loaded; /* page; SIZE_MAX: none */
    /* The walk. */
    size_t walk_page;
    uint64_t walk_from; /* ids below are behind it */
};

uint32_t segment_page_last_id(const struct series_segment *segment, size_t index)
{
    return index + 1 < segment->page_count ? segment->pages[index + 1].first_id - 1
                                           : segment->trailer.stats.last_id;
}

enum status series_segment_cursor_new(struct series_segment_cursor **cursor,
                                      const struct series_segment *segment, struct error *err)
{
    struct series_segment_cursor *made = calloc(1, sizeof *made);
    *cursor = NULL;
    if (made == NULL || segment_page_init(&made->page) != STATUS_OK) {
        series_segment_cursor_free(made);
        return fail(err, STATUS_MEMORY, "no memory to read series segment %s", segment->path);
    }
    made->segment = segment;
    made->loaded = SIZE_MAX;
    bytes_init(&made->stored, SIZE_MAX);
    *cursor = made;
    return STATUS_OK;
}

void series_segment_cursor_free(struct series_segment_cursor *cursor)
{
    if (cursor == NULL)
        return;
    segment_page_release(&cursor->page);
    bytes_release(&cursor->stored);
    free(cursor);
}

/* The page that would hold `id`, which is not below the first one. */
static size_t page_of_id(const struct series_segment *segment, uint32_t id)
{
    size_t low = 0;
    size_t high = segment->page_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (segment->pages[middle].first_id > id)
            high = middle;
        else
            low = middle;
    }
    return low;
}

/* Damage is never forgotten, whatever a later read gives. */
static void note_page(const struct series_segment *segment, size_t index,
                      enum segment_page_state state)
{
    atomic_uchar *known = &segment->page_states[index];
    unsigned char before = atomic_load_explicit(known, memory_order_relaxed);
    unsigned char unread = SEGMENT_PAGE_UNREAD;
    if (state == SEGMENT_PAGE_DAMAGED)
        atomic_store(known, (unsigned char)state);
    else if (before == unread)
        atomic_compare_exchange_strong(known, &unread, (unsigned char)state);
}

/* Context for what is wrong with a page: where it is, and what is lost with it. */
static enum status fail_page(const struct series_segment *segment, size_t index, enum status status,
                             struct error *err)
{
    uint32_t first = segment->pages[index].first_id;
    uint32_t last = segment_page_last_id(segment, index);
    char what[96];
    snprintf(what, sizeof what, "definitions of %" PRIu64 " series, ids %u to %u,",
             roaring_bitmap_range_cardinality(segment->ids, first, (uint64_t)last + 1), first,
             last);
    if (status == STATUS_CORRUPT)
        note_page(segment, index, SEGMENT_PAGE_DAMAGED);
    return segment_fail_at(segment, what, segment->pages[index].offset, status, err);
}

static enum status page_failed(struct series_segment_cursor *cursor, size_t index,
                               enum status status, struct error *err)
{
    cursor->loaded = SIZE_MAX;
    return fail_page(cursor->segment, index, status, err);
}

static enum status read_stored(const struct series_segment *segment, size_t index,
                               struct bytes *stored, struct error *err)
{
    const struct segment_page_entry *entry = &segment->pages[index];
    bytes_clear(stored);
    if (entry->size > SEGMENT_PAGE_HEADER_SIZE + ZSTD_compressBound(SEGMENT_PAGE_RAW_MAX))
        return fail(err, STATUS_CORRUPT, "the page is larger than any");
    if (bytes_reserve(stored, entry->size) != STATUS_OK)
        return fail(err, STATUS_MEMORY, "no memory for a page of %u bytes", entry->size);
    return stored_read_exactly(segment->file, stored->data, entry->size, entry->offset, err);
}

static enum status read_page(struct series_segment_cursor *cursor, size_t index, struct error *err)
{
    const struct series_segment *segment = cursor->segment;
    const struct segment_page_entry *entry = &segment->pages[index];
    enum status status = read_stored(segment, index, &cursor->stored, err);
    if (status == STATUS_OK)
        status = segment_page_load(&cursor->page, slice_of(cursor->stored.data, entry->size),
                                   segment->trailer.id, entry->offset, err);
    if (status != STATUS_OK)
        return status;
    uint64_t end = (uint64_t)segment_page_last_id(segment, index) + 1;
    if (cursor->page.first_id != entry->first_id ||
        cursor->page.count != roaring_bitmap_range_cardinality(segment->ids, entry->first_id, end))
        return fail(err, STATUS_CORRUPT, "the page is not the one that the directory names");
    return STATUS_OK;
}

static enum status load(struct series_segment_cursor *cursor, size_t index, struct error *err)
{
    if (cursor->loaded == index)
        return STATUS_OK;
    enum status status = read_page(cursor, index, err);
    if (status != STATUS_OK)
        return page_failed(cursor, index, status, err);
    note_page(cursor->segment, index, SEGMENT_PAGE_SOUND);
    cursor->loaded = index;
    return STATUS_OK;
}

/* The next definition of the page that is loaded; END. */
static enum status step(struct series_segment_cursor *cursor, struct error *err)
{
    const struct series_segment *segment = cursor->segment;
    size_t index = cursor->loaded;
    enum status status = segment_page_next(&cursor->page, err);
    if (status == STATUS_OK && (cursor->page.id > segment_page_last_id(segment, index) ||
                                !series_segment_has(segment, cursor->page.id)))
        status = fail(err, STATUS_CORRUPT, "series %u is not one of the segment", cursor->page.id);
    if (status == STATUS_OK || status == STATUS_END)
        return status;
    return page_failed(cursor, index, status, err);
}

static void give(const struct series_segment_cursor *cursor, struct series_definition *definition)
{
    *definition = (struct series_definition){
        .id = cursor->page.id,
        .metric = cursor->page.metric,
        .labels = {.items = cursor->page.labels, .count = cursor->page.label_count},
    };
}

enum status series_segment_read(struct series_segment_cursor *cursor, uint32_t id,
                                struct series_definition *definition, struct error *err)
{
    const struct series_segment *segment = cursor->segment;
    if (!series_segment_has(segment, id))
        return STATUS_NOT_FOUND;
    size_t index = page_of_id(segment, id);
    enum status status = load(cursor, index, err);
    if (status != STATUS_OK)
        return status;
    if (cursor->page.decoded > 0 && cursor->page.id > id)
        segment_page_rewind(&cursor->page);
    while (cursor->page.decoded == 0 || cursor->page.id < id) {
        status = step(cursor, err);
        if (status == STATUS_END)
            return page_failed(cursor, index,
                               fail(err, STATUS_CORRUPT, "series %u is not there", id), err);
        if (status != STATUS_OK)
            return status;
    }
    if (cursor->page.id != id)
        return page_failed(cursor, index, fail(err, STATUS_CORRUPT, "series %u is not there", id),
                           err);
    give(cursor, definition);
    return STATUS_OK;
}

/* ---- damage ----------------------------------------------------------------------------- */

static enum segment_page_state state_of(const struct series_segment *segment, size_t index)
{
    return (enum segment_page_state)atomic_load_explicit(&segment->page_states[index],
                                                         memory_order_relaxed);
}

bool series_segment_may_define(const struct series_segment *segment, uint32_t id)
{
    return state_of(segment, page_of_id(segment, id)) != SEGMENT_PAGE_DAMAGED;
}

enum status series_segment_defines(const struct series_segment *segment, uint32_t id,
                                   struct error *err)
{
    size_t index = page_of_id(segment, id);
    const struct segment_page_entry *entry = &segment->pages[index];
    enum segment_page_state state = state_of(segment, index);
    if (state == SEGMENT_PAGE_SOUND)
        return STATUS_OK;
    if (state == SEGMENT_PAGE_DAMAGED)
        return fail_page(segment, index, fail(err, STATUS_CORRUPT, "the page is damaged"), err);
    struct bytes stored;
    bytes_init(&stored, SIZE_MAX);
    enum status status = read_stored(segment, index, &stored, err);
    if (status == STATUS_OK)
        status = segment_page_check(slice_of(stored.data, entry->size), segment->trailer.id,
                                    entry->offset, err);
    bytes_release(&stored);
    if (status != STATUS_OK)
        return fail_page(segment, index, status, err);
    note_page(segment, index, SEGMENT_PAGE_SOUND);
    return STATUS_OK;
}

size_t series_segment_damaged_pages(const struct series_segment *segment)
{
    size_t count = 0;
    for (size_t i = 0; i < segment->page_count; i++)
        count += state_of(segment, i) == SEGMENT_PAGE_DAMAGED;
    return count;
}

void series_segment_damaged_series(const struct series_segment *segment, roaring_bitmap_t *ids)
{
    roaring_uint32_iterator_t at;
    roaring_init_iterator(segment->ids, &at);
    for (size_t i = 0; i < segment->page_count; i++) {
        if (state_of(segment, i) != SEGMENT_PAGE_DAMAGED ||
            !roaring_move_uint32_iterator_equalorlarger(&at, segment->pages[i].first_id))
            continue;
        for (; at.has_value && at.current_value <= segment_page_last_id(segment, i);
             roaring_advance_uint32_iterator(&at))
            roaring_bitmap_add(ids, at.current_value);
    }
}

/* ---- walking ---------------------------------------------------------------------------- */

enum status series_segment_seek(struct series_segment_cursor *cursor, uint32_t from,
                                struct error *err)
{
    (void)err;
    const struct series_segment *segment = cursor->segment;
    cursor->walk_from = from;
    cursor->walk_page = segment->page_count == 0 ? 0 : page_of_id(segment, from);
    return STATUS_OK;
}

enum status series_segment_next(struct series_segment_cursor *cursor,
                                struct series_definition *definition, struct error *err)
{
    const struct series_segment *segment = cursor->segment;
    for (; cursor->walk_page < segment->page_count; cursor->walk_page++) {
        size_t index = cursor->walk_page;
        if (segment_page_last_id(segment, index) < cursor->walk_from)
            continue;
        enum status status = load(cursor, index, err);
        if (status == STATUS_OK && cursor->page.decoded > 0 && cursor->page.id >= cursor->walk_from)
            segment_page_rewind(&cursor->page);
        while (status == STATUS_OK) {
            status = step(cursor, err);
            if (status == STATUS_OK && cursor->page.id >= cursor->walk_from) {
                cursor->walk_from = cursor->page.id + UINT64_C(1);
                give(cursor, definition);
                return STATUS_OK;
            }
        }
        if (status != STATUS_END) {
            cursor->walk_page++;
            return status;
        }
    }
    return STATUS_END;
}
