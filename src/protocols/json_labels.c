/*
 * json_labels - the raw bytes of a JSON series entry, turned into labels.
 *
 *   raw = NAME | NAME ',' KEY ':' OBJECT      with any white space between
 *
 * NAME is the quoted metric name, OBJECT the labels: as they stand in the body where the sender
 * wrote them one after the other (KEY is "labels" then), put together otherwise. The parser has
 * checked the grammar, but not that names differ.
 */
#include "protocols/protocols.h"

#include "protocols/json_text.h"

enum { LABELS_FIRST_CAPACITY = 16 };

struct label_reader {
    const uint8_t *at;
    const uint8_t *end;
    struct arena *arena;
    struct labels *labels;
    size_t capacity;
    struct error *err;
};

static enum status reader_broken(struct label_reader *reader)
{
    return fail_code(reader->err, STATUS_INVALID, "json_invalid",
                     "labels: not the JSON of a name and an object of strings");
}

/* Steps over white space. */
static bool reader_at_end(struct label_reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
    return reader->at == reader->end;
}

static bool reader_take(struct label_reader *reader, uint8_t wanted)
{
    if (reader_at_end(reader) || *reader->at != wanted)
        return false;
    reader->at++;
    return true;
}

static enum status reader_string(struct label_reader *reader, struct slice *text)
{
    struct json_fault fault;
    if (reader_at_end(reader) || *reader->at != '"')
        return reader_broken(reader);
    const uint8_t *close = json_string_end(reader->at, reader->end, &fault);
    if (close == NULL)
        return reader_broken(reader);
    size_t size = (size_t)(close - reader->at) + 1;
    *text = json_string_text(slice_of(reader->at, size), reader->arena);
    if (text->data == NULL)
        return fail(reader->err, arena_status(reader->arena), "no memory for a label");
    reader->at = close + 1;
    return STATUS_OK;
}

static enum status reader_add(struct label_reader *reader, struct label label)
{
    struct labels *labels = reader->labels;
    if (labels->count == reader->capacity) {
        if (labels->count >= LABELS_MAX_COUNT)
            return fail_code(reader->err, STATUS_LIMIT, "labels_too_large",
                             "more than %d labels, which is the most that is ever accepted in one "
                             "series",
                             LABELS_MAX_COUNT);
        size_t capacity = reader->capacity == 0 ? LABELS_FIRST_CAPACITY : reader->capacity * 2;
        struct label *items =
            arena_grow(reader->arena, labels->items, labels->count * sizeof labels->items[0],
                       capacity * sizeof labels->items[0]);
        if (items == NULL)
            return fail(reader->err, arena_status(reader->arena), "no memory for %zu labels",
                        capacity);
        labels->items = items;
        reader->capacity = capacity;
    }
    labels->items[labels->count++] = label;
    return STATUS_OK;
}

/* The members of the labels object, after its opening brace. */
static enum status reader_members(struct label_reader *reader)
{
    if (reader_take(reader, '}'))
        return STATUS_OK;
    for (;;) {
        struct label label;
        enum status status = reader_string(reader, &label.name);
        if (status != STATUS_OK)
            return status;
        if (!reader_take(reader, ':'))
            return reader_broken(reader);
        status = reader_string(reader, &label.value);
        if (status == STATUS_OK)
            status = reader_add(reader, label);
        if (status != STATUS_OK)
            return status;
        if (reader_take(reader, '}'))
            return STATUS_OK;
        if (!reader_take(reader, ','))
            return reader_broken(reader);
    }
}

enum status protocols_json_decode_labels(struct slice raw, struct arena *arena,
                                         struct labels *labels, struct error *err)
{
    *labels = (struct labels){0};
    struct label_reader reader = {
        .at = raw.data,
        .end = raw.data + raw.size,
        .arena = arena,
        .labels = labels,
        .err = err,
    };
    struct label name = {.name = slice_from_text(METRIC_NAME_LABEL)};
    struct slice key;
    enum status status = reader_string(&reader, &name.value);
    if (status == STATUS_OK)
        status = reader_add(&reader, name);
    if (status != STATUS_OK || reader_at_end(&reader))
        return status;
    if (!reader_take(&reader, ','))
        return reader_broken(&reader);
    status = reader_string(&reader, &key);
    if (status != STATUS_OK)
        return status;
    if (!reader_take(&reader, ':') || !reader_take(&reader, '{'))
        return reader_broken(&reader);
    status = reader_members(&reader);
    if (status != STATUS_OK)
        return status;
    return reader_at_end(&reader) ? STATUS_OK : reader_broken(&reader);
}
