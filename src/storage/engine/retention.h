/*
 * retention - how long samples stay: retention.default, rules for some series, and the time that
 * both go by. Shared by retention.c (days that go whole) and retention_rules.c (the samples of some
 * series within days that stay).
 *
 * A series is kept as the first rule that matches it says, or else as the default says.
 *
 * The time is the wall clock's as long as it can be believed. A clock that is wrong for a while is
 * common; what it made go would never come back. So a leap of more than options.clock_leap_ms,
 * against the time that has passed since by the monotonic clock, or since the store was last
 * written to (or made), is believed only when it has stood for as long. Until then time goes on as
 * if there had been none, and never beyond what the clock says. The clock that a new store is made
 * by is believed, since nothing contradicts it.
 *
 * Threads: the policy is replaced by any, and any may ask for the time: `lock`. `done` is of
 * whoever holds maintenance_lock.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_RETENTION_H
#define METRIC_STORE_STORAGE_ENGINE_RETENTION_H

#include <stdatomic.h>

#include "base/arena.h"
#include "model/matcher.h"
#include "os/thread.h"
#include "storage/engine/engine.h"

/* Groups of series that are kept alike: those of each rule, then the rest. */
enum { RETENTION_GROUPS_MAX = RETENTION_RULES_MAX + 1 };

struct retention_group {
    const char *match; /* NULL: the rest */
    struct matchers matchers;
    int64_t keep_ms; /* 0: for ever */
};

/* Never changes once it is in force; counted. */
struct retention_policy {
    atomic_uint references;
    uint64_t number; /* of a policy of this engine; never 0 */
    struct arena arena;
    size_t count;
    struct retention_group groups[RETENTION_GROUPS_MAX];
};

struct retention_clock {
    bool started;
    int64_t believed_ms;
    int64_t looked_ns; /* monotonic */
    bool leapt;
    int64_t leap_ms; /* from what is believed to the wall clock */
    int64_t leapt_ns;
};

/* What the rules have been applied to. */
struct retention_done {
    uint64_t policy;                         /* its number; 0: to nothing since the start */
    uint64_t edits;                          /* engine.edits then */
    uint64_t sequence;                       /* of the last commit in parts then */
    int64_t before_ms[RETENTION_GROUPS_MAX]; /* each group's samples went up to there */
    int64_t time_ns;
    bool failed;   /* tried again after a rest */
    uint64_t kept; /* series beyond some keep that stay, because nobody knows which theirs is */
};

struct retention {
    struct mutex lock; /* of `policy`, `clock` and `noted_ms`; manifest_lock may be taken in it */
    struct retention_policy *policy;
    uint64_t policies; /* there have been */
    struct retention_clock clock;
    struct retention_done done;
    atomic_llong believed_ms; /* 0 before the first look; every edit of the manifest notes it */
    /* Somebody no longer keeps samples before; INT64_MIN: all are kept. A head that holds such ones
     * is flushed, since they go from parts alone; not soon again after sealed_ns. */
    atomic_llong stale_ms;
    int64_t sealed_ns; /* monotonic; 0: never. With append_lock */
    int64_t noted_ms;  /* when that was last done for its own sake */
};

/* With the default and the rules of the options. Errors as engine_set_retention_rules; ended by
 * retention_release, also after a failure. */
MUST_CHECK enum status retention_init(struct retention *retention,
                                      const struct engine_options *options, struct error *err);
void retention_release(struct retention *retention);

/* Ended by retention_policy_release. */
struct retention_policy *retention_policy_acquire(struct retention *retention);
void retention_policy_release(struct retention_policy *policy); /* accepts NULL */

/* What some sample is kept for at most; 0: for ever. */
int64_t retention_policy_longest(const struct retention_policy *policy);
/* What some sample is kept for only; 0: all are kept for ever. */
int64_t retention_policy_shortest(const struct retention_policy *policy);

#endif
