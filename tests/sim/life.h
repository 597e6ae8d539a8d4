/*
 * life - a random life of the whole engine on the simulated disk, repeated exactly by its seed.
 *
 * A life is a sequence of steps: commits in order, late and again, deletes, flushes, merges and the
 * other background jobs, retention, snapshots and restores, readers that are held open, restarts,
 * other settings, clocks that jump, and faults of the disk that come and go. All in one thread:
 * the engine's background jobs are called as functions. Before calls that change the disk a copy of
 * it crashes or is killed, is recovered (where some calls fail, and crash again), and is held
 * against a naive model (life_model.h). Some of the recovered copies live on for a while.
 *
 * Step n of a life depends on the seed and n alone, not on the steps before it, so that steps can
 * be left out to find the few that matter.
 */
#ifndef METRIC_STORE_TESTS_LIFE_H
#define METRIC_STORE_TESTS_LIFE_H

#include "life_model.h"
#include "sim_explore.h"
#include "sim_machine.h"

enum {
    LIFE_READERS = 3,
    LIFE_WHY_SIZE = 1024,
    LIFE_NAME_SIZE = 64,
    LIFE_COMMIT_MAX = 700,
    LIFE_STEPS_MAX = 400
};

enum { LIFE_RULES = 2, LIFE_SELECTOR_SIZE = 64, LIFE_DAYS_KEPT = 1000 };

/* What a life has behind it when a crash is tried. */
enum life_past {
    LIFE_RESTARTED,
    LIFE_RESTARTED_OFTEN,
    LIFE_MERGED,
    LIFE_WARMED,
    LIFE_INDEX_MERGED,
    LIFE_DELETED,
    LIFE_DAY_DROPPED,
    LIFE_RULE_APPLIED,
    LIFE_RESTORED,
    LIFE_RECONFIGURED,
    LIFE_CLOCK_LEAPT,
    LIFE_PASTS
};

enum { LIFE_QUARTERS = 4 };

/* Crash states: all, by quarter of their life, and by what it had behind it. */
struct life_spread {
    uint64_t quarters[LIFE_QUARTERS];
    uint64_t pasts[LIFE_PASTS];
};

/* "in the last quarter of a life", "after a merge" */
const char *life_quarter_name(unsigned quarter);
const char *life_past_name(enum life_past past);

/* Of the series of one metric, or of one host. */
struct life_rule {
    bool host;
    uint32_t number;
    int64_t keep_ms;
};

/* What a start may change. */
struct life_config {
    enum engine_sync sync;
    int64_t sync_interval_ms;
    size_t head_bytes, table_bytes, raw_cache_bytes, tombstone_bytes;
    uint64_t log_segment_bytes;
    uint32_t max_chunks, merge_fan_in;
    int64_t retention_ms, warm_after_ms, delete_rest_ms, warm_rest_ms;
    int64_t clock_leap_ms;
    struct life_rule rules[LIFE_RULES];
    size_t rule_count;
    uint64_t admitted_series; /* further ones are refused; 0: no limit */
};

struct life_options {
    uint64_t seed;
    unsigned steps;
    const bool *left_out;   /* of each step, or NULL */
    unsigned explored_from; /* no crash is tried before this step */
    unsigned crashes;       /* ways to crash before a call */
    uint64_t every;         /* each so many calls; 0: as the seed says */
    uint64_t every_in_recovery;
    uint64_t states;         /* about so many, all over the life; 0: as many as there are */
    struct sim_sites *sites; /* counts where crashes were tried; or NULL */
    bool narrates;           /* every step is printed as it is taken */
    uint64_t shown_state;    /* the calls of its recovery are printed; 0: of none */
};

/* The latest time that may be believed, by what retention.h promises. */
struct life_belief {
    int64_t time_ms;
    int64_t looked_ns;         /* monotonic */
    int64_t turned_ns;         /* when the wall clock leapt last, or the store started */
    int64_t least_ms, most_ms; /* the wall clock by the monotonic one, since then */
};

/* When series were received, at least, and what time it may be by the engine's clock of arrivals,
 * at most: it does not go back where the wall clock does. */
struct life_arrivals {
    int64_t low_s, high_s; /* of the start: the earliest and the latest it may have begun with */
    int64_t began_ns;      /* monotonic */
    int64_t received_s[LIFE_SERIES]; /* 0: never, as far as that is durable */
};

/* What a query or a delete is of. */
struct life_selector {
    char text[LIFE_SELECTOR_SIZE];
    bool only[LIFE_SERIES];
};

struct life_reader {
    struct selection *selection; /* NULL: none */
    struct time_range range;
    struct ledger expected;
};

struct life {
    struct life_options options;
    struct sim_disk *disk;
    bool owns_disk;
    struct sim_machine machine;
    char selectors[LIFE_RULES][LIFE_SELECTOR_SIZE]; /* of the rules, for the engine */
    int log_fd;                                     /* what a start logs, to be read again */
    struct tier *tier;                              /* NULL: not open */
    char dir[32];
    unsigned dirs; /* made so far */
    struct life_config config;
    struct life_model model;
    struct life_state seen;        /* with the last look */
    int64_t wall_ms, monotonic_ns; /* while no machine runs */
    int64_t expired_before;        /* days that retention may have dropped so far */
    int64_t warm_before_ms;        /* days that ended before may have become warm so far */
    struct life_belief belief;
    struct life_arrivals arrivals;
    bool wall_stands; /* the wall clock is frozen, time is not */
    unsigned starts;
    bool past[LIFE_PASTS];
    struct life_spread spread;
    struct life_reader readers[LIFE_READERS];
    bool faulty; /* calls are made to fail */
    struct sim_explore explore;
    unsigned step;
    const char *snapshot; /* one that is being made, or NULL */
    unsigned depth;       /* lives of recovered copies in lives of recovered copies */
    uint64_t salt;        /* of such a life: else all would do the same */
    /* The commit in hand. */
    struct fixture_sample samples[LIFE_COMMIT_MAX];
    bool kept[LIFE_COMMIT_MAX];
    struct life_commit commit;
    /* The first violation; empty: none. */
    char why[LIFE_WHY_SIZE];
};

struct life_result {
    uint64_t states, calls, samples;
    struct life_spread spread;
    unsigned steps; /* taken */
    bool violated;
    unsigned violated_step;
    char why[LIFE_WHY_SIZE];
};

/* Lives from begin to end. What it finds wrong is printed and told in `result`. */
void life_run(const struct life_options *options, struct life_result *result);

/* Prints what each step of the life is, those left out excepted. */
void life_tell(const struct life_options *options);

/* ---- for its own files ------------------------------------------------------------------ */

/* Notes the first violation. False, for `return life_fail(...)`. */
bool life_fail(struct life *life, const char *format, ...) PRINTF_LIKE(2, 3);

/* A sequence of random numbers that `purpose` alone decides. */
uint64_t life_random(const struct life *life, uint64_t purpose);

/* life_store.c */
void life_config_random(struct life_config *config, uint64_t *random);
/* Fills `rules`, whose texts are in the life, and returns how many there are. */
size_t life_rules(struct life *life, struct retention_rule *rules);
/* Opens what the disk holds, and holds it against the model. Where calls fail it tries again. */
bool life_open(struct life *life);
/* Ends the process: held readers go, the disk stays as it is. Without `close` nothing is flushed.
 */
void life_stop(struct life *life, bool close);
/* The machine stops (`crash` not NULL) or only the process, as after kill -9. */
void life_break(struct life *life, const struct sim_crash *crash);
/* Whether a reader sees now what it has to: it goes to `seen`. */
bool life_look(struct life *life);
/* Whether `dir` on the life's disk is a sound store that holds `state`. */
bool life_holds(struct life *life, const char *dir, const struct life_state *state);
void life_remove_store(struct life *life, const char *dir);
void life_calm(struct life *life);
/* The hook of sim_explore: recovers from a crash. */
bool life_recovers(void *context, struct sim_disk *disk);
/* Whether commits are refused until a restart. */
bool life_is_broken(const struct life *life);

/* life_look.c: whether the open store says the same in other ways, if it holds `state`. */
bool life_look_at_metrics(struct life *life, const struct life_state *state);
/* Count, sum, least and greatest out of block headers: of everything, and of whole days. */
bool life_look_at_totals(struct life *life, const struct ledger *ledger, uint64_t *random);
/* Some matchers, the labels of what they find, and how many series there are. */
bool life_look_at_selectors(struct life *life, const struct ledger *ledger, uint64_t *random);
/* No day is warm that could not be. */
bool life_look_at_chunks(struct life *life);
void life_selector_random(struct life_selector *selector, uint64_t *random);

/* life_clock.c: the naive model of the time that retention and warm steps go by. */
void life_clock_starts(struct life *life);
/* The latest time that the clock of arrivals may show now; while a store is open. */
int64_t life_arrivals_latest(const struct life *life);
/* What life->kept says of life->commit was acknowledged. */
void life_received(struct life *life);
/* Whether the series has to be active: cardinality.window is a day in every life. */
bool life_is_active(const struct life *life, uint32_t number);
/* The wall clock was set, by so much. */
void life_clock_turned(struct life *life, int64_t by_ms);
/* Time has passed: what may go or become warm by now. */
void life_clock_look(struct life *life);
/* While no machine runs, the clock is set wrong or right. */
void life_clock_turn_while_down(struct life *life, uint64_t *random);

/* life_steps.c */
bool life_take_step(struct life *life);
/* What the step is, as far as the seed decides it. */
void life_step_name(const struct life *life, char name[LIFE_NAME_SIZE]);

/* life.c: crashes are tried before the calls to come, where this life does that. */
void life_explore(struct life *life);

#endif
