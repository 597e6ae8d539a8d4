#include <stdio.h>

#include "protocols/json_write.h"
#include "protocols/protocols.h"

enum {
    /* Every byte may be a quote that is written twice. */
    CSV_SERIES_MAX = 2 * (JSON_LABELS_MAX + LABELS_MAX_SIZE) + 64,
    CSV_TAIL_MAX = 2 * NUMBER_TEXT_SIZE + 64,
};

void csv_writer_init(struct csv_writer *writer)
{
    bytes_init(&writer->series, CSV_SERIES_MAX);
    bytes_init(&writer->object, JSON_LABELS_MAX);
}

void csv_writer_release(struct csv_writer *writer)
{
    bytes_release(&writer->series);
    bytes_release(&writer->object);
}

enum status csv_writer_header(struct bytes *to)
{
    return bytes_append_text(to, "name,labels,value,timestamp\n");
}

/* Also what readers that trim, or skip remarks, would take otherwise than it stands. */
static bool needs_quotes(struct slice text)
{
    if (text.size == 0 || text.data[0] == ' ' || text.data[0] == '#' || text.data[0] == 0xef ||
        text.data[text.size - 1] == ' ')
        return true;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '"' || text.data[i] == ',' || text.data[i] < ' ')
            return true;
    return false;
}

/* And the comma behind it. */
static enum status put_cell(struct bytes *to, struct slice text)
{
    enum status status = bytes_reserve(to, 2 * text.size + 3);
    if (status != STATUS_OK)
        return status;
    uint8_t *at = to->data + to->size;
    bool quoted = needs_quotes(text);
    if (quoted)
        *at++ = '"';
    for (size_t i = 0; i < text.size; i++) {
        *at++ = text.data[i];
        if (text.data[i] == '"')
            *at++ = '"';
    }
    if (quoted)
        *at++ = '"';
    *at++ = ',';
    to->size = (size_t)(at - to->data);
    return STATUS_OK;
}

enum status csv_writer_series(struct csv_writer *writer, const struct labels *labels)
{
    bytes_clear(&writer->series);
    bytes_clear(&writer->object);
    enum status status = json_write_labels(&writer->object, labels);
    if (status == STATUS_OK)
        status = put_cell(&writer->series, labels_metric_name(labels));
    if (status == STATUS_OK)
        status = put_cell(&writer->series, bytes_slice(&writer->object));
    return status;
}

enum status csv_writer_sample(const struct csv_writer *writer, struct bytes *to, int64_t time_ms,
                              double value)
{
    struct slice series = bytes_slice(&writer->series);
    enum status status = bytes_reserve(to, series.size + CSV_TAIL_MAX);
    if (status != STATUS_OK)
        return status;
    uint8_t *at = to->data + to->size;
    memcpy(at, series.data, series.size);
    at += series.size;
    bool word;
    at += json_value_format((char *)at, value, &word);
    at += sprintf((char *)at, ",%lld\n", (long long)time_ms);
    to->size = (size_t)(at - to->data);
    return STATUS_OK;
}
