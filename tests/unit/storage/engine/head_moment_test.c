/* Entries of a head as of one moment, copied while the appender goes on. */
#include "../../pseudo_random.h"
#include "../../test.h"

#include "storage/engine/head.h"

enum { SERIES = 500, MOMENTS = 4 };

static void append(struct head *head, uint32_t id)
{
    int64_t time_ms = 1000;
    double value = 1;
    head_reserve_begin(head);
    assert_int_equal(head_reserve(head, &id, 1), STATUS_OK);
    head_append(head, &id, &time_ms, &value, 1);
}

static void append_some(struct head *head, uint64_t *random, int count)
{
    for (int i = 0; i < count; i++)
        append(head, random_below(random, SERIES));
}

static bool same(struct head_entry a, struct head_entry b)
{
    return a.first == b.first && a.last == b.last && a.count == b.count && a.in_last == b.in_last &&
           a.disordered == b.disordered;
}

struct copying {
    struct head_moment moment;
    struct head_entry wanted[SERIES]; /* when it began */
    struct head_entry entries[SERIES];
    uint32_t ids[SERIES];
    uint32_t copied;
};

static void begin(struct copying *copying, struct head *head)
{
    assert_int_equal(head_moment_init(&copying->moment), STATUS_OK);
    head_moment_begin(&copying->moment, head);
    copying->copied = 0;
    for (uint32_t i = 0; i < SERIES; i++) {
        copying->ids[i] = i;
        copying->wanted[i] = head_entry(head, i);
    }
}

static void copy(struct copying *copying, const struct head *head, uint32_t count)
{
    for (; count > 0 && copying->copied < SERIES; count--, copying->copied++)
        copying->entries[copying->copied] = head_entry(head, copying->copied);
}

static void end_and_check(struct copying *copying)
{
    head_moment_end(&copying->moment);
    assert_true(head_moment_restore(&copying->moment, copying->ids, copying->entries, SERIES));
    for (uint32_t i = 0; i < SERIES; i++)
        assert_true(same(copying->entries[i], copying->wanted[i]));
    head_moment_release(&copying->moment);
}

static void what_is_copied_late_is_put_back_to_what_it_was(void **state)
{
    (void)state;
    uint64_t random = 1;
    struct head *head;
    assert_int_equal(head_new(&head, 64 << 20), STATUS_OK);
    append_some(head, &random, 2000);
    struct copying copying;
    begin(&copying, head);
    while (copying.copied < SERIES) {
        copy(&copying, head, 7);
        append_some(head, &random, 100);
    }
    end_and_check(&copying);
    head_free(head);
}

static void moments_that_overlap_do_not_disturb_each_other(void **state)
{
    (void)state;
    uint64_t random = 2;
    struct head *head;
    assert_int_equal(head_new(&head, 64 << 20), STATUS_OK);
    static struct copying copyings[MOMENTS];
    bool open[MOMENTS] = {false};
    for (int round = 0; round < 3000; round++) {
        append_some(head, &random, 1 + (int)random_below(&random, 60));
        uint32_t which = random_below(&random, MOMENTS);
        if (!open[which])
            begin(&copyings[which], head);
        else if (copyings[which].copied == SERIES)
            end_and_check(&copyings[which]);
        else
            copy(&copyings[which], head, 1 + random_below(&random, 200));
        open[which] = copyings[which].moment.first != NULL;
    }
    for (int i = 0; i < MOMENTS; i++)
        if (open[i]) {
            copy(&copyings[i], head, SERIES);
            end_and_check(&copyings[i]);
        }
    head_free(head);
}

static void a_flood_during_a_moment_is_told_and_the_next_moment_is_sound(void **state)
{
    (void)state;
    uint64_t random = 3;
    struct head *head;
    assert_int_equal(head_new(&head, 64 << 20), STATUS_OK);
    static struct copying flooded;
    begin(&flooded, head);
    copy(&flooded, head, SERIES);
    append_some(head, &random, (1024 + 2) * 1024 * 101 / 100);
    head_moment_end(&flooded.moment);
    assert_false(head_moment_restore(&flooded.moment, flooded.ids, flooded.entries, SERIES));
    head_moment_release(&flooded.moment);
    struct copying copying;
    begin(&copying, head);
    append_some(head, &random, 5000);
    copy(&copying, head, SERIES);
    end_and_check(&copying);
    head_free(head);
}

static void a_moment_that_was_given_up_leaves_nothing(void **state)
{
    (void)state;
    struct head *head;
    assert_int_equal(head_new(&head, 1 << 20), STATUS_OK);
    struct head_moment moment;
    assert_int_equal(head_moment_init(&moment), STATUS_OK);
    head_moment_end(&moment);
    head_moment_release(&moment);
    assert_int_equal(head_moment_init(&moment), STATUS_OK);
    head_moment_begin(&moment, head);
    append(head, 1);
    head_moment_end(&moment);
    head_moment_release(&moment);
    head_moment_release(&moment);
    append(head, 1);
    head_free(head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_copied_late_is_put_back_to_what_it_was),
        cmocka_unit_test(moments_that_overlap_do_not_disturb_each_other),
        cmocka_unit_test(a_flood_during_a_moment_is_told_and_the_next_moment_is_sound),
        cmocka_unit_test(a_moment_that_was_given_up_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
