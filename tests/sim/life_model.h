/*
 * life_model - what a store must hold, said by a naive model: every acknowledged sample and delete
 * in their order, folded into plain lists.
 *
 * Beside the present state it keeps those that a crash may leave instead: with a commit that was
 * begun and not acknowledged, and, where commits are not synced, without the last of them. A state
 * is told by its print: a hash over samples and one over descriptors, by day, so that a comparison
 * costs one walk over the store, however many states are possible.
 *
 * Series are the numbers of engine_fixture.h. Not for two threads. Heap exhaustion aborts.
 */
#ifndef METRIC_STORE_TESTS_LIFE_MODEL_H
#define METRIC_STORE_TESTS_LIFE_MODEL_H

#include "engine_fixture.h"

enum { LIFE_SERIES = 48, LIFE_DAYS = 512 };

/* By number of the metric; help 0: not registered. */
struct life_descriptors {
    enum metric_type type[FIXTURE_METRICS];
    uint32_t help[FIXTURE_METRICS];
};

struct life_day {
    int64_t day;
    uint64_t hash;
    uint64_t samples;
};

struct life_print {
    struct life_day days[LIFE_DAYS]; /* rising, none empty */
    size_t day_count;
    uint64_t descriptors;
};

struct life_state {
    struct ledger ledger;
    struct life_descriptors descriptors;
};

void life_state_init(struct life_state *state);
void life_state_release(struct life_state *state);
void life_state_copy(struct life_state *to, const struct life_state *from);
void life_state_print(const struct life_state *state, struct life_print *print);

/* What an open store holds, into an empty state. False, with the reason, where it contradicts
 * itself (fixture_read). */
bool life_state_read(struct life_state *state, struct tier *tier, char why[FIXTURE_WHY_SIZE]);

/* One commit. Everything is borrowed. */
struct life_commit {
    const struct fixture_sample *samples;
    const bool *kept; /* of each sample; NULL: all */
    size_t count;
    bool describes; /* one metric: */
    uint32_t metric;
    enum metric_type type;
    uint32_t help;
    bool deletes; /* instead of all that: */
    bool only[LIFE_SERIES];
    struct time_range range;
    bool found_nothing; /* known in the end: the log has nothing of it */
};

struct life_possible {
    struct life_print print;
    bool acknowledged;
    bool metadata; /* at most a descriptor: a flush leaves it in the log */
};

struct life_model {
    struct life_state now;
    struct ledger writers;    /* of each sample the number of its write, as bits; 0: not known */
    uint64_t writes, deletes; /* acknowledged */
    struct life_possible *possible; /* in their order; the first is durable */
    size_t possible_count, possible_capacity;
    /* A series' samples of days before this one may go at any time, the oldest writes first. */
    int64_t doomed[LIFE_SERIES];
    int64_t doomed_before; /* the largest of these; INT64_MIN: none may go */
};

void life_model_init(struct life_model *model);
void life_model_release(struct life_model *model);
void life_model_copy(struct life_model *to, const struct life_model *from);

/* From now until the end of the commit a crash may leave a state with it. */
void life_model_begin(struct life_model *model, const struct life_commit *commit);

enum life_outcome { LIFE_ACKNOWLEDGED, LIFE_UNSURE, LIFE_REFUSED };
/* Of the commit that was begun last. `synced`: an acknowledged one is durable with all before. */
void life_model_end(struct life_model *model, const struct life_commit *commit,
                    enum life_outcome outcome, bool synced);

/* All that the log held has been flushed, or, with `log`, its descriptors too. */
void life_model_flushed(struct life_model *model, bool log);

/* Retention may drop what the series has of days before this one from now on. */
void life_model_doom(struct life_model *model, uint32_t series, int64_t before_day);

/* Whether a crash may have left `found`. */
bool life_model_allows(const struct life_model *model, const struct life_state *found,
                       char why[FIXTURE_WHY_SIZE]);
/* Whether a reader may see `found`: all that was acknowledged and nothing else, but for what
 * retention drops. */
bool life_model_shows(const struct life_model *model, const struct life_state *found,
                      char why[FIXTURE_WHY_SIZE]);
/* After a start `found`, which is allowed, is the state for good. Takes `found`. */
void life_model_adopt(struct life_model *model, struct life_state *found);
/* Retention has done what was due, durably: what it dropped of `found`, which was shown, is gone.
 */
void life_model_dropped(struct life_model *model, const struct life_state *found);

#endif
