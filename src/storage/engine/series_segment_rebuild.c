/*
 * Making a segment anew from its definitions. They are searched for in the whole file, and where a
 * directory that can be read names them: a page is one when its checksum says so. What is missing
 * shows in the number of definitions that each page says stand before it, and in the trailer; where
 * the rest of the segment can be read, it is made anew from there (series_segment_recover.h).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "storage/engine/pair_table.h"
#include "storage/engine/series_segment_recover.h"
#include "storage/engine/series_segment_state.h"
#include "storage/engine/stored_read.h"

enum { SEARCH_SIZE = 64 * 1024 };

struct key_entry {
    uint64_t high;
    uint32_t low;
    uint32_t id;
};

struct rebuild {
    const char *from;
    uint64_t from_id;
    struct file *file;
    uint64_t end;    /* of the definitions, or of the file where nobody knows */
    uint64_t series; /* that the trailer counts; UINT64_MAX: it is damaged */
    uint64_t seed;
    series_segment_damage *damage;
    void *context;
    struct segment_page page;
    struct bytes stored;
    uint8_t *search;
    uint64_t
        searched; /* the next place that may be a page, as far as bytes say; UINT64_MAX: none */

    uint64_t seen;     /* definitions up to here, lost ones too */
    uint32_t next_id;  /* ids below are behind */
    bool last_was_max; /* no id can follow */
    struct pair_table pairs;
    uint32_t *metrics; /* by pair: the metric that it names, if it names one */
    size_t metric_capacity;
    struct key_entry *keys;
    size_t key_count, key_capacity;
    struct series_segment_writer *writer;
    struct series_segment *segment;    /* the damaged one, where it opens at all; or NULL */
    struct segment_recovery *recovery; /* of definitions that its other sections still tell */
};

static void report(const struct rebuild *rebuild, const char *format, ...) PRINTF_LIKE(2, 3);
static void report(const struct rebuild *rebuild, const char *format, ...)
{
    char text[ERROR_MESSAGE_SIZE];
    int used = snprintf(text, sizeof text, "series segment %s: ", rebuild->from);
    va_list args;
    va_start(args, format);
    if (used > 0 && (size_t)used < sizeof text)
        vsnprintf(text + used, sizeof text - (size_t)used, format, args);
    va_end(args);
    rebuild->damage(rebuild->context, text);
}

static enum status no_memory(const struct rebuild *rebuild, struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory to make series segment %s anew", rebuild->from);
}

/* ---- finding pages ---------------------------------------------------------------------- */

/* Reads the page whose header stands at `offset`. NOT_FOUND when there is none. */
static enum status load_page(struct rebuild *rebuild, uint64_t offset, struct error *err)
{
    uint8_t header[SEGMENT_PAGE_HEADER_SIZE];
    if (offset > rebuild->end || rebuild->end - offset < sizeof header)
        return STATUS_NOT_FOUND;
    enum status status = stored_read_exactly(rebuild->file, header, sizeof header, offset, err);
    uint64_t size = status == STATUS_OK ? segment_page_size(header) : 0;
    if (status != STATUS_OK)
        return status == STATUS_CORRUPT ? STATUS_NOT_FOUND : status;
    if (size == 0 || size > rebuild->end - offset)
        return STATUS_NOT_FOUND;
    bytes_clear(&rebuild->stored);
    if (bytes_reserve(&rebuild->stored, (size_t)size) != STATUS_OK)
        return no_memory(rebuild, err);
    rebuild->stored.size = (size_t)size;
    status = stored_read_exactly(rebuild->file, rebuild->stored.data, (size_t)size, offset, err);
    if (status == STATUS_OK)
        status = segment_page_load(&rebuild->page, bytes_slice(&rebuild->stored), rebuild->from_id,
                                   offset, NULL);
    if (status == STATUS_MEMORY)
        return no_memory(rebuild, err);
    return status == STATUS_CORRUPT ? STATUS_NOT_FOUND : status;
}

/* *offset: where the next header may stand, at or after it. NOT_FOUND when there is none. */
static enum status next_candidate(struct rebuild *rebuild, uint64_t *offset, struct error *err)
{
    uint8_t magic[4];
    store_u32(magic, SEGMENT_PAGE_MAGIC);
    while (*offset < rebuild->end && rebuild->end - *offset >= SEGMENT_PAGE_HEADER_SIZE) {
        uint64_t left = rebuild->end - *offset;
        size_t size = left < SEARCH_SIZE ? (size_t)left : SEARCH_SIZE;
        size_t got;
        uint64_t lost;
        enum status status = stored_read_around(rebuild->file, rebuild->search, size, *offset, &got,
                                                &lost, NULL, err);
        if (status != STATUS_OK)
            return status;
        if (got < size)
            return STATUS_NOT_FOUND;
        /* The magic stands behind the checksum. */
        const uint8_t *found = memmem(rebuild->search + 4, size - 4, magic, sizeof magic);
        if (found != NULL) {
            *offset += (uint64_t)(found - 4 - rebuild->search);
            return STATUS_OK;
        }
        *offset += size - 7;
    }
    return STATUS_NOT_FOUND;
}

/* Where the directory names a page at or after `offset`; UINT64_MAX where it names none. A search
 * does not see what stands beside bytes that the disk does not give back. */
static uint64_t next_named(const struct rebuild *rebuild, uint64_t offset)
{
    const struct series_segment *segment = rebuild->segment;
    size_t low = 0;
    size_t high = segment == NULL ? 0 : segment->page_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (segment->pages[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return segment == NULL || low == segment->page_count ? UINT64_MAX : segment->pages[low].offset;
}

static enum status find_page(struct rebuild *rebuild, uint64_t *offset, struct error *err)
{
    for (;; ++*offset) {
        enum status status = STATUS_OK;
        if (rebuild->searched < *offset) {
            rebuild->searched = *offset;
            status = next_candidate(rebuild, &rebuild->searched, err);
        }
        if (status == STATUS_NOT_FOUND)
            rebuild->searched = UINT64_MAX;
        else if (status != STATUS_OK)
            return status;
        uint64_t named = next_named(rebuild, *offset);
        *offset = named < rebuild->searched ? named : rebuild->searched;
        if (*offset == UINT64_MAX)
            return STATUS_NOT_FOUND;
        status = load_page(rebuild, *offset, err);
        if (status != STATUS_NOT_FOUND)
            return status;
    }
}

/* ---- taking definitions ----------------------------------------------------------------- */

static enum status add_key(struct rebuild *rebuild, const struct labels *labels, uint32_t id)
{
    if (rebuild->key_count == rebuild->key_capacity) {
        size_t capacity = rebuild->key_capacity == 0 ? 1024 : 2 * rebuild->key_capacity;
        struct key_entry *keys = realloc(rebuild->keys, capacity * sizeof *keys);
        if (keys == NULL)
            return STATUS_MEMORY;
        rebuild->keys = keys;
        rebuild->key_capacity = capacity;
    }
    struct series_key key = series_key_of(labels, rebuild->seed);
    rebuild->keys[rebuild->key_count++] =
        (struct key_entry){.high = key.high, .low = key.low, .id = id};
    return STATUS_OK;
}

static enum status make_room_for_pair(struct rebuild *rebuild, uint32_t pair)
{
    if (pair < rebuild->metric_capacity)
        return STATUS_OK;
    size_t capacity = rebuild->metric_capacity == 0 ? 1024 : 2 * rebuild->metric_capacity;
    capacity = capacity > pair ? capacity : (size_t)pair + 1;
    uint32_t *metrics = realloc(rebuild->metrics, capacity * sizeof *metrics);
    if (metrics == NULL)
        return STATUS_MEMORY;
    rebuild->metrics = metrics;
    rebuild->metric_capacity = capacity;
    return STATUS_OK;
}

/* The first series of a metric says which metric its name is. */
static enum status check_metric(struct rebuild *rebuild, const struct series_definition *definition,
                                bool *sound)
{
    uint32_t pair = 0;
    struct slice name = slice_from_text(METRIC_NAME_LABEL);
    enum status status =
        pair_table_intern(&rebuild->pairs, name, labels_metric_name(&definition->labels), &pair);
    if (status == STATUS_OK)
        status = make_room_for_pair(rebuild, pair);
    if (status != STATUS_OK)
        return status;
    if (rebuild->pairs.pairs[pair].series.count == 0)
        rebuild->metrics[pair] = definition->metric;
    *sound = rebuild->metrics[pair] == definition->metric;
    return STATUS_OK;
}

static enum status add_pairs(struct rebuild *rebuild, const struct labels *labels, uint32_t id)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < labels->count && status == STATUS_OK; i++) {
        uint32_t pair = 0;
        status = pair_table_intern(&rebuild->pairs, labels->items[i].name, labels->items[i].value,
                                   &pair);
        if (status == STATUS_OK)
            status = pair_table_add_series(&rebuild->pairs, pair, id);
    }
    return status;
}

static enum status take_definition(struct rebuild *rebuild,
                                   const struct series_definition *definition, struct error *err)
{
    const struct labels *labels = &definition->labels;
    uint32_t id = definition->id;
    bool sound =
        segment_labels_are_canonical(labels) && id >= rebuild->next_id && !rebuild->last_was_max;
    if (sound && check_metric(rebuild, definition, &sound) != STATUS_OK)
        return no_memory(rebuild, err);
    if (!sound) {
        report(rebuild, "the definition of series %u contradicts others, or is none", id);
        return STATUS_OK;
    }
    if (add_pairs(rebuild, labels, id) != STATUS_OK || add_key(rebuild, labels, id) != STATUS_OK)
        return no_memory(rebuild, err);
    rebuild->last_was_max = id == UINT32_MAX;
    rebuild->next_id = id + 1;
    return segment_write_series(rebuild->writer, id, definition->metric, labels, err);
}

/* Definitions of ids below `limit` whose page is damaged. */
static enum status take_recovered(struct rebuild *rebuild, uint64_t limit, struct error *err)
{
    enum status status = STATUS_OK;
    while (rebuild->recovery != NULL && status == STATUS_OK) {
        struct series_definition definition;
        status = segment_recovery_next(rebuild->recovery, limit, &definition, err);
        if (status == STATUS_END)
            return STATUS_OK;
        if (status == STATUS_OK)
            status = take_definition(rebuild, &definition, err);
        rebuild->seen++;
    }
    return status;
}

static enum status take_page(struct rebuild *rebuild, uint64_t offset, struct error *err)
{
    struct segment_page *page = &rebuild->page;
    enum status recovered = take_recovered(rebuild, page->first_id, err);
    if (recovered != STATUS_OK)
        return recovered;
    if (page->series_before < rebuild->seen)
        report(rebuild, "the page at offset %" PRIu64 " stands where it should not", offset);
    else if (page->series_before > rebuild->seen)
        report(rebuild,
               "definitions of %" PRIu64 " series with ids from %u on, before offset %" PRIu64
               ", are lost",
               page->series_before - rebuild->seen, rebuild->next_id, offset);
    rebuild->seen = (uint64_t)page->series_before + page->count;
    for (;;) {
        struct error why = {0};
        enum status status = segment_page_next(page, &why);
        struct series_definition definition = {
            page->id, page->metric, {.items = page->labels, .count = page->label_count}};
        if (status == STATUS_OK)
            status = take_definition(rebuild, &definition, &why);
        if (status == STATUS_END)
            return STATUS_OK;
        if (status == STATUS_CORRUPT) {
            report(rebuild, "definitions at offset %" PRIu64 ": %s", offset, why.message);
            return STATUS_OK;
        }
        if (status != STATUS_OK)
            return fail(err, status, "%s", why.message);
    }
}

static enum status take_definitions(struct rebuild *rebuild, struct error *err)
{
    uint64_t offset = SEGMENT_HEADER_SIZE;
    enum status status;
    while ((status = find_page(rebuild, &offset, err)) == STATUS_OK) {
        status = take_page(rebuild, offset, err);
        if (status != STATUS_OK)
            return status;
        offset += rebuild->stored.size;
    }
    if (status == STATUS_NOT_FOUND)
        status = take_recovered(rebuild, (uint64_t)UINT32_MAX + 1, err);
    if (status != STATUS_OK)
        return status;
    if (rebuild->series == UINT64_MAX)
        report(rebuild,
               "the trailer is damaged: nobody knows whether definitions of ids from %u "
               "on are lost",
               rebuild->next_id);
    else if (rebuild->seen < rebuild->series)
        report(rebuild, "definitions of %" PRIu64 " series with ids from %u on are lost",
               rebuild->series - rebuild->seen, rebuild->next_id);
    return STATUS_OK;
}

/* ---- making the rest -------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b, void *context)
{
    const struct pair_table *table = context;
    const struct label_name *left = &table->names[*(const uint32_t *)a];
    const struct label_name *right = &table->names[*(const uint32_t *)b];
    return slice_compare(slice_of(left->text, left->size), slice_of(right->text, right->size));
}

static int compare_values(const void *a, const void *b, void *context)
{
    return slice_compare(pair_value(context, *(const uint32_t *)a),
                         pair_value(context, *(const uint32_t *)b));
}

static enum status put_pair(struct rebuild *rebuild, uint32_t pair, struct error *err)
{
    const struct postings *series = &rebuild->pairs.pairs[pair].series;
    if (series->count == 0) /* a metric name whose series contradicted others */
        return STATUS_OK;
    roaring_bitmap_t *ids = roaring_bitmap_create();
    if (ids == NULL)
        return no_memory(rebuild, err);
    postings_union_into(series, ids);
    struct segment_ids set = {.count = series->count, .many = ids};
    if (set.count <= SEGMENT_IDS_IN_PLACE)
        roaring_bitmap_to_uint32_array(ids, set.few);
    enum status status = segment_write_pair(rebuild->writer, pair_name(&rebuild->pairs, pair),
                                            pair_value(&rebuild->pairs, pair), &set, err);
    roaring_bitmap_free(ids);
    return status;
}

static enum status put_pairs(struct rebuild *rebuild, struct error *err)
{
    struct pair_table *table = &rebuild->pairs;
    uint32_t *names = malloc(((size_t)table->name_count + 1) * sizeof *names);
    if (names == NULL)
        return no_memory(rebuild, err);
    for (uint32_t i = 0; i < table->name_count; i++)
        names[i] = i;
    qsort_r(names, table->name_count, sizeof *names, compare_names, table);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < table->name_count && status == STATUS_OK; i++) {
        const struct label_name *name = &table->names[names[i]];
        qsort_r(name->pairs, name->pair_count, sizeof name->pairs[0], compare_values, table);
        for (uint32_t j = 0; j < name->pair_count && status == STATUS_OK; j++)
            status = put_pair(rebuild, name->pairs[j], err);
    }
    free(names);
    return status;
}

static int compare_keys(const void *a, const void *b)
{
    const struct key_entry *left = a;
    const struct key_entry *right = b;
    int order = series_key_compare((struct series_key){left->high, left->low},
                                   (struct series_key){right->high, right->low});
    return order != 0 ? order : (left->id > right->id) - (left->id < right->id);
}

static enum status put_keys(struct rebuild *rebuild, struct error *err)
{
    if (rebuild->key_count > 0)
        qsort(rebuild->keys, rebuild->key_count, sizeof rebuild->keys[0], compare_keys);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < rebuild->key_count && status == STATUS_OK; i++) {
        const struct key_entry *entry = &rebuild->keys[i];
        status = segment_write_key(rebuild->writer, (struct series_key){entry->high, entry->low},
                                   entry->id, err);
    }
    return status;
}

static int compare_metrics(const void *a, const void *b, void *context)
{
    const struct rebuild *rebuild = context;
    uint32_t left = rebuild->metrics[*(const uint32_t *)a];
    uint32_t right = rebuild->metrics[*(const uint32_t *)b];
    return (left > right) - (left < right);
}

/* The values of the metric's name, by metric id now. */
static enum status put_metrics(struct rebuild *rebuild, struct error *err)
{
    struct pair_table *table = &rebuild->pairs;
    uint32_t number = pair_table_find_name(table, slice_from_text(METRIC_NAME_LABEL));
    if (number == PAIR_NONE)
        return STATUS_OK;
    struct label_name *name = &table->names[number];
    qsort_r(name->pairs, name->pair_count, sizeof name->pairs[0], compare_metrics, rebuild);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < name->pair_count && status == STATUS_OK; i++) {
        const struct pair *pair = &table->pairs[name->pairs[i]];
        if (pair->series.count > 0)
            status =
                segment_write_metric(rebuild->writer, rebuild->metrics[name->pairs[i]],
                                     pair_value(table, name->pairs[i]), pair->series.count, err);
    }
    return status;
}

/* ---- all of it -------------------------------------------------------------------------- */

/* Where the definitions end, if the file still says so. */
static enum status read_frame(struct rebuild *rebuild, struct error *err)
{
    uint8_t header[SEGMENT_HEADER_SIZE];
    uint8_t bytes[SEGMENT_TRAILER_SIZE];
    struct error why = {0};
    struct segment_trailer trailer;
    uint64_t size = 0;
    uint64_t id = rebuild->from_id;
    enum status status = file_size(rebuild->file, &size, err);
    rebuild->end = size;
    rebuild->series = UINT64_MAX;
    if (status != STATUS_OK || size < sizeof header)
        return status;
    status = stored_read_exactly(rebuild->file, header, sizeof header, 0, &why);
    if (status == STATUS_OK)
        status = segment_header_decode(header, &id, &why);
    if (status == STATUS_OK && id != rebuild->from_id)
        return fail(err, STATUS_CORRUPT, "it is segment %" PRIu64 ", not %" PRIu64, id,
                    rebuild->from_id);
    if (status != STATUS_OK && status != STATUS_CORRUPT)
        return fail(err, status, "%s", why.message);
    if (status != STATUS_OK)
        report(rebuild, "%s", why.message);
    if (size < sizeof header + sizeof bytes)
        return STATUS_OK;
    status = stored_read_exactly(rebuild->file, bytes, sizeof bytes, size - sizeof bytes, &why);
    if (status != STATUS_OK && status != STATUS_CORRUPT)
        return fail(err, status, "%s", why.message);
    if (status == STATUS_OK && segment_trailer_decode(bytes, size, &trailer, NULL) == STATUS_OK &&
        trailer.id == rebuild->from_id) {
        rebuild->end = trailer.definitions_end;
        rebuild->series = trailer.stats.series;
    }
    return STATUS_OK;
}

static enum status make_all(struct rebuild *rebuild, struct error *err)
{
    enum status status = take_definitions(rebuild, err);
    if (status == STATUS_OK)
        status = put_pairs(rebuild, err);
    if (status == STATUS_OK)
        status = put_keys(rebuild, err);
    if (status == STATUS_OK)
        status = put_metrics(rebuild, err);
    return status == STATUS_OK ? segment_write_complete(rebuild->writer, err) : status;
}

/* Where directories and trailer are whole, the other sections tell of definitions that are not. */
static enum status begin_recovery(struct rebuild *rebuild, struct os os, struct error *err)
{
    struct error why = {0};
    enum status status =
        series_segment_open(&rebuild->segment, os, rebuild->from, rebuild->from_id, &why);
    if (status == STATUS_OK)
        status = segment_recovery_new(&rebuild->recovery, rebuild->segment, rebuild->seed, &why);
    return status == STATUS_OK || status == STATUS_CORRUPT ? STATUS_OK
                                                           : fail(err, status, "%s", why.message);
}

static enum status rebuild_init(struct rebuild *rebuild, struct os os, struct error *err)
{
    bytes_init(&rebuild->stored, SIZE_MAX);
    rebuild->search = malloc(SEARCH_SIZE);
    enum status page = segment_page_init(&rebuild->page);
    enum status pairs = pair_table_init(&rebuild->pairs, rebuild->seed);
    if (rebuild->search == NULL || page != STATUS_OK || pairs != STATUS_OK)
        return no_memory(rebuild, err);
    uint64_t size;
    enum status status = stored_open(os.fs, rebuild->from, &rebuild->file, &size, err);
    if (status == STATUS_OK)
        status = read_frame(rebuild, err);
    return status == STATUS_OK ? begin_recovery(rebuild, os, err) : status;
}

static void rebuild_release(struct rebuild *rebuild)
{
    segment_recovery_free(rebuild->recovery);
    series_segment_close(rebuild->segment);
    file_close(rebuild->file);
    segment_page_release(&rebuild->page);
    bytes_release(&rebuild->stored);
    pair_table_release(&rebuild->pairs);
    free(rebuild->search);
    free(rebuild->keys);
    free(rebuild->metrics);
}

enum status series_segment_rebuild(struct os os, const char *from, uint64_t from_id,
                                   const char *path, uint64_t segment_id, uint64_t seed,
                                   series_segment_damage *damage, void *context,
                                   struct series_segment_stats *stats, struct error *err)
{
    struct rebuild rebuild = {
        .from = from, .from_id = from_id, .seed = seed, .damage = damage, .context = context};
    struct error local = {0};
    err = err == NULL ? &local : err;
    enum status status = rebuild_init(&rebuild, os, err);
    if (status == STATUS_OK)
        status = series_segment_writer_open(&rebuild.writer, os.fs, path, segment_id, err);
    if (status == STATUS_OK)
        status = make_all(&rebuild, err);
    if (status == STATUS_OK)
        status = series_segment_finish(rebuild.writer, stats, err);
    else
        series_segment_writer_abort(rebuild.writer);
    if (status != STATUS_OK)
        error_prefix(err, "cannot make series segment %s anew", from);
    rebuild_release(&rebuild);
    return status;
}
