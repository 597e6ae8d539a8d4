#include "../../test.h"

#include <unistd.h>

#include "segment_model.h"

#define PATH "/tmp/series_segment_test.seg"

static struct series_segment *segment_of(const struct model *model, const char *path, uint64_t id)
{
    struct series_segment_stats stats;
    struct series_segment_stats told;
    struct series_segment *segment = NULL;
    struct error err = {0};
    (void)unlink(path);
    if (model_write(model, filesystem_posix(), path, id, &stats, &err) != STATUS_OK ||
        series_segment_open(&segment, os_system(), path, id, &err) != STATUS_OK)
        test_fail("%s", err.message);
    series_segment_stats(segment, &told);
    assert_memory_equal(&stats, &told, sizeof stats);
    return segment;
}

static void expect_same(const struct model *model, const struct series_segment *segment)
{
    char wrong[512] = "";
    if (!model_agrees(model, segment, wrong))
        test_fail("%s", wrong);
}

static void a_segment_answers_as_the_model_of_its_series(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        uint32_t first_id, last_id;
        bool long_values;
    } cases[] = {
        {1, 0, 0, false},
        {1, UINT32_MAX - 2, UINT32_MAX - 2, false},
        {2, 65535, 65536, false},
        {300, 7, 400, true},
        {1024, 0, 1023, false},
        {1025, 100, UINT32_MAX - 2, false},
        {6000, 65000, UINT32_MAX - 2, false},
        {3000, 0, 4000, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model model;
        model_init(&model, i + 1);
        model_fill(&model, 1000 + i, cases[i].count, cases[i].first_id, cases[i].last_id,
                   cases[i].long_values);
        model_finish(&model);
        struct series_segment *segment = segment_of(&model, PATH, 10 + i);
        expect_same(&model, segment);
        series_segment_close(segment);
        model_release(&model);
    }
    (void)unlink(PATH);
}

static void a_segment_may_be_empty(void **state)
{
    (void)state;
    struct model model;
    model_init(&model, 1);
    model_finish(&model);
    struct series_segment *segment = segment_of(&model, PATH, 1);
    expect_same(&model, segment);
    assert_false(series_segment_has(segment, 0));
    series_segment_close(segment);
    model_release(&model);
    (void)unlink(PATH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_answers_as_the_model_of_its_series),
        cmocka_unit_test(a_segment_may_be_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
