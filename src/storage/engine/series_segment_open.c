/* Opening: the trailer and the directories, everything that is in memory. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "storage/engine/bitmap_codec.h"
#include "storage/engine/series_segment_state.h"
#include "storage/engine/stored_read.h"

static const char *const directory_names[SEGMENT_DIRECTORIES] = {
    "directory of definitions",
    "directory of metric ids",
    "directory of values",
    "directory of keys",
    "metrics",
    "ids",
};

enum status segment_fail_at(const struct series_segment *segment, const char *what, uint64_t offset,
                            enum status status, struct error *err)
{
    error_prefix(err, "series segment %s: %s at offset %" PRIu64, segment->path, what, offset);
    return status;
}

enum status segment_read_checked(const struct series_segment *segment, const char *what,
                                 uint64_t offset, void *to, size_t size, uint32_t crc,
                                 struct error *err)
{
    enum status status = stored_read_exactly(segment->file, to, size, offset, err);
    if (status != STATUS_OK)
        return segment_fail_at(segment, what, offset, status, err);
    uint32_t got = segment_checksum(segment->trailer.id, offset, to, size);
    if (got == crc)
        return STATUS_OK;
    fail(err, STATUS_CORRUPT, "checksum differs (got %08x, want %08x)", got, crc);
    return segment_fail_at(segment, what, offset, STATUS_CORRUPT, err);
}

/* ---- directories ------------------------------------------------------------------------ */

static enum status contradicts(struct error *err)
{
    return fail(err, STATUS_CORRUPT, "it contradicts itself");
}

/* Counted, for what follows the number of series. */
static void *take(struct series_segment *segment, size_t count, size_t size)
{
    void *made = calloc(count == 0 ? 1 : count, size);
    if (made != NULL)
        segment->memory += count * size;
    return made;
}

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory for it");
}

/* Decoding runs twice where the number of entries stands nowhere: first it counts. */

static enum status decode_pages(struct series_segment *segment, struct slice from,
                                struct error *err)
{
    uint64_t end = SEGMENT_HEADER_SIZE;
    uint64_t limit = segment->trailer.definitions_end;
    for (int pass = 0; pass < 2; pass++) {
        struct segment_input input = segment_input_of(from);
        uint64_t first_id = 0;
        size_t count = 0;
        end = SEGMENT_HEADER_SIZE;
        for (; segment_input_left(&input); count++) {
            uint64_t step = segment_get(&input, UINT32_MAX);
            uint64_t gap = segment_get(&input, limit);
            uint64_t size = segment_get(&input, UINT32_MAX);
            if (input.at == NULL || size > limit || gap > limit - size ||
                end > limit - size - gap || (count > 0 && step == 0))
                return contradicts(err);
            first_id += step;
            if (first_id > UINT32_MAX)
                return contradicts(err);
            if (pass == 1)
                segment->pages[count] = (struct segment_page_entry){
                    .offset = end + gap, .size = (uint32_t)size, .first_id = (uint32_t)first_id};
            end += gap + size;
        }
        if (pass == 0) {
            segment->pages = take(segment, count, sizeof segment->pages[0]);
            segment->page_states = take(segment, count, sizeof segment->page_states[0]);
        }
        if (segment->pages == NULL || segment->page_states == NULL)
            return no_memory(err);
        segment->page_count = count;
    }
    return STATUS_OK;
}

static size_t metric_page_size(const struct series_segment *segment, size_t index)
{
    uint64_t left = segment->trailer.stats.series - (uint64_t)index * SEGMENT_METRICS_PER_PAGE;
    return (size_t)(left < SEGMENT_METRICS_PER_PAGE ? left : SEGMENT_METRICS_PER_PAGE) * 4;
}

static enum status decode_metric_pages(struct series_segment *segment, struct slice from,
                                       struct error *err)
{
    uint64_t limit = segment->trailer.definitions_end;
    uint64_t series = segment->trailer.stats.series;
    size_t count = (size_t)((series + SEGMENT_METRICS_PER_PAGE - 1) / SEGMENT_METRICS_PER_PAGE);
    if (count > from.size)
        return contradicts(err);
    segment->metric_pages = take(segment, count, sizeof segment->metric_pages[0]);
    if (segment->metric_pages == NULL)
        return no_memory(err);
    segment->metric_page_count = count;
    struct segment_input input = segment_input_of(from);
    uint64_t end = SEGMENT_HEADER_SIZE;
    for (size_t i = 0; i < count; i++) {
        uint64_t gap = segment_get(&input, limit);
        size_t size = metric_page_size(segment, i);
        uint32_t crc = segment_get_u32(&input);
        if (input.at == NULL || size > limit || gap > limit - size || end > limit - size - gap)
            return contradicts(err);
        segment->metric_pages[i] =
            (struct segment_metric_page_entry){.offset = end + gap, .crc = crc};
        end += gap + size;
    }
    return segment_input_left(&input) ? contradicts(err) : STATUS_OK;
}

/* The pages of both kinds stand back to back from the header on. */
static bool definitions_are_whole(const struct series_segment *segment)
{
    uint64_t at = SEGMENT_HEADER_SIZE;
    size_t page = 0;
    size_t metric_page = 0;
    for (;;) {
        if (page < segment->page_count && segment->pages[page].offset == at)
            at += segment->pages[page++].size;
        else if (metric_page < segment->metric_page_count &&
                 segment->metric_pages[metric_page].offset == at)
            at += metric_page_size(segment, metric_page++);
        else
            break;
    }
    return page == segment->page_count && metric_page == segment->metric_page_count &&
           at == segment->trailer.definitions_end;
}

/* What the directory of values holds, counted. */
struct values_totals {
    size_t names, pages, texts;
    uint64_t values;
};

static bool read_value_page(struct series_segment *segment, struct segment_input *input,
                            uint64_t *end, bool keep, struct values_totals *totals)
{
    uint64_t limit = segment->trailer.keys_begin;
    uint64_t sets = segment_get(input, limit);
    uint64_t size = segment_get(input, SEGMENT_VALUE_PAGE_MAX);
    uint32_t crc = segment_get_u32(input);
    struct slice first = segment_get_text(input, SEGMENT_FIRST_VALUE_MAX);
    if (input->at == NULL || size == 0 || size > limit || sets > limit - size ||
        *end > limit - size - sets)
        return false;
    *end += sets + size;
    if (keep) {
        uint8_t *text = segment->texts + totals->texts;
        if (first.size > 0)
            memcpy(text, first.data, first.size);
        segment->value_pages[totals->pages] =
            (struct segment_value_page_entry){.offset = *end - size,
                                              .first = text,
                                              .size = (uint32_t)size,
                                              .crc = crc,
                                              .first_size = (uint32_t)first.size};
    }
    totals->texts += first.size;
    totals->pages++;
    return true;
}

static bool read_names(struct series_segment *segment, struct slice from, bool keep,
                       struct values_totals *totals, uint64_t *end)
{
    struct segment_input input = segment_input_of(from);
    *totals = (struct values_totals){0};
    *end = segment->trailer.definitions_end;
    while (segment_input_left(&input)) {
        struct slice name = segment_get_text(&input, LABEL_VALUE_MAX_SIZE);
        uint64_t values = segment_get(&input, segment->trailer.stats.pairs);
        uint64_t pages = segment_get(&input, values);
        if (input.at == NULL || pages == 0)
            return false;
        if (keep) {
            uint8_t *text = segment->texts + totals->texts;
            memcpy(text, name.data, name.size);
            segment->names[totals->names] =
                (struct segment_name_entry){.name = slice_of(text, name.size),
                                            .values = values,
                                            .first_page = totals->pages,
                                            .page_count = (size_t)pages};
        }
        totals->texts += name.size;
        totals->names++;
        totals->values += values;
        for (uint64_t i = 0; i < pages; i++)
            if (!read_value_page(segment, &input, end, keep, totals))
                return false;
    }
    return input.at != NULL && totals->values == segment->trailer.stats.pairs;
}

static enum status decode_values(struct series_segment *segment, struct slice from,
                                 struct error *err)
{
    struct values_totals totals;
    uint64_t end = 0;
    if (!read_names(segment, from, false, &totals, &end))
        return contradicts(err);
    segment->texts = take(segment, totals.texts, 1);
    segment->names = take(segment, totals.names, sizeof segment->names[0]);
    segment->value_pages = take(segment, totals.pages, sizeof segment->value_pages[0]);
    if (segment->texts == NULL || segment->names == NULL || segment->value_pages == NULL)
        return no_memory(err);
    bool read = read_names(segment, from, true, &totals, &end);
    invariant(read);
    segment->name_count = totals.names;
    segment->value_page_count = totals.pages;
    for (size_t i = 1; i < totals.names; i++)
        if (slice_compare(segment->names[i - 1].name, segment->names[i].name) >= 0)
            return contradicts(err);
    return segment_align(end) == segment->trailer.keys_begin ? STATUS_OK : contradicts(err);
}

static enum status decode_keys(struct series_segment *segment, struct slice from, struct error *err)
{
    uint64_t series = segment->trailer.stats.series;
    size_t count = (size_t)((series + SEGMENT_KEYS_PER_PAGE - 1) / SEGMENT_KEYS_PER_PAGE);
    if (from.size != count * SEGMENT_KEY_SIZE)
        return contradicts(err);
    segment->key_pages = take(segment, count, sizeof segment->key_pages[0]);
    if (segment->key_pages == NULL)
        return no_memory(err);
    segment->key_page_count = count;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *entry = from.data + i * SEGMENT_KEY_SIZE;
        struct segment_key_page_entry *page = &segment->key_pages[i];
        page->first_high = load_u64(entry);
        page->first_low = load_u32(entry + 8);
        page->crc = load_u32(entry + 12);
        if (i > 0 && series_key_compare(segment_first_key(page - 1), segment_first_key(page)) > 0)
            return contradicts(err);
    }
    return STATUS_OK;
}

static bool read_metrics(struct series_segment *segment, struct slice from)
{
    struct segment_input input = segment_input_of(from);
    uint64_t next = 0;
    uint64_t series = 0;
    size_t text = 0;
    for (size_t i = 0; i < segment->trailer.stats.metrics; i++) {
        uint64_t id = next + segment_get(&input, UINT32_MAX);
        uint32_t count = (uint32_t)segment_get(&input, UINT32_MAX);
        struct slice name = segment_get_text(&input, LABEL_VALUE_MAX_SIZE);
        if (input.at == NULL || id > UINT32_MAX)
            return false;
        uint8_t *to = segment->metric_names + text;
        if (name.size > 0)
            memcpy(to, name.data, name.size);
        segment->metrics[i] = (struct series_segment_metric){
            .metric = (uint32_t)id, .series = count, .name = slice_of(to, name.size)};
        text += name.size;
        series += count;
        next = id + 1;
    }
    return !segment_input_left(&input) && series == segment->trailer.stats.series;
}

static enum status decode_metrics(struct series_segment *segment, struct slice from,
                                  struct error *err)
{
    /* An entry has three bytes at least. */
    uint64_t count = segment->trailer.stats.metrics;
    if (count > from.size / 3)
        return contradicts(err);
    segment->metrics = take(segment, (size_t)count, sizeof segment->metrics[0]);
    /* Room for the names also where fewer entries than are counted fill the directory. */
    segment->metric_names = take(segment, from.size, 1);
    if (segment->metrics == NULL || segment->metric_names == NULL)
        return no_memory(err);
    return read_metrics(segment, from) ? STATUS_OK : contradicts(err);
}

/* ---- ids -------------------------------------------------------------------------------- */

static enum status decode_ids(struct series_segment *segment, struct slice from, struct error *err)
{
    const struct series_segment_stats *stats = &segment->trailer.stats;
    enum status status = bitmap_decode(from, &segment->ids, err);
    if (status != STATUS_OK)
        return status;
    segment->memory += roaring_bitmap_size_in_bytes(segment->ids);
    if (roaring_bitmap_get_cardinality(segment->ids) != stats->series)
        return contradicts(err);
    if (stats->series > 0 && (roaring_bitmap_minimum(segment->ids) != stats->first_id ||
                              roaring_bitmap_maximum(segment->ids) != stats->last_id))
        return contradicts(err);
    uint64_t first = stats->first_id >> 16;
    uint64_t blocks = (stats->last_id >> 16) - first + 1;
    segment->ranks = take(segment, (size_t)blocks, sizeof segment->ranks[0]);
    if (segment->ranks == NULL)
        return no_memory(err);
    uint64_t rank = 0;
    for (uint64_t i = 0; i < blocks; i++) {
        segment->ranks[i] = (uint32_t)rank;
        rank += roaring_bitmap_range_cardinality(segment->ids, (first + i) << 16,
                                                 (first + i + 1) << 16);
    }
    return STATUS_OK;
}

uint64_t segment_rank(const struct series_segment *segment, uint32_t id)
{
    const struct series_segment_stats *stats = &segment->trailer.stats;
    if (stats->series == 0 || id <= stats->first_id)
        return 0;
    if (id > stats->last_id)
        return stats->series;
    uint64_t block = id >> 16;
    return segment->ranks[block - (stats->first_id >> 16)] +
           roaring_bitmap_range_cardinality(segment->ids, block << 16, id);
}

/* Of each page's first id, and that there are as many pages as they must be. */
static bool pages_fit_ids(const struct series_segment *segment)
{
    if (segment->trailer.stats.series == 0)
        return segment->page_count == 0;
    if (segment->page_count == 0 || segment->pages[0].first_id != segment->trailer.stats.first_id)
        return false;
    for (size_t i = 0; i < segment->page_count; i++)
        if (!roaring_bitmap_contains(segment->ids, segment->pages[i].first_id))
            return false;
    return true;
}

/* ---- all of it -------------------------------------------------------------------------- */

static enum status decode_directory(struct series_segment *segment, enum segment_directory which,
                                    struct slice from, struct error *err)
{
    switch (which) {
    case SEGMENT_DIRECTORY_PAGES:
        return decode_pages(segment, from, err);
    case SEGMENT_DIRECTORY_METRIC_PAGES:
        return decode_metric_pages(segment, from, err);
    case SEGMENT_DIRECTORY_VALUES:
        return decode_values(segment, from, err);
    case SEGMENT_DIRECTORY_KEYS:
        return decode_keys(segment, from, err);
    case SEGMENT_DIRECTORY_METRICS:
        return decode_metrics(segment, from, err);
    case SEGMENT_DIRECTORY_IDS:
        return decode_ids(segment, from, err);
    case SEGMENT_DIRECTORIES:
        break;
    }
    invariant(which < SEGMENT_DIRECTORIES);
    return STATUS_CORRUPT;
}

static enum status read_directories(struct series_segment *segment, struct error *err)
{
    uint64_t offset = segment_directories_begin(&segment->trailer);
    for (int i = 0; i < SEGMENT_DIRECTORIES; i++) {
        const struct segment_block *block = &segment->trailer.directories[i];
        size_t size = (size_t)block->size;
        uint8_t *bytes = malloc(size + 1);
        if (bytes == NULL) {
            no_memory(err);
            return segment_fail_at(segment, directory_names[i], offset, STATUS_MEMORY, err);
        }
        enum status status =
            segment_read_checked(segment, directory_names[i], offset, bytes, size, block->crc, err);
        if (status == STATUS_OK) {
            status =
                decode_directory(segment, (enum segment_directory)i, slice_of(bytes, size), err);
            if (status != STATUS_OK)
                segment_fail_at(segment, directory_names[i], offset, status, err);
        }
        free(bytes);
        if (status != STATUS_OK)
            return status;
        offset += size;
    }
    if (definitions_are_whole(segment) && pages_fit_ids(segment))
        return STATUS_OK;
    return fail(err, STATUS_CORRUPT, "series segment %s: its directories contradict each other",
                segment->path);
}

/* What the file says of itself at its two ends. */
struct ends {
    enum status header, trailer; /* OK, CORRUPT; of the header also UNSUPPORTED */
    uint64_t header_id;
    struct segment_trailer decoded;
};

static bool may_be_damage(enum status status)
{
    return status == STATUS_OK || status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED;
}

/* *err: what is wrong with the trailer, or else with the header. */
static enum status read_ends(struct file *file, struct ends *ends, struct error *err)
{
    uint64_t size = 0;
    uint8_t header[SEGMENT_HEADER_SIZE];
    uint8_t trailer[SEGMENT_TRAILER_SIZE];
    *ends = (struct ends){.header = STATUS_CORRUPT, .trailer = STATUS_CORRUPT};
    enum status status = file_size(file, &size, err);
    if (status != STATUS_OK)
        return status;
    if (size >= sizeof header)
        ends->header = stored_read_exactly(file, header, sizeof header, 0, err);
    if (ends->header == STATUS_OK)
        ends->header = segment_header_decode(header, &ends->header_id, err);
    if (!may_be_damage(ends->header))
        return ends->header;
    if (ends->header == STATUS_UNSUPPORTED)
        return STATUS_OK;
    if (size < sizeof header + sizeof trailer) {
        fail(err, STATUS_CORRUPT, "it has %" PRIu64 " bytes, which is less than any series segment",
             size);
        return STATUS_OK;
    }
    ends->trailer = stored_read_exactly(file, trailer, sizeof trailer, size - sizeof trailer, err);
    if (ends->trailer == STATUS_OK)
        ends->trailer = segment_trailer_decode(trailer, size, &ends->decoded, err);
    return may_be_damage(ends->trailer) ? STATUS_OK : ends->trailer;
}

static enum status read_trailer(struct series_segment *segment, uint64_t segment_id,
                                struct error *err)
{
    struct ends ends;
    enum status status = read_ends(segment->file, &ends, err);
    if (status == STATUS_OK)
        status = ends.header == STATUS_UNSUPPORTED ? ends.header : ends.trailer;
    if (status != STATUS_OK)
        return status;
    segment->trailer = ends.decoded;
    segment->header_damaged = ends.header != STATUS_OK || ends.header_id != segment_id;
    if (segment->trailer.id != segment_id)
        status = fail(err, STATUS_CORRUPT,
                      "it is segment %" PRIu64 ", where segment %" PRIu64 " is expected",
                      segment->trailer.id, segment_id);
    return status;
}

enum status series_segment_identify(struct os os, const char *path, uint64_t *segment_id,
                                    struct error *err)
{
    struct file *file = NULL;
    struct ends ends;
    struct error local = {0};
    err = err == NULL ? &local : err;
    uint64_t size;
    enum status status = stored_open(os.fs, path, &file, &size, err);
    if (status != STATUS_OK)
        return status;
    status = read_ends(file, &ends, err);
    file_close(file);
    *segment_id = ends.header == STATUS_OK ? ends.header_id : ends.decoded.id;
    if (status == STATUS_OK && ends.header != STATUS_OK && ends.trailer != STATUS_OK)
        status = ends.header;
    if (status != STATUS_OK)
        error_prefix(err, "series segment %s", path);
    return status;
}

enum status series_segment_open(struct series_segment **segment, struct os os, const char *path,
                                uint64_t segment_id, struct error *err)
{
    *segment = NULL;
    struct error local = {0};
    err = err == NULL ? &local : err;
    struct series_segment *made = calloc(1, sizeof *made);
    if (made == NULL)
        return fail(err, STATUS_MEMORY, "no memory to open series segment %s", path);
    made->path = strdup(path);
    made->memory = sizeof *made + strlen(path) + 1;
    uint64_t size;
    enum status status = made->path == NULL
                             ? fail(err, STATUS_MEMORY, "no memory to open series segment %s", path)
                             : stored_open(os.fs, path, &made->file, &size, err);
    if (status == STATUS_OK) {
        status = read_trailer(made, segment_id, err);
        if (status != STATUS_OK)
            error_prefix(err, "series segment %s", path);
    }
    if (status == STATUS_OK)
        status = read_directories(made, err);
    if (status != STATUS_OK) {
        series_segment_close(made);
        return status;
    }
    *segment = made;
    return STATUS_OK;
}

void series_segment_close(struct series_segment *segment)
{
    if (segment == NULL)
        return;
    file_close(segment->file);
    if (segment->ids != NULL)
        roaring_bitmap_free(segment->ids);
    free(segment->path);
    free(segment->ranks);
    free(segment->pages);
    free(segment->page_states);
    free(segment->metric_pages);
    free(segment->value_pages);
    free(segment->names);
    free(segment->key_pages);
    free(segment->metrics);
    free(segment->texts);
    free(segment->metric_names);
    free(segment);
}

void series_segment_stats(const struct series_segment *segment, struct series_segment_stats *stats)
{
    *stats = segment->trailer.stats;
}

size_t series_segment_memory(const struct series_segment *segment)
{
    return segment->memory;
}

const roaring_bitmap_t *series_segment_ids(const struct series_segment *segment)
{
    return segment->ids;
}

const struct series_segment_metric *series_segment_metrics(const struct series_segment *segment,
                                                           size_t *count)
{
    *count = (size_t)segment->trailer.stats.metrics;
    return segment->metrics;
}
