/*
 * A long random life of a store: appends with late, repeated and out-of-order samples over many
 * days and series, flushes, merges, restarts and kills; all of it held against a plain map from
 * (series, time) to the value written last.
 *
 * METRIC_STORE_TEST_SEED repeats a run; METRIC_STORE_TEST_SCALE makes it longer.
 */
#include "../../test.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "base/bits.h"
#include "base/times.h"
#include "engine_fixture.h"
#include "model/value.h"

enum { SERIES = 60, BATCH_MAX = 700, DAY_SPREAD = 6 };

struct life {
    struct store store;
    struct ledger ledger;
    uint64_t random;
    uint64_t step;
    uint64_t deletes;
    int64_t now_ms; /* rises, as a scraper's clock does */
};

static uint64_t next(struct life *life)
{
    uint64_t value = life->random += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static uint64_t below(struct life *life, uint64_t bound)
{
    return next(life) % bound;
}

static double some_value(struct life *life)
{
    switch (below(life, 20)) {
    case 0:
        return double_of_bits(VALUE_STALE_BITS);
    case 1:
        return double_of_bits(UINT64_C(0x7ff8000000000000) | below(life, 1000));
    case 2:
        return below(life, 2) == 0 ? INFINITY : -INFINITY;
    case 3:
        return below(life, 2) == 0 ? -0.0 : 0.0;
    case 4:
        return double_of_bits(below(life, 1000) + 1);
    case 5:
    case 6:
    case 7:
        return (double)below(life, 1000000) / 1000.0;
    case 8:
    case 9:
        return 42;
    default:
        return (double)(life->step * 10 + below(life, 5));
    }
}

static int64_t some_time(struct life *life)
{
    switch (below(life, 8)) {
    case 0: /* late, of any of the days */
        return life->now_ms - (int64_t)below(life, (uint64_t)DAY_SPREAD * MS_PER_DAY);
    case 1: /* one that is there already, as likely as not */
        return life->now_ms - (int64_t)below(life, 200) * 1000;
    default:
        return life->now_ms;
    }
}

static void write_batch(struct life *life)
{
    static struct fixture_sample samples[BATCH_MAX];
    size_t count = 1 + below(life, below(life, 4) == 0 ? BATCH_MAX : 60);
    uint32_t series = (uint32_t)below(life, SERIES);
    for (size_t i = 0; i < count; i++) {
        if (below(life, 3) == 0)
            series = (uint32_t)below(life, SERIES);
        life->now_ms += (int64_t)below(life, 2) * 1000;
        samples[i] = (struct fixture_sample){series, some_time(life), some_value(life)};
    }
    /* Now and then in two batches of one commit. */
    size_t first = below(life, 4) == 0 ? below(life, count) : count;
    struct fixture_write writes[2] = {
        {.samples = samples, .count = first, .atomic = below(life, 2) == 0},
        {.samples = samples + first, .count = count - first},
    };
    struct error err = {0};
    enum status status = fixture_commit(life->store.tier, writes, 1 + (first < count), &err);
    while (status == STATUS_BUSY) {
        store_settle_down(&life->store);
        status = fixture_commit(life->store.tier, writes, 1 + (first < count), &err);
    }
    if (status != STATUS_OK)
        test_fail("append: %s", err.message);
    ledger_put(&life->ledger, samples, count);
}

static struct time_range some_range(struct life *life)
{
    if (below(life, 4) == 0)
        return fixture_always();
    int64_t end = life->now_ms + 5000 - (int64_t)below(life, (uint64_t)DAY_SPREAD * MS_PER_DAY);
    int64_t length = (int64_t)below(life, below(life, 2) == 0 ? MS_PER_HOUR : 3 * MS_PER_DAY);
    return (struct time_range){end - length, end};
}

static void check(struct life *life)
{
    char why[FIXTURE_WHY_SIZE];
    struct time_range range = some_range(life);
    if (!fixture_same(life->store.tier, &life->ledger, range, why) ||
        !fixture_totals_same(life->store.tier, &life->ledger, range, why))
        test_fail("step %" PRIu64 ", [%" PRId64 ", %" PRId64 "): %s", life->step, range.start_ms,
                  range.end_ms, why);
}

/* metric_M and a host pattern, in label order. */
static void check_matching(struct life *life)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    uint32_t metric = (uint32_t)below(life, FIXTURE_METRICS);
    bool refuse = below(life, 2) == 0;
    char text[128];
    snprintf(text, sizeof text, "metric_%" PRIu32 "{host%s\"h[0-3]\"}", metric,
             refuse ? "!~" : "=~");
    struct matchers matchers;
    struct error err = {0};
    if (matchers_parse(slice_from_text(text), &arena, &matchers, &err) != STATUS_OK)
        test_fail("%s", err.message);
    bool only[SERIES];
    for (uint32_t i = 0; i < SERIES; i++)
        only[i] =
            i % FIXTURE_METRICS == metric && (i / FIXTURE_METRICS % FIXTURE_HOSTS <= 3) != refuse;
    struct time_range range = some_range(life);
    struct select_options options = {.range = range, .ordered = true};
    struct selection *selection;
    struct tier *tier = life->store.tier;
    if (storage_select(tier, &matchers, 1, &options, &selection, &err) != STATUS_OK)
        test_fail("%s", err.message);
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_selection_same(tier, selection, &life->ledger, range, only, why))
        test_fail("step %" PRIu64 ", %s: %s", life->step, text, why);
    selection_close(tier, selection);
    matchers_release(&matchers);
    arena_release(&arena);
}

static void delete_some(struct life *life)
{
    bool only[SERIES] = {false};
    for (uint64_t i = 1 + below(life, below(life, 3) == 0 ? SERIES : 4); i > 0; i--)
        only[below(life, SERIES)] = true;
    /* Everything, days, or a moment. */
    struct time_range range = some_range(life);
    struct delete_result result;
    struct error err = {0};
    enum status status = fixture_delete(life->store.tier, only, SERIES, range, &result, &err);
    if (status != STATUS_OK)
        test_fail("delete: %s", err.message);
    ledger_delete(&life->ledger, only, range);
    life->deletes++;
}

static void background(struct life *life)
{
    bool did;
    struct error err = {0};
    if (engine_background_step(life->store.tier, &did, &err) != STATUS_OK)
        test_fail("background step: %s", err.message);
}

static void take_a_step(struct life *life)
{
    uint64_t what = below(life, 100);
    if (what < 57)
        write_batch(life);
    else if (what < 60)
        delete_some(life);
    else if (what < 80)
        background(life);
    else if (what < 88)
        check(life);
    else if (what < 94)
        check_matching(life);
    else if (what < 96)
        store_flush(&life->store);
    else if (what < 97) /* all of the days are old enough, or none */
        engine_set_warm_after(life->store.tier, below(life, 3) > 0 ? MS_PER_HOUR : 0);
    else if (what < 99)
        store_kill(&life->store);
    else
        store_reopen(&life->store);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void live(uint64_t seed, size_t head_bytes, uint64_t steps)
{
    printf("seed %" PRIu64 ", head of %zu KiB\n", seed, head_bytes / 1024);
    struct life life = {.random = seed, .now_ms = INT64_C(1750000000000)};
    store_init(&life.store, head_bytes);
    ledger_init(&life.ledger, SERIES);
    for (life.step = 0; life.step < steps; life.step++)
        take_a_step(&life);
    check(&life);
    struct engine_stats stats;
    engine_stats(life.store.tier, &stats);
    printf("%" PRIu64 " samples, %" PRIu64 " deletes, %" PRIu64 " tombstones, %" PRIu64
           " parts, since the last start %" PRIu64 " flushes, %" PRIu64 " merges, %" PRIu64
           " of them warm\n",
           ledger_count(&life.ledger), life.deletes, stats.tombstones, stats.parts, stats.flushes,
           stats.merges + stats.warm_merges, stats.warm_merges);
    assert_int_equal(stats.flush_failures + stats.merge_failures + stats.damaged_blocks, 0);
    ledger_release(&life.ledger);
    store_release(&life.store);
}

static void a_random_life_says_what_a_plain_map_says(void **state)
{
    (void)state;
    uint64_t seed = from_environment("METRIC_STORE_TEST_SEED", (uint64_t)time(NULL));
    uint64_t scale = from_environment("METRIC_STORE_TEST_SCALE", 1);
    static const size_t heads[] = {64, 128, 256, 1024};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        live(seed + i, heads[i] * 1024, 1500 * scale);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_random_life_says_what_a_plain_map_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
