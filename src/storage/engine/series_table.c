#include "storage/engine/series_table.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "model/batch.h"

enum { FIRST_SLOTS = 1024, LIST_BLOCK_SIZE = 1 << 16 };
#define SLOT_EMPTY    SERIES_ID_NONE
#define SLOT_WAS_USED (SERIES_ID_NONE - 1)
#define LIST_NONE     UINT32_MAX

enum status series_table_init(struct series_table *table, uint64_t seed, struct series_space *space)
{
    *table = (struct series_table){.seed = seed, .space = space};
    table->slots = malloc(FIRST_SLOTS * sizeof table->slots[0]);
    table->slot_hashes = malloc(FIRST_SLOTS * sizeof table->slot_hashes[0]);
    if (table->slots == NULL || table->slot_hashes == NULL ||
        pair_table_init(&table->pairs, seed) != STATUS_OK) {
        free(table->slots);
        free(table->slot_hashes);
        *table = (struct series_table){0};
        return STATUS_MEMORY;
    }
    memset(table->slots, 0xff, FIRST_SLOTS * sizeof table->slots[0]);
    table->slot_count = FIRST_SLOTS;
    return STATUS_OK;
}

void series_table_release(struct series_table *table)
{
    if (table->slots == NULL)
        return;
    pair_table_release(&table->pairs);
    for (uint32_t i = 0; i < table->lists.block_count; i++)
        free(table->lists.blocks[i]);
    free(table->lists.blocks);
    free(table->lists.free);
    for (uint32_t i = 0; i < table->page_count; i++)
        free(table->pages[i]);
    free(table->pages);
    free(table->slots);
    free(table->slot_hashes);
    *table = (struct series_table){0};
}

/* ---- lists of pair ids ------------------------------------------------------------------ */

static uint32_t *list_at(const struct pair_lists *lists, uint32_t place)
{
    return lists->blocks[place >> 16] + (place & 0xffff);
}

static enum status lists_add_block(struct pair_lists *lists)
{
    if (lists->block_count == LIST_BLOCK_SIZE)
        return STATUS_MEMORY;
    if (lists->block_count == lists->block_capacity) {
        uint32_t capacity = lists->block_capacity == 0 ? 16 : lists->block_capacity * 2;
        uint32_t **blocks = realloc(lists->blocks, capacity * sizeof blocks[0]);
        if (blocks == NULL)
            return STATUS_MEMORY;
        lists->blocks = blocks;
        lists->block_capacity = capacity;
    }
    uint32_t *block = malloc(LIST_BLOCK_SIZE * sizeof block[0]);
    if (block == NULL)
        return STATUS_MEMORY;
    lists->blocks[lists->block_count++] = block;
    lists->used = 0;
    return STATUS_OK;
}

static enum status list_take(struct pair_lists *lists, uint32_t length, uint32_t *place)
{
    if (length < lists->free_capacity && lists->free[length] != LIST_NONE) {
        *place = lists->free[length];
        lists->free[length] = *list_at(lists, *place);
        return STATUS_OK;
    }
    if (lists->block_count == 0 || LIST_BLOCK_SIZE - lists->used < length) {
        enum status status = lists_add_block(lists);
        if (status != STATUS_OK)
            return status;
    }
    *place = (lists->block_count - 1) << 16 | lists->used;
    lists->used += length;
    return STATUS_OK;
}

/* Room to remember freed lists of this length: taken before the list is, so that giving back never
 * fails. */
static enum status lists_prepare(struct pair_lists *lists, uint32_t length)
{
    if (length < lists->free_capacity)
        return STATUS_OK;
    uint32_t capacity = length + 1;
    uint32_t *grown = realloc(lists->free, capacity * sizeof grown[0]);
    if (grown == NULL)
        return STATUS_MEMORY;
    for (uint32_t i = lists->free_capacity; i < capacity; i++)
        grown[i] = LIST_NONE;
    lists->free = grown;
    lists->free_capacity = capacity;
    return STATUS_OK;
}

static void list_give_back(struct pair_lists *lists, uint32_t place, uint32_t length)
{
    *list_at(lists, place) = lists->free[length];
    lists->free[length] = place;
}

/* ---- labels -> id ----------------------------------------------------------------------- */

static uint32_t pairs_hash(const struct series_table *table, const uint32_t *pairs, size_t count)
{
    return (uint32_t)hash64(slice_of(pairs, count * sizeof pairs[0]), table->seed);
}

static uint32_t find_by_pairs(const struct series_table *table, const uint32_t *pairs, size_t count,
                              uint32_t hash)
{
    uint32_t mask = table->slot_count - 1;
    for (uint32_t slot = hash & mask;; slot = (slot + 1) & mask) {
        uint32_t id = table->slots[slot];
        if (id == SLOT_EMPTY)
            return SERIES_ID_NONE;
        if (id == SLOT_WAS_USED || table->slot_hashes[slot] != hash)
            continue;
        if (series_table_get(table, id)->pair_count == count &&
            memcmp(series_pairs(table, id), pairs, count * sizeof pairs[0]) == 0)
            return id;
    }
}

uint32_t series_table_find(const struct series_table *table, const struct labels *labels)
{
    uint32_t pairs[LABELS_MAX_COUNT];
    for (size_t i = 0; i < labels->count; i++) {
        pairs[i] = pair_table_find(&table->pairs, labels->items[i].name, labels->items[i].value);
        if (pairs[i] == PAIR_NONE)
            return SERIES_ID_NONE;
    }
    return find_by_pairs(table, pairs, labels->count, pairs_hash(table, pairs, labels->count));
}

static enum status slots_rebuild(struct series_table *table)
{
    uint32_t count = table->slot_count;
    if (table->live_series >= count / 2)
        count *= 2;
    uint32_t *slots = malloc((size_t)count * sizeof slots[0]);
    uint32_t *hashes = malloc((size_t)count * sizeof hashes[0]);
    if (slots == NULL || hashes == NULL) {
        free(slots);
        free(hashes);
        return STATUS_MEMORY;
    }
    memset(slots, 0xff, (size_t)count * sizeof slots[0]);
    for (uint32_t i = 0; i < table->slot_count; i++) {
        if (table->slots[i] >= SLOT_WAS_USED)
            continue;
        uint32_t slot = table->slot_hashes[i] & (count - 1);
        while (slots[slot] != SLOT_EMPTY)
            slot = (slot + 1) & (count - 1);
        slots[slot] = table->slots[i];
        hashes[slot] = table->slot_hashes[i];
    }
    free(table->slots);
    free(table->slot_hashes);
    table->slots = slots;
    table->slot_hashes = hashes;
    table->slot_count = count;
    table->slots_used = table->live_series;
    return STATUS_OK;
}

static void slot_put(struct series_table *table, uint32_t hash, uint32_t id)
{
    uint32_t mask = table->slot_count - 1;
    uint32_t slot = hash & mask;
    while (table->slots[slot] < SLOT_WAS_USED)
        slot = (slot + 1) & mask;
    if (table->slots[slot] == SLOT_EMPTY)
        table->slots_used++;
    table->slots[slot] = id;
    table->slot_hashes[slot] = hash;
}

static void slot_forget(struct series_table *table, uint32_t hash, uint32_t id)
{
    uint32_t mask = table->slot_count - 1;
    uint32_t slot = hash & mask;
    while (table->slots[slot] != id) {
        invariant(table->slots[slot] != SLOT_EMPTY);
        slot = (slot + 1) & mask;
    }
    table->slots[slot] = SLOT_WAS_USED;
}

/* ---- making series ---------------------------------------------------------------------- */

/* The place of `id`, free. Its page counts it only once it is used. */
static struct series *page_reach(struct series_table *table, uint32_t id)
{
    uint32_t page = id / SERIES_PAGE;
    if (page >= table->page_count) {
        uint64_t count = table->page_count == 0 ? 64 : table->page_count;
        while (count <= page)
            count *= 2;
        struct series_page **pages = realloc(table->pages, count * sizeof pages[0]);
        if (pages == NULL)
            return NULL;
        memset(pages + table->page_count, 0, (count - table->page_count) * sizeof pages[0]);
        table->pages = pages;
        table->page_count = (uint32_t)count;
    }
    if (table->pages[page] == NULL) {
        table->pages[page] = calloc(1, sizeof *table->pages[page]);
        if (table->pages[page] == NULL)
            return NULL;
        table->pages_made++;
    }
    return &table->pages[page]->series[id % SERIES_PAGE];
}

static void page_leave(struct series_table *table, uint32_t id)
{
    struct series_page **page = &table->pages[id / SERIES_PAGE];
    if (--(*page)->used > 0)
        return;
    free(*page);
    *page = NULL;
    table->pages_made--;
}

uint32_t series_table_next_committed(const struct series_table *table, uint32_t id)
{
    for (uint64_t at = id; at / SERIES_PAGE < table->page_count;) {
        if (table->pages[at / SERIES_PAGE] == NULL)
            at = (at / SERIES_PAGE + 1) * SERIES_PAGE;
        else if (series_table_has_committed(table, (uint32_t)at))
            return (uint32_t)at;
        else
            at++;
    }
    return SERIES_ID_NONE;
}

static uint32_t name_pair_of(const struct series_table *table, const uint32_t *pairs, size_t count)
{
    uint32_t name = pair_table_find_name(&table->pairs, slice_from_text(METRIC_NAME_LABEL));
    for (size_t i = 0; i < count; i++)
        if (table->pairs.pairs[pairs[i]].name == name)
            return pairs[i];
    return PAIR_NONE;
}

/* Takes back what was interned for a series that was not made: pairs without series go. */
static void pairs_drop_unused(struct series_table *table, const uint32_t *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (table->pairs.pairs[pairs[i]].name != PAIR_NONE &&
            table->pairs.pairs[pairs[i]].series.count == 0)
            pair_table_remove_series(&table->pairs, pairs[i], SERIES_ID_NONE);
}

/* Makes series `id`, which is not there. All of the memory is taken first. */
static enum status series_make(struct series_table *table, uint32_t id, uint32_t metric,
                               const uint32_t *pairs, size_t count, enum series_state state)
{
    if (table->slots_used >= table->slot_count / 4 * 3 && slots_rebuild(table) != STATUS_OK)
        return STATUS_MEMORY;
    struct series *series = page_reach(table, id);
    uint32_t place;
    if (series == NULL || lists_prepare(&table->lists, (uint32_t)count) != STATUS_OK ||
        list_take(&table->lists, (uint32_t)count, &place) != STATUS_OK)
        return STATUS_MEMORY;
    memcpy(list_at(&table->lists, place), pairs, count * sizeof pairs[0]);
    for (size_t i = 0; i < count; i++)
        if (pair_table_add_series(&table->pairs, pairs[i], id) != STATUS_OK) {
            while (i-- > 0)
                postings_remove(&table->pairs.pairs[pairs[i]].series, id);
            list_give_back(&table->lists, place, (uint32_t)count);
            return STATUS_MEMORY;
        }
    *series = (struct series){
        .metric = metric,
        .pairs = place,
        .pair_count = (uint16_t)count,
        .kind = SERIES_KIND_FLOAT,
        .state = (uint8_t)state,
        .holds = state == SERIES_RESERVED,
    };
    table->pages[id / SERIES_PAGE]->used++;
    slot_put(table, pairs_hash(table, pairs, count), id);
    table->live_series++;
    if (state == SERIES_COMMITTED)
        table->committed_series++;
    return STATUS_OK;
}

static enum status intern_all(struct series_table *table, const struct labels *labels,
                              uint32_t *pairs)
{
    for (size_t i = 0; i < labels->count; i++)
        if (pair_table_intern(&table->pairs, labels->items[i].name, labels->items[i].value,
                              &pairs[i]) != STATUS_OK) {
            pairs_drop_unused(table, pairs, i);
            return STATUS_MEMORY;
        }
    return STATUS_OK;
}

enum status series_table_reserve(struct series_table *table, const struct labels *labels,
                                 uint32_t *id)
{
    uint32_t pairs[LABELS_MAX_COUNT];
    if (intern_all(table, labels, pairs) != STATUS_OK)
        return STATUS_MEMORY;
    uint32_t metric;
    enum status status = series_space_add(table->space, labels_metric_name(labels), &metric);
    if (status == STATUS_OK) {
        status = series_space_take(table->space, id);
        if (status == STATUS_OK) {
            status = series_make(table, *id, metric, pairs, labels->count, SERIES_RESERVED);
            if (status == STATUS_OK)
                return STATUS_OK;
            series_space_give_back(table->space, *id);
        }
        series_space_remove(table->space, metric);
    }
    pairs_drop_unused(table, pairs, labels->count);
    return status;
}

enum status series_table_reserve_again(struct series_table *table, const struct labels *labels,
                                       uint32_t id, struct error *err)
{
    uint32_t pairs[LABELS_MAX_COUNT];
    uint32_t metric = series_space_find_metric(table->space, labels_metric_name(labels));
    if (metric == METRIC_ID_NONE)
        return fail(err, STATUS_CORRUPT,
                    "the index has lost the definition of this series, and its metric");
    enum status status = intern_all(table, labels, pairs);
    if (status == STATUS_OK) {
        status = series_make(table, id, metric, pairs, labels->count, SERIES_RESERVED);
        if (status != STATUS_OK)
            pairs_drop_unused(table, pairs, labels->count);
    }
    if (status != STATUS_OK)
        return fail(err, status, "no memory for a series");
    series_table_get(table, id)->again = true;
    return STATUS_OK;
}

void series_table_mark_again(struct series_table *table, uint32_t id)
{
    struct series *series = series_table_get(table, id);
    invariant(series->state == SERIES_COMMITTED);
    if (series->again)
        return;
    series->again = true;
    table->committed_again++;
    series_space_remove(table->space, series->metric);
}

enum status series_table_restore_pairs(struct series_table *table, uint32_t id, uint32_t metric,
                                       const uint32_t *pairs, size_t count, struct error *err)
{
    if (id >= SERIES_ID_END || metric >= METRIC_ID_NONE - 1)
        return fail(err, STATUS_CORRUPT, "series %u of metric %u: no such ids", id, metric);
    uint32_t known = find_by_pairs(table, pairs, count, pairs_hash(table, pairs, count));
    if (known == id)
        return STATUS_OK;
    if (known != SERIES_ID_NONE)
        return fail(err, STATUS_CORRUPT, "series %u has the labels of series %u", id, known);
    if (series_table_get(table, id) != NULL)
        return fail(err, STATUS_CORRUPT, "series %u is defined twice, with other labels", id);
    uint32_t name_pair = name_pair_of(table, pairs, count);
    if (name_pair == PAIR_NONE)
        return fail(err, STATUS_CORRUPT, "series %u has no metric name", id);
    enum status status =
        series_space_restore(table->space, metric, pair_value(&table->pairs, name_pair), 1, err);
    if (status != STATUS_OK) {
        error_prefix(err, "series %u", id);
        return status;
    }
    if (series_make(table, id, metric, pairs, count, SERIES_COMMITTED) != STATUS_OK) {
        series_space_remove(table->space, metric);
        return fail(err, STATUS_MEMORY, "no memory for series %u", id);
    }
    series_space_reach(table->space, id + 1);
    return STATUS_OK;
}

enum status series_table_restore(struct series_table *table, uint32_t id, uint32_t metric,
                                 const struct labels *labels, struct error *err)
{
    uint32_t pairs[LABELS_MAX_COUNT];
    if (labels->count > LABELS_MAX_COUNT)
        return fail(err, STATUS_CORRUPT, "series %u has %zu labels", id, labels->count);
    if (intern_all(table, labels, pairs) != STATUS_OK)
        return fail(err, STATUS_MEMORY, "no memory for series %u", id);
    enum status status = series_table_restore_pairs(table, id, metric, pairs, labels->count, err);
    if (status != STATUS_OK)
        pairs_drop_unused(table, pairs, labels->count);
    return status;
}

/* ---- life ------------------------------------------------------------------------------- */

void series_table_hold(struct series_table *table, uint32_t id)
{
    struct series *series = series_table_get(table, id);
    if (series->state == SERIES_RESERVED)
        series->holds++;
}

void series_table_commit(struct series_table *table, uint32_t id, uint64_t number)
{
    struct series *series = series_table_get(table, id);
    invariant(series->state == SERIES_RESERVED);
    series->state = SERIES_COMMITTED;
    series->number = (uint32_t)number;
    table->committed_series++;
    table->committed_again += series->again;
    if (series->again)
        return;
    series_space_keep(table->space);
    series_space_commit(table->space, series->metric);
}

/* Takes it out of the table; its id and its metric's count stay as they are. */
static void series_take_out(struct series_table *table, uint32_t id)
{
    struct series *series = series_table_get(table, id);
    uint32_t *pairs = list_at(&table->lists, series->pairs);
    slot_forget(table, pairs_hash(table, pairs, series->pair_count), id);
    for (uint32_t i = 0; i < series->pair_count; i++)
        pair_table_remove_series(&table->pairs, pairs[i], id);
    list_give_back(&table->lists, series->pairs, series->pair_count);
    table->live_series--;
    table->committed_series -= series->state == SERIES_COMMITTED;
    table->committed_again -= series->state == SERIES_COMMITTED && series->again;
    *series = (struct series){.state = SERIES_FREE};
    page_leave(table, id);
}

static void series_forget(struct series_table *table, uint32_t id)
{
    const struct series *series = series_table_get(table, id);
    if (!series->again) {
        series_space_remove(table->space, series->metric);
        series_space_give_back(table->space, id);
    }
    series_take_out(table, id);
}

void series_table_drop(struct series_table *table, uint32_t id)
{
    const struct series *series = series_table_get(table, id);
    invariant(series->state == SERIES_COMMITTED);
    if (!series->again)
        series_space_remove(table->space, series->metric);
    series_take_out(table, id);
}

uint32_t series_table_next_reserved(const struct series_table *table, uint32_t id)
{
    for (uint64_t at = id; at / SERIES_PAGE < table->page_count; at++) {
        const struct series *series = series_table_get(table, (uint32_t)at);
        if (series != NULL && series->state == SERIES_RESERVED)
            return (uint32_t)at;
        if (table->pages[at / SERIES_PAGE] == NULL)
            at |= SERIES_PAGE - 1;
    }
    return SERIES_ID_NONE;
}

static enum status copy_reserved(const struct series_table *table, uint32_t id,
                                 struct series_table *to)
{
    struct label items[LABELS_MAX_COUNT];
    struct labels labels;
    uint32_t pairs[LABELS_MAX_COUNT];
    const struct series *series = series_table_get(table, id);
    series_table_labels(table, id, items, &labels);
    enum status status = intern_all(to, &labels, pairs);
    if (status == STATUS_OK)
        status = series_make(to, id, series->metric, pairs, labels.count, SERIES_RESERVED);
    if (status == STATUS_OK) {
        series_table_get(to, id)->holds = series->holds;
        series_table_get(to, id)->again = series->again;
    }
    return status;
}

enum status series_table_move_reserved(struct series_table *table, struct series_table *to)
{
    uint32_t reserved = table->live_series - table->committed_series;
    uint32_t id = 0;
    for (uint32_t i = 0; i < reserved; i++, id++) {
        id = series_table_next_reserved(table, id);
        if (copy_reserved(table, id, to) != STATUS_OK)
            return STATUS_MEMORY;
    }
    id = 0;
    for (uint32_t i = 0; i < reserved; i++, id++) {
        id = series_table_next_reserved(table, id);
        series_take_out(table, id);
    }
    return STATUS_OK;
}

void series_table_unhold(struct series_table *table, uint32_t id)
{
    struct series *series = series_table_get(table, id);
    if (series->state != SERIES_RESERVED)
        return;
    invariant(series->holds > 0);
    series->holds--;
    if (series->holds == 0)
        series_forget(table, id);
}

void series_table_labels(const struct series_table *table, uint32_t id, struct label *items,
                         struct labels *labels)
{
    const struct series *series = series_table_get(table, id);
    const uint32_t *pairs = series_pairs(table, id);
    for (uint32_t i = 0; i < series->pair_count; i++)
        items[i] = (struct label){
            .name = pair_name(&table->pairs, pairs[i]),
            .value = pair_value(&table->pairs, pairs[i]),
        };
    *labels = (struct labels){.items = items, .count = series->pair_count};
}

size_t series_table_memory(const struct series_table *table)
{
    size_t lists = (size_t)table->lists.block_count * LIST_BLOCK_SIZE * sizeof(uint32_t);
    size_t total = table->pairs.memory_bytes;
    /* The lists, and as much again: each pair of a series stands in that pair's postings. */
    total += 2 * lists;
    total += (size_t)table->pages_made * sizeof(struct series_page);
    total += (size_t)table->page_count * sizeof table->pages[0];
    total += (size_t)table->slot_count * 2 * sizeof(uint32_t);
    return total;
}
