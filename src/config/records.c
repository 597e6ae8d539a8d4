#include "config/records.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/invariant.h"
#include "base/nearest.h"
#include "config/settings.h"

static void *record_at(const struct config_key *key, void *items, size_t index)
{
    return (char *)items + index * key->record_size;
}

static const void *record_of(const struct config_key *key, const struct config_records *records,
                             size_t index)
{
    return (const char *)records->items + index * key->record_size;
}

/* Not set: all bits, which is CONFIG_UNSET and a NaN. */
static void clear_field(const struct config_key *field, void *record)
{
    invariant(field->type == CONFIG_UNSIGNED || field->type == CONFIG_SIZE ||
              field->type == CONFIG_RATIO);
    memset((char *)record + field->offset, 0xff, sizeof(uint64_t));
}

static bool is_clear(const struct config_key *field, const void *record)
{
    uint64_t bits;
    if (!field->optional)
        return false;
    memcpy(&bits, (const char *)record + field->offset, sizeof bits);
    return bits == CONFIG_UNSET;
}

static enum status no_room(struct arena *arena, struct error *err)
{
    if (arena_status(arena) == STATUS_MEMORY)
        return fail(err, STATUS_MEMORY, "no memory left for the configuration");
    return fail(err, STATUS_LIMIT, "the configuration is larger than %zu bytes", arena->max);
}

static enum status new_items(const struct config_key *key, size_t count, struct arena *arena,
                             void **items)
{
    *items = arena_calloc(arena, count + 1, key->record_size);
    return *items == NULL ? arena_status(arena) : STATUS_OK;
}

/* ---- reading ---------------------------------------------------------------------------- */

struct parse {
    const struct config_key *key;
    const struct yaml_records *from;
    bool named_lines;
    void *items;
    struct arena *arena;
    struct error *err;
};

/* "item 2 (line 7): " before the message. */
static enum status place_fault(const struct parse *parse, enum status status, size_t record,
                               size_t line)
{
    if (parse->named_lines)
        error_prefix(parse->err, "item %zu (line %zu)", record + 1, line);
    else
        error_prefix(parse->err, "item %zu", record + 1);
    return status;
}

static bool find_field(const struct config_key *key, struct slice name, size_t *index)
{
    for (*index = 0; *index < key->field_count; ++*index)
        if (slice_equal_text(name, key->fields[*index].name))
            return true;
    return false;
}

enum { FIELD_NAMES_SIZE = 256 };

/* "match, keep"; or only of those that are optional. */
static void list_fields(const struct config_key *key, bool optional, char names[FIELD_NAMES_SIZE])
{
    size_t size = 0;
    names[0] = 0;
    for (size_t i = 0; i < key->field_count && size < FIELD_NAMES_SIZE; i++)
        if (key->fields[i].optional || !optional)
            size += (size_t)snprintf(names + size, FIELD_NAMES_SIZE - size, "%s%s",
                                     size == 0 ? "" : ", ", key->fields[i].name);
}

static enum status refuse_unknown(const struct parse *parse, const struct yaml_field *field)
{
    const struct config_key *key = parse->key;
    struct nearest nearest = nearest_to(field->name, NEAREST_LIKELY);
    for (size_t i = 0; i < key->field_count; i++)
        nearest_offer(&nearest, i, slice_from_text(key->fields[i].name));
    enum status status = STATUS_INVALID;
    if (nearest.found) {
        fail(parse->err, status, "%s.%s has no field \"%.*s\"; did you mean \"%s\"?", key->section,
             key->name, SLICE_FORMAT(field->name), key->fields[nearest.index].name);
    } else {
        char names[FIELD_NAMES_SIZE];
        list_fields(key, false, names);
        fail(parse->err, status, "%s.%s has no field \"%.*s\"; it has %s", key->section, key->name,
             SLICE_FORMAT(field->name), names);
    }
    return place_fault(parse, status, field->record, field->line);
}

static enum status take_field(const struct parse *parse, const struct yaml_field *field, bool *seen)
{
    const struct config_key *key = parse->key;
    size_t index;
    if (!find_field(key, field->name, &index))
        return refuse_unknown(parse, field);
    enum status status =
        seen[index]
            ? fail(parse->err, STATUS_INVALID, "%s is set twice", key->fields[index].name)
            : value_parse(&key->fields[index], field->value,
                          record_at(key, parse->items, field->record), parse->arena, parse->err);
    seen[index] = true;
    return status == STATUS_OK ? status : place_fault(parse, status, field->record, field->line);
}

static enum status leave_out(const struct parse *parse, const struct config_key *field,
                             void *record)
{
    const struct config_key *key = parse->key;
    if (field->optional) {
        clear_field(field, record);
        return STATUS_OK;
    }
    if (field->initial == NULL)
        return fail(parse->err, STATUS_INVALID, "%s.%s needs \"%s\": %s", key->section, key->name,
                    field->name, field->help);
    return value_parse(field, slice_from_text(field->initial), record, parse->arena, parse->err);
}

static enum status complete(const struct parse *parse, size_t record, const bool *seen)
{
    const struct config_key *key = parse->key;
    size_t optional = 0;
    size_t given = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < key->field_count && status == STATUS_OK; i++) {
        optional += key->fields[i].optional;
        given += key->fields[i].optional && seen[i];
        if (!seen[i])
            status = leave_out(parse, &key->fields[i], record_at(key, parse->items, record));
    }
    if (status == STATUS_OK && optional > 0 && given == 0) {
        char names[FIELD_NAMES_SIZE];
        list_fields(key, true, names);
        status = fail(parse->err, STATUS_INVALID, "%s.%s sets nothing; give at least one of %s",
                      key->section, key->name, names);
    }
    if (status != STATUS_OK)
        return place_fault(parse, status, record, parse->from->lines[record]);
    return STATUS_OK;
}

enum status records_parse(const struct config_key *key, const struct yaml_records *records,
                          bool named_lines, struct config_records *to, struct arena *arena,
                          struct error *err)
{
    invariant(key->field_count <= SETTINGS_FIELDS_MAX && key->max <= YAML_RECORDS_MAX);
    if ((int64_t)records->count > key->max)
        return fail(err, STATUS_INVALID, "%s.%s has %zu items; at most %" PRId64 " may be given",
                    key->section, key->name, records->count, key->max);
    struct parse parse = {
        .key = key, .from = records, .named_lines = named_lines, .arena = arena, .err = err};
    enum status status = new_items(key, records->count, arena, &parse.items);
    if (status != STATUS_OK)
        return no_room(arena, err);
    size_t field = 0;
    for (size_t i = 0; i < records->count && status == STATUS_OK; i++) {
        bool seen[SETTINGS_FIELDS_MAX] = {false};
        for (; field < records->field_count && records->fields[field].record == i &&
               status == STATUS_OK;
             field++)
            status = take_field(&parse, &records->fields[field], seen);
        if (status == STATUS_OK)
            status = complete(&parse, i, seen);
    }
    if (status == STATUS_OK)
        *to = (struct config_records){.items = parse.items, .count = records->count};
    return status;
}

struct text_parse {
    const struct config_key *key;
    struct config_records *to;
    struct arena *arena;
    bool visited; /* so messages name the setting */
};

static enum status on_records(void *context, const struct yaml_records *records, struct error *err)
{
    struct text_parse *parse = context;
    parse->visited = true;
    return records_parse(parse->key, records, false, parse->to, parse->arena, err);
}

enum status records_parse_text(const struct config_key *key, struct slice text,
                               struct config_records *to, struct arena *arena, struct error *err)
{
    struct text_parse parse = {.key = key, .to = to, .arena = arena};
    enum status status = yaml_walk_records(text, on_records, &parse, err);
    if (status != STATUS_OK && !parse.visited)
        error_prefix(err, "%s.%s", key->section, key->name);
    return status;
}

/* ---- writing ---------------------------------------------------------------------------- */

static enum status print_record(const struct config_key *key, const void *record, bool json,
                                struct bytes *out)
{
    enum status status = bytes_append_text(out, "{");
    const char *comma = "";
    for (size_t i = 0; i < key->field_count && status == STATUS_OK; i++) {
        const struct config_key *field = &key->fields[i];
        if (is_clear(field, record))
            continue;
        status = bytes_format(out, json ? "%s\"%s\": " : "%s%s: ", comma, field->name);
        comma = ", ";
        if (status == STATUS_OK)
            status = value_print(field, record, json, out);
    }
    return status == STATUS_OK ? bytes_append_text(out, "}") : status;
}

enum status records_print(const struct config_key *key, const struct config_records *records,
                          bool json, struct bytes *out)
{
    enum status status = bytes_append_text(out, "[");
    for (size_t i = 0; i < records->count && status == STATUS_OK; i++) {
        if (i > 0)
            status = bytes_append_text(out, ", ");
        if (status == STATUS_OK)
            status = print_record(key, record_of(key, records, i), json, out);
    }
    return status == STATUS_OK ? bytes_append_text(out, "]") : status;
}

void records_expected(const struct config_key *key, char text[VALUE_EXPECTED_SIZE])
{
    size_t size =
        (size_t)snprintf(text, VALUE_EXPECTED_SIZE, "a list of at most %" PRId64 " maps", key->max);
    bool optional = false;
    for (size_t i = 0; i < key->field_count && size < VALUE_EXPECTED_SIZE; i++) {
        char field[VALUE_EXPECTED_SIZE];
        value_expected(&key->fields[i], field);
        size += (size_t)snprintf(
            text + size, VALUE_EXPECTED_SIZE - size, "%s `%s`%s: %s", i == 0 ? " of" : ";",
            key->fields[i].name,
            key->fields[i].initial != NULL || key->fields[i].optional ? " (optional)" : "", field);
        optional |= key->fields[i].optional;
    }
    if (optional && size < VALUE_EXPECTED_SIZE)
        snprintf(text + size, VALUE_EXPECTED_SIZE - size, "; not all left out");
}

bool records_equal(const struct config_key *key, const struct config_records *a,
                   const struct config_records *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < key->field_count; j++)
            if (!value_equal(&key->fields[j], record_of(key, a, i), record_of(key, b, i)))
                return false;
    return true;
}

enum status records_copy(const struct config_key *key, const struct config_records *from,
                         struct config_records *to, struct arena *arena)
{
    void *items;
    enum status status = new_items(key, from->count, arena, &items);
    for (size_t i = 0; i < from->count && status == STATUS_OK; i++)
        for (size_t j = 0; j < key->field_count && status == STATUS_OK; j++)
            status = value_copy(&key->fields[j], record_of(key, from, i), record_at(key, items, i),
                                arena);
    if (status == STATUS_OK)
        *to = (struct config_records){.items = items, .count = from->count};
    return status;
}
