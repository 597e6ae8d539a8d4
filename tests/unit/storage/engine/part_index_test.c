#include "../../test.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/times.h"
#include "os/thread.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/part_writer.h"

enum { DAY = 20780, PARTS = 6, SERIES = 2000, THREADS = 4, TURNS = 300 };
#define DAY_START ((int64_t)DAY * MS_PER_DAY)

static char directory[] = "/tmp/part_index_test_XXXXXX";
static char paths[PARTS][64];

/* Parts of one sample a series, of some pages each. */
static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    for (uint64_t i = 0; i < PARTS; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%d.part", directory, (int)i);
        unlink(paths[i]);
        struct part_writer_options options = {
            .identity = {.id = i + 1, .day = DAY, .min_sequence = i, .max_sequence = i},
            .hash_seed = 99};
        struct part_writer *writer;
        struct error err;
        if (part_writer_open(&writer, filesystem_posix(), paths[i], &options, &err) != STATUS_OK)
            return -1;
        for (uint32_t series = 0; series < SERIES; series++) {
            int64_t time_ms = DAY_START + (int64_t)i;
            double value = series + (double)i / 8;
            if (part_writer_add(writer, 0, series, PART_KIND_FLOAT, &time_ms, &value, 1, &err) !=
                STATUS_OK)
                return -1;
        }
        struct part_totals totals;
        if (part_writer_finish(writer, &totals, &err) != STATUS_OK)
            return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < PARTS; i++)
        unlink(paths[i]);
    return rmdir(directory);
}

static void ok(enum status status, const struct error *err)
{
    if (status != STATUS_OK)
        test_fail("%s: %s", status_name(status), err->message);
}

/* Parts and the indexes of those in memory. */
struct shelf {
    struct part_indexes *indexes;
    struct file_pool *files;
    struct part *parts[PARTS];
    unsigned damage;
    char message[ERROR_MESSAGE_SIZE];
};

static void note(void *context, const struct error *why)
{
    struct shelf *shelf = context;
    shelf->damage++;
    snprintf(shelf->message, sizeof shelf->message, "%s", why->message);
}

static void open_shelf(struct shelf *shelf, size_t max_bytes)
{
    struct error err;
    *shelf = (struct shelf){.indexes = part_indexes_new(max_bytes, note, shelf),
                            .files = file_pool_new(filesystem_posix(), 2)};
    struct part_commons commons = {.files = shelf->files, .indexes = shelf->indexes};
    assert_non_null(shelf->files);
    assert_non_null(shelf->indexes);
    for (size_t i = 0; i < PARTS; i++)
        ok(part_open_shared(&shelf->parts[i], &commons, paths[i], &err), &err);
}

static struct part_indexes_stats stats_of(const struct shelf *shelf)
{
    struct part_indexes_stats stats;
    part_indexes_stats(shelf->indexes, &stats);
    return stats;
}

static void close_shelf(struct shelf *shelf)
{
    for (size_t i = 0; i < PARTS; i++)
        part_close(shelf->parts[i]);
    assert_int_equal(stats_of(shelf).bytes, 0);
    part_indexes_free(shelf->indexes);
    file_pool_free(shelf->files);
}

static struct part_cursor *cursor_of(struct shelf *shelf, size_t part)
{
    struct part_cursor *cursor;
    struct error err;
    ok(part_cursor_new(&cursor, shelf->parts[part], &err), &err);
    return cursor;
}

/* Whether the cursor gives just the one sample that the part has of a series. */
static bool finds(struct part_cursor *cursor, size_t part, uint32_t series)
{
    const struct part_block *block;
    struct part_loss lost;
    double value;
    part_cursor_find(cursor, 0, series);
    return part_cursor_next(cursor, &block, &lost, NULL) == STATUS_OK && block->series == series &&
           block->count == 1 &&
           part_block_read(cursor, block, 0, 1, NULL, &value, NULL) == STATUS_OK &&
           value == series + (double)part / 8 &&
           part_cursor_next(cursor, &block, &lost, NULL) == STATUS_END;
}

static void read_one(struct shelf *shelf, size_t part)
{
    struct part_cursor *cursor = cursor_of(shelf, part);
    assert_true(finds(cursor, part, 1234));
    part_cursor_free(cursor);
}

/* What one index takes. */
static size_t index_bytes(void)
{
    struct shelf shelf;
    open_shelf(&shelf, 0);
    read_one(&shelf, 0);
    size_t bytes = stats_of(&shelf).bytes;
    close_shelf(&shelf);
    return bytes;
}

static void opening_reads_no_index_and_using_reads_it_once(void **state)
{
    (void)state;
    struct shelf shelf;
    open_shelf(&shelf, 0);
    assert_int_equal(stats_of(&shelf).bytes, 0);
    struct part_cursor *unused = cursor_of(&shelf, 0);
    part_cursor_find(unused, 0, 7);
    part_cursor_free(unused);
    assert_int_equal(stats_of(&shelf).loads, 0);
    for (size_t turn = 0; turn < 3; turn++)
        for (size_t i = 0; i < PARTS; i++)
            read_one(&shelf, i);
    assert_int_equal(stats_of(&shelf).loads, PARTS);
    assert_int_equal(stats_of(&shelf).bytes, PARTS * index_bytes());
    close_shelf(&shelf);
}

static void the_set_of_series_is_read_without_the_index(void **state)
{
    (void)state;
    struct shelf shelf;
    struct error err;
    open_shelf(&shelf, 0);
    roaring_bitmap_t *ids;
    ok(part_series(shelf.parts[0], &ids, &err), &err);
    assert_int_equal(roaring_bitmap_get_cardinality(ids), SERIES);
    roaring_bitmap_free(ids);
    assert_int_equal(stats_of(&shelf).loads, 0);
    close_shelf(&shelf);
}

static void beyond_the_bound_the_index_goes_that_was_not_used_for_longest(void **state)
{
    (void)state;
    struct shelf shelf;
    size_t one = index_bytes();
    open_shelf(&shelf, 3 * one);
    for (size_t i = 0; i < 3; i++)
        read_one(&shelf, i);
    read_one(&shelf, 0);
    read_one(&shelf, 3); /* puts out 1 */
    assert_int_equal(stats_of(&shelf).bytes, 3 * one);
    assert_int_equal(stats_of(&shelf).evictions, 1);
    read_one(&shelf, 0);
    read_one(&shelf, 2);
    read_one(&shelf, 3);
    assert_int_equal(stats_of(&shelf).loads, 4);
    read_one(&shelf, 1);
    assert_int_equal(stats_of(&shelf).loads, 5);
    close_shelf(&shelf);
}

static void what_cursors_hold_stays_and_nothing_fails(void **state)
{
    (void)state;
    struct shelf shelf;
    struct error err;
    size_t one = index_bytes();
    open_shelf(&shelf, 2 * one);
    struct part_cursor *cursors[PARTS];
    const struct part_block *block;
    struct part_loss lost;
    for (size_t i = 0; i < PARTS; i++) {
        cursors[i] = cursor_of(&shelf, i);
        part_cursor_seek(cursors[i], 0, 0);
        ok(part_cursor_next(cursors[i], &block, &lost, &err), &err);
    }
    assert_int_equal(stats_of(&shelf).bytes, PARTS * one);
    for (size_t i = 0; i < PARTS; i++)
        for (uint32_t series = 1; series < SERIES; series++) {
            ok(part_cursor_next(cursors[i], &block, &lost, &err), &err);
            assert_int_equal(block->series, series);
        }
    /* At their end they give back what there is too much of. */
    for (size_t i = 0; i < PARTS; i++)
        assert_int_equal(part_cursor_next(cursors[i], &block, &lost, &err), STATUS_END);
    assert_int_equal(stats_of(&shelf).bytes, 2 * one);
    assert_int_equal(stats_of(&shelf).loads, PARTS);
    for (size_t i = 0; i < PARTS; i++) {
        assert_true(finds(cursors[i], i, SERIES - 1));
        part_cursor_free(cursors[i]);
    }
    assert_int_equal(stats_of(&shelf).bytes, 2 * one);
    close_shelf(&shelf);
}

static void cursors_that_go_from_series_to_series_keep_what_there_is_room_for(void **state)
{
    (void)state;
    struct shelf shelf;
    size_t one = index_bytes();
    open_shelf(&shelf, 4 * one);
    struct part_cursor *cursors[PARTS];
    for (size_t i = 0; i < PARTS; i++)
        cursors[i] = cursor_of(&shelf, i);
    for (uint32_t series = 0; series < 10; series++)
        for (size_t i = 0; i < PARTS; i++) {
            assert_true(finds(cursors[i], i, series * 200));
            assert_true(stats_of(&shelf).bytes <= 5 * one);
        }
    /* Those that found room are not read again, although all are used in turn. */
    assert_true(stats_of(&shelf).loads <= 4 + 10 * (PARTS - 4));
    for (size_t i = 0; i < PARTS; i++)
        part_cursor_free(cursors[i]);
    close_shelf(&shelf);
}

static void flip_byte(const char *path, long from_end)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
    assert_int_not_equal(fputc(byte ^ 1, file), EOF);
    fclose(file);
}

static void a_damaged_index_is_told_once_got_round_and_kept(void **state)
{
    (void)state;
    struct shelf shelf;
    size_t one = index_bytes();
    flip_byte(paths[2], PART_TRAILER_SIZE + 10);
    open_shelf(&shelf, 1);
    assert_null(part_damage(shelf.parts[2]));
    for (uint32_t turn = 0; turn < 3; turn++)
        for (size_t i = 0; i < PARTS; i++)
            read_one(&shelf, i);
    assert_int_equal(shelf.damage, 1);
    assert_non_null(strstr(shelf.message, paths[2]));
    assert_non_null(strstr(shelf.message, "index checksum differs"));
    assert_int_equal(stats_of(&shelf).loads, 1 + 3 * (PARTS - 1));
    assert_true(stats_of(&shelf).bytes >= one);
    close_shelf(&shelf);
    flip_byte(paths[2], PART_TRAILER_SIZE + 10);
}

static void a_page_that_is_lost_with_the_index_is_announced(void **state)
{
    (void)state;
    struct shelf shelf;
    struct error err;
    flip_byte(paths[1], PART_TRAILER_SIZE + 10);
    FILE *file = fopen(paths[1], "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, PART_HEADER_SIZE + 20, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, PART_HEADER_SIZE + 20, SEEK_SET), 0);
    fputc(byte ^ 1, file);
    fclose(file);
    open_shelf(&shelf, 0);
    struct part_cursor *cursor = cursor_of(&shelf, 1);
    const struct part_block *block;
    struct part_loss lost;
    uint64_t good = 0, announced = 0;
    enum status status;
    while ((status = part_cursor_next(cursor, &block, &lost, &err)) != STATUS_END) {
        if (status == STATUS_OK) {
            good += block->count;
        } else {
            assert_int_equal(status, STATUS_CORRUPT);
            announced++;
        }
    }
    assert_int_equal(announced, 1);
    assert_in_range(good, 1, SERIES - 1);
    assert_int_equal(shelf.damage, 1);
    part_cursor_free(cursor);
    close_shelf(&shelf);
    flip_byte(paths[1], PART_TRAILER_SIZE + 10);
    file = fopen(paths[1], "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, PART_HEADER_SIZE + 20, SEEK_SET), 0);
    fputc(byte, file);
    fclose(file);
}

static void a_damaged_trailer_is_found_at_opening_as_ever(void **state)
{
    (void)state;
    struct shelf shelf;
    flip_byte(paths[0], 20);
    open_shelf(&shelf, 1);
    assert_non_null(part_damage(shelf.parts[0]));
    assert_true(stats_of(&shelf).bytes > 0);
    for (uint32_t turn = 0; turn < 2; turn++)
        read_one(&shelf, 0);
    assert_int_equal(stats_of(&shelf).loads, 0);
    close_shelf(&shelf);
    flip_byte(paths[0], 20);
}

struct reader {
    struct shelf *shelf;
    uint32_t number;
    atomic_bool failed;
};

static void read_all_the_time(void *context)
{
    struct reader *reader = context;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        size_t part = (turn * (reader->number + 1) + turn / 7) % PARTS;
        struct part_cursor *cursor;
        if (part_cursor_new(&cursor, reader->shelf->parts[part], NULL) != STATUS_OK) {
            atomic_store(&reader->failed, true);
            return;
        }
        for (uint32_t series = turn; series < SERIES; series += 700)
            if (!finds(cursor, part, series))
                atomic_store(&reader->failed, true);
        part_cursor_free(cursor);
    }
}

static void threads_share_indexes_that_come_and_go(void **state)
{
    (void)state;
    struct shelf shelf;
    struct error err;
    size_t one = index_bytes();
    open_shelf(&shelf, 2 * one);
    struct reader readers[THREADS];
    struct thread *threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        readers[i].shelf = &shelf;
        readers[i].number = i;
        atomic_init(&readers[i].failed, false);
        ok(threads_start(threads_posix(), "reader", read_all_the_time, &readers[i], &threads[i],
                         &err),
           &err);
    }
    for (size_t i = 0; i < THREADS; i++) {
        threads_join(threads_posix(), threads[i]);
        assert_false(atomic_load(&readers[i].failed));
    }
    assert_true(stats_of(&shelf).bytes <= 2 * one);
    close_shelf(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_reads_no_index_and_using_reads_it_once),
        cmocka_unit_test(the_set_of_series_is_read_without_the_index),
        cmocka_unit_test(beyond_the_bound_the_index_goes_that_was_not_used_for_longest),
        cmocka_unit_test(what_cursors_hold_stays_and_nothing_fails),
        cmocka_unit_test(cursors_that_go_from_series_to_series_keep_what_there_is_room_for),
        cmocka_unit_test(a_damaged_index_is_told_once_got_round_and_kept),
        cmocka_unit_test(a_page_that_is_lost_with_the_index_is_announced),
        cmocka_unit_test(a_damaged_trailer_is_found_at_opening_as_ever),
        cmocka_unit_test(threads_share_indexes_that_come_and_go),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
