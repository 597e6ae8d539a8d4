/*
 * json_members - the members that an object of ours may have, by name.
 */
#ifndef METRIC_STORE_PROTOCOLS_JSON_MEMBERS_H
#define METRIC_STORE_PROTOCOLS_JSON_MEMBERS_H

#include "base/slice.h"
#include "base/status.h"

struct json_member {
    const char *name;
    unsigned bit; /* of a set of members; not 0 */
};

struct json_members {
    const char *owner; /* "sample" */
    const char *list;  /* "name, value and unit" */
    const struct json_member *items;
    size_t count;
};

/* The bit of the member `name`; 0 where there is none. */
unsigned json_member_find(const struct json_members *members, struct slice name);

/* Why `name` is refused, with the nearest member where one is near. */
void json_member_unknown(const struct json_members *members, struct slice name,
                         char reason[ERROR_MESSAGE_SIZE]);

#endif
