/*
 * Parts that are damaged: no bit, cut or exchange gives a wrong sample, all is announced, and what
 * is not damaged is still there.
 */
#include "../../test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/hash.h"
#include "part_fixture.h"
#include "random_series.h"
#include "storage/engine/part_page.h"

struct image {
    uint8_t *data;
    size_t size;
};

static struct image read_image(const char *name)
{
    struct stat info;
    assert_int_equal(stat(name, &info), 0);
    struct image image = {malloc((size_t)info.st_size), (size_t)info.st_size};
    FILE *file = fopen(name, "rb");
    assert_int_equal(fread(image.data, 1, image.size, file), image.size);
    fclose(file);
    return image;
}

static void write_image(const char *name, const uint8_t *data, size_t size)
{
    FILE *file = fopen(name, "wb");
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

/* In place: a file written anew for every bit would be flushed to the disk every time. */
static void flip_bit(const char *name, size_t offset, unsigned bit)
{
    FILE *file = fopen(name, "r+b");
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 1 << bit, file), EOF);
    fclose(file);
}

/* Where what stands behind the pages begins. */
static size_t frame_start(const char *name, const struct part_totals *totals)
{
    uint8_t bytes[PART_TRAILER_SIZE];
    struct part_trailer trailer;
    struct file *file;
    struct error err;
    part_ok(filesystem_open(filesystem_posix(), name, FILE_READ, &file, &err), &err);
    part_ok(file_read_exactly(file, bytes, sizeof bytes, totals->bytes - sizeof bytes, &err), &err);
    file_close(file);
    part_ok(part_trailer_decode(bytes, totals->bytes, &trailer, &err), &err);
    assert_true(trailer.set_size > 0);
    return (size_t)(trailer.index_offset - trailer.set_size);
}

/* A part that may be damaged says of all its series, and of no others, or that it does not know. */
static void assert_right_series(const char *name, const struct part_model *model)
{
    struct part *part;
    struct error err;
    roaring_bitmap_t *ids;
    if (part_open(&part, filesystem_posix(), name, &err) != STATUS_OK)
        return;
    enum status status = part_series(part, &ids, &err);
    if (status == STATUS_OK) {
        assert_int_equal(roaring_bitmap_get_cardinality(ids), model->count);
        for (size_t i = 0; i < model->count; i++)
            assert_true(roaring_bitmap_contains(ids, model->series[i].id));
        roaring_bitmap_free(ids);
    } else {
        assert_int_equal(status, STATUS_CORRUPT);
    }
    part_close(part);
}

static void small_model(struct part_model *model)
{
    part_model_make(model, 60, 40, 60);
}

static uint64_t count_damage(const char *name)
{
    struct part *part;
    struct error err;
    if (part_open(&part, filesystem_posix(), name, &err) != STATUS_OK)
        return 1;
    uint64_t found;
    part_ok(part_verify(part, part_damage_names_path, (void *)(uintptr_t)name, &found, &err), &err);
    part_close(part);
    return found;
}

static void a_flipped_bit_in_any_byte_is_detected_and_never_a_wrong_sample(void **state)
{
    const struct part_files *files = *state;
    static struct part_model model;
    small_model(&model);
    struct part_totals totals;
    part_model_write(&model, files->path, 1, &totals);
    size_t frame_from = frame_start(files->path, &totals);
    assert_right_series(files->path, &model);
    for (size_t i = 0; i < totals.bytes; i++) {
        flip_bit(files->path, i, i % 8);
        assert_true(count_damage(files->path) > 0);
        size_t missing = part_model_lost(files->path, &model);
        assert_right_series(files->path, &model);
        /* Header, set, index and trailer stand in for one another. */
        bool frame = i < PART_HEADER_SIZE || i >= frame_from;
        if (frame)
            assert_int_equal(missing, 0);
        else
            assert_true(missing > 0 && missing != SIZE_MAX);
        flip_bit(files->path, i, i % 8);
    }
    assert_int_equal(count_damage(files->path), 0);
    part_model_release(&model);
}

static void a_damaged_block_costs_that_block_alone(void **state)
{
    const struct part_files *files = *state;
    enum { COUNT = 100 };
    static struct part_model model;
    model.count = 10;
    struct dice dice = {70};
    for (uint32_t i = 0; i < 10; i++) {
        struct part_model_series *series = &model.series[i];
        *series = (struct part_model_series){.metric = 1, .id = i, .count = COUNT};
        series->times = malloc(COUNT * sizeof *series->times);
        series->values = malloc(COUNT * sizeof *series->values);
        random_times(&dice, TIMES_STEADY, PART_DAY_START, series->times, COUNT);
        random_values(&dice, VALUES_FLOATS, series->values, COUNT);
    }
    struct part_totals totals;
    part_model_write(&model, files->path, 1, &totals);
    struct image image = read_image(files->path);
    image.data[PART_HEADER_SIZE + 1000] ^= 1;
    write_image(files->other_path, image.data, image.size);
    assert_int_equal(part_model_lost(files->other_path, &model), COUNT);
    free(image.data);
    part_model_release(&model);
}

static void a_file_cut_anywhere_is_detected_and_never_a_wrong_sample(void **state)
{
    const struct part_files *files = *state;
    static struct part_model model;
    small_model(&model);
    struct part_totals totals;
    part_model_write(&model, files->path, 1, &totals);
    assert_int_equal(part_model_lost(files->path, &model), 0);
    for (size_t size = totals.bytes; size-- > 0;) {
        assert_int_equal(truncate(files->path, (off_t)size), 0);
        assert_true(count_damage(files->path) > 0);
        part_model_lost(files->path, &model);
    }
    part_model_release(&model);
}

static void without_trailer_and_index_all_pages_are_found_again(void **state)
{
    const struct part_files *files = *state;
    static struct part_model model;
    part_model_make(&model, 80, PART_MODEL_MAX_SERIES, 2000);
    struct part_totals totals;
    part_model_write(&model, files->path, 1, &totals);
    assert_true(totals.pages > 3);
    struct image image = read_image(files->path);
    image.data[image.size - 1] ^= 0x80;
    write_image(files->other_path, image.data, image.size);
    struct part *part = part_fixture_open(files->other_path);
    assert_non_null(part_damage(part));
    assert_memory_equal(part_totals(part), &totals, sizeof totals);
    part_close(part);
    assert_int_equal(part_model_lost(files->other_path, &model), 0);

    /* A damaged page as well: what it held is announced, the others are still there. */
    part = part_fixture_open(files->path);
    struct part_cursor *cursor;
    struct error err;
    part_ok(part_cursor_new(&cursor, part, &err), &err);
    part_cursor_free(cursor);
    part_close(part);
    size_t middle = image.size / 2;
    while (load_u32(image.data + middle) != PART_PAGE_MAGIC)
        middle++;
    image.data[middle + 30] ^= 1;
    write_image(files->other_path, image.data, image.size);
    size_t missing = part_model_lost(files->other_path, &model);
    assert_true(missing > 0 && missing < totals.samples / 2);
    free(image.data);
    part_model_release(&model);
}

static void bytes_of_another_place_or_part_are_refused(void **state)
{
    const struct part_files *files = *state;
    static struct part_model model;
    small_model(&model);
    struct part_totals totals;
    part_model_write(&model, files->path, 1, &totals);
    part_model_write(&model, files->other_path, 2, &totals);
    struct image image = read_image(files->path);
    struct image other = read_image(files->other_path);
    assert_int_equal(image.size, other.size);
    /* The same samples, but of another part: sound where they came from, refused here. */
    size_t half = PART_HEADER_SIZE + (image.size - PART_HEADER_SIZE) / 2;
    memcpy(image.data + PART_HEADER_SIZE, other.data + PART_HEADER_SIZE, half - PART_HEADER_SIZE);
    write_image(files->other_path, image.data, image.size);
    assert_true(count_damage(files->other_path) > 0);
    part_model_lost(files->other_path, &model);
    free(image.data);
    free(other.data);
    part_model_release(&model);
}

static void time_columns_that_changed_places_are_refused(void **state)
{
    const struct part_files *files = *state;
    enum { COUNT = 50 };
    static struct part_model model;
    model.count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        struct part_model_series *series = &model.series[i];
        *series = (struct part_model_series){.metric = 1, .id = i, .count = COUNT};
        series->times = malloc(COUNT * sizeof *series->times);
        series->values = malloc(COUNT * sizeof *series->values);
        for (size_t t = 0; t < COUNT; t++) {
            series->times[t] = PART_DAY_START + (int64_t)t * 1000;
            series->values[t] = (double)t;
        }
        series->times[10 + i] += 1;
    }
    struct part_totals totals;
    part_model_write(&model, files->path, 1, &totals);
    struct part *part = part_fixture_open(files->path);
    struct part_cursor *cursor;
    struct error err;
    struct part_loss lost;
    const struct part_block *block;
    uint64_t offsets[2];
    size_t size = 0;
    part_ok(part_cursor_new(&cursor, part, &err), &err);
    part_cursor_seek(cursor, 0, 0);
    for (size_t i = 0; i < 2; i++) {
        part_ok(part_cursor_next(cursor, &block, &lost, &err), &err);
        offsets[i] = block->times_offset;
        assert_true(i == 0 || size == block->times_size);
        size = block->times_size;
    }
    part_cursor_free(cursor);
    part_close(part);
    struct image image = read_image(files->path);
    uint8_t column[256];
    assert_true(size > 0 && size <= sizeof column);
    memcpy(column, image.data + offsets[0], size);
    memmove(image.data + offsets[0], image.data + offsets[1], size);
    memcpy(image.data + offsets[1], column, size);
    write_image(files->other_path, image.data, image.size);
    assert_int_equal(part_model_lost(files->other_path, &model), 2 * COUNT);
    free(image.data);
    part_model_release(&model);
}

static void a_later_version_is_named_not_guessed(void **state)
{
    const struct part_files *files = *state;
    static struct part_model model;
    small_model(&model);
    struct part_totals totals;
    part_model_write(&model, files->path, 1, &totals);
    struct image image = read_image(files->path);
    store_u32(image.data + 8, 3);
    store_u32(image.data + 48, crc32c(0, image.data, 48));
    write_image(files->other_path, image.data, image.size);
    struct part *part;
    struct error err;
    assert_int_equal(part_open(&part, filesystem_posix(), files->other_path, &err),
                     STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "version 3"));
    assert_null(part);
    free(image.data);
    part_model_release(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_in_any_byte_is_detected_and_never_a_wrong_sample),
        cmocka_unit_test(a_damaged_block_costs_that_block_alone),
        cmocka_unit_test(a_file_cut_anywhere_is_detected_and_never_a_wrong_sample),
        cmocka_unit_test(without_trailer_and_index_all_pages_are_found_again),
        cmocka_unit_test(bytes_of_another_place_or_part_are_refused),
        cmocka_unit_test(time_columns_that_changed_places_are_refused),
        cmocka_unit_test(a_later_version_is_named_not_guessed),
    };
    return cmocka_run_group_tests(tests, part_fixture_set_up, part_fixture_tear_down);
}
