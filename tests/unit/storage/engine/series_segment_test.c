#include "../../test.h"

#include <unistd.h>

#include "segment_model.h"

#define PATH "/tmp/series_segment_test.seg"

static struct series_segment *segment_of(const struct segment_model *model, const char *path,
                                         uint64_t id)
{
    struct series_segment_stats stats;
    struct series_segment_stats told;
    struct series_segment *segment = NULL;
    struct error err = {0};
    (void)unlink(path);
    if (segment_model_write(model, filesystem_posix(), path, id, &stats, &err) != STATUS_OK ||
        series_segment_open(&segment, os_system(), path, id, &err) != STATUS_OK)
        test_fail("%s", err.message);
    series_segment_stats(segment, &told);
    assert_memory_equal(&stats, &told, sizeof stats);
    return segment;
}

static void expect_same(const struct segment_model *model, const struct series_segment *segment)
{
    char wrong[512] = "";
    if (!segment_model_agrees(model, segment, wrong))
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
        struct segment_model model;
        segment_model_init(&model, i + 1);
        segment_model_fill(&model, 1000 + i, cases[i].count, cases[i].first_id, cases[i].last_id,
                           cases[i].long_values);
        segment_model_finish(&model);
        struct series_segment *segment = segment_of(&model, PATH, 10 + i);
        expect_same(&model, segment);
        series_segment_close(segment);
        segment_model_release(&model);
    }
    (void)unlink(PATH);
}

static void a_segment_may_be_empty(void **state)
{
    (void)state;
    struct segment_model model;
    segment_model_init(&model, 1);
    segment_model_finish(&model);
    struct series_segment *segment = segment_of(&model, PATH, 1);
    expect_same(&model, segment);
    assert_false(series_segment_has(segment, 0));
    series_segment_close(segment);
    segment_model_release(&model);
    (void)unlink(PATH);
}

/* ---- merging ---------------------------------------------------------------------------- */

enum { MERGED = 5, MERGED_COUNT = 700 };

/* Models whose ids lie between each other: id % MERGED is the model's number. */
static void fill_interleaved(struct segment_model *models, uint64_t seed)
{
    for (uint32_t i = 0; i < MERGED; i++) {
        struct segment_model dense;
        segment_model_init(&dense, 9);
        segment_model_fill(&dense, seed + i, MERGED_COUNT, 0, 40000000, i == 1);
        segment_model_init(&models[i], 9);
        for (size_t j = 0; j < dense.count; j++)
            segment_model_add(&models[i], dense.series[j].id * MERGED + i, dense.series[j].metric,
                              &dense.series[j].labels);
        segment_model_finish(&models[i]);
        segment_model_release(&dense);
    }
}

/* The model of all of them, without some ids. */
static void add_all(struct segment_model *all, const struct segment_model *models,
                    const roaring_bitmap_t *without)
{
    size_t next[MERGED] = {0};
    segment_model_init(all, 9);
    for (;;) {
        const struct model_series *first = NULL;
        size_t of = 0;
        for (size_t i = 0; i < MERGED; i++)
            if (next[i] < models[i].count &&
                (first == NULL || models[i].series[next[i]].id < first->id))
                first = &models[of = i].series[next[i]];
        if (first == NULL)
            break;
        next[of]++;
        if (without == NULL || !roaring_bitmap_contains(without, first->id))
            segment_model_add(all, first->id, first->metric, &first->labels);
    }
    segment_model_finish(all);
}

static roaring_bitmap_t *some_ids(const struct segment_model *models, int which)
{
    roaring_bitmap_t *ids = roaring_bitmap_create();
    for (size_t i = 0; i < MERGED; i++)
        for (size_t j = 0; j < models[i].count; j++)
            if (which == 3 || (which == 2 ? i != 2 : (i + j) % 3 == 0))
                roaring_bitmap_add(ids, models[i].series[j].id);
    return ids;
}

static void a_merge_equals_a_segment_of_all_series(void **state)
{
    (void)state;
    struct segment_model models[MERGED];
    struct series_segment *segments[MERGED];
    fill_interleaved(models, 50);
    for (uint32_t i = 0; i < MERGED; i++) {
        char path[64];
        snprintf(path, sizeof path, PATH "%u", i);
        segments[i] = segment_of(&models[i], path, i);
        (void)unlink(path);
    }
    /* Without nothing, without a third, all but one segment's, without everything. */
    for (int which = 0; which < 4; which++) {
        roaring_bitmap_t *without = which == 0 ? NULL : some_ids(models, which);
        struct segment_model all;
        struct series_segment *merged = NULL;
        struct series_segment_stats stats;
        struct error err = {0};
        add_all(&all, models, without);
        (void)unlink(PATH);
        if (series_segment_merge(segments, MERGED, without, os_system(), PATH, 77, NULL, NULL,
                                 &stats, NULL, &err) != STATUS_OK ||
            series_segment_open(&merged, os_system(), PATH, 77, &err) != STATUS_OK)
            test_fail("%s", err.message);
        assert_int_equal(stats.series, all.count);
        expect_same(&all, merged);
        series_segment_close(merged);
        segment_model_release(&all);
        if (without != NULL)
            roaring_bitmap_free(without);
    }
    for (uint32_t i = 0; i < MERGED; i++) {
        series_segment_close(segments[i]);
        segment_model_release(&models[i]);
    }
    (void)unlink(PATH);
}

/* One bit of a merged segment, at many places. */
/* One that was defined again because the first definition could not be read, and can be now. */
static void what_several_segments_define_alike_is_merged_once(void **state)
{
    (void)state;
    struct segment_model models[3];
    struct series_segment *segments[3];
    struct series_segment_stats stats;
    struct error err = {0};
    roaring_bitmap_t *left_out = roaring_bitmap_create();
    segment_model_init(&models[0], 1);
    segment_model_fill(&models[0], 6, 5000, 0, 20000, false);
    for (uint32_t i = 1; i < 3; i++) {
        for (size_t j = 0; j < models[0].count; j++)
            if (j % 7 < i * 3)
                roaring_bitmap_add(left_out, models[0].series[j].id);
        segment_model_init(&models[i], 1);
        segment_model_copy(&models[i], &models[0], left_out);
    }
    for (uint32_t i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, PATH "%u", i);
        segment_model_finish(&models[i]);
        segments[i] = segment_of(&models[i], path, i);
        (void)unlink(path);
    }
    (void)unlink(PATH);
    if (series_segment_merge(segments, 3, NULL, os_system(), PATH, 9, NULL, NULL, &stats, NULL,
                             &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_int_equal(stats.series, models[0].count);
    struct series_segment *made = NULL;
    assert_int_equal(series_segment_open(&made, os_system(), PATH, 9, &err), STATUS_OK);
    expect_same(&models[0], made);
    series_segment_close(made);
    for (uint32_t i = 0; i < 3; i++) {
        series_segment_close(segments[i]);
        segment_model_release(&models[i]);
    }
    roaring_bitmap_free(left_out);
    (void)unlink(PATH);
}

static void a_merge_names_the_segment_that_is_damaged(void **state)
{
    (void)state;
    enum { DAMAGED = 3, STEP = 41 };
    struct segment_model models[MERGED];
    struct series_segment *segments[MERGED];
    fill_interleaved(models, 5);
    for (uint32_t i = 0; i < MERGED; i++) {
        char path[64];
        snprintf(path, sizeof path, PATH "%u", i);
        segments[i] = segment_of(&models[i], path, i);
        if (i != DAMAGED)
            (void)unlink(path);
    }
    FILE *file = fopen(PATH "3", "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    size_t found = 0;
    for (long place = 64; place < size; place += STEP) {
        assert_int_equal(fseek(file, place, SEEK_SET), 0);
        int byte = fgetc(file);
        for (int flips = 0; flips < 2; flips++) {
            assert_int_equal(fseek(file, place, SEEK_SET), 0);
            assert_int_not_equal(fputc(flips == 0 ? byte ^ 4 : byte, file), EOF);
            assert_int_equal(fflush(file), 0);
            if (flips > 0)
                break;
            struct series_segment_stats stats;
            struct error err;
            size_t damaged = SIZE_MAX;
            (void)unlink(PATH);
            enum status status = series_segment_merge(segments, MERGED, NULL, os_system(), PATH, 77,
                                                      NULL, NULL, &stats, &damaged, &err);
            /* Directories are in memory already. */
            assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
            assert_int_equal(damaged, status == STATUS_OK ? MERGED : DAMAGED);
            found += status == STATUS_CORRUPT;
        }
    }
    assert_true(found > 100);
    fclose(file);
    for (uint32_t i = 0; i < MERGED; i++) {
        series_segment_close(segments[i]);
        segment_model_release(&models[i]);
    }
    (void)unlink(PATH);
    (void)unlink(PATH "3");
}

static bool stop(void *context)
{
    return --*(int *)context > 0;
}

static void a_merge_that_is_stopped_leaves_no_file(void **state)
{
    (void)state;
    struct segment_model model;
    struct series_segment_stats stats;
    struct error err;
    segment_model_init(&model, 1);
    segment_model_fill(&model, 1, 5000, 0, 10000, false);
    segment_model_finish(&model);
    struct series_segment *segment = segment_of(&model, PATH "0", 1);
    for (int questions = 1; questions < 13; questions += 3) {
        int left = questions;
        (void)unlink(PATH);
        assert_int_equal(series_segment_merge(&segment, 1, NULL, os_system(), PATH, 2, stop, &left,
                                              &stats, NULL, &err),
                         STATUS_CANCELLED);
        assert_int_equal(access(PATH, F_OK), -1);
    }
    series_segment_close(segment);
    (void)unlink(PATH "0");
    segment_model_release(&model);
}

static void segments_that_contradict_each_other_are_not_merged(void **state)
{
    (void)state;
    struct segment_model models[3];
    struct series_segment *segments[3];
    struct series_segment_stats stats;
    struct error err;
    struct label items[] = {{slice_from_text(METRIC_NAME_LABEL), slice_from_text("up")},
                            {slice_from_text("job"), slice_from_text("a")}};
    /* The second holds an id of the first with other labels, the third another name of metric 7. */
    for (uint32_t i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, PATH "%u", i);
        struct labels labels = {items, i == 1 ? 2 : 1};
        items[0].value = slice_from_text(i == 2 ? "down" : "up");
        segment_model_init(&models[i], 1);
        segment_model_add(&models[i], i == 2 ? 2 : 1, 7, &labels);
        segment_model_finish(&models[i]);
        segments[i] = segment_of(&models[i], path, i);
        (void)unlink(path);
    }
    (void)unlink(PATH);
    for (int i = 1; i < 3; i++) {
        struct series_segment *both[] = {segments[0], segments[i]};
        size_t damaged;
        assert_int_equal(series_segment_merge(both, 2, NULL, os_system(), PATH, 9, NULL, NULL,
                                              &stats, &damaged, &err),
                         STATUS_CORRUPT);
        assert_int_equal(damaged, 2); /* either may be right */
        assert_non_null(strstr(err.message, i == 1 ? "differently" : "\"down\""));
        assert_int_equal(access(PATH, F_OK), -1);
    }
    for (int i = 0; i < 3; i++) {
        series_segment_close(segments[i]);
        segment_model_release(&models[i]);
    }
}

static void of_series_with_one_key_the_one_of_the_highest_id_is_found(void **state)
{
    (void)state;
    struct segment_model model;
    uint32_t id = 0;
    struct label items[] = {{slice_from_text(METRIC_NAME_LABEL), slice_from_text("up")}};
    struct labels labels = {items, 1};
    segment_model_init(&model, 1);
    for (uint32_t i = 0; i < 700; i++)
        segment_model_add(&model, i, 1, &labels);
    segment_model_finish(&model);
    struct series_segment *segment = segment_of(&model, PATH, 1);
    assert_int_equal(series_segment_find(segment, model.series[0].key, &id, NULL), STATUS_OK);
    assert_int_equal(id, 699);
    series_segment_close(segment);
    segment_model_release(&model);
    (void)unlink(PATH);
}

/* ---- verifying and rebuilding ----------------------------------------------------------- */

enum { DAMAGE_SIZE = 2048 };

static void see_damage(void *context, const char *description)
{
    size_t used = strlen(context);
    snprintf((char *)context + used, DAMAGE_SIZE - used, "%s\n", description);
}

static void a_whole_segment_verifies_and_is_rebuilt_as_it_was(void **state)
{
    (void)state;
    struct segment_model model;
    struct series_segment_stats stats;
    struct series_segment_stats seen;
    char damage[DAMAGE_SIZE] = "";
    segment_model_init(&model, 5);
    segment_model_fill(&model, 3, 4000, 100, UINT32_MAX - 2, true);
    segment_model_finish(&model);
    struct series_segment *segment = segment_of(&model, PATH, 6);
    series_segment_stats(segment, &stats);
    series_segment_close(segment);
    (void)unlink(PATH "r");
    assert_int_equal(
        series_segment_verify(os_system(), PATH, 6, 5, see_damage, damage, &seen, NULL), STATUS_OK);
    assert_string_equal(damage, "");
    assert_memory_equal(&stats, &seen, sizeof stats);
    assert_int_equal(series_segment_rebuild(os_system(), PATH, 6, PATH "r", 7, 5, see_damage,
                                            damage, &seen, NULL),
                     STATUS_OK);
    assert_string_equal(damage, "");
    assert_memory_equal(&stats, &seen, sizeof stats);
    assert_int_equal(series_segment_open(&segment, os_system(), PATH "r", 7, NULL), STATUS_OK);
    expect_same(&model, segment);
    series_segment_close(segment);
    segment_model_release(&model);
    (void)unlink(PATH);
    (void)unlink(PATH "r");
}

/* Damages each page of definitions; returns how many there are. */
static size_t damage_definitions(void)
{
    FILE *file = fopen(PATH, "r+b");
    assert_non_null(file);
    size_t pages = 0;
    uint32_t word = 0;
    for (long at = 0; fseek(file, at, SEEK_SET) == 0 && fread(&word, 4, 1, file) == 1; at++) {
        if (memcmp(&word, "MSGD", 4) != 0)
            continue;
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        assert_int_equal(fputc('m', file), 'm');
        pages++;
    }
    assert_int_equal(fclose(file), 0);
    return pages;
}

/* Of `count` series, whose definitions are all damaged; the secret of the keys is 5. */
static void rebuild_without_definitions(struct segment_model *model, size_t count, uint64_t secret,
                                        char damage[DAMAGE_SIZE],
                                        struct series_segment_stats *stats)
{
    segment_model_init(model, 5);
    segment_model_fill(model, 3, count, 100, UINT32_MAX - 2, true);
    segment_model_finish(model);
    series_segment_close(segment_of(model, PATH, 6));
    assert_true(damage_definitions() > 0);
    (void)unlink(PATH "r");
    assert_int_equal(series_segment_rebuild(os_system(), PATH, 6, PATH "r", 7, secret, see_damage,
                                            damage, stats, NULL),
                     STATUS_OK);
    (void)unlink(PATH);
}

static void definitions_are_made_anew_from_pairs_and_keys(void **state)
{
    (void)state;
    struct segment_model model;
    struct series_segment_stats stats;
    char damage[DAMAGE_SIZE] = "";
    rebuild_without_definitions(&model, 4000, 5, damage, &stats);
    assert_string_equal(damage, "");
    struct series_segment *segment;
    assert_int_equal(series_segment_open(&segment, os_system(), PATH "r", 7, NULL), STATUS_OK);
    expect_same(&model, segment);
    series_segment_close(segment);
    segment_model_release(&model);
    (void)unlink(PATH "r");
}

/* With another secret, keys confirm nothing. */
static void definitions_that_keys_do_not_confirm_are_lost(void **state)
{
    (void)state;
    struct segment_model model;
    struct series_segment_stats stats;
    char damage[DAMAGE_SIZE] = "";
    rebuild_without_definitions(&model, 300, 4, damage, &stats);
    assert_int_equal(stats.series, 0);
    assert_non_null(strstr(damage, "definitions of 300 series"));
    segment_model_release(&model);
    (void)unlink(PATH "r");
}

static void put_hosts(struct series_segment_writer *writer, bool swapped)
{
    for (uint32_t i = 0; i < 2; i++) {
        roaring_bitmap_t *ids = roaring_bitmap_of(1, swapped ? 5 - i : 4 + i);
        assert_int_equal(series_segment_put_pair(writer, slice_from_text("host"),
                                                 slice_from_text(i == 0 ? "a" : "b"), ids, NULL),
                         STATUS_OK);
        roaring_bitmap_free(ids);
    }
}

enum wrong { WRONG_NAME, WRONG_PAIRS, WRONG_KEYS, WRONG_COUNTS, WRONGS };

/* Series 4 up{host="a"} and 5 up{host="b"}, with one section that says otherwise. */
static void write_contradicting(enum wrong wrong)
{
    struct label items[] = {{slice_from_text(METRIC_NAME_LABEL), slice_from_text("up")},
                            {slice_from_text("host"), slice_from_text("a")}};
    struct labels labels = {items, 2};
    struct series_segment_writer *writer;
    struct series_segment_stats stats;
    struct series_key keys[2];
    (void)unlink(PATH);
    assert_int_equal(series_segment_writer_open(&writer, filesystem_posix(), PATH, 1, NULL),
                     STATUS_OK);
    for (uint32_t i = 0; i < 2; i++) {
        items[1].value = slice_from_text(i == 0 ? "a" : "b");
        keys[i] = series_key_of(&labels, wrong == WRONG_KEYS ? 3 : 1);
        assert_int_equal(series_segment_put_series(writer, 4 + i, 7, &labels, NULL), STATUS_OK);
    }
    roaring_bitmap_t *both = roaring_bitmap_of(2, 4, 5);
    assert_int_equal(series_segment_put_pair(writer, items[0].name, items[0].value, both, NULL),
                     STATUS_OK);
    roaring_bitmap_free(both);
    put_hosts(writer, wrong == WRONG_PAIRS);
    uint32_t first = series_key_compare(keys[0], keys[1]) < 0 ? 0 : 1;
    assert_int_equal(series_segment_put_key(writer, keys[first], 4 + first, NULL), STATUS_OK);
    assert_int_equal(series_segment_put_key(writer, keys[1 - first], 5 - first, NULL), STATUS_OK);
    struct slice name = slice_from_text(wrong == WRONG_NAME ? "down" : "up");
    assert_int_equal(
        series_segment_put_metric(writer, 7, name, wrong == WRONG_COUNTS ? 1 : 2, NULL), STATUS_OK);
    if (wrong == WRONG_COUNTS)
        assert_int_equal(series_segment_put_metric(writer, 8, slice_from_text("down"), 1, NULL),
                         STATUS_OK);
    assert_int_equal(series_segment_finish(writer, &stats, NULL), STATUS_OK);
}

static void verifying_names_sections_that_contradict_the_definitions(void **state)
{
    (void)state;
    static const char *const told[WRONGS] = {"has another name or none", "the label pairs name",
                                             "the keys are not", "counts 1 series, there are 2"};
    for (int wrong = 0; wrong < WRONGS; wrong++) {
        struct series_segment_stats stats;
        char damage[DAMAGE_SIZE] = "";
        write_contradicting((enum wrong)wrong);
        assert_int_equal(
            series_segment_verify(os_system(), PATH, 1, 1, see_damage, damage, &stats, NULL),
            STATUS_OK);
        assert_non_null(strstr(damage, told[wrong]));
        (void)unlink(PATH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_answers_as_the_model_of_its_series),
        cmocka_unit_test(a_segment_may_be_empty),
        cmocka_unit_test(a_merge_equals_a_segment_of_all_series),
        cmocka_unit_test(what_several_segments_define_alike_is_merged_once),
        cmocka_unit_test(a_merge_names_the_segment_that_is_damaged),
        cmocka_unit_test(a_merge_that_is_stopped_leaves_no_file),
        cmocka_unit_test(segments_that_contradict_each_other_are_not_merged),
        cmocka_unit_test(a_whole_segment_verifies_and_is_rebuilt_as_it_was),
        cmocka_unit_test(definitions_are_made_anew_from_pairs_and_keys),
        cmocka_unit_test(definitions_that_keys_do_not_confirm_are_lost),
        cmocka_unit_test(verifying_names_sections_that_contradict_the_definitions),
        cmocka_unit_test(of_series_with_one_key_the_one_of_the_highest_id_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
