#include "storage/engine/pair_table.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/invariant.h"

enum { FIRST_SLOTS = 1024, FIRST_NAME_SLOTS = 64 };
#define PAIR_WAS_USED (PAIR_NONE - 1)

static void slots_clear(struct pair_slot *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        slots[i].pair = PAIR_NONE;
}

enum status pair_table_init(struct pair_table *table, uint64_t seed)
{
    *table = (struct pair_table){.seed = seed, .free_pair = PAIR_NONE};
    table->slots = malloc(FIRST_SLOTS * sizeof table->slots[0]);
    table->name_slots = malloc(FIRST_NAME_SLOTS * sizeof table->name_slots[0]);
    if (table->slots == NULL || table->name_slots == NULL) {
        pair_table_release(table);
        return STATUS_MEMORY;
    }
    table->slot_count = FIRST_SLOTS;
    slots_clear(table->slots, FIRST_SLOTS);
    table->name_slot_count = FIRST_NAME_SLOTS;
    memset(table->name_slots, 0xff, FIRST_NAME_SLOTS * sizeof table->name_slots[0]);
    table->memory_bytes = FIRST_SLOTS * sizeof table->slots[0];
    return STATUS_OK;
}

void pair_table_release(struct pair_table *table)
{
    for (uint32_t i = 0; i < table->pair_count; i++) {
        if (table->pairs[i].name == PAIR_NONE)
            continue;
        free(table->pairs[i].value);
        postings_release(&table->pairs[i].series);
    }
    for (uint32_t i = 0; i < table->name_count; i++) {
        free(table->names[i].text);
        free(table->names[i].pairs);
    }
    free(table->pairs);
    free(table->names);
    free(table->slots);
    free(table->name_slots);
    *table = (struct pair_table){0};
}

static uint32_t pair_hash(const struct pair_table *table, uint32_t name, struct slice value)
{
    return (uint32_t)hash64(value, table->seed + name);
}

static uint32_t name_slot_of(const struct pair_table *table, struct slice name)
{
    uint32_t mask = table->name_slot_count - 1;
    uint32_t slot = (uint32_t)hash64(name, table->seed) & mask;
    for (;; slot = (slot + 1) & mask) {
        uint32_t id = table->name_slots[slot];
        if (id == PAIR_NONE ||
            slice_equal(slice_of(table->names[id].text, table->names[id].size), name))
            return slot;
    }
}

uint32_t pair_table_find_name(const struct pair_table *table, struct slice name)
{
    return table->name_slots[name_slot_of(table, name)];
}

static uint32_t find_value(const struct pair_table *table, uint32_t name, struct slice value,
                           uint32_t hash)
{
    uint32_t mask = table->slot_count - 1;
    for (uint32_t slot = hash & mask;; slot = (slot + 1) & mask) {
        uint32_t pair = table->slots[slot].pair;
        if (pair == PAIR_NONE)
            return PAIR_NONE;
        if (pair == PAIR_WAS_USED || table->slots[slot].hash != hash)
            continue;
        if (table->pairs[pair].name == name && slice_equal(pair_value(table, pair), value))
            return pair;
    }
}

uint32_t pair_table_find(const struct pair_table *table, struct slice name, struct slice value)
{
    uint32_t name_id = pair_table_find_name(table, name);
    if (name_id == PAIR_NONE)
        return PAIR_NONE;
    return find_value(table, name_id, value, pair_hash(table, name_id, value));
}

size_t pair_table_name_bytes(const struct pair_table *table)
{
    return table->name_bytes;
}

static enum status name_slots_grow(struct pair_table *table)
{
    uint32_t count = table->name_slot_count * 2;
    uint32_t *slots = malloc(count * sizeof slots[0]);
    if (slots == NULL)
        return STATUS_MEMORY;
    memset(slots, 0xff, count * sizeof slots[0]);
    free(table->name_slots);
    table->name_slots = slots;
    table->name_slot_count = count;
    for (uint32_t id = 0; id < table->name_count; id++)
        slots[name_slot_of(table, slice_of(table->names[id].text, table->names[id].size))] = id;
    return STATUS_OK;
}

static enum status intern_name(struct pair_table *table, struct slice name, uint32_t *id)
{
    *id = pair_table_find_name(table, name);
    if (*id != PAIR_NONE)
        return STATUS_OK;
    if (table->name_count * 2 >= table->name_slot_count && name_slots_grow(table) != STATUS_OK)
        return STATUS_MEMORY;
    if (table->name_count == table->name_capacity) {
        uint32_t capacity = table->name_capacity == 0 ? 32 : table->name_capacity * 2;
        struct label_name *names = realloc(table->names, capacity * sizeof names[0]);
        if (names == NULL)
            return STATUS_MEMORY;
        table->names = names;
        table->name_capacity = capacity;
    }
    uint8_t *text = malloc(name.size);
    if (text == NULL)
        return STATUS_MEMORY;
    memcpy(text, name.data, name.size);
    uint32_t slot = name_slot_of(table, name);
    *id = table->name_count++;
    table->names[*id] = (struct label_name){.text = text, .size = (uint32_t)name.size};
    table->name_slots[slot] = *id;
    size_t bytes = name.size + sizeof table->names[0] + 2 * sizeof(uint32_t);
    table->memory_bytes += bytes;
    table->name_bytes += bytes;
    return STATUS_OK;
}

/* Doubles when live entries ask for it; else only sweeps the used-once slots out. */
static enum status slots_rebuild(struct pair_table *table)
{
    uint32_t count = table->slot_count;
    if (table->live_pairs >= count / 2)
        count *= 2;
    struct pair_slot *slots = malloc((size_t)count * sizeof slots[0]);
    if (slots == NULL)
        return STATUS_MEMORY;
    slots_clear(slots, count);
    for (uint32_t i = 0; i < table->slot_count; i++) {
        if (table->slots[i].pair >= PAIR_WAS_USED)
            continue;
        uint32_t slot = table->slots[i].hash & (count - 1);
        while (slots[slot].pair != PAIR_NONE)
            slot = (slot + 1) & (count - 1);
        slots[slot] = table->slots[i];
    }
    free(table->slots);
    table->memory_bytes += (size_t)(count - table->slot_count) * sizeof slots[0];
    table->slots = slots;
    table->slot_count = count;
    table->slots_used = table->live_pairs;
    return STATUS_OK;
}

static enum status pair_id_take(struct pair_table *table, uint32_t *id)
{
    if (table->free_pair != PAIR_NONE) {
        *id = table->free_pair;
        return STATUS_OK;
    }
    if (table->pair_count == table->pair_capacity) {
        uint32_t capacity = table->pair_capacity == 0 ? 1024 : table->pair_capacity * 2;
        struct pair *pairs = realloc(table->pairs, (size_t)capacity * sizeof pairs[0]);
        if (pairs == NULL)
            return STATUS_MEMORY;
        table->memory_bytes += (size_t)(capacity - table->pair_capacity) * sizeof pairs[0];
        table->pairs = pairs;
        table->pair_capacity = capacity;
    }
    *id = table->pair_count;
    return STATUS_OK;
}

static enum status name_add_pair(struct label_name *name, uint32_t pair)
{
    if (name->pair_count == name->pair_capacity) {
        uint32_t capacity = name->pair_capacity == 0 ? 4 : name->pair_capacity * 2;
        uint32_t *pairs = realloc(name->pairs, (size_t)capacity * sizeof pairs[0]);
        if (pairs == NULL)
            return STATUS_MEMORY;
        name->pairs = pairs;
        name->pair_capacity = capacity;
    }
    name->pairs[name->pair_count++] = pair;
    return STATUS_OK;
}

static void slot_put(struct pair_table *table, uint32_t hash, uint32_t pair)
{
    uint32_t mask = table->slot_count - 1;
    uint32_t slot = hash & mask;
    while (table->slots[slot].pair < PAIR_WAS_USED)
        slot = (slot + 1) & mask;
    if (table->slots[slot].pair == PAIR_NONE)
        table->slots_used++;
    table->slots[slot] = (struct pair_slot){.hash = hash, .pair = pair};
}

enum status pair_table_intern(struct pair_table *table, struct slice name, struct slice value,
                              uint32_t *pair)
{
    uint32_t name_id;
    if (intern_name(table, name, &name_id) != STATUS_OK)
        return STATUS_MEMORY;
    uint32_t hash = pair_hash(table, name_id, value);
    *pair = find_value(table, name_id, value, hash);
    if (*pair != PAIR_NONE)
        return STATUS_OK;
    if (table->slots_used >= table->slot_count / 4 * 3 && slots_rebuild(table) != STATUS_OK)
        return STATUS_MEMORY;
    uint32_t id;
    if (pair_id_take(table, &id) != STATUS_OK)
        return STATUS_MEMORY;
    uint8_t *text = malloc(value.size > 0 ? value.size : 1);
    if (text == NULL || name_add_pair(&table->names[name_id], id) != STATUS_OK) {
        free(text);
        return STATUS_MEMORY;
    }
    if (value.size > 0)
        memcpy(text, value.data, value.size);
    if (id == table->free_pair)
        table->free_pair = table->pairs[id].place;
    else
        table->pair_count++;
    table->pairs[id] = (struct pair){
        .value = text,
        .value_size = (uint32_t)value.size,
        .name = name_id,
        .place = table->names[name_id].pair_count - 1,
    };
    slot_put(table, hash, id);
    table->live_pairs++;
    table->memory_bytes += value.size + 16 + sizeof(uint32_t);
    *pair = id;
    return STATUS_OK;
}

enum status pair_table_add_series(struct pair_table *table, uint32_t pair, uint32_t series)
{
    return postings_add(&table->pairs[pair].series, series);
}

static void pair_forget(struct pair_table *table, uint32_t id)
{
    struct pair *pair = &table->pairs[id];
    uint32_t hash = pair_hash(table, pair->name, pair_value(table, id));
    uint32_t mask = table->slot_count - 1;
    uint32_t slot = hash & mask;
    while (table->slots[slot].pair != id) {
        invariant(table->slots[slot].pair != PAIR_NONE);
        slot = (slot + 1) & mask;
    }
    table->slots[slot].pair = PAIR_WAS_USED;
    struct label_name *name = &table->names[pair->name];
    uint32_t last = name->pairs[--name->pair_count];
    name->pairs[pair->place] = last;
    table->pairs[last].place = pair->place;
    table->memory_bytes -= pair->value_size + 16 + sizeof(uint32_t);
    free(pair->value);
    postings_release(&pair->series);
    *pair = (struct pair){.name = PAIR_NONE, .place = table->free_pair};
    table->free_pair = id;
    table->live_pairs--;
}

void pair_table_remove_series(struct pair_table *table, uint32_t pair, uint32_t series)
{
    postings_remove(&table->pairs[pair].series, series);
    if (table->pairs[pair].series.count == 0)
        pair_forget(table, pair);
}
