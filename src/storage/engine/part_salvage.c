/*
 * Finding the pages of a part whose trailer or index is damaged.
 *
 * Pages know their own size and checksum, and begin with a magic number; each says where the values
 * before it begin, which is where the page before it ends. So a walk over all bytes finds every
 * sound page, and tells whether some are missing between them or behind the last. What the disk
 * does not give back is passed over.
 */
#include <stdlib.h>

#include "storage/engine/part_state.h"
#include "storage/engine/stored_read.h"

enum { SCAN_SIZE = 256 * 1024 };

struct salvage {
    const struct part *part;
    struct part_index *index;
    struct error *err;
    uint8_t *buffer; /* SCAN_SIZE bytes, which hold a page of any size and more */
    struct part_page *page;
    uint8_t *alone;    /* PART_PAGE_MAX_SIZE bytes: a page that is read by itself */
    bool has_zeros;    /* the buffer, in place of what cannot be read */
    uint64_t expected; /* where the next page's values begin */
    uint32_t metric;   /* the last key so far */
    uint32_t series;
};

static enum status add_entry(struct salvage *salvage, struct part_index_entry entry)
{
    struct part_index *index = salvage->index;
    if (index->count == index->capacity) {
        size_t capacity = index->capacity == 0 ? 16 : 2 * index->capacity;
        struct part_index_entry *entries = realloc(index->entries, capacity * sizeof *entries);
        if (entries == NULL)
            return fail(salvage->err, STATUS_MEMORY, "no memory for the index");
        index->entries = entries;
        index->capacity = capacity;
    }
    index->entries[index->count++] = entry;
    return STATUS_OK;
}

static enum status add_hole(struct salvage *salvage)
{
    return add_entry(salvage, (struct part_index_entry){.metric = salvage->metric,
                                                        .series = salvage->series,
                                                        .offset = salvage->expected});
}

static void count_block(struct salvage *salvage, struct part_index_entry *entry,
                        const struct part_block *block)
{
    struct part_totals *totals = &salvage->index->found;
    bool first = totals->blocks == 0;
    totals->blocks++;
    totals->samples += block->count;
    totals->series +=
        first || part_compare_keys(salvage->metric, salvage->series, block->metric, block->series);
    totals->min_ms = first || block->first_ms < totals->min_ms ? block->first_ms : totals->min_ms;
    totals->max_ms = first || block->last_ms > totals->max_ms ? block->last_ms : totals->max_ms;
    entry->min_ms = block->first_ms < entry->min_ms ? block->first_ms : entry->min_ms;
    entry->max_ms = block->last_ms > entry->max_ms ? block->last_ms : entry->max_ms;
    salvage->metric = block->metric;
    salvage->series = block->series;
}

static enum status add_page(struct salvage *salvage, uint64_t offset, size_t size)
{
    const struct part_page *page = salvage->page;
    enum status status = STATUS_OK;
    if (page->values_offset != salvage->expected)
        status = add_hole(salvage);
    struct part_index_entry entry = {
        .metric = page->blocks[0].metric,
        .series = page->blocks[0].series,
        .offset = offset,
        .size = (uint32_t)size,
        .blocks = page->count,
        .min_ms = page->blocks[0].first_ms,
        .max_ms = page->blocks[0].last_ms,
    };
    for (size_t i = 0; i < page->count; i++)
        count_block(salvage, &entry, &page->blocks[i]);
    salvage->index->found.pages++;
    salvage->expected = offset + size;
    return status == STATUS_OK ? add_entry(salvage, entry) : status;
}

/* What is left out around what cannot be read is more than that: a page may end before. */
static bool decodes_alone(struct salvage *salvage, uint64_t offset, size_t size)
{
    const struct part *part = salvage->part;
    return salvage->has_zeros &&
           stored_read_exactly(part->file, salvage->alone, size, offset, NULL) == STATUS_OK &&
           part_page_decode(slice_of(salvage->alone, size), &part->identity, offset, salvage->page,
                            NULL) == STATUS_OK;
}

/* Whether a sound page, in order, begins at buffer[at]; it is then in salvage->page. */
static bool is_page(struct salvage *salvage, uint64_t offset, struct slice bytes)
{
    if (bytes.size < 8)
        return false;
    size_t size = part_page_size(bytes.data);
    const struct part_page *page = salvage->page;
    if (size == 0 || size > bytes.size ||
        (part_page_decode(slice_of(bytes.data, size), &salvage->part->identity, offset,
                          salvage->page, NULL) != STATUS_OK &&
         !decodes_alone(salvage, offset, size)))
        return false;
    return page->values_offset >= salvage->expected &&
           part_compare_keys(page->blocks[0].metric, page->blocks[0].series, salvage->metric,
                             salvage->series) >= 0;
}

/* Adds the pages that begin in [offset, end), which has been read together with what follows. Sets
 * *next to where to go on. */
static enum status scan(struct salvage *salvage, uint64_t offset, struct slice bytes, size_t begins,
                        uint64_t *next)
{
    size_t at = 0;
    while (at < begins) {
        struct slice rest = slice_from(bytes, at);
        if (load_u32(rest.data) == PART_PAGE_MAGIC && is_page(salvage, offset + at, rest)) {
            size_t size = part_page_size(rest.data);
            enum status status = add_page(salvage, offset + at, size);
            if (status != STATUS_OK)
                return status;
            at += size;
        } else {
            at++;
        }
    }
    *next = offset + at;
    return STATUS_OK;
}

static enum status scan_file(struct salvage *salvage)
{
    const struct part *part = salvage->part;
    uint64_t offset = PART_HEADER_SIZE;
    while (offset + 8 <= part->size) {
        size_t got;
        uint64_t lost;
        enum status status = stored_read_around(part->file, salvage->buffer, SCAN_SIZE, offset,
                                                &got, &lost, NULL, salvage->err);
        if (status != STATUS_OK)
            return status;
        if (got < 8)
            break;
        salvage->has_zeros = lost > 0;
        /* Pages that begin before `begins` lie in the buffer whole. */
        size_t begins = got < SCAN_SIZE ? got - 7 : SCAN_SIZE - PART_PAGE_MAX_SIZE;
        status = scan(salvage, offset, slice_of(salvage->buffer, got), begins, &offset);
        if (status != STATUS_OK)
            return status;
    }
    /* Without a trailer nobody knows where pages end; part_expect counts samples. */
    if (salvage->index->found.pages == 0 || salvage->expected != part->set_offset)
        return add_hole(salvage);
    return STATUS_OK;
}

enum status part_salvage(const struct part *part, struct part_index **result, struct error *err)
{
    struct salvage salvage = {
        .part = part,
        .index = calloc(1, sizeof *salvage.index),
        .err = err,
        .buffer = malloc(SCAN_SIZE),
        .page = malloc(sizeof *salvage.page),
        .alone = malloc(PART_PAGE_MAX_SIZE),
        .expected = PART_HEADER_SIZE,
    };
    enum status status = STATUS_MEMORY;
    *result = NULL;
    if (salvage.index == NULL || salvage.buffer == NULL || salvage.page == NULL ||
        salvage.alone == NULL) {
        status = fail(err, status, "no memory to look for its pages");
    } else {
        salvage.index->found.bytes = part->size;
        status = scan_file(&salvage);
    }
    free(salvage.buffer);
    free(salvage.page);
    free(salvage.alone);
    if (status == STATUS_OK)
        *result = salvage.index;
    else
        part_index_free(salvage.index);
    return status;
}
