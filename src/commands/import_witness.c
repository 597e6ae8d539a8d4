#include "commands/import.h"

enum {
    SELECTOR_MAX = 64 * 1024,
    SELECTOR_ENOUGH = 2048, /* bytes, so that it fits into a URL; what it leaves out is compared */
    MATCHERS_ENOUGH = 8,
};

static enum status put_string(struct bytes *to, struct slice text)
{
    enum status status = bytes_append(to, "\"", 1);
    for (size_t i = 0; i < text.size && status == STATUS_OK; i++) {
        uint8_t byte = text.data[i];
        if (byte == '\n')
            status = bytes_append(to, "\\n", 2);
        else if (byte == '"' || byte == '\\')
            status = bytes_format(to, "\\%c", byte);
        else
            status = bytes_append(to, &byte, 1);
    }
    return status == STATUS_OK ? bytes_append(to, "\"", 1) : status;
}

static enum status put_selector(struct bytes *to, const struct labels *labels)
{
    enum status status = bytes_append(to, "{", 1);
    if (status == STATUS_OK)
        status = put_string(to, labels_metric_name(labels));
    size_t matchers = 1;
    for (size_t i = 0; i < labels->count && status == STATUS_OK; i++) {
        const struct label *label = &labels->items[i];
        bool large = to->size + label->name.size + label->value.size > SELECTOR_ENOUGH;
        if (slice_equal_text(label->name, METRIC_NAME_LABEL) || large ||
            ++matchers > MATCHERS_ENOUGH)
            continue;
        status = bytes_append(to, ",", 1);
        if (status == STATUS_OK)
            status = put_string(to, label->name);
        if (status == STATUS_OK)
            status = bytes_append(to, "=", 1);
        if (status == STATUS_OK)
            status = put_string(to, label->value);
    }
    return status == STATUS_OK ? bytes_append(to, "}", sizeof "}") : status;
}

enum status import_witness_init(struct import_witness *witness, const struct labels *labels,
                                int64_t time_ms, struct error *err)
{
    *witness = (struct import_witness){
        .names = {"match[]", "start", "end", "format"},
        .values = {NULL, witness->start, witness->end, "ndjson"},
    };
    bytes_init(&witness->selector, SELECTOR_MAX);
    instant_format(witness->start, time_ms);
    instant_format(witness->end, time_ms + 1);
    enum status status = put_selector(&witness->selector, labels);
    if (status != STATUS_OK)
        return fail(err, status, "no memory to look for what an earlier run stored");
    witness->values[0] = (const char *)witness->selector.data;
    return STATUS_OK;
}

void import_witness_release(struct import_witness *witness)
{
    bytes_release(&witness->selector);
}
