#include "life_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/invariant.h"
#include "base/times.h"

enum { ARENA_SIZE = 1 << 16, HELP_SIZE = 32 };

/* ---- states and their prints ------------------------------------------------------------ */

void life_state_init(struct life_state *state)
{
    *state = (struct life_state){0};
    ledger_init(&state->ledger, LIFE_SERIES);
}

void life_state_release(struct life_state *state)
{
    ledger_release(&state->ledger);
}

void life_state_copy(struct life_state *to, const struct life_state *from)
{
    ledger_copy(&to->ledger, &from->ledger);
    to->descriptors = from->descriptors;
}

static uint64_t mixed(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static uint64_t hash_of_sample(uint32_t series, int64_t time_ms, uint64_t bits)
{
    return mixed(mixed(mixed(series + 1) + (uint64_t)time_ms) + bits);
}

static struct life_day *print_day(struct life_print *print, int64_t day)
{
    size_t at = print->day_count;
    while (at > 0 && print->days[at - 1].day > day)
        at--;
    if (at > 0 && print->days[at - 1].day == day)
        return &print->days[at - 1];
    invariant(print->day_count < LIFE_DAYS);
    memmove(&print->days[at + 1], &print->days[at],
            (print->day_count - at) * sizeof print->days[0]);
    print->day_count++;
    print->days[at] = (struct life_day){.day = day};
    return &print->days[at];
}

void life_state_print(const struct life_state *state, struct life_print *print)
{
    print->day_count = 0;
    print->descriptors = 0;
    for (uint32_t i = 0; i < state->ledger.series_count; i++) {
        const struct ledger_series *series = &state->ledger.series[i];
        struct life_day *day = NULL;
        for (size_t j = 0; j < series->count; j++) {
            int64_t number = day_of_time(series->times[j]);
            if (day == NULL || day->day != number)
                day = print_day(print, number);
            day->hash += hash_of_sample(i, series->times[j], series->bits[j]);
            day->samples++;
        }
    }
    for (uint32_t i = 0; i < FIXTURE_METRICS; i++)
        if (state->descriptors.help[i] != 0)
            print->descriptors +=
                hash_of_sample(i, (int64_t)state->descriptors.type[i], state->descriptors.help[i]);
}

static bool read_descriptor(struct life_state *state, struct tier *tier, uint32_t number,
                            char why[FIXTURE_WHY_SIZE])
{
    char name[32];
    char text[HELP_SIZE] = "";
    fixture_metric_name(number, name);
    struct arena arena;
    arena_init(&arena, ARENA_SIZE);
    struct metric metric;
    enum status status = storage_metric(tier, slice_from_text(name), &arena, &metric, NULL);
    bool readable = status == STATUS_OK && metric.help.size < HELP_SIZE;
    if (readable) {
        memcpy(text, metric.help.data, metric.help.size);
        state->descriptors.type[number] = metric.type;
        readable = sscanf(text, "help %" SCNu32, &state->descriptors.help[number]) == 1;
    }
    arena_release(&arena);
    return readable || status == STATUS_NOT_FOUND ||
           fixture_no(why, "the descriptor of %s is not one that was written: %s", name, text);
}

bool life_state_read(struct life_state *state, struct tier *tier, char why[FIXTURE_WHY_SIZE])
{
    if (!fixture_read(tier, &state->ledger, why))
        return false;
    for (uint32_t i = 0; i < FIXTURE_METRICS; i++)
        if (!read_descriptor(state, tier, i, why))
            return false;
    return true;
}

/* ---- commits ---------------------------------------------------------------------------- */

static void put_samples(struct ledger *ledger, const struct life_commit *commit)
{
    for (size_t i = 0; i < commit->count; i++)
        if (commit->kept == NULL || commit->kept[i])
            ledger_put(ledger, &commit->samples[i], 1);
}

static void describe(struct life_descriptors *descriptors, const struct life_commit *commit)
{
    uint32_t metric = commit->metric;
    /* One with another type is not taken. */
    if (descriptors->help[metric] != 0 && descriptors->type[metric] != commit->type)
        return;
    descriptors->type[metric] = commit->type;
    descriptors->help[metric] = commit->help;
}

static void state_apply(struct life_state *state, const struct life_commit *commit)
{
    if (commit->deletes) {
        ledger_delete(&state->ledger, commit->only, commit->range);
        return;
    }
    put_samples(&state->ledger, commit);
    if (commit->describes)
        describe(&state->descriptors, commit);
}

static void note_writers(struct life_model *model, const struct life_commit *commit)
{
    if (commit->deletes) {
        model->deletes++;
        ledger_delete(&model->writers, commit->only, commit->range);
        return;
    }
    uint64_t number = ++model->writes;
    for (size_t i = 0; i < commit->count; i++) {
        struct fixture_sample sample = commit->samples[i];
        sample.value = double_of_bits(number);
        if (commit->kept == NULL || commit->kept[i])
            ledger_put(&model->writers, &sample, 1);
    }
}

static bool is_metadata(const struct life_commit *commit)
{
    bool samples = false;
    for (size_t i = 0; i < commit->count; i++)
        samples = samples || commit->kept == NULL || commit->kept[i];
    return commit->deletes ? commit->found_nothing : !samples;
}

/* ---- the model -------------------------------------------------------------------------- */

static struct life_possible *possible_add(struct life_model *model)
{
    if (model->possible_count == model->possible_capacity) {
        model->possible_capacity = model->possible_capacity * 2 + 4;
        model->possible =
            realloc(model->possible, model->possible_capacity * sizeof model->possible[0]);
        invariant(model->possible != NULL);
    }
    return &model->possible[model->possible_count++];
}

/* Nothing but the present state. */
static void settle(struct life_model *model)
{
    model->possible_count = 0;
    struct life_possible *only = possible_add(model);
    life_state_print(&model->now, &only->print);
    only->acknowledged = true;
    only->metadata = false;
}

static void forget_doom(struct life_model *model)
{
    model->doomed_before = INT64_MIN;
    for (uint32_t i = 0; i < LIFE_SERIES; i++)
        model->doomed[i] = INT64_MIN;
}

void life_model_init(struct life_model *model)
{
    *model = (struct life_model){0};
    forget_doom(model);
    life_state_init(&model->now);
    ledger_init(&model->writers, LIFE_SERIES);
    settle(model);
}

void life_model_release(struct life_model *model)
{
    life_state_release(&model->now);
    ledger_release(&model->writers);
    free(model->possible);
    *model = (struct life_model){0};
}

void life_model_copy(struct life_model *to, const struct life_model *from)
{
    *to = *from;
    life_state_copy(&to->now, &from->now);
    ledger_copy(&to->writers, &from->writers);
    to->possible = malloc(from->possible_capacity * sizeof to->possible[0]);
    invariant(to->possible != NULL);
    memcpy(to->possible, from->possible, from->possible_count * sizeof to->possible[0]);
}

void life_model_begin(struct life_model *model, const struct life_commit *commit)
{
    struct life_state with;
    life_state_copy(&with, &model->now);
    state_apply(&with, commit);
    struct life_possible *possible = possible_add(model);
    life_state_print(&with, &possible->print);
    possible->acknowledged = false;
    possible->metadata = is_metadata(commit);
    life_state_release(&with);
}

/* States before this one, durable now, can come no more. */
static void forget_before(struct life_model *model, size_t first)
{
    model->possible_count -= first;
    memmove(model->possible, model->possible + first,
            model->possible_count * sizeof model->possible[0]);
}

void life_model_end(struct life_model *model, const struct life_commit *commit,
                    enum life_outcome outcome, bool synced)
{
    invariant(model->possible_count > 1);
    struct life_possible *last = &model->possible[model->possible_count - 1];
    if (outcome == LIFE_REFUSED)
        model->possible_count--;
    if (outcome != LIFE_ACKNOWLEDGED)
        return;
    state_apply(&model->now, commit);
    note_writers(model, commit);
    last->acknowledged = true;
    last->metadata = is_metadata(commit);
    if (synced)
        forget_before(model, model->possible_count - 1);
}

void life_model_flushed(struct life_model *model, bool log)
{
    size_t at = model->possible_count;
    while (--at > 0)
        if (model->possible[at].acknowledged && (log || !model->possible[at].metadata))
            break;
    forget_before(model, at);
}

void life_model_doom(struct life_model *model, uint32_t series, int64_t before_day)
{
    if (before_day > model->doomed[series])
        model->doomed[series] = before_day;
    if (before_day > model->doomed_before)
        model->doomed_before = before_day;
}

/* ---- comparing -------------------------------------------------------------------------- */

/* Days before `from_day` are not looked at. */
static bool prints_same(const struct life_print *a, const struct life_print *b, int64_t from_day)
{
    size_t i = 0;
    size_t j = 0;
    if (a->descriptors != b->descriptors)
        return false;
    while (i < a->day_count && a->days[i].day < from_day)
        i++;
    while (j < b->day_count && b->days[j].day < from_day)
        j++;
    if (a->day_count - i != b->day_count - j)
        return false;
    for (; i < a->day_count; i++, j++)
        if (a->days[i].day != b->days[j].day || a->days[i].hash != b->days[j].hash ||
            a->days[i].samples != b->days[j].samples)
            return false;
    return true;
}

/* What the series has of one day. */
struct doomed_day {
    int64_t day;
    uint64_t newest_gone, oldest_there; /* numbers of writes */
};

static void doomed_day_begin(struct doomed_day *at, int64_t day)
{
    *at = (struct doomed_day){.day = day, .oldest_there = UINT64_MAX};
}

/* Of a day that retention drops, what came after the last flush stays until the next: what is there
 * was written after all that is gone. A day that is not doomed is there as it was. */
static bool day_dropped_by_age(const struct doomed_day *at, int64_t doomed, uint32_t number,
                               char why[FIXTURE_WHY_SIZE])
{
    if (at->newest_gone == 0)
        return true;
    if (at->day >= doomed)
        return fixture_no(why, "series %" PRIu32 ": a sample of day %" PRId64 " is gone", number,
                          at->day);
    return at->newest_gone <= at->oldest_there ||
           fixture_no(why,
                      "series %" PRIu32 ": day %" PRId64 " was dropped in part, and not by age",
                      number, at->day);
}

static bool series_dropped_by_age(const struct life_model *model, uint32_t number,
                                  const struct ledger_series *found, char why[FIXTURE_WHY_SIZE])
{
    const struct ledger_series *known = &model->now.ledger.series[number];
    const struct ledger_series *writers = &model->writers.series[number];
    struct doomed_day day;
    size_t at = 0;
    doomed_day_begin(&day, INT64_MIN);
    for (size_t i = 0; i < known->count && day_of_time(known->times[i]) < model->doomed_before;
         i++) {
        if (day_of_time(known->times[i]) != day.day) {
            if (!day_dropped_by_age(&day, model->doomed[number], number, why))
                return false;
            doomed_day_begin(&day, day_of_time(known->times[i]));
        }
        /* A write that is not known is no older than any. */
        uint64_t writer = writers->bits[i];
        if (at < found->count && found->times[at] < known->times[i])
            return fixture_no(why, "series %" PRIu32 ": nobody wrote a sample at %" PRId64, number,
                              found->times[at]);
        bool there = at < found->count && found->times[at] == known->times[i];
        if (there && found->bits[at] != known->bits[i])
            return fixture_no(why, "series %" PRIu32 ": an old value is back at %" PRId64, number,
                              found->times[at]);
        at += there;
        if (there && writer != 0 && writer < day.oldest_there)
            day.oldest_there = writer;
        if (!there && (writer == 0 ? 1 : writer) > day.newest_gone)
            day.newest_gone = writer == 0 ? 1 : writer;
    }
    if (!day_dropped_by_age(&day, model->doomed[number], number, why))
        return false;
    return at == found->count || day_of_time(found->times[at]) >= model->doomed_before ||
           fixture_no(why, "series %" PRIu32 ": nobody wrote a sample at %" PRId64, number,
                      found->times[at]);
}

static bool dropped_by_age(const struct life_model *model, const struct life_state *found,
                           char why[FIXTURE_WHY_SIZE])
{
    for (uint32_t i = 0; i < LIFE_SERIES && model->doomed_before != INT64_MIN; i++)
        if (!series_dropped_by_age(model, i, &found->ledger.series[i], why))
            return false;
    return true;
}

/* The first difference from the present state. */
static bool tell_difference(const struct life_model *model, const struct life_state *found,
                            char why[FIXTURE_WHY_SIZE])
{
    for (uint32_t i = 0; i < FIXTURE_METRICS; i++)
        if (found->descriptors.help[i] != model->now.descriptors.help[i] ||
            found->descriptors.type[i] != model->now.descriptors.type[i])
            fixture_no(why,
                       "the descriptor of metric %" PRIu32 " is number %" PRIu32
                       " instead of %" PRIu32,
                       i, found->descriptors.help[i], model->now.descriptors.help[i]);
    for (uint32_t i = 0; i < LIFE_SERIES; i++) {
        const struct ledger_series *is = &found->ledger.series[i];
        const struct ledger_series *must = &model->now.ledger.series[i];
        size_t j = 0;
        while (j < is->count && j < must->count && is->times[j] == must->times[j] &&
               is->bits[j] == must->bits[j])
            j++;
        if (j < is->count || j < must->count)
            return fixture_no(why,
                              "series %" PRIu32 ", %zu samples instead of %zu: stands %016" PRIx64
                              " at %" PRId64 " instead of %016" PRIx64 " at %" PRId64
                              " (%zu states possible)",
                              i, is->count, must->count, j < is->count ? is->bits[j] : 0,
                              j < is->count ? is->times[j] : 0, j < must->count ? must->bits[j] : 0,
                              j < must->count ? must->times[j] : 0, model->possible_count);
    }
    return false;
}

bool life_model_allows(const struct life_model *model, const struct life_state *found,
                       char why[FIXTURE_WHY_SIZE])
{
    struct life_print print;
    life_state_print(found, &print);
    for (size_t i = 0; i < model->possible_count; i++) {
        const struct life_print *possible = &model->possible[i].print;
        if (prints_same(possible, &print, INT64_MIN))
            return true;
        /* Which heads are gone is known of the present state alone. */
        if (prints_same(possible, &print, model->doomed_before))
            return model->possible_count > 1 || dropped_by_age(model, found, why);
    }
    return tell_difference(model, found, why);
}

bool life_model_shows(const struct life_model *model, const struct life_state *found,
                      char why[FIXTURE_WHY_SIZE])
{
    struct life_print print;
    struct life_print now;
    life_state_print(found, &print);
    life_state_print(&model->now, &now);
    if (!prints_same(&now, &print, model->doomed_before))
        return tell_difference(model, found, why);
    return dropped_by_age(model, found, why);
}

/* ---- adopting --------------------------------------------------------------------------- */

/* The writers of what is there. */
static void find_writers(const struct life_model *model, const struct ledger *found,
                         struct ledger *writers)
{
    ledger_copy(writers, found);
    for (uint32_t i = 0; i < LIFE_SERIES; i++) {
        const struct ledger_series *known = &model->now.ledger.series[i];
        struct ledger_series *series = &writers->series[i];
        size_t at = 0;
        for (size_t j = 0; j < series->count; j++) {
            while (at < known->count && known->times[at] < series->times[j])
                at++;
            bool same = at < known->count && known->times[at] == series->times[j] &&
                        known->bits[at] == series->bits[j];
            series->bits[j] = same ? model->writers.series[i].bits[at] : 0;
        }
    }
}

static void take(struct life_model *model, struct life_state *found)
{
    struct ledger writers;
    find_writers(model, &found->ledger, &writers);
    life_state_release(&model->now);
    ledger_release(&model->writers);
    model->now = *found;
    model->writers = writers;
    *found = (struct life_state){0};
}

void life_model_adopt(struct life_model *model, struct life_state *found)
{
    take(model, found);
    forget_doom(model);
    settle(model);
}

void life_model_dropped(struct life_model *model, const struct life_state *found)
{
    /* A crash may bring back other states, with all that was dropped. */
    if (model->possible_count > 1)
        return;
    struct life_state copy;
    life_state_copy(&copy, found);
    life_model_adopt(model, &copy);
}
