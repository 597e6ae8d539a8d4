#include "telemetry/code_table.h"

#include <string.h>

/* The slot of `code`; NULL when the table is full of others. */
static _Atomic uint64_t *slot_of(struct code_table *table, const char *code)
{
    for (size_t i = 0; i < CODE_TABLE_SIZE; i++) {
        const char *there = atomic_load_explicit(&table->slots[i].code, memory_order_acquire);
        /* On failure `there` is what another thread has put here in the meantime. */
        if (there == NULL && atomic_compare_exchange_strong(&table->slots[i].code, &there, code))
            there = code;
        if (there == code || strcmp(there, code) == 0)
            return &table->slots[i].count;
    }
    return NULL;
}

void code_table_add(struct code_table *table, const char *code, uint64_t amount)
{
    _Atomic uint64_t *count = slot_of(table, code);
    counter_add(count == NULL ? &table->other : count, amount);
}

void code_table_write(struct metrics_writer *writer, const struct code_table *table,
                      const char *label)
{
    /* A module may use the code "other" itself: one series all the same. */
    uint64_t other = counter_read(&table->other);
    for (size_t i = 0; i < CODE_TABLE_SIZE; i++) {
        const char *code = atomic_load_explicit(&table->slots[i].code, memory_order_acquire);
        if (code == NULL)
            break;
        uint64_t count = counter_read(&table->slots[i].count);
        if (strcmp(code, "other") == 0)
            other += count;
        else
            metrics_count(writer, METRICS_LABELS({label, code}), count);
    }
    if (other > 0)
        metrics_count(writer, METRICS_LABELS({label, "other"}), other);
}
