/* Reads of stored bytes from a disk that does not give back some of them. */
#include "storage/engine/stored_read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/invariant.h"
#include "storage/engine/reading_around.h"

enum { SIZE = 5 * STORED_PAGE_SIZE + 100 };

/* A file whose bytes tell their offset. */
struct bad_file {
    struct file file;
    uint64_t from, to;  /* of what fails */
    uint64_t unit;      /* what is read together: all of it fails where a byte of it does */
    int number;         /* errno */
    unsigned fails_for; /* so many reads of it; UINT32_MAX: for good */
    unsigned reads;
};

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(1 + offset % 251);
}

static enum status bad_read(struct file *file, void *to, size_t size, uint64_t offset, size_t *got,
                            struct error *err)
{
    struct bad_file *self = container_of(file, struct bad_file, file);
    self->reads++;
    *got = offset >= SIZE ? 0 : SIZE - offset < size ? (size_t)(SIZE - offset) : size;
    uint64_t first = offset / self->unit * self->unit;
    uint64_t last = (offset + *got + self->unit - 1) / self->unit * self->unit;
    if (self->fails_for > 0 && first < self->to && last > self->from) {
        self->fails_for -= self->fails_for != UINT32_MAX;
        memset(to, 0xee, *got);
        return fail_errno(err, self->number, "cannot read");
    }
    for (size_t i = 0; i < *got; i++)
        ((uint8_t *)to)[i] = byte_at(offset + i);
    return STATUS_OK;
}

static enum status bad_size(struct file *file, uint64_t *size, struct error *err)
{
    (void)file, (void)err;
    *size = SIZE;
    return STATUS_OK;
}

static void bad_close(struct file *file)
{
    (void)file;
}

static const struct file_ops bad_ops = {.read = bad_read, .size = bad_size, .close = bad_close};

static struct bad_file bad_file(uint64_t from, uint64_t to, uint64_t unit)
{
    return (struct bad_file){.file = {&bad_ops},
                             .from = from,
                             .to = to,
                             .unit = unit,
                             .number = EIO,
                             .fails_for = UINT32_MAX};
}

static void a_read_error_that_stays_is_damage_and_names_its_place(void **state)
{
    (void)state;
    static const int media[] = {EIO, ENODATA, EILSEQ, EUCLEAN, EBADMSG};
    for (size_t i = 0; i < sizeof media / sizeof media[0]; i++) {
        struct bad_file file = bad_file(700, 701, 1);
        uint8_t bytes[300];
        struct error err = {0};
        file.number = media[i];
        assert_int_equal(stored_read_exactly(&file.file, bytes, sizeof bytes, 500, &err),
                         STATUS_CORRUPT);
        assert_int_equal(err.status, STATUS_CORRUPT);
        assert_non_null(strstr(err.message, "bytes 500 to 800"));
        assert_non_null(strstr(err.message, strerror(media[i])));
        assert_int_equal(file.reads, 2);
        assert_int_equal(stored_read_exactly(&file.file, bytes, 200, 500, NULL), STATUS_OK);
        assert_int_equal(stored_read_exactly(&file.file, bytes, 300, 500, NULL), STATUS_CORRUPT);
    }
}

static void a_read_error_that_passes_is_none(void **state)
{
    (void)state;
    struct bad_file file = bad_file(0, SIZE, 1);
    uint8_t bytes[300];
    file.fails_for = 1;
    assert_int_equal(stored_read_exactly(&file.file, bytes, sizeof bytes, 500, NULL), STATUS_OK);
    assert_int_equal(bytes[299], byte_at(799));
}

static void other_failures_are_no_damage_and_not_tried_again(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum status status;
    } others[] = {{ENOMEM, STATUS_MEMORY},   {EBADF, STATUS_IO},  {EINVAL, STATUS_IO},
                  {EISDIR, STATUS_IO},       {ESTALE, STATUS_IO}, {ETIMEDOUT, STATUS_IO},
                  {EAGAIN, STATUS_IO},       {ENXIO, STATUS_IO},  {EACCES, STATUS_IO},
                  {ENOENT, STATUS_NOT_FOUND}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct bad_file file = bad_file(0, SIZE, 1);
        uint8_t bytes[300];
        size_t got;
        uint64_t lost;
        struct error err = {0};
        file.number = others[i].number;
        assert_int_equal(stored_read(&file.file, bytes, sizeof bytes, 0, &got, &err),
                         others[i].status);
        assert_int_equal(err.os_error, others[i].number);
        assert_int_equal(file.reads, 1);
        assert_int_equal(
            stored_read_around(&file.file, bytes, sizeof bytes, 0, &got, &lost, NULL, &err),
            others[i].status);
    }
}

static void the_end_of_the_file_is_told_as_always(void **state)
{
    (void)state;
    struct bad_file file = bad_file(0, 0, 1);
    uint8_t bytes[300];
    size_t got = 0;
    assert_int_equal(stored_read(&file.file, bytes, 300, SIZE - 10, &got, NULL), STATUS_OK);
    assert_int_equal(got, 10);
    assert_int_equal(stored_read_exactly(&file.file, bytes, 11, SIZE - 10, NULL), STATUS_CORRUPT);
}

/* Which bytes of what was read are as they were written: all but [from, to), which are zeros. */
static void expect_all_but(const uint8_t *bytes, size_t size, uint64_t offset, uint64_t from,
                           uint64_t to)
{
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], offset + i >= from && offset + i < to ? 0 : byte_at(offset + i));
}

static void a_search_loses_only_the_sectors_that_are_bad(void **state)
{
    (void)state;
    struct bad_file file = bad_file(5000, 5200, STORED_SECTOR_SIZE);
    static uint8_t bytes[SIZE + 50];
    size_t got = 0;
    uint64_t lost = 0;
    struct error why = {0};
    assert_int_equal(
        stored_read_around(&file.file, bytes, sizeof bytes, 10, &got, &lost, &why, NULL),
        STATUS_OK);
    assert_int_equal(got, SIZE - 10);
    assert_int_equal(lost, 2 * STORED_SECTOR_SIZE);
    assert_non_null(strstr(why.message, "bytes 4608 to 5120"));
    expect_all_but(bytes, got, 10, 4608, 5632);
}

/* As the kernel's cache reads them; each try may take seconds. */
static void a_search_loses_pages_where_sectors_are_not_read_apart(void **state)
{
    (void)state;
    struct bad_file file = bad_file(5000, 10000, STORED_PAGE_SIZE);
    static uint8_t bytes[SIZE];
    size_t got = 0;
    uint64_t lost = 0;
    assert_int_equal(
        stored_read_around(&file.file, bytes, sizeof bytes, 0, &got, &lost, NULL, NULL), STATUS_OK);
    assert_int_equal(lost, 2 * STORED_PAGE_SIZE);
    expect_all_but(bytes, got, 0, 4096, 12288);
    /* The whole twice, six pages, and the sectors of the first that is bad. */
    assert_int_equal(file.reads, 2 + 6 + 8);
}

static void a_search_of_what_can_be_read_is_one_read(void **state)
{
    (void)state;
    struct bad_file file = bad_file(5000, 10000, 1);
    static uint8_t bytes[SIZE];
    size_t got = 0;
    uint64_t lost = 1;
    assert_int_equal(stored_read_around(&file.file, bytes, 4000, 0, &got, &lost, NULL, NULL),
                     STATUS_OK);
    assert_int_equal(got, 4000);
    assert_int_equal(lost, 0);
    assert_int_equal(file.reads, 1);
}

/* ---- a whole file system so -------------------------------------------------------------- */

struct bad_fs {
    struct filesystem fs;
    struct bad_file file;
    unsigned told;
};

static enum status bad_open(struct filesystem *fs, const char *path, enum file_mode mode,
                            struct file **file, struct error *err)
{
    (void)path, (void)mode;
    struct bad_fs *self = container_of(fs, struct bad_fs, fs);
    if (self->file.number == EACCES)
        return fail_errno(err, EACCES, "cannot open");
    *file = &self->file.file;
    return STATUS_OK;
}

static const struct filesystem_ops bad_fs_ops = {.open = bad_open};

static void count_place(void *context, const char *path, const char *description)
{
    struct bad_fs *self = context;
    assert_string_equal(path, "/a/file");
    assert_non_null(strstr(description, "bytes 4608 to 5120"));
    self->told++;
}

static void what_is_read_around_is_told_once(void **state)
{
    (void)state;
    struct bad_fs bad = {.fs = {&bad_fs_ops}, .file = bad_file(5000, 5001, STORED_SECTOR_SIZE)};
    struct reading_around around;
    struct file *file = NULL;
    static uint8_t bytes[SIZE];
    size_t got = 0;
    reading_around_init(&around, &bad.fs, count_place, &bad);
    assert_int_equal(filesystem_open(&around.fs, "/a/file", FILE_READ, &file, NULL), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(file_read(file, bytes, sizeof bytes, 0, &got, NULL), STATUS_OK);
        expect_all_but(bytes, got, 0, 4608, 5120);
    }
    assert_int_equal(bad.told, 1);
    assert_int_equal(around.lost_bytes, 2 * STORED_SECTOR_SIZE);
    file_close(file);
    bad.file.number = EACCES;
    assert_int_equal(filesystem_open(&around.fs, "/a/file", FILE_READ, &file, NULL), STATUS_IO);
    reading_around_release(&around);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_error_that_stays_is_damage_and_names_its_place),
        cmocka_unit_test(a_read_error_that_passes_is_none),
        cmocka_unit_test(other_failures_are_no_damage_and_not_tried_again),
        cmocka_unit_test(the_end_of_the_file_is_told_as_always),
        cmocka_unit_test(a_search_loses_only_the_sectors_that_are_bad),
        cmocka_unit_test(a_search_loses_pages_where_sectors_are_not_read_apart),
        cmocka_unit_test(a_search_of_what_can_be_read_is_one_read),
        cmocka_unit_test(what_is_read_around_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
