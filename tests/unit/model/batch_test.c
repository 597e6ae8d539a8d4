#include "../test.h"

#include "model/batch.h"

static void columns_keep_what_was_added_while_they_grow(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct batch batch;
    batch_init(&batch, &arena, NULL, 1);
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t series;
        assert_int_equal(batch_add_series(&batch, slice_from_text("x"), i, i + 1, &series),
                         STATUS_OK);
        assert_int_equal(series, i);
        assert_int_equal(batch_add_sample(&batch, series, (int64_t)i * 10, i), STATUS_OK);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(batch.series[i].line, i + 1);
        assert_int_equal(batch.series[i].id, SERIES_ID_NONE);
        assert_int_equal(batch.sample_series[i], i);
        assert_int_equal(batch.sample_times[i], (int64_t)i * 10);
        assert_true(batch.sample_values[i] == i);
    }
    arena_release(&arena);
}

static void a_full_arena_refuses_and_keeps_the_columns_whole(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 16 * 1024);
    struct batch batch;
    batch_init(&batch, &arena, NULL, 1);
    enum status status = STATUS_OK;
    uint32_t series;
    size_t added = 0;
    while ((status = batch_add_series(&batch, slice_from_text("x"), 0, 0, &series)) == STATUS_OK &&
           (status = batch_add_sample(&batch, series, 1, 2)) == STATUS_OK)
        added++;
    assert_int_equal(status, STATUS_LIMIT);
    assert_int_equal(batch.sample_count, added);
    arena_release(&arena);
}

static void refusals_beyond_the_list_are_still_counted(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct batch batch;
    batch_init(&batch, &arena, NULL, 1);
    for (uint32_t i = 0; i < 150; i++)
        batch_reject(&batch, 2, i, i, "label_invalid", slice_from_text("m"), "reason %u", i);
    batch_reject(&batch, 1, 150, 150, "label_limit", slice_from_text("m"), "another reason");
    assert_int_equal(batch.rejected, 301);
    assert_int_equal(batch.reason_count, 2);
    assert_int_equal(batch.reasons[0].samples, 300);
    assert_string_equal(batch.reasons[1].code, "label_limit");
    assert_int_equal(batch.reasons[1].samples, 1);
    assert_int_equal(batch.rejection_count, BATCH_MAX_REJECTIONS);
    assert_true(slice_equal_text(batch.rejections[7].message, "reason 7"));
    batch_warn(&batch, "same");
    batch_warn(&batch, "same");
    assert_int_equal(batch.warning_count, 1);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_keep_what_was_added_while_they_grow),
        cmocka_unit_test(a_full_arena_refuses_and_keeps_the_columns_whole),
        cmocka_unit_test(refusals_beyond_the_list_are_still_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
