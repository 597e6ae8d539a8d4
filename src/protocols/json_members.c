#include "protocols/json_members.h"

#include <stdio.h>

#include "base/nearest.h"

unsigned json_member_find(const struct json_members *members, struct slice name)
{
    for (size_t i = 0; i < members->count; i++)
        if (slice_equal_text(name, members->items[i].name))
            return members->items[i].bit;
    return 0;
}

void json_member_unknown(const struct json_members *members, struct slice name,
                         char reason[ERROR_MESSAGE_SIZE])
{
    struct nearest nearest = nearest_to(name, NEAREST_SLIPS);
    for (size_t i = 0; i < members->count; i++)
        nearest_offer(&nearest, i, slice_from_text(members->items[i].name));
    if (nearest.found)
        snprintf(reason, ERROR_MESSAGE_SIZE,
                 "unknown member \"%.*s\"; did you mean \"%s\"? A %s has %s", SLICE_FORMAT(name),
                 members->items[nearest.index].name, members->owner, members->list);
    else
        snprintf(reason, ERROR_MESSAGE_SIZE, "unknown member \"%.*s\"; a %s has %s",
                 SLICE_FORMAT(name), members->owner, members->list);
}
