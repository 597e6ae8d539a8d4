#include "../../test.h"

#include <unistd.h>
#include <zstd.h>

#include "base/bits.h"
#include "golden.h"
#include "segment_model.h"

#define NAME "series-segment-v1.seg"
#define PATH "/tmp/series_segment_golden_test.seg"

enum { SERIES = 300, SEGMENT_ID = 77, SECRET = 12345 };

/* up and load of 50 hosts, three cores each; ids with gaps; one value that the directory cuts. */
static void content_init(struct segment_model *model)
{
    segment_model_init(model, SECRET);
    for (uint32_t i = 0; i < SERIES; i++) {
        char host[24];
        char path[301];
        snprintf(host, sizeof host, "host-%02u", i / 6);
        memset(path, 'p', sizeof path - 1);
        path[300] = 0;
        static const char *const cores[] = {"0", "1", "größer"};
        struct label items[] = {
            {slice_from_text(METRIC_NAME_LABEL), slice_from_text(i % 2 == 0 ? "up" : "load")},
            {slice_from_text("core"), slice_from_text(cores[i / 2 % 3])},
            {slice_from_text("host"), slice_from_text(host)},
            {slice_from_text("path"), slice_from_text(path)},
        };
        struct labels labels = {items, i == 150 ? 4 : 3};
        segment_model_add(model, i < 200 ? 10 + i : 70000 + 3 * i, i % 2 == 0 ? 4 : 9, &labels);
    }
    segment_model_finish(model);
}

static void golden_segments_are_read_as_ever(void **state)
{
    (void)state;
    struct segment_model model;
    struct series_segment_stats stats;
    struct series_segment *segment;
    struct bytes file;
    char wrong[512];
    struct error err;
    content_init(&model);
    (void)unlink(PATH);
    assert_int_equal(
        segment_model_write(&model, filesystem_posix(), PATH, SEGMENT_ID, &stats, NULL), STATUS_OK);
    bytes_init(&file, 1 << 20);
    assert_int_equal(filesystem_read_all(filesystem_posix(), PATH, &file, NULL), STATUS_OK);
    golden_write(NAME, bytes_slice(&file));
    bytes_release(&file);
    (void)unlink(PATH);
    if (series_segment_open(&segment, os_system(), GOLDEN_DIRECTORY "/" NAME, SEGMENT_ID, &err) !=
        STATUS_OK)
        test_fail("%s", err.message);
    if (!segment_model_agrees(&model, segment, wrong))
        test_fail("%s", wrong);
    series_segment_close(segment);
    segment_model_release(&model);
}

static void see_damage(void *context, const char *description)
{
    (void)context;
    test_fail("%s", description);
}

static void golden_segments_verify(void **state)
{
    (void)state;
    struct series_segment_stats stats;
    assert_int_equal(series_segment_verify(os_system(), GOLDEN_DIRECTORY "/" NAME, SEGMENT_ID,
                                           SECRET, see_damage, NULL, &stats, NULL),
                     STATUS_OK);
    assert_int_equal(stats.series, SERIES);
}

/* ---- a second reader, from docs/formats/series-segment.md ----------------------------------- */

struct reader {
    const struct segment_model *model;
    const uint8_t *file;
    size_t size;
    const uint8_t *directories[7]; /* the last: where they end */
    size_t definitions_end, keys_begin;
    const struct model_pair *pair;
};

static uint32_t placed(const struct reader *reader, size_t offset, size_t size)
{
    uint8_t place[16];
    store_u64(place, SEGMENT_ID);
    store_u64(place + 8, offset);
    return crc32c(crc32c(0, place, 16), reader->file + offset, size);
}

static uint64_t take(const uint8_t **at)
{
    uint64_t value;
    *at = varint_get(*at, *at + 10, &value);
    assert_non_null(*at);
    return value;
}

static struct slice take_bytes(const uint8_t **at, size_t size)
{
    *at += size;
    return slice_of(*at - size, size);
}

static struct slice take_text(const uint8_t **at)
{
    size_t size = (size_t)take(at);
    return take_bytes(at, size);
}

static uint32_t take_u32(const uint8_t **at)
{
    return load_u32(take_bytes(at, 4).data);
}

static void read_frame(struct reader *reader)
{
    const uint8_t *file = reader->file;
    const uint8_t *trailer = file + reader->size - 148;
    assert_memory_equal(file, "MSSERIES", 8);
    assert_int_equal(load_u64(file + 8), SEGMENT_ID);
    assert_int_equal(load_u32(file + 16), 1);
    assert_int_equal(load_u32(file + 20), crc32c(0, file, 20));
    assert_memory_equal(trailer + 136, "MESERIES", 8);
    assert_int_equal(load_u32(trailer + 144), crc32c(0, trailer, 144));
    assert_int_equal(load_u64(trailer), SEGMENT_ID);
    assert_int_equal(load_u32(trailer + 8), 10);
    assert_int_equal(load_u32(trailer + 12), 70000 + 3 * 299);
    assert_int_equal(load_u64(trailer + 16), SERIES);
    assert_int_equal(load_u64(trailer + 32), 2);
    assert_int_equal(load_u64(trailer + 40), reader->size);
    reader->definitions_end = load_u64(trailer + 48);
    reader->keys_begin = load_u64(trailer + 56);
    assert_int_equal(reader->keys_begin % 4096, 0);
    size_t at = reader->keys_begin + 16 * SERIES;
    for (int i = 0; i < 6; i++) {
        size_t size = load_u64(trailer + 64 + 12 * i);
        reader->directories[i] = file + at;
        assert_int_equal(load_u32(trailer + 72 + 12 * i), placed(reader, at, size));
        at += size;
    }
    reader->directories[6] = trailer;
    assert_int_equal(at, reader->size - 148);
}

static void read_label(struct label *label, const uint8_t **at)
{
    uint64_t tag = take(at);
    if (tag == 0)
        return;
    if (tag % 2 == 1) {
        label->value = take_bytes(at, (size_t)(tag / 2));
        return;
    }
    label->name = take_bytes(at, (size_t)(tag / 2));
    label->value = take_text(at);
}

static void read_page(const struct reader *reader, size_t offset, size_t size, uint32_t first_id,
                      size_t *number)
{
    static uint8_t raw[1 << 21];
    const uint8_t *page = reader->file + offset;
    struct label items[8];
    uint32_t id = first_id;
    uint8_t place[16];
    store_u64(place, SEGMENT_ID);
    store_u64(place + 8, offset);
    assert_int_equal(load_u32(page), crc32c(crc32c(0, place, 16), page + 4, size - 4));
    assert_memory_equal(page + 4, "MSGD", 4);
    assert_int_equal(load_u32(page + 8), size - 28);
    size_t raw_size = load_u32(page + 12);
    assert_int_equal(ZSTD_decompress(raw, sizeof raw, page + 28, size - 28), raw_size);
    assert_int_equal(load_u32(page + 20), *number);
    assert_int_equal(load_u32(page + 24), first_id);
    const uint8_t *at = raw;
    for (uint32_t i = 0; i < load_u32(page + 16); i++, ++*number) {
        const struct model_series *series = &reader->model->series[*number];
        id = i == 0 ? first_id : id + 1 + (uint32_t)take(&at);
        assert_int_equal(id, series->id);
        assert_int_equal(take(&at), series->metric);
        struct labels labels = {items, (size_t)take(&at)};
        for (size_t j = 0; j < labels.count; j++)
            read_label(&items[j], &at);
        assert_int_equal(labels_compare(&labels, &series->labels), 0);
    }
    assert_ptr_equal(at, raw + raw_size);
}

static void read_definitions(const struct reader *reader)
{
    const uint8_t *at = reader->directories[0];
    size_t end = 24;
    size_t gaps = 0;
    size_t number = 0;
    uint32_t first_id = 0;
    while (at < reader->directories[1]) {
        first_id += (uint32_t)take(&at);
        size_t gap = (size_t)take(&at);
        size_t size = (size_t)take(&at);
        read_page(reader, end + gap, size, first_id, &number);
        end += gap + size;
        gaps += gap;
    }
    assert_int_equal(number, SERIES);
    /* The one page of metric ids is the last. */
    at = reader->directories[1];
    assert_int_equal(take(&at), end - 24);
    assert_int_equal(gaps, 0);
    assert_int_equal(take_u32(&at), placed(reader, end, 4 * SERIES));
    assert_ptr_equal(at, reader->directories[2]);
    assert_int_equal(end + 4 * SERIES, reader->definitions_end);
    for (size_t i = 0; i < SERIES; i++)
        assert_int_equal(load_u32(reader->file + end + 4 * i), reader->model->series[i].metric);
}

static void read_ids(struct reader *reader, uint64_t count, const uint8_t **at, size_t *sets)
{
    uint32_t id = 0;
    if (count <= 16) {
        for (uint64_t i = 0; i < count; i++, reader->pair++) {
            id = (uint32_t)take(at) + (i == 0 ? 0 : id + 1);
            assert_int_equal(id, reader->pair->id);
        }
        return;
    }
    size_t size = (size_t)take(at);
    assert_int_equal(take_u32(at), placed(reader, *sets, size));
    roaring_bitmap_t *set =
        roaring_bitmap_portable_deserialize_safe((const char *)reader->file + *sets, size);
    assert_int_equal(roaring_bitmap_get_cardinality(set), count);
    for (uint64_t i = 0; i < count; i++, reader->pair++)
        assert_true(roaring_bitmap_contains(set, reader->pair->id));
    roaring_bitmap_free(set);
    *sets += size;
}

static uint64_t read_values(struct reader *reader, size_t sets, size_t begin, size_t size,
                            struct slice name, struct slice first)
{
    uint8_t value[512];
    size_t value_size = 0;
    uint64_t values = 0;
    const uint8_t *at = reader->file + begin;
    for (; at < reader->file + begin + size; values++) {
        size_t shared = (size_t)take(&at);
        struct slice rest = take_text(&at);
        assert_true(shared <= value_size && shared + rest.size <= sizeof value);
        memcpy(value + shared, rest.data, rest.size);
        value_size = shared + rest.size;
        if (values == 0)
            assert_true(slice_equal(first, slice_of(value, value_size < 128 ? value_size : 128)));
        assert_true(slice_equal(name, reader->pair->name));
        assert_true(slice_equal(slice_of(value, value_size), reader->pair->value));
        read_ids(reader, take(&at), &at, &sets);
    }
    assert_int_equal(sets, begin);
    return values;
}

static void read_pairs(struct reader *reader)
{
    const uint8_t *at = reader->directories[2];
    size_t end = reader->definitions_end;
    reader->pair = reader->model->pairs;
    while (at < reader->directories[3]) {
        struct slice name = take_text(&at);
        uint64_t values = take(&at);
        for (uint64_t pages = take(&at); pages > 0; pages--) {
            size_t sets = (size_t)take(&at);
            size_t size = (size_t)take(&at);
            assert_int_equal(take_u32(&at), placed(reader, end + sets, size));
            struct slice first = take_text(&at);
            values -= read_values(reader, end, end + sets, size, name, first);
            end += sets + size;
        }
        assert_int_equal(values, 0);
    }
    assert_ptr_equal(reader->pair, reader->model->pairs + reader->model->pair_count);
    assert_true(reader->keys_begin - end < 4096);
    for (; end < reader->keys_begin; end++)
        assert_int_equal(reader->file[end], 0);
}

static void read_keys(const struct reader *reader)
{
    for (size_t i = 0; i < SERIES; i++) {
        const struct model_series *series = reader->model->by_key[i];
        const uint8_t *entry = reader->file + reader->keys_begin + 16 * i;
        struct bytes labels;
        bytes_init(&labels, 1 << 16);
        assert_int_equal(labels_encode(&series->labels, &labels), STATUS_OK);
        struct hash128 hash = hash128(bytes_slice(&labels), SECRET);
        bytes_release(&labels);
        assert_int_equal(load_u64(entry), hash.high);
        assert_int_equal(load_u32(entry + 8), (uint32_t)hash.low);
        assert_int_equal(load_u32(entry + 12), series->id);
    }
    const uint8_t *directory = reader->directories[3];
    assert_ptr_equal(directory + 32, reader->directories[4]);
    for (size_t i = 0; i < 2; i++) {
        size_t page = reader->keys_begin + 4096 * i;
        assert_memory_equal(directory + 16 * i, reader->file + page, 12);
        assert_int_equal(load_u32(directory + 16 * i + 12),
                         placed(reader, page, i == 0 ? 4096 : 16 * SERIES - 4096));
    }
}

static void read_metrics_and_ids(const struct reader *reader)
{
    const uint8_t *at = reader->directories[4];
    assert_int_equal(take(&at), 4);
    assert_int_equal(take(&at), SERIES / 2);
    assert_true(slice_equal_text(take_text(&at), "up"));
    assert_int_equal(take(&at), 9 - 4 - 1);
    assert_int_equal(take(&at), SERIES / 2);
    assert_true(slice_equal_text(take_text(&at), "load"));
    assert_ptr_equal(at, reader->directories[5]);
    size_t size = (size_t)(reader->directories[6] - at);
    roaring_bitmap_t *ids = roaring_bitmap_portable_deserialize_safe((const char *)at, size);
    assert_int_equal(roaring_bitmap_get_cardinality(ids), SERIES);
    for (size_t i = 0; i < SERIES; i++)
        assert_true(roaring_bitmap_contains(ids, reader->model->series[i].id));
    roaring_bitmap_free(ids);
}

static void the_golden_segment_is_what_its_document_says(void **state)
{
    (void)state;
    struct segment_model model;
    struct bytes file;
    content_init(&model);
    bytes_init(&file, 1 << 20);
    golden_read(NAME, &file);
    struct reader reader = {.model = &model, .file = file.data, .size = file.size};
    read_frame(&reader);
    read_definitions(&reader);
    read_pairs(&reader);
    read_keys(&reader);
    read_metrics_and_ids(&reader);
    bytes_release(&file);
    segment_model_release(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_segments_are_read_as_ever),
        cmocka_unit_test(golden_segments_verify),
        cmocka_unit_test(the_golden_segment_is_what_its_document_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
