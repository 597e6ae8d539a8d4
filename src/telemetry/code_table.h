/*
 * code_table - counts by code, where codes are literals and few.
 *
 * Lock-free: a slot is claimed once by compare and swap, and never given up. What comes when the
 * table is full is counted as "other", so that it stays bounded whatever becomes a code.
 * Threads: any.
 */
#ifndef METRIC_STORE_TELEMETRY_CODE_TABLE_H
#define METRIC_STORE_TELEMETRY_CODE_TABLE_H

#include "telemetry/counter.h"
#include "telemetry/telemetry.h"

enum { CODE_TABLE_SIZE = 64 };

struct code_table {
    struct {
        const char *_Atomic code; /* NULL: free, as are all behind it */
        _Atomic uint64_t count;
    } slots[CODE_TABLE_SIZE];
    _Atomic uint64_t other;
};

/* `code` must live as long as the table. */
void code_table_add(struct code_table *table, const char *code, uint64_t amount);

/* One sample a code, with that label; of the family that is open. */
void code_table_write(struct metrics_writer *writer, const struct code_table *table,
                      const char *label);

#endif
