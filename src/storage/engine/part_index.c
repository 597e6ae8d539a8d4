#include "storage/engine/part_index.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "os/thread.h"
#include "storage/engine/part_state.h"
#include "storage/engine/stored_read.h"

enum { LOADING_LOCKS = 16 };

struct part_indexes {
    struct mutex lock; /* over all but what is atomic */
    /* Over reading the index of a part, by its id, so that two that want it read it once. */
    struct mutex loading[LOADING_LOCKS];
    struct part_index *newest, *oldest; /* of those that nobody holds and that may go */
    size_t max_bytes;
    atomic_size_t bytes;
    atomic_uint_fast64_t loads, evictions;
    part_index_damage *damage;
    void *context;
};

struct part_indexes *part_indexes_new(size_t max_bytes, part_index_damage *damage, void *context)
{
    struct part_indexes *indexes = calloc(1, sizeof *indexes);
    if (indexes == NULL)
        return NULL;
    mutex_init(&indexes->lock);
    for (size_t i = 0; i < LOADING_LOCKS; i++)
        mutex_init(&indexes->loading[i]);
    indexes->max_bytes = max_bytes == 0 ? SIZE_MAX : max_bytes;
    atomic_init(&indexes->bytes, 0);
    atomic_init(&indexes->loads, 0);
    atomic_init(&indexes->evictions, 0);
    indexes->damage = damage;
    indexes->context = context;
    return indexes;
}

void part_indexes_free(struct part_indexes *indexes)
{
    if (indexes == NULL)
        return;
    invariant(atomic_load(&indexes->bytes) == 0);
    mutex_release(&indexes->lock);
    for (size_t i = 0; i < LOADING_LOCKS; i++)
        mutex_release(&indexes->loading[i]);
    free(indexes);
}

void part_indexes_stats(struct part_indexes *indexes, struct part_indexes_stats *stats)
{
    *stats = (struct part_indexes_stats){
        .bytes = atomic_load_explicit(&indexes->bytes, memory_order_relaxed),
        .loads = atomic_load_explicit(&indexes->loads, memory_order_relaxed),
        .evictions = atomic_load_explicit(&indexes->evictions, memory_order_relaxed),
    };
}

/* ---- one index -------------------------------------------------------------------------- */

void part_index_free(struct part_index *index)
{
    if (index == NULL)
        return;
    free(index->entries);
    free(index);
}

static size_t bytes_of(const struct part_index *index)
{
    return sizeof *index + index->capacity * sizeof index->entries[0];
}

static bool is_sound(const struct part *part, const struct part_index *index)
{
    uint64_t at = PART_HEADER_SIZE;
    uint64_t blocks = 0;
    for (size_t i = 0; i < index->count; i++) {
        const struct part_index_entry *entry = &index->entries[i];
        if (entry->size == 0 || entry->size > PART_PAGE_MAX_SIZE || entry->offset < at ||
            entry->offset > part->set_offset || entry->size > part->set_offset - entry->offset)
            return false;
        if (i > 0 &&
            part_compare_keys(entry[-1].metric, entry[-1].series, entry->metric, entry->series) > 0)
            return false;
        at = entry->offset + entry->size;
        blocks += entry->blocks;
    }
    return at == part->set_offset && blocks == part->totals.blocks;
}

static enum status read_entries(const struct part *part, struct part_index *index,
                                struct error *err)
{
    size_t count = (size_t)part->totals.pages;
    size_t size = count * PART_INDEX_ENTRY_SIZE;
    uint64_t offset = part->set_offset + part->set_size;
    if (count == 0)
        return fail(err, STATUS_CORRUPT, "the index is empty");
    uint8_t *bytes = malloc(size);
    index->entries = malloc(count * sizeof index->entries[0]);
    if (bytes == NULL || index->entries == NULL) {
        free(bytes);
        return fail(err, STATUS_MEMORY, "no memory for the index");
    }
    index->capacity = count;
    enum status status = stored_read_exactly(part->file, bytes, size, offset, err);
    if (status == STATUS_OK) {
        uint32_t got = part_checksum(part->identity.id, offset, bytes, size);
        if (got != part->index_crc)
            status = fail(err, STATUS_CORRUPT, "index checksum differs (got %08x, want %08x)", got,
                          part->index_crc);
    }
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        part_index_entry_decode(bytes + i * PART_INDEX_ENTRY_SIZE, &index->entries[i]);
    free(bytes);
    index->count = status == STATUS_OK ? count : 0;
    if (status == STATUS_OK && !is_sound(part, index))
        status = fail(err, STATUS_CORRUPT, "the index contradicts itself");
    return status;
}

enum status part_index_read(const struct part *part, struct part_index **result, struct error *err)
{
    *result = NULL;
    struct part_index *index = calloc(1, sizeof *index);
    if (index == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the index");
    enum status status = read_entries(part, index, err);
    if (status == STATUS_OK)
        *result = index;
    else
        part_index_free(index);
    return status;
}

void part_index_drop_holes(struct part_index *index)
{
    size_t kept = 0;
    for (size_t i = 0; i < index->count; i++)
        if (index->entries[i].size > 0)
            index->entries[kept++] = index->entries[i];
    index->count = kept;
}

/* Also where it is damaged: *why says so then. The trailer, which is sound, has been compared with
 * what the part should be. */
static enum status read_or_salvage(const struct part *part, struct part_index **index,
                                   struct error *why, struct error *err)
{
    struct error local = {0};
    enum status status = part_index_read(part, index, &local);
    if (status == STATUS_CORRUPT) {
        fail(why, status, "part %s: %s", part->path, local.message);
        status = part_salvage(part, index, &local);
        if (status == STATUS_OK && (*index)->found.samples == part->totals.samples)
            part_index_drop_holes(*index);
    }
    return status == STATUS_OK ? status
                               : fail(err, status, "part %s: %s", part->path, local.message);
}

/* ---- all of them ------------------------------------------------------------------------ */

/* With the lock. */
static void list_put(struct part_indexes *indexes, struct part_index *index)
{
    index->newer = NULL;
    index->older = indexes->newest;
    if (indexes->newest != NULL)
        indexes->newest->newer = index;
    else
        indexes->oldest = index;
    indexes->newest = index;
}

/* With the lock. */
static void list_remove(struct part_indexes *indexes, struct part_index *index)
{
    if (index->newer != NULL)
        index->newer->older = index->older;
    else
        indexes->newest = index->older;
    if (index->older != NULL)
        index->older->newer = index->newer;
    else
        indexes->oldest = index->newer;
}

/* Takes out what is above the bound: a chain by `older`, for free_chain once the lock is given
 * back. With the lock. */
static struct part_index *take_surplus(struct part_indexes *indexes)
{
    struct part_index *chain = NULL;
    while (indexes->oldest != NULL && atomic_load(&indexes->bytes) > indexes->max_bytes) {
        struct part_index *index = indexes->oldest;
        list_remove(indexes, index);
        index->part->index = NULL;
        atomic_fetch_sub(&indexes->bytes, bytes_of(index));
        atomic_fetch_add_explicit(&indexes->evictions, 1, memory_order_relaxed);
        index->older = chain;
        chain = index;
    }
    return chain;
}

static void free_chain(struct part_index *chain)
{
    while (chain != NULL) {
        struct part_index *next = chain->older;
        part_index_free(chain);
        chain = next;
    }
}

/* NULL where it is not in memory. */
static struct part_index *hold(struct part_indexes *indexes, struct part *part)
{
    mutex_lock(&indexes->lock);
    struct part_index *index = part->index;
    if (index != NULL && index->holders++ == 0 && !index->stays)
        list_remove(indexes, index);
    mutex_unlock(&indexes->lock);
    return index;
}

static void put(struct part_indexes *indexes, struct part *part, struct part_index *index)
{
    mutex_lock(&indexes->lock);
    index->part = part;
    index->holders = 1;
    part->index = index;
    atomic_fetch_add(&indexes->bytes, bytes_of(index));
    struct part_index *surplus = take_surplus(indexes);
    mutex_unlock(&indexes->lock);
    free_chain(surplus);
}

enum status part_index_acquire(struct part *part, struct part_index **result, struct error *err)
{
    struct part_indexes *indexes = part->indexes;
    *result = indexes == NULL ? part->index : hold(indexes, part);
    if (*result != NULL)
        return STATUS_OK;
    struct mutex *loading = &indexes->loading[part->identity.id % LOADING_LOCKS];
    struct error why = {0};
    enum status status = STATUS_OK;
    mutex_lock(loading);
    *result = hold(indexes, part);
    if (*result == NULL) {
        status = read_or_salvage(part, result, &why, err);
        if (status == STATUS_OK) {
            (*result)->stays = why.message[0] != 0;
            put(indexes, part, *result);
            atomic_fetch_add_explicit(&indexes->loads, 1, memory_order_relaxed);
        }
    }
    mutex_unlock(loading);
    if (why.message[0] != 0 && indexes->damage != NULL)
        indexes->damage(indexes->context, &why);
    return status;
}

void part_index_release(struct part *part, struct part_index *index)
{
    struct part_indexes *indexes = part->indexes;
    if (indexes == NULL)
        return;
    mutex_lock(&indexes->lock);
    invariant(index->holders > 0);
    if (--index->holders == 0 && !index->stays)
        list_put(indexes, index);
    struct part_index *surplus = take_surplus(indexes);
    mutex_unlock(&indexes->lock);
    free_chain(surplus);
}

bool part_index_is_wanted_back(const struct part *part)
{
    const struct part_indexes *indexes = part->indexes;
    return indexes != NULL &&
           atomic_load_explicit(&indexes->bytes, memory_order_relaxed) > indexes->max_bytes;
}

void part_index_keep(struct part *part, struct part_index *index)
{
    index->stays = true;
    part->index = index;
    if (part->indexes != NULL)
        atomic_fetch_add(&part->indexes->bytes, bytes_of(index));
}

void part_index_forget(struct part *part)
{
    struct part_indexes *indexes = part->indexes;
    if (indexes != NULL)
        mutex_lock(&indexes->lock);
    struct part_index *index = part->index;
    part->index = NULL;
    if (indexes != NULL && index != NULL) {
        invariant(index->holders == 0);
        if (!index->stays)
            list_remove(indexes, index);
        atomic_fetch_sub(&indexes->bytes, bytes_of(index));
    }
    if (indexes != NULL)
        mutex_unlock(&indexes->lock);
    part_index_free(index);
}
