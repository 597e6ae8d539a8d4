#include <stdio.h>

#include "protocols/json_write.h"
#include "protocols/protocols.h"

enum { NDJSON_TAIL_MAX = 2 * NUMBER_TEXT_SIZE + 64 };

void ndjson_writer_init(struct ndjson_writer *writer)
{
    bytes_init(&writer->series, JSON_LABELS_MAX);
}

void ndjson_writer_release(struct ndjson_writer *writer)
{
    bytes_release(&writer->series);
}

enum status ndjson_writer_series(struct ndjson_writer *writer, const struct labels *labels)
{
    struct bytes *to = &writer->series;
    bytes_clear(to);
    enum status status = bytes_append_text(to, "{\"name\":");
    if (status == STATUS_OK)
        status = json_write_string(to, labels_metric_name(labels));
    if (status == STATUS_OK)
        status = bytes_append_text(to, ",\"labels\":");
    if (status == STATUS_OK)
        status = json_write_labels(to, labels);
    return status == STATUS_OK ? bytes_append_text(to, ",\"value\":") : status;
}

/* Words stand in quotes. */
static size_t value_put(char *to, double value)
{
    bool word;
    size_t size = json_value_format(to + 1, value, &word);
    if (!word) {
        memmove(to, to + 1, size);
        return size;
    }
    to[0] = '"';
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
