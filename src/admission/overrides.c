#include "admission/overrides.h"

#include <stdlib.h>

#include "base/hash.h"
#include "model/name_pattern.h"

/* Twice as many as items, so that there is always a free one. */
enum { SLOTS = 2 * ADMISSION_OVERRIDES_MAX };
_Static_assert((SLOTS & (SLOTS - 1)) == 0, "a mask finds a slot");

struct overrides {
    struct name_patterns names;
    struct admission_override items[ADMISSION_OVERRIDES_MAX]; /* one a name */
    size_t other_count;
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
           !slice_equal(overrides->names.items[overrides->slots[slot] - 1].text, name))
        slot = (slot + 1) % SLOTS;
    return slot;
}

static void file_item(struct overrides *overrides, size_t index)
{
    const struct name_pattern *pattern = &overrides->names.items[index];
    if (pattern->kind != NAME_PATTERN_EXACT) {
        overrides->others[overrides->other_count++] = (uint16_t)index;
        return;
    }
    size_t slot = slot_of(overrides, pattern->text);
    if (overrides->slots[slot] == 0) /* of the same name twice, the first holds */
        overrides->slots[slot] = (uint16_t)(index + 1);
}

enum status overrides_new(struct overrides **result, const struct admission_override *items,
                          size_t count, struct error *err)
{
    *result = NULL;
    struct overrides *overrides = calloc(1, sizeof *overrides);
    if (overrides == NULL)
        return fail(err, STATUS_MEMORY, "no memory for overrides");
    const char *texts[ADMISSION_OVERRIDES_MAX] = {0};
    for (size_t i = 0; i < count && i < ADMISSION_OVERRIDES_MAX; i++)
        texts[i] = items[i].match;
    enum status status = name_patterns_init(&overrides->names, texts, count, "override", err);
    if (status != STATUS_OK) {
        overrides_free(overrides);
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        overrides->items[i] = items[i];
        overrides->items[i].match = overrides->names.texts[i];
        file_item(overrides, i);
    }
    *result = overrides;
    return STATUS_OK;
}

void overrides_free(struct overrides *overrides)
{
    if (overrides == NULL)
        return;
    name_patterns_release(&overrides->names);
    free(overrides);
}

const struct admission_override *overrides_find(const struct overrides *overrides,
                                                struct slice name)
{
    if (overrides == NULL)
        return NULL;
    size_t slot = slot_of(overrides, name);
    size_t count = overrides->names.count;
    size_t found = overrides->slots[slot] != 0 ? overrides->slots[slot] - 1u : count;
    for (size_t i = 0; i < overrides->other_count && overrides->others[i] < found; i++)
        if (name_pattern_matches(&overrides->names.items[overrides->others[i]], name))
            found = overrides->others[i];
    return found < count ? &overrides->items[found] : NULL;
}
