#include "damage_ask.h"

#include "../unit/test.h"

#include <inttypes.h>
#include <math.h>

#include "base/bits.h"

static void say(struct answer *answer, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct answer *answer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(answer->why, sizeof answer->why, format, args);
    va_end(args);
    answer->wrong = true;
}

/* The first place whose time is not before `time_ms`. */
static size_t place_of(const struct ledger_series *series, int64_t time_ms)
{
    size_t low = 0;
    size_t high = series->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (series->times[middle] < time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- series ----------------------------------------------------------------------------- */

/* Labels that are told are exactly those of a series that was written. */
static bool number_of(const struct world *world, const struct labels *labels, uint32_t *number)
{
    struct slice text = labels_get(labels, slice_from_text("n"));
    char digits[8] = {0};
    if (text.size == 0 || text.size >= sizeof digits)
        return false;
    memcpy(digits, text.data, text.size);
    *number = (uint32_t)strtoul(digits, NULL, 10);
    if (*number >= world->kind->series + world->kind->new_series)
        return false;
    const struct world_labels *of = &world->labels[*number];
    return labels_compare(labels, &(struct labels){(struct label *)of->items, of->count}) == 0;
}

/* An open selection of everything, walked series by series. */
struct walk {
    const struct world *world;
    struct tier *tier;
    struct answer *answer;
    struct selection *selection;
    struct storage_cursor *cursor;
    bool *seen;
};

/* False where series `index` is left out, which the stats have to say, or something is wrong. */
static bool name_series(struct walk *walk, size_t index, uint32_t *number)
{
    struct answer *answer = walk->answer;
    struct selected_series series;
    answer->status = selection_series(walk->tier, walk->selection, index, &series, NULL);
    if (answer->status == STATUS_CORRUPT)
        answer->status = STATUS_OK;
    else if (answer->status == STATUS_OK && !number_of(walk->world, &series.labels, number))
        say(answer, "series %zu has labels that nobody wrote", index);
    else if (answer->status == STATUS_OK && walk->seen[*number])
        say(answer, "series %" PRIu32 " is there twice", *number);
    else
        return walk->seen[*number] = answer->status == STATUS_OK;
    return false;
}

static bool open_walk(struct walk *walk, const struct matchers *matchers,
                      const struct select_options *options)
{
    walk->cursor = NULL;
    walk->seen = calloc(walk->world->living.series_count, sizeof walk->seen[0]);
    assert_non_null(walk->seen);
    walk->answer->status = storage_select(walk->tier, matchers, 1, options, &walk->selection, NULL);
    if (walk->answer->status == STATUS_OK)
        return true;
    free(walk->seen);
    return false;
}

static void close_walk(struct walk *walk)
{
    struct read_stats stats;
    selection_stats(walk->tier, walk->selection, &stats);
    walk->answer->partial = walk->answer->partial || stats.partial;
    selection_close(walk->tier, walk->selection);
    free(walk->seen);
}

static bool goes_on(const struct answer *answer)
{
    return answer->status == STATUS_OK && !answer->wrong;
}

/* Calls `read` for each series, positioned. */
static void walk_series(const struct world *world, struct tier *tier, struct answer *answer,
                        void (*read)(struct walk *walk, uint32_t number))
{
    struct walk walk = {.world = world, .tier = tier, .answer = answer};
    struct matchers everything = {0};
    struct select_options options = {.range = fixture_always()};
    if (!open_walk(&walk, &everything, &options))
        return;
    for (size_t i = 0; i < selection_count(tier, walk.selection) && goes_on(answer); i++) {
        uint32_t number;
        if (!name_series(&walk, i, &number))
            continue;
        answer->status =
            selection_read(tier, walk.selection, i, fixture_always(), &walk.cursor, NULL);
        if (answer->status == STATUS_OK)
            read(&walk, number);
    }
    close_walk(&walk);
}

static bool is_excused(const struct answer *answer)
{
    return answer->partial || answer->may_lack;
}

/* ---- samples ---------------------------------------------------------------------------- */

/* Every sample that is told is one that was written. */
static void check_samples(struct answer *answer, const struct ledger_series *written,
                          uint32_t number, const struct storage_block *block)
{
    for (uint32_t i = 0; i < block->count; i++) {
        size_t place = place_of(written, block->times[i]);
        if (place == written->count || written->times[place] != block->times[i] ||
            written->bits[place] != bits_of_double(block->values[i])) {
            say(answer, "series %" PRIu32 ": a sample at %" PRId64 " that nobody wrote", number,
                block->times[i]);
            return;
        }
        struct fixture_sample sample = {number, block->times[i], block->values[i]};
        if (answer->told != NULL)
            ledger_put(answer->told, &sample, 1);
    }
    answer->samples += block->count;
}

static void read_samples(struct walk *walk, uint32_t number)
{
    struct answer *answer = walk->answer;
    struct storage_block block;
    int64_t before_ms = INT64_MIN;
    while (goes_on(answer) && (answer->status = storage_cursor_next(walk->tier, walk->cursor,
                                                                    &block, NULL)) == STATUS_OK) {
        answer->status = storage_cursor_load(walk->tier, walk->cursor, &block, NULL);
        if (answer->status != STATUS_OK || block.count == 0)
            continue;
        if (block.first_ms <= before_ms)
            say(answer, "series %" PRIu32 ": a block at %" PRId64 " overlaps the one before",
                number, block.first_ms);
        else
            check_samples(answer, &walk->world->written.series[number], number, &block);
        before_ms = block.last_ms;
    }
    if (answer->status == STATUS_END)
        answer->status = STATUS_OK;
}

static void ask_samples(const struct world *world, struct tier *tier, struct answer *answer)
{
    walk_series(world, tier, answer, read_samples);
    uint64_t all = ledger_count(&world->living);
    if (goes_on(answer) && !is_excused(answer) && answer->samples != all)
        say(answer, "%" PRIu64 " of %" PRIu64 " samples, in silence", answer->samples, all);
}

/* ---- headers ---------------------------------------------------------------------------- */

static void summarise(const struct ledger_series *series, struct time_range range,
                      struct summary *summary)
{
    summary_init(summary);
    for (size_t i = place_of(series, range.start_ms); i < place_of(series, range.end_ms); i++) {
        double value = double_of_bits(series->bits[i]);
        summary_add(summary, &series->times[i], &value, 1);
    }
}

static bool near(double a, double b)
{
    return a == b || fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

static bool same_summary(const struct summary *a, const struct summary *b)
{
    if (a->count != b->count || a->stale_count != 0 || a->nan_count != 0)
        return false;
    return a->count == 0 ||
           (a->first_ms == b->first_ms && a->last_ms == b->last_ms && a->first == b->first &&
            a->last == b->last && a->min == b->min && a->max == b->max &&
            near(summary_sum(a), summary_sum(b)) && near(a->increase, b->increase));
}

/* Of some of the samples, and no others. */
static bool is_within(const struct summary *some, const struct summary *all)
{
    return some->count == 0 ||
           (some->count <= all->count && some->first_ms >= all->first_ms &&
            some->last_ms <= all->last_ms && some->min >= all->min && some->max <= all->max &&
            summary_sum(some) <= summary_sum(all) * (1 + 1e-9));
}

/* What is told of a series' day. */
static void check_day(struct walk *walk, uint32_t number, int64_t day, const struct summary *told,
                      bool *incomplete)
{
    struct summary written, living;
    struct time_range range = {day * MS_PER_DAY, (day + 1) * MS_PER_DAY};
    summarise(&walk->world->written.series[number], range, &written);
    summarise(&walk->world->living.series[number], range, &living);
    walk->answer->samples += told->count;
    if (same_summary(told, &living))
        return;
    *incomplete = true;
    if (!is_within(told, &written))
        say(walk->answer,
            "series %" PRIu32 " on day %" PRId64 ": count %" PRIu32 " sum %.17g of %" PRIu32
            ", %.17g",
            number, day, told->count, summary_sum(told), written.count, summary_sum(&written));
}

/* The day of a series that is being added up. */
struct day_sum {
    uint32_t number;
    int64_t day;
    struct summary told;
    bool incomplete; /* one of the days so far */
};

static void end_day(struct walk *walk, struct day_sum *sum)
{
    if (sum->told.count > 0)
        check_day(walk, sum->number, sum->day, &sum->told, &sum->incomplete);
    summary_init(&sum->told);
}

static void reach_day(struct walk *walk, struct day_sum *sum, int64_t time_ms)
{
    if (day_of_time(time_ms) == sum->day)
        return;
    end_day(walk, sum);
    sum->day = day_of_time(time_ms);
}

/* Adds a block without decoding it, where it has a summary: then it lies within a day. */
static enum status add_block(struct walk *walk, struct storage_block *block, struct day_sum *sum)
{
    if (block->summary != NULL) {
        reach_day(walk, sum, block->first_ms);
        summary_combine(&sum->told, block->summary);
        return STATUS_OK;
    }
    enum status status = storage_cursor_load(walk->tier, walk->cursor, block, NULL);
    for (uint32_t i = 0; status == STATUS_OK && i < block->count; i++) {
        reach_day(walk, sum, block->times[i]);
        summary_add(&sum->told, &block->times[i], &block->values[i], 1);
    }
    return status;
}

static void read_headers(struct walk *walk, uint32_t number)
{
    struct answer *answer = walk->answer;
    struct storage_block block;
    struct day_sum sum = {.number = number, .day = INT64_MIN};
    summary_init(&sum.told);
    while (goes_on(answer) && (answer->status = storage_cursor_next(walk->tier, walk->cursor,
                                                                    &block, NULL)) == STATUS_OK)
        answer->status = add_block(walk, &block, &sum);
    end_day(walk, &sum);
    if (answer->status == STATUS_END)
        answer->status = STATUS_OK;
    struct read_stats stats;
    selection_stats(walk->tier, walk->selection, &stats);
    if (goes_on(answer) && sum.incomplete && !stats.partial && !answer->may_lack)
        say(answer, "series %" PRIu32 ": an aggregate lacks samples, in silence", number);
}

static void ask_headers(const struct world *world, struct tier *tier, struct answer *answer)
{
    walk_series(world, tier, answer, read_headers);
    uint64_t all = ledger_count(&world->living);
    if (goes_on(answer) && !is_excused(answer) && answer->samples != all)
        say(answer, "aggregates of %" PRIu64 " of %" PRIu64 " samples, in silence", answer->samples,
            all);
}

/* ---- matchers --------------------------------------------------------------------------- */

static void check_matched(struct walk *walk, const struct matchers *matchers,
                          struct time_range range, const char *text)
{
    const struct world *world = walk->world;
    for (uint32_t i = 0; i < world->living.series_count && goes_on(walk->answer); i++) {
        const struct labels labels = {world->labels[i].items, world->labels[i].count};
        bool matches = matchers_match(matchers, &labels);
        const struct ledger_series *living = &world->living.series[i];
        bool wanted = matches && place_of(living, range.start_ms) < place_of(living, range.end_ms);
        if (walk->seen[i] && !matches)
            say(walk->answer, "%s: series %" PRIu32 " does not match", text, i);
        else if (!walk->seen[i] && wanted && !is_excused(walk->answer))
            say(walk->answer, "%s: series %" PRIu32 " is missing, in silence", text, i);
    }
}

static void ask_selector(const struct world *world, struct tier *tier, size_t selector,
                         bool one_day, struct answer *answer)
{
    struct walk walk = {.world = world, .tier = tier, .answer = answer};
    struct time_range day = {SIM_START_MS, SIM_START_MS + MS_PER_DAY};
    struct select_options options = {.range = one_day ? day : fixture_always(),
                                     .ordered = selector % 2 == 1};
    bool *seen;
    answer->partial = false;
    if (!open_walk(&walk, &world->selectors[selector], &options))
        return;
    for (size_t i = 0; i < selection_count(tier, walk.selection) && goes_on(answer); i++) {
        uint32_t number;
        name_series(&walk, i, &number);
    }
    seen = walk.seen;
    walk.seen = NULL;
    close_walk(&walk);
    walk.seen = seen;
    check_matched(&walk, &world->selectors[selector], options.range,
                  world->kind->selectors[selector]);
    free(seen);
}

static void ask_matchers(const struct world *world, struct tier *tier, struct answer *answer)
{
    bool partial = false;
    for (size_t i = 0; i < world->selector_count && goes_on(answer); i++)
        for (int one_day = 0; one_day < 2 && goes_on(answer); one_day++) {
            ask_selector(world, tier, i, one_day == 1, answer);
            partial = partial || answer->partial;
        }
    answer->partial = partial;
}

/* ---- metrics ---------------------------------------------------------------------------- */

struct metric_told {
    const struct world *world;
    struct answer *answer;
    const struct matchers *matchers; /* NULL: all */
    uint64_t metrics, series;
    bool incomplete;
};

/* What is true of a metric: of its series that are not deleted, and of all that ever were. */
struct metric_truth {
    uint64_t living, written;                 /* series */
    struct summary living_span, written_span; /* first_ms and last_ms */
};

static void widen(struct summary *span, const struct ledger_series *series)
{
    if (series->count == 0)
        return;
    if (span->count++ == 0 || series->times[0] < span->first_ms)
        span->first_ms = series->times[0];
    if (span->count == 1 || series->times[series->count - 1] > span->last_ms)
        span->last_ms = series->times[series->count - 1];
}

static void truth_of(const struct world *world, struct slice name, const struct matchers *matchers,
                     struct metric_truth *truth)
{
    *truth = (struct metric_truth){0};
    for (uint32_t i = 0; i < world->living.series_count; i++) {
        const struct labels labels = {world->labels[i].items, world->labels[i].count};
        if (!slice_equal(world_metric(world, world->metrics[i]), name))
            continue;
        widen(&truth->living_span, &world->living.series[i]);
        widen(&truth->written_span, &world->written.series[i]);
        if (matchers != NULL && !matchers_match(matchers, &labels))
            continue;
        truth->living += world->living.series[i].count > 0;
        truth->written += world->written.series[i].count > 0;
    }
}

static enum status take_metric(void *context, const struct metric_info *info, struct error *err)
{
    struct metric_told *told = context;
    struct metric_truth truth;
    (void)err;
    truth_of(told->world, info->metric.name, told->matchers, &truth);
    told->metrics += truth.living > 0;
    told->series += info->series;
    const struct summary *all = &truth.written_span;
    const struct summary *now = &truth.living_span;
    if (info->series > truth.written ||
        (info->has_samples && (info->first_ms < all->first_ms || info->last_ms > all->last_ms)))
        say(told->answer, "metric %.*s: more than there ever was", SLICE_FORMAT(info->metric.name));
    if (info->series < truth.living || info->has_samples != (now->count > 0) ||
        (info->has_samples && (info->first_ms != now->first_ms || info->last_ms != now->last_ms)))
        told->incomplete = true;
    return STATUS_OK;
}

static uint64_t count_metrics(const struct world *world, const struct matchers *matchers)
{
    uint64_t count = 0;
    bool *counted = calloc(world->living.series_count, sizeof counted[0]);
    assert_non_null(counted);
    for (uint32_t i = 0; i < world->living.series_count; i++) {
        const struct labels labels = {world->labels[i].items, world->labels[i].count};
        bool counts = world->living.series[i].count > 0 && !counted[world->metrics[i]] &&
                      (matchers == NULL || matchers_match(matchers, &labels));
        counted[world->metrics[i]] = counted[world->metrics[i]] || counts;
        count += counts;
    }
    free(counted);
    return count;
}

static void ask_listing(const struct world *world, struct tier *tier,
                        const struct matchers *matchers, struct answer *answer)
{
    struct metric_told told = {.world = world, .answer = answer, .matchers = matchers};
    bool partial = false;
    answer->status = storage_metrics(tier, matchers, take_metric, &told, NULL, &partial, NULL);
    answer->partial = answer->partial || partial;
    if (goes_on(answer) && !partial && !answer->may_lack &&
        (told.incomplete || told.metrics != count_metrics(world, matchers)))
        say(answer, "the list of metrics is not complete, in silence");
}

/* Descriptors that are lost have no answer that could be partial: health says it. */
static void ask_descriptors(const struct world *world, struct tier *tier, struct answer *answer)
{
    for (const char *const *name = world->kind->described; *name != NULL && goes_on(answer);
         name++) {
        struct arena arena;
        struct metric metric;
        arena_init(&arena, 1 << 16);
        enum status status = storage_metric(tier, slice_from_text(*name), &arena, &metric, NULL);
        if (status == STATUS_NOT_FOUND)
            answer->partial = !answer->may_lack;
        else if (status != STATUS_OK || metric.type != METRIC_GAUGE ||
                 !slice_equal_text(metric.help, "It."))
            say(answer, "metric %s: not the descriptor that was written", *name);
        arena_release(&arena);
    }
}

static void ask_metrics(const struct world *world, struct tier *tier, struct answer *answer)
{
    ask_listing(world, tier, NULL, answer);
    if (goes_on(answer))
        ask_listing(world, tier, &world->selectors[0], answer);
    if (goes_on(answer))
        ask_descriptors(world, tier, answer);
}

/* ---- all -------------------------------------------------------------------------------- */

void world_question(const struct world *world, struct tier *tier, enum question question,
                    struct answer *answer)
{
    static void (*const questions[])(const struct world *, struct tier *, struct answer *) = {
        [ASK_SAMPLES] = ask_samples,
        [ASK_HEADERS] = ask_headers,
        [ASK_MATCHERS] = ask_matchers,
        [ASK_METRICS] = ask_metrics,
    };
    questions[question](world, tier, answer);
    struct storage_condition condition;
    storage_condition(tier, &condition);
    if (goes_on(answer) && answer->partial && condition.health == STORAGE_HEALTHY)
        say(answer, "the answer to question %d is partial, and health says nothing", question);
}

void world_questions(const struct world *world, struct tier *tier, struct answer *answer)
{
    world_question(world, tier, ASK_SAMPLES, answer);
    for (int question = ASK_SAMPLES + 1; question < QUESTIONS && !answer->wrong; question++) {
        struct answer other = {.may_lack = answer->may_lack};
        world_question(world, tier, (enum question)question, &other);
        answer->partial = answer->partial || other.partial;
        if (other.wrong)
            say(answer, "%s", other.why);
        if (other.status != STATUS_OK && answer->status == STATUS_OK)
            answer->status = other.status;
    }
}

struct answer world_ask(const struct world *world, struct sim_disk *disk, bool read_only)
{
    struct answer answer = {0};
    struct sim_machine machine;
    struct tier *tier;
    world_machine_init(world, &machine, disk);
    machine.options.read_only = read_only;
    answer.status = engine_open(&machine.options, &tier, NULL);
    if (answer.status != STATUS_OK)
        return answer;
    world_questions(world, tier, &answer);
    engine_abandon(tier);
    return answer;
}
