/*
 * import_state - what an import remembers of a file, as text (docs/formats/import-state.md).
 */
#ifndef METRIC_STORE_COMMANDS_IMPORT_STATE_H
#define METRIC_STORE_COMMANDS_IMPORT_STATE_H

#include "base/bytes.h"
#include "base/hash.h"
#include "protocols/protocols.h"

enum { IMPORT_STATE_MAX_SIZE = 256 * 1024, IMPORT_WITNESS_MAX_SIZE = 64 * 1024 };

struct import_state {
    struct hash128 key; /* of target, file and reading options */
    uint64_t size;      /* the file's, and what else tells it from another of its name */
    int64_t changed_ns;
    uint64_t head_hash;
    int64_t now_ms;                    /* the time of samples that have none */
    uint64_t refused;                  /* samples, of what was acknowledged */
    bool whole;                        /* all of it was acknowledged */
    struct protocol_position position; /* without `settled` */
    int64_t witness_ms;
    struct bytes witness; /* canonical labels, encoded */
};

/* Appends to `to`. LIMIT and MEMORY as bytes_append. */
MUST_CHECK enum status import_state_write(const struct import_state *state, struct bytes *to);

/* `text` has `size` bytes and a zero byte behind them. False where it is no whole state, or one
 * that no reader can go on from; `found` holds anything then. The witness goes to found->witness,
 * which is the caller's, in both cases. */
MUST_CHECK bool import_state_read(const char *text, size_t size, struct import_state *found);

#endif
