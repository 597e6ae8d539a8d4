/*
 * json_tree - the JSON answer of a server as a tree, for commands that show parts of it.
 *
 * Everything lives in the arena that was given; strings without escapes borrow the text.
 */
#ifndef METRIC_STORE_COMMANDS_JSON_TREE_H
#define METRIC_STORE_COMMANDS_JSON_TREE_H

#include "base/arena.h"

enum { JSON_TREE_DEPTH = 16 };

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_node {
    enum json_type type;
    struct slice key;  /* in an object */
    struct slice text; /* of a string, unescaped; of a number, as it stands */
    size_t count;      /* of an array's or object's items */
    struct json_node *first;
    struct json_node *next;
};

/* INVALID: no JSON, or nested too deep; LIMIT, MEMORY of the arena. */
MUST_CHECK enum status json_tree_parse(struct slice text, struct arena *arena,
                                       struct json_node **root, struct error *err);

/* The member of that name; NULL where `object` is NULL or no object, or has none. */
const struct json_node *json_member(const struct json_node *object, const char *name);
/* Empty where it is no string. */
struct slice json_member_text(const struct json_node *object, const char *name);
/* 0 where it is no whole number that is not negative. */
uint64_t json_member_number(const struct json_node *object, const char *name);
bool json_member_true(const struct json_node *object, const char *name);

#endif
