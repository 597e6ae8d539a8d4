/*
 * pair_table - label names and (name, value) pairs, interned: each distinct one has a small id, in
 * memory only. A pair knows the series that carry it.
 *
 *   names   id -> text, the pairs of that name
 *   pairs   id -> name id, value text, postings
 *   slots   open addressing over hash(name, value) -> pair id
 *
 * A pair whose last series goes is forgotten and its id used again.
 *
 * Ownership: the table owns all text; slices it gives are borrowed and live as long as the pair.
 * Threads: the owner's lock.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PAIR_TABLE_H
#define METRIC_STORE_STORAGE_ENGINE_PAIR_TABLE_H

#include "base/slice.h"
#include "base/status.h"
#include "storage/engine/postings.h"

#define PAIR_NONE UINT32_MAX

struct pair {
    uint8_t *value;
    uint32_t value_size;
    uint32_t name;  /* PAIR_NONE while the id is free */
    uint32_t place; /* among its name's pairs; while free, the next free id */
    struct postings series;
};

struct label_name {
    uint8_t *text;
    uint32_t size;
    uint32_t pair_count, pair_capacity;
    uint32_t *pairs;
};

struct pair_slot {
    uint32_t hash;
    uint32_t pair; /* PAIR_NONE: never used; PAIR_NONE - 1: used once */
};

struct pair_table {
    uint64_t seed;
    struct label_name *names; /* few: looked up by comparing through name_slots */
    uint32_t name_count, name_capacity;
    uint32_t *name_slots;
    uint32_t name_slot_count;
    struct pair *pairs;
    uint32_t pair_count, pair_capacity; /* ids ever given; of the array */
    uint32_t free_pair, live_pairs;
    struct pair_slot *slots;
    uint32_t slot_count, slots_used; /* power of two; with the used-once ones */
    size_t memory_bytes;
    size_t name_bytes; /* of these */ /* postings apart */
};

/* `seed` is secret: names and values come from outside. */
MUST_CHECK enum status pair_table_init(struct pair_table *table, uint64_t seed);
void pair_table_release(struct pair_table *table);

/* PAIR_NONE when the pair, or the name, was never seen. */
uint32_t pair_table_find(const struct pair_table *table, struct slice name, struct slice value);
/* Of the names, which stay until the table goes. */
size_t pair_table_name_bytes(const struct pair_table *table);
uint32_t pair_table_find_name(const struct pair_table *table, struct slice name);
MUST_CHECK enum status pair_table_intern(struct pair_table *table, struct slice name,
                                         struct slice value, uint32_t *pair);

MUST_CHECK enum status pair_table_add_series(struct pair_table *table, uint32_t pair,
                                             uint32_t series);
/* Forgets the pair if that was its last series. */
void pair_table_remove_series(struct pair_table *table, uint32_t pair, uint32_t series);

static inline struct slice pair_value(const struct pair_table *table, uint32_t pair)
{
    return slice_of(table->pairs[pair].value, table->pairs[pair].value_size);
}

static inline struct slice pair_name(const struct pair_table *table, uint32_t pair)
{
    const struct label_name *name = &table->names[table->pairs[pair].name];
    return slice_of(name->text, name->size);
}

#endif
