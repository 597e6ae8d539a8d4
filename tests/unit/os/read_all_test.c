#include "../test.h"

#include "os/read_all.h"

#include "../files.h"

static char large[10000];

static enum status read_with_room(const struct test_file *contents, size_t room,
                                  struct bytes *bytes, struct error *err)
{
    struct test_files files = test_files_of(contents);
    bytes_init(bytes, room);
    enum status status = filesystem_read_all(&files.fs, "/a", bytes, err);
    assert_int_equal(files.open_count, 0);
    return status;
}

static void a_file_is_read_to_its_end_and_no_further_than_the_room(void **state)
{
    (void)state;
    struct bytes bytes;
    struct error err;
    memset(large, 'x', sizeof large);
    const struct test_file files[] = {{.path = "/a", .text = large, .size = sizeof large}, {0}};
    assert_int_equal(read_with_room(files, sizeof large, &bytes, &err), STATUS_OK);
    assert_true(slice_equal(bytes_slice(&bytes), slice_of(large, sizeof large)));
    bytes_release(&bytes);
    assert_int_equal(read_with_room(files, sizeof large - 1, &bytes, &err), STATUS_LIMIT);
    assert_string_equal(err.message, "/a is larger than 9999 bytes");
    bytes_release(&bytes);
}

static void a_file_of_whole_steps_and_an_empty_file_end_where_they_end(void **state)
{
    (void)state;
    struct bytes bytes;
    struct error err;
    const struct test_file two_steps[] = {{.path = "/a", .text = large, .size = 8192}, {0}};
    assert_int_equal(read_with_room(two_steps, sizeof large, &bytes, &err), STATUS_OK);
    assert_int_equal(bytes.size, 8192);
    bytes_release(&bytes);
    const struct test_file empty[] = {{.path = "/a", .text = ""}, {0}};
    assert_int_equal(read_with_room(empty, 0, &bytes, &err), STATUS_OK);
    assert_int_equal(bytes.size, 0);
    bytes_release(&bytes);
}

static void failures_to_open_and_to_read_come_through(void **state)
{
    (void)state;
    struct bytes bytes;
    struct error err;
    const struct test_file none[] = {{0}};
    assert_int_equal(read_with_room(none, 10, &bytes, &err), STATUS_NOT_FOUND);
    bytes_release(&bytes);
    const struct test_file broken[] = {{.path = "/a", .text = "x", .unreadable = true}, {0}};
    assert_int_equal(read_with_room(broken, 10, &bytes, &err), STATUS_IO);
    bytes_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_to_its_end_and_no_further_than_the_room),
        cmocka_unit_test(a_file_of_whole_steps_and_an_empty_file_end_where_they_end),
        cmocka_unit_test(failures_to_open_and_to_read_come_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
