/*
 * store - a stopped store opened by a command itself: the engine with what the configuration says,
 * and its limits.
 */
#ifndef METRIC_STORE_COMMANDS_STORE_H
#define METRIC_STORE_COMMANDS_STORE_H

#include "admission/admission.h"
#include "config/config.h"
#include "query/query.h"
#include "storage/engine/engine.h"

/* What the process may take. */
struct store_limits {
    uint64_t memory_bytes;
    uint64_t descriptors; /* open files and sockets: descriptors_raise (os/descriptors.h) */
};

/* What the configuration says of the engine, within limits; without background threads. Texts stay
 * the configuration's. */
struct engine_options store_engine_options(const struct config *config, struct os os,
                                           const struct log *log,
                                           const struct store_limits *limits);

struct store_admission_lists {
    struct admission_override overrides[ADMISSION_OVERRIDES_MAX];
    struct label_pattern label_patterns[LABEL_PATTERNS_MAX];
};

/* What the configuration says of new series and old samples, and what the memory budget has room
 * for; 0: nobody asks for memory here. Lists, whose texts are the configuration's, go to `lists`.
 */
struct admission_limits store_admission_limits(const struct config *config, uint64_t memory_bytes,
                                               struct store_admission_lists *lists);

/* retention.rules, their texts the configuration's; `to` has room for RETENTION_RULES_MAX. Returns
 * how many. */
size_t store_retention_rules(const struct config *config, struct retention_rule *to);

/* NOT_FOUND: there is no store in storage.path. */
MUST_CHECK enum status store_expect(const struct config *config, struct os os, struct error *err);

/* To the message of a store that the system does not let be opened or written, what to do. */
void store_say_rights(struct error *err);

/* engine_open, with that. */
MUST_CHECK enum status store_open_engine(const struct engine_options *options, struct tier **tier,
                                         struct error *err);

/*
 * Opens the store in storage.path. Read-only it must be there and is not written to; else it is
 * made where it is missing. Gives *tier, ended by engine_close.
 *   NOT_FOUND  read-only, and there is no store
 *   CONFLICT   a server has it open; the message says to use --url
 */
MUST_CHECK enum status store_open(const struct config *config, struct os os, const struct log *log,
                                  bool read_only, struct tier **tier, struct error *err);

/* The engine's options for a store that a command opens itself, without background threads. */
MUST_CHECK enum status store_options(const struct config *config, struct os os,
                                     const struct log *log, struct engine_options *options,
                                     struct error *err);

/* The limits of one query by a command: as the configuration says, but without a time-out. */
void store_query_limits(const struct config *config, struct query_limits *limits);

#endif
