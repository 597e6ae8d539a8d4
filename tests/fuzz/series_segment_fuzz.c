/*
 * series_segment_fuzz - series segments of any bytes: they open or are refused with a sentence, and
 * every look-up, walk, merge, verify and rebuild of what opened ends.
 *
 * Input: one byte that says what the rest is.
 *   0  a file
 *   1  a file whose checksums are put right, from the trailer down to the sets of ids
 *   2  the definitions of one page, before compression
 *   3  a set of ids
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/invariant.h"
#include "sim_disk.h"
#include "storage/engine/bitmap_codec.h"
#include "storage/engine/series_segment_page.h"
#include "storage/engine/series_segment_state.h"

enum { KIND_FILE, KIND_MENDED, KIND_PAGE, KIND_SET, SEED = 1, INPUT_MAX = 1 << 20 };
#define SEGMENT_ID UINT64_C(7)

/* ---- mending ---------------------------------------------------------------------------- */

struct mend {
    uint8_t *file;
    size_t size;
    struct segment_trailer trailer;
    size_t directories[SEGMENT_DIRECTORIES]; /* offsets */
};

static uint32_t checksum(const struct mend *mend, size_t offset, size_t size)
{
    return segment_checksum(SEGMENT_ID, offset, mend->file + offset, size);
}

static bool fits(const struct mend *mend, uint64_t offset, uint64_t size)
{
    return offset <= mend->size && size <= mend->size - offset;
}

static struct segment_input directory(const struct mend *mend, enum segment_directory which)
{
    return segment_input_of(slice_of(mend->file + mend->directories[which],
                                     (size_t)mend->trailer.directories[which].size));
}

/* The bytes that an input has just read. */
static uint8_t *before(const struct mend *mend, const struct segment_input *input, size_t size)
{
    return mend->file + (input->at - mend->file) - size;
}

static void mend_pages(struct mend *mend)
{
    struct segment_input input = directory(mend, SEGMENT_DIRECTORY_PAGES);
    uint64_t end = SEGMENT_HEADER_SIZE;
    while (segment_input_left(&input)) {
        (void)segment_get(&input, UINT64_MAX);
        uint64_t gap = segment_get(&input, mend->size);
        uint64_t size = segment_get(&input, mend->size);
        if (input.at == NULL || size < SEGMENT_PAGE_HEADER_SIZE || !fits(mend, end + gap, size))
            return;
        store_u32(
            mend->file + end + gap,
            segment_checksum(SEGMENT_ID, end + gap, mend->file + end + gap + 4, (size_t)size - 4));
        end += gap + size;
    }
}

static void mend_metric_pages(struct mend *mend)
{
    struct segment_input input = directory(mend, SEGMENT_DIRECTORY_METRIC_PAGES);
    uint64_t end = SEGMENT_HEADER_SIZE;
    for (uint64_t left = mend->trailer.stats.series; left > 0 && segment_input_left(&input);) {
        uint64_t count = left < SEGMENT_METRICS_PER_PAGE ? left : SEGMENT_METRICS_PER_PAGE;
        uint64_t gap = segment_get(&input, mend->size);
        (void)segment_get_u32(&input);
        if (input.at == NULL || !fits(mend, end + gap, count * 4))
            return;
        store_u32(before(mend, &input, 4), checksum(mend, (size_t)(end + gap), count * 4));
        end += gap + count * 4;
        left -= count;
    }
}

static void mend_sets(struct mend *mend, uint64_t sets, struct segment_input input)
{
    while (segment_input_left(&input)) {
        (void)segment_get(&input, UINT64_MAX);
        (void)segment_get_text(&input, mend->size);
        uint64_t count = segment_get(&input, UINT64_MAX);
        for (uint64_t i = 0; i < count && count <= SEGMENT_IDS_IN_PLACE; i++)
            (void)segment_get(&input, UINT64_MAX);
        if (count <= SEGMENT_IDS_IN_PLACE)
            continue;
        uint64_t size = segment_get(&input, mend->size);
        (void)segment_get_u32(&input);
        if (input.at == NULL || !fits(mend, sets, size))
            return;
        store_u32(before(mend, &input, 4), checksum(mend, (size_t)sets, (size_t)size));
        sets += size;
    }
}

static void mend_values(struct mend *mend)
{
    struct segment_input input = directory(mend, SEGMENT_DIRECTORY_VALUES);
    uint64_t end = mend->trailer.definitions_end;
    while (segment_input_left(&input)) {
        (void)segment_get_text(&input, mend->size);
        (void)segment_get(&input, UINT64_MAX);
        uint64_t pages = segment_get(&input, UINT64_MAX);
        for (; pages > 0 && input.at != NULL; pages--) {
            uint64_t sets = segment_get(&input, mend->size);
            uint64_t size = segment_get(&input, mend->size);
            (void)segment_get_u32(&input);
            if (input.at == NULL || !fits(mend, end + sets, size))
                return;
            uint8_t *crc = before(mend, &input, 4);
            uint64_t page = end + sets;
            mend_sets(mend, end, segment_input_of(slice_of(mend->file + page, (size_t)size)));
            store_u32(crc, checksum(mend, (size_t)page, (size_t)size));
            (void)segment_get_text(&input, mend->size);
            end = page + size;
        }
    }
}

static void mend_keys(struct mend *mend)
{
    uint64_t left = mend->trailer.stats.series * SEGMENT_KEY_SIZE;
    uint64_t page = mend->trailer.keys_begin;
    size_t entry = mend->directories[SEGMENT_DIRECTORY_KEYS];
    for (size_t i = 0;
         i + SEGMENT_KEY_SIZE <= mend->trailer.directories[SEGMENT_DIRECTORY_KEYS].size && left > 0;
         i += SEGMENT_KEY_SIZE) {
        size_t size = left < SEGMENT_KEY_PAGE_SIZE ? (size_t)left : SEGMENT_KEY_PAGE_SIZE;
        if (!fits(mend, page, size))
            return;
        store_u32(mend->file + entry + i + 12, checksum(mend, (size_t)page, size));
        page += size;
        left -= size;
    }
}

static void mend_file(uint8_t *file, size_t size)
{
    struct mend mend = {.file = file, .size = size};
    if (size < SEGMENT_HEADER_SIZE + SEGMENT_TRAILER_SIZE)
        return;
    uint8_t *trailer = file + size - SEGMENT_TRAILER_SIZE;
    store_u64(file + 8, SEGMENT_ID);
    store_u32(file + 20, crc32c(0, file, 20));
    store_u64(trailer, SEGMENT_ID);
    store_u64(trailer + 40, size);
    store_u32(trailer + SEGMENT_TRAILER_SIZE - 4, crc32c(0, trailer, SEGMENT_TRAILER_SIZE - 4));
    if (segment_trailer_decode(trailer, size, &mend.trailer, NULL) != STATUS_OK)
        return;
    size_t at = (size_t)segment_directories_begin(&mend.trailer);
    for (int i = 0; i < SEGMENT_DIRECTORIES; i++) {
        mend.directories[i] = at;
        at += (size_t)mend.trailer.directories[i].size;
    }
    mend_pages(&mend);
    mend_metric_pages(&mend);
    mend_values(&mend);
    mend_keys(&mend);
    for (int i = 0; i < SEGMENT_DIRECTORIES; i++)
        store_u32(trailer + 64 + 12 * i + 8,
                  checksum(&mend, mend.directories[i], (size_t)mend.trailer.directories[i].size));
    store_u32(trailer + SEGMENT_TRAILER_SIZE - 4, crc32c(0, trailer, SEGMENT_TRAILER_SIZE - 4));
}

/* ---- using ------------------------------------------------------------------------------ */

static void expect(enum status status, const struct error *err)
{
    invariant(status == STATUS_OK || status == STATUS_END || status == STATUS_NOT_FOUND ||
              (status == STATUS_CORRUPT && err->message[0] != 0));
}

static bool want_all(void *context, struct slice value, bool *go_on)
{
    (void)context, (void)value, (void)go_on;
    return true;
}

static void walk_definitions(const struct series_segment *segment)
{
    struct series_segment_cursor *cursor;
    struct series_definition definition;
    struct error err = {0};
    enum status status;
    int64_t last = -1;
    invariant(series_segment_cursor_new(&cursor, segment, &err) == STATUS_OK);
    while ((status = series_segment_next(cursor, &definition, &err)) != STATUS_END) {
        expect(status, &err);
        if (status != STATUS_OK)
            continue;
        uint32_t id = definition.id;
        struct series_key key = series_key_of(&definition.labels, SEED);
        uint32_t found;
        uint32_t metric;
        invariant(id > last && series_segment_has(segment, id));
        last = id;
        expect(series_segment_find(segment, key, &found, &err), &err);
        expect(series_segment_metrics_of(segment, &id, 1, &metric, &err), &err);
        expect(series_segment_read(cursor, id / 2, &definition, &err), &err);
    }
    series_segment_cursor_free(cursor);
}

static void walk_pairs(const struct series_segment *segment)
{
    struct series_segment_pairs *pairs;
    struct series_segment_keys *keys;
    struct series_key key;
    uint32_t id;
    struct error err = {0};
    enum status status;
    struct slice name;
    struct slice value;
    const roaring_bitmap_t *ids;
    roaring_bitmap_t *all = roaring_bitmap_create();
    invariant(series_segment_pairs_new(&pairs, segment, &err) == STATUS_OK);
    while ((status = series_segment_pairs_next(pairs, &name, &value, &ids, &err)) != STATUS_END) {
        expect(status, &err);
        if (status == STATUS_OK)
            expect(series_segment_pair(segment, name, value, all, &err), &err);
    }
    series_segment_pairs_free(pairs);
    for (size_t i = 0; i < series_segment_name_count(segment); i++)
        expect(series_segment_values(segment, series_segment_name(segment, i), want_all, NULL, all,
                                     &err),
               &err);
    invariant(series_segment_keys_new(&keys, segment, &err) == STATUS_OK);
    while ((status = series_segment_keys_next(keys, &key, &id, &err)) != STATUS_END) {
        expect(status, &err);
        if (status == STATUS_OK)
            expect(series_segment_find(segment, key, &id, &err), &err);
    }
    series_segment_keys_free(keys);
    roaring_bitmap_free(all);
}

static void count_damage(void *context, const char *description)
{
    invariant(description[0] != 0);
    ++*(size_t *)context;
}

static size_t verify(struct os os, const char *path, uint64_t id)
{
    struct series_segment_stats stats;
    struct error err = {0};
    size_t damage = 0;
    enum status status =
        series_segment_verify(os, path, id, SEED, count_damage, &damage, &stats, &err);
    invariant(status == STATUS_OK || status == STATUS_UNSUPPORTED);
    return damage;
}

static void merge(struct series_segment *segment, struct os os)
{
    struct series_segment_stats stats;
    struct series_segment *merged;
    struct error err = {0};
    roaring_bitmap_t *without = roaring_bitmap_of(2, 1, 3);
    for (int i = 0; i < 2; i++) {
        enum status status = series_segment_merge(&segment, 1, i == 0 ? NULL : without, os, "/m", 8,
                                                  NULL, NULL, &stats, NULL, &err);
        expect(status, &err);
        if (status != STATUS_OK)
            continue;
        invariant(series_segment_open(&merged, os, "/m", 8, &err) == STATUS_OK);
        series_segment_close(merged);
        invariant(filesystem_remove(os.fs, "/m", NULL) == STATUS_OK);
    }
    roaring_bitmap_free(without);
}

static void use_file(struct slice content)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct os os = {.fs = sim_disk_filesystem(disk)};
    struct file *file;
    struct series_segment *segment;
    struct series_segment_stats stats;
    struct error err = {0};
    size_t damage = 0;
    invariant(filesystem_open(os.fs, "/s", FILE_CREATE, &file, NULL) == STATUS_OK);
    invariant(content.size == 0 ||
              file_write(file, content.data, content.size, 0, NULL) == STATUS_OK);
    file_close(file);
    enum status status = series_segment_open(&segment, os, "/s", SEGMENT_ID, &err);
    if (status == STATUS_OK) {
        walk_definitions(segment);
        walk_pairs(segment);
        merge(segment, os);
        series_segment_close(segment);
    } else {
        invariant((status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED) &&
                  err.message[0] != 0);
    }
    size_t wrong = verify(os, "/s", SEGMENT_ID);
    invariant(status != STATUS_CORRUPT || wrong > 0);
    status = series_segment_rebuild(os, "/s", SEGMENT_ID, "/r", 9, SEED, count_damage, &damage,
                                    &stats, &err);
    invariant(status == STATUS_OK || status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
    invariant(status != STATUS_OK || verify(os, "/r", 9) == 0);
    sim_disk_free(disk);
}

static void use_page(struct slice raw)
{
    size_t bound = ZSTD_compressBound(raw.size);
    uint8_t *bytes = malloc(SEGMENT_PAGE_HEADER_SIZE + bound);
    struct segment_page page;
    struct error err = {0};
    invariant(bytes != NULL && segment_page_init(&page) == STATUS_OK);
    size_t size = ZSTD_compress(bytes + SEGMENT_PAGE_HEADER_SIZE, bound, raw.data, raw.size, 1);
    invariant(!ZSTD_isError(size));
    store_u32(bytes + 4, SEGMENT_PAGE_MAGIC);
    store_u32(bytes + 8, (uint32_t)size);
    store_u32(bytes + 12, (uint32_t)raw.size);
    store_u32(bytes + 16, raw.data[0] + 1U);
    store_u32(bytes + 20, 0);
    store_u32(bytes + 24, UINT32_MAX - 300);
    size += SEGMENT_PAGE_HEADER_SIZE;
    store_u32(bytes, segment_checksum(SEGMENT_ID, 24, bytes + 4, size - 4));
    enum status status = segment_page_load(&page, slice_of(bytes, size), SEGMENT_ID, 24, &err);
    invariant(status == STATUS_OK);
    while ((status = segment_page_next(&page, &err)) == STATUS_OK) {
        struct labels labels = {page.labels, page.label_count};
        (void)series_key_of(&labels, SEED);
    }
    expect(status, &err);
    segment_page_release(&page);
    free(bytes);
}

static void use_set(struct slice bytes)
{
    roaring_bitmap_t *set;
    struct error err = {0};
    if (bitmap_decode(bytes, &set, &err) != STATUS_OK) {
        invariant(err.message[0] != 0);
        return;
    }
    struct bytes again;
    roaring_bitmap_t *copy;
    uint64_t seen = 0;
    roaring_uint32_iterator_t at;
    for (roaring_init_iterator(set, &at); at.has_value; roaring_advance_uint32_iterator(&at))
        invariant(seen++ == 0 || roaring_bitmap_contains(set, at.current_value));
    invariant(seen == roaring_bitmap_get_cardinality(set));
    bytes_init(&again, 1 << 30);
    roaring_bitmap_t *other = roaring_bitmap_from_range(100, 300000, 3);
    roaring_bitmap_or_inplace(other, set);
    roaring_bitmap_andnot_inplace(other, set);
    roaring_bitmap_run_optimize(other);
    invariant(!roaring_bitmap_intersect(other, set));
    invariant(bitmap_encode(set, &again) == STATUS_OK);
    invariant(bitmap_decode(bytes_slice(&again), &copy, &err) == STATUS_OK);
    invariant(roaring_bitmap_equals(copy, set));
    roaring_bitmap_free(copy);
    roaring_bitmap_free(other);
    roaring_bitmap_free(set);
    bytes_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX)
        return 0;
    struct slice rest = slice_of(data + 1, size - 1);
    if (data[0] == KIND_PAGE) {
        use_page(rest);
    } else if (data[0] == KIND_SET) {
        use_set(rest);
    } else if (data[0] == KIND_FILE || data[0] == KIND_MENDED) {
        uint8_t *file = malloc(rest.size);
        invariant(file != NULL);
        memcpy(file, rest.data, rest.size);
        if (data[0] == KIND_MENDED)
            mend_file(file, rest.size);
        use_file(slice_of(file, rest.size));
        free(file);
    }
    return 0;
}
