#include "../unit/test.h"

#include "segment_model.h"
#include "sim_disk.h"
#include "sim_explore.h"
#include "sim_os.h"

/* Two pages of definitions, sets of ids in place and apart. */
enum { SERIES = 270, SEED = 3, SEGMENT_ID = 10, OTHER_ID = 11 };
#define PATH    "/index/segment"
#define OTHER   "/index/other"
#define REBUILT "/index/rebuilt"

static struct os os_on(struct sim_disk *disk)
{
    return (struct os){.fs = sim_disk_filesystem(disk)};
}

static void content_init(struct segment_model *model)
{
    segment_model_init(model, SEED);
    segment_model_fill(model, 8, SERIES, 5, 3000, false);
    segment_model_finish(model);
}

static struct sim_disk *disk_new(uint64_t seed)
{
    struct sim_disk *disk = sim_disk_new(seed);
    struct filesystem *fs = sim_disk_filesystem(disk);
    assert_int_equal(filesystem_make_directory(fs, "/index", NULL), STATUS_OK);
    assert_int_equal(filesystem_sync_directory(fs, "/", NULL), STATUS_OK);
    return disk;
}

static enum status write_content(const struct segment_model *model, struct sim_disk *disk,
                                 const char *path, uint64_t id, struct error *err)
{
    struct series_segment_stats stats;
    return segment_model_write(model, sim_disk_filesystem(disk), path, id, &stats, err);
}

static bool whole(const struct segment_model *model, struct sim_disk *disk, const char *path,
                  uint64_t id)
{
    struct series_segment *segment;
    char wrong[512];
    if (series_segment_open(&segment, os_on(disk), path, id, NULL) != STATUS_OK)
        return false;
    bool same = segment_model_agrees(model, segment, wrong);
    series_segment_close(segment);
    return same;
}

/* ---- answers of a damaged segment --------------------------------------------------------- */

/* Each answer is the model's, or CORRUPT with a sentence that names the file; `damaged` counts the
 * latter. */
struct asked {
    const struct segment_model *model;
    const struct series_segment *segment;
    uint64_t round; /* each asks for others, in turn */
    uint64_t damaged;
    struct error err;
};

enum { ROUNDS = 7 };

static bool is_damage(struct asked *asked, enum status status)
{
    if (status != STATUS_CORRUPT)
        return false;
    assert_non_null(strstr(asked->err.message, "series segment " PATH));
    asked->damaged++;
    return true;
}

static void ask_keys(struct asked *asked)
{
    for (size_t i = asked->round % ROUNDS; i < asked->model->count; i += ROUNDS) {
        const struct model_series *series = &asked->model->series[i];
        uint32_t id;
        enum status status = series_segment_find(asked->segment, series->key, &id, &asked->err);
        if (is_damage(asked, status))
            continue;
        assert_int_equal(status, STATUS_OK);
        assert_int_equal(id, series->id);
    }
}

static void ask_definitions(struct asked *asked)
{
    struct series_segment_cursor *cursor;
    struct series_definition definition;
    enum status status;
    size_t seen = 0;
    size_t at = 0;
    uint64_t before = asked->damaged;
    assert_int_equal(series_segment_cursor_new(&cursor, asked->segment, NULL), STATUS_OK);
    while ((status = series_segment_next(cursor, &definition, &asked->err)) != STATUS_END) {
        if (is_damage(asked, status))
            continue;
        assert_int_equal(status, STATUS_OK);
        while (asked->model->series[at].id < definition.id)
            at++;
        assert_int_equal(asked->model->series[at].id, definition.id);
        assert_int_equal(asked->model->series[at].metric, definition.metric);
        assert_int_equal(labels_compare(&asked->model->series[at].labels, &definition.labels), 0);
        seen++;
    }
    assert_true(seen == asked->model->count || asked->damaged > before);
    series_segment_cursor_free(cursor);
}

static void ask_metrics(struct asked *asked)
{
    uint32_t ids[SERIES];
    uint32_t metrics[SERIES];
    for (size_t i = 0; i < SERIES; i++)
        ids[i] = asked->model->series[i].id;
    enum status status =
        series_segment_metrics_of(asked->segment, ids, SERIES, metrics, &asked->err);
    if (is_damage(asked, status))
        return;
    assert_int_equal(status, STATUS_OK);
    for (size_t i = 0; i < SERIES; i++)
        assert_int_equal(metrics[i], asked->model->series[i].metric);
}

static bool want_all(void *context, struct slice value, bool *go_on)
{
    (void)context, (void)value, (void)go_on;
    return true;
}

static void ask_pairs(struct asked *asked)
{
    const struct segment_model *model = asked->model;
    for (size_t i = 0, number = asked->round; i < model->pair_count; number++) {
        struct model_pair pair = model->pairs[i];
        size_t first = i;
        while (i < model->pair_count && slice_equal(model->pairs[i].name, pair.name) &&
               slice_equal(model->pairs[i].value, pair.value))
            i++;
        if (number % ROUNDS != 0)
            continue;
        roaring_bitmap_t *ids = roaring_bitmap_create();
        roaring_bitmap_t *found = roaring_bitmap_create();
        for (size_t j = first; j < i; j++)
            roaring_bitmap_add(ids, model->pairs[j].id);
        enum status status =
            series_segment_pair(asked->segment, pair.name, pair.value, found, &asked->err);
        if (!is_damage(asked, status)) {
            assert_int_equal(status, STATUS_OK);
            assert_true(roaring_bitmap_equals(ids, found));
        }
        roaring_bitmap_free(ids);
        roaring_bitmap_free(found);
    }
    for (size_t i = 0; i < series_segment_name_count(asked->segment); i++) {
        struct slice name = series_segment_name(asked->segment, i);
        roaring_bitmap_t *ids = roaring_bitmap_create();
        uint64_t wanted = 0;
        enum status status =
            series_segment_values(asked->segment, name, want_all, NULL, ids, &asked->err);
        for (size_t j = 0; j < model->pair_count; j++)
            wanted += slice_equal(model->pairs[j].name, name);
        if (!is_damage(asked, status)) {
            assert_int_equal(status, STATUS_OK);
            assert_int_equal(roaring_bitmap_get_cardinality(ids), wanted);
        }
        roaring_bitmap_free(ids);
    }
}

/* What a merge makes of the damaged segment is right, or it is refused. */
static void ask_merge(struct asked *asked, struct sim_disk *disk)
{
    struct series_segment_stats stats;
    struct series_segment *segments[] = {(struct series_segment *)(uintptr_t)asked->segment};
    enum status status = series_segment_merge(segments, 1, NULL, os_on(disk), REBUILT, 20, NULL,
                                              NULL, &stats, NULL, &asked->err);
    if (is_damage(asked, status))
        return;
    assert_int_equal(status, STATUS_OK);
    assert_true(whole(asked->model, disk, REBUILT, 20));
    assert_int_equal(filesystem_remove(sim_disk_filesystem(disk), REBUILT, NULL), STATUS_OK);
}

/* Returns how many answers were refused; 1 when the segment does not open. */
static uint64_t ask_everything(const struct segment_model *model, struct sim_disk *disk,
                               uint64_t round)
{
    struct series_segment *segment;
    struct asked asked = {.model = model, .round = round};
    enum status status = series_segment_open(&segment, os_on(disk), PATH, SEGMENT_ID, &asked.err);
    if (status == STATUS_UNSUPPORTED || is_damage(&asked, status))
        return 1;
    assert_int_equal(status, STATUS_OK);
    asked.segment = segment;
    assert_int_equal(roaring_bitmap_get_cardinality(series_segment_ids(segment)), SERIES);
    ask_keys(&asked);
    ask_definitions(&asked);
    ask_metrics(&asked);
    ask_pairs(&asked);
    if (round % 4 == 0)
        ask_merge(&asked, disk);
    series_segment_close(segment);
    return asked.damaged;
}

static void count_damage(void *context, const char *description)
{
    ++*(uint64_t *)context;
    assert_non_null(strstr(description, "series segment " PATH));
}

static uint64_t verify(struct sim_disk *disk)
{
    struct series_segment_stats stats;
    uint64_t damage = 0;
    assert_int_equal(series_segment_verify(os_on(disk), PATH, SEGMENT_ID, SEED, count_damage,
                                           &damage, &stats, NULL),
                     STATUS_OK);
    return damage;
}

/* The segment made anew: every series in it is one of the model; returns how many are missing. */
static uint64_t rebuild(const struct segment_model *model, struct sim_disk *disk, uint64_t *damage)
{
    struct series_segment_stats stats;
    struct series_segment *segment;
    struct segment_model left;
    char wrong[512];
    *damage = 0;
    struct error err = {0};
    if (series_segment_rebuild(os_on(disk), PATH, SEGMENT_ID, REBUILT, 20, SEED, count_damage,
                               damage, &stats, &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_int_equal(series_segment_open(&segment, os_on(disk), REBUILT, 20, NULL), STATUS_OK);
    roaring_bitmap_t *lost = roaring_bitmap_create();
    for (size_t i = 0; i < model->count; i++)
        if (!series_segment_has(segment, model->series[i].id))
            roaring_bitmap_add(lost, model->series[i].id);
    segment_model_init(&left, SEED);
    segment_model_copy(&left, model, lost);
    segment_model_finish(&left);
    if (!segment_model_agrees(&left, segment, wrong))
        test_fail("%s", wrong);
    uint64_t count = roaring_bitmap_get_cardinality(lost);
    segment_model_release(&left);
    roaring_bitmap_free(lost);
    series_segment_close(segment);
    assert_int_equal(filesystem_remove(sim_disk_filesystem(disk), REBUILT, NULL), STATUS_OK);
    return count;
}

/* ---- decay ---------------------------------------------------------------------------------- */

static uint64_t size_of(struct sim_disk *disk, const char *path, struct file **file)
{
    uint64_t size;
    assert_int_equal(filesystem_open(sim_disk_filesystem(disk), path, FILE_READ_WRITE, file, NULL),
                     STATUS_OK);
    assert_int_equal(file_size(*file, &size, NULL), STATUS_OK);
    return size;
}

static void a_flipped_bit_never_gives_a_wrong_answer_and_is_named(void **state)
{
    (void)state;
    struct segment_model model;
    struct file *file;
    content_init(&model);
    struct sim_disk *disk = disk_new(1);
    assert_int_equal(write_content(&model, disk, PATH, SEGMENT_ID, NULL), STATUS_OK);
    assert_int_equal(verify(disk), 0);
    uint64_t size = size_of(disk, PATH, &file);
    uint64_t noticed = 0;
    for (uint64_t byte = 0; byte < size; byte++) {
        uint64_t damage;
        sim_disk_flip(disk, PATH, 8 * byte + byte % 8);
        noticed += ask_everything(&model, disk, byte) > 0;
        assert_true(verify(disk) > 0);
        if (byte % 32 == 5) {
            /* What is told twice is not lost with one of the two. */
            assert_int_equal(rebuild(&model, disk, &damage), 0);
        }
        sim_disk_flip(disk, PATH, 8 * byte + byte % 8);
    }
    printf("%lu bytes, %lu of them noticed by reading\n", size, noticed);
    assert_true(whole(&model, disk, PATH, SEGMENT_ID));
    file_close(file);
    sim_disk_free(disk);
    segment_model_release(&model);
}

static void a_cut_segment_does_not_open_and_gives_the_definitions_before_the_cut(void **state)
{
    (void)state;
    struct segment_model model;
    struct file *file;
    content_init(&model);
    struct sim_disk *disk = disk_new(1);
    assert_int_equal(write_content(&model, disk, PATH, SEGMENT_ID, NULL), STATUS_OK);
    uint64_t before = 0;
    for (uint64_t size = size_of(disk, PATH, &file); size-- > 0;) {
        uint64_t damage;
        assert_int_equal(file_resize(file, size, NULL), STATUS_OK);
        assert_int_equal(ask_everything(&model, disk, size), 1);
        assert_true(verify(disk) > 0);
        if (size % 16 > 0 && size > 100)
            continue;
        uint64_t lost = rebuild(&model, disk, &damage);
        assert_true(lost >= before && damage > 0);
        before = lost;
    }
    assert_int_equal(before, SERIES);
    file_close(file);
    sim_disk_free(disk);
    segment_model_release(&model);
}

/* The same series in a segment of another id: each piece of it is as well formed, and wrong here.
 */
static void a_piece_of_another_segment_is_damage(void **state)
{
    (void)state;
    enum { PIECE = 512 };
    struct segment_model model;
    struct file *file;
    struct file *other;
    content_init(&model);
    struct sim_disk *disk = disk_new(1);
    assert_int_equal(write_content(&model, disk, PATH, SEGMENT_ID, NULL), STATUS_OK);
    assert_int_equal(write_content(&model, disk, OTHER, OTHER_ID, NULL), STATUS_OK);
    uint64_t size = size_of(disk, PATH, &file);
    assert_int_equal(size_of(disk, OTHER, &other), size);
    for (uint64_t piece = 0; piece < size; piece += PIECE)
        for (uint64_t end = piece + PIECE; end < piece + 16384; end *= 2) {
            static uint8_t own[16384];
            static uint8_t foreign[16384];
            size_t count = (size_t)((end < size ? end : size) - piece);
            count = count < sizeof own ? count : sizeof own;
            assert_int_equal(file_read_exactly(file, own, count, piece, NULL), STATUS_OK);
            assert_int_equal(file_read_exactly(other, foreign, count, piece, NULL), STATUS_OK);
            if (memcmp(own, foreign, count) == 0)
                continue;
            assert_int_equal(file_write(file, foreign, count, piece, NULL), STATUS_OK);
            (void)ask_everything(&model, disk, piece);
            assert_true(verify(disk) > 0);
            assert_int_equal(file_write(file, own, count, piece, NULL), STATUS_OK);
        }
    assert_int_equal(verify(disk), 0);
    struct series_segment *segment;
    struct error err;
    assert_int_equal(series_segment_open(&segment, os_on(disk), OTHER, SEGMENT_ID, &err),
                     STATUS_CORRUPT);
    assert_non_null(strstr(err.message, "it is segment 11, where segment 10 is expected"));
    file_close(file);
    file_close(other);
    sim_disk_free(disk);
    segment_model_release(&model);
}

/* ---- crashes and failures ------------------------------------------------------------------- */

struct writing {
    struct sim_sites sites;
    struct segment_model model;
    bool written; /* acknowledged */
};

static bool recovers(void *context, struct sim_disk *disk)
{
    const struct writing *writing = context;
    if (writing->written)
        return whole(&writing->model, disk, PATH, SEGMENT_ID);
    /* Nothing names it yet. Whatever is there: it is whole, or does not open. */
    struct series_segment *segment;
    enum status status = series_segment_open(&segment, os_on(disk), PATH, SEGMENT_ID, NULL);
    if (status == STATUS_OK)
        series_segment_close(segment);
    return status == STATUS_NOT_FOUND || status == STATUS_CORRUPT || status == STATUS_OK;
}

static bool write_and_crash(void *context)
{
    struct writing *writing = context;
    struct sim_disk *disk = disk_new(1);
    sim_disk_set_sites(disk, &writing->sites);
    struct sim_explore explore = {
        .check = recovers, .context = writing, .seed = 3, .crashes = 40, .every = 1};
    writing->written = false;
    sim_explore_attach(&explore, disk);
    writing->written = write_content(&writing->model, disk, PATH, SEGMENT_ID, NULL) == STATUS_OK;
    sim_explore_now(&explore, disk);
    bool passed = writing->written && explore.violations == 0;
    sim_disk_free(disk);
    return passed;
}

static void a_written_segment_survives_every_crash_and_needs_every_sync(void **state)
{
    (void)state;
    struct writing writing = {.written = false};
    content_init(&writing.model);
    assert_true(sim_sites_mutate(&writing.sites, write_and_crash, &writing));
    assert_int_equal(writing.sites.count, 2);
    segment_model_release(&writing.model);
}

/* What makes a file, from a disk that holds a segment. */
static enum status make(int how, const struct segment_model *model, struct sim_disk *disk,
                        struct error *err)
{
    struct series_segment_stats stats;
    struct series_segment *segment;
    uint64_t damage = 0;
    if (how == 0)
        return write_content(model, disk, REBUILT, 20, err);
    if (how == 1)
        return series_segment_rebuild(os_on(disk), PATH, SEGMENT_ID, REBUILT, 20, SEED,
                                      count_damage, &damage, &stats, err);
    enum status status = series_segment_open(&segment, os_on(disk), PATH, SEGMENT_ID, err);
    if (status != STATUS_OK)
        return status;
    status = series_segment_merge(&segment, 1, NULL, os_on(disk), REBUILT, 20, NULL, NULL, &stats,
                                  NULL, err);
    series_segment_close(segment);
    return status;
}

static void a_failure_of_any_call_leaves_no_file(void **state)
{
    (void)state;
    const enum sim_failure failures[] = {SIM_EIO, SIM_ENOSPC, SIM_SHORT_EIO, SIM_SHORT_ENOSPC};
    struct segment_model model;
    content_init(&model);
    for (int how = 0; how < 3; how++) {
        bool failed = true;
        uint64_t nth = 1;
        for (; failed; nth++)
            for (int i = 0; i < 4; i++) {
                struct sim_disk *disk = disk_new(nth);
                struct error err = {0};
                struct file *file;
                assert_int_equal(write_content(&model, disk, PATH, SEGMENT_ID, NULL), STATUS_OK);
                sim_disk_add_fault(disk, &(struct sim_fault){.kinds = SIM_ANY_CALL,
                                                             .nth = nth,
                                                             .repeat = 1,
                                                             .failure = failures[i]});
                enum status status = make(how, &model, disk, &err);
                failed = status != STATUS_OK;
                sim_disk_clear_faults(disk);
                if (failed) {
                    assert_true(status == STATUS_IO || status == STATUS_NO_SPACE);
                    assert_true(err.message[0] != '\0');
                    assert_int_equal(
                        filesystem_open(sim_disk_filesystem(disk), REBUILT, FILE_READ, &file, NULL),
                        STATUS_NOT_FOUND);
                    assert_int_equal(make(how, &model, disk, NULL), STATUS_OK);
                }
                assert_true(whole(&model, disk, REBUILT, 20));
                sim_disk_free(disk);
            }
        assert_true(nth > 4);
    }
    segment_model_release(&model);
}

static void a_failed_read_is_told_and_nothing_else_is_answered(void **state)
{
    (void)state;
    struct segment_model model;
    content_init(&model);
    struct sim_disk *disk = disk_new(1);
    assert_int_equal(write_content(&model, disk, PATH, SEGMENT_ID, NULL), STATUS_OK);
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        struct series_segment *segment;
        struct error err = {0};
        char wrong[512] = "";
        sim_disk_add_fault(
            disk, &(struct sim_fault){
                      .kinds = SIM_READ | SIM_OPEN, .nth = nth, .repeat = 1, .failure = SIM_EIO});
        enum status status = series_segment_open(&segment, os_on(disk), PATH, SEGMENT_ID, &err);
        failed = status != STATUS_OK;
        if (status == STATUS_OK) {
            failed = !segment_model_agrees(&model, segment, wrong);
            series_segment_close(segment);
        } else {
            assert_int_equal(status, STATUS_IO);
            snprintf(wrong, sizeof wrong, "%.400s", err.message);
        }
        assert_true(!failed || strstr(wrong, "cannot") != NULL);
        sim_disk_clear_faults(disk);
    }
    sim_disk_free(disk);
    segment_model_release(&model);
}

static void an_existing_file_is_not_touched(void **state)
{
    (void)state;
    struct segment_model model;
    content_init(&model);
    struct sim_disk *disk = disk_new(1);
    assert_int_equal(write_content(&model, disk, PATH, SEGMENT_ID, NULL), STATUS_OK);
    assert_int_equal(write_content(&model, disk, PATH, OTHER_ID, NULL), STATUS_CONFLICT);
    assert_true(whole(&model, disk, PATH, SEGMENT_ID));
    sim_disk_free(disk);
    segment_model_release(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_never_gives_a_wrong_answer_and_is_named),
        cmocka_unit_test(a_cut_segment_does_not_open_and_gives_the_definitions_before_the_cut),
        cmocka_unit_test(a_piece_of_another_segment_is_damage),
        cmocka_unit_test(a_written_segment_survives_every_crash_and_needs_every_sync),
        cmocka_unit_test(a_failure_of_any_call_leaves_no_file),
        cmocka_unit_test(a_failed_read_is_told_and_nothing_else_is_answered),
        cmocka_unit_test(an_existing_file_is_not_touched),
    };
    /* A pattern, for scripts/sync-sites. */
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    cmocka_set_skip_filter(getenv("METRIC_STORE_TEST_SKIP"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
