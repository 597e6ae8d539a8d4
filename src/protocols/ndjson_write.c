#include <stdio.h>

#include "base/bits.h"
#include "cxx/number.h"
#include "model/value.h"
#include "protocols/protocols.h"

enum {
    /* Each byte of a name or value becomes at most the six of \u0000. */
    NDJSON_SERIES_MAX = 6 * LABELS_MAX_SIZE + 8 * LABELS_MAX_COUNT + 64,
    NDJSON_TAIL_MAX = 2 * NUMBER_TEXT_SIZE + 64,
};

void ndjson_writer_init(struct ndjson_writer *writer)
{
    bytes_init(&writer->series, NDJSON_SERIES_MAX);
}

void ndjson_writer_release(struct ndjson_writer *writer)
{
    bytes_release(&writer->series);
}

static enum status string_append(struct bytes *to, struct slice text)
{
    enum status status = bytes_reserve(to, 6 * text.size + 2);
    if (status != STATUS_OK)
        return status;
    static const char hexadecimal[] = "0123456789abcdef";
    uint8_t *at = to->data + to->size;
    *at++ = '"';
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '"' || byte == '\\') {
            *at++ = '\\';
            *at++ = byte;
        } else if (byte >= 0x20) {
            *at++ = byte;
        } else {
            memcpy(at, "\\u00", 4);
            at[4] = (uint8_t)hexadecimal[byte >> 4];
            at[5] = (uint8_t)hexadecimal[byte & 15];
            at += 6;
        }
    }
    *at++ = '"';
    to->size = (size_t)(at - to->data);
    return STATUS_OK;
}

static enum status label_append(struct bytes *to, const struct label *label, bool first)
{
    enum status status = first ? STATUS_OK : bytes_append(to, ",", 1);
    if (status == STATUS_OK)
        status = string_append(to, label->name);
    if (status == STATUS_OK)
        status = bytes_append(to, ":", 1);
    if (status == STATUS_OK)
        status = string_append(to, label->value);
    return status;
}

enum status ndjson_writer_series(struct ndjson_writer *writer, const struct labels *labels)
{
    struct bytes *to = &writer->series;
    bytes_clear(to);
    enum status status = bytes_append_text(to, "{\"name\":");
    if (status == STATUS_OK)
        status = string_append(to, labels_metric_name(labels));
    if (status == STATUS_OK)
        status = bytes_append_text(to, ",\"labels\":{");
    bool first = true;
    for (size_t i = 0; status == STATUS_OK && i < labels->count; i++) {
        if (slice_equal_text(labels->items[i].name, METRIC_NAME_LABEL))
            continue;
        status = label_append(to, &labels->items[i], first);
        first = false;
    }
    if (status == STATUS_OK)
        status = bytes_append_text(to, "},\"value\":");
    return status;
}

/* A number, or a word in quotes for what JSON has no number for. */
static size_t value_put(char *to, double value)
{
    uint64_t bits = bits_of_double(value);
    if (value == value && value - value == 0)
        return number_format(to, value);
    if (bits == VALUE_STALE_BITS)
        return (size_t)sprintf(to, "\"stale\"");
    if (value != value && bits != VALUE_NORMAL_NAN_BITS)
        return (size_t)sprintf(to, "\"nan:%016llx\"", (unsigned long long)bits);
    to[0] = '"';
    size_t size = number_format(to + 1, value);
    to[size + 1] = '"';
    return size + 2;
}

enum status ndjson_writer_sample(const struct ndjson_writer *writer, struct bytes *to,
                                 int64_t time_ms, double value)
{
    struct slice series = bytes_slice(&writer->series);
    enum status status = bytes_reserve(to, series.size + NDJSON_TAIL_MAX);
    if (status != STATUS_OK)
        return status;
    uint8_t *at = to->data + to->size;
    memcpy(at, series.data, series.size);
    at += series.size;
    at += value_put((char *)at, value);
    at += sprintf((char *)at, ",\"timestamp\":%lld}\n", (long long)time_ms);
    to->size = (size_t)(at - to->data);
    return STATUS_OK;
}
