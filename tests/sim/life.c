#include "life.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/invariant.h"

bool life_fail(struct life *life, const char *format, ...)
{
    if (life->why[0] != '\0')
        return false;
    char name[LIFE_NAME_SIZE];
    life_step_name(life, name);
    int size = snprintf(life->why, sizeof life->why, "step %u, %s: ", life->step, name);
    va_list args;
    va_start(args, format);
    vsnprintf(life->why + size, sizeof life->why - (size_t)size, format, args);
    va_end(args);
    return false;
}

uint64_t life_random(const struct life *life, uint64_t purpose)
{
    uint64_t state = life->options.seed * UINT64_C(0x9e3779b97f4a7c15) + life->salt;
    state = sim_next(&state) + purpose;
    return sim_next(&state);
}

void life_explore(struct life *life)
{
    if (life->depth == 0 && life->step >= life->options.explored_from)
        sim_explore_attach(&life->explore, life->disk);
}

const char *life_quarter_name(unsigned quarter)
{
    static const char *const names[] = {
        "in the first quarter of a life",
        "in the second quarter",
        "in the third quarter",
        "in the last quarter",
    };
    invariant(quarter < LIFE_QUARTERS);
    return names[quarter];
}

const char *life_past_name(enum life_past past)
{
    static const char *const names[] = {
        [LIFE_RESTARTED] = "after a restart",
        [LIFE_RESTARTED_OFTEN] = "after five restarts",
        [LIFE_MERGED] = "after a merge",
        [LIFE_WARMED] = "after a warm step",
        [LIFE_INDEX_MERGED] = "after a merge of the index",
        [LIFE_DELETED] = "after a delete",
        [LIFE_DAY_DROPPED] = "after retention dropped a day",
        [LIFE_RULE_APPLIED] = "after a retention rule deleted samples",
        [LIFE_RESTORED] = "after a snapshot was restored",
        [LIFE_RECONFIGURED] = "after a change of settings",
        [LIFE_CLOCK_LEAPT] = "after a leap of the clock",
    };
    return names[past];
}

/* ---- where crashes are tried ------------------------------------------------------------- */

enum {
    OFTEN = 5,
    BURST = 60,        /* states by which a step may be ahead of its share */
    EVERY_MOST = 4096, /* calls from one crash to the next */
};

/* How densely this life is looked at: few crashes each with many in recovery, or many without. */
static void plan_exploration(struct life *life)
{
    static const uint64_t strides[] = {3, 5, 7, 11};
    uint64_t random = life_random(life, UINT64_C(1) << 40);
    unsigned depth = (unsigned)sim_below(&random, 3);
    uint64_t every = strides[sim_below(&random, sizeof strides / sizeof strides[0])];
    bool plain = life->options.every == 0;
    life->explore = (struct sim_explore){
        .check = life_recovers,
        .context = life,
        .seed = life->options.seed,
        .crashes = life->options.crashes,
        .kills = true,
        .each_site = plain,
        .depth = depth,
        .every = plain ? every << depth : life->options.every,
        .phase = sim_below(&random, every << depth),
        .every_in_recovery = plain ? 5 + 8 * depth : life->options.every_in_recovery,
        .sites = life->options.sites,
    };
}

static uint64_t share_until(const struct life *life, unsigned step)
{
    return life->options.states * step / life->options.steps;
}

/* The states of a life are spread over its steps: none takes those of later ones, and where steps
 * ask much of the disk, crashes lie further apart, so that the end of a long step has its share. */
static void spread_exploration(struct life *life)
{
    struct sim_explore *explore = &life->explore;
    if (life->options.states == 0)
        return;
    uint64_t due = share_until(life, life->step);
    if (explore->states > due && explore->every < EVERY_MOST)
        explore->every *= 2;
    else if (2 * explore->states < due && explore->every > 1)
        explore->every /= 2;
    uint64_t random = life_random(life, life->step + (UINT64_C(5) << 40));
    explore->phase = sim_below(&random, explore->every);
    explore->most = share_until(life, life->step + 1) + BURST;
}

static void note_past(struct life *life)
{
    struct engine_stats stats;
    if (life->tier == NULL)
        return;
    engine_stats(life->tier, &stats);
    const bool happened[LIFE_PASTS] = {
        [LIFE_RESTARTED] = life->starts > 1,
        [LIFE_RESTARTED_OFTEN] = life->starts > OFTEN,
        [LIFE_MERGED] = stats.merges > 0,
        [LIFE_WARMED] = stats.warm_merges > 0,
        [LIFE_INDEX_MERGED] = stats.index_merges > 0,
        [LIFE_DELETED] = stats.deletes > 0,
        [LIFE_DAY_DROPPED] = stats.chunks_dropped > 0,
        [LIFE_RULE_APPLIED] = stats.rule_deletes > 0,
    };
    for (size_t i = 0; i < LIFE_PASTS; i++)
        life->past[i] = life->past[i] || happened[i];
}

/* ---- a life ------------------------------------------------------------------------------ */

static void begin(struct life *life, const struct life_options *options)
{
    *life = (struct life){.options = *options,
                          .dir = "/data/store",
                          .wall_ms = SIM_START_MS,
                          .expired_before = INT64_MIN,
                          .warm_before_ms = INT64_MIN,
                          .belief = {.time_ms = INT64_MIN}};
    life->disk = sim_machine_disk(options->seed);
    life->owns_disk = true;
    life->log_fd = memfd_create("log", MFD_CLOEXEC);
    invariant(life->log_fd >= 0);
    life_model_init(&life->model);
    plan_exploration(life);
    uint64_t random = life_random(life, UINT64_C(2) << 40);
    life_config_random(&life->config, &random);
    life_clock_turn_while_down(life, &random);
}

static void end(struct life *life, struct life_result *result)
{
    life_calm(life);
    if (life->tier != NULL)
        life_stop(life, false);
    sim_explore_detach(life->disk);
    if (life->why[0] == '\0' && life->explore.violations > 0)
        life_fail(life, "a crash is not survived");
    *result = (struct life_result){
        .states = life->explore.states,
        .calls = sim_disk_calls(life->disk),
        .samples = ledger_count(&life->model.now.ledger),
        .spread = life->spread,
        .steps = life->step,
        .violated = life->why[0] != '\0',
        .violated_step = life->step,
    };
    memcpy(result->why, life->why, sizeof result->why);
    life_model_release(&life->model);
    life_state_release(&life->seen);
    sim_disk_free(life->disk);
    close(life->log_fd);
}

static bool is_left_out(const struct life_options *options, unsigned step)
{
    return options->left_out != NULL && options->left_out[step];
}

static void tell_step(const struct life *life)
{
    char name[LIFE_NAME_SIZE];
    life_step_name(life, name);
    printf("%3u %s\n", life->step, name);
}

void life_run(const struct life_options *options, struct life_result *result)
{
    struct life life;
    begin(&life, options);
    spread_exploration(&life);
    life_explore(&life);
    bool goes_on = life_open(&life);
    for (; life.step < options->steps && goes_on; life.step++) {
        if (is_left_out(options, life.step))
            continue;
        spread_exploration(&life);
        life_explore(&life);
        goes_on = life_take_step(&life) && life.explore.violations == 0;
        note_past(&life);
        if (options->narrates)
            tell_step(&life);
        if (!goes_on)
            break;
    }
    if (goes_on)
        sim_explore_now(&life.explore, life.disk);
    end(&life, result);
}

void life_tell(const struct life_options *options)
{
    struct life life;
    life = (struct life){.options = *options};
    for (life.step = 0; life.step < options->steps; life.step++)
        if (!is_left_out(options, life.step))
            tell_step(&life);
}
