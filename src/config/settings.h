/*
 * settings - a table of keys applied to a struct: the part of config that knows no setting by name.
 *
 * `values` is the struct that the keys' offsets point into, `origins` has one element a key. Texts
 * live in the arena. What a failed call leaves in the struct is valid but mixed: the caller drops
 * it.
 */
#ifndef METRIC_STORE_CONFIG_SETTINGS_H
#define METRIC_STORE_CONFIG_SETTINGS_H

#include "config/config.h"
#include "config/yaml.h"

enum {
    SETTINGS_NAME_MAX = 96, /* bytes of "section.key" */
    SETTINGS_LIST_MAX = 256,
    SETTINGS_FIELDS_MAX = 16, /* of a record */
    SETTINGS_FILE_MAX = 1 << 20,
};

struct settings_section {
    const char *name;
    const char *help;
};

struct settings_preset_value {
    const char *section;
    const char *name;
    const char *value;
};

struct settings_preset {
    const char *name;
    const char *help;
    const struct settings_preset_value *values;
    size_t value_count;
};

struct settings_table {
    const struct config_key *keys; /* a section's keys side by side */
    size_t key_count;
    const struct settings_section *sections;
    size_t section_count;
    const struct settings_preset *presets;
    size_t preset_count;
};

struct settings {
    const struct settings_table *table;
    void *values;
    struct config_origin *origins;
    struct arena *arena;
    struct filesystem *fs; /* for secrets by NAME_file; may be NULL */
};

/* The table of keys.c, for struct config. */
const struct settings_table *settings_table_of_config(void);

const struct config_key *settings_find(const struct settings_table *table, struct slice section,
                                       struct slice name);

/* The valid key or section that was probably meant; NULL where none is near. */
const struct config_key *settings_nearest_key(const struct settings_table *table,
                                              struct slice section, struct slice name);
const char *settings_nearest_section(const struct settings_table *table, struct slice name);

/* One value from anywhere. All borrowed for the call. */
struct settings_assignment {
    struct slice section;
    struct slice name;
    struct slice value;
    const struct slice *items; /* in place of `value` where is_list */
    size_t item_count;
    bool is_list;
    const struct yaml_records *records; /* in place of both where not NULL */
    enum config_source source;
    const char *where; /* shown before messages and kept as the origin */
    /* One element a key: where this source gave it before, or NULL. The array is NULL where a
     * source may repeat itself. */
    const char **seen;
};

/* Sets one key or refuses it with "WHERE: reason". */
MUST_CHECK enum status settings_assign(struct settings *settings,
                                       const struct settings_assignment *assignment,
                                       struct error *err);

/* Gives every origin and value its start. */
MUST_CHECK enum status settings_apply_defaults(struct settings *settings, struct error *err);
MUST_CHECK enum status settings_apply_preset(struct settings *settings, const char *name,
                                             struct error *err);
/* `name` is what messages call the file. */
MUST_CHECK enum status settings_apply_yaml(struct settings *settings, struct slice text,
                                           const char *name, struct error *err);
MUST_CHECK enum status settings_apply_environment(struct settings *settings,
                                                  char *const *environment, struct error *err);
MUST_CHECK enum status settings_apply_flags(struct settings *settings,
                                            const struct config_flag *flags, size_t count,
                                            struct error *err);

/* METRIC_STORE_SECTION__KEY, zero-terminated. */
enum { SETTINGS_VARIABLE_SIZE = SETTINGS_NAME_MAX + 32 };
void settings_variable(char text[SETTINGS_VARIABLE_SIZE], const struct config_key *key);

/* A copy in the arena, zero-terminated; NULL without room. */
char *settings_copy_text(struct settings *settings, struct slice text);

MUST_CHECK enum status settings_print_text(const struct settings *settings, struct bytes *out);
MUST_CHECK enum status settings_print_json(const struct settings *settings, struct bytes *out);

#endif
