#include "storage/engine/part_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "storage/engine/part_state.h"
#include "storage/engine/stored_read.h"

/* ---- opening ---------------------------------------------------------------------------- */

/* Notes what is wrong without being an error. */
static void note_damage(struct part *part, const struct error *err)
{
    if (part->damage[0] == 0)
        memcpy(part->damage, err->message, sizeof part->damage);
}

static bool same_identity(const struct part_identity *a, const struct part_identity *b)
{
    return a->id == b->id && a->day == b->day && a->min_sequence == b->min_sequence &&
           a->max_sequence == b->max_sequence && a->level == b->level;
}

static void take_trailer(struct part *part, const struct part_trailer *trailer)
{
    part->identity = trailer->identity;
    part->totals = trailer->totals;
    part->set_offset = trailer->index_offset - trailer->set_size;
    part->set_size = trailer->set_size;
    part->set_crc = trailer->set_crc;
    part->index_crc = trailer->index_crc;
}

static enum status find_pages(struct part *part, struct error *err)
{
    struct part_index *index = NULL;
    enum status status = part_salvage(part, &index, err);
    if (status != STATUS_OK)
        return status;
    part->totals = index->found;
    part_index_keep(part, index);
    return STATUS_OK;
}

/* Sets the identity from header or trailer, and the index, unless it can wait, from trailer or
 * pages. */
static enum status read_frame(struct part *part, struct error *err)
{
    uint8_t header_bytes[PART_HEADER_SIZE];
    uint8_t trailer_bytes[PART_TRAILER_SIZE];
    if (part->size < PART_HEADER_SIZE)
        return fail(err, STATUS_CORRUPT, "it has %llu bytes, which is less than any part",
                    (unsigned long long)part->size);
    bool has_trailer = part->size >= PART_HEADER_SIZE + PART_TRAILER_SIZE_1;
    struct error trailer_error;
    struct part_trailer trailer = {0};
    uint32_t version = 0;
    enum status header = stored_read_exactly(part->file, header_bytes, sizeof header_bytes, 0, err);
    if (header == STATUS_OK)
        header = part_header_decode(header_bytes, &part->identity, &version, err);
    if (header != STATUS_OK && header != STATUS_CORRUPT)
        return header;
    enum status end = has_trailer
                          ? stored_read_exactly(part->file, trailer_bytes, sizeof trailer_bytes,
                                                part->size - PART_TRAILER_SIZE, &trailer_error)
                          : fail(&trailer_error, STATUS_CORRUPT, "the trailer is missing");
    if (end == STATUS_OK)
        end = part_trailer_decode(trailer_bytes, part->size, &trailer, &trailer_error);
    if (end != STATUS_OK && end != STATUS_CORRUPT) {
        *err = trailer_error;
        return end;
    }
    if (header != STATUS_OK && end != STATUS_OK)
        return header;
    if (header != STATUS_OK) {
        note_damage(part, err);
        part->identity = trailer.identity;
    }
    const struct part_identity first = part->identity;
    if (end == STATUS_OK) {
        take_trailer(part, &trailer);
        /* Nothing contradicts it: the index is read when it is needed. */
        if (part->indexes != NULL && header == STATUS_OK && same_identity(&first, &part->identity))
            return STATUS_OK;
        /* It stands under a checksum with the part's id: it proves the trailer's. */
        struct part_index *index = NULL;
        end = part_index_read(part, &index, &trailer_error);
        if (end == STATUS_OK)
            part_index_keep(part, index);
        else if (end != STATUS_CORRUPT)
            return fail(err, end, "%s", trailer_error.message);
    }
    if (end == STATUS_OK && !same_identity(&first, &trailer.identity)) {
        fail(&trailer_error, STATUS_CORRUPT, "the header is of another part");
        note_damage(part, &trailer_error);
    }
    if (end == STATUS_OK)
        return STATUS_OK;
    note_damage(part, &trailer_error);
    part->identity = first;
    return find_pages(part, err);
}

/* `commons` NULL: none. */
static enum status open_part(struct part **part, struct filesystem *fs,
                             const struct part_commons *commons, const char *path,
                             struct error *err)
{
    *part = NULL;
    struct error local = {0};
    err = err == NULL ? &local : err;
    struct part *made = calloc(1, sizeof *made);
    if (made == NULL)
        return fail(err, STATUS_MEMORY, "part %s: no memory to open it", path);
    made->indexes = commons == NULL ? NULL : commons->indexes;
    if (commons != NULL)
        fs = file_pool_filesystem(commons->files);
    made->path = strdup(path);
    enum status status = made->path == NULL ? fail(err, STATUS_MEMORY, "no memory to open it")
                                            : stored_open(fs, path, &made->file, &made->size, err);
    if (status == STATUS_OK)
        status = read_frame(made, err);
    if (status != STATUS_OK) {
        error_prefix(err, "cannot open part %s", path);
        part_close(made);
        return status;
    }
    *part = made;
    return STATUS_OK;
}

enum status part_open(struct part **part, struct filesystem *fs, const char *path,
                      struct error *err)
{
    return open_part(part, fs, NULL, path, err);
}

enum status part_open_shared(struct part **part, const struct part_commons *commons,
                             const char *path, struct error *err)
{
    return open_part(part, NULL, commons, path, err);
}

enum status part_expect(struct part *part, const struct part_identity *expected, uint64_t samples,
                        struct error *err)
{
    const struct part_identity *is = &part->identity;
    if (!same_identity(is, expected))
        return fail(err, STATUS_CORRUPT,
                    "%s: this is part %" PRIu64 " of day %" PRId64 ", sequence %" PRIu64
                    " to %" PRIu64 ", where the manifest expects part %" PRIu64 " of day %" PRId64
                    ", %" PRIu64 " to %" PRIu64,
                    part->path, is->id, is->day, is->min_sequence, is->max_sequence, expected->id,
                    expected->day, expected->min_sequence, expected->max_sequence);
    if (part->damage[0] != 0 && part->totals.samples == samples)
        part_index_drop_holes(part->index);
    return STATUS_OK;
}

enum status part_expect_index(const struct part *part, struct error *err)
{
    struct part_index *index = NULL;
    /* Without `indexes` opening has read it. */
    enum status status = part->indexes == NULL ? STATUS_OK : part_index_read(part, &index, err);
    part_index_free(index);
    return status;
}

void part_close(struct part *part)
{
    if (part == NULL)
        return;
    file_close(part->file);
    part_index_forget(part);
    free(part->path);
    free(part);
}

const struct part_identity *part_identity(const struct part *part)
{
    return &part->identity;
}

const struct part_totals *part_totals(const struct part *part)
{
    return &part->totals;
}

const char *part_damage(const struct part *part)
{
    return part->damage[0] == 0 ? NULL : part->damage;
}

/* ---- cursors ---------------------------------------------------------------------------- */

/* Nothing is read, and nothing is in `cached`, `page` and `window`. */
static void begin_on(struct part_cursor *cursor, struct part *part)
{
    memset(cursor, 0, offsetof(struct part_cursor, page));
    for (size_t i = 0; i < PART_CACHED_TIMES; i++)
        cursor->cached[i].offset = 0;
    cursor->next_cached = 0;
    cursor->window_offset = 0;
    cursor->window_size = 0;
    cursor->page.count = 0;
    cursor->part = part;
}

enum status part_cursor_new(struct part_cursor **cursor, struct part *part, struct error *err)
{
    *cursor = malloc(sizeof **cursor);
    if (*cursor == NULL)
        return fail(err, STATUS_MEMORY, "part %s: no memory for a cursor", part->path);
    memset((*cursor)->cached, 0, sizeof(*cursor)->cached);
    begin_on(*cursor, part);
    return STATUS_OK;
}

enum status part_cursor_take_index(struct part_cursor *cursor, struct error *err)
{
    return cursor->index != NULL ? STATUS_OK
                                 : part_index_acquire(cursor->part, &cursor->index, err);
}

static void give_index_back(struct part_cursor *cursor)
{
    if (cursor->index != NULL)
        part_index_release(cursor->part, cursor->index);
    cursor->index = NULL;
}

void part_cursor_move(struct part_cursor *cursor, struct part *part)
{
    give_index_back(cursor);
    begin_on(cursor, part);
}

void part_cursor_free(struct part_cursor *cursor)
{
    if (cursor == NULL)
        return;
    for (size_t i = 0; i < PART_CACHED_TIMES; i++)
        free(cursor->cached[i].times);
    give_index_back(cursor);
    free(cursor);
}

/* At the first page that may have the cursor's key. */
static enum status position(struct part_cursor *cursor, struct error *err)
{
    enum status status = part_cursor_take_index(cursor, err);
    if (status != STATUS_OK)
        return status;
    /* The first entry that is not below the key; the key may begin in the page before it. */
    size_t low = 0;
    size_t high = cursor->index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct part_index_entry *entry = &cursor->index->entries[middle];
        if (part_compare_keys(entry->metric, entry->series, cursor->metric, cursor->series) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    cursor->next_page = low == 0 ? 0 : low - 1;
    cursor->walk = PART_WALK_GOES_ON;
    return STATUS_OK;
}

static void begin_walk(struct part_cursor *cursor, bool one_series, uint32_t metric,
                       uint32_t series)
{
    cursor->one_series = one_series;
    cursor->metric = metric;
    cursor->series = series;
    cursor->walk = PART_WALK_BEGINS;
    cursor->next_block = PART_PAGE_MAX_BLOCKS;
}

void part_cursor_find(struct part_cursor *cursor, uint32_t metric, uint32_t series)
{
    begin_walk(cursor, true, metric, series);
}

void part_cursor_seek(struct part_cursor *cursor, uint32_t metric, uint32_t series)
{
    begin_walk(cursor, false, metric, series);
}

enum status part_fetch(struct part_cursor *cursor, uint64_t offset, size_t size,
                       struct slice *bytes, struct error *err)
{
    invariant(size <= PART_WINDOW_SIZE);
    uint64_t window_end = cursor->window_offset + cursor->window_size;
    if (offset >= cursor->window_offset && offset + size <= window_end) {
        *bytes = slice_of(cursor->window + (offset - cursor->window_offset), size);
        return STATUS_OK;
    }
    /* Whoever goes on where the window ends will go on further. */
    bool onward = cursor->window_size > 0 && offset >= cursor->window_offset &&
                  offset <= window_end && offset + size > window_end;
    size_t wanted = onward && size < PART_READ_AHEAD ? PART_READ_AHEAD : size;
    size_t got = 0;
    cursor->window_size = 0;
    enum status status = stored_read(cursor->part->file, cursor->window, wanted, offset, &got, err);
    /* What was read ahead may be what cannot be. */
    if (status == STATUS_CORRUPT && wanted > size)
        status = stored_read(cursor->part->file, cursor->window, size, offset, &got, err);
    if (status != STATUS_OK)
        return status;
    if (got < size)
        return fail(err, STATUS_CORRUPT, "the file ends before it");
    cursor->window_offset = offset;
    cursor->window_size = got;
    *bytes = slice_of(cursor->window, size);
    return STATUS_OK;
}

enum status part_load_page(struct part_cursor *cursor, size_t index, struct error *err)
{
    const struct part *part = cursor->part;
    const struct part_index_entry *entry = &cursor->index->entries[index];
    if (cursor->page_offset == entry->offset && entry->size > 0)
        return STATUS_OK;
    cursor->page_offset = 0;
    if (entry->size == 0)
        return fail(err, STATUS_CORRUPT, "part %s: pages from offset %llu on cannot be found",
                    part->path, (unsigned long long)entry->offset);
    struct slice bytes = {0};
    enum status status = part_fetch(cursor, entry->offset, entry->size, &bytes, err);
    if (status == STATUS_OK)
        status = part_page_decode(bytes, &part->identity, entry->offset, &cursor->page, err);
    const struct part_block *first = &cursor->page.blocks[0];
    if (status == STATUS_OK && (cursor->page.count != entry->blocks ||
                                first->metric != entry->metric || first->series != entry->series))
        status = fail(err, STATUS_CORRUPT, "it is not the page that the index names");
    if (status != STATUS_OK) {
        error_prefix(err, "part %s: page at offset %llu", part->path,
                     (unsigned long long)entry->offset);
        return status;
    }
    cursor->page_offset = entry->offset;
    return STATUS_OK;
}

static void set_loss(const struct part_index *index, size_t page, struct part_loss *lost)
{
    const struct part_index_entry *entry = &index->entries[page];
    bool last = page + 1 == index->count;
    *lost = (struct part_loss){
        .first_metric = entry->metric,
        .first_series = entry->series,
        .last_metric = last ? UINT32_MAX : entry[1].metric,
        .last_series = last ? UINT32_MAX : entry[1].series,
    };
}

/* Whether the cursor is through with one series before page `index`. */
static bool ends_before(const struct part_cursor *cursor, size_t index)
{
    const struct part_index_entry *entry = &cursor->index->entries[index];
    return cursor->one_series &&
           part_compare_keys(entry->metric, entry->series, cursor->metric, cursor->series) > 0;
}

static enum status end_walk(struct part_cursor *cursor)
{
    cursor->walk = PART_WALK_ENDED;
    cursor->next_block = PART_PAGE_MAX_BLOCKS;
    if (part_index_is_wanted_back(cursor->part))
        give_index_back(cursor);
    return STATUS_END;
}

static enum status next_block(struct part_cursor *cursor, const struct part_block **block,
                              struct part_loss *lost, struct error *err)
{
    for (;;) {
        while (cursor->next_block < cursor->page.count) {
            const struct part_block *next = &cursor->page.blocks[cursor->next_block++];
            int order =
                part_compare_keys(next->metric, next->series, cursor->metric, cursor->series);
            if (order < 0)
                continue;
            if (order > 0 && cursor->one_series)
                return end_walk(cursor);
            *block = next;
            return STATUS_OK;
        }
        if (cursor->next_page == cursor->index->count || ends_before(cursor, cursor->next_page))
            return end_walk(cursor);
        size_t index = cursor->next_page++;
        cursor->next_block = PART_PAGE_MAX_BLOCKS;
        enum status status = part_load_page(cursor, index, err);
        if (status != STATUS_OK) {
            set_loss(cursor->index, index, lost);
            return status;
        }
        cursor->next_block = 0;
    }
}

enum status part_cursor_next(struct part_cursor *cursor, const struct part_block **block,
                             struct part_loss *lost, struct error *err)
{
    enum status status = STATUS_OK;
    if (cursor->walk == PART_WALK_BEGINS)
        status = position(cursor, err);
    if (status != STATUS_OK) {
        *lost = (struct part_loss){.last_metric = UINT32_MAX, .last_series = UINT32_MAX};
        cursor->walk = PART_WALK_ENDED;
        return status;
    }
    return cursor->walk == PART_WALK_ENDED ? STATUS_END : next_block(cursor, block, lost, err);
}
