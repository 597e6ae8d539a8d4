#include "config/settings.h"

#include <ctype.h>
#include <stdio.h>

#include "base/invariant.h"
#include "base/nearest.h"
#include "base/utf8.h"
#include "config/value.h"
#include "os/read_all.h"

const struct config_key *settings_find(const struct settings_table *table, struct slice section,
                                       struct slice name)
{
    for (size_t i = 0; i < table->key_count; i++)
        if (slice_equal_text(section, table->keys[i].section) &&
            slice_equal_text(name, table->keys[i].name))
            return &table->keys[i];
    return NULL;
}

/* "section.name", cut where it is longer than any key. */
static struct slice joined(char text[SETTINGS_NAME_MAX], struct slice section, struct slice name)
{
    int size =
        snprintf(text, SETTINGS_NAME_MAX, "%.*s.%.*s", SLICE_FORMAT(section), SLICE_FORMAT(name));
    return slice_of(text, size < SETTINGS_NAME_MAX ? (size_t)size : SETTINGS_NAME_MAX - 1);
}

const struct config_key *settings_nearest_key(const struct settings_table *table,
                                              struct slice section, struct slice name)
{
    char wanted_text[SETTINGS_NAME_MAX];
    struct slice wanted = joined(wanted_text, section, name);
    struct nearest nearest = nearest_to(wanted, NEAREST_LIKELY);
    for (size_t i = 0; i < table->key_count; i++) {
        const struct config_key *key = &table->keys[i];
        char text[SETTINGS_NAME_MAX];
        nearest_offer(&nearest, i,
                      joined(text, slice_from_text(key->section), slice_from_text(key->name)));
    }
    return nearest.found ? &table->keys[nearest.index] : NULL;
}

const char *settings_nearest_section(const struct settings_table *table, struct slice name)
{
    struct nearest nearest = nearest_to(name, NEAREST_LIKELY);
    for (size_t i = 0; i < table->section_count; i++)
        nearest_offer(&nearest, i, slice_from_text(table->sections[i].name));
    return nearest.found ? table->sections[nearest.index].name : NULL;
}

void settings_variable(char text[SETTINGS_VARIABLE_SIZE], const struct config_key *key)
{
    snprintf(text, SETTINGS_VARIABLE_SIZE, "METRIC_STORE_%s__%s", key->section, key->name);
    for (char *at = text; *at != 0; at++)
        *at = (char)toupper((unsigned char)*at);
}

char *settings_copy_text(struct settings *settings, struct slice text)
{
    if (text.size >= SIZE_MAX - 1)
        return NULL;
    char *copy = arena_alloc(settings->arena, text.size + 1);
    if (copy == NULL)
        return NULL;
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    return copy;
}

static enum status refuse_unknown(const struct settings *settings,
                                  const struct settings_assignment *assignment, struct error *err)
{
    const struct config_key *key =
        settings_nearest_key(settings->table, assignment->section, assignment->name);
    char variable[SETTINGS_VARIABLE_SIZE];
    if (key == NULL)
        return fail(err, STATUS_INVALID,
                    "%s: unknown setting \"%.*s.%.*s\"; `metric-store config` prints all there are",
                    assignment->where, SLICE_FORMAT(assignment->section),
                    SLICE_FORMAT(assignment->name));
    settings_variable(variable, key);
    if (assignment->source == CONFIG_SOURCE_ENVIRONMENT)
        return fail(err, STATUS_INVALID,
                    "%s: unknown setting \"%.*s.%.*s\"; did you mean %s (\"%s.%s\")?",
                    assignment->where, SLICE_FORMAT(assignment->section),
                    SLICE_FORMAT(assignment->name), variable, key->section, key->name);
    return fail(err, STATUS_INVALID, "%s: unknown setting \"%.*s.%.*s\"; did you mean \"%s.%s\"?",
                assignment->where, SLICE_FORMAT(assignment->section),
                SLICE_FORMAT(assignment->name), key->section, key->name);
}

/* The secret that `name` gives the file of, or NULL. */
static const struct config_key *find_secret_of_file(const struct settings_table *table,
                                                    struct slice section, struct slice name)
{
    static const char suffix[] = "_file";
    size_t size = sizeof suffix - 1;
    if (name.size <= size || memcmp(name.data + name.size - size, suffix, size) != 0)
        return NULL;
    const struct config_key *key =
        settings_find(table, section, slice_of(name.data, name.size - size));
    return key != NULL && key->secret ? key : NULL;
}

/* The content of the file, without one line's end, becomes the value. */
static enum status assign_from_file(struct settings *settings, const struct config_key *key,
                                    const struct settings_assignment *assignment, struct error *err)
{
    const char *path = settings_copy_text(settings, assignment->value);
    if (path == NULL)
        return fail(err, arena_status(settings->arena), "no room for the configuration");
    if (settings->fs == NULL || strlen(path) != assignment->value.size || *path == 0)
        return fail(err, STATUS_INVALID, "%s.%s_file must be the path of a file", key->section,
                    key->name);
    struct bytes content;
    bytes_init(&content, (size_t)key->max + 2);
    enum status status = filesystem_read_all(settings->fs, path, &content, err);
    if (status != STATUS_OK) {
        error_prefix(err, "%s.%s_file", key->section, key->name);
        bytes_release(&content);
        return status;
    }
    struct slice secret = bytes_slice(&content);
    if (secret.size > 0 && secret.data[secret.size - 1] == '\n')
        secret.size--;
    if (secret.size > 0 && secret.data[secret.size - 1] == '\r')
        secret.size--;
    if (secret.size == 0)
        status =
            fail(err, STATUS_INVALID, "%s.%s_file: %s is empty", key->section, key->name, path);
    else
        status = value_parse(key, secret, settings->values, settings->arena, err);
    bytes_release(&content);
    return status;
}

static enum status assign_value(struct settings *settings, const struct config_key *key,
                                bool from_file, const struct settings_assignment *assignment,
                                struct error *err)
{
    /* An empty list may be one of anything. */
    static const struct yaml_records no_records = {0};
    const struct yaml_records *records = assignment->records;
    if (assignment->is_list && assignment->item_count == 0 && key->type == CONFIG_RECORDS)
        records = &no_records;
    bool is_list = assignment->is_list || records != NULL;
    if (is_list && (from_file || (key->type != CONFIG_LIST && key->type != CONFIG_RECORDS)))
        return fail(err, STATUS_INVALID, "%s.%s takes one value, not a list", key->section,
                    key->name);
    if (is_list && (records != NULL) != (key->type == CONFIG_RECORDS))
        return value_refuse_items(key, err);
    if (from_file)
        return assign_from_file(settings, key, assignment, err);
    if (records != NULL)
        return value_parse_records(key, records, settings->values, settings->arena, err);
    if (assignment->is_list)
        return value_parse_list(key, assignment->items, assignment->item_count, settings->values,
                                settings->arena, err);
    return value_parse(key, assignment->value, settings->values, settings->arena, err);
}

static enum status keep_origin(struct settings *settings, const struct config_key *key,
                               bool from_file, const struct settings_assignment *assignment,
                               struct error *err)
{
    struct bytes text;
    bytes_init(&text, 16384);
    enum status status = bytes_append_text(&text, assignment->where);
    if (status == STATUS_OK && from_file)
        status = bytes_append_text(&text, ", file ");
    if (status == STATUS_OK && from_file)
        status = bytes_append(&text, assignment->value.data, assignment->value.size);
    /* A path may hold any bytes; an origin goes into comments and JSON. */
    bool clean = utf8_valid(bytes_slice(&text));
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7f || (!clean && text.data[i] >= 0x80))
            text.data[i] = '?';
    const char *copy = NULL;
    if (status == STATUS_OK) {
        copy = settings_copy_text(settings, bytes_slice(&text));
        status = copy == NULL ? arena_status(settings->arena) : STATUS_OK;
    }
    bytes_release(&text);
    if (status != STATUS_OK)
        return fail(err, status, "%s: no room to keep where %s.%s comes from", assignment->where,
                    key->section, key->name);
    settings->origins[key - settings->table->keys] =
        (struct config_origin){.source = assignment->source, .text = copy};
    return STATUS_OK;
}

enum status settings_assign(struct settings *settings, const struct settings_assignment *assignment,
                            struct error *err)
{
    const struct settings_table *table = settings->table;
    const struct config_key *key = settings_find(table, assignment->section, assignment->name);
    bool from_file = false;
    if (key == NULL) {
        key = find_secret_of_file(table, assignment->section, assignment->name);
        from_file = key != NULL;
    }
    if (key == NULL)
        return refuse_unknown(settings, assignment, err);
    size_t index = (size_t)(key - table->keys);
    if (assignment->seen != NULL && assignment->seen[index] != NULL)
        return fail(err, STATUS_INVALID, "%s: %s.%s is set twice, first by %s", assignment->where,
                    key->section, key->name, assignment->seen[index]);
    enum status status = assign_value(settings, key, from_file, assignment, err);
    if (status != STATUS_OK) {
        error_prefix(err, "%s", assignment->where);
        return status;
    }
    status = keep_origin(settings, key, from_file, assignment, err);
    if (status == STATUS_OK && assignment->seen != NULL)
        assignment->seen[index] = settings->origins[index].text;
    return status;
}
