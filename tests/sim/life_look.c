/*
 * life_look - the same questions asked in other ways: the list of metrics, matchers and the labels
 * that they find, totals out of block headers, and which days are warm.
 *
 * Ledgers are what a walk over everything has found in the store that is asked (life_state_read).
 */
#include "life.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/invariant.h"
#include "model/matcher.h"

enum { SELECTORS_A_LOOK = 2, DAYS_A_LOOK = 2, DAYS_OF_A_RANGE = 3, TEXTS_SIZE = 1 << 16 };

/* ---- selectors -------------------------------------------------------------------------- */

enum selector_kind {
    SELECT_NUMBER,
    SELECT_NUMBERS,
    SELECT_METRIC,
    SELECT_HOSTS,
    SELECT_NOT_HOSTS,
    SELECT_METRIC_NOT_HOST,
    SELECT_METRICS_OF_HOST,
    SELECT_ALL,
    SELECT_ALL_WITHOUT,
    SELECT_NONE,
    SELECTOR_KINDS
};

struct selector_draw {
    enum selector_kind kind;
    uint32_t metric, host, number, other;
};

static uint32_t host_of(uint32_t series)
{
    return series / FIXTURE_METRICS % FIXTURE_HOSTS;
}

static bool is_selected(const struct selector_draw *draw, uint32_t series)
{
    uint32_t metric = series % FIXTURE_METRICS;
    uint32_t host = host_of(series);
    switch (draw->kind) {
    case SELECT_NUMBER:
        return series == draw->number;
    case SELECT_NUMBERS:
        return series == draw->number || series == draw->other;
    case SELECT_METRIC:
        return metric == draw->metric;
    case SELECT_HOSTS:
        return host <= draw->host;
    case SELECT_NOT_HOSTS:
        return host > draw->host;
    case SELECT_METRIC_NOT_HOST:
        return metric == draw->metric && host != draw->host;
    case SELECT_METRICS_OF_HOST:
        return metric <= draw->metric && host == draw->host;
    case SELECT_ALL:
    case SELECT_ALL_WITHOUT:
        return true;
    case SELECT_NONE:
    case SELECTOR_KINDS:
        break;
    }
    return false;
}

static void write_selector(const struct selector_draw *draw, char text[LIFE_SELECTOR_SIZE])
{
    size_t size = LIFE_SELECTOR_SIZE;
    switch (draw->kind) {
    case SELECT_NUMBER:
        snprintf(text, size, "{n=\"%" PRIu32 "\"}", draw->number);
        return;
    case SELECT_NUMBERS:
        snprintf(text, size, "{n=~\"%" PRIu32 "|%" PRIu32 "\"}", draw->number, draw->other);
        return;
    case SELECT_METRIC:
        snprintf(text, size, "metric_%" PRIu32, draw->metric);
        return;
    case SELECT_HOSTS:
        snprintf(text, size, "{host=~\"h[0-%" PRIu32 "]\"}", draw->host);
        return;
    case SELECT_NOT_HOSTS:
        snprintf(text, size, "{n!=\"\",host!~\"h[0-%" PRIu32 "]\"}", draw->host);
        return;
    case SELECT_METRIC_NOT_HOST:
        snprintf(text, size, "metric_%" PRIu32 "{host!=\"h%" PRIu32 "\"}", draw->metric,
                 draw->host);
        return;
    case SELECT_METRICS_OF_HOST:
        snprintf(text, size, "{__name__=~\"metric_[0-%" PRIu32 "]\",host=\"h%" PRIu32 "\"}",
                 draw->metric, draw->host);
        return;
    case SELECT_ALL:
        snprintf(text, size, "{n!=\"\"}");
        return;
    case SELECT_ALL_WITHOUT:
        snprintf(text, size, "{host=~\".+\",absent=\"\"}");
        return;
    case SELECT_NONE:
    case SELECTOR_KINDS:
        break;
    }
    snprintf(text, size, "{n!=\"\",absent=~\".+\"}");
}

void life_selector_random(struct life_selector *selector, uint64_t *random)
{
    /* All and none are good for little: they come seldom. */
    enum { SELECTIVE = SELECT_ALL, DRAWS = 3 * SELECTIVE + SELECTOR_KINDS - SELECTIVE };
    uint64_t kind = sim_below(random, DRAWS);
    struct selector_draw draw = {
        .kind = (enum selector_kind)(kind < 3 * SELECTIVE ? kind % SELECTIVE
                                                          : kind - 2 * (uint64_t)SELECTIVE),
        .metric = (uint32_t)sim_below(random, FIXTURE_METRICS),
        .host = (uint32_t)sim_below(random, 1 + (LIFE_SERIES - 1) / FIXTURE_METRICS),
        .number = (uint32_t)sim_below(random, LIFE_SERIES / 4),
        .other = (uint32_t)sim_below(random, LIFE_SERIES),
    };
    write_selector(&draw, selector->text);
    for (uint32_t i = 0; i < LIFE_SERIES; i++)
        selector->only[i] = is_selected(&draw, i);
}

/* ---- labels ----------------------------------------------------------------------------- */

/* Whether the labels are those of a series that is selected; which one goes to *number. */
static bool labels_right(struct life *life, const struct life_selector *selector,
                         const struct labels *labels, uint32_t *number)
{
    char host[32];
    char text[32];
    for (uint32_t i = 0; i < LIFE_SERIES; i++) {
        snprintf(text, sizeof text, "%" PRIu32, i);
        if (!slice_equal_text(labels_get(labels, slice_from_text("n")), text))
            continue;
        *number = i;
        snprintf(host, sizeof host, "h%" PRIu32, host_of(i));
        fixture_metric_name(i, text);
        if (!slice_equal_text(labels_get(labels, slice_from_text("host")), host) ||
            !slice_equal_text(labels_metric_name(labels), text) || labels->count != 3)
            return life_fail(life, "%s finds series %" PRIu32 " with labels of another",
                             selector->text, i);
        return selector->only[i] || life_fail(life, "%s finds series %" PRIu32, selector->text, i);
    }
    return life_fail(life, "%s finds a series that nobody wrote", selector->text);
}

/* The values of the label host among what is found are those of series with samples in the range,
 * and perhaps those of series that had some. */
static bool values_right(struct life *life, const struct life_selector *selector,
                         const struct ledger *ledger, struct time_range range, const bool *seen)
{
    bool is[FIXTURE_HOSTS] = {false};
    for (uint32_t i = 0; i < LIFE_SERIES; i++)
        is[host_of(i)] = is[host_of(i)] || seen[i];
    for (uint32_t i = 0; i < LIFE_SERIES; i++) {
        const struct ledger_series *series = &ledger->series[i];
        for (size_t j = 0; j < series->count && selector->only[i] && !is[host_of(i)]; j++)
            if (series->times[j] >= range.start_ms && series->times[j] < range.end_ms)
                return life_fail(life, "%s lacks the host h%" PRIu32, selector->text, host_of(i));
    }
    return true;
}

static bool labels_found(struct life *life, const struct life_selector *selector,
                         struct selection *selection, const struct ledger *ledger,
                         struct time_range range)
{
    bool seen[LIFE_SERIES] = {false};
    for (size_t i = 0; i < selection_count(life->tier, selection); i++) {
        struct selected_series series;
        struct error err = {0};
        uint32_t number = 0;
        if (selection_series(life->tier, selection, i, &series, &err) != STATUS_OK)
            return life_fail(life, "%s: %s", selector->text, err.message);
        if (!labels_right(life, selector, &series.labels, &number))
            return false;
        if (seen[number])
            return life_fail(life, "%s finds series %" PRIu32 " twice", selector->text, number);
        seen[number] = true;
    }
    return values_right(life, selector, ledger, range, seen);
}

/* ---- matchers --------------------------------------------------------------------------- */

/* Some days from one on that has samples; everything where there are none. */
static struct time_range some_days(const struct ledger *ledger, uint64_t *random)
{
    uint32_t first = (uint32_t)sim_below(random, LIFE_SERIES);
    for (uint32_t i = 0; i < LIFE_SERIES; i++) {
        const struct ledger_series *series = &ledger->series[(first + i) % LIFE_SERIES];
        if (series->count == 0)
            continue;
        int64_t day = day_of_time(series->times[sim_below(random, series->count)]);
        int64_t days = 1 + (int64_t)sim_below(random, DAYS_OF_A_RANGE);
        return (struct time_range){day * MS_PER_DAY, (day + days) * MS_PER_DAY};
    }
    return fixture_always();
}

static bool finds(struct life *life, const struct life_selector *selector,
                  const struct matchers *matchers, const struct ledger *ledger, uint64_t *random)
{
    struct select_options options = {.range = fixture_always(),
                                     .ordered = sim_below(random, 2) == 0};
    if (sim_below(random, 2) == 0)
        options.range = some_days(ledger, random);
    struct selection *selection;
    struct error err = {0};
    if (storage_select(life->tier, matchers, 1, &options, &selection, &err) != STATUS_OK)
        return life_fail(life, "%s: %s", selector->text, err.message);
    char why[FIXTURE_WHY_SIZE];
    struct read_stats stats;
    bool right = labels_found(life, selector, selection, ledger, options.range);
    if (right &&
        !fixture_selection_same(life->tier, selection, ledger, options.range, selector->only, why))
        right = life_fail(life, "%s: %s", selector->text, why);
    selection_stats(life->tier, selection, &stats);
    if (right && stats.partial)
        right = life_fail(life, "%s: the answer is partial", selector->text);
    selection_close(life->tier, selection);
    return right;
}

static bool look_at_selector(struct life *life, const struct ledger *ledger, uint64_t *random)
{
    struct life_selector selector;
    struct arena arena;
    struct matchers matchers;
    life_selector_random(&selector, random);
    arena_init(&arena, TEXTS_SIZE);
    invariant(matchers_parse(slice_from_text(selector.text), &arena, &matchers, NULL) == STATUS_OK);
    bool right = finds(life, &selector, &matchers, ledger, random);
    matchers_release(&matchers);
    arena_release(&arena);
    return right;
}

/* All that have samples are counted; those that had some go only with time. */
static bool count_right(struct life *life, const struct ledger *ledger)
{
    uint64_t least = 0;
    struct engine_stats stats;
    for (uint32_t i = 0; i < LIFE_SERIES; i++)
        least += ledger->series[i].count > 0;
    engine_stats(life->tier, &stats);
    return (stats.series_committed >= least && stats.series_committed <= LIFE_SERIES) ||
           life_fail(life, "the store counts %" PRIu64 " series, and %" PRIu64 " have samples",
                     stats.series_committed, least);
}

bool life_look_at_selectors(struct life *life, const struct ledger *ledger, uint64_t *random)
{
    for (int i = 0; i < SELECTORS_A_LOOK; i++)
        if (!look_at_selector(life, ledger, random))
            return false;
    return count_right(life, ledger);
}

/* ---- totals ----------------------------------------------------------------------------- */

static enum status note_settled_day(void *context, const struct chunk_info *info, struct error *err)
{
    int64_t *day = context;
    (void)err;
    /* The last one of a single part. */
    if (info->parts == 1)
        *day = info->day;
    return STATUS_OK;
}

/* A whole day that lies in one part and nowhere else is told by block headers alone. */
static bool day_needs_no_decoding(struct life *life, const struct ledger *ledger)
{
    int64_t day = INT64_MIN;
    struct engine_stats engine;
    struct error err = {0};
    engine_stats(life->tier, &engine);
    if (engine.head_samples + engine.sealed_samples + engine.tombstones > 0)
        return true;
    if (storage_chunks(life->tier, note_settled_day, &day, &err) != STATUS_OK)
        return life_fail(life, "the list of chunks: %s", err.message);
    if (day == INT64_MIN)
        return true;
    struct time_range range = {day * MS_PER_DAY, (day + 1) * MS_PER_DAY};
    char why[FIXTURE_WHY_SIZE];
    uint64_t decoded = 0;
    if (!fixture_totals_counted(life->tier, ledger, range, &decoded, why))
        return life_fail(life, "day %" PRId64 " by block headers: %s", day, why);
    return decoded == 0 || life_fail(life,
                                     "day %" PRId64 " is one part, and its totals took decoding "
                                     "%" PRIu64 " samples",
                                     day, decoded);
}

bool life_look_at_totals(struct life *life, const struct ledger *ledger, uint64_t *random)
{
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_totals_same(life->tier, ledger, fixture_always(), why))
        return life_fail(life, "by block headers: %s", why);
    for (int i = 0; i < DAYS_A_LOOK && random != NULL; i++) {
        struct time_range range = some_days(ledger, random);
        if (!fixture_totals_same(life->tier, ledger, range, why))
            return life_fail(life, "days from %" PRId64 " on by block headers: %s",
                             day_of_time(range.start_ms), why);
    }
    return random == NULL || day_needs_no_decoding(life, ledger);
}

/* ---- chunks ----------------------------------------------------------------------------- */

static enum status look_at_chunk(void *context, const struct chunk_info *info, struct error *err)
{
    struct life *life = context;
    (void)err;
    if (info->tier == CHUNK_WARM && (info->day + 1) * MS_PER_DAY > life->warm_before_ms)
        life_fail(life, "day %" PRId64 " is warm, and none was due that ended after %" PRId64,
                  info->day, life->warm_before_ms);
    return STATUS_OK;
}

bool life_look_at_chunks(struct life *life)
{
    struct error err = {0};
    if (storage_chunks(life->tier, look_at_chunk, life, &err) != STATUS_OK)
        return life_fail(life, "the list of chunks: %s", err.message);
    return life->why[0] == '\0';
}

/* ---- the list of metrics ---------------------------------------------------------------- */

struct metric_look {
    struct life *life;
    bool seen[FIXTURE_METRICS];
    struct metric_info must[FIXTURE_METRICS]; /* of series with samples */
};

static void widen(struct metric_info *info, const struct ledger_series *series)
{
    if (series->count == 0)
        return;
    int64_t first_ms = series->times[0];
    int64_t last_ms = series->times[series->count - 1];
    if (!info->has_samples || first_ms < info->first_ms)
        info->first_ms = first_ms;
    if (!info->has_samples || last_ms > info->last_ms)
        info->last_ms = last_ms;
    info->has_samples = true;
    info->series++;
}

static enum status look_at_metric(void *context, const struct metric_info *info, struct error *err)
{
    struct metric_look *look = context;
    (void)err;
    uint32_t number = 0;
    char name[32];
    for (; number < FIXTURE_METRICS; number++) {
        fixture_metric_name(number, name);
        if (slice_equal_text(info->metric.name, name))
            break;
    }
    if (number == FIXTURE_METRICS || look->seen[number]) {
        life_fail(look->life, "the list of metrics has one twice, or one that nobody wrote");
        return STATUS_OK;
    }
    look->seen[number] = true;
    const struct metric_info *must = &look->must[number];
    if (info->series < must->series || info->has_samples != must->has_samples ||
        (must->has_samples && (info->first_ms != must->first_ms || info->last_ms != must->last_ms)))
        life_fail(look->life,
                  "the list of metrics says that %s has %" PRIu64 " series from %" PRId64
                  " to %" PRId64 " (%d) instead of %" PRIu64 " from %" PRId64 " to %" PRId64
                  " (%d)",
                  name, info->series, info->first_ms, info->last_ms, info->has_samples,
                  must->series, must->first_ms, must->last_ms, must->has_samples);
    return STATUS_OK;
}

bool life_look_at_metrics(struct life *life, const struct life_state *state)
{
    struct metric_look look = {.life = life};
    for (uint32_t i = 0; i < LIFE_SERIES; i++)
        widen(&look.must[i % FIXTURE_METRICS], &state->ledger.series[i]);
    bool partial = false;
    struct error err = {0};
    enum status status =
        storage_metrics(life->tier, NULL, look_at_metric, &look, NULL, &partial, &err);
    if (status != STATUS_OK)
        return life_fail(life, "the list of metrics: %s", err.message);
    if (partial)
        return life_fail(life, "the list of metrics is partial");
    for (uint32_t i = 0; i < FIXTURE_METRICS; i++)
        if (!look.seen[i] && (look.must[i].has_samples || state->descriptors.help[i] != 0))
            return life_fail(life, "the list of metrics lacks number %" PRIu32, i);
    return life->why[0] == '\0';
}
