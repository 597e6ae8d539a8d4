/*
 * life_clock - what the clock of a life may make go, or become warm, if the engine keeps what
 * retention.h promises: a leap of the wall clock is not believed before it has stood for
 * clock_leap_ms, over restarts too. The very first start believes what it sees: nothing says
 * otherwise.
 *
 * The model may believe in more than the engine does, as one that looks all the time, and never in
 * less: what it denies is an error.
 */
#include "life.h"

enum { NS_PER_MS = 1000000, TURNED_ONE_IN = 6 };

/* Nothing was acknowledged yet: what the store may have noted is of no weight. */
static bool is_new(const struct life *life)
{
    return life->model.writes == 0 && life->model.deletes == 0;
}

static int64_t gap_ms(const struct sim_clock *clock)
{
    return clock->wall_ms - clock->monotonic_ns / NS_PER_MS;
}

static void begin_standing(struct life *life)
{
    struct life_belief *belief = &life->belief;
    belief->turned_ns = life->machine.clock.monotonic_ns;
    belief->least_ms = belief->most_ms = gap_ms(&life->machine.clock);
}

static void widen(struct life_belief *belief, int64_t gap_ms)
{
    if (gap_ms < belief->least_ms)
        belief->least_ms = gap_ms;
    if (gap_ms > belief->most_ms)
        belief->most_ms = gap_ms;
}

static int64_t passed_s(const struct life *life)
{
    return (life->machine.clock.monotonic_ns - life->arrivals.began_ns) / NS_PER_MS / 1000;
}

static void arrivals_start(struct life *life)
{
    struct life_arrivals *arrivals = &life->arrivals;
    int64_t wall_s = life->machine.clock.wall_ms / 1000;
    arrivals->low_s = wall_s;
    for (size_t i = 0; i < LIFE_SERIES; i++)
        if (arrivals->received_s[i] > arrivals->low_s)
            arrivals->low_s = arrivals->received_s[i];
    if (arrivals->high_s < wall_s)
        arrivals->high_s = wall_s;
    arrivals->began_ns = life->machine.clock.monotonic_ns;
}

int64_t life_arrivals_latest(const struct life *life)
{
    return life->arrivals.high_s + (life->tier != NULL ? passed_s(life) : 0);
}

void life_received(struct life *life)
{
    enum { STEP_S = 3600 };
    int64_t now_s = life->arrivals.low_s + passed_s(life);
    if (life->config.sync != ENGINE_SYNC_ALWAYS)
        return;
    for (size_t i = 0; i < life->commit.count; i++)
        if (life->kept[i])
            life->arrivals.received_s[life->commit.samples[i].series] = now_s / STEP_S * STEP_S;
}

bool life_is_active(const struct life *life, uint32_t number)
{
    int64_t received_s = life->arrivals.received_s[number];
    int64_t now_s = life->arrivals.high_s + passed_s(life);
    return received_s != 0 && now_s - received_s <= MS_PER_DAY / 1000;
}

void life_clock_starts(struct life *life)
{
    arrivals_start(life);
    struct life_belief *belief = &life->belief;
    belief->looked_ns = life->machine.clock.monotonic_ns;
    begin_standing(life);
    /* It may have been made, and noted the time, before a clock that is earlier now. */
    if (is_new(life) && belief->time_ms < life->machine.clock.wall_ms)
        belief->time_ms = life->machine.clock.wall_ms;
}

void life_clock_turned(struct life *life, int64_t by_ms)
{
    struct life_belief *belief = &life->belief;
    int64_t gap = gap_ms(&life->machine.clock);
    widen(belief, gap - by_ms);
    /* A leap stands where the clock has been to within a leap, at some time since: the engine has
     * met it then or later. A clock that stood still and is set right comes back there. */
    if (gap < belief->least_ms - life->config.clock_leap_ms ||
        gap > belief->most_ms + life->config.clock_leap_ms)
        begin_standing(life);
    widen(belief, gap);
    life->past[LIFE_CLOCK_LEAPT] = true;
}

/* A clock that was set back lowers nothing: the engine may not have looked meanwhile, or not have
 * noted what it saw, and a start goes by what was noted. */
static void believe(struct life *life)
{
    struct life_belief *belief = &life->belief;
    const struct sim_clock *clock = &life->machine.clock;
    int64_t leap_ms = life->config.clock_leap_ms;
    widen(belief, gap_ms(clock));
    int64_t passed_ms = (clock->monotonic_ns - belief->looked_ns) / NS_PER_MS;
    belief->time_ms += passed_ms;
    belief->looked_ns += passed_ms * NS_PER_MS;
    int64_t by_ms = clock->wall_ms - belief->time_ms;
    bool stood = clock->monotonic_ns - belief->turned_ns >= leap_ms * NS_PER_MS;
    if (by_ms > 0 && (by_ms <= leap_ms || stood))
        belief->time_ms = clock->wall_ms;
}

/* 0: for ever. */
static int64_t kept_ms(const struct life_config *config, uint32_t series)
{
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct life_rule *rule = &config->rules[i];
        uint32_t number =
            rule->host ? series / FIXTURE_METRICS % FIXTURE_HOSTS : series % FIXTURE_METRICS;
        if (number == rule->number)
            return rule->keep_ms;
    }
    return config->retention_ms;
}

void life_clock_look(struct life *life)
{
    believe(life);
    int64_t now_ms = life->machine.clock.wall_ms;
    if (life->belief.time_ms < now_ms)
        now_ms = life->belief.time_ms;
    for (uint32_t i = 0; i < LIFE_SERIES; i++) {
        int64_t keep_ms = kept_ms(&life->config, i);
        if (keep_ms <= 0)
            continue;
        int64_t before = day_of_time(now_ms - keep_ms);
        life_model_doom(&life->model, i, before);
        if (before > life->expired_before)
            life->expired_before = before;
    }
    int64_t warm_ms = life->config.warm_after_ms;
    if (warm_ms > 0 && now_ms - warm_ms > life->warm_before_ms)
        life->warm_before_ms = now_ms - warm_ms;
}

void life_clock_turn_while_down(struct life *life, uint64_t *random)
{
    static const int64_t days[] = {1, 10, -10, 365, -365};
    if (sim_below(random, TURNED_ONE_IN) != 0)
        return;
    life->wall_ms += days[sim_below(random, sizeof days / sizeof days[0])] * MS_PER_DAY;
    life->past[LIFE_CLOCK_LEAPT] = true;
}
