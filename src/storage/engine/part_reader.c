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

static bool index_is_sound(const struct part *part, uint64_t pages_end)
{
    uint64_t at = PART_HEADER_SIZE;
    uint64_t blocks = 0;
    for (size_t i = 0; i < part->index_count; i++) {
        const struct part_index_entry *entry = &part->index[i];
        if (entry->size == 0 || entry->size > PART_PAGE_MAX_SIZE || entry->offset < at ||
            entry->offset > pages_end || entry->size > pages_end - entry->offset)
            return false;
        if (i > 0 &&
            part_compare_keys(entry[-1].metric, entry[-1].series, entry->metric, entry->series) > 0)
            return false;
        at = entry->offset + entry->size;
        blocks += entry->blocks;
    }
    return at == pages_end && blocks == part->totals.blocks;
}

static enum status load_index(struct part *part, const struct part_trailer *trailer,
                              struct error *err)
{
    size_t count = (size_t)trailer->totals.pages;
    size_t size = count * PART_INDEX_ENTRY_SIZE;
    if (count == 0)
        return fail(err, STATUS_CORRUPT, "the index is empty");
    uint8_t *bytes = malloc(size);
    part->index = malloc(count * sizeof *part->index);
    if (bytes == NULL || part->index == NULL) {
        free(bytes);
        return fail(err, STATUS_MEMORY, "no memory for the index");
    }
    enum status status = stored_read_exactly(part->file, bytes, size, trailer->index_offset, err);
    if (status == STATUS_OK) {
        uint32_t got = part_checksum(part->identity.id, trailer->index_offset, bytes, size);
        if (got != trailer->index_crc)
            status = fail(err, STATUS_CORRUPT, "index checksum differs (got %08x, want %08x)", got,
                          trailer->index_crc);
    }
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        part_index_entry_decode(bytes + i * PART_INDEX_ENTRY_SIZE, &part->index[i]);
    free(bytes);
    part->index_count = status == STATUS_OK ? count : 0;
    if (status == STATUS_OK && !index_is_sound(part, trailer->index_offset - trailer->set_size))
        status = fail(err, STATUS_CORRUPT, "the index contradicts itself");
    return status;
}

static bool same_identity(const struct part_identity *a, const struct part_identity *b)
{
    return a->id == b->id && a->day == b->day && a->min_sequence == b->min_sequence &&
           a->max_sequence == b->max_sequence && a->level == b->level;
}

/* Sets the identity from header or trailer, and the index from trailer or pages. */
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
        /* The index stands under a checksum with the part's id: it proves the trailer's. */
        part->identity = trailer.identity;
        part->totals = trailer.totals;
        part->set_offset = trailer.index_offset - trailer.set_size;
        part->set_size = trailer.set_size;
        part->set_crc = trailer.set_crc;
        end = load_index(part, &trailer, &trailer_error);
        if (end != STATUS_OK && end != STATUS_CORRUPT) {
            if (err != NULL)
                *err = trailer_error;
            return end;
        }
    }
    if (end == STATUS_OK && !same_identity(&first, &trailer.identity)) {
        fail(&trailer_error, STATUS_CORRUPT, "the header is of another part");
        note_damage(part, &trailer_error);
    }
    if (end == STATUS_OK)
        return STATUS_OK;
    note_damage(part, &trailer_error);
    part->identity = first;
    return part_salvage(part, err);
}

enum status part_open(struct part **part, struct filesystem *fs, const char *path,
                      struct error *err)
{
    *part = NULL;
    struct error local = {0};
    err = err == NULL ? &local : err;
    struct part *made = calloc(1, sizeof *made);
    if (made == NULL)
        return fail(err, STATUS_MEMORY, "part %s: no memory to open it", path);
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
    if (part->damage[0] == 0 || part->totals.samples != samples)
        return STATUS_OK;
    size_t kept = 0;
    for (size_t i = 0; i < part->index_count; i++)
        if (part->index[i].size > 0)
            part->index[kept++] = part->index[i];
    part->index_count = kept;
    return STATUS_OK;
}

void part_close(struct part *part)
{
    if (part == NULL)
        return;
    file_close(part->file);
    free(part->index);
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

size_t part_memory(const struct part *part)
{
    return sizeof *part + strlen(part->path) + 1 + part->index_count * sizeof *part->index;
}

const char *part_damage(const struct part *part)
{
    return part->damage[0] == 0 ? NULL : part->damage;
}

/* ---- cursors ---------------------------------------------------------------------------- */

enum status part_cursor_new(struct part_cursor **cursor, struct part *part, struct error *err)
{
    *cursor = malloc(sizeof **cursor);
    if (*cursor == NULL)
        return fail(err, STATUS_MEMORY, "part %s: no memory for a cursor", part->path);
    memset(*cursor, 0, offsetof(struct part_cursor, page));
    memset((*cursor)->cached, 0, sizeof(*cursor)->cached);
    (*cursor)->next_cached = 0;
    (*cursor)->window_offset = 0;
    (*cursor)->window_size = 0;
    (*cursor)->page.count = 0;
    (*cursor)->part = part;
    (*cursor)->loaded_page = part->index_count;
    return STATUS_OK;
}

void part_cursor_free(struct part_cursor *cursor)
{
    if (cursor == NULL)
        return;
    for (size_t i = 0; i < PART_CACHED_TIMES; i++)
        free(cursor->cached[i].times);
    free(cursor);
}

static void position_at(struct part_cursor *cursor, uint32_t metric, uint32_t series)
{
    const struct part *part = cursor->part;
    cursor->metric = metric;
    cursor->series = series;
    /* The first entry that is not below the key; the key may begin in the page before it. */
    size_t low = 0;
    size_t high = part->index_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct part_index_entry *entry = &part->index[middle];
        if (part_compare_keys(entry->metric, entry->series, metric, series) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    cursor->next_page = low == 0 ? 0 : low - 1;
    cursor->next_block = PART_PAGE_MAX_BLOCKS;
}

void part_cursor_find(struct part_cursor *cursor, uint32_t metric, uint32_t series)
{
    cursor->one_series = true;
    position_at(cursor, metric, series);
}

void part_cursor_seek(struct part_cursor *cursor, uint32_t metric, uint32_t series)
{
    cursor->one_series = false;
    position_at(cursor, metric, series);
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
    const struct part_index_entry *entry = &part->index[index];
    if (cursor->loaded_page == index)
        return STATUS_OK;
    cursor->loaded_page = part->index_count;
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
    cursor->loaded_page = index;
    return STATUS_OK;
}

static void set_loss(const struct part *part, size_t page, struct part_loss *lost)
{
    const struct part_index_entry *entry = &part->index[page];
    bool last = page + 1 == part->index_count;
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
    const struct part_index_entry *entry = &cursor->part->index[index];
    return cursor->one_series &&
           part_compare_keys(entry->metric, entry->series, cursor->metric, cursor->series) > 0;
}

enum status part_cursor_next(struct part_cursor *cursor, const struct part_block **block,
                             struct part_loss *lost, struct error *err)
{
    const struct part *part = cursor->part;
    for (;;) {
        while (cursor->next_block < cursor->page.count) {
            const struct part_block *next = &cursor->page.blocks[cursor->next_block++];
            int order =
                part_compare_keys(next->metric, next->series, cursor->metric, cursor->series);
            if (order < 0)
                continue;
            if (order > 0 && cursor->one_series) {
                cursor->next_block = PART_PAGE_MAX_BLOCKS;
                cursor->next_page = part->index_count;
                return STATUS_END;
            }
            *block = next;
            return STATUS_OK;
        }
        if (cursor->next_page == part->index_count || ends_before(cursor, cursor->next_page))
            return STATUS_END;
        size_t index = cursor->next_page++;
        cursor->next_block = PART_PAGE_MAX_BLOCKS;
        enum status status = part_load_page(cursor, index, err);
        if (status != STATUS_OK) {
            set_loss(part, index, lost);
            return status;
        }
        cursor->next_block = 0;
    }
}
