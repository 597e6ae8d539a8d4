#include "config/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/bytes.h"
#include "config/settings.h"

struct yaml_walker {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    bool has_event;
    const char *name;
    size_t line_count; /* of a text without a name */
    const struct yaml_visitor *visitor;
    /* Names outlive their events here. */
    char section[SETTINGS_NAME_MAX];
    char setting[SETTINGS_NAME_MAX];
    struct bytes list;         /* the bytes of a list's items, or of a record's names and values */
    struct yaml_field *fields; /* of the list of records in hand */
    size_t *record_lines;
    struct yaml_records records;
};

static size_t line_of(const struct yaml_walker *walker)
{
    return walker->event.start_mark.line + 1;
}

/* "NAME:LINE: " before a message; of a text without a name "line LINE: ", or nothing where it has
 * one line only. */
struct place {
    char text[512];
};

static struct place place_at(const struct yaml_walker *walker, size_t line)
{
    struct place place;
    if (walker->name != NULL)
        snprintf(place.text, sizeof place.text, "%s:%zu: ", walker->name, line);
    else if (walker->line_count > 1)
        /* What is missing at the end is missed behind it. */
        snprintf(place.text, sizeof place.text,
                 "line %zu: ", line < walker->line_count ? line : walker->line_count);
    else
        place.text[0] = 0;
    return place;
}

static enum status refuse(const struct yaml_walker *walker, const char *reason, struct error *err)
{
    return fail(err, STATUS_INVALID, "%s%s", place_at(walker, line_of(walker)).text, reason);
}

static enum status refuse_syntax(const struct yaml_walker *walker, struct error *err)
{
    const yaml_parser_t *parser = &walker->parser;
    const char *problem = parser->problem == NULL ? "malformed" : parser->problem;
    if (parser->error == YAML_MEMORY_ERROR)
        return fail(err, STATUS_MEMORY, "%sno memory left to read it",
                    place_at(walker, parser->mark.line + 1).text);
    if (parser->error == YAML_READER_ERROR)
        return fail(err, STATUS_INVALID, "%snot a text in UTF-8 (byte %zu: %s)",
                    place_at(walker, parser->mark.line + 1).text, parser->problem_offset, problem);
    return fail(err, STATUS_INVALID, "%snot YAML: %s%s%s",
                place_at(walker, parser->problem_mark.line + 1).text,
                parser->context == NULL ? "" : parser->context, parser->context == NULL ? "" : ", ",
                problem);
}

/* Anchors and tags hang on three kinds of events. */
static bool is_decorated(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL || event->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL;
    default:
        return false;
    }
}

static enum status next_event(struct yaml_walker *walker, struct error *err)
{
    if (walker->has_event)
        yaml_event_delete(&walker->event);
    walker->has_event = false;
    if (!yaml_parser_parse(&walker->parser, &walker->event))
        return refuse_syntax(walker, err);
    walker->has_event = true;
    if (walker->event.type == YAML_ALIAS_EVENT)
        return refuse(walker,
                      "aliases (*name) are not supported; write the value out, in quotes where it "
                      "begins with *",
                      err);
    if (is_decorated(&walker->event))
        return refuse(walker, "anchors (&name) and tags (!name) are not supported; leave them out",
                      err);
    return STATUS_OK;
}

static struct slice scalar_of(const struct yaml_walker *walker)
{
    return slice_of(walker->event.data.scalar.value, walker->event.data.scalar.length);
}

/* No value at all, where quotes do not say that it is meant as a text. */
static bool is_null(const struct yaml_walker *walker)
{
    if (walker->event.type != YAML_SCALAR_EVENT ||
        walker->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    struct slice text = scalar_of(walker);
    return text.size == 0 || slice_equal_text(text, "~") || slice_equal_text(text, "null") ||
           slice_equal_text(text, "Null") || slice_equal_text(text, "NULL");
}

/* Keeps the current scalar as a name. Zero bytes and names beyond any valid one end here. */
static enum status take_name(struct yaml_walker *walker, char name[SETTINGS_NAME_MAX],
                             struct error *err)
{
    if (walker->event.type != YAML_SCALAR_EVENT)
        return refuse(walker, "a name must stand here, not a list or a map", err);
    struct slice text = scalar_of(walker);
    if (text.size == 0 || text.size >= SETTINGS_NAME_MAX || memchr(text.data, 0, text.size) != NULL)
        return refuse(walker, "this is not the name of a section or setting", err);
    memcpy(name, text.data, text.size);
    name[text.size] = 0;
    return STATUS_OK;
}

/* ---- lists ------------------------------------------------------------------------------ */

/* What a list holds lies one after the other in walker->list, which moves while it grows: so slices
 * get their place at the end. */
static enum status keep_bytes(struct yaml_walker *walker, struct slice *copy, struct error *err)
{
    struct slice text = scalar_of(walker);
    copy->size = text.size;
    enum status status = bytes_append(&walker->list, text.data, text.size);
    if (status != STATUS_OK)
        return fail(err, status, "%s: no room for the list",
                    place_at(walker, line_of(walker)).text);
    return STATUS_OK;
}

static const uint8_t *place_slice(struct slice *slice, const uint8_t *at)
{
    slice->data = at;
    return at + slice->size;
}

static enum status take_field(struct yaml_walker *walker, struct error *err)
{
    struct yaml_records *records = &walker->records;
    if (walker->event.type != YAML_SCALAR_EVENT)
        return refuse(walker, "a name must stand here, not a list or a map", err);
    if (records->field_count == YAML_FIELDS_MAX)
        return refuse(walker, "there is too much in this list", err);
    struct yaml_field *field = &walker->fields[records->field_count++];
    *field = (struct yaml_field){.record = records->count - 1, .line = line_of(walker)};
    enum status status = keep_bytes(walker, &field->name, err);
    if (status == STATUS_OK)
        status = next_event(walker, err);
    if (status != STATUS_OK)
        return status;
    if (walker->event.type != YAML_SCALAR_EVENT)
        return refuse(walker,
                      "one value must stand here, not a list or a map; one that begins with "
                      "{ or [ needs quotes",
                      err);
    if (is_null(walker))
        return refuse(walker, "this has no value; give it one or leave it out", err);
    return keep_bytes(walker, &field->value, err);
}

/* From a map's beginning, which is the current event, to its end. */
static enum status take_record(struct yaml_walker *walker, struct error *err)
{
    struct yaml_records *records = &walker->records;
    if (walker->event.type != YAML_MAPPING_START_EVENT)
        return refuse(walker, "a list may hold either plain values or maps", err);
    if (records->count == YAML_RECORDS_MAX)
        return refuse(walker, "there is too much in this list", err);
    walker->record_lines[records->count++] = line_of(walker);
    enum status status;
    while ((status = next_event(walker, err)) == STATUS_OK &&
           walker->event.type != YAML_MAPPING_END_EVENT)
        if ((status = take_field(walker, err)) != STATUS_OK)
            return status;
    return status;
}

/* From the first item, which is the current event, to the list's end. */
static enum status walk_records(struct yaml_walker *walker, struct error *err)
{
    if (walker->fields == NULL)
        walker->fields = calloc(YAML_FIELDS_MAX, sizeof walker->fields[0]);
    if (walker->record_lines == NULL)
        walker->record_lines = calloc(YAML_RECORDS_MAX, sizeof walker->record_lines[0]);
    if (walker->fields == NULL || walker->record_lines == NULL)
        return fail(err, STATUS_MEMORY, "%sno memory left to read it",
                    place_at(walker, line_of(walker)).text);
    walker->records =
        (struct yaml_records){.fields = walker->fields, .lines = walker->record_lines};
    bytes_clear(&walker->list);
    while (walker->event.type != YAML_SEQUENCE_END_EVENT) {
        enum status status = take_record(walker, err);
        if (status == STATUS_OK)
            status = next_event(walker, err);
        if (status != STATUS_OK)
            return status;
    }
    const uint8_t *at = walker->list.data;
    for (size_t i = 0; i < walker->records.field_count; i++)
        at = place_slice(&walker->fields[i].value, place_slice(&walker->fields[i].name, at));
    return STATUS_OK;
}

/* The items of a list, up to its end. */
static enum status walk_list(struct yaml_walker *walker, struct yaml_setting *setting,
                             struct slice items[SETTINGS_LIST_MAX], struct error *err)
{
    bytes_clear(&walker->list);
    for (;;) {
        enum status status = next_event(walker, err);
        if (status != STATUS_OK)
            return status;
        if (walker->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (walker->event.type == YAML_MAPPING_START_EVENT && setting->item_count == 0) {
            setting->records = &walker->records;
            return walk_records(walker, err);
        }
        if (walker->event.type != YAML_SCALAR_EVENT || is_null(walker))
            return refuse(walker, "a list may hold either plain values or maps", err);
        if (setting->item_count == SETTINGS_LIST_MAX)
            return fail(err, STATUS_INVALID, "%s:%zu: a list may hold %d values at most",
                        walker->name, line_of(walker), SETTINGS_LIST_MAX);
        status = keep_bytes(walker, &items[setting->item_count++], err);
        if (status != STATUS_OK)
            return status;
    }
    const uint8_t *at = walker->list.data;
    for (size_t i = 0; i < setting->item_count; i++)
        at = place_slice(&items[i], at);
    setting->items = items;
    setting->is_list = true;
    return STATUS_OK;
}

/* ---- the file --------------------------------------------------------------------------- */

/* From the name, which is the current event, to its value's end. */
static enum status walk_setting(struct yaml_walker *walker, struct error *err)
{
    struct yaml_setting setting = {.line = line_of(walker)};
    enum status status = take_name(walker, walker->setting, err);
    if (status == STATUS_OK)
        status = next_event(walker, err);
    if (status != STATUS_OK)
        return status;
    setting.section = slice_from_text(walker->section);
    setting.name = slice_from_text(walker->setting);
    struct slice items[SETTINGS_LIST_MAX];
    if (walker->event.type == YAML_SEQUENCE_START_EVENT) {
        status = walk_list(walker, &setting, items, err);
        if (status != STATUS_OK)
            return status;
    } else if (walker->event.type != YAML_SCALAR_EVENT) {
        return fail(
            err, STATUS_INVALID,
            "%s:%zu: %s.%s takes a value, not a map; where it is a list of maps, each begins "
            "with \"- \"",
            walker->name, setting.line, walker->section, walker->setting);
    } else if (is_null(walker)) {
        return fail(err, STATUS_INVALID,
                    "%s:%zu: %s.%s has no value; give it one or leave the line out", walker->name,
                    setting.line, walker->section, walker->setting);
    } else {
        setting.value = scalar_of(walker);
    }
    return walker->visitor->setting(walker->visitor->context, &setting, err);
}

/* From the section's name, which is the current event, to its map's end. */
static enum status walk_section(struct yaml_walker *walker, struct error *err)
{
    size_t line = line_of(walker);
    enum status status = take_name(walker, walker->section, err);
    if (status == STATUS_OK)
        status = walker->visitor->section(walker->visitor->context,
                                          slice_from_text(walker->section), line, err);
    if (status == STATUS_OK)
        status = next_event(walker, err);
    if (status != STATUS_OK || is_null(walker))
        return status;
    if (walker->event.type != YAML_MAPPING_START_EVENT)
        return fail(err, STATUS_INVALID,
                    "%s:%zu: section \"%s\" must hold settings, one a line and indented, such as"
                    " \"  key: value\"",
                    walker->name, line, walker->section);
    while ((status = next_event(walker, err)) == STATUS_OK &&
           walker->event.type != YAML_MAPPING_END_EVENT)
        if ((status = walk_setting(walker, err)) != STATUS_OK)
            return status;
    return status;
}

static enum status walk_document(struct yaml_walker *walker, struct error *err)
{
    enum status status = next_event(walker, err);
    if (status != STATUS_OK || is_null(walker))
        return status;
    if (walker->event.type != YAML_MAPPING_START_EVENT)
        return refuse(walker, "the file must hold sections, such as \"server:\"", err);
    while ((status = next_event(walker, err)) == STATUS_OK &&
           walker->event.type != YAML_MAPPING_END_EVENT)
        if ((status = walk_section(walker, err)) != STATUS_OK)
            return status;
    return status;
}

/* From the stream's start to its end; what stands in its one document is for `walk`. */
static enum status walk_stream(struct yaml_walker *walker,
                               enum status (*walk)(struct yaml_walker *walker, struct error *err),
                               struct error *err)
{
    enum status status = next_event(walker, err); /* the stream's start */
    if (status == STATUS_OK)
        status = next_event(walker, err);
    if (status != STATUS_OK || walker->event.type == YAML_STREAM_END_EVENT)
        return status;
    status = walk(walker, err);
    if (status == STATUS_OK)
        status = next_event(walker, err); /* the document's end */
    if (status == STATUS_OK)
        status = next_event(walker, err);
    if (status == STATUS_OK && walker->event.type != YAML_STREAM_END_EVENT)
        return refuse(walker, "a second document begins here; there must be one", err);
    return status;
}

static enum status walk_text(struct yaml_walker *walker, struct slice text,
                             enum status (*walk)(struct yaml_walker *walker, struct error *err),
                             struct error *err)
{
    if (!yaml_parser_initialize(&walker->parser))
        return fail(err, STATUS_MEMORY, "%sno memory left to read it", place_at(walker, 1).text);
    /* Without this a byte order mark could make it UTF-16. */
    yaml_parser_set_encoding(&walker->parser, YAML_UTF8_ENCODING);
    /* An empty file has no bytes to point at, and the parser wants a pointer. */
    static const uint8_t nothing[] = "";
    yaml_parser_set_input_string(&walker->parser, text.size > 0 ? text.data : nothing, text.size);
    bytes_init(&walker->list, SETTINGS_FILE_MAX);
    enum status status = walk_stream(walker, walk, err);
    if (walker->has_event)
        yaml_event_delete(&walker->event);
    yaml_parser_delete(&walker->parser);
    return status;
}

static void release(struct yaml_walker *walker)
{
    bytes_release(&walker->list);
    free(walker->fields);
    free(walker->record_lines);
}

enum status yaml_walk(struct slice text, const char *name, const struct yaml_visitor *visitor,
                      struct error *err)
{
    struct yaml_walker walker = {.name = name, .visitor = visitor};
    enum status status = walk_text(&walker, text, walk_document, err);
    release(&walker);
    return status;
}

static size_t count_lines(struct slice text)
{
    size_t count = 1;
    for (size_t i = 0; i + 1 < text.size; i++)
        count += text.data[i] == '\n';
    return count;
}

static enum status walk_record_list(struct yaml_walker *walker, struct error *err)
{
    enum status status = next_event(walker, err);
    if (status == STATUS_OK && walker->event.type != YAML_SEQUENCE_START_EVENT)
        return refuse(walker, "a list of maps must stand here, such as [{name: value}]", err);
    if (status == STATUS_OK)
        status = next_event(walker, err);
    return status == STATUS_OK ? walk_records(walker, err) : status;
}

enum status yaml_walk_records(struct slice text, yaml_on_records *visit, void *context,
                              struct error *err)
{
    struct yaml_walker walker = {.line_count = count_lines(text)};
    enum status status = walk_text(&walker, text, walk_record_list, err);
    if (status == STATUS_OK)
        status = visit(context, &walker.records, err);
    release(&walker);
    return status;
}
