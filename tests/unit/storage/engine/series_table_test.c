#include "../../pseudo_random.h"
#include "../../test.h"

#include "model/batch.h"
#include "storage/engine/series_table.h"

#include "lone_table.h"

/* ---- an exhausted heap: the program is linked with --wrap for these three ------------------ */

static long allocations_left = -1; /* -1: as many as you like */

static bool heap_exhausted(void)
{
    return allocations_left == 0 || (allocations_left > 0 && --allocations_left == 0);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return heap_exhausted() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return heap_exhausted() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return heap_exhausted() ? NULL : __real_realloc(old, size);
}

/* ---- a universe of label sets --------------------------------------------------------------- */

enum { METRICS = 8, JOBS = 5, INSTANCES = 20, UNIVERSE = METRICS * JOBS * INSTANCES };

struct named {
    char text[3][24];
    struct label items[3];
    struct labels labels;
};

/* The n-th label set: some have no "job", some no "instance". */
static const struct labels *labels_of(struct named *named, uint32_t n)
{
    uint32_t job = n / METRICS % JOBS;
    uint32_t instance = n / METRICS / JOBS;
    snprintf(named->text[0], sizeof named->text[0], "metric_%u", n % METRICS);
    snprintf(named->text[1], sizeof named->text[1], "host-%u:9100", instance);
    snprintf(named->text[2], sizeof named->text[2], "job %u", job);
    size_t count = 0;
    const char *names[] = {METRIC_NAME_LABEL, "instance", "job"};
    for (int i = 0; i < 3; i++)
        if (i == 0 || (i == 1 && instance > 0) || (i == 2 && job > 0))
            named->items[count++] =
                (struct label){slice_from_text(names[i]), slice_from_text(named->text[i])};
    named->labels = (struct labels){named->items, count};
    return &named->labels;
}

static struct slice metric_name(struct named *named, uint32_t metric)
{
    return labels_metric_name(labels_of(named, metric));
}

/* ---- the model ------------------------------------------------------------------------------ */

struct model_series {
    uint32_t id; /* SERIES_ID_NONE: not there */
    uint32_t holds;
    bool committed;
};

struct model {
    struct series_table table;
    struct model_series series[UNIVERSE];
    uint32_t live, committed, most; /* most: series at one time */
    uint64_t random;
};

static void model_init(struct model *model, uint64_t seed)
{
    *model = (struct model){.random = seed};
    assert_int_equal(lone_table_init(&model->table, seed), STATUS_OK);
    for (uint32_t n = 0; n < UNIVERSE; n++)
        model->series[n].id = SERIES_ID_NONE;
}

static void model_reserve(struct model *model, uint32_t n)
{
    struct named named;
    struct model_series *series = &model->series[n];
    assert_int_equal(series_table_reserve(&model->table, labels_of(&named, n), &series->id),
                     STATUS_OK);
    for (uint32_t other = 0; other < UNIVERSE; other++)
        assert_true(other == n || model->series[other].id != series->id);
    series->holds = 1;
    series->committed = false;
    model->live++;
    model->most = model->live > model->most ? model->live : model->most;
}

static void model_unhold(struct model *model, struct model_series *series)
{
    series_table_unhold(&model->table, series->id);
    series->holds--;
    if (series->holds == 0 && !series->committed) {
        series->id = SERIES_ID_NONE;
        model->live--;
    }
}

static void model_step(struct model *model)
{
    uint32_t n = random_below(&model->random, UNIVERSE);
    struct model_series *series = &model->series[n];
    if (series->id == SERIES_ID_NONE) {
        model_reserve(model, n);
        return;
    }
    switch (random_below(&model->random, 8)) {
    case 0:
        series_table_hold(&model->table, series->id);
        series->holds++;
        return;
    case 1:
        /* Few are committed, so that most come and go. */
        if (!series->committed && series->holds > 0 && random_below(&model->random, 20) == 0) {
            series_table_commit(&model->table, series->id, 1);
            series->committed = true;
            model->committed++;
        }
        return;
    default:
        if (series->holds > 0)
            model_unhold(model, series);
    }
}

static void check_labels(const struct series_table *table, uint32_t id, const struct labels *wanted)
{
    struct label items[LABELS_MAX_COUNT];
    struct labels labels;
    series_table_labels(table, id, items, &labels);
    assert_int_equal(labels_compare(&labels, wanted), 0);
}

/* The postings of each pair of `labels` hold `id`; together the pairs' postings hold no more. */
static uint64_t check_postings(const struct series_table *table, const struct labels *labels,
                               uint32_t id)
{
    for (size_t i = 0; i < labels->count; i++) {
        uint32_t pair =
            pair_table_find(&table->pairs, labels->items[i].name, labels->items[i].value);
        assert_int_not_equal(pair, PAIR_NONE);
        roaring_bitmap_t *bitmap = roaring_bitmap_create();
        postings_union_into(&table->pairs.pairs[pair].series, bitmap);
        assert_true(roaring_bitmap_contains(bitmap, id));
        roaring_bitmap_free(bitmap);
    }
    return labels->count;
}

static void check_all(const struct model *model)
{
    const struct series_table *table = &model->table;
    struct named named;
    uint64_t postings = 0;
    uint32_t by_metric[METRICS] = {0};
    for (uint32_t n = 0; n < UNIVERSE; n++) {
        const struct labels *labels = labels_of(&named, n);
        const struct model_series *series = &model->series[n];
        assert_int_equal(series_table_find(table, labels), series->id);
        if (series->id == SERIES_ID_NONE)
            continue;
        by_metric[n % METRICS]++;
        check_labels(table, series->id, labels);
        postings += check_postings(table, labels, series->id);
        assert_int_equal(series_table_get(table, series->id)->state,
                         series->committed ? SERIES_COMMITTED : SERIES_RESERVED);
    }
    for (uint32_t pair = 0; pair < table->pairs.pair_count; pair++) {
        bool used = table->pairs.pairs[pair].name != PAIR_NONE;
        assert_int_equal(used, table->pairs.pairs[pair].series.count > 0);
        postings -= table->pairs.pairs[pair].series.count;
    }
    assert_int_equal(postings, 0);
    for (uint32_t metric = 0; metric < METRICS; metric++) {
        uint32_t id = series_space_find_metric(table->space, metric_name(&named, metric));
        assert_int_equal(id == METRIC_ID_NONE ? 0 : series_space_count(table->space, id),
                         by_metric[metric]);
        assert_int_equal(id == METRIC_ID_NONE, by_metric[metric] == 0);
    }
    assert_int_equal(table->live_series, model->live);
    assert_int_equal(table->committed_series, model->committed);
}

static void the_table_holds_what_a_plain_map_holds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        static struct model model;
        model_init(&model, seed);
        for (int i = 0; i < 30000; i++) {
            model_step(&model);
            if (i % 3000 == 0)
                check_all(&model);
        }
        check_all(&model);
        /* Ids that became free are used again. */
        assert_true(model.table.space->next_series <= model.most);
        lone_table_release(&model.table);
    }
}

static void series_that_come_and_go_leave_no_memory_behind(void **state)
{
    (void)state;
    struct series_table table;
    struct named named;
    assert_int_equal(lone_table_init(&table, 9), STATUS_OK);
    uint32_t kept, id;
    assert_int_equal(series_table_reserve(&table, labels_of(&named, 0), &kept), STATUS_OK);
    series_table_commit(&table, kept, 1);
    size_t memory = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        /* Always another label set, always as long as the others. */
        struct label items[] = {{slice_from_text(METRIC_NAME_LABEL), slice_from_text("metric_0")},
                                {slice_from_text("pod"), slice_of(&i, sizeof i)}};
        struct labels labels = {items, 2};
        assert_int_equal(series_table_reserve(&table, &labels, &id), STATUS_OK);
        assert_int_equal(id, 1);
        memory = i == 0 ? series_table_memory(&table) : memory;
        series_table_unhold(&table, id);
        assert_int_equal(series_table_find(&table, &labels), SERIES_ID_NONE);
    }
    assert_int_equal(series_table_reserve(&table, labels_of(&named, METRICS), &id), STATUS_OK);
    assert_true(series_table_memory(&table) <= memory + 64);
    assert_int_equal(table.slot_count, 1024);
    assert_int_equal(series_table_find(&table, labels_of(&named, 0)), kept);
    lone_table_release(&table);
}

/* ---- restoring ------------------------------------------------------------------------------ */

static void restore_all(struct model *model, struct series_table *table, uint64_t *random)
{
    static uint32_t order[UNIVERSE];
    uint32_t count = 0;
    for (uint32_t n = 0; n < UNIVERSE; n++)
        if (model->series[n].committed && model->series[n].id != SERIES_ID_NONE)
            order[count++] = n;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = random_below(random, i);
        uint32_t swap = order[i - 1];
        order[i - 1] = order[other];
        order[other] = swap;
    }
    struct named named;
    struct error err;
    /* Twice: an index segment and the log may say the same. */
    for (uint32_t i = 0; i < 2 * count; i++) {
        uint32_t id = model->series[order[i % count]].id;
        assert_int_equal(series_table_restore(table, id,
                                              series_table_get(&model->table, id)->metric,
                                              labels_of(&named, order[i % count]), &err),
                         STATUS_OK);
    }
}

static void a_restored_table_gives_out_no_id_that_a_part_may_name(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        static struct model model;
        model_init(&model, seed);
        for (int i = 0; i < 20000; i++)
            model_step(&model);
        uint64_t random = seed;
        struct series_table table;
        assert_int_equal(lone_table_init(&table, seed + 100), STATUS_OK);
        restore_all(&model, &table, &random);
        uint32_t next = table.space->next_series + 5;
        series_space_reach(table.space, next);
        assert_true(table.live_series < table.space->next_series);
        /* Whatever an id without a definition once meant may still stand in a part. */
        for (uint32_t i = 0; i < 50; i++) {
            char name[16];
            snprintf(name, sizeof name, "fresh_%u", i);
            struct label label = {slice_from_text("__name__"), slice_from_text(name)};
            uint32_t id;
            assert_int_equal(series_table_reserve(&table, &(struct labels){&label, 1}, &id),
                             STATUS_OK);
            assert_int_equal(id, next + i);
        }
        lone_table_release(&table);
        lone_table_release(&model.table);
    }
}

static void check_corrupt(struct series_table *table, uint32_t id, uint32_t metric, uint32_t n)
{
    struct named named;
    struct error err = {0};
    uint32_t pairs = table->pairs.live_pairs;
    uint32_t live = table->live_series;
    assert_int_equal(series_table_restore(table, id, metric, labels_of(&named, n), &err),
                     STATUS_CORRUPT);
    assert_true(err.message[0] != '\0');
    assert_int_equal(table->pairs.live_pairs, pairs);
    assert_int_equal(table->live_series, live);
}

static void definitions_that_contradict_are_corrupt_and_change_nothing(void **state)
{
    (void)state;
    struct series_table table;
    struct named named;
    struct error err;
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    assert_int_equal(series_table_restore(&table, 7, 3, labels_of(&named, 0), &err), STATUS_OK);
    check_corrupt(&table, 8, 3, 0);                        /* the labels under another id */
    check_corrupt(&table, 7, 3, METRICS);                  /* the id with other labels */
    check_corrupt(&table, 8, 4, METRICS);                  /* the metric under another id */
    check_corrupt(&table, 8, 3, 1);                        /* the metric's id with another name */
    check_corrupt(&table, UINT32_MAX, 3, METRICS);         /* no such id */
    check_corrupt(&table, UINT32_MAX - 1, 3, METRICS);     /* neither */
    check_corrupt(&table, 8, METRIC_ID_NONE, METRICS + 1); /* no such metric */
    struct label nameless = {slice_from_text("a"), slice_from_text("b")};
    struct labels labels = {&nameless, 1};
    assert_int_equal(series_table_restore(&table, 8, 3, &labels, &err), STATUS_CORRUPT);
    assert_int_equal(table.pairs.live_pairs, 1);
    lone_table_release(&table);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Reserves label set `n` with the first, the second, ... allocation failing until none does. */
static void reserve_in_spite_of_failures(struct model *model, uint32_t n, int *failures)
{
    struct named named;
    struct series_table *table = &model->table;
    const struct series_space *space = table->space;
    uint32_t next =
        space->free_count > 0 ? space->free_series[space->free_count - 1] : space->next_series;
    for (long allowed = 1;; allowed++) {
        uint32_t id;
        const struct labels *labels = labels_of(&named, n);
        allocations_left = allowed;
        enum status status = series_table_reserve(table, labels, &id);
        allocations_left = -1;
        if (status == STATUS_OK) {
            assert_int_equal(id, next);
            model->series[n] = (struct model_series){.id = id, .holds = 1};
            model->live++;
            return;
        }
        (*failures)++;
        assert_int_equal(status, STATUS_MEMORY);
        assert_true(space->metric_count <= METRICS);
        if (n % 40 == 0)
            check_all(model);
    }
}

static void without_memory_a_reservation_changes_nothing(void **state)
{
    (void)state;
    static struct model model;
    model_init(&model, 5);
    int failures = 0;
    for (uint32_t n = 0; n < UNIVERSE; n++)
        reserve_in_spite_of_failures(&model, n, &failures);
    check_all(&model);
    assert_true(failures > 100);
    /* And again with ids, lists and slots that were used before. */
    for (uint32_t n = 0; n < UNIVERSE; n++)
        model_unhold(&model, &model.series[n]);
    assert_int_equal(model.table.pairs.live_pairs, 0);
    for (uint32_t n = UNIVERSE; n-- > 0;)
        reserve_in_spite_of_failures(&model, n, &failures);
    check_all(&model);
    lone_table_release(&model.table);
}

static void without_memory_a_table_is_not_made(void **state)
{
    (void)state;
    struct series_table table;
    enum status status = STATUS_MEMORY;
    for (long allowed = 1; status != STATUS_OK; allowed++) {
        allocations_left = allowed;
        status = lone_table_init(&table, 1);
        allocations_left = -1;
        assert_true(status == STATUS_MEMORY || allowed > 4);
        /* Harmless either way, as a caller's clean-up may do it. */
        lone_table_release(&table);
    }
}

static void the_largest_label_sets_have_room(void **state)
{
    (void)state;
    struct series_table table;
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    static char names[LABELS_MAX_COUNT][16];
    static struct label items[LABELS_MAX_COUNT];
    for (int i = 0; i < LABELS_MAX_COUNT; i++) {
        snprintf(names[i], sizeof names[i], "l%04d", i);
        items[i] = (struct label){slice_from_text(names[i]), slice_from_text("v")};
    }
    items[0].name = slice_from_text(METRIC_NAME_LABEL);
    uint32_t ids[40];
    for (uint32_t i = 0; i < 40; i++) {
        struct labels labels = {items, LABELS_MAX_COUNT - i};
        assert_int_equal(series_table_reserve(&table, &labels, &ids[i]), STATUS_OK);
    }
    for (uint32_t i = 0; i < 40; i++) {
        struct labels labels = {items, LABELS_MAX_COUNT - i};
        assert_int_equal(series_table_find(&table, &labels), ids[i]);
        check_labels(&table, ids[i], &labels);
    }
    lone_table_release(&table);
}

/* Of which the index has the id, and cannot read the definition. */
static void a_series_that_is_defined_again_keeps_its_id_and_counts_once(void **state)
{
    (void)state;
    struct series_table table, next;
    struct named named;
    struct error err = {0};
    uint32_t other = 0;
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    const struct labels *labels = labels_of(&named, 3);
    assert_int_equal(series_table_reserve_again(&table, labels, 70, &err), STATUS_CORRUPT);
    /* The index says of its metric that it has one series. */
    assert_int_equal(series_space_restore(table.space, 5, labels_metric_name(labels), 1, &err),
                     STATUS_OK);
    series_space_reach(table.space, 100);
    for (int forgotten = 1; forgotten >= 0; forgotten--) {
        assert_int_equal(series_table_reserve_again(&table, labels, 70, &err), STATUS_OK);
        assert_int_equal(series_table_get(&table, 70)->metric, 5);
        assert_int_equal(series_table_find(&table, labels), 70);
        if (forgotten)
            series_table_unhold(&table, 70);
    }
    assert_int_equal(series_table_init(&next, 1, table.space), STATUS_OK);
    assert_int_equal(series_table_move_reserved(&table, &next), STATUS_OK);
    series_table_commit(&next, 70, 1);
    assert_int_equal(next.committed_series, 1);
    assert_int_equal(next.committed_again, 1);
    assert_int_equal(series_space_count(table.space, 5), 1);
    /* Its id was never free. */
    assert_int_equal(series_table_reserve(&next, labels_of(&named, 4), &other), STATUS_OK);
    assert_int_equal(other, 100);
    series_table_drop(&next, 70);
    assert_int_equal(next.committed_again, 0);
    assert_int_equal(series_space_count(table.space, 5), 1);
    series_table_release(&next);
    lone_table_release(&table);
}

static void a_restored_series_can_be_marked_as_defined_again(void **state)
{
    (void)state;
    struct series_table table;
    struct named named;
    struct error err = {0};
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    const struct labels *labels = labels_of(&named, 3);
    assert_int_equal(series_space_restore(table.space, 5, labels_metric_name(labels), 1, &err),
                     STATUS_OK);
    assert_int_equal(series_table_restore(&table, 70, 5, labels, &err), STATUS_OK);
    assert_int_equal(series_space_count(table.space, 5), 2);
    for (int i = 0; i < 2; i++) {
        series_table_mark_again(&table, 70);
        assert_int_equal(series_space_count(table.space, 5), 1);
        assert_int_equal(table.committed_again, 1);
    }
    lone_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_holds_what_a_plain_map_holds),
        cmocka_unit_test(series_that_come_and_go_leave_no_memory_behind),
        cmocka_unit_test(a_restored_table_gives_out_no_id_that_a_part_may_name),
        cmocka_unit_test(definitions_that_contradict_are_corrupt_and_change_nothing),
        cmocka_unit_test(without_memory_a_reservation_changes_nothing),
        cmocka_unit_test(without_memory_a_table_is_not_made),
        cmocka_unit_test(the_largest_label_sets_have_room),
        cmocka_unit_test(a_series_that_is_defined_again_keeps_its_id_and_counts_once),
        cmocka_unit_test(a_restored_series_can_be_marked_as_defined_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
