#include "damage_large.h"

#include "../unit/test.h"

#include <inttypes.h>

enum {
    METRICS = 20,
    HOSTS = 60,
    ZONES = 3,
    PATHS = 37,
    DAYS = 4, /* and one that is only in the log */
    FLUSHES_A_DAY = 4,
    RUN = 10, /* samples of a series in a flush */
    IN_THE_LOG = SANITIZED ? 4 : 8,
    SELECTED = 3, /* one of so many series is written by a flush */
};

static void put_label(struct world_labels *to, const char *name, char **text, const char *format,
                      ...) PRINTF_LIKE(4, 5);
static void put_label(struct world_labels *to, const char *name, char **text, const char *format,
                      ...)
{
    size_t room = sizeof to->text - (size_t)(*text - to->text);
    va_list args;
    va_start(args, format);
    int size = vsnprintf(*text, room, format, args);
    va_end(args);
    assert_true(size > 0 && (size_t)size < room && to->count < WORLD_LABELS_MAX);
    to->items[to->count++] = (struct label){slice_from_text(name), slice_from_text(*text)};
    *text += size + 1;
}

static void large_labels(uint32_t series, struct world_labels *to)
{
    char *text = to->text;
    put_label(to, METRIC_NAME_LABEL, &text, "app_%02" PRIu32 "_total", series % METRICS);
    put_label(to, "cluster", &text, "main");
    put_label(to, "host", &text, "node-%02" PRIu32 ".example", series / METRICS % HOSTS);
    put_label(to, "job", &text, "job-%" PRIu32, series % 5);
    put_label(to, "n", &text, "%" PRIu32, series);
    put_label(to, "path", &text, "/api/v%" PRIu32 "/some/longer/path/to/things", series % PATHS);
    put_label(to, "pod", &text, "app-%" PRIu32 "-%08" PRIx32, series / 8,
              series / 8 * UINT32_C(2654435761));
    put_label(to, "region", &text, "r%" PRIu32, series / 7 % 3);
    if (series % ZONES != 0)
        put_label(to, "zone", &text, "zone-%" PRIu32, series % ZONES);
}

static void set_up_large(struct sim_machine *machine)
{
    machine->options.head_bytes = 4 * 1024 * 1024;
    machine->options.log_segment_bytes = 128 * 1024;
    machine->options.merge_fan_in = 2;
    machine->options.warm_after_ms = 3 * MS_PER_DAY;
    sim_clock_jump(&machine->clock, DAYS * MS_PER_DAY + MS_PER_DAY / 2);
}

static const char *const large_selectors[] = {
    "app_07_total",
    "{host=\"node-11.example\"}",
    "app_03_total{zone!=\"zone-1\"}",
    "{pod=~\"app-1[0-9]-.*\"}",
    "{n=~\".+\",region!~\"r[01]\"}",
    "{n!=\"4\",__name__=~\"app_1[34]_total\"}",
    "{path=~\".*v3/.*\",zone=\"\"}",
    NULL,
};

static const char *const large_described[] = {"app_00_total", "app_07_total", "app_19_total", NULL};

const struct world_kind large_world = {
    .series = LARGE_SERIES,
    .new_series = 20,
    .labels = large_labels,
    .set_up = set_up_large,
    .selectors = large_selectors,
    .described = large_described,
};

/* Runs of many series, as few commits. */
static void put_runs(struct world *world, struct tier *tier, uint32_t from, uint32_t to,
                     uint32_t step, int64_t from_ms)
{
    enum { A_COMMIT = 2000 };
    struct fixture_sample *samples = calloc(A_COMMIT + RUN, sizeof samples[0]);
    assert_non_null(samples);
    size_t count = 0;
    struct error err = {0};
    for (uint32_t i = from; i < to; i += step) {
        for (int64_t j = 0; j < RUN; j++) {
            int64_t time_ms = from_ms + j * 15000 + (i % 4 == 0 ? j * j % 11 : 0) + i % 60;
            samples[count++] = (struct fixture_sample){i, time_ms, world_value(i, time_ms)};
        }
        if (count < A_COMMIT && i + step < to)
            continue;
        if (world_commit(world, tier, samples, count, &err) != STATUS_OK)
            test_fail("%s", err.message);
        count = 0;
    }
    free(samples);
}

static void settle(struct tier *tier)
{
    struct error err = {0};
    bool did = true;
    while (did)
        if (engine_background_step(tier, &did, &err) != STATUS_OK)
            test_fail("%s", err.message);
}

static void flush(struct tier *tier)
{
    struct error err = {0};
    if (engine_flush(tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

static void make_days(struct world *world, struct tier *tier)
{
    uint32_t flushes = DAYS * FLUSHES_A_DAY;
    for (uint32_t i = 0; i < flushes; i++) {
        int64_t day = i / FLUSHES_A_DAY;
        uint32_t there = (uint32_t)((uint64_t)LARGE_SERIES * (i + 3) / (flushes + 3));
        int64_t from_ms =
            SIM_START_MS + day * MS_PER_DAY + (i % FLUSHES_A_DAY) * MS_PER_DAY / FLUSHES_A_DAY;
        put_runs(world, tier, i % SELECTED, there, SELECTED, from_ms);
        /* Late for the day before. */
        if (day > 0 && i % FLUSHES_A_DAY % 2 == 1)
            put_runs(world, tier, 0, there, 40, from_ms - MS_PER_DAY);
        flush(tier);
        if (i == 2)
            world_delete(world, tier, "{job=\"job-3\"}",
                         (struct time_range){SIM_START_MS, SIM_START_MS + 60000});
        if (day < DAYS - 1)
            settle(tier);
    }
}

void world_make_large(struct world *world, uint64_t seed)
{
    world_init(world, &large_world, seed);
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    world_machine_init(world, &machine, world->disk);
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
    world_describe(world, tier);
    make_days(world, tier);
    /* A delete that waits, one that is only in the log, and in it also a day and new series. */
    world_delete(
        world, tier, "{host=~\"node-0.*\"}",
        (struct time_range){SIM_START_MS + MS_PER_DAY, SIM_START_MS + MS_PER_DAY + 100000});
    flush(tier);
    for (uint32_t i = 0; i < IN_THE_LOG; i++) {
        put_runs(world, tier, i % SELECTED, LARGE_SERIES - 4 * (IN_THE_LOG - 1 - i), SELECTED,
                 SIM_START_MS + DAYS * MS_PER_DAY + i * INT64_C(3600000));
        if (i == 1)
            world_delete(world, tier, "{path=~\".*v5/.*\"}",
                         (struct time_range){SIM_START_MS + 2 * MS_PER_DAY,
                                             SIM_START_MS + 2 * MS_PER_DAY + 200000});
    }
    engine_abandon(tier);
    world_list_files(world);
}
