/*
 * yaml - the configuration file's shape: a map of sections, each a map of settings, each a scalar
 * or a list of scalars. Knows no setting by name.
 *
 * What YAML offers beyond that (anchors, aliases, tags, several documents, deeper nesting) is
 * refused by line, so that a file means what it looks like.
 */
#ifndef METRIC_STORE_CONFIG_YAML_H
#define METRIC_STORE_CONFIG_YAML_H

#include "base/slice.h"
#include "base/status.h"

/* Borrowed for one call of the visitor. */
struct yaml_setting {
    struct slice section;
    struct slice name;
    struct slice value;        /* where not is_list */
    const struct slice *items; /* where is_list */
    size_t item_count;
    bool is_list;
    size_t line; /* of the name, from 1 */
};

struct yaml_visitor {
    void *context;
    /* A section begins, perhaps an empty one. */
    enum status (*section)(void *context, struct slice name, size_t line, struct error *err);
    enum status (*setting)(void *context, const struct yaml_setting *setting, struct error *err);
};

/*
 * Walks `text` once, in order. Messages begin with "NAME:LINE: ".
 *   INVALID  not YAML, or not this shape
 *   MEMORY   the heap is exhausted
 *   any other that the visitor returns, which ends the walk
 */
MUST_CHECK enum status yaml_walk(struct slice text, const char *name,
                                 const struct yaml_visitor *visitor, struct error *err);

#endif
