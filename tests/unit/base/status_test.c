#include "../test.h"

#include <errno.h>

#include "base/status.h"

static void every_status_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = STATUS_OK; a <= STATUS_UNAVAILABLE; a++) {
        assert_string_not_equal(status_name((enum status)a), "unknown");
        for (int b = STATUS_OK; b < a; b++)
            assert_string_not_equal(status_name((enum status)a), status_name((enum status)b));
    }
    assert_string_equal(status_name((enum status)(STATUS_UNAVAILABLE + 1)), "unknown");
}

static void fail_fills_the_error_and_returns_the_status(void **state)
{
    (void)state;
    struct error err = {.code = "left over"};
    assert_int_equal(fail(&err, STATUS_CORRUPT, "part %d: %s", 17, "checksum differs"),
                     STATUS_CORRUPT);
    assert_int_equal(err.status, STATUS_CORRUPT);
    assert_null(err.code);
    assert_string_equal(err.message, "part 17: checksum differs");
}

static void fail_code_keeps_the_code(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(fail_code(&err, STATUS_LIMIT, "labels_too_large", "too large"), STATUS_LIMIT);
    assert_string_equal(err.code, "labels_too_large");
    assert_string_equal(err.message, "too large");
}

static void no_error_to_fill_still_gives_the_status(void **state)
{
    (void)state;
    assert_int_equal(fail(NULL, STATUS_IO, "%s", "x"), STATUS_IO);
    assert_int_equal(fail_code(NULL, STATUS_BUSY, "busy", "%s", "x"), STATUS_BUSY);
    assert_int_equal(fail_errno(NULL, ENOSPC, "%s", "x"), STATUS_NO_SPACE);
    error_prefix(NULL, "%s", "x");
}

static void errno_decides_between_no_space_memory_not_found_and_io(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum status status;
    } cases[] = {
        {ENOSPC, STATUS_NO_SPACE}, {EDQUOT, STATUS_NO_SPACE},  {EROFS, STATUS_NO_SPACE},
        {ENOMEM, STATUS_MEMORY},   {ENOENT, STATUS_NOT_FOUND}, {EIO, STATUS_IO},
        {EACCES, STATUS_IO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err;
        assert_int_equal(fail_errno(&err, cases[i].number, "cannot open %s", "a/b"),
                         cases[i].status);
        assert_int_equal(err.status, cases[i].status);
    }
}

static void errno_text_follows_the_message(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(fail_errno(&err, ENOSPC, "cannot write %s", "wal/7"), STATUS_NO_SPACE);
    assert_string_equal(err.message, "cannot write wal/7: No space left on device");
}

static void prefix_goes_before_and_keeps_status_and_code(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(fail_code(&err, STATUS_INVALID, "label_invalid", "bad name"), STATUS_INVALID);
    error_prefix(&err, "line %d", 3);
    assert_string_equal(err.message, "line 3: bad name");
    assert_int_equal(err.status, STATUS_INVALID);
    assert_string_equal(err.code, "label_invalid");
}

static void suffix_goes_behind_and_keeps_what_the_system_said(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(fail_errno(&err, EACCES, "cannot write %s", "wal/7"), STATUS_IO);
    error_suffix(&err, "ask %s", "root");
    assert_string_equal(err.message, "cannot write wal/7: Permission denied; ask root");
    assert_int_equal(err.os_error, EACCES);
    error_suffix(NULL, "nobody listens");
}

static void want_of_rights_is_told_from_other_failures(void **state)
{
    (void)state;
    struct error err = {0};
    assert_false(error_not_allowed(&err));
    assert_int_equal(fail_errno(&err, EACCES, "no"), STATUS_IO);
    assert_true(error_not_allowed(&err));
    assert_int_equal(fail_errno(&err, EPERM, "no"), STATUS_IO);
    assert_true(error_not_allowed(&err));
    assert_int_equal(fail_errno(&err, EIO, "no"), STATUS_IO);
    assert_false(error_not_allowed(&err));
}

static void messages_that_are_too_long_are_cut_and_terminated(void **state)
{
    (void)state;
    char text[2 * ERROR_MESSAGE_SIZE];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    struct error err;
    assert_int_equal(fail(&err, STATUS_IO, "%s", text), STATUS_IO);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
    error_prefix(&err, "%s", "front");
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
    assert_memory_equal(err.message, "front: xxx", 10);
    error_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
    assert_int_equal(fail_errno(&err, EIO, "%s", text), STATUS_IO);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
    error_suffix(&err, "%s", text);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
    assert_int_equal(fail(&err, STATUS_IO, "why"), STATUS_IO);
    error_suffix(&err, "%s", text);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_of_its_own),
        cmocka_unit_test(fail_fills_the_error_and_returns_the_status),
        cmocka_unit_test(fail_code_keeps_the_code),
        cmocka_unit_test(no_error_to_fill_still_gives_the_status),
        cmocka_unit_test(errno_decides_between_no_space_memory_not_found_and_io),
        cmocka_unit_test(errno_text_follows_the_message),
        cmocka_unit_test(prefix_goes_before_and_keeps_status_and_code),
        cmocka_unit_test(suffix_goes_behind_and_keeps_what_the_system_said),
        cmocka_unit_test(want_of_rights_is_told_from_other_failures),
        cmocka_unit_test(messages_that_are_too_long_are_cut_and_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
