/*
 * yaml - the configuration file's shape: a map of sections, each a map of settings, each a scalar,
 * a list of scalars, or a list of records, which are maps of scalars. Knows no setting by name.
 *
 * What YAML offers beyond that (anchors, aliases, tags, several documents, deeper nesting) is
 * refused by line, so that a file means what it looks like.
 */
#ifndef METRIC_STORE_CONFIG_YAML_H
#define METRIC_STORE_CONFIG_YAML_H

#include "base/slice.h"
#include "base/status.h"

enum { YAML_RECORDS_MAX = 256, YAML_FIELDS_MAX = 2048 /* of all records together */ };

struct yaml_field {
    size_t record; /* from 0 */
    struct slice name, value;
    size_t line; /* of the name, from 1 */
};

/* A list of maps. */
struct yaml_records {
    const struct yaml_field *fields; /* record by record, as they stand there */
    size_t field_count;
    const size_t *lines; /* of each record's beginning */
    size_t count;
};

/* Borrowed for one call of the visitor. */
struct yaml_setting {
    struct slice section;
    struct slice name;
    struct slice value;        /* where not is_list */
    const struct slice *items; /* where is_list */
    size_t item_count;
    bool is_list;
    const struct yaml_records *records; /* not NULL: in place of both; the list has items */
    size_t line;                        /* of the name, from 1 */
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

/* Borrowed for the call. */
typedef enum status yaml_on_records(void *context, const struct yaml_records *records,
                                    struct error *err);

/* The same of a text that is a list of records, as `--set` and the environment have it:
 * `[{name: value, ...}, ...]`, also over several lines. Messages begin with "line LINE: " where
 * it has more than one. */
MUST_CHECK enum status yaml_walk_records(struct slice text, yaml_on_records *visit, void *context,
                                         struct error *err);

#endif
