#include "storage/engine/part_cursors.h"

#include <stdlib.h>

enum {
    PART_CURSOR_BYTES = 256 * 1024,
    TURN_SHARE = 4, /* of what there is room for, where that is little */
};

/* For how many more cursors there is room in the half of the memory that is for them. */
static size_t room_for(const struct selection *selection)
{
    size_t max = selection->options.max_memory_bytes;
    if (max == 0)
        return SIZE_MAX;
    return selection->memory_bytes < max / 2
               ? (max / 2 - selection->memory_bytes) / PART_CURSOR_BYTES
               : 0;
}

/* Whether one may stay and leave room for those that are there in turn. */
static bool may_keep(const struct selection *selection)
{
    size_t max = selection->options.max_memory_bytes;
    size_t turn = max / 2 / PART_CURSOR_BYTES / TURN_SHARE + 1;
    if (max == 0 || turn > PART_CURSORS_IN_TURN)
        turn = PART_CURSORS_IN_TURN;
    return selection->count > 1 && room_for(selection) > turn;
}

/* *result stays NULL where it is not to be kept. */
static enum status get_kept(struct part_cursors *cursors, struct selection *selection, size_t place,
                            struct part_cursor **result, struct error *err)
{
    const struct version *version = selection->version;
    *result = cursors->kept == NULL ? NULL : cursors->kept[place];
    if (*result != NULL || !may_keep(selection))
        return STATUS_OK;
    if (cursors->kept == NULL) {
        size_t size = version->part_count * sizeof cursors->kept[0];
        if (size / PART_CURSOR_BYTES > room_for(selection) / 2)
            return STATUS_OK;
        enum status status = selection_take_memory(selection, size, err);
        if (status != STATUS_OK)
            return status;
        cursors->kept = calloc(1, size);
        if (cursors->kept == NULL)
            return fail(err, STATUS_MEMORY, "no memory for a query");
    }
    enum status status = selection_take_memory(selection, PART_CURSOR_BYTES, err);
    if (status == STATUS_OK)
        status = part_cursor_new(&cursors->kept[place], version->parts[place]->part, err);
    if (status == STATUS_OK)
        *result = cursors->kept[place];
    return status;
}

static enum status add_in_turn(struct part_cursors *cursors, struct selection *selection,
                               size_t place, struct part_cursor_in_turn **result, struct error *err)
{
    struct part_cursor_in_turn *added = &cursors->turn[cursors->turn_count];
    struct part *part = selection->version->parts[place]->part;
    enum status status = selection_take_memory(selection, PART_CURSOR_BYTES, err);
    if (status == STATUS_OK)
        status = part_cursor_new(&added->cursor, part, err);
    if (status != STATUS_OK)
        return status;
    added->place = place;
    cursors->turn_count++;
    *result = added;
    return STATUS_OK;
}

enum status part_cursors_get(struct part_cursors *cursors, struct selection *selection,
                             size_t place, struct part_cursor **result, struct error *err)
{
    enum status status = get_kept(cursors, selection, place, result, err);
    if (status != STATUS_OK || *result != NULL)
        return status;
    struct part_cursor_in_turn *found = NULL;
    struct part_cursor_in_turn *oldest = &cursors->turn[0];
    for (size_t i = 0; i < cursors->turn_count && found == NULL; i++) {
        struct part_cursor_in_turn *each = &cursors->turn[i];
        if (each->place == place)
            found = each;
        else if (each->used < oldest->used)
            oldest = each;
    }
    bool first = cursors->turn_count == 0;
    if (found == NULL &&
        (first || (cursors->turn_count < PART_CURSORS_IN_TURN && room_for(selection) > 0)))
        status = add_in_turn(cursors, selection, place, &found, err);
    if (status != STATUS_OK)
        return status;
    if (found == NULL) {
        found = oldest;
        found->place = place;
        part_cursor_move(found->cursor, selection->version->parts[place]->part);
    }
    found->used = ++cursors->clock;
    *result = found->cursor;
    return STATUS_OK;
}

void part_cursors_release(struct part_cursors *cursors, const struct selection *selection)
{
    for (size_t i = 0; i < cursors->turn_count; i++)
        part_cursor_free(cursors->turn[i].cursor);
    for (size_t i = 0; cursors->kept != NULL && i < selection->version->part_count; i++)
        part_cursor_free(cursors->kept[i]);
    free(cursors->kept);
    *cursors = (struct part_cursors){0};
}
