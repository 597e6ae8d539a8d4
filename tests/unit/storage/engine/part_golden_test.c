/*
 * Parts of every version that was ever released stay readable: tests/golden/part-vN.part holds what
 * golden_times and golden_values say, written by the program of that time.
 *
 *   part_golden_test write FILE    makes the file anew, for the next version
 */
#include "../../test.h"

#include "base/times.h"
#include "model/value.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/part_writer.h"

enum { SERIES = 12, COUNT = 1500, DAY = 20000 };

static void golden_times(uint32_t series, int64_t *times)
{
    for (int64_t i = 0; i < COUNT; i++) {
        times[i] = (int64_t)DAY * MS_PER_DAY + i * 15000 + series % 3;
        if (series % 3 == 2)
            times[i] += i * i % 17;
    }
}

static double golden_value(uint32_t series, int64_t i)
{
    switch (series) {
    case 0:
        return 42.5;
    case 1:
        return (double)(i * 15);
    case 2:
        return (double)(i * i % 1000 + i * 700);
    case 3:
        return (double)(i * 37 % 5000);
    case 4:
        return (double)(i * i % 2001 - 1000) / 100;
    case 5:
        return (double)(i * 7919 % 257) * 4096;
    case 6:
        return (double)i / 7;
    case 7:
        return i % 100 == 99 ? double_of_bits(VALUE_STALE_BITS) : (double)(i / 100);
    case 8:
        return i % 50 == 7 ? double_of_bits(VALUE_NORMAL_NAN_BITS) : (double)i / 8;
    case 9:
        return double_of_bits(UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1));
    case 10:
        return i % 2 == 0 ? -0.0 : 0.0;
    default:
        return double_of_bits(VALUE_STALE_BITS);
    }
}

static int64_t times[COUNT];
static double values[COUNT];

static void golden_series(uint32_t series)
{
    golden_times(series, times);
    for (int64_t i = 0; i < COUNT; i++)
        values[i] = golden_value(series, i);
}

static int write_golden(const char *path)
{
    struct part_writer_options options = {
        .identity = {.id = 17, .day = DAY, .min_sequence = 5, .max_sequence = 8, .level = 1}};
    struct part_writer *writer;
    struct part_totals totals;
    struct error err;
    enum status status = part_writer_open(&writer, filesystem_posix(), path, &options, &err);
    for (uint32_t i = 0; status == STATUS_OK && i < SERIES; i++) {
        golden_series(i);
        status = part_writer_add(writer, i / 4, i, PART_KIND_FLOAT, times, values, COUNT, &err);
    }
    if (status == STATUS_OK)
        status = part_writer_finish(writer, &totals, &err);
    if (status != STATUS_OK)
        fprintf(stderr, "%s\n", err.message);
    return status != STATUS_OK;
}

static void no_damage(void *context, const struct error *err)
{
    (void)context;
    test_fail("%s", err->message);
}

static void reads_as_it_was_written(const char *path)
{
    struct part *part;
    struct part_cursor *cursor;
    struct error err;
    if (part_open(&part, filesystem_posix(), path, &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_int_equal(part_identity(part)->id, 17);
    assert_int_equal(part_identity(part)->day, DAY);
    assert_int_equal(part_identity(part)->max_sequence, 8);
    assert_int_equal(part_totals(part)->samples, SERIES * COUNT);
    assert_int_equal(part_cursor_new(&cursor, part, &err), STATUS_OK);
    for (uint32_t i = 0; i < SERIES; i++) {
        golden_series(i);
        part_cursor_find(cursor, i / 4, i);
        size_t at = 0;
        const struct part_block *block;
        struct part_loss lost;
        int64_t read_times[PART_BLOCK_MAX_COUNT];
        double read_values[PART_BLOCK_MAX_COUNT];
        while (part_cursor_next(cursor, &block, &lost, &err) == STATUS_OK) {
            assert_true(block->count <= COUNT - at);
            assert_int_equal(
                part_block_read(cursor, block, 0, block->count, read_times, read_values, &err),
                STATUS_OK);
            assert_memory_equal(read_times, times + at, block->count * sizeof *times);
            assert_memory_equal(read_values, values + at, block->count * sizeof *values);
            at += block->count;
        }
        assert_int_equal(at, COUNT);
    }
    part_cursor_free(cursor);
    uint64_t found;
    assert_int_equal(part_verify(part, no_damage, NULL, &found, &err), STATUS_OK);
    assert_int_equal(found, 0);
    roaring_bitmap_t *ids;
    assert_int_equal(part_series(part, &ids, &err), STATUS_OK);
    assert_int_equal(roaring_bitmap_get_cardinality(ids), SERIES);
    assert_true(roaring_bitmap_contains_range(ids, 0, SERIES));
    roaring_bitmap_free(ids);
    part_close(part);
}

static void parts_of_every_version_read_as_they_were_written(void **state)
{
    (void)state;
    reads_as_it_was_written(GOLDEN "/part-v1.part");
    reads_as_it_was_written(GOLDEN "/part-v2.part");
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "write") == 0)
        return write_golden(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_every_version_read_as_they_were_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
