#include "admission/overrides.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/shown.h"
#include "model/name_pattern.h"

/* Twice as many as items, so that there is always a free one. */
enum { SLOTS = 2 * ADMISSION_OVERRIDES_MAX };
_Static_assert((SLOTS & (SLOTS - 1)) == 0, "a mask finds a slot");

struct overrides {
    size_t count;
    size_t other_count;
    struct admission_override *items;
    struct name_pattern *patterns;            /* one an item */
    uint16_t others[ADMISSION_OVERRIDES_MAX]; /* items that are no names, in their order */
    /* 1 + item, 0: free. Without a secret seed: clients add nothing to it, and each of their names
     * meets at most as many slots as there are items. */
    uint16_t slots[SLOTS];
};

/* The slot of the item with that very name, or the free one where it would be. */
static size_t slot_of(const struct overrides *overrides, struct slice name)
{
    size_t slot = hash64(name, 0) % SLOTS;
    while (overrides->slots[slot] != 0 &&
           !slice_equal(overrides->patterns[overrides->slots[slot] - 1].text, name))
        slot = (slot + 1) % SLOTS;
    return slot;
}

static void file_item(struct overrides *overrides, size_t index)
{
    const struct name_pattern *pattern = &overrides->patterns[index];
    if (pattern->kind != NAME_PATTERN_EXACT) {
        overrides->others[overrides->other_count++] = (uint16_t)index;
        return;
    }
    size_t slot = slot_of(overrides, pattern->text);
    if (overrides->slots[slot] == 0) /* of the same name twice, the first holds */
        overrides->slots[slot] = (uint16_t)(index + 1);
}

static enum status add_item(struct overrides *overrides, const struct admission_override *item,
                            struct error *err)
{
    size_t index = overrides->count;
    struct slice match = slice_from_text(item->match);
    char *copy = malloc(match.size + 1);
    if (copy == NULL)
        return fail(err, STATUS_MEMORY, "no memory for overrides");
    memcpy(copy, item->match, match.size + 1);
    enum status status = name_pattern_init(&overrides->patterns[index], match, err);
    if (status != STATUS_OK) {
        free(copy);
        error_prefix(err, "override %zu, \"%s\"", index + 1, shown_text(match).text);
        return status;
    }
    overrides->items[index] = *item;
    overrides->items[index].match = copy;
    overrides->count++;
    file_item(overrides, index);
    return STATUS_OK;
}

enum status overrides_new(struct overrides **result, const struct admission_override *items,
                          size_t count, struct error *err)
{
    *result = NULL;
    if (count > ADMISSION_OVERRIDES_MAX)
        return fail(err, STATUS_INVALID, "%zu overrides; at most %d are allowed", count,
                    ADMISSION_OVERRIDES_MAX);
    struct overrides *overrides = calloc(1, sizeof *overrides);
    if (overrides == NULL)
        return fail(err, STATUS_MEMORY, "no memory for overrides");
    overrides->items = calloc(count + 1, sizeof *overrides->items);
    overrides->patterns = calloc(count + 1, sizeof *overrides->patterns);
    enum status status = STATUS_OK;
    if (overrides->items == NULL || overrides->patterns == NULL)
        status = fail(err, STATUS_MEMORY, "no memory for overrides");
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = add_item(overrides, &items[i], err);
    if (status == STATUS_OK)
        *result = overrides;
    else
        overrides_free(overrides);
    return status;
}

void overrides_free(struct overrides *overrides)
{
    if (overrides == NULL)
        return;
    for (size_t i = 0; i < overrides->count; i++) {
        free((void *)(uintptr_t)overrides->items[i].match);
        name_pattern_release(&overrides->patterns[i]);
    }
    free(overrides->items);
    free(overrides->patterns);
    free(overrides);
}

const struct admission_override *overrides_find(const struct overrides *overrides,
                                                struct slice name)
{
    if (overrides == NULL)
        return NULL;
    size_t slot = slot_of(overrides, name);
    size_t found = overrides->slots[slot] != 0 ? overrides->slots[slot] - 1u : overrides->count;
    for (size_t i = 0; i < overrides->other_count && overrides->others[i] < found; i++)
        if (name_pattern_matches(&overrides->patterns[overrides->others[i]], name))
            found = overrides->others[i];
    return found < overrides->count ? &overrides->items[found] : NULL;
}
