#include "base/bits.h"
#include "protocols/csv.h"
#include "protocols/json_text.h"

/* ---- an object of strings ---------------------------------------------------------------- */

struct object_walk {
    const uint8_t *at;
    const uint8_t *end;
    bool within; /* behind a member */
};

enum object_step { OBJECT_MEMBER, OBJECT_END, OBJECT_FAULT };

/* Steps over white space. */
static bool walk_at_end(struct object_walk *walk)
{
    while (walk->at < walk->end &&
           (*walk->at == ' ' || *walk->at == '\n' || *walk->at == '\r' || *walk->at == '\t'))
        walk->at++;
    return walk->at == walk->end;
}

static bool walk_take(struct object_walk *walk, uint8_t wanted)
{
    if (walk_at_end(walk) || *walk->at != wanted)
        return false;
    walk->at++;
    return true;
}

/* With its quotes. */
static bool walk_string(struct object_walk *walk, struct slice *quoted)
{
    struct json_fault fault;
    if (!walk_take(walk, '"'))
        return false;
    const uint8_t *start = walk->at - 1;
    const uint8_t *close = json_string_end(start, walk->end, &fault);
    if (close == NULL)
        return false;
    *quoted = slice_of(start, (size_t)(close - start) + 1);
    walk->at = close + 1;
    return true;
}

/* The next member; begins behind the opening brace. */
static enum object_step walk_next(struct object_walk *walk, struct slice *name, struct slice *value)
{
    if (walk_take(walk, '}'))
        return walk_at_end(walk) ? OBJECT_END : OBJECT_FAULT;
    if (walk->within && !walk_take(walk, ','))
        return OBJECT_FAULT;
    walk->within = true;
    return walk_string(walk, name) && walk_take(walk, ':') && walk_string(walk, value)
               ? OBJECT_MEMBER
               : OBJECT_FAULT;
}

static struct object_walk walk_of(struct slice text)
{
    return (struct object_walk){.at = text.data, .end = text.data + text.size};
}

const char *csv_labels_fault(struct slice text)
{
    struct object_walk walk = walk_of(text);
    struct slice name, value;
    enum object_step step = OBJECT_FAULT;
    if (text.size > 0 && walk_take(&walk, '{'))
        while ((step = walk_next(&walk, &name, &value)) == OBJECT_MEMBER)
            continue;
    return step == OBJECT_END ? NULL : "not a JSON object of strings such as {\"region\":\"eu\"}";
}

/* ---- raw bytes --------------------------------------------------------------------------- */

static enum status put_number(struct bytes *raw, size_t number)
{
    uint8_t text[VARINT_MAX_SIZE];
    return bytes_append(raw, text, (size_t)(varint_put(text, number) - text));
}

static enum status put_text(struct bytes *raw, struct slice text)
{
    enum status status = put_number(raw, text.size);
    return status == STATUS_OK ? bytes_append(raw, text.data, text.size) : status;
}

enum status csv_raw_begin(struct bytes *raw, struct slice metric, size_t label_count)
{
    bytes_clear(raw);
    enum status status = put_text(raw, metric);
    return status == STATUS_OK ? put_number(raw, label_count) : status;
}

enum status csv_raw_label(struct bytes *raw, struct slice name, struct slice value)
{
    enum status status = put_text(raw, name);
    return status == STATUS_OK ? put_text(raw, value) : status;
}

static bool take_number(struct slice *raw, uint64_t *number)
{
    const uint8_t *end = raw->data + raw->size;
    const uint8_t *at = varint_get(raw->data, end, number);
    if (at == NULL)
        return false;
    *raw = slice_of(at, (size_t)(end - at));
    return true;
}

static bool take_text(struct slice *raw, struct slice *text)
{
    uint64_t size;
    if (!take_number(raw, &size) || size > raw->size)
        return false;
    *text = slice_of(raw->data, (size_t)size);
    *raw = slice_from(*raw, (size_t)size);
    return true;
}

static enum status decode_object(struct slice text, struct arena *arena, struct labels *labels,
                                 struct error *err)
{
    struct object_walk walk = walk_of(text);
    struct slice name, value;
    if (text.size == 0)
        return STATUS_OK;
    if (!walk_take(&walk, '{'))
        return fail(err, STATUS_INVALID, "the labels of a CSV line are no object");
    enum object_step step;
    while ((step = walk_next(&walk, &name, &value)) == OBJECT_MEMBER) {
        struct label label = {json_string_text(name, arena), json_string_text(value, arena)};
        if (label.name.data == NULL || label.value.data == NULL)
            return fail(err, arena_status(arena), "no memory for the labels of a series");
        labels->items[labels->count++] = label;
    }
    return step == OBJECT_END
               ? STATUS_OK
               : fail(err, STATUS_INVALID, "the labels of a CSV line are no object of strings");
}

static size_t count_members(struct slice text)
{
    struct object_walk walk = walk_of(text);
    struct slice name, value;
    size_t count = 0;
    if (text.size > 0 && walk_take(&walk, '{'))
        while (walk_next(&walk, &name, &value) == OBJECT_MEMBER)
            count++;
    return count;
}

enum status protocols_csv_decode_labels(struct slice raw, struct arena *arena,
                                        struct labels *labels, struct error *err)
{
    struct slice metric;
    uint64_t count;
    *labels = (struct labels){0};
    if (!take_text(&raw, &metric) || !take_number(&raw, &count) || count > CSV_COLUMNS_MAX)
        return fail(err, STATUS_INVALID, "the labels of a CSV line are cut off");
    struct slice pairs = raw;
    for (uint64_t i = 0; i < 2 * count; i++) {
        struct slice text;
        if (!take_text(&raw, &text))
            return fail(err, STATUS_INVALID, "the labels of a CSV line are cut off");
    }
    size_t total = 1 + (size_t)count + count_members(raw);
    if (total > LABELS_MAX_COUNT)
        return fail_code(err, STATUS_LIMIT, "labels_too_large",
                         "more than %d labels in one series; send fewer", LABELS_MAX_COUNT);
    labels->items = arena_alloc(arena, total * sizeof labels->items[0]);
    if (labels->items == NULL)
        return fail(err, arena_status(arena), "no memory for the labels of a series");
    labels->items[labels->count++] = (struct label){slice_from_text(METRIC_NAME_LABEL), metric};
    for (uint64_t i = 0; i < count; i++) {
        struct label label;
        if (!take_text(&pairs, &label.name) || !take_text(&pairs, &label.value))
            return fail(err, STATUS_INVALID, "the labels of a CSV line are cut off");
        labels->items[labels->count++] = label;
    }
    return decode_object(raw, arena, labels, err);
}
