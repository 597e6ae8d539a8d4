#include "storage/engine/version.h"

#include <inttypes.h>
#include <stdlib.h>

#include "storage/engine/paths.h"

enum status head_ref_new(struct head_ref **result, size_t max_bytes, uint64_t number)
{
    *result = NULL;
    struct head_ref *ref = calloc(1, sizeof *ref);
    if (ref == NULL || head_new(&ref->head, max_bytes) != STATUS_OK) {
        free(ref);
        return STATUS_MEMORY;
    }
    atomic_init(&ref->references, 1);
    ref->number = number;
    *result = ref;
    return STATUS_OK;
}

void head_ref_release(struct head_ref *ref)
{
    if (ref == NULL || atomic_fetch_sub(&ref->references, 1) != 1)
        return;
    head_free(ref->head);
    free(ref);
}

/* Of a sound part all is as the manifest has it: one of another store, with the same identity by
 * chance, is not. */
static enum status expect_totals(const struct part *part, const struct manifest_part *info,
                                 const char *path, struct error *err)
{
    const struct part_totals *totals = part_totals(part);
    if (part_damage(part) != NULL ||
        (totals->samples == info->samples && totals->bytes == info->bytes &&
         totals->min_ms == info->min_ms && totals->max_ms == info->max_ms))
        return STATUS_OK;
    return fail(err, STATUS_CORRUPT,
                "%s holds %" PRIu64 " samples in %" PRIu64 " bytes, where the manifest expects "
                "%" PRIu64 " in %" PRIu64,
                path, totals->samples, totals->bytes, info->samples, info->bytes);
}

enum status part_ref_open(struct part_ref **result, struct os os, const char *dir,
                          const struct part_commons *commons, const struct manifest_part *info,
                          struct error *err)
{
    *result = NULL;
    struct part_ref *ref = calloc(1, sizeof *ref);
    if (ref == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a part");
    ref->os = os;
    ref->info = *info;
    atomic_init(&ref->references, 1);
    atomic_init(&ref->doomed, false);
    atomic_init(&ref->unreadable, false);
    ref->path = path_of_part(dir, info->id);
    enum status status = ref->path == NULL ? fail(err, STATUS_MEMORY, "no memory for a part")
                                           : part_open_shared(&ref->part, commons, ref->path, err);
    struct part_identity expected = manifest_part_identity(info);
    if (status == STATUS_OK)
        status = part_expect(ref->part, &expected, info->samples, err);
    if (status == STATUS_OK)
        status = expect_totals(ref->part, info, ref->path, err);
    if (status != STATUS_OK) {
        part_close(ref->part);
        free(ref->path);
        free(ref);
        return status;
    }
    *result = ref;
    return STATUS_OK;
}

struct part_ref *part_ref_acquire(struct part_ref *ref)
{
    atomic_fetch_add(&ref->references, 1);
    return ref;
}

void part_ref_release(struct part_ref *ref)
{
    if (ref == NULL || atomic_fetch_sub(&ref->references, 1) != 1)
        return;
    part_close(ref->part);
    if (atomic_load(&ref->doomed)) {
        /* A file that stays behind is removed at the next start: nothing names it. */
        enum status removed = filesystem_remove(ref->os.fs, ref->path, NULL);
        (void)removed;
    }
    free(ref->path);
    free(ref);
}

struct version *version_reserve(size_t part_count)
{
    struct version *version = NULL;
    return calloc(1, sizeof *version + part_count * sizeof version->parts[0]);
}

void version_fill(struct version *version, struct head_ref *active, struct head_ref *sealed,
                  struct part_ref *const *parts, size_t part_count,
                  struct tombstone_set *tombstones)
{
    atomic_init(&version->references, 1);
    atomic_fetch_add(&active->references, 1);
    version->active = active;
    if (sealed != NULL)
        atomic_fetch_add(&sealed->references, 1);
    version->sealed = sealed;
    for (size_t i = 0; i < part_count; i++)
        version->parts[i] = part_ref_acquire(parts[i]);
    version->part_count = part_count;
    version->tombstones = tombstone_set_acquire(tombstones);
}

struct version *version_new(struct head_ref *active, struct head_ref *sealed,
                            struct part_ref *const *parts, size_t part_count,
                            struct tombstone_set *tombstones)
{
    struct version *version = version_reserve(part_count);
    if (version != NULL)
        version_fill(version, active, sealed, parts, part_count, tombstones);
    return version;
}

struct version *version_acquire(struct version *version)
{
    atomic_fetch_add(&version->references, 1);
    return version;
}

size_t version_first_part(const struct version *version, int64_t day)
{
    size_t low = 0;
    size_t high = version->part_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (version->parts[middle]->info.day < day)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct version *version_slot_acquire(struct version_slot *slot)
{
    uint8_t generation = gate_enter(&slot->readers);
    struct version *version = version_acquire(atomic_load(&slot->newest));
    gate_leave(&slot->readers, &generation);
    return version;
}

struct version *version_slot_replace(struct version_slot *slot, struct version *version)
{
    struct version *before = atomic_exchange(&slot->newest, version);
    /* A reader may have seen it without having counted itself yet. */
    gate_turn(&slot->readers);
    while (!gate_is_empty(&slot->readers))
        thread_yield();
    return before;
}

void version_release(struct version *version)
{
    if (version == NULL || atomic_fetch_sub(&version->references, 1) != 1)
        return;
    head_ref_release(version->active);
    head_ref_release(version->sealed);
    for (size_t i = 0; i < version->part_count; i++)
        part_ref_release(version->parts[i]);
    tombstone_set_release(version->tombstones);
    free(version);
}
