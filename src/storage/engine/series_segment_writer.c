#include "storage/engine/series_segment_writer.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "storage/engine/bitmap_codec.h"
#include "storage/engine/paths.h"
#include "storage/engine/series_segment_page.h"

enum { WRITE_SIZE = 128 * 1024 }; /* bytes that go to the file at once */

enum stage { STAGE_SERIES, STAGE_PAIRS, STAGE_KEYS, STAGE_METRICS };

struct series_segment_writer {
    struct filesystem *fs;
    char *path;
    char *directory;
    struct file *file; /* NULL when it could not be made: then there is nothing to remove */
    uint64_t id;
    enum stage stage;
    struct bytes out;        /* what follows `written` in the file */
    uint64_t written, begun; /* begun: as in file_write_back_behind */
    struct segment_trailer trailer;
    struct bytes directories[SEGMENT_DIRECTORIES];

    /* series */
    struct segment_page_builder page;
    uint64_t page_end;   /* of the last page of definitions */
    uint32_t page_first; /* its first id */
    uint32_t last_id;
    roaring_bitmap_t *ids; /* those of the page of metrics that is open are not in it yet */
    uint32_t new_ids[SEGMENT_METRICS_PER_PAGE];
    uint32_t new_metrics[SEGMENT_METRICS_PER_PAGE];
    uint32_t new_count;
    uint64_t metric_page_end;

    /* pairs */
    struct bytes name, value; /* of the last pair */
    struct bytes values;      /* the page of values */
    struct bytes first_value; /* its first value, as the directory holds it */
    uint64_t sets_begin;      /* in the file: the sets of the page's values */
    struct bytes name_pages;  /* the name's entries for the directory */
    uint64_t name_values, name_page_count;
    struct bytes set;

    /* keys */
    uint8_t keys[SEGMENT_KEY_PAGE_SIZE];
    uint32_t key_count; /* in the page */
    struct series_key last_key;
    uint32_t last_key_id;
    uint64_t all_keys;

    uint32_t last_metric;
    uint64_t series_of_metrics;
};

/* ---- the file --------------------------------------------------------------------------- */

static uint64_t offset_of(const struct series_segment_writer *writer)
{
    return writer->written + writer->out.size;
}

static enum status no_memory(const struct series_segment_writer *writer, enum status status,
                             struct error *err)
{
    if (status == STATUS_LIMIT)
        return fail(err, status, "series segment %s: a directory would pass 4 GiB", writer->path);
    return fail(err, status, "no memory to write series segment %s", writer->path);
}

static void note_written(struct series_segment_writer *writer, size_t size)
{
    writer->written += size;
    file_write_back_behind(writer->file, &writer->begun, writer->written);
}

static enum status flush(struct series_segment_writer *writer, struct error *err)
{
    if (writer->out.size == 0)
        return STATUS_OK;
    enum status status =
        file_write(writer->file, writer->out.data, writer->out.size, writer->written, err);
    note_written(writer, writer->out.size);
    bytes_clear(&writer->out);
    return status;
}

static enum status append(struct series_segment_writer *writer, const void *data, size_t size,
                          struct error *err)
{
    enum status status = STATUS_OK;
    if (writer->out.size + size > WRITE_SIZE)
        status = flush(writer, err);
    if (status == STATUS_OK && size > WRITE_SIZE) {
        status = file_write(writer->file, data, size, writer->written, err);
        note_written(writer, size);
        return status;
    }
    if (status == STATUS_OK && bytes_append(&writer->out, data, size) != STATUS_OK)
        return no_memory(writer, STATUS_MEMORY, err);
    return status;
}

static enum status writer_init(struct series_segment_writer *writer, struct filesystem *fs,
                               const char *path, uint64_t segment_id)
{
    writer->fs = fs;
    writer->id = segment_id;
    writer->path = strdup(path);
    writer->directory = path_parent(path);
    writer->ids = roaring_bitmap_create();
    writer->page_end = writer->metric_page_end = SEGMENT_HEADER_SIZE;
    bytes_init(&writer->out, WRITE_SIZE);
    for (int i = 0; i < SEGMENT_DIRECTORIES; i++)
        bytes_init(&writer->directories[i], UINT32_MAX);
    bytes_init(&writer->name, LABEL_VALUE_MAX_SIZE);
    bytes_init(&writer->value, LABEL_VALUE_MAX_SIZE);
    bytes_init(&writer->values, SEGMENT_VALUE_PAGE_MAX);
    bytes_init(&writer->first_value, SEGMENT_FIRST_VALUE_MAX);
    bytes_init(&writer->name_pages, UINT32_MAX);
    bytes_init(&writer->set, UINT32_MAX);
    enum status status = segment_page_builder_init(&writer->page);
    return writer->path == NULL || writer->directory == NULL || writer->ids == NULL ? STATUS_MEMORY
                                                                                    : status;
}

static void writer_free(struct series_segment_writer *writer)
{
    file_close(writer->file);
    free(writer->path);
    free(writer->directory);
    segment_page_builder_release(&writer->page);
    if (writer->ids != NULL)
        roaring_bitmap_free(writer->ids);
    bytes_release(&writer->out);
    for (int i = 0; i < SEGMENT_DIRECTORIES; i++)
        bytes_release(&writer->directories[i]);
    bytes_release(&writer->name);
    bytes_release(&writer->value);
    bytes_release(&writer->values);
    bytes_release(&writer->first_value);
    bytes_release(&writer->name_pages);
    bytes_release(&writer->set);
    free(writer);
}

enum status series_segment_writer_open(struct series_segment_writer **writer, struct filesystem *fs,
                                       const char *path, uint64_t segment_id, struct error *err)
{
    *writer = NULL;
    struct series_segment_writer *made = calloc(1, sizeof *made);
    if (made == NULL)
        return fail(err, STATUS_MEMORY, "no memory to write series segment %s", path);
    enum status status = writer_init(made, fs, path, segment_id);
    if (status != STATUS_OK)
        fail(err, status, "no memory to write series segment %s", path);
    else
        status = filesystem_open(fs, path, FILE_CREATE_NEW, &made->file, err);
    if (status == STATUS_OK) {
        uint8_t header[SEGMENT_HEADER_SIZE];
        segment_header_encode(segment_id, header);
        status = append(made, header, sizeof header, err);
    }
    if (status != STATUS_OK) {
        series_segment_writer_abort(made);
        return status;
    }
    *writer = made;
    return STATUS_OK;
}

void series_segment_writer_abort(struct series_segment_writer *writer)
{
    if (writer == NULL)
        return;
    if (writer->file != NULL) {
        /* A file that stays behind is no harm: nothing names it, and the next start removes it. */
        enum status removed = filesystem_remove(writer->fs, writer->path, NULL);
        (void)removed;
    }
    writer_free(writer);
}

/* ---- series ----------------------------------------------------------------------------- */

static enum status close_page(struct series_segment_writer *writer, struct error *err)
{
    uint64_t offset = offset_of(writer);
    uint32_t first = writer->page.first_id;
    struct slice page;
    struct bytes *entries = &writer->directories[SEGMENT_DIRECTORY_PAGES];
    uint32_t before = (uint32_t)(writer->trailer.stats.series - writer->page.count);
    enum status status = segment_page_close(&writer->page, writer->id, offset, before, &page);
    if (status == STATUS_OK)
        status = segment_put(entries, first - writer->page_first);
    if (status == STATUS_OK)
        status = segment_put(entries, offset - writer->page_end);
    if (status == STATUS_OK)
        status = segment_put(entries, page.size);
    if (status != STATUS_OK)
        return no_memory(writer, status, err);
    writer->page_first = first;
    writer->page_end = offset + page.size;
    return append(writer, page.data, page.size, err);
}

static enum status close_metric_page(struct series_segment_writer *writer, struct error *err)
{
    uint64_t offset = offset_of(writer);
    size_t size = writer->new_count * sizeof writer->new_metrics[0];
    uint32_t crc = segment_checksum(writer->id, offset, writer->new_metrics, size);
    struct bytes *entries = &writer->directories[SEGMENT_DIRECTORY_METRIC_PAGES];
    enum status status = segment_put(entries, offset - writer->metric_page_end);
    if (status == STATUS_OK)
        status = segment_put_u32(entries, crc);
    if (status != STATUS_OK)
        return no_memory(writer, status, err);
    roaring_bitmap_add_many(writer->ids, writer->new_count, writer->new_ids);
    writer->new_count = 0;
    writer->metric_page_end = offset + size;
    return append(writer, writer->new_metrics, size, err);
}

enum status segment_write_series(struct series_segment_writer *writer, uint32_t id, uint32_t metric,
                                 const struct labels *labels, struct error *err)
{
    struct series_segment_stats *stats = &writer->trailer.stats;
    if (stats->series > 0 && id <= writer->last_id)
        return fail(err, STATUS_CORRUPT, "series %u follows series %u", id, writer->last_id);
    enum status status = segment_page_put(&writer->page, id, metric, labels);
    if (status == STATUS_LIMIT)
        return fail(err, status, "the labels of series %u are larger than any can be", id);
    if (status != STATUS_OK)
        return no_memory(writer, status, err);
    if (stats->series == 0)
        stats->first_id = id;
    stats->last_id = writer->last_id = id;
    stats->series++;
    writer->new_ids[writer->new_count] = id;
    writer->new_metrics[writer->new_count++] = metric;
    if (segment_page_is_full(&writer->page))
        status = close_page(writer, err);
    if (status == STATUS_OK && writer->new_count == SEGMENT_METRICS_PER_PAGE)
        status = close_metric_page(writer, err);
    return status;
}

enum status series_segment_put_series(struct series_segment_writer *writer, uint32_t id,
                                      uint32_t metric, const struct labels *labels,
                                      struct error *err)
{
    invariant(writer->stage == STAGE_SERIES);
    enum status status = segment_write_series(writer, id, metric, labels, err);
    invariant(status != STATUS_CORRUPT);
    return status;
}

static enum status end_series(struct series_segment_writer *writer, struct error *err)
{
    enum status status = STATUS_OK;
    if (writer->page.count > 0)
        status = close_page(writer, err);
    if (status == STATUS_OK && writer->new_count > 0)
        status = close_metric_page(writer, err);
    roaring_bitmap_run_optimize(writer->ids);
    roaring_bitmap_shrink_to_fit(writer->ids);
    writer->trailer.definitions_end = offset_of(writer);
    writer->sets_begin = offset_of(writer);
    return status;
}

/* ---- pairs ------------------------------------------------------------------------------ */

static enum status close_value_page(struct series_segment_writer *writer, struct error *err)
{
    uint64_t offset = offset_of(writer);
    struct bytes *page = &writer->values;
    struct bytes *entries = &writer->name_pages;
    uint32_t crc = segment_checksum(writer->id, offset, page->data, page->size);
    enum status status = segment_put(entries, offset - writer->sets_begin);
    if (status == STATUS_OK)
        status = segment_put(entries, page->size);
    if (status == STATUS_OK)
        status = segment_put_u32(entries, crc);
    if (status == STATUS_OK)
        status = segment_put_text(entries, bytes_slice(&writer->first_value));
    if (status != STATUS_OK)
        return no_memory(writer, status, err);
    status = append(writer, page->data, page->size, err);
    bytes_clear(page);
    writer->name_page_count++;
    writer->sets_begin = offset_of(writer);
    return status;
}

static enum status close_name(struct series_segment_writer *writer, struct error *err)
{
    if (writer->name_values == 0)
        return STATUS_OK;
    enum status status = writer->values.size > 0 ? close_value_page(writer, err) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    struct bytes *entries = &writer->directories[SEGMENT_DIRECTORY_VALUES];
    status = segment_put_text(entries, bytes_slice(&writer->name));
    if (status == STATUS_OK)
        status = segment_put(entries, writer->name_values);
    if (status == STATUS_OK)
        status = segment_put(entries, writer->name_page_count);
    if (status == STATUS_OK)
        status = bytes_append(entries, writer->name_pages.data, writer->name_pages.size);
    bytes_clear(&writer->name_pages);
    writer->name_values = writer->name_page_count = 0;
    return status == STATUS_OK ? STATUS_OK : no_memory(writer, status, err);
}

static size_t shared_prefix(struct slice a, struct slice b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    size_t shared = 0;
    while (shared < shorter && a.data[shared] == b.data[shared])
        shared++;
    return shared;
}

/* Name and value go behind those of the last pair; *shared: bytes of the value that stand in the
 * page already. */
static enum status follow(struct series_segment_writer *writer, struct slice name,
                          struct slice value, size_t *shared, struct error *err)
{
    if (name.size > LABEL_VALUE_MAX_SIZE || value.size > LABEL_VALUE_MAX_SIZE)
        return fail(err, STATUS_LIMIT, "label \"%.*s\" is larger than any can be",
                    SLICE_FORMAT(name));
    struct slice last = bytes_slice(&writer->value);
    int order = writer->name_values == 0 ? 1 : slice_compare(name, bytes_slice(&writer->name));
    *shared = order == 0 ? shared_prefix(value, last) : 0;
    bool rises = order > 0 || (order == 0 && value.size > *shared &&
                               (*shared == last.size || value.data[*shared] > last.data[*shared]));
    if (!rises)
        return fail(err, STATUS_CORRUPT, "label %.*s=\"%.*s\" is out of order", SLICE_FORMAT(name),
                    SLICE_FORMAT(value));
    if (order > 0) {
        enum status status = close_name(writer, err);
        if (status != STATUS_OK)
            return status;
        bytes_clear(&writer->name);
        if (bytes_append(&writer->name, name.data, name.size) != STATUS_OK)
            return no_memory(writer, STATUS_MEMORY, err);
    }
    writer->value.size = *shared;
    if (bytes_append(&writer->value, value.data + *shared, value.size - *shared) != STATUS_OK)
        return no_memory(writer, STATUS_MEMORY, err);
    return STATUS_OK;
}

static enum status put_set(struct series_segment_writer *writer, const roaring_bitmap_t *ids,
                           struct error *err)
{
    roaring_bitmap_t *compact = roaring_bitmap_copy(ids);
    if (compact == NULL)
        return no_memory(writer, STATUS_MEMORY, err);
    roaring_bitmap_run_optimize(compact);
    bytes_clear(&writer->set);
    enum status status = bitmap_encode(compact, &writer->set);
    roaring_bitmap_free(compact);
    uint32_t crc =
        segment_checksum(writer->id, offset_of(writer), writer->set.data, writer->set.size);
    if (status == STATUS_OK)
        status = segment_put(&writer->values, writer->set.size);
    if (status == STATUS_OK)
        status = segment_put_u32(&writer->values, crc);
    if (status != STATUS_OK)
        return no_memory(writer, status, err);
    return append(writer, writer->set.data, writer->set.size, err);
}

static enum status put_ids(struct series_segment_writer *writer, const struct segment_ids *ids,
                           struct error *err)
{
    enum status status = segment_put(&writer->values, ids->count);
    if (status != STATUS_OK)
        return no_memory(writer, status, err);
    if (ids->count > SEGMENT_IDS_IN_PLACE)
        return put_set(writer, ids->many, err);
    status = segment_put(&writer->values, ids->few[0]);
    for (size_t i = 1; i < ids->count && status == STATUS_OK; i++)
        status = segment_put(&writer->values, ids->few[i] - ids->few[i - 1] - 1);
    return status == STATUS_OK ? STATUS_OK : no_memory(writer, status, err);
}

static bool are_defined(const struct series_segment_writer *writer, const struct segment_ids *ids)
{
    if (ids->count > SEGMENT_IDS_IN_PLACE)
        return roaring_bitmap_is_subset(ids->many, writer->ids);
    for (size_t i = 0; i < ids->count; i++)
        if (!roaring_bitmap_contains(writer->ids, ids->few[i]))
            return false;
    return true;
}

/* Goes on to `stage`, closing what stands before it. */
static enum status enter(struct series_segment_writer *writer, enum stage stage, struct error *err);

enum status segment_write_pair(struct series_segment_writer *writer, struct slice name,
                               struct slice value, const struct segment_ids *ids, struct error *err)
{
    size_t shared = 0;
    enum status status = enter(writer, STAGE_PAIRS, err);
    if (status == STATUS_OK && !are_defined(writer, ids))
        status = fail(err, STATUS_CORRUPT, "label %.*s=\"%.*s\" names series that are not there",
                      SLICE_FORMAT(name), SLICE_FORMAT(value));
    if (status == STATUS_OK)
        status = follow(writer, name, value, &shared, err);
    if (status != STATUS_OK)
        return status;
    struct bytes *page = &writer->values;
    if (page->size == 0) {
        size_t kept = value.size < SEGMENT_FIRST_VALUE_MAX ? value.size : SEGMENT_FIRST_VALUE_MAX;
        bytes_clear(&writer->first_value);
        status = bytes_append(&writer->first_value, value.data, kept);
        shared = 0;
    }
    if (status == STATUS_OK)
        status = segment_put(page, shared);
    if (status == STATUS_OK)
        status = segment_put_text(page, slice_from(value, shared));
    if (status != STATUS_OK)
        return no_memory(writer, status, err);
    writer->name_values++;
    writer->trailer.stats.pairs++;
    status = put_ids(writer, ids, err);
    if (status == STATUS_OK && page->size >= SEGMENT_VALUE_PAGE_SIZE)
        status = close_value_page(writer, err);
    return status;
}

enum status series_segment_put_pair(struct series_segment_writer *writer, struct slice name,
                                    struct slice value, const roaring_bitmap_t *ids,
                                    struct error *err)
{
    invariant(writer->stage <= STAGE_PAIRS);
    struct segment_ids set = {.count = roaring_bitmap_get_cardinality(ids), .many = ids};
    invariant(set.count > 0);
    if (set.count <= SEGMENT_IDS_IN_PLACE)
        roaring_bitmap_to_uint32_array(ids, set.few);
    enum status status = segment_write_pair(writer, name, value, &set, err);
    invariant(status != STATUS_CORRUPT);
    return status;
}

/* Zeros up to where the keys begin. */
static enum status end_pairs(struct series_segment_writer *writer, struct error *err)
{
    static const uint8_t zeros[SEGMENT_ALIGNMENT];
    enum status status = close_name(writer, err);
    uint64_t end = offset_of(writer);
    writer->trailer.keys_begin = segment_align(end);
    if (status == STATUS_OK)
        status = append(writer, zeros, (size_t)(writer->trailer.keys_begin - end), err);
    return status;
}

/* ---- keys and metrics ------------------------------------------------------------------- */

static enum status close_keys(struct series_segment_writer *writer, struct error *err)
{
    if (writer->key_count == 0)
        return STATUS_OK;
    size_t size = (size_t)writer->key_count * SEGMENT_KEY_SIZE;
    uint8_t entry[SEGMENT_KEY_SIZE];
    memcpy(entry, writer->keys, 12);
    store_u32(entry + 12, segment_checksum(writer->id, offset_of(writer), writer->keys, size));
    enum status status =
        bytes_append(&writer->directories[SEGMENT_DIRECTORY_KEYS], entry, sizeof entry);
    if (status != STATUS_OK)
        return no_memory(writer, status, err);
    writer->key_count = 0;
    return append(writer, writer->keys, size, err);
}

enum status segment_write_key(struct series_segment_writer *writer, struct series_key key,
                              uint32_t id, struct error *err)
{
    enum status status = enter(writer, STAGE_KEYS, err);
    if (status != STATUS_OK)
        return status;
    int order = writer->all_keys == 0 ? 1 : series_key_compare(key, writer->last_key);
    if (order < 0 || (order == 0 && id <= writer->last_key_id))
        return fail(err, STATUS_CORRUPT, "the key of series %u is out of order", id);
    if (!roaring_bitmap_contains(writer->ids, id))
        return fail(err, STATUS_CORRUPT, "a key names series %u, which is not there", id);
    uint8_t *entry = writer->keys + (size_t)writer->key_count * SEGMENT_KEY_SIZE;
    store_u64(entry, key.high);
    store_u32(entry + 8, key.low);
    store_u32(entry + 12, id);
    writer->last_key = key;
    writer->last_key_id = id;
    writer->all_keys++;
    writer->key_count++;
    return writer->key_count == SEGMENT_KEYS_PER_PAGE ? close_keys(writer, err) : STATUS_OK;
}

enum status series_segment_put_key(struct series_segment_writer *writer, struct series_key key,
                                   uint32_t id, struct error *err)
{
    invariant(writer->stage <= STAGE_KEYS);
    enum status status = segment_write_key(writer, key, id, err);
    invariant(status != STATUS_CORRUPT);
    return status;
}

enum status segment_write_metric(struct series_segment_writer *writer, uint32_t metric,
                                 struct slice name, uint32_t series, struct error *err)
{
    enum status status = enter(writer, STAGE_METRICS, err);
    if (status != STATUS_OK)
        return status;
    struct series_segment_stats *stats = &writer->trailer.stats;
    if (stats->metrics > 0 && metric <= writer->last_metric)
        return fail(err, STATUS_CORRUPT, "metric %u follows metric %u", metric,
                    writer->last_metric);
    if (name.size > LABEL_VALUE_MAX_SIZE)
        return fail(err, STATUS_LIMIT, "the name of metric %u is larger than any can be", metric);
    struct bytes *entries = &writer->directories[SEGMENT_DIRECTORY_METRICS];
    status = segment_put(entries, stats->metrics == 0 ? metric : metric - writer->last_metric - 1);
    if (status == STATUS_OK)
        status = segment_put(entries, series);
    if (status == STATUS_OK)
        status = segment_put_text(entries, name);
    if (status != STATUS_OK)
        return no_memory(writer, status, err);
    stats->metrics++;
    writer->last_metric = metric;
    writer->series_of_metrics += series;
    return STATUS_OK;
}

enum status series_segment_put_metric(struct series_segment_writer *writer, uint32_t metric,
                                      struct slice name, uint32_t series, struct error *err)
{
    enum status status = segment_write_metric(writer, metric, name, series, err);
    invariant(status != STATUS_CORRUPT);
    return status;
}

static enum status enter(struct series_segment_writer *writer, enum stage stage, struct error *err)
{
    enum status status = STATUS_OK;
    for (; writer->stage < stage && status == STATUS_OK; writer->stage++)
        status = writer->stage == STAGE_SERIES  ? end_series(writer, err)
                 : writer->stage == STAGE_PAIRS ? end_pairs(writer, err)
                                                : close_keys(writer, err);
    return status;
}

/* ---- the end ---------------------------------------------------------------------------- */

enum status segment_write_complete(const struct series_segment_writer *writer, struct error *err)
{
    uint64_t series = writer->trailer.stats.series;
    if (writer->all_keys == series && writer->series_of_metrics == series)
        return STATUS_OK;
    return fail(err, STATUS_CORRUPT,
                "%" PRIu64 " series have %" PRIu64 " keys, and metrics of %" PRIu64 " series",
                series, writer->all_keys, writer->series_of_metrics);
}

static enum status put_directories(struct series_segment_writer *writer, struct error *err)
{
    enum status status = bitmap_encode(writer->ids, &writer->directories[SEGMENT_DIRECTORY_IDS]);
    if (status != STATUS_OK)
        return no_memory(writer, status, err);
    for (int i = 0; i < SEGMENT_DIRECTORIES && status == STATUS_OK; i++) {
        const struct bytes *directory = &writer->directories[i];
        writer->trailer.directories[i] = (struct segment_block){
            .size = directory->size,
            .crc =
                segment_checksum(writer->id, offset_of(writer), directory->data, directory->size),
        };
        status = append(writer, directory->data, directory->size, err);
    }
    uint8_t trailer[SEGMENT_TRAILER_SIZE];
    writer->trailer.id = writer->id;
    writer->trailer.stats.bytes = offset_of(writer) + sizeof trailer;
    segment_trailer_encode(&writer->trailer, trailer);
    return status == STATUS_OK ? append(writer, trailer, sizeof trailer, err) : status;
}

enum status series_segment_finish(struct series_segment_writer *writer,
                                  struct series_segment_stats *stats, struct error *err)
{
    enum status status = enter(writer, STAGE_METRICS, err);
    invariant(status != STATUS_OK || segment_write_complete(writer, NULL) == STATUS_OK);
    if (status == STATUS_OK)
        status = put_directories(writer, err);
    if (status == STATUS_OK)
        status = flush(writer, err);
    if (status == STATUS_OK)
        status = file_sync(writer->file, err);
    if (status == STATUS_OK)
        status = filesystem_sync_directory(writer->fs, writer->directory, err);
    if (status != STATUS_OK) {
        series_segment_writer_abort(writer);
        return status;
    }
    *stats = writer->trailer.stats;
    writer_free(writer);
    return STATUS_OK;
}
