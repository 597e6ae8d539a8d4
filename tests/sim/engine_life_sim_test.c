/*
 * Random lives of the whole engine (life.h), crashed all the way.
 *
 *   without arguments       lives of fixed seeds, as a test
 *   --seed S --stride K     lives of the seeds S, S + K, S + 2 K, ... for scripts/simulate:
 *   --states N, --seconds N until so many crash states were tried, or so long
 *
 * METRIC_STORE_SIM_SEED=S in the environment lives that one life, tells its steps, and when it
 * fails leaves out steps as long as it still fails. With METRIC_STORE_SIM_STATE=N the calls of
 * recovery number N are shown.
 *
 * Each life is a process of its own, so that one that crashes costs nothing but itself.
 */
#include "../unit/test.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/invariant.h"
#include "life.h"

enum {
    STEPS = 120, /* of most lives */
    STEPS_OF_A_LONG_LIFE = LIFE_STEPS_MAX,
    STATES_OF_A_LIFE = SANITIZED ? 100 : 1000,
    FIXED_SEEDS = SANITIZED ? 8 : 24,
    LIFE_PROCESSOR_S = 600,
    LIFE_TIMEOUT_S = 3600, /* one that hangs; a machine may be busy or asleep */
    SHORTEN_S = 120,
    PROGRESS_S = 1,
};

/* What a life's process tells; shared memory. */
struct report {
    struct life_result result;
    struct sim_sites sites; /* of crashes, summed up over lives */
};

static uint64_t from_environment(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

static struct life_options options_of(uint64_t seed)
{
    return (struct life_options){.seed = seed,
                                 .steps = seed % 3 == 0 ? STEPS_OF_A_LONG_LIFE : STEPS,
                                 .crashes = 2,
                                 .states = STATES_OF_A_LIFE};
}

static struct report *report_new(void)
{
    struct report *report =
        mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    invariant(report != MAP_FAILED);
    return report;
}

/* Pages of memory that lives ask for and give back all the time stay with the process. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

/* Lives in a process of its own. False after a violation, a crash, or a life that does not end. */
static bool live(const struct life_options *options, struct report *report, bool silent)
{
    report->result = (struct life_result){.violated = true};
    fflush(stdout);
    pid_t child = fork();
    invariant(child >= 0);
    if (child == 0) {
        if (silent && (freopen("/dev/null", "w", stdout) == NULL ||
                       freopen("/dev/null", "w", stderr) == NULL))
            _exit(3);
        alarm(LIFE_TIMEOUT_S);
        struct rlimit limit = {LIFE_PROCESSOR_S, LIFE_PROCESSOR_S};
        invariant(setrlimit(RLIMIT_CPU, &limit) == 0);
        life_run(options, &report->result);
        fflush(stdout);
        _exit(0);
    }
    int end;
    while (waitpid(child, &end, 0) < 0)
        invariant(errno == EINTR);
    if (WIFSIGNALED(end))
        snprintf(report->result.why, sizeof report->result.why, "it was ended by signal %d",
                 WTERMSIG(end));
    return !report->result.violated;
}

static void tell_failure(uint64_t seed, const struct life_result *result)
{
    char program[256] = "engine_life_sim_test";
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    if (size > 0)
        program[size] = '\0';
    printf("failed: seed %" PRIu64 ": %s\nrepeat: METRIC_STORE_SIM_SEED=%" PRIu64 " %s\n", seed,
           result->why, seed, program);
    fflush(stdout);
}

/* ---- shortening ------------------------------------------------------------------------- */

struct shortening {
    struct life_options options;
    struct report *report;
    bool left_out[LIFE_STEPS_MAX];
    time_t until;
};

/* Leaves out steps [from, from + count) where the life fails without them too. */
static void try_without(struct shortening *shortening, unsigned from, unsigned count)
{
    bool before[LIFE_STEPS_MAX];
    memcpy(before, shortening->left_out, sizeof before);
    for (unsigned i = from; i < from + count; i++)
        shortening->left_out[i] = true;
    if (memcmp(before, shortening->left_out, sizeof before) == 0)
        return;
    if (time(NULL) >= shortening->until || live(&shortening->options, shortening->report, true))
        memcpy(shortening->left_out, before, sizeof before);
}

/* What a crash leaves depends on the number of the call: where steps are missing all calls of the
 * last one are tried, in more ways. */
static void shorten(const struct life_options *options, const struct life_result *result,
                    struct report *report)
{
    struct shortening shortening = {
        .options = *options, .report = report, .until = time(NULL) + SHORTEN_S};
    unsigned last = result->violated_step;
    shortening.options.narrates = false;
    shortening.options.left_out = shortening.left_out;
    shortening.options.steps = last + 1;
    shortening.options.explored_from = last;
    shortening.options.crashes = 4;
    shortening.options.every = 1;
    shortening.options.every_in_recovery = 2;
    shortening.options.states = 0;
    if (last == 0 || live(&shortening.options, report, true)) {
        printf("it cannot be shortened\n");
        return;
    }
    for (unsigned size = last; size > 0; size /= 2)
        for (unsigned from = 0; from < last; from += size)
            try_without(&shortening, from, from + size > last ? last - from : size);
    printf("it fails with these steps alone:\n");
    life_tell(&shortening.options);
    (void)live(&shortening.options, report, false);
}

static int live_one(uint64_t seed)
{
    struct report *report = report_new();
    struct life_options options = options_of(seed);
    options.narrates = true;
    options.shown_state = from_environment("METRIC_STORE_SIM_STATE");
    bool passed = live(&options, report, false);
    printf("seed %" PRIu64 ": %" PRIu64 " crash states, %" PRIu64 " calls, %" PRIu64
           " samples in the end\n",
           seed, report->result.states, report->result.calls, report->result.samples);
    if (passed)
        return 0;
    struct life_result result = report->result;
    tell_failure(seed, &result);
    if (options.shown_state == 0)
        shorten(&options, &result, report);
    return 1;
}

/* ---- many ------------------------------------------------------------------------------- */

struct run {
    uint64_t seed, stride;
    uint64_t most_states, seconds;
};

static void report_sites(const struct sim_sites *sites)
{
    char calls[32];
    for (size_t i = 0; i < sites->count; i++) {
        snprintf(calls, sizeof calls, "%" PRIu64, sites->sites[i].calls);
        sim_sites_report("crash", sites->sites[i].site, calls);
    }
}

static void add_spread(struct life_spread *sum, const struct life_spread *spread)
{
    for (size_t i = 0; i < LIFE_QUARTERS; i++)
        sum->quarters[i] += spread->quarters[i];
    for (size_t i = 0; i < LIFE_PASTS; i++)
        sum->pasts[i] += spread->pasts[i];
}

static void tell_spread(const struct life_spread *spread)
{
    for (unsigned i = 0; i < LIFE_QUARTERS; i++)
        printf("of them %" PRIu64 " %s\n", spread->quarters[i], life_quarter_name(i));
    for (unsigned i = 0; i < LIFE_PASTS; i++)
        printf("of them %" PRIu64 " %s\n", spread->pasts[i], life_past_name((enum life_past)i));
}

static int live_many(const struct run *run)
{
    struct report *report = report_new();
    uint64_t states = 0;
    uint64_t lives = 0;
    uint64_t failures = 0;
    struct life_spread spread = {0};
    time_t began = time(NULL);
    time_t told = began;
    for (uint64_t seed = run->seed;; seed += run->stride) {
        time_t now = time(NULL);
        if (now - told >= PROGRESS_S)
            printf("progress: %" PRIu64 " states, %" PRIu64 " lives\n", states, lives);
        if (now - told >= PROGRESS_S)
            told = now;
        if ((run->most_states > 0 && states >= run->most_states) ||
            (run->seconds > 0 && (uint64_t)(now - began) >= run->seconds))
            break;
        struct life_options options = options_of(seed);
        options.sites = &report->sites;
        if (!live(&options, report, false)) {
            tell_failure(seed, &report->result);
            failures++;
        }
        states += report->result.states;
        add_spread(&spread, &report->result.spread);
        lives++;
    }
    tell_spread(&spread);
    printf("done: %" PRIu64 " states, %" PRIu64 " lives, %" PRIu64 " failures\n", states, lives,
           failures);
    report_sites(&report->sites);
    return failures == 0 ? 0 : 1;
}

static bool parse(int count, char **words, struct run *run)
{
    *run = (struct run){.seed = 1, .stride = 1};
    for (int i = 1; i + 1 < count; i += 2) {
        uint64_t number = strtoull(words[i + 1], NULL, 10);
        if (strcmp(words[i], "--seed") == 0)
            run->seed = number;
        else if (strcmp(words[i], "--stride") == 0)
            run->stride = number;
        else if (strcmp(words[i], "--states") == 0)
            run->most_states = number;
        else if (strcmp(words[i], "--seconds") == 0)
            run->seconds = number;
        else
            return false;
    }
    return count % 2 == 1 && (run->most_states > 0 || run->seconds > 0);
}

/* ---- as a test -------------------------------------------------------------------------- */

static void lives_of_fixed_seeds_lose_nothing(void **state)
{
    (void)state;
    struct report *report = report_new();
    uint64_t states = 0;
    for (uint64_t seed = 1; seed <= FIXED_SEEDS; seed++) {
        struct life_options options = options_of(seed);
        bool passed = live(&options, report, false);
        if (!passed)
            tell_failure(seed, &report->result);
        assert_true(passed);
        states += report->result.states;
    }
    printf("%" PRIu64 " crash states\n", states);
    assert_true(states > (uint64_t)FIXED_SEEDS * STATES_OF_A_LIFE / 8);
}

static void a_life_repeats_itself_exactly(void **state)
{
    (void)state;
    struct report *report = report_new();
    struct life_options options = options_of(5);
    assert_true(live(&options, report, false));
    struct life_result first = report->result;
    assert_true(live(&options, report, false));
    assert_memory_equal(&first, &report->result, sizeof first);
}

int main(int count, char **words)
{
    keep_memory();
    uint64_t seed = from_environment("METRIC_STORE_SIM_SEED");
    if (seed != 0)
        return live_one(seed);
    struct run run;
    if (count > 1 && parse(count, words, &run))
        return live_many(&run);
    if (count > 1) {
        fprintf(stderr, "usage: %s [--seed S] [--stride K] --states N | --seconds N\n", words[0]);
        return 2;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_of_fixed_seeds_lose_nothing),
        cmocka_unit_test(a_life_repeats_itself_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
