#include "../test.h"

#include "commands/progress.h"

#define SECOND_NS INT64_C(1000000000)

static void a_known_total_gives_a_bar_a_rate_and_what_is_left(void **state)
{
    (void)state;
    char line[PROGRESS_LINE_SIZE];
    progress_format(line, "import", 0, 5 << 20, 10 << 20, 2 * SECOND_NS);
    assert_string_equal(line, "import  [##########----------]  50%  5.0 of 10.0 MiB  2.5 MiB/s"
                              "  2s left");
}

static void an_unknown_total_gives_what_is_done_and_a_rate(void **state)
{
    (void)state;
    char line[PROGRESS_LINE_SIZE];
    progress_format(line, "export", 0, 3 << 10, 0, SECOND_NS);
    assert_string_equal(line, "export  3.0 KiB  3.0 KiB/s");
}

static void the_first_moments_say_nothing_of_the_rate(void **state)
{
    (void)state;
    char line[PROGRESS_LINE_SIZE];
    progress_format(line, "verify", 0, 1, 1000, SECOND_NS / 10);
    assert_string_equal(line, "verify  [--------------------]   0%  1.0 of 1000.0 B");
    progress_format(line, "verify", 0, 0, 1000, 60 * SECOND_NS);
    assert_string_equal(line, "verify  [--------------------]   0%  0.0 of 1000.0 B");
}

static void what_an_earlier_run_did_is_told_apart_and_is_no_speed(void **state)
{
    (void)state;
    char line[PROGRESS_LINE_SIZE];
    progress_format(line, "import", 4 << 20, 8 << 20, 10 << 20, 2 * SECOND_NS);
    assert_string_equal(line, "import  [========########----]  80%  8.0 of 10.0 MiB  2.0 MiB/s"
                              "  1s left");
    progress_format(line, "import", 9 << 20, 5 << 20, 10 << 20, 2 * SECOND_NS);
    assert_string_equal(line, "import  [==========----------]  50%  5.0 of 10.0 MiB");
}

static void a_file_that_grew_while_it_was_read_is_at_most_whole(void **state)
{
    (void)state;
    char line[PROGRESS_LINE_SIZE];
    progress_format(line, "import", 0, 2000, 1000, SECOND_NS);
    assert_string_equal(line, "import  [####################] 100%  1000.0 of 1000.0 B"
                              "  1000.0 B/s  0s left");
}

static void a_line_never_leaves_its_buffer(void **state)
{
    (void)state;
    char name[2 * PROGRESS_LINE_SIZE];
    char line[PROGRESS_LINE_SIZE];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    size_t size = progress_format(line, name, 0, UINT64_MAX, UINT64_MAX, SECOND_NS);
    assert_int_equal(size, PROGRESS_LINE_SIZE - 1);
    assert_int_equal(strlen(line), size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_total_gives_a_bar_a_rate_and_what_is_left),
        cmocka_unit_test(an_unknown_total_gives_what_is_done_and_a_rate),
        cmocka_unit_test(the_first_moments_say_nothing_of_the_rate),
        cmocka_unit_test(what_an_earlier_run_did_is_told_apart_and_is_no_speed),
        cmocka_unit_test(a_file_that_grew_while_it_was_read_is_at_most_whole),
        cmocka_unit_test(a_line_never_leaves_its_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
