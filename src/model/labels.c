#include "model/labels.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/utf8.h"

static int label_compare_names(const void *a, const void *b)
{
    const struct label *left = a;
    const struct label *right = b;
    return slice_compare(left->name, right->name);
}

/* Senders nearly always sort; then a look is cheaper than a sort. */
static void labels_sort(struct labels *labels)
{
    for (size_t i = 1; i < labels->count; i++)
        if (slice_compare(labels->items[i - 1].name, labels->items[i].name) > 0) {
            qsort(labels->items, labels->count, sizeof labels->items[0], label_compare_names);
            return;
        }
}

static enum status label_check(const struct label *label, struct error *err)
{
    if (label->name.size == 0)
        return fail_code(err, STATUS_INVALID, "label_invalid",
                         "a label with the value \"%.*s\" has an empty name; give it a name",
                         SLICE_FORMAT(label->value));
    if (label->name.size > LABEL_VALUE_MAX_SIZE || label->value.size > LABEL_VALUE_MAX_SIZE)
        return fail_code(
            err, STATUS_LIMIT, "label_value_too_long",
            "label \"%.*s\": name of %zu and value of %zu bytes; at most %d bytes each "
            "are ever accepted",
            SLICE_FORMAT(label->name), label->name.size, label->value.size, LABEL_VALUE_MAX_SIZE);
    if (!utf8_valid(label->name))
        return fail_code(err, STATUS_INVALID, "label_invalid",
                         "a label name is not valid UTF-8; send names as UTF-8");
    if (!utf8_valid(label->value))
        return fail_code(err, STATUS_INVALID, "label_invalid",
                         "the value of label \"%.*s\" is not valid UTF-8; send values as UTF-8",
                         SLICE_FORMAT(label->name));
    /* Not every store behind this one can hold it, and no label that means anything has one. */
    if (slice_has_nul(label->name))
        return fail_code(err, STATUS_INVALID, "label_invalid",
                         "a label name has a NUL byte in it; send names without");
    if (slice_has_nul(label->value))
        return fail_code(err, STATUS_INVALID, "label_invalid",
                         "the value of label \"%.*s\" has a NUL byte in it; send values without",
                         SLICE_FORMAT(label->name));
    return STATUS_OK;
}

enum status labels_canonicalise(struct labels *labels, struct error *err)
{
    if (labels->count > LABELS_MAX_COUNT)
        return fail_code(err, STATUS_LIMIT, "labels_too_large",
                         "%zu labels; at most %d are ever accepted in one series", labels->count,
                         LABELS_MAX_COUNT);
    size_t total = 0;
    for (size_t i = 0; i < labels->count; i++) {
        enum status status = label_check(&labels->items[i], err);
        if (status != STATUS_OK)
            return status;
        total += labels->items[i].name.size + labels->items[i].value.size + LABEL_FRAMING_SIZE;
    }
    if (total > LABELS_MAX_SIZE - LABEL_FRAMING_SIZE)
        return fail_code(err, STATUS_LIMIT, "labels_too_large",
                         "labels of %zu bytes; at most %d bytes are ever accepted in one series",
                         total, LABELS_MAX_SIZE);
    labels_sort(labels);
    for (size_t i = 1; i < labels->count; i++)
        if (slice_equal(labels->items[i].name, labels->items[i - 1].name))
            return fail_code(err, STATUS_INVALID, "label_duplicate",
                             "label \"%.*s\" is given twice; a series has each label once",
                             SLICE_FORMAT(labels->items[i].name));
    size_t kept = 0;
    bool named = false;
    for (size_t i = 0; i < labels->count; i++) {
        if (labels->items[i].value.size == 0)
            continue;
        if (slice_equal_text(labels->items[i].name, METRIC_NAME_LABEL))
            named = true;
        labels->items[kept++] = labels->items[i];
    }
    labels->count = kept;
    if (!named)
        return fail_code(err, STATUS_INVALID, "metric_name_missing",
                         "the series has no metric name; give it one (label %s)",
                         METRIC_NAME_LABEL);
    return STATUS_OK;
}

struct slice labels_get(const struct labels *labels, struct slice name)
{
    for (size_t i = 0; i < labels->count; i++)
        if (slice_equal(labels->items[i].name, name))
            return labels->items[i].value;
    return slice_of(NULL, 0);
}

struct slice labels_metric_name(const struct labels *labels)
{
    return labels_get(labels, slice_from_text(METRIC_NAME_LABEL));
}

int labels_compare(const struct labels *a, const struct labels *b)
{
    size_t shorter = a->count < b->count ? a->count : b->count;
    for (size_t i = 0; i < shorter; i++) {
        int order = slice_compare(a->items[i].name, b->items[i].name);
        if (order == 0)
            order = slice_compare(a->items[i].value, b->items[i].value);
        if (order != 0)
            return order;
    }
    return (a->count > b->count) - (a->count < b->count);
}

enum status labels_encode(const struct labels *labels, struct bytes *to)
{
    size_t need = 0;
    for (size_t i = 0; i < labels->count; i++)
        need += labels->items[i].name.size + labels->items[i].value.size + 2 * VARINT_MAX_SIZE;
    enum status status = bytes_reserve(to, need);
    if (status != STATUS_OK)
        return status;
    uint8_t *at = to->data + to->size;
    for (size_t i = 0; i < labels->count; i++) {
        const struct label *label = &labels->items[i];
        at = varint_put(at, label->name.size);
        memcpy(at, label->name.data, label->name.size);
        at = varint_put(at + label->name.size, label->value.size);
        memcpy(at, label->value.data, label->value.size);
        at += label->value.size;
    }
    to->size = (size_t)(at - to->data);
    return STATUS_OK;
}

static const uint8_t *text_get(const uint8_t *at, const uint8_t *end, struct slice *text)
{
    uint64_t size;
    at = varint_get(at, end, &size);
    if (at == NULL || size > (uint64_t)(end - at))
        return NULL;
    *text = slice_of(at, (size_t)size);
    return at + size;
}

enum status labels_decode(struct slice from, struct label *items, size_t capacity, size_t *count,
                          struct error *err)
{
    const uint8_t *at = from.data;
    const uint8_t *end = from.data + from.size;
    *count = 0;
    while (at < end) {
        if (*count == capacity)
            return fail(err, STATUS_CORRUPT, "encoded labels: more than %zu of them", capacity);
        struct label *label = &items[*count];
        at = text_get(at, end, &label->name);
        if (at != NULL)
            at = text_get(at, end, &label->value);
        if (at == NULL)
            return fail(err, STATUS_CORRUPT, "encoded labels: label %zu is cut off", *count);
        (*count)++;
    }
    return STATUS_OK;
}
