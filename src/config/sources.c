/*
 * sources - where values come from, each brought to settings_assign: defaults, a preset, YAML, the
 * environment, flags.
 */
#include <ctype.h>
#include <stdio.h>

#include "base/invariant.h"
#include "config/settings.h"
#include "config/value.h"
#include "config/yaml.h"

enum status settings_apply_defaults(struct settings *settings, struct error *err)
{
    for (size_t i = 0; i < settings->table->key_count; i++) {
        const struct config_key *key = &settings->table->keys[i];
        enum status status =
            value_parse(key, slice_from_text(key->initial), settings->values, settings->arena, err);
        invariant(status != STATUS_INVALID);
        if (status != STATUS_OK)
            return status;
        settings->origins[i] =
            (struct config_origin){.source = CONFIG_SOURCE_DEFAULT, .text = "default"};
    }
    return STATUS_OK;
}

static enum status refuse_preset(const struct settings *settings, const char *name,
                                 struct error *err)
{
    char names[256] = "none";
    size_t size = 0;
    for (size_t i = 0; i < settings->table->preset_count && size < sizeof names; i++)
        size += (size_t)snprintf(names + size, sizeof names - size, "%s%s", i == 0 ? "" : ", ",
                                 settings->table->presets[i].name);
    return fail(err, STATUS_INVALID, "--preset: unknown preset \"%.100s\"; there are: %s", name,
                names);
}

enum status settings_apply_preset(struct settings *settings, const char *name, struct error *err)
{
    const struct settings_preset *preset = NULL;
    for (size_t i = 0; i < settings->table->preset_count; i++)
        if (strcmp(settings->table->presets[i].name, name) == 0)
            preset = &settings->table->presets[i];
    if (preset == NULL)
        return refuse_preset(settings, name, err);
    char where[64];
    snprintf(where, sizeof where, "preset %s", preset->name);
    for (size_t i = 0; i < preset->value_count; i++) {
        struct settings_assignment assignment = {
            .section = slice_from_text(preset->values[i].section),
            .name = slice_from_text(preset->values[i].name),
            .value = slice_from_text(preset->values[i].value),
            .source = CONFIG_SOURCE_PRESET,
            .where = where,
        };
        enum status status = settings_assign(settings, &assignment, err);
        invariant(status != STATUS_INVALID);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status no_room(const struct settings *settings, struct error *err)
{
    return fail(err, arena_status(settings->arena), "no room for the configuration");
}

/* One element a key, for settings_assignment.seen. */
static const char **seen_new(struct settings *settings)
{
    return arena_calloc(settings->arena, settings->table->key_count, sizeof(const char *));
}

struct yaml_context {
    struct settings *settings;
    const char *name;
    const char **seen;
    size_t *section_lines; /* one a section: the line that began it, or 0 */
};

static bool section_index(const struct settings_table *table, struct slice name, size_t *index)
{
    for (*index = 0; *index < table->section_count; ++*index)
        if (slice_equal_text(name, table->sections[*index].name))
            return true;
    return false;
}

static enum status refuse_section(const struct yaml_context *yaml, struct slice name, size_t line,
                                  struct error *err)
{
    const struct settings_table *table = yaml->settings->table;
    const uint8_t *dot = memchr(name.data, '.', name.size);
    const char *nearest = settings_nearest_section(table, name);
    if (dot == NULL && nearest == NULL)
        return fail(err, STATUS_INVALID,
                    "%s:%zu: unknown section \"%.*s\"; `metric-store config` prints all there are",
                    yaml->name, line, SLICE_FORMAT(name));
    if (dot == NULL)
        return fail(err, STATUS_INVALID, "%s:%zu: unknown section \"%.*s\"; did you mean \"%s\"?",
                    yaml->name, line, SLICE_FORMAT(name), nearest);
    struct slice section = slice_of(name.data, (size_t)(dot - name.data));
    const struct config_key *key =
        settings_nearest_key(table, section, slice_from(name, section.size + 1));
    return fail(err, STATUS_INVALID,
                "%s:%zu: \"%.*s\" is not a section; settings are nested: write \"%s:\" and below "
                "it, indented, \"%s: VALUE\"",
                yaml->name, line, SLICE_FORMAT(name), key == NULL ? "SECTION" : key->section,
                key == NULL ? "KEY" : key->name);
}

static enum status yaml_on_section(void *context, struct slice name, size_t line, struct error *err)
{
    struct yaml_context *yaml = context;
    size_t index;
    if (!section_index(yaml->settings->table, name, &index))
        return refuse_section(yaml, name, line, err);
    if (yaml->section_lines[index] != 0)
        return fail(err, STATUS_INVALID,
                    "%s:%zu: section \"%.*s\" is there twice, first on line %zu; join them",
                    yaml->name, line, SLICE_FORMAT(name), yaml->section_lines[index]);
    yaml->section_lines[index] = line;
    return STATUS_OK;
}

static enum status yaml_on_setting(void *context, const struct yaml_setting *setting,
                                   struct error *err)
{
    struct yaml_context *yaml = context;
    struct bytes where;
    bytes_init(&where, 8192);
    enum status status = bytes_format(&where, "%s:%zu%c", yaml->name, setting->line, 0);
    if (status != STATUS_OK) {
        bytes_release(&where);
        return fail(err, status, "no room for the name of the configuration file");
    }
    struct settings_assignment assignment = {
        .section = setting->section,
        .name = setting->name,
        .value = setting->value,
        .items = setting->items,
        .item_count = setting->item_count,
        .is_list = setting->is_list,
        .records = setting->records,
        .source = CONFIG_SOURCE_FILE,
        .where = (const char *)where.data,
        .seen = yaml->seen,
    };
    status = settings_assign(yaml->settings, &assignment, err);
    bytes_release(&where);
    return status;
}

enum status settings_apply_yaml(struct settings *settings, struct slice text, const char *name,
                                struct error *err)
{
    struct yaml_context context = {
        .settings = settings,
        .name = name,
        .seen = seen_new(settings),
        .section_lines =
            arena_calloc(settings->arena, settings->table->section_count, sizeof(size_t)),
    };
    if (context.seen == NULL || context.section_lines == NULL)
        return no_room(settings, err);
    const struct yaml_visitor visitor = {
        .context = &context, .section = yaml_on_section, .setting = yaml_on_setting};
    return yaml_walk(text, name, &visitor, err);
}

static const char prefix[] = "METRIC_STORE_";
enum { PREFIX_SIZE = sizeof prefix - 1 };

/* METRIC_STORE_SERVER_LISTEN is METRIC_STORE_SERVER__LISTEN with a slip that would go unnoticed.
 * Other names without "__" are none of ours: Kubernetes sets METRIC_STORE_SERVICE_HOST. */
static enum status check_single_underscore(const struct settings *settings, const char *where,
                                           struct error *err)
{
    for (size_t i = 0; i < settings->table->key_count; i++) {
        char variable[SETTINGS_VARIABLE_SIZE];
        settings_variable(variable, &settings->table->keys[i]);
        const char *gap = strstr(variable + PREFIX_SIZE, "__");
        invariant(gap != NULL);
        size_t before = (size_t)(gap - variable);
        if (strncmp(where, variable, before) == 0 && strcmp(where + before, gap + 1) == 0)
            return fail(err, STATUS_INVALID,
                        "%s: unknown setting; did you mean %s, with two underscores?", where,
                        variable);
    }
    return STATUS_OK;
}

/* "SECTION__KEY" to "section" and "key", in place. */
static bool names_of_variable(char *text, struct slice *section, struct slice *name)
{
    char *gap = strstr(text, "__");
    if (gap == NULL)
        return false;
    for (char *at = text; *at != 0; at++)
        *at = (char)tolower((unsigned char)*at);
    *section = slice_of(text, (size_t)(gap - text));
    *name = slice_from_text(gap + 2);
    return true;
}

static enum status apply_variable(struct settings *settings, const char *variable,
                                  const char **seen, struct error *err)
{
    const char *equals = strchr(variable, '=');
    if (equals == NULL)
        return STATUS_OK;
    struct slice whole = slice_of(variable, (size_t)(equals - variable));
    const char *where = settings_copy_text(settings, whole);
    char *names = settings_copy_text(settings, slice_from(whole, PREFIX_SIZE));
    if (where == NULL || names == NULL)
        return no_room(settings, err);
    struct settings_assignment assignment = {
        .value = slice_from_text(equals + 1),
        .source = CONFIG_SOURCE_ENVIRONMENT,
        .where = where,
        .seen = seen,
    };
    if (!names_of_variable(names, &assignment.section, &assignment.name))
        return check_single_underscore(settings, where, err);
    return settings_assign(settings, &assignment, err);
}

enum status settings_apply_environment(struct settings *settings, char *const *environment,
                                       struct error *err)
{
    const char **seen = seen_new(settings);
    if (seen == NULL)
        return no_room(settings, err);
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, prefix, PREFIX_SIZE) != 0)
            continue;
        enum status status = apply_variable(settings, *environment, seen, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* "section.name=value" of --set. */
static enum status apply_set(struct settings *settings, const struct config_flag *flag,
                             struct error *err)
{
    struct slice text = slice_from_text(flag->value);
    const uint8_t *equals = memchr(text.data, '=', text.size);
    struct slice key =
        slice_of(text.data, equals == NULL ? text.size : (size_t)(equals - text.data));
    const uint8_t *dot = memchr(key.data, '.', key.size);
    if (equals == NULL || dot == NULL)
        return fail(err, STATUS_INVALID, "%s %.*s: write it as %s section.key=value", flag->flag,
                    SLICE_FORMAT(key), flag->flag);
    struct bytes where;
    bytes_init(&where, 1024);
    enum status status = bytes_format(&where, "%s %.*s%c", flag->flag, SLICE_FORMAT(key), 0);
    if (status != STATUS_OK) {
        bytes_release(&where);
        return fail(err, status, "no room for the configuration");
    }
    struct settings_assignment assignment = {
        .section = slice_of(key.data, (size_t)(dot - key.data)),
        .name = slice_of(dot + 1, (size_t)(equals - dot - 1)),
        .value = slice_from_text((const char *)equals + 1),
        .source = CONFIG_SOURCE_FLAG,
        .where = (const char *)where.data,
    };
    status = settings_assign(settings, &assignment, err);
    bytes_release(&where);
    return status;
}

static enum status apply_flag(struct settings *settings, const struct config_flag *flag,
                              struct error *err)
{
    for (size_t i = 0; i < settings->table->key_count; i++) {
        const struct config_key *key = &settings->table->keys[i];
        if (key->flag == NULL || strcmp(key->flag, flag->flag) != 0)
            continue;
        struct settings_assignment assignment = {
            .section = slice_from_text(key->section),
            .name = slice_from_text(key->name),
            .value = slice_from_text(flag->value),
            .source = CONFIG_SOURCE_FLAG,
            .where = key->flag,
        };
        return settings_assign(settings, &assignment, err);
    }
    return fail(err, STATUS_INVALID, "%.100s is not the flag of a setting", flag->flag);
}

enum status settings_apply_flags(struct settings *settings, const struct config_flag *flags,
                                 size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        enum status status = strcmp(flags[i].flag, "--set") == 0
                                 ? apply_set(settings, &flags[i], err)
                                 : apply_flag(settings, &flags[i], err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}
