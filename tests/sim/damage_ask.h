/*
 * damage_ask - the questions that a damaged store is asked, and what it may answer: what is right
 * and complete; or less than that, nothing of it wrong, and that it is partial.
 */
#ifndef METRIC_STORE_TESTS_SIM_DAMAGE_ASK_H
#define METRIC_STORE_TESTS_SIM_DAMAGE_ASK_H

#include "damage_world.h"

struct answer {
    enum status status; /* of opening or reading; CORRUPT: refused */
    bool may_lack;      /* set before: what was lost and told is not there any more, in silence */
    bool partial;
    bool wrong;
    uint64_t samples;    /* that were told */
    struct ledger *told; /* NULL, or takes them */
    char why[FIXTURE_WHY_SIZE];
};

enum question {
    ASK_SAMPLES,  /* all of them, decoded */
    ASK_HEADERS,  /* aggregates of each series by day, out of summaries where there are any */
    ASK_MATCHERS, /* which series match each selector of the world, in all time and on one day */
    ASK_METRICS,  /* the list of metrics, and each descriptor */
    QUESTIONS
};

/* Asks an open store. Beside *answer, what it says of its health is looked at. */
void world_question(const struct world *world, struct tier *tier, enum question question,
                    struct answer *answer);
/* All questions, as long as answers are not wrong: of an open store, or of one that is opened for
 * them. *answer is that about samples, but for what is wrong. */
void world_questions(const struct world *world, struct tier *tier, struct answer *answer);
struct answer world_ask(const struct world *world, struct sim_disk *disk, bool read_only);

#endif
